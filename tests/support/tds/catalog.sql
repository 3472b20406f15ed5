-- What a database of the stand-in holds beside its tables: the T-SQL types as they were declared, and views and
-- functions of the names that clients ask for.
CREATE SCHEMA dbo;
CREATE SCHEMA sys;
CREATE SCHEMA tds;

CREATE TABLE tds.columns (relid oid NOT NULL, attnum int NOT NULL, name text NOT NULL, type text NOT NULL,
  length int NOT NULL, "precision" int NOT NULL, scale int NOT NULL, max_length int NOT NULL,
  system_type_id int NOT NULL, is_nullable boolean NOT NULL, is_identity boolean NOT NULL,
  is_computed boolean NOT NULL, definition text, PRIMARY KEY (relid, attnum));
CREATE TABLE tds.settings (name text PRIMARY KEY, value text NOT NULL);
INSERT INTO tds.settings VALUES ('snapshot_isolation_state', '1'), ('is_cdc_enabled', '0'), ('is_read_only', '0');

-- Times in one form, rounded to their scale: ticks of 100 ns.
CREATE FUNCTION tds.norm_time(v text, kind text, scale int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  m text[] := regexp_match(v,
    '^\s*(?:(\d{4})-(\d\d)-(\d\d))?[ T]*(?:(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?\s*(Z|[+-]\d\d:\d\d)?\s*$');
  d date; ticks bigint; unit bigint; clock text;
BEGIN
  IF v IS NULL THEN RETURN NULL; END IF;
  IF m IS NULL THEN RAISE EXCEPTION 'Conversion failed when converting date and/or time from character string.'
    USING ERRCODE = '22007'; END IF;
  d := make_date(coalesce(m[1], '1900')::int, coalesce(m[2], '01')::int, coalesce(m[3], '01')::int);
  IF kind IN ('datetime') AND d < DATE '1753-01-01' OR kind = 'smalldatetime' AND (d < DATE '1900-01-01' OR d > DATE '2079-06-06')
  THEN RAISE EXCEPTION 'The conversion of a date resulted in an out-of-range value.' USING ERRCODE = '22008'; END IF;
  ticks := ((coalesce(m[4], '0')::bigint * 60 + coalesce(m[5], '0')::bigint) * 60 + coalesce(m[6], '0')::bigint)
    * 10000000 + rpad(left(coalesce(m[7], '0'), 7), 7, '0')::bigint;
  IF kind = 'datetime' THEN
    ticks := round(round(ticks * 3 / 100000.0) * 1000 / 300.0) * 10000;
  ELSIF kind = 'smalldatetime' THEN
    ticks := round(ticks / 600000000.0) * 600000000;
  ELSIF kind <> 'date' THEN
    unit := (10 ^ (7 - scale))::bigint;
    ticks := (ticks + unit / 2) / unit * unit;
  END IF;
  IF ticks >= 864000000000 THEN d := d + 1; ticks := ticks - 864000000000; END IF;
  clock := to_char(ticks / 36000000000, 'FM00') || ':' || to_char(ticks / 600000000 % 60, 'FM00') || ':'
    || to_char(ticks / 10000000 % 60, 'FM00');
  IF kind = 'datetime' THEN clock := clock || '.' || to_char(ticks % 10000000 / 10000, 'FM000');
  ELSIF kind NOT IN ('date', 'smalldatetime') AND scale > 0 THEN
    clock := clock || '.' || left(to_char(ticks % 10000000, 'FM0000000'), scale);
  END IF;
  RETURN CASE kind WHEN 'date' THEN to_char(d, 'YYYY-MM-DD') WHEN 'time' THEN clock
    WHEN 'datetimeoffset' THEN to_char(d, 'YYYY-MM-DD ') || clock || ' ' || CASE coalesce(m[8], 'Z') WHEN 'Z'
      THEN '+00:00' ELSE m[8] END
    ELSE to_char(d, 'YYYY-MM-DD ') || clock END;
END $$;

CREATE FUNCTION tds.norm_text(v text, size int, pad boolean, name text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF size >= 0 AND length(v) > size THEN
    IF length(rtrim(v)) > size THEN
      RAISE EXCEPTION 'String or binary data would be truncated in column ''%''.', name USING ERRCODE = '22001';
    END IF;
    v := left(v, size);
  END IF;
  RETURN CASE WHEN pad THEN rpad(v, size) ELSE v END;
END $$;

CREATE FUNCTION tds.norm_bytes(v bytea, size int, pad boolean, name text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF size >= 0 AND length(v) > size THEN
    RAISE EXCEPTION 'String or binary data would be truncated in column ''%''.', name USING ERRCODE = '22001';
  END IF;
  RETURN CASE WHEN pad THEN v || decode(repeat('00', size - length(v)), 'hex') ELSE v END;
END $$;

CREATE SEQUENCE tds.rowversions START 2001;

-- ---- what clients ask for

CREATE VIEW sys.schemas AS SELECT nspname::text AS name, oid::int AS schema_id FROM pg_namespace
  WHERE nspname NOT LIKE 'pg\_%' AND nspname NOT IN ('information_schema', 'tds');
CREATE VIEW sys.tables AS SELECT c.relname::text AS name, c.oid::int AS object_id, c.relnamespace::int AS schema_id,
  'U '::text AS type, 0::smallint AS is_ms_shipped, 0::smallint AS is_tracked_by_cdc, 0::smallint AS temporal_type,
  0::smallint AS is_external
  FROM pg_class c JOIN sys.schemas s ON s.schema_id = c.relnamespace::int
  WHERE c.relkind = 'r' AND s.name <> 'sys';
CREATE VIEW sys.views AS SELECT c.relname::text AS name, c.oid::int AS object_id, c.relnamespace::int AS schema_id,
  0::smallint AS is_ms_shipped
  FROM pg_class c JOIN sys.schemas s ON s.schema_id = c.relnamespace::int WHERE c.relkind = 'v' AND s.name <> 'sys';
CREATE VIEW sys.types AS SELECT DISTINCT type AS name, system_type_id,
  CASE type WHEN 'geography' THEN 130 ELSE system_type_id END AS user_type_id,
  0::smallint AS is_user_defined FROM tds.columns WHERE system_type_id > 0;
CREATE VIEW sys.columns AS SELECT c.relid::int AS object_id, c.name, row_number() OVER (PARTITION BY relid ORDER BY attnum)::int
  AS column_id, c.system_type_id, CASE c.type WHEN 'geography' THEN 130 ELSE c.system_type_id END AS user_type_id, c.max_length::smallint AS max_length,
  c."precision"::smallint AS "precision", c.scale::smallint AS scale, c.is_nullable::int::smallint AS is_nullable,
  c.is_identity::int::smallint AS is_identity, c.is_computed::int::smallint AS is_computed,
  0::smallint AS is_sparse, 0::smallint AS is_hidden, NULL::text AS collation_name FROM tds.columns c
  JOIN pg_class t ON t.oid = c.relid;
-- The primary key is clustered, unless another index was said to be.
CREATE VIEW tds.indexes AS SELECT i.*, i.indisclustered OR i.indisprimary AND NOT EXISTS (SELECT 1 FROM pg_index o
  WHERE o.indrelid = i.indrelid AND o.indisclustered) AS clustered FROM pg_index i;
CREATE VIEW sys.indexes AS SELECT i.indrelid::int AS object_id, x.relname::text AS name, CASE WHEN i.clustered THEN 1
  ELSE i.indexrelid::int END AS index_id, CASE WHEN i.clustered THEN 1 ELSE 2 END::smallint AS type,
  CASE WHEN i.clustered THEN 'CLUSTERED' ELSE 'NONCLUSTERED' END AS type_desc,
  i.indisunique::int::smallint AS is_unique, i.indisprimary::int::smallint AS is_primary_key, 0::smallint AS is_disabled,
  (i.indpred IS NOT NULL)::int::smallint AS has_filter
  FROM tds.indexes i JOIN pg_class x ON x.oid = i.indexrelid;
CREATE VIEW sys.index_columns AS SELECT i.indrelid::int AS object_id, CASE WHEN i.clustered THEN 1
  ELSE i.indexrelid::int END AS index_id, k.n::int AS index_column_id, k.n::smallint AS key_ordinal,
  (SELECT c.column_id FROM sys.columns c JOIN tds.columns t ON t.relid = i.indrelid AND t.attnum = k.attnum
    WHERE c.object_id = i.indrelid::int AND c.name = t.name) AS column_id, 0::smallint AS is_included_column
  FROM tds.indexes i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k(attnum, n);
CREATE VIEW sys.partitions AS SELECT oid::int AS object_id, 1 AS index_id, 1 AS partition_number,
  oid::bigint AS partition_id, oid::bigint AS hobt_id,
  greatest(reltuples, 0)::bigint AS rows FROM pg_class WHERE relkind = 'r';
CREATE VIEW sys.allocation_units AS SELECT oid::bigint AS container_id, 1::smallint AS type, 'IN_ROW_DATA'::text AS type_desc,
  pg_table_size(oid) / 8192 AS total_pages, pg_table_size(oid) / 8192 AS used_pages,
  pg_table_size(oid) / 8192 AS data_pages FROM pg_class WHERE relkind = 'r';
CREATE VIEW sys.dm_db_partition_stats AS SELECT oid::int AS object_id, 1 AS index_id, greatest(reltuples, 0)::bigint AS row_count,
  relpages::bigint AS used_page_count FROM pg_class WHERE relkind = 'r';
CREATE VIEW sys.databases AS SELECT current_database()::text AS name, 5 AS database_id,
  (SELECT value::smallint FROM tds.settings s WHERE s.name = 'snapshot_isolation_state') AS snapshot_isolation_state,
  (SELECT value::smallint FROM tds.settings s WHERE s.name = 'is_cdc_enabled') AS is_cdc_enabled,
  (SELECT value::smallint FROM tds.settings s WHERE s.name = 'is_read_only') AS is_read_only,
  0::smallint AS is_read_committed_snapshot_on, 'ONLINE'::text AS state_desc;

CREATE FUNCTION sys.db_name() RETURNS text LANGUAGE sql STABLE AS $$ SELECT current_database()::text $$;
CREATE FUNCTION sys.object_id(name text) RETURNS int LANGUAGE sql STABLE AS $$
  SELECT to_regclass(translate(name, '[]', '""'))::oid::int $$;
CREATE FUNCTION sys.schema_name(id int) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT name FROM sys.schemas WHERE schema_id = id $$;
CREATE FUNCTION sys.serverproperty(name text) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT CASE lower(name) WHEN 'productversion' THEN '16.0.1000.6' WHEN 'engineedition' THEN '3'
    WHEN 'edition' THEN 'stand-in' END $$;
CREATE FUNCTION sys.has_perms_by_name(name text, kind text, permission text) RETURNS int LANGUAGE sql STABLE AS $$
  SELECT 1 $$;
CREATE FUNCTION sys.isnull(anyelement, anyelement) RETURNS anyelement LANGUAGE sql AS $$ SELECT coalesce($1, $2) $$;
CREATE FUNCTION sys.len(v text) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT length(rtrim(v)) $$;
