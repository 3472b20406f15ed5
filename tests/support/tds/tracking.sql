-- Change tracking, by the names of Microsoft's documentation ("Change tracking functions", "… catalog views").
-- A transaction that changed a tracked table takes its version when it commits, one after the other and until all others
-- see it: so whoever sees a version sees all that are lower.
INSERT INTO tds.settings VALUES ('is_change_tracking_on', '0'), ('ct_retention', '2'), ('ct_units', '3'), ('ct_auto_cleanup', '1');
CREATE TABLE tds.ct_tables (relid oid PRIMARY KEY, side text NOT NULL, keys text[] NOT NULL, begin_version bigint NOT NULL,
  cleanup_version bigint NOT NULL);
CREATE TABLE tds.ct_commits (xid xid8 PRIMARY KEY, version bigint, at text);
CREATE INDEX ON tds.ct_commits (version);
CREATE SEQUENCE tds.ct_versions;
CREATE SEQUENCE tds.ct_order;

CREATE FUNCTION tds.ct_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('change tracking', 0));
  UPDATE tds.ct_commits SET version = nextval('tds.ct_versions'), at = to_char(clock_timestamp() AT TIME ZONE 'UTC',
    'YYYY-MM-DD HH24:MI:SS.MS') WHERE xid = NEW.xid;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER ct_commit AFTER INSERT ON tds.ct_commits DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  EXECUTE FUNCTION tds.ct_commit();
ALTER TABLE tds.ct_commits ENABLE ALWAYS TRIGGER ct_commit;

CREATE FUNCTION sys.change_tracking_current_version() RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN value = '1' THEN coalesce((SELECT max(version) FROM tds.ct_commits), 0) END
    FROM tds.settings WHERE name = 'is_change_tracking_on' $$;
CREATE FUNCTION sys.change_tracking_min_valid_version(id int) RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT greatest(t.begin_version, t.cleanup_version) FROM tds.ct_tables t JOIN pg_class c ON c.oid = t.relid
    WHERE t.relid = id::oid AND tds.allowed(c.oid, c.relnamespace::int, 'VIEW CHANGE TRACKING') $$;
CREATE VIEW sys.change_tracking_tables AS SELECT t.relid::int AS object_id, 0::smallint AS is_track_columns_updated_on,
  t.begin_version, t.cleanup_version, greatest(t.begin_version, t.cleanup_version) AS min_valid_version FROM tds.ct_tables t
  JOIN pg_class c ON c.oid = t.relid;
CREATE VIEW sys.change_tracking_databases AS SELECT 5 AS database_id,
  (SELECT value::smallint FROM tds.settings WHERE name = 'ct_auto_cleanup') AS is_auto_cleanup_on,
  (SELECT value::int FROM tds.settings WHERE name = 'ct_retention') AS retention_period,
  u.value::smallint AS retention_period_units, (ARRAY['MINUTES', 'HOURS', 'DAYS'])[u.value::int] AS retention_period_units_desc
  FROM tds.settings s JOIN tds.settings u ON u.name = 'ct_units' WHERE s.name = 'is_change_tracking_on' AND s.value = '1';
CREATE VIEW sys.dm_tran_commit_table AS SELECT version AS commit_ts, xid::text::bigint AS xdes_id, 0::bigint AS commit_lbn,
  version AS commit_csn, at AS commit_time FROM tds.ct_commits WHERE version IS NOT NULL;
INSERT INTO tds.columns SELECT a.attrelid, a.attnum, a.attname, 'datetime', 0, 0, 3, 8, 0, true, false, false, NULL
  FROM pg_attribute a WHERE (a.attrelid = 'sys.dm_tran_commit_table'::regclass AND a.attname = 'commit_time')
  OR (a.attrelid = 'sys.tables'::regclass AND a.attname = 'modify_date');

-- ---- ALTER DATABASE … SET CHANGE_TRACKING

