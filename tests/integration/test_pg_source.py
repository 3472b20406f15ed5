"""The PostgreSQL source alone, drained by pg_reader: values, kinds of tables, shards, snapshots."""

from __future__ import annotations

import datetime
import os
import threading
from decimal import Context, Decimal
from pathlib import Path

import pytest
from support import pg
from support.pgreader import Reader, binary, parse, reader, role  # noqa: F401 (fixtures)


# ---------------------------------------------------------------- values

EPOCH = datetime.date(1970, 1, 1).toordinal()


def date_text(days: int) -> str:
    """PostgreSQL's ISO text of days since 1970, any year (proleptic Gregorian)."""
    cycles, days = divmod(days + EPOCH - 1, 146097)
    date = datetime.date.fromordinal(days + 1)
    year = date.year + cycles * 400
    era = " BC" if year <= 0 else ""
    year = 1 - year if year <= 0 else year
    return f"{year:04}-{date.month:02}-{date.day:02}", era


def time_text(us: int) -> str:
    seconds, us = divmod(us, 1000000)
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return text + (f".{us:06}".rstrip("0") if us else "")


def cell_text(cell: str | None, column: dict) -> str | None:
    """What the type's output function would print under ISO and UTC."""
    if cell is None:
        return None
    form = column["format"]
    if form == "b":
        return "t" if cell == "1" else "f"
    if form.startswith("d:"):
        numbers = form[2:].split(",")
        value = int.from_bytes(bytes.fromhex(cell), "little", signed=True)
        if value == -(1 << (len(cell) * 4 - 1)):
            return "NaN"
        digits = Decimal(value).scaleb(-int(numbers[1]), context=WIDE)
        return format(digits, "f")
    if form == "f":
        return ("float4", cell)
    if form == "g":
        return ("float8", cell)
    if form == "tdD":
        days = int(cell)
        if abs(days) >= 2**31 - 1:
            return "infinity" if days > 0 else "-infinity"
        return "".join(date_text(days))
    if form.startswith("tsu:"):
        us = int(cell)
        if abs(us) >= 2**63 - 1:
            return "infinity" if us > 0 else "-infinity"
        days, rest = divmod(us, 86400000000)
        date, era = date_text(days)
        return f"{date} {time_text(rest)}{'+00' if form == 'tsu:UTC' else ''}{era}"
    if form == "ttu":
        return time_text(int(cell))
    if form == "w:16":
        return f"{cell[:8]}-{cell[8:12]}-{cell[12:16]}-{cell[16:20]}-{cell[20:]}"
    if form == "z":
        return "\\x" + cell
    return cell


WIDE = Context(prec=100)

