-- What clients ask for by name: sys.* and functions.
CREATE TABLE tds.types (name text PRIMARY KEY, system_type_id int NOT NULL, user_type_id int NOT NULL,
  max_length int NOT NULL, "precision" int NOT NULL, scale int NOT NULL);
INSERT INTO tds.types VALUES ('image', 34, 34, 16, 0, 0), ('text', 35, 35, 16, 0, 0), ('uniqueidentifier', 36, 36, 16, 0, 0),
  ('date', 40, 40, 3, 10, 0), ('time', 41, 41, 5, 16, 7), ('datetime2', 42, 42, 8, 27, 7),
  ('datetimeoffset', 43, 43, 10, 34, 7), ('tinyint', 48, 48, 1, 3, 0), ('smallint', 52, 52, 2, 5, 0),
  ('int', 56, 56, 4, 10, 0), ('smalldatetime', 58, 58, 4, 16, 0), ('real', 59, 59, 4, 24, 0), ('money', 60, 60, 8, 19, 4),
  ('datetime', 61, 61, 8, 23, 3), ('float', 62, 62, 8, 53, 0), ('sql_variant', 98, 98, 8016, 0, 0),
  ('ntext', 99, 99, 16, 0, 0), ('bit', 104, 104, 1, 1, 0), ('decimal', 106, 106, 17, 38, 38),
  ('numeric', 108, 108, 17, 38, 38), ('smallmoney', 122, 122, 4, 10, 4), ('bigint', 127, 127, 8, 19, 0),
  ('hierarchyid', 240, 128, 892, 0, 0), ('geometry', 240, 129, -1, 0, 0), ('geography', 240, 130, -1, 0, 0),
  ('varbinary', 165, 165, 8000, 0, 0), ('varchar', 167, 167, 8000, 0, 0), ('binary', 173, 173, 8000, 0, 0),
  ('char', 175, 175, 8000, 0, 0), ('timestamp', 189, 189, 8, 0, 0), ('nvarchar', 231, 231, 8000, 0, 0),
  ('nchar', 239, 239, 8000, 0, 0), ('xml', 241, 241, -1, 0, 0), ('sysname', 231, 256, 256, 0, 0);

