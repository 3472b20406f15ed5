-- What change data capture keeps, by the names of Microsoft's documentation ("Change data capture tables").
CREATE SCHEMA cdc;
CREATE TABLE cdc.change_tables (object_id int PRIMARY KEY, version int NOT NULL DEFAULT 0, source_object_id int NOT NULL,
  capture_instance text NOT NULL UNIQUE, start_lsn bytea NOT NULL, end_lsn bytea, supports_net_changes smallint NOT NULL
  DEFAULT 0, has_drop_pending smallint, role_name text, index_name text, filegroup_name text, create_date text NOT NULL,
  partition_switch smallint NOT NULL DEFAULT 0);
CREATE TABLE cdc.captured_columns (object_id int NOT NULL, column_name text NOT NULL, column_id int NOT NULL,
  column_type text NOT NULL, column_ordinal int NOT NULL, is_computed smallint NOT NULL DEFAULT 0);
CREATE TABLE cdc.index_columns (object_id int NOT NULL, column_name text NOT NULL, index_ordinal smallint NOT NULL,
  column_id int NOT NULL);
CREATE TABLE cdc.ddl_history (source_object_id int NOT NULL, object_id int NOT NULL, required_column_update smallint
  NOT NULL, ddl_command text NOT NULL, ddl_lsn bytea NOT NULL, ddl_time text NOT NULL);
CREATE TABLE cdc.lsn_time_mapping (start_lsn bytea PRIMARY KEY, tran_begin_time text NOT NULL, tran_end_time text NOT
  NULL, tran_id bytea NOT NULL);

CREATE FUNCTION tds.lsn_add(lsn bytea, n int) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE i int := 9; carry int := n; v int; BEGIN
  WHILE i >= 0 AND carry <> 0 LOOP
    v := get_byte(lsn, i) + carry;
    carry := CASE WHEN v > 255 THEN 1 WHEN v < 0 THEN -1 ELSE 0 END;
    lsn := set_byte(lsn, i, (v + 256) % 256);
    i := i - 1;
  END LOOP;
  RETURN lsn;
END $$;
CREATE FUNCTION sys.fn_cdc_get_max_lsn() RETURNS bytea LANGUAGE sql STABLE AS $$
  SELECT start_lsn FROM cdc.lsn_time_mapping ORDER BY start_lsn DESC LIMIT 1 $$;
CREATE FUNCTION sys.fn_cdc_get_min_lsn(instance text) RETURNS bytea LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT start_lsn FROM cdc.change_tables WHERE capture_instance = instance),
    '\x00000000000000000000'::bytea) $$;
CREATE FUNCTION sys.fn_cdc_increment_lsn(lsn bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT tds.lsn_add(lsn, 1) $$;
CREATE FUNCTION sys.fn_cdc_decrement_lsn(lsn bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT tds.lsn_add(lsn, -1) $$;
CREATE FUNCTION sys.fn_cdc_map_lsn_to_time(lsn bytea) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT tran_end_time FROM cdc.lsn_time_mapping WHERE start_lsn = lsn $$;
UPDATE tds.settings SET value = '1' WHERE name = 'is_cdc_enabled';

-- ---- how far the job is, and when it ran
CREATE TABLE tds.scans (session_id int PRIMARY KEY, start_time text NOT NULL, end_time text, empty_scan_count int NOT NULL);
CREATE VIEW sys.dm_cdc_log_scan_sessions AS SELECT session_id, start_time, end_time, empty_scan_count, 0 AS latency
  FROM tds.scans;
CREATE SCHEMA IF NOT EXISTS dbo;
CREATE VIEW sys.cdc_jobs AS SELECT 5 AS database_id, k.name AS job_type, (SELECT value::int FROM tds.settings s
  WHERE s.name = k.name || '_minutes') AS retention FROM (VALUES ('cleanup')) k(name);
INSERT INTO tds.settings VALUES ('cleanup_minutes', '4320');
CREATE FUNCTION sys.sysdatetimeoffset() RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '0 +00:00' $$;

-- Times of these tables are datetimes on the wire.
INSERT INTO tds.columns SELECT a.attrelid, a.attnum, a.attname, k.type, k.length, 0, k.scale, k.max_length, 0, true, false,
  false, NULL FROM (VALUES ('cdc.change_tables', 'create_date', 'datetime', 0, 3, 8),
  ('cdc.lsn_time_mapping', 'tran_begin_time', 'datetime', 0, 3, 8), ('cdc.lsn_time_mapping', 'tran_end_time', 'datetime', 0, 3, 8),
  ('sys.dm_cdc_log_scan_sessions', 'start_time', 'datetime', 0, 3, 8), ('sys.dm_cdc_log_scan_sessions', 'end_time', 'datetime', 0, 3, 8))
  k(relation, name, type, length, scale, max_length)
  JOIN pg_attribute a ON a.attrelid = k.relation::regclass AND a.attname = k.name;