VALUES: dict[str, list[str]] = {
    "boolean": ["true", "false"],
    "smallint": ["-32768", "32767"],
    "integer": ["-2147483648", "2147483647"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "oid": ["0", "4294967295"],
    "real": ["1.1", "'NaN'", "'-Infinity'", "'-0'", "1e-45"],
    "double precision": ["0.1::float8 + 0.2", "'NaN'", "'Infinity'", "5e-324"],
    "numeric": ["'NaN'", "'Infinity'", "'-Infinity'", "1e131071", "1e-16383", "0.000", "1000000000.10"],
    "numeric(12,2)": ["0", "-0.01", "9999999999.99", "'NaN'", "10000", "1e9"],
    "numeric(18,0)": ["999999999999999999", "-1"],
    "numeric(19,4)": ["999999999999999.9999", "'NaN'"],
    "numeric(38,38)": ["'-0.99999999999999999999999999999999999999'"],
    "numeric(76,6)": ["-1e69", "'NaN'", "'1234567890.000001'"],
    "numeric(100,3)": ["1e96"],
    "numeric(5,-2)": ["12300", "-9900"],
    "numeric(3,5)": ["0.00123"],
    "money": ["1234.56", "-0.01"],
    "text": ["''", "'ü€😀'", "E'\\n\\t\\\\'", "'NULL'", "repeat('x', 70000)"],
    "character varying(5)": ["'ab'"],
    "character(5)": ["'ab'", "''"],
    '"char"': ["'c'", "''"],
    "name": ["'n'"],
    "bytea": ["''", "'\\x00ff'"],
    "date": ["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'5874897-12-31'", "'0001-01-01'", "'2024-02-29'"],
    "time": ["'24:00'", "'00:00:00.000001'"],
    "time with time zone": ["'04:05:06.789+05:30'"],
    "timestamp": ["'infinity'", "'-infinity'", "'4713-01-01 00:00 BC'", "'294246-12-31 23:59:59.999999'",
                  "'1999-12-31 23:59:59.999999'", "'0001-01-01'"],
    "timestamp with time zone": ["'infinity'", "'-infinity'", "'2024-03-04 10:36:07.5+05:30'", "'0044-03-15 BC'"],
    "interval": ["'1 year 2 mons -3 days 04:05:06.7'", "'0'", "'-1 day -00:00:00.000001'"],
    "json": ["'{\"b\": 1.10,  \"a\": null}'", "E'[1,\\n2]'"],
    "jsonb": ["'{\"b\": 1.10, \"a\": null}'", "'1e3'"],
    "uuid": ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"],
    "inet": ["'192.168.0.1'", "'10.0.0.0/8'", "'::1'"],
    "cidr": ["'10.0.0.1/32'"],
    "macaddr": ["'08:00:2b:01:02:03'"],
    "bit(5)": ["B'10101'"],
    "bit varying": ["B''", "B'1'"],
    "point": ["'(1.5,-2)'"],
    "box": ["'((0,0),(1,1))'"],
    "circle": ["'<(0,0),0.1>'"],
    "tsvector": ["'a:1A fat:2B'"],
    "xml": ["'<a b=\"c\">d</a>'"],
    "pg_lsn": ["'16/B374D848'"],
    "xid8": ["'18446744073709551615'"],
    "tid": ["'(0,1)'"],
    "regclass": ["'pg_class'"],
    "int2vector": ["'1 2 3'"],
    "int4range": ["'[1,5)'", "'empty'"],
    "tstzrange": ["'[2020-01-01 00:00+05:30,)'"],
    "int8multirange": ["'{[1,3),[5,9)}'"],
    "integer[]": ["'{1,NULL,3}'", "'[0:1]={5,6}'", "'{{1,2},{3,4}}'", "'{}'"],
    "text[]": ["ARRAY['a,b', E'q\"x\\\\', NULL, 'NULL', '']"],
    "box[]": ["'{(1,1),(0,0);(3,3),(2,2)}'"],
    "timestamptz[]": ["'{2024-03-04 10:36:07+05:30,infinity}'"],
    "float8[]": ["ARRAY[0.1::float8 + 0.2]"],
    "bytea[]": ["ARRAY['\\x00ff'::bytea]"],
    "interval[]": ["'{1 day}'"],
    "mood": ["'b c'", "'d\"e'"],
    "mood[]": ["ARRAY['a', 'b c']::mood[]"],
    "dnum": ["1.5", "'NaN'"],
    "ddnum": ["-2.25"],
    "dchar": ["'ab'"],
    "darr": ["'{1,2}'"],
    "ddarr": ["'{3}'"],
    "dmood": ["'a'"],
    "dmood[]": ["ARRAY['a']::dmood[]"],
    "comp": ["ROW(1, 'x,\"y', '{1.1,NULL}')", "ROW(NULL, NULL, NULL)"],
    "dcomp": ["ROW(1, '', NULL)::comp"],
    "comp[]": ["ARRAY[ROW(1, 'a b', NULL)::comp, NULL]"],
    "outer_t": ["ROW(ROW(1, 'a', NULL), ARRAY[ROW(2, 'b', '{1}')::comp], '2024-03-04 10:36:07+05:30',"
                " 0.1::float8 + 0.2, '1 day')"],
    "frange": ["'[0.1,2)'"],
    "drange": ["'[1,5)'"],
    '"My S".hstore': ["'a=>1, \"b c\"=>NULL'"],
    "citext": ["'MiXed'"],
    "tab": ["ROW(1, 'x')"],
}

# The major version that brought a type.
SINCE = {"xid8": 13, "int8multirange": 14, "numeric(5,-2)": 15, "numeric(3,5)": 15}

PREPARE = """
CREATE SCHEMA "My S";
CREATE EXTENSION hstore SCHEMA "My S";
CREATE EXTENSION citext SCHEMA public;
CREATE TYPE mood AS ENUM ('a', 'b c', 'd"e');
CREATE DOMAIN dnum AS numeric(10,2);
CREATE DOMAIN ddnum AS dnum;
CREATE DOMAIN dchar AS char(5);
CREATE DOMAIN darr AS int[];
CREATE DOMAIN ddarr AS darr;
CREATE DOMAIN dmood AS mood;
CREATE TYPE comp AS (a int, gone int, b text, c numeric(5,1)[]);
ALTER TYPE comp DROP ATTRIBUTE gone;
CREATE DOMAIN dcomp AS comp;
CREATE TYPE outer_t AS (x comp, y comp[], z timestamptz, f float8, i interval);
CREATE TYPE frange AS RANGE (subtype = float8);
CREATE DOMAIN drange AS int4range;
CREATE TABLE tab (a int, gone int, b text);
ALTER TABLE tab DROP COLUMN gone;
"""


def test_all_types_in_a_hostile_database(hostile_db: pg.PgDatabase, binary: Path):
    """Raw cells equal what the output functions print in a session with plain settings."""
    reader = Reader(hostile_db, binary)
    hostile_db.execute(PREPARE)
    major = int(hostile_db.value("SHOW server_version_num")) // 10000
    table = {name: values for name, values in VALUES.items() if SINCE.get(name, 0) <= major}
    if major < 14:
        table["numeric"] = [value for value in table["numeric"] if "Infinity" not in value]
    columns = ", ".join(f"c{i} {name}" for i, name in enumerate(table))
    hostile_db.execute(f"CREATE TABLE v (id int PRIMARY KEY, {columns})")
    longest = max(len(values) for values in table.values())
    for row in range(longest):
        cells = [
            f"({values[row]})::{name}" if row < len(values) else "NULL"
            for name, values in table.items()
        ]
        hostile_db.execute(f"INSERT INTO v VALUES ({row}, {', '.join(cells)})")
    stream = reader.discover()["public.v"]
    assert stream["keys"] == [0]
    got = reader.rows("public.v")["public.v"]
    assert len(got) == longest
    # format('%s') prints by the output function; as float text has no raw form here, send bytes.
    with hostile_db.connect(options="-c timezone=UTC -c search_path=pg_catalog -c extra_float_digits=1"
                            " -c datestyle=ISO -c intervalstyle=postgres -c bytea_output=hex -c lc_monetary=C"
                            ) as conn:
        exprs = []
        for i, column in enumerate(stream["columns"][1:]):
            if column["format"] == "f":
                exprs.append(f"encode(float4send(c{i}), 'hex')")
            elif column["format"] == "g":
                exprs.append(f"encode(float8send(c{i}), 'hex')")
            else:
                exprs.append(f"CASE WHEN num_nulls(c{i}) = 0 THEN format('%s', c{i}) END")
        want = conn.execute(f"SELECT {', '.join(exprs)} FROM public.v ORDER BY id").fetchall()
    for row in sorted(got, key=lambda cells: int(cells[0])):
        expected = want[int(row[0])]
        for i, column in enumerate(stream["columns"][1:]):
            text = cell_text(row[i + 1], column)
            if isinstance(text, tuple):
                text = bytes(reversed(bytes.fromhex(text[1]))).hex()
            assert text == expected[i], (column, row[0])


def test_text_classes(db: pg.PgDatabase, reader: Reader):
    db.execute(PREPARE, "CREATE TABLE t (a box[], b outer_t, c numeric, d interval, e darr, f jsonb, g bytea[],"
               ' h "My S".hstore, i numeric(100,3), j date[], k tab, l int4range[])')
    columns = {c["name"]: c for c in reader.discover()["public.t"]["columns"]}
    comp = '{"a":n,"b":s,"c":[n,]}'
    assert columns["a"]["sluice:text"] == "[s;]"
    assert columns["b"]["sluice:text"] == f'{{"x":{comp},"y":[{comp},],"z":z,"f":n,"i":s}}'
    assert columns["c"]["sluice:text"] == "n"
    assert "sluice:text" not in columns["d"]
    assert columns["e"]["sluice:text"] == "[n,]"
    assert columns["f"]["ARROW:extension:name"] == "arrow.json"
    assert columns["g"]["sluice:text"] == "[x,]"
    assert "sluice:text" not in columns["h"]
    assert columns["i"]["sluice:text"] == "n"
    assert columns["j"]["sluice:text"] == "[d,]"
    assert columns["k"]["sluice:text"] == '{"a":n,"b":s}'
    assert columns["l"]["sluice:text"] == "[s,]"
    assert columns["i"]["sluice:native_type"] == "numeric(100,3)"


@pytest.mark.parametrize("policy", ["fail", "null", "text"])
def test_timestamps_past_64_bits(db: pg.PgDatabase, binary: Path, policy: str):
    db.execute("CREATE TABLE t (id int, a timestamp NOT NULL, b timestamptz, c date, d numeric(4,1))",
               "INSERT INTO t VALUES (1, '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59+00',"
               " 'infinity', 'NaN')")
    reader = Reader(db, binary, on_unrepresentable=policy)
    if policy == "fail":
        rc, _, err = reader.run("--mode", "print", "public.t")
        assert rc == 1 and "DATA" in err and "column a" in err and "on_unrepresentable" in err
    elif policy == "null":
        assert reader.rows("public.t")["public.t"][0][1:3] == [None, None]
    else:
        assert reader.rows("public.t")["public.t"][0] == [
            "1", "294276-12-31 23:59:59.999999", "294276-12-31 23:59:59+00", "infinity", "NaN"]
        classes = [c.get("sluice:text") for c in reader.discover()["public.t"]["columns"]]
        assert classes == [None, "t", "z", "d", "n"]


def test_sql_ascii_database(pg_server: pg.PgServer, binary: Path):
    name = "ascii_" + os.urandom(4).hex()
    with pg_server.connect() as conn:
        conn.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    try:
        base = pg.PgDatabase(pg_server, name)
        with pg_server.connect(name, client_encoding="SQL_ASCII") as conn:
            conn.execute("CREATE TABLE good (a text); CREATE TABLE bad (id int, a text, j jsonb)")
            conn.execute("INSERT INTO good VALUES (convert_from('\\xc3a4', 'SQL_ASCII'))")
            conn.execute("INSERT INTO bad VALUES (1, convert_from('\\xe4', 'SQL_ASCII'), '{}')")
        reader = Reader(base, binary)
        assert reader.rows("public.good")["public.good"] == [["ä"]]
        rc, _, err = reader.run("--mode", "print", "public.bad")
        assert rc == 1 and "DATA" in err and "column a" in err and "hint" in err
        assert reader.rows("--exclude", "a", "public.bad")["public.bad"] == [["1", "{}"]]
    finally:
        pg_server.drop_database(name)


# ---------------------------------------------------------------- kinds of tables

def test_kinds(db: pg.PgDatabase, binary: Path):
    db.execute(
        "CREATE TABLE parent (a int); CREATE TABLE child (b int) INHERITS (parent)",
        "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 3)",
        "CREATE VIEW v AS SELECT a, a::text || 'x' AS t FROM parent",
        "CREATE MATERIALIZED VIEW m AS SELECT a FROM parent",
        "CREATE MATERIALIZED VIEW unfilled AS SELECT 1 AS a WITH NO DATA",
        "CREATE TABLE none (); INSERT INTO none DEFAULT VALUES; INSERT INTO none DEFAULT VALUES",
        "CREATE TABLE gen (a int, b int GENERATED ALWAYS AS (a * 2) STORED, c int GENERATED ALWAYS AS IDENTITY)",
        "INSERT INTO gen VALUES (21)",
        'CREATE TABLE "We""ird.Näme ../x" ("Co""l" int, "select" text)',
        'INSERT INTO "We""ird.Näme ../x" VALUES (1, \'y\')',
        "CREATE TABLE wide (%s)" % ", ".join(f"c{i} int" for i in range(1600)),
        "INSERT INTO wide (c0, c1599) VALUES (1, 2)",
        "CREATE TABLE \"%s\" (a int)" % ("n" * 63),
        "CREATE TEMP TABLE temporary (a int)",
        "CREATE TABLE keys (a int, b int, c int, PRIMARY KEY (c, a))",
        "CREATE TABLE late (a int PRIMARY KEY DEFERRABLE)",
    )
    reader = Reader(db, binary)
    streams = reader.discover()
    quoted = '"public"'.strip('"') + '."We""ird.Näme ../x"'
    assert streams["public.parent"]["kind"] == 1
    assert streams["public.v"]["kind"] == 4
    assert streams["public.m"]["kind"] == 5
    assert streams["public.keys"]["keys"] == [2, 0]
    assert [c["nullable"] for c in streams["public.keys"]["columns"]] == [False, True, False]
    assert streams["public.late"]["keys"] == []
    assert streams["public.none"]["columns"] == []
    assert len(streams["public.wide"]["columns"]) == 1600
    assert streams["public.gen"]["columns"][1]["sluice:generated"] == "stored"
    assert streams["public.gen"]["columns"][2]["sluice:identity"] == "always"
    assert streams["public.unfilled"]["problem"] == "STATE"
    assert quoted in streams and not any("temporary" in name or "pg_" in name for name in streams)
    rows = reader.rows("public.parent", "public.child", "public.v", "public.m", "public.none", "public.gen",
                       "public.wide", quoted)
    assert rows["public.parent"] == [["1"]]  # a table is its own rows
    assert rows["public.child"] == [["2", "3"]]
    assert sorted(rows["public.v"]) == [["1", "1x"], ["2", "2x"]]
    assert sorted(rows["public.m"]) == [["1"], ["2"]]
    assert rows["public.none"] == [[], []]
    assert rows["public.gen"] == [["21", "42", "1"]]
    assert rows["public.wide"][0][0] == "1" and rows["public.wide"][0][1599] == "2"
    assert rows[quoted] == [["1", "y"]]
    assert Reader(db, binary, generated="exclude").rows("public.gen")["public.gen"] == [["21", "1"]]


def test_postgres_18(db: pg.PgDatabase, reader: Reader):
    if int(db.value("SHOW server_version_num")) < 180000:
        pytest.skip("NOT RUN: needs PostgreSQL 18")
    db.execute("CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL, c int NOT NULL)",
               "INSERT INTO t (a, c) VALUES (21, 1)",
               "CREATE TABLE n (a int); INSERT INTO n VALUES (NULL)",
               "ALTER TABLE n ADD CONSTRAINT later NOT NULL a NOT VALID")
    streams = reader.discover()
    assert streams["public.t"]["columns"][1]["sluice:generated"] == "virtual"
    assert not streams["public.t"]["columns"][2]["nullable"]
    assert streams["public.n"]["columns"][0]["nullable"]  # the constraint does not hold yet
    rows = reader.rows("public.t", "public.n")
    assert rows == {"public.t": [["21", "42", "1"]], "public.n": [[None]]}


def test_partitions(db: pg.PgDatabase, binary: Path):
    db.execute(
        "CREATE TABLE p (id int NOT NULL, k text, v int) PARTITION BY LIST (k)",
        "CREATE TABLE p_a PARTITION OF p FOR VALUES IN ('a')",
        # other column order, a dropped column: matched by name
        "CREATE TABLE p_b (gone int, v int, k text, id int NOT NULL); ALTER TABLE p_b DROP COLUMN gone",
        "ALTER TABLE p ATTACH PARTITION p_b FOR VALUES IN ('b')",
        "CREATE TABLE p_c PARTITION OF p FOR VALUES IN ('c', 'd') PARTITION BY LIST (k)",
        "CREATE TABLE p_c1 PARTITION OF p_c FOR VALUES IN ('c')",
        "CREATE TABLE p_d PARTITION OF p DEFAULT",
        "INSERT INTO p SELECT g, chr(97 + g % 5), g * 10 FROM generate_series(1, 100) g WHERE g % 5 <> 3",
        "CREATE TABLE empty_p (a int) PARTITION BY RANGE (a)",
    )
    want = [[str(i), chr(97 + i % 5), str(i * 10)] for i in range(1, 101) if i % 5 != 3]
    reader = Reader(db, binary)
    assert set(reader.discover()) == {"public.p", "public.empty_p"}
    rows = reader.rows("public.p", "public.empty_p")
    assert sorted(rows["public.p"], key=lambda row: int(row[0])) == want
    assert "public.empty_p" not in rows
    leaves = Reader(db, binary, partitions="leaves")
    names = sorted(leaves.discover())
    assert names == ["public.p_a", "public.p_b", "public.p_c1", "public.p_d"]
    rows = leaves.rows(*names)
    assert sum(len(part) for part in rows.values()) == len(want)
    assert rows["public.p_b"][0] == ["10", "b", "1"]
    # A role that may read the root alone reads through the root.
    with role(db) as name:
        db.execute(f"GRANT SELECT ON p TO {name}")
        limited = Reader(db, binary, user=name, password="r")
        assert sorted(limited.rows("public.p")["public.p"], key=lambda row: int(row[0])) == want


def test_foreign_tables(db: pg.PgDatabase, reader: Reader):
    server = db.server
    password = pg.PASSWORD.replace("'", "''")
    db.execute(
        "CREATE EXTENSION postgres_fdw",
        "CREATE SERVER me FOREIGN DATA WRAPPER postgres_fdw"
        f" OPTIONS (host '127.0.0.1', port '{server.port}', dbname '{db.name}')",
        f"CREATE USER MAPPING FOR CURRENT_USER SERVER me OPTIONS (user '{pg.USER}', password '{password}')",
        "CREATE TABLE near (a int NOT NULL, n numeric(6,2)); INSERT INTO near VALUES (1, 2.5)",
        "CREATE FOREIGN TABLE far (a int NOT NULL, n numeric(6,2)) SERVER me OPTIONS (table_name 'near')",
    )
    stream = reader.discover()["public.far"]
    assert stream["kind"] == 6
    assert stream["columns"][0]["nullable"]  # not null is no promise there
    assert reader.rows("public.far")["public.far"] == [["1", "fa000000000000000000000000000000"]]


def test_choices(db: pg.PgDatabase, reader: Reader):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a text, b int)",
               "INSERT INTO t SELECT g, 'x' || g, -g FROM generate_series(1, 1000) g")
    assert reader.rows("--include", "id", "--include", "b", "--where", "id > 998 -- last", "public.t") == {
        "public.t": [["999", "-999"], ["1000", "-1000"]]}
    assert len(reader.rows("--limit", "7", "public.t")["public.t"]) == 7
    assert reader.rows("--exclude", "a", "--where", "id = 1", "public.t")["public.t"] == [["1", "-1"]]
    rc, _, err = reader.run("--include", "nope", "public.t")
    assert rc == 1 and "SCHEMA" in err and '"nope"' in err
    rc, _, err = reader.run("--where", "id >", "public.t")
    assert rc == 1 and "INVALID" in err and "where" in err
    rc, _, err = reader.run("--where", "nope = 1", "public.t")
    assert rc == 1 and "SCHEMA" in err and "nope" in err