-- Names of indexes are unique in PostgreSQL's schema, here in their table: what tells them apart is not shown.
CREATE FUNCTION tds.shown(name text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT regexp_replace(name, ' @[0-9]+$', '') $$;
CREATE VIEW tds.relations AS SELECT c.oid::int AS object_id, c.oid AS relid, c.relname::text AS name,
  c.relnamespace::int AS schema_id, c.relkind, c.reltuples, c.relpages FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname NOT LIKE 'pg\_%'
  AND n.nspname NOT IN ('information_schema', 'tds', 'sys', 'INFORMATION_SCHEMA') AND c.relkind IN ('r', 'v');

CREATE VIEW sys.schemas AS SELECT nspname::text AS name, oid::int AS schema_id, 1 AS principal_id FROM pg_namespace
  WHERE nspname NOT LIKE 'pg\_%' AND nspname NOT IN ('information_schema', 'tds', 'INFORMATION_SCHEMA');
CREATE TABLE tds.modified (relid oid PRIMARY KEY, at text NOT NULL);
CREATE TABLE tds.memory_optimized (relid oid PRIMARY KEY);
-- What sys.columns says beside the type: is_sparse, is_column_set, is_hidden, generated_always_type, encryption_type, graph_type.
CREATE TABLE tds.flags (relid oid, attnum int, flag text, value int NOT NULL, PRIMARY KEY (relid, attnum, flag));
CREATE FUNCTION tds.flag(rel oid, num int, named text) RETURNS smallint LANGUAGE sql STABLE AS $$
  SELECT value::smallint FROM tds.flags WHERE relid = rel AND attnum = num AND flag = named $$;
CREATE TABLE tds.masks (relid oid, attnum int, function text, PRIMARY KEY (relid, attnum));
CREATE VIEW sys.tables AS SELECT name, object_id, schema_id, 'U '::text AS type, 'USER_TABLE'::text AS type_desc,
  coalesce((SELECT at FROM tds.modified m WHERE m.relid = relations.relid), '2026-01-01 00:00:00.000') AS modify_date,
  0::smallint AS is_ms_shipped, 0::smallint AS is_tracked_by_cdc, 0::smallint AS temporal_type, 0::smallint AS is_external,
  0::smallint AS is_memory_optimized, 0::smallint AS is_replicated
  FROM tds.relations WHERE relkind = 'r';
CREATE VIEW sys.views AS SELECT name, object_id, schema_id, 'V '::text AS type, 'VIEW'::text AS type_desc,
  0::smallint AS is_ms_shipped FROM tds.relations WHERE relkind = 'v';
CREATE VIEW sys.types AS SELECT name, system_type_id, user_type_id, 4 AS schema_id, max_length::smallint AS max_length,
  "precision"::smallint AS "precision", scale::smallint AS scale, 1::smallint AS is_nullable, 0::smallint AS is_user_defined,
  0::smallint AS is_assembly_type, 0::smallint AS is_table_type FROM tds.types;
CREATE VIEW sys.columns AS SELECT c.relid::int AS object_id, c.name, c.attnum AS column_id, c.system_type_id,
  CASE c.type WHEN 'geography' THEN 130 WHEN 'geometry' THEN 129 WHEN 'hierarchyid' THEN 128 ELSE c.system_type_id END AS user_type_id,
  c.max_length::smallint AS max_length, c."precision"::smallint AS "precision", c.scale::smallint AS scale,
  c.is_nullable::int::smallint AS is_nullable, c.is_identity::int::smallint AS is_identity,
  c.is_computed::int::smallint AS is_computed, coalesce(tds.flag(c.relid, c.attnum, 'is_sparse'), 0::smallint) AS is_sparse,
  coalesce(tds.flag(c.relid, c.attnum, 'is_column_set'), 0::smallint) AS is_column_set,
  coalesce(tds.flag(c.relid, c.attnum, 'is_hidden'), 0::smallint) AS is_hidden,
  coalesce(tds.flag(c.relid, c.attnum, 'generated_always_type'), 0::smallint) AS generated_always_type,
  tds.flag(c.relid, c.attnum, 'encryption_type')::int AS encryption_type,
  tds.flag(c.relid, c.attnum, 'graph_type')::int AS graph_type, 0::smallint AS is_rowguidcol,
  CASE WHEN c.type IN ('char', 'varchar', 'nchar', 'nvarchar', 'text', 'ntext') THEN
    coalesce(c.collated, 'SQL_Latin1_General_CP1_CI_AS') END
    AS collation_name,
  coalesce((SELECT d.oid::int FROM pg_attrdef d WHERE d.adrelid = c.relid AND d.adnum = c.attnum
    AND c.default_definition IS NOT NULL), 0) AS default_object_id
  FROM tds.columns c JOIN pg_class t ON t.oid = c.relid;
CREATE VIEW sys.masked_columns AS SELECT c.object_id, c.name, c.column_id, 1::smallint AS is_masked, m.function AS
  masking_function FROM sys.columns c JOIN tds.masks m ON m.relid::int = c.object_id AND m.attnum = c.column_id;
CREATE VIEW sys.identity_columns AS SELECT c.object_id, c.name, c.column_id, c.system_type_id, c.user_type_id, c.max_length,
  c."precision", c.scale, c.is_nullable, c.is_identity, s.seqstart AS seed_value, s.seqincrement AS increment_value,
  pg_sequence_last_value(s.seqrelid) AS last_value
  FROM sys.columns c JOIN pg_depend d ON d.refobjid = c.object_id::oid AND d.refobjsubid = c.column_id AND d.deptype = 'i'
  AND d.classid = 'pg_class'::regclass JOIN pg_sequence s ON s.seqrelid = d.objid;
CREATE VIEW sys.computed_columns AS SELECT c.*, t.definition, 1::smallint AS is_persisted FROM sys.columns c
  JOIN tds.columns t ON t.relid::int = c.object_id AND t.attnum = c.column_id WHERE t.is_computed;
CREATE VIEW sys.default_constraints AS SELECT d.oid::int AS object_id, c.default_name AS name, c.relid::int AS parent_object_id,
  c.attnum AS parent_column_id, t.relnamespace::int AS schema_id, c.default_definition AS definition, 'D '::text AS type,
  'DEFAULT_CONSTRAINT'::text AS type_desc
  FROM tds.columns c JOIN pg_class t ON t.oid = c.relid JOIN pg_attrdef d ON d.adrelid = c.relid AND d.adnum = c.attnum
  WHERE c.default_definition IS NOT NULL;
-- The primary key is clustered, unless another index was said to be.
CREATE VIEW tds.indexes AS SELECT i.*, i.indisclustered OR i.indisprimary AND NOT EXISTS (SELECT 1 FROM pg_index o
  WHERE o.indrelid = i.indrelid AND o.indisclustered) AS clustered FROM pg_index i;
CREATE VIEW sys.indexes AS SELECT i.indrelid::int AS object_id, tds.shown(x.relname::text) AS name, CASE WHEN i.clustered
  THEN 1 ELSE i.indexrelid::int END AS index_id, CASE WHEN i.clustered THEN 1 ELSE 2 END::smallint AS type,
  CASE WHEN i.clustered THEN 'CLUSTERED' ELSE 'NONCLUSTERED' END AS type_desc,
  i.indisunique::int::smallint AS is_unique, i.indisprimary::int::smallint AS is_primary_key,
  EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype = 'u')::int::smallint
    AS is_unique_constraint, 0::smallint AS is_disabled, 0::smallint AS is_hypothetical,
  (i.indpred IS NOT NULL)::int::smallint AS has_filter, pg_get_expr(i.indpred, i.indrelid) AS filter_definition,
  0::smallint AS "ignore_dup_key"
  FROM tds.indexes i JOIN pg_class x ON x.oid = i.indexrelid
  UNION ALL SELECT r.object_id, NULL, 0, 0::smallint, 'HEAP', 0::smallint, 0::smallint, 0::smallint, 0::smallint, 0::smallint,
  0::smallint, NULL, 0::smallint FROM tds.relations r WHERE relkind = 'r'
  AND NOT EXISTS (SELECT 1 FROM tds.indexes p WHERE p.indrelid = r.relid AND p.clustered);
