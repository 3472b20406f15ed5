-- What a database of the stand-in holds beside its tables: the T-SQL types as they were declared, values in their one
-- form, conversions. What clients ask for by name is in views.sql.
CREATE SCHEMA dbo;
CREATE SCHEMA sys;
CREATE SCHEMA tds;

CREATE TABLE tds.columns (relid oid NOT NULL, attnum int NOT NULL, name text NOT NULL, type text NOT NULL,
  length int NOT NULL, "precision" int NOT NULL, scale int NOT NULL, max_length int NOT NULL,
  system_type_id int NOT NULL, is_nullable boolean NOT NULL, is_identity boolean NOT NULL,
  is_computed boolean NOT NULL, definition text, default_name text, default_definition text, collated text,
  PRIMARY KEY (relid, attnum));
CREATE TABLE tds.settings (name text PRIMARY KEY, value text NOT NULL);
INSERT INTO tds.settings VALUES ('snapshot_isolation_state', '1'), ('is_cdc_enabled', '0'),
  ('is_read_committed_snapshot_on', '0'), ('is_read_only', '0');

-- Strings become what their column is.
CREATE CAST (text AS uuid) WITH INOUT AS IMPLICIT;
CREATE CAST (text AS integer) WITH INOUT AS ASSIGNMENT;
CREATE CAST (text AS bigint) WITH INOUT AS ASSIGNMENT;
CREATE CAST (text AS smallint) WITH INOUT AS ASSIGNMENT;
CREATE CAST (text AS numeric) WITH INOUT AS ASSIGNMENT;
CREATE CAST (text AS real) WITH INOUT AS ASSIGNMENT;
CREATE CAST (text AS double precision) WITH INOUT AS ASSIGNMENT;