# ---------------------------------------------------------------- shards and snapshots

def test_shards_cover_once_under_writers(db: pg.PgDatabase, binary: Path):
    """Rows that move between pages while the table is read are seen once, as the snapshot has them."""
    db.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int, pad text)",
        "INSERT INTO t SELECT g, 0, repeat('x', 200) FROM generate_series(1, 60000) g",
        "CREATE TABLE other (n int); INSERT INTO other VALUES (0)",
    )
    reader = Reader(db, binary, split_bytes="1MiB")
    child = reader.pause("public.t", "public.other", "--threads", "4")
    stop = threading.Event()
    written = []

    def write() -> None:
        with db.connect() as conn:
            while not stop.is_set():
                conn.execute("UPDATE t SET v = v + 1 WHERE id % 7 = 0")
                conn.execute("DELETE FROM t WHERE id % 1000 = 1")
                conn.execute("INSERT INTO t SELECT max(id) + 1, 9, 'new' FROM t")
                conn.execute("UPDATE other SET n = n + 1")
                written.append(1)

    writer = threading.Thread(target=write)
    writer.start()
    while not written:
        pass
    try:
        rc, out, err = reader.finish(child, "\n")
    finally:
        stop.set()
        writer.join()
    assert rc == 0, err
    rows = parse(out)
    assert rows["public.other"] == [["0"]]
    assert sorted(int(row[0]) for row in rows["public.t"]) == list(range(1, 60001))
    assert {row[1] for row in rows["public.t"]} == {"0"}