CREATE VIEW sys.index_columns AS SELECT i.indrelid::int AS object_id, CASE WHEN i.clustered THEN 1
  ELSE i.indexrelid::int END AS index_id, k.n::int AS index_column_id,
  CASE WHEN k.n <= i.indnkeyatts THEN k.n ELSE 0 END::smallint AS key_ordinal, k.attnum::int AS column_id,
  (k.n > i.indnkeyatts)::int::smallint AS is_included_column,
  CASE WHEN k.n <= i.indnkeyatts THEN i.indoption[k.n - 1] & 1 ELSE 0 END::smallint AS is_descending_key
  FROM tds.indexes i CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n);
CREATE VIEW sys.key_constraints AS SELECT k.oid::int AS object_id, tds.shown(k.conname::text) AS name, k.conrelid::int
  AS parent_object_id, k.connamespace::int AS schema_id, CASE k.contype WHEN 'p' THEN 'PK' ELSE 'UQ' END AS type,
  CASE k.contype WHEN 'p' THEN 'PRIMARY_KEY_CONSTRAINT' ELSE 'UNIQUE_CONSTRAINT' END AS type_desc,
  CASE WHEN k.contype = 'p' THEN 1 ELSE k.conindid::int END AS unique_index_id, 0::smallint AS is_system_named
  FROM pg_constraint k WHERE k.contype IN ('p', 'u');
CREATE VIEW sys.foreign_keys AS SELECT k.oid::int AS object_id, k.conname::text AS name, k.conrelid::int AS parent_object_id,
  k.confrelid::int AS referenced_object_id, k.connamespace::int AS schema_id, 'F '::text AS type, 0::smallint AS is_disabled,
  0::smallint AS is_not_trusted, CASE k.confdeltype WHEN 'c' THEN 1 WHEN 'n' THEN 2 WHEN 'd' THEN 3 ELSE 0 END::smallint
  AS delete_referential_action, CASE k.confupdtype WHEN 'c' THEN 1 WHEN 'n' THEN 2 WHEN 'd' THEN 3 ELSE 0 END::smallint
  AS update_referential_action FROM pg_constraint k WHERE k.contype = 'f';