CREATE FUNCTION tds.ct_database(turn boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE on_now boolean := (SELECT value = '1' FROM tds.settings WHERE name = 'is_change_tracking_on'); BEGIN
  IF turn AND on_now THEN
    PERFORM tds.fail(5088, 16, 1, format('Change tracking is already enabled for database ''%s''.', sys.db_name()));
  ELSIF turn IS NOT FALSE AND NOT coalesce(turn, on_now) THEN
    PERFORM tds.fail(22116, 16, 1, 'Change tracking is not supported by this database.');
  ELSIF NOT turn AND EXISTS (SELECT 1 FROM tds.ct_tables) THEN
    PERFORM tds.fail(22115, 16, 1, format('Change tracking is enabled for one or more tables in database ''%s''. Disable change'
      ' tracking on each table before disabling it for the database.', sys.db_name()));
  ELSIF NOT turn THEN -- versions begin anew
    DELETE FROM tds.ct_commits;
    PERFORM setval('tds.ct_versions', 1, false);
  END IF;
  IF turn IS NOT NULL THEN
    UPDATE tds.settings SET value = turn::int::text WHERE name = 'is_change_tracking_on';
  END IF;
END $$;

-- ---- ALTER TABLE … ENABLE CHANGE_TRACKING: a side table of what happened to which key, filled by triggers

CREATE FUNCTION tds.ct_list(keys text[], prefix text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT string_agg(prefix || quote_ident(k), ', ' ORDER BY n) FROM unnest(keys) WITH ORDINALITY u(k, n) $$;
CREATE FUNCTION tds.ct_enable(rel regclass, plain text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE side text := 'ct_' || rel::oid; keys text[]; olds text; news text; note text; BEGIN
  IF (SELECT value FROM tds.settings WHERE name = 'is_change_tracking_on') <> '1' THEN
    PERFORM tds.fail(22106, 16, 1, format('The change tracking is not enabled on database ''%s''.', sys.db_name())); END IF;
  IF EXISTS (SELECT 1 FROM tds.ct_tables WHERE relid = rel) THEN
    PERFORM tds.fail(4996, 16, 1, format('Change tracking is already enabled for table ''%s''.', plain)); END IF;
  SELECT array_agg(a.attname::text ORDER BY k.n) INTO keys FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey::int2[])
    WITH ORDINALITY k(attnum, n) JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE i.indrelid = rel AND i.indisprimary;
  IF keys IS NULL THEN PERFORM tds.fail(4997, 16, 1, format('Cannot enable change tracking on table ''%s''. Change tracking'
    ' requires a primary key on the table. Create a primary key on the table before enabling change tracking.', plain)); END IF;
  olds := tds.ct_list(keys, 'OLD.');
  news := tds.ct_list(keys, 'NEW.');
  note := format('INSERT INTO tds.%I SELECT pg_current_xact_id(), nextval(''tds.ct_order''), ', side);
  EXECUTE format('CREATE TABLE tds.%I AS SELECT NULL::xid8 AS tds_xid, 0::bigint AS tds_order, ''''::text AS tds_op, %s FROM %s'
    ' WITH NO DATA', side, tds.ct_list(keys, ''), rel);
  EXECUTE format('CREATE INDEX ON tds.%I (tds_xid)', side);
  INSERT INTO tds.columns SELECT a.attrelid, a.attnum, c.name, c.type, c.length, c."precision", c.scale, c.max_length,
    c.system_type_id, false, false, false, NULL FROM pg_attribute a JOIN tds.columns c ON c.relid = rel AND c.name = a.attname
    WHERE a.attrelid = ('tds.' || quote_ident(side))::regclass AND a.attname = ANY (keys);
  EXECUTE format('CREATE FUNCTION tds.%I() RETURNS trigger LANGUAGE plpgsql AS %L', side, format('BEGIN
    INSERT INTO tds.ct_commits (xid) VALUES (pg_current_xact_id()) ON CONFLICT DO NOTHING;
    IF TG_OP = ''INSERT'' THEN %1$s ''I'', %3$s;
    ELSIF TG_OP = ''DELETE'' THEN %1$s ''D'', %2$s;
    ELSIF ROW(%2$s) IS DISTINCT FROM ROW(%3$s) THEN %1$s ''D'', %2$s; %1$s ''I'', %3$s;
    ELSE %1$s ''U'', %3$s; END IF;
    RETURN NULL; END', note, olds, news));
  EXECUTE format('CREATE TRIGGER tds_ct AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION tds.%I()', rel, side);
  EXECUTE format('CREATE TRIGGER tds_ct_truncate AFTER TRUNCATE ON %s EXECUTE FUNCTION tds.ct_truncated()', rel);
  EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER tds_ct, ENABLE ALWAYS TRIGGER tds_ct_truncate', rel);
  INSERT INTO tds.ct_tables VALUES (rel, side, keys, sys.change_tracking_current_version(), 0);
END $$;
CREATE FUNCTION tds.ct_drop(rel oid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE kept text; BEGIN
  DELETE FROM tds.ct_tables WHERE relid = rel RETURNING side INTO kept;
  DELETE FROM tds.columns WHERE relid = ('tds.' || kept)::regclass;
  EXECUTE format('DROP TABLE tds.%I; DROP FUNCTION tds.%I() CASCADE', kept, kept);
END $$;
CREATE FUNCTION tds.ct_disable(rel regclass, plain text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
  IF NOT EXISTS (SELECT 1 FROM tds.ct_tables WHERE relid = rel) THEN
    PERFORM tds.fail(4998, 16, 1, format('Change tracking is not enabled on table ''%s''.', plain)); END IF;
  PERFORM tds.ct_drop(rel);
  EXECUTE format('DROP TRIGGER tds_ct_truncate ON %s', rel);
END $$;

-- What was tracked of a table goes with its rows; the version stays what it was.
CREATE FUNCTION tds.ct_truncated() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE kept text; BEGIN
  UPDATE tds.ct_tables SET begin_version = sys.change_tracking_current_version() WHERE relid = TG_RELID RETURNING side INTO kept;
  EXECUTE format('DELETE FROM tds.%I', kept);
  RETURN NULL;
END $$;

-- As the cleanup task: the minimum moves first, then what is below goes.
CREATE FUNCTION tds.ct_cleanup(up_to bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE kept text; BEGIN
  UPDATE tds.ct_tables SET cleanup_version = greatest(cleanup_version, up_to);
  FOR kept IN SELECT side FROM tds.ct_tables LOOP
    EXECUTE format('DELETE FROM tds.%I s USING tds.ct_commits c WHERE c.xid = s.tds_xid AND c.version <= $1', kept) USING up_to;
  END LOOP;
  DELETE FROM tds.ct_commits WHERE version <= up_to AND version < (SELECT max(version) FROM tds.ct_commits);
END $$;

-- ---- tables that are altered or dropped

CREATE FUNCTION tds.note_modified() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO tds.modified SELECT objid, to_char(max(clock_timestamp()) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.MS')
    FROM pg_event_trigger_ddl_commands() WHERE object_type IN ('table', 'table column') AND schema_name NOT LIKE 'pg\_temp%'
    GROUP BY objid ON CONFLICT (relid) DO UPDATE SET at = excluded.at;
END $$;
CREATE FUNCTION tds.note_dropped() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
  PERFORM tds.ct_drop(t.relid) FROM pg_event_trigger_dropped_objects() d JOIN tds.ct_tables t ON t.relid = d.objid
    WHERE d.object_type = 'table';
END $$;
CREATE EVENT TRIGGER tds_modified ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE')
  EXECUTE FUNCTION tds.note_modified();
CREATE EVENT TRIGGER tds_dropped ON sql_drop WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION tds.note_dropped();