-- An error of SQL Server's, by its number, severity, state and text; errors.py makes it one.
CREATE FUNCTION tds.fail(number int, severity int, state int, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '%|%|%|%', number, severity, state, what USING ERRCODE = 'TD000'; END $$;

-- CHECK constraints are passed over while a bulk load that did not ask for them is on.
CREATE FUNCTION tds.unchecked() RETURNS boolean LANGUAGE sql STABLE AS $$
  SELECT current_setting('tds.unchecked', true) IS NOT DISTINCT FROM '1' $$;

-- Times in one form, rounded to their scale: ticks of 100 ns.
CREATE FUNCTION tds.norm_time(v text, kind text, scale int) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  m text[] := regexp_match(v, '^\s*(?:(\d{4})-?(\d\d)-?(\d\d))?[ T]*(?:(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?'
    '\s*(Z|[+-]\d\d:\d\d)?\s*$');
  d date; ticks bigint; unit bigint; clock text; y int; mo int; da int;
BEGIN
  IF v IS NULL THEN RETURN NULL; END IF;
  IF m IS NULL THEN PERFORM tds.fail(241, 16, 1,
    'Conversion failed when converting date and/or time from character string.'); END IF;
  y := coalesce(m[1], '1900')::int; mo := coalesce(m[2], '01')::int; da := coalesce(m[3], '01')::int;
  IF y = 0 OR mo NOT BETWEEN 1 AND 12 OR da < 1 OR da > (CASE WHEN mo IN (4, 6, 9, 11) THEN 30 WHEN mo <> 2 THEN 31
    WHEN y % 4 = 0 AND (y % 100 <> 0 OR y % 400 = 0) THEN 29 ELSE 28 END) OR coalesce(m[4], '0')::int > 23
    OR coalesce(m[5], '0')::int > 59 OR coalesce(m[6], '0')::int > 59 THEN
    IF kind IN ('datetime', 'smalldatetime') THEN PERFORM tds.fail(242, 16, 3, 'The conversion of a varchar data type to a '
      || kind || ' data type resulted in an out-of-range value.'); END IF;
    PERFORM tds.fail(241, 16, 1, 'Conversion failed when converting date and/or time from character string.');
  END IF;
  d := make_date(y, mo, da);
  IF kind = 'datetime' AND d < DATE '1753-01-01' OR kind = 'smalldatetime' AND (d < DATE '1900-01-01'
    OR d > DATE '2079-06-06') THEN PERFORM tds.fail(242, 16, 3, 'The conversion of a varchar data type to a ' || kind
    || ' data type resulted in an out-of-range value.'); END IF;
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

-- TRY_CAST: NULL where CAST fails.
CREATE FUNCTION tds.try_cast(v text, came text, kind text, scale int, storage text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE out text; BEGIN
  IF kind IN ('date', 'time', 'datetime', 'smalldatetime', 'datetime2', 'datetimeoffset') THEN
    RETURN tds.norm_time(v, kind, scale);
  END IF;
  EXECUTE format('SELECT CAST(CAST(%L AS %s) AS %s)::text', v, came, storage) INTO out;
  RETURN out;
EXCEPTION WHEN OTHERS THEN RETURN NULL; END $$;

-- A datetimeoffset at another distance from UTC: the same moment.
CREATE FUNCTION tds.switchoffset(v text, zone text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT to_char(moved, 'YYYY-MM-DD HH24:MI:SS') || substring(v FROM '\.\d+') || ' ' || zone FROM (SELECT
    regexp_replace(left(v, length(v) - 7), '\.\d+$', '')::timestamp - right(v, 6)::interval + zone::interval AS moved) x $$;

-- Length in UTF-16 units, as nvarchar counts.
CREATE FUNCTION tds.units(v text) RETURNS int LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN octet_length(v) = length(v) THEN length(v)
    ELSE length(v) + length(regexp_replace(v, '[\u0001-\uffff]', '', 'g')) END $$;

-- What code page 1252 has of it; what it has not is a question mark, two where UTF-16 needs two units.
CREATE FUNCTION tds.narrow(v text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN octet_length(v) = length(v) THEN v ELSE regexp_replace(regexp_replace(v,
    '[^\u0001-\uffff]', '??', 'g'),
    '[^\u0001-\u007f\u00a0-\u00ff€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]', '?', 'g') END $$;

CREATE FUNCTION tds.truncated(place text, name text, kept text) RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN PERFORM tds.fail(2628, 16, 1, 'String or binary data would be truncated in table ''%db%.' || place
  || ''', column ''' || name || '''. Truncated value: ''' || kept || '''.'); END $$;

-- A string of another collation than the database's: as many bytes as its code page needs.
CREATE FUNCTION tds.page_of(collation_name text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN collation_name ILIKE '%\_UTF8' THEN 'UTF8' WHEN collation_name ILIKE 'Cyrillic%' THEN 'WIN1251'
    WHEN collation_name ILIKE 'Japanese%' THEN 'SJIS' ELSE 'WIN1252' END $$;
CREATE FUNCTION tds.fit_page(v text, size int, pad boolean, place text, name text, page text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE kept text := ''; c text; bytes int := 0; BEGIN
  FOREACH c IN ARRAY regexp_split_to_array(v, '') LOOP
    BEGIN
      bytes := bytes + length(convert_to(c, page));
    EXCEPTION WHEN untranslatable_character THEN
      c := repeat('?', tds.units(c));
      bytes := bytes + length(c);
    END;
    kept := kept || c;
  END LOOP;
  IF size >= 0 AND bytes > size THEN PERFORM tds.truncated(place, name, ''); END IF;
  RETURN CASE WHEN pad THEN kept || repeat(' ', size - bytes) ELSE kept END;
END $$;

CREATE FUNCTION tds.fit_text(v text, size int, wide boolean, pad boolean, place text, name text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE bare text; BEGIN
  IF NOT wide THEN v := tds.narrow(v); END IF;
  IF size >= 0 AND tds.units(v) > size THEN
    bare := rtrim(v, ' ');
    IF tds.units(bare) > size THEN PERFORM tds.truncated(place, name, left(v, size)); END IF;
    v := bare || repeat(' ', size - tds.units(bare));
  END IF;
  RETURN CASE WHEN pad THEN v || repeat(' ', size - tds.units(v)) ELSE v END;
END $$;

CREATE FUNCTION tds.fit_bytes(v bytea, size int, pad boolean, place text, name text) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF size >= 0 AND length(v) > size THEN PERFORM tds.truncated(place, name, ''); END IF;
  RETURN CASE WHEN pad THEN v || decode(repeat('00', size - length(v)), 'hex') ELSE v END;
END $$;

-- CAST(… AS varbinary): bytes are themselves; a text becomes bytes (UTF-16LE) where the answer is written, told by its type.
CREATE FUNCTION tds.bytes_of(bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT $1 $$;
CREATE FUNCTION tds.bytes_of(text) RETURNS bpchar LANGUAGE sql IMMUTABLE AS $$ SELECT $1::bpchar $$;
-- ToString() of a hierarchyid, for some published values.
CREATE FUNCTION tds.clr_text(v bytea) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
  out text := CASE encode(v, 'hex') WHEN '' THEN '/' WHEN '58' THEN '/1/' WHEN '68' THEN '/2/' WHEN '78' THEN '/3/'
    WHEN '5ac0' THEN '/1/1/' WHEN '5b40' THEN '/1/2/' END;
BEGIN
  IF v IS NOT NULL AND out IS NULL THEN RAISE EXCEPTION 'the stand-in does not know this value'; END IF;
  RETURN out;
END $$;

CREATE SEQUENCE tds.rowversions START 2001;

-- sql_variant: the base type's name beside the value in its form. What a number or a text becomes when it is assigned.
CREATE TYPE tds.variant AS (kind text, v text);
CREATE FUNCTION tds.variant_text(x tds.variant) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT x.v $$;
CREATE CAST (tds.variant AS text) WITH FUNCTION tds.variant_text(tds.variant) AS ASSIGNMENT;
CREATE FUNCTION tds.variant_real(x tds.variant) RETURNS real LANGUAGE sql IMMUTABLE AS $$ SELECT x.v::real $$;
CREATE CAST (tds.variant AS real) WITH FUNCTION tds.variant_real(tds.variant);
CREATE FUNCTION tds.variant_float(x tds.variant) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$ SELECT x.v::float8 $$;
CREATE CAST (tds.variant AS float8) WITH FUNCTION tds.variant_float(tds.variant);
CREATE FUNCTION tds.variant_numeric(x tds.variant) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$ SELECT x.v::numeric $$;
CREATE CAST (tds.variant AS numeric) WITH FUNCTION tds.variant_numeric(tds.variant);
CREATE FUNCTION tds.cast_bytes(v tds.variant, size int, pad boolean) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
  SELECT v.v::bytea $$;
CREATE FUNCTION tds.bytes_of(v tds.variant) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT v.v::bytea $$;
CREATE FUNCTION sys.sql_variant_property(x tds.variant, property text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN x IS NOT NULL AND lower(property) = 'basetype' THEN x.kind END $$;

-- The trigger that brings the values of a table into their one form, by the columns that it has now.
CREATE FUNCTION tds.renorm(rel regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  c record; n text; body text := ''; place text; test text; named text := format('tds.norm_%s', rel::oid::text);
BEGIN
  SELECT CASE WHEN relpersistence = 't' THEN relname::text ELSE relnamespace::regnamespace::text || '.' || relname END
    INTO place FROM pg_class WHERE oid = rel;
  FOR c IN SELECT * FROM tds.columns WHERE relid = rel AND NOT is_computed ORDER BY attnum LOOP
    n := 'NEW.' || quote_ident(c.name);
    IF c.type IN ('date', 'time', 'datetime2', 'datetimeoffset', 'datetime', 'smalldatetime') THEN
      -- What is in its form already needs no function.
      test := CASE c.type WHEN 'time' THEN '' WHEN 'datetime' THEN '((1[89]|[2-9][0-9])[0-9]{2}'
          WHEN 'smalldatetime' THEN '((19[0-9]|20[0-6])[0-9]'
          ELSE '((000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})' END
        || CASE c.type WHEN 'time' THEN '' ELSE '-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)'
          '|(0[13578]|1[02])-31)|(19|20)(0[48]|[2468][048]|[13579][26])-02-29)' END
        || CASE WHEN c.type NOT IN ('date', 'time') THEN ' ' ELSE '' END
        || CASE c.type WHEN 'date' THEN '' WHEN 'smalldatetime' THEN '([01][0-9]|2[0-3]):[0-5][0-9]:00'
          ELSE '([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]' END
        || CASE WHEN c.type = 'datetime' THEN '\.[0-9][0-9][037]'
          WHEN c.type NOT IN ('date', 'smalldatetime') AND c.scale > 0 THEN '\.[0-9]{' || c.scale || '}' ELSE '' END
        || CASE WHEN c.type = 'datetimeoffset' THEN ' [+-](0[0-9]|1[0-3]):[0-5][0-9]' ELSE '' END;
      body := body || format('IF %s !~ %L THEN %s := tds.norm_time(%s, %L, %s); END IF; ', n, '^' || test || '$', n, n,
        c.type, c.scale);
    ELSIF c.type IN ('char', 'varchar', 'text') AND tds.page_of(c.collated) <> 'WIN1252' THEN
      body := body || format('IF %s <> %L THEN %s := tds.fit_page(%s, %s, %L, %L, %L, %L); END IF; ', n, '', n, n,
        CASE c.type WHEN 'text' THEN -1 ELSE c.length END, c.type = 'char', place, c.name, tds.page_of(c.collated));
    ELSIF c.type IN ('char', 'nchar', 'varchar', 'nvarchar') AND NOT (c.length < 0 AND c.type = 'nvarchar') THEN
      body := body || format('IF %s THEN %s := tds.fit_text(%s, %s, %L, %L, %L, %L); END IF; ',
        CASE WHEN c.type IN ('char', 'nchar') THEN n || ' IS NOT NULL'
          WHEN c.type = 'nvarchar' THEN format('octet_length(%s) > %s', n, c.length)
          WHEN c.length < 0 THEN format('octet_length(%s) <> length(%s)', n, n)
          ELSE format('octet_length(%s) > %s OR octet_length(%s) <> length(%s)', n, c.length, n, n) END,
        n, n, c.length, c.type LIKE 'n%', c.type IN ('char', 'nchar'), place, c.name);
    ELSIF c.type IN ('binary', 'varbinary') AND c.length >= 0 THEN
      body := body || format('IF length(%s) %s %s THEN %s := tds.fit_bytes(%s, %s, %L, %L, %L); END IF; ', n,
        CASE c.type WHEN 'binary' THEN '<>' ELSE '>' END, c.length, n, n, c.length, c.type = 'binary', place, c.name);
    ELSIF c.type IN ('rowversion', 'timestamp') THEN
      body := body || format('%s := nextval(''tds.rowversions''); ', n);
    ELSIF c.type = 'tinyint' THEN
      body := body || format('IF %s NOT BETWEEN 0 AND 255 THEN PERFORM tds.fail(220, 16, 2, '
        '''Arithmetic overflow error for data type tinyint, value = '' || %s || ''.''); END IF; ', n, n);
    ELSIF c.type = 'bit' THEN
      body := body || format('IF %s NOT IN (0, 1) THEN %s := 1; END IF; ', n, n);
    ELSIF c.type IN ('money', 'smallmoney') THEN
      body := body || format('IF %s NOT BETWEEN %s THEN PERFORM tds.fail(8115, 16, 4, '
        '''Arithmetic overflow error converting numeric to data type %s.''); END IF; ', n, CASE c.type WHEN 'money'
        THEN '-922337203685477.5808 AND 922337203685477.5807' ELSE '-214748.3648 AND 214748.3647' END, c.type);
    END IF;
  END LOOP;
  EXECUTE format('DROP TRIGGER IF EXISTS tds_norm ON %s', rel);
  IF body <> '' THEN
    EXECUTE format('CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS %L', named,
      'BEGIN ' || body || 'RETURN NEW; END');
    EXECUTE format('CREATE TRIGGER tds_norm BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION %s()', rel, named);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER tds_norm', rel);  -- of bulk loads, too
  END IF;
END $$;

-- What is dropped leaves nothing behind.
CREATE FUNCTION tds.forget() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE o record; BEGIN
  FOR o IN SELECT objid, objsubid, object_type FROM pg_event_trigger_dropped_objects()
    WHERE object_type IN ('table', 'table column', 'view') LOOP
    DELETE FROM tds.columns WHERE relid = o.objid AND (o.objsubid = 0 OR attnum = o.objsubid);
    DELETE FROM tds.flags WHERE relid = o.objid AND (o.objsubid = 0 OR attnum = o.objsubid);
    IF o.objsubid = 0 THEN EXECUTE format('DROP FUNCTION IF EXISTS tds.norm_%s()', o.objid); END IF;
  END LOOP;
END $$;
CREATE EVENT TRIGGER tds_forget ON sql_drop EXECUTE FUNCTION tds.forget();

-- ---- clocks and conversions

CREATE FUNCTION tds.clock(zone text, scale int) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT CASE scale WHEN 3 THEN to_char(statement_timestamp() AT TIME ZONE zone, 'YYYY-MM-DD HH24:MI:SS.MS')
    ELSE to_char(statement_timestamp() AT TIME ZONE zone, 'YYYY-MM-DD HH24:MI:SS.US') || '0' END $$;
CREATE FUNCTION tds.cast_text(v text, size int, wide boolean, pad boolean) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF NOT wide THEN v := tds.narrow(v); END IF;
  WHILE size >= 0 AND tds.units(v) > size LOOP v := left(v, greatest(length(v) - (tds.units(v) - size + 1) / 2, 0)); END LOOP;
  RETURN CASE WHEN pad THEN v || repeat(' ', size - tds.units(v)) ELSE v END;
END $$;
CREATE FUNCTION tds.cast_bytes(v bytea, size int, pad boolean) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN size < 0 THEN v WHEN length(v) > size THEN substr(v, 1, size)
    WHEN pad THEN v || decode(repeat('00', size - length(v)), 'hex') ELSE v END $$;
CREATE FUNCTION tds.cast_bytes(v int, size int, pad boolean) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN size < 4 AND size >= 0 THEN substr(int4send(v), 5 - size) WHEN pad THEN
    decode(repeat('00', size - 4), 'hex') || int4send(v) ELSE int4send(v) END $$;
CREATE FUNCTION tds.cast_bytes(v bigint, size int, pad boolean) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN size < 8 AND size >= 0 THEN substr(int8send(v), 9 - size) WHEN pad THEN
    decode(repeat('00', size - 8), 'hex') || int8send(v) ELSE int8send(v) END $$;
CREATE FUNCTION tds.cast_bytes(v text, size int, pad boolean) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
  SELECT tds.cast_bytes(convert_to(tds.narrow(v), 'WIN1252'), size, pad) $$;
CREATE FUNCTION tds.cast_bytes(v uuid, size int, pad boolean) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
  SELECT tds.cast_bytes((SELECT substr(b, 4, 1) || substr(b, 3, 1) || substr(b, 2, 1) || substr(b, 1, 1) || substr(b, 6, 1)
    || substr(b, 5, 1) || substr(b, 8, 1) || substr(b, 7, 1) || substr(b, 9) FROM (SELECT uuid_send(v) AS b) one),
    size, pad) $$;
CREATE FUNCTION tds.styled(v bytea, style int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE style WHEN 1 THEN '0x' || upper(encode(v, 'hex')) WHEN 2 THEN upper(encode(v, 'hex'))
    ELSE convert_from(v, 'WIN1252') END $$;
-- 17 digits for float, 9 for real ("CAST and CONVERT", float and real styles).
CREATE FUNCTION tds.styled(v float8, style int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE style WHEN 3 THEN regexp_replace(ltrim(to_char(v,
    '9.9999999999999999EEEE')), '(e[+-])(\d\d)$', '\10\2') ELSE v::text END $$;
CREATE FUNCTION tds.styled(v real, style int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE style WHEN 3 THEN regexp_replace(ltrim(to_char(v,
    '9.99999999EEEE')), '(e[+-])(\d\d)$', '\10\2') ELSE v::text END $$;
CREATE FUNCTION tds.styled(v numeric, style int) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT v::text $$;
CREATE FUNCTION tds.styled(v anyelement, style int) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT v::text $$;
CREATE FUNCTION tds.cast_bit(v anyelement) RETURNS smallint LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE lower(v::text) WHEN 'true' THEN 1 WHEN 'false' THEN 0 WHEN '0' THEN 0 ELSE (v::text::numeric <> 0)::int
    END::smallint $$;

-- ---- definitions

-- What a value becomes when the column's type is changed; what does not fit is an error.
CREATE FUNCTION tds.convert(v anyelement, kind text, size int, scale int, place text, name text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF kind IN ('date', 'time', 'datetime', 'smalldatetime', 'datetime2', 'datetimeoffset') THEN
    RETURN tds.norm_time(v::text, kind, scale);
  ELSIF kind IN ('char', 'nchar', 'varchar', 'nvarchar') THEN
    RETURN tds.fit_text(v::text, size, left(kind, 1) = 'n', kind IN ('char', 'nchar'), place, name);
  ELSIF kind IN ('binary', 'varbinary') AND size >= 0 AND pg_typeof(v) = 'bytea'::regtype
    AND length(v::text::bytea) > size THEN PERFORM tds.truncated(place, name, '');
  END IF;
  RETURN v::text;
END $$;
CREATE FUNCTION tds.dependent(rel regclass, col text) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT regexp_replace(coalesce(k.conname::text, x.relname::text), ' @[0-9]+$', '') FROM pg_attribute a
    LEFT JOIN pg_constraint k ON k.conrelid = a.attrelid AND a.attnum = ANY (k.conkey)
    LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND a.attnum = ANY (i.indkey)
    LEFT JOIN pg_class x ON x.oid = i.indexrelid
    WHERE a.attrelid = rel AND a.attname = col AND coalesce(k.conname, x.relname) IS NOT NULL LIMIT 1 $$;
CREATE FUNCTION tds.must_have(rel regclass, col text, verb text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM tds.columns WHERE relid = rel AND name = col) THEN
    PERFORM tds.fail(4924, 16, 1, format('ALTER TABLE %s COLUMN failed because column ''%s'' does not exist in table ''%s''.',
      verb, col, (SELECT relname FROM pg_class WHERE oid = rel)));
  END IF;
END $$;
CREATE FUNCTION tds.droppable(rel regclass, col text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE other text := tds.dependent(rel, col); BEGIN
  PERFORM tds.must_have(rel, col, 'DROP');
  other := coalesce(other, (SELECT default_name FROM tds.columns WHERE relid = rel AND name = col
    AND default_definition IS NOT NULL));
  IF other IS NOT NULL THEN
    PERFORM tds.fail(5074, 16, 1, format('The object ''%s'' is dependent on column ''%s''.', other, col));
  END IF;
END $$;
-- A captured column is of another type now: so is the change tables' ("cdc.ddl_history", required_column_update).
CREATE FUNCTION tds.capture_altered(rel regclass, col text, storage text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE t record; c tds.columns; BEGIN
  IF to_regclass('cdc.change_tables') IS NULL THEN RETURN; END IF;
  SELECT * INTO c FROM tds.columns WHERE relid = rel AND name = col;
  FOR t IN SELECT ct.object_id, ct.capture_instance FROM cdc.change_tables ct JOIN cdc.captured_columns cc USING (object_id)
      WHERE ct.source_object_id = rel::oid::int AND cc.column_name = col LOOP
    EXECUTE format('ALTER TABLE cdc.%I ALTER COLUMN %I TYPE %s USING %2$I::%3$s', t.capture_instance || '_CT', col, storage);
    UPDATE tds.columns SET type = c.type, length = c.length, "precision" = c."precision", scale = c.scale,
      max_length = c.max_length, system_type_id = c.system_type_id WHERE relid = t.object_id::oid AND name = col;
    UPDATE cdc.captured_columns SET column_type = c.type WHERE object_id = t.object_id AND column_name = col;
    INSERT INTO cdc.ddl_history VALUES (rel::oid::int, t.object_id, 1, format('ALTER TABLE %s ALTER COLUMN %I', rel, col),
      decode(lpad(to_hex((pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint), 20, '0'), 'hex'),
      to_char(now(), 'YYYY-MM-DD HH24:MI:SS.MS'));
  END LOOP;
END $$;
CREATE FUNCTION tds.alterable(rel regclass, col text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE c tds.columns; BEGIN
  PERFORM tds.must_have(rel, col, 'ALTER');
  SELECT * INTO c FROM tds.columns WHERE relid = rel AND name = col;
  IF c.type IN ('rowversion', 'timestamp') OR c.is_computed THEN
    PERFORM tds.fail(4928, 16, 1, format('Cannot alter column ''%s'' because it is ''%s''.', col,
      CASE WHEN c.is_computed THEN 'COMPUTED' ELSE 'timestamp' END));
  END IF;
  IF EXISTS (SELECT 1 FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
    WHERE i.indrelid = rel AND a.attname = col AND i.indisprimary) THEN
    PERFORM tds.fail(5074, 16, 1, format('The object ''%s'' is dependent on column ''%s''.', tds.dependent(rel, col), col));
  END IF;
END $$;
CREATE FUNCTION tds.create_index(rel regclass, name text, is_unique boolean, body text, clustered boolean) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = rel
    AND regexp_replace(x.relname, ' @[0-9]+$', '') = name) THEN
    PERFORM tds.fail(1913, 16, 1, format('The operation failed because an index or statistics with name ''%s'' already exists'
      ' on table ''%s''.', name, rel));
  END IF;
  EXECUTE format('CREATE %s INDEX %I %s', CASE WHEN is_unique THEN 'UNIQUE' ELSE '' END, name || ' @' || rel::oid::text, body);
  IF clustered THEN EXECUTE format('ALTER TABLE %s CLUSTER ON %I', rel, name || ' @' || rel::oid::text); END IF;
END $$;
CREATE FUNCTION tds.drop_index(rel regclass, name text, may_miss boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE found oid; BEGIN
  SELECT x.oid INTO found FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = rel
    AND regexp_replace(x.relname, ' @[0-9]+$', '') = name;
  IF found IS NOT NULL THEN EXECUTE format('DROP INDEX %s', found::regclass);
  ELSIF NOT may_miss THEN
    PERFORM tds.fail(3701, 11, 7, format('Cannot drop the index ''%s.%s'', because it does not exist or you do not have'
      ' permission.', rel, name));
  END IF;
END $$;
CREATE FUNCTION tds.drop_constraint(rel regclass, name text, may_miss boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE col text; BEGIN
  SELECT c.name INTO col FROM tds.columns c WHERE c.relid = rel AND c.default_name = drop_constraint.name;
  IF col IS NOT NULL THEN
    EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', rel, col);
    UPDATE tds.columns c SET default_name = NULL, default_definition = NULL WHERE c.relid = rel AND c.name = col;
  ELSIF EXISTS (SELECT 1 FROM pg_constraint k WHERE k.conrelid = rel AND k.conname = name) THEN
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', rel, name);
  ELSIF NOT may_miss THEN
    PERFORM tds.fail(3728, 16, 1, format('''%s'' is not a constraint.', name));
  END IF;
END $$;
CREATE FUNCTION tds.rename(what text, named text, kind text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE p text[] := tds.parts(what); n int := array_length(p, 1); rel oid; col text; BEGIN
  IF upper(coalesce(kind, 'OBJECT')) = 'COLUMN' THEN
    rel := tds.relation((SELECT string_agg('[' || replace(x, ']', ']]') || ']', '.') FROM unnest(p[1:n - 1]) x));
    SELECT name INTO col FROM tds.columns WHERE relid = rel AND lower(name) = lower(p[n]);
    IF col IS NULL THEN PERFORM tds.fail(15248, 11, 1, 'Either the parameter @objname is ambiguous or the claimed @objtype'
      ' (COLUMN) is wrong.'); END IF;
    IF EXISTS (SELECT 1 FROM tds.columns WHERE relid = rel AND name = named) THEN PERFORM tds.fail(15335, 11, 1,
      format('Error: The new name ''%s'' is already in use as a COLUMN name and would cause a duplicate that is not'
      ' permitted.', named)); END IF;
    EXECUTE format('ALTER TABLE %s RENAME COLUMN %I TO %I', rel::regclass, col, named);
    UPDATE tds.columns SET name = named WHERE relid = rel AND name = col;
    PERFORM tds.renorm(rel);
  ELSIF upper(coalesce(kind, 'OBJECT')) = 'INDEX' THEN
    rel := tds.relation((SELECT string_agg('[' || replace(x, ']', ']]') || ']', '.') FROM unnest(p[1:n - 1]) x));
    EXECUTE (SELECT format('ALTER INDEX %s RENAME TO %I', x.oid::regclass, named || coalesce(substring(x.relname
      FROM ' @[0-9]+$'), '')) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = rel
      AND regexp_replace(x.relname, ' @[0-9]+$', '') = p[n]);
  ELSE
    rel := tds.relation(what);
    IF rel IS NULL AND EXISTS (SELECT 1 FROM pg_constraint WHERE conname = p[n] AND conrelid <> 0) THEN
      EXECUTE (SELECT format('ALTER TABLE %s RENAME CONSTRAINT %I TO %I', conrelid::regclass, p[n], named) FROM pg_constraint
        WHERE conname = p[n] AND conrelid <> 0 LIMIT 1);
      RETURN;
    END IF;
    IF rel IS NULL THEN PERFORM tds.fail(15225, 11, 1, format('No item by the name of ''%s'' could be found in the current'
      ' database ''%%db%%'', given that @itemtype was input as ''%s''.', what, coalesce(kind, '(null)'))); END IF;
    IF EXISTS (SELECT 1 FROM pg_class c WHERE c.relname = named AND c.relnamespace = (SELECT relnamespace FROM pg_class
      WHERE oid = rel)) THEN PERFORM tds.fail(15335, 11, 1, format('Error: The new name ''%s'' is already in use as a object'
      ' name and would cause a duplicate that is not permitted.', named)); END IF;
    EXECUTE format('ALTER TABLE %s RENAME TO %I', rel::regclass, named);
    PERFORM tds.renorm(rel);
  END IF;
END $$;