CREATE VIEW sys.foreign_key_columns AS SELECT k.oid::int AS constraint_object_id, p.n::int AS constraint_column_id,
  k.conrelid::int AS parent_object_id, p.parent::int AS parent_column_id, k.confrelid::int AS referenced_object_id,
  p.referenced::int AS referenced_column_id FROM pg_constraint k CROSS JOIN LATERAL unnest(k.conkey, k.confkey)
  WITH ORDINALITY p(parent, referenced, n) WHERE k.contype = 'f';
CREATE VIEW sys.check_constraints AS SELECT k.oid::int AS object_id, k.conname::text AS name, k.conrelid::int AS
  parent_object_id, k.connamespace::int AS schema_id, pg_get_expr(k.conbin, k.conrelid) AS definition, 0::smallint
  AS is_disabled, 0::smallint AS is_not_trusted FROM pg_constraint k WHERE k.contype = 'c';
CREATE VIEW sys.triggers AS SELECT t.oid::int AS object_id, t.tgname::text AS name, t.tgrelid::int AS parent_id,
  1::smallint AS parent_class, 'TR'::text AS type, (t.tgenabled = 'D')::int::smallint AS is_disabled,
  0::smallint AS is_instead_of_trigger, 0::smallint AS is_ms_shipped
  FROM pg_trigger t WHERE NOT t.tgisinternal AND t.tgname NOT LIKE 'tds\_%';
CREATE VIEW sys.objects AS SELECT name, object_id, schema_id, 0 AS parent_object_id,
  CASE relkind WHEN 'r' THEN 'U ' ELSE 'V ' END AS type, CASE relkind WHEN 'r' THEN 'USER_TABLE' ELSE 'VIEW' END AS type_desc,
  0::smallint AS is_ms_shipped FROM tds.relations
  UNION ALL SELECT name, object_id, schema_id, parent_object_id, type, type_desc, 0::smallint FROM sys.key_constraints
  UNION ALL SELECT name, object_id, schema_id, parent_object_id, 'F ', 'FOREIGN_KEY_CONSTRAINT', 0::smallint
    FROM sys.foreign_keys
  UNION ALL SELECT name, object_id, schema_id, parent_object_id, 'C ', 'CHECK_CONSTRAINT', 0::smallint
    FROM sys.check_constraints
  UNION ALL SELECT name, object_id, schema_id, parent_object_id, 'D ', 'DEFAULT_CONSTRAINT', 0::smallint
    FROM sys.default_constraints;
CREATE VIEW sys.partitions AS SELECT object_id, 1 AS index_id, 1 AS partition_number,
  object_id::bigint AS partition_id, object_id::bigint AS hobt_id,
  greatest(reltuples, 0)::bigint AS rows FROM tds.relations WHERE relkind = 'r';
CREATE VIEW sys.allocation_units AS SELECT object_id::bigint AS container_id, 1::smallint AS type, 'IN_ROW_DATA'::text
  AS type_desc, pg_table_size(relid) / 8192 AS total_pages, pg_table_size(relid) / 8192 AS used_pages,
  pg_table_size(relid) / 8192 AS data_pages FROM tds.relations WHERE relkind = 'r';
CREATE VIEW sys.dm_db_partition_stats AS SELECT object_id, 1 AS index_id, greatest(reltuples, 0)::bigint AS row_count,
  relpages::bigint AS used_page_count FROM tds.relations WHERE relkind = 'r';

CREATE FUNCTION sys.db_name() RETURNS text LANGUAGE sql STABLE AS $$
  SELECT coalesce(nullif(current_setting('tds.database', true), ''), current_database()::text) $$;