@pytest.mark.parametrize("change, status", [
    ("TRUNCATE t", "SCHEMA"),
    ("VACUUM FULL t", "SCHEMA"),
    ("ALTER TABLE t ALTER b TYPE bigint", "SCHEMA"),
    ("ALTER TABLE t DROP COLUMN b", "SCHEMA"),
    ("ALTER TABLE t RENAME b TO c", "SCHEMA"),
    ("ALTER TABLE t RENAME b TO x; ALTER TABLE t RENAME a TO b; ALTER TABLE t RENAME x TO a", "SCHEMA"),
    ("ALTER TABLE t RENAME TO s", "SCHEMA"),
    ("ALTER TABLE t RENAME TO s; CREATE TABLE t (id int, a int, b int); GRANT SELECT ON t TO reader", "SCHEMA"),
    ("DROP TABLE t", "SCHEMA"),
    ("REVOKE SELECT ON t FROM reader", "PERMISSION"),
    ("ALTER TABLE t ADD COLUMN c int", None),
    ("UPDATE t SET a = 0", None),
    ("DELETE FROM t", None),
    ("VACUUM t", None),
])
def test_change_between_open_and_read(db: pg.PgDatabase, binary: Path, change: str, status: str | None):
    """What a snapshot cannot show truthfully fails that table alone."""
    db.execute("CREATE TABLE t (id int, a int, b int); INSERT INTO t SELECT g, g, -g FROM generate_series(1, 100) g",
               "CREATE TABLE u (id int); INSERT INTO u VALUES (1)")
    with role(db) as name:
        db.execute(f"GRANT SELECT ON t, u TO {name}")
        reader = Reader(db, binary, user=name, password="r")
        child = reader.pause("--threads", "1", "public.t", "public.u")
        db.execute(*change.replace("reader", name).split("; "))
        rc, out, err = reader.finish(child, "\n")
    rows = parse(out)
    assert rows["public.u"] == [["1"]], err
    if status:
        assert rc == 1 and f"load:public.t:0001: {status}:" in err, err
    else:
        assert rc == 0, err
        assert sorted(int(row[0]) for row in rows["public.t"]) == list(range(1, 101))
        assert all(row[1] == row[0] and row[2] == "-" + row[0] for row in rows["public.t"])