CREATE FUNCTION sys.db_id() RETURNS smallint LANGUAGE sql STABLE AS $$ SELECT 5::smallint $$;
CREATE FUNCTION sys.db_id(name text) RETURNS smallint LANGUAGE sql STABLE AS $$
  SELECT 5::smallint WHERE name = sys.db_name() $$;
CREATE VIEW sys.databases AS SELECT sys.db_name() AS name, 5 AS database_id,
  (SELECT value::smallint FROM tds.settings s WHERE s.name = 'snapshot_isolation_state') AS snapshot_isolation_state,
  (SELECT value::smallint FROM tds.settings s WHERE s.name = 'is_cdc_enabled') AS is_cdc_enabled,
  (SELECT value::smallint FROM tds.settings s WHERE s.name = 'is_read_committed_snapshot_on')
    AS is_read_committed_snapshot_on, 'ONLINE'::text AS state_desc, 0::smallint AS state,
  (SELECT value::smallint FROM tds.settings s WHERE s.name = 'is_read_only') AS is_read_only,
  160::smallint AS compatibility_level, 'SQL_Latin1_General_CP1_CI_AS'::text AS collation_name,
  1 AS recovery_model, 'FULL'::text AS recovery_model_desc;

-- The object that a name of one to four parts names, in brackets or not; the schema is dbo where none is said.
CREATE FUNCTION tds.parts(name text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE out text[] := '{}'; i int := 1; ch text; closing text; part text := ''; BEGIN
  WHILE i <= length(name) LOOP
    ch := substr(name, i, 1);
    IF ch IN ('[', '"') AND part = '' THEN
      closing := CASE ch WHEN '[' THEN ']' ELSE '"' END;
      i := i + 1;
      WHILE i <= length(name) LOOP
        ch := substr(name, i, 1);
        IF ch = closing THEN
          EXIT WHEN substr(name, i + 1, 1) <> closing;
          i := i + 1;
        END IF;
        part := part || ch;
        i := i + 1;
      END LOOP;
    ELSIF ch = '.' THEN
      out := out || part;
      part := '';
    ELSE
      part := part || ch;
    END IF;
    i := i + 1;
  END LOOP;
  RETURN out || trim(part);
END $$;
CREATE FUNCTION tds.relation(name text) RETURNS oid LANGUAGE plpgsql STABLE AS $$
DECLARE p text[] := tds.parts(name); n text := p[array_length(p, 1)]; s text; found oid; BEGIN
  s := coalesce(nullif(p[array_length(p, 1) - 1], ''), 'dbo');
  IF left(n, 1) = '#' THEN
    IF lower(coalesce(p[array_length(p, 1) - 2], '')) <> 'tempdb' THEN RETURN NULL; END IF;
    SELECT oid INTO found FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relname = n AND relkind = 'r';
    RETURN found;
  END IF;
  SELECT c.oid INTO found FROM pg_class c JOIN pg_namespace m ON m.oid = c.relnamespace
    WHERE lower(m.nspname) = lower(s) AND lower(c.relname) = lower(n) AND c.relkind IN ('r', 'v')
    ORDER BY m.nspname = s DESC, c.relname = n DESC LIMIT 1;
  RETURN found;
END $$;
CREATE FUNCTION sys.object_id(name text) RETURNS int LANGUAGE sql STABLE AS $$
  SELECT coalesce(tds.relation(name)::int, (SELECT object_id FROM sys.objects o WHERE o.parent_object_id <> 0
    AND o.name = (tds.parts(object_id.name))[array_length(tds.parts(object_id.name), 1)] LIMIT 1)) $$;
CREATE FUNCTION sys.object_id(name text, kind text) RETURNS int LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN left(k.relname, 1) = '#' THEN CASE WHEN trim(upper(kind)) = 'U' THEN k.oid::int END
    ELSE (SELECT o.object_id FROM sys.objects o WHERE o.object_id = sys.object_id(object_id.name)
      AND trim(o.type) = trim(upper(kind))) END
    FROM (SELECT 1) one LEFT JOIN pg_class k ON k.oid = tds.relation(object_id.name) $$;
CREATE FUNCTION sys.object_name(id int) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT name FROM sys.objects WHERE object_id = id $$;
CREATE FUNCTION sys.object_schema_name(id int) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT s.name FROM sys.objects o JOIN sys.schemas s ON s.schema_id = o.schema_id WHERE o.object_id = id $$;
CREATE FUNCTION sys.schema_name(id int) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT name FROM sys.schemas WHERE schema_id = id $$;
CREATE FUNCTION sys.schema_name() RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'dbo' $$;
CREATE FUNCTION sys.schema_id(name text) RETURNS int LANGUAGE sql STABLE AS $$
  SELECT s.schema_id FROM sys.schemas s WHERE lower(s.name) = lower(schema_id.name) ORDER BY s.name = schema_id.name DESC
    LIMIT 1 $$;
CREATE FUNCTION sys.schema_id() RETURNS int LANGUAGE sql STABLE AS $$ SELECT sys.schema_id('dbo') $$;
CREATE FUNCTION sys.col_length(name text, col text) RETURNS smallint LANGUAGE sql STABLE AS $$
  SELECT c.max_length::smallint FROM tds.columns c WHERE c.relid = tds.relation(col_length.name)
    AND lower(c.name) = lower(col) $$;
CREATE FUNCTION sys.col_name(id int, col int) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT name FROM sys.columns WHERE object_id = id AND column_id = col $$;
CREATE FUNCTION sys.columnproperty(id int, col text, property text) RETURNS int LANGUAGE sql STABLE AS $$
  SELECT CASE lower(property) WHEN 'isidentity' THEN is_identity WHEN 'iscomputed' THEN is_computed
    WHEN 'allowsnull' THEN is_nullable WHEN 'columnid' THEN column_id WHEN 'precision' THEN "precision"
    WHEN 'scale' THEN scale END::int FROM sys.columns WHERE object_id = id AND lower(name) = lower(col) $$;
CREATE FUNCTION sys.objectproperty(id int, property text) RETURNS int LANGUAGE sql STABLE AS $$
  SELECT CASE lower(property) WHEN 'istable' THEN (type = 'U ')::int WHEN 'isusertable' THEN (type = 'U ')::int
    WHEN 'isview' THEN (type = 'V ')::int
    WHEN 'tableismemoryoptimized' THEN EXISTS (SELECT 1 FROM tds.memory_optimized m WHERE m.relid::int = id)::int
    WHEN 'tablehasidentity' THEN (SELECT max(is_identity) FROM sys.columns c WHERE c.object_id = id)::int
    WHEN 'tablehasprimarykey' THEN (SELECT max(is_primary_key) FROM sys.indexes i WHERE i.object_id = id)::int END
    FROM sys.objects WHERE object_id = id $$;
CREATE FUNCTION sys.type_name(id int) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT name FROM sys.types WHERE user_type_id = id $$;
CREATE FUNCTION sys.type_id(named text) RETURNS int LANGUAGE sql STABLE AS $$
  SELECT user_type_id FROM sys.types WHERE name = lower(named) $$;
CREATE FUNCTION sys.ident_current(name text) RETURNS numeric LANGUAGE sql STABLE AS $$
  SELECT coalesce(i.last_value, i.seed_value)::numeric FROM sys.identity_columns i
    WHERE i.object_id = tds.relation(ident_current.name)::int $$;
CREATE FUNCTION sys.suser_sname() RETURNS text LANGUAGE sql STABLE AS $$
  SELECT coalesce(nullif(current_setting('tds.login', true), ''), 'sa') $$;
CREATE FUNCTION sys.suser_name() RETURNS text LANGUAGE sql STABLE AS $$ SELECT sys.suser_sname() $$;
CREATE FUNCTION sys.original_login() RETURNS text LANGUAGE sql STABLE AS $$ SELECT sys.suser_sname() $$;
CREATE FUNCTION sys.user_name() RETURNS text LANGUAGE sql STABLE AS $$
  SELECT CASE sys.suser_sname() WHEN 'sa' THEN 'dbo' ELSE sys.suser_sname() END $$;
CREATE FUNCTION sys.serverproperty(name text) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT CASE lower(name) WHEN 'productversion' THEN '16.0.1000.6' WHEN 'engineedition' THEN '3'
    WHEN 'productmajorversion' THEN '16' WHEN 'edition' THEN 'stand-in' WHEN 'servername' THEN 'STANDIN'
    WHEN 'machinename' THEN 'STANDIN' WHEN 'productlevel' THEN 'RTM' WHEN 'collation' THEN 'SQL_Latin1_General_CP1_CI_AS'
    END $$;
CREATE FUNCTION sys.collationproperty(name text, property text) RETURNS int LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE lower(property) WHEN 'codepage' THEN CASE tds.page_of(name) WHEN 'UTF8' THEN 65001 WHEN 'WIN1251' THEN 1251
    WHEN 'SJIS' THEN 932 ELSE 1252 END
    WHEN 'lcid' THEN 1033 END $$;
CREATE FUNCTION sys.databasepropertyex(name text, property text) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT CASE lower(property) WHEN 'collation' THEN 'SQL_Latin1_General_CP1_CI_AS' WHEN 'status' THEN 'ONLINE'
    WHEN 'updateability' THEN 'READ_WRITE' WHEN 'recovery' THEN 'FULL' END $$;

-- SQL Server Agent: tds.settings has whether it runs.
CREATE VIEW sys.dm_server_services AS SELECT 'SQL Server Agent (MSSQLSERVER)'::text AS servicename,
  CASE (SELECT value FROM tds.settings WHERE name = 'agent') WHEN '0' THEN 1 ELSE 4 END AS status,
  CASE (SELECT value FROM tds.settings WHERE name = 'agent') WHEN '0' THEN 'Stopped' ELSE 'Running' END AS status_desc;
-- What a login other than the administrator's was denied; schema 0 and relation 0 stand for all.
CREATE TABLE tds.denied (login text NOT NULL, permission text NOT NULL, schema_id int NOT NULL, relid oid NOT NULL,
  PRIMARY KEY (login, permission, schema_id, relid));
CREATE FUNCTION tds.allowed(rel oid, schema int, wanted text) RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT NOT EXISTS (SELECT 1 FROM tds.denied d WHERE d.login = sys.suser_sname() AND upper(d.permission) = upper(wanted)
    AND (d.relid = rel OR d.relid = 0 AND d.schema_id IN (0, schema))) $$;
CREATE FUNCTION sys.has_perms_by_name(name text, kind text, permission text) RETURNS int LANGUAGE sql STABLE AS $$
  SELECT CASE upper(kind)
    WHEN 'OBJECT' THEN (SELECT CASE WHEN r IS NULL THEN NULL ELSE tds.allowed(r, (SELECT relnamespace::int FROM pg_class
      WHERE oid = r), permission)::int END FROM (SELECT tds.relation(has_perms_by_name.name) AS r) one)
    WHEN 'SCHEMA' THEN (SELECT CASE WHEN s IS NULL THEN NULL ELSE tds.allowed(0, s, permission)::int END
      FROM (SELECT sys.schema_id((tds.parts(has_perms_by_name.name))[1]) AS s) one)
    ELSE tds.allowed(0, 0, permission)::int END $$;
CREATE FUNCTION sys.has_dbaccess(name text) RETURNS int LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN name = sys.db_name() THEN 1 END $$;
CREATE FUNCTION sys.is_member(name text) RETURNS int LANGUAGE sql STABLE AS $$
  SELECT (sys.suser_sname() = 'sa')::int $$;
CREATE FUNCTION sys.is_srvrolemember(name text) RETURNS int LANGUAGE sql STABLE AS $$
  SELECT (sys.suser_sname() = 'sa')::int $$;
CREATE FUNCTION sys.isnull(anyelement, anyelement) RETURNS anyelement LANGUAGE sql AS $$ SELECT coalesce($1, $2) $$;
CREATE FUNCTION sys.len(v text) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT tds.units(rtrim(v, ' ')) $$;
CREATE FUNCTION sys.charindex(what text, v text) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT position(what IN v) $$;
CREATE FUNCTION sys.datalength(v bytea) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT length(v) $$;
CREATE FUNCTION sys.datalength(v text) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT 2 * tds.units(v) $$;