def test_missing_rights_fail_their_table_alone(db: pg.PgDatabase, binary: Path):
    names = [f"t{i}" for i in range(50)]
    with role(db) as name:
        db.execute(f"CREATE SCHEMA closed; CREATE TABLE closed.t (a int); GRANT SELECT ON closed.t TO {name}",
                   *[f"CREATE TABLE {table} (a int); INSERT INTO {table} VALUES (1)" for table in names],
                   *[f"GRANT SELECT ON {table} TO {name}" for table in names if table != "t17"])
        reader = Reader(db, binary, user=name, password="r")
        rc, out, err = reader.run("--mode", "print", *[f"public.{table}" for table in names], "closed.t", "public.nope")
        assert rc == 1
        assert "public.t17: PERMISSION:" in err and "closed.t: PERMISSION:" in err and "public.nope: NOT_FOUND:" in err
        assert len(parse(out)) == 49
        rc, out, err = reader.run("--mode", "check", "public.t17", "public.t1", "closed.t")
        assert f"GRANT SELECT ON public.t17 TO {name}" in out
        assert f"GRANT USAGE ON SCHEMA closed TO {name}" in out


def test_row_security_is_told(db: pg.PgDatabase, binary: Path):
    with role(db) as name:
        db.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2); ALTER TABLE t ENABLE ROW LEVEL SECURITY",
                   f"CREATE POLICY p ON t USING (a = 1); GRANT SELECT ON t TO {name}")
        reader = Reader(db, binary, user=name, password="r")
        rc, out, err = reader.run("--mode", "print", "public.t")
        assert rc == 0 and parse(out)["public.t"] == [["1"]] and "row security applies" in err
        assert "row security applies" in reader.run("--mode", "check", "public.t")[1]


def test_many_empty_tables(db: pg.PgDatabase, reader: Reader):
    with db.connect() as conn:
        conn.execute("DO $$ BEGIN FOR i IN 1..1000 LOOP EXECUTE format('CREATE TABLE e%s (a int, b text)', i);"
                     " IF i % 200 = 0 THEN COMMIT; END IF; END LOOP; END $$")
    rc, out, err = reader.run("*", timeout=60)
    assert rc == 0, err
    assert "shards 1000 rows 0" in out
    assert float(out.split("wall ")[1].split()[0]) < 30
