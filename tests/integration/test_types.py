"""Every built-in type, from a database whose settings try to spoil it, equal to row_to_json by token."""

from __future__ import annotations

import pytest
from support import lake

# type → values as SQL
TYPES: dict[str, list[str]] = {
    "boolean": ["true", "false"],
    "smallint": ["-32768", "32767", "0"],
    "integer": ["-2147483648", "2147483647", "0"],
    "bigint": ["-9223372036854775808", "9223372036854775807", "0"],
    "oid": ["4294967295", "0"],
    "real": ["1.1", "-0.0", "1e-38", "3.4028235e38", "'NaN'", "'Infinity'", "'-Infinity'", "16777216", "0.1"],
    "double precision": ["0.1", "0.30000000000000004", "1e300", "5e-324", "-0.0", "'NaN'", "'Infinity'",
                         "'-Infinity'", "1e15", "1e16", "123456789012345680", "100", "1e-5", "0.0001"],
    "numeric": ["0", "1.10", "-0.00010", "12345678901234567890.123456789", "'NaN'", "'Infinity'", "'-Infinity'",
                "1e100", "1e-100", "1000000000", "0.0000000001000000000", "10000", "99990000", "1e131071"],
    "numeric(15,2)": ["0", "1.1", "-9999999999999.99", "10000.00", "0.01", "'NaN'"],
    "numeric(38,10)": ["-1234567890123456789012345678.0123456789", "0"],
    "numeric(76,0)": ["'9999999999999999999999999999999999999999999999999999999999999999999999999999'", "-1"],
    "numeric(5,-2)": ["12300", "-9900"],
    "numeric(3,5)": ["0.00123"],
    "money": ["1234.56", "-0.01"],
    "text": ["''", "'plain'", "E'quote \" back \\\\ nl \\n tab \\t cr \\r bs \\b ff \\f esc \\x1b del \\x7f'",
             "'ü€😀'", "repeat('x', 100000)", "'\\N'", "'NULL'", "'</script>'", "E'\\u2028'"],
    "varchar(10)": ["'abc'", "''"],
    "char(6)": ["'ab'", "''"],
    '"char"': ["'a'", "''"],
    "name": ["'pg_class'"],
    "bytea": ["''", "'\\x00ff'", "'\\xdeadbeef'", "decode(repeat('ab', 1000), 'hex')"],
    "date": ["'2024-02-29'", "'infinity'", "'-infinity'", "'0044-03-15 BC'", "'4713-01-01 BC'", "'5874897-12-31'",
             "'0001-01-01'", "'1969-12-31'"],
    "time": ["'00:00'", "'24:00:00'", "'04:05:06.789'", "'23:59:59.999999'"],
    "time(2)": ["'04:05:06.789'"],
    "timetz": ["'04:05:06.789+05:30'", "'24:00:00-15:59'", "'00:00:00.000001+15:59:59'"],
    "timestamp": ["'2024-03-04 10:36:07'", "'infinity'", "'-infinity'", "'0044-03-15 12:00 BC'",
                  "'294246-12-31 23:59:59.999999'", "'4713-01-01 00:00 BC'", "'1999-12-31 23:59:59.999999'",
                  "'1969-12-31 23:59:59.5'", "'0001-01-01'"],
    "timestamptz": ["'2024-03-04 10:36:07+00'", "'infinity'", "'-infinity'", "'0044-03-15 12:00+00 BC'",
                    "'294246-12-31 23:59:59.999999+00'", "'1970-01-01 00:00:00.000001+00'", "'0001-01-01+00'"],
    "interval": ["'0'", "'1 year 2 mons -3 days 04:05:06.7'", "'-1 day -00:00:00.000001'", "'178000000 years'",
                 "'1 mon'", "'-23:59:59'", "'-1 year -1 day'", "'100 hours'"],
    "json": ["'{\"b\": 1.10, \"a\":  null, \"b\": 2}'", "'[1,  2]'", "'\"x\"'", "'null'", "'1e2'",
             "E'{\\n  \"a\": 1\\n}'"],
    "jsonb": ["'{\"b\": 1.10, \"a\": null}'", "'[]'", "'\"\\u20ac\"'", "'null'", "'12345678901234567890.10'"],
    "uuid": ["'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"],
    "inet": ["'192.168.0.1'", "'10.0.0.0/8'", "'::1'", "'fe80::/10'", "'::ffff:1.2.3.4'"],
    "cidr": ["'192.168.0.0/16'", "'2001:db8::/32'", "'10.0.0.1/32'"],
    "macaddr": ["'08:00:2b:01:02:03'"],
    "macaddr8": ["'08:00:2b:01:02:03:04:05'"],
    "bit(5)": ["B'10101'"],
    "varbit": ["B''", "B'101010101'"],
    "point": ["'(1.5,-2)'"],
    "line": ["'{1,2,3}'"],
    "lseg": ["'[(0,0),(1,1)]'"],
    "box": ["'((0,0),(1,1))'"],
    "path": ["'[(0,0),(1,1)]'", "'((0,0),(1,1))'"],
    "polygon": ["'((0,0),(1,1),(2,0))'"],
    "circle": ["'<(0,0),0.1>'"],
    "tsvector": ["'a:1A fat:2B cat:3'", "''"],
    "tsquery": ["'fat & (rat | cat)'"],
    "xml": ["'<a b=\"c\">d</a>'"],
    "pg_lsn": ["'16/B374D848'"],
    "txid_snapshot": ["'10:20:10,14,15'"],
    "pg_snapshot": ["'10:20:10,14,15'"],
    "xid8": ["'18446744073709551615'"],
    "tid": ["'(0,1)'"],
    "regclass": ["'pg_class'"],
    "int2vector": ["'1 -2 3'", "''"],
    "oidvector": ["'1 4294967295'"],
    "int4range": ["'[1,5)'", "'empty'", "'(,)'", "'(,3]'"],
    "numrange": ["'(1.10,2.20]'"],
    "daterange": ["'[2020-01-01,infinity)'", "'(,)'"],
    "tsrange": ["'[2020-01-01 00:00,2021-01-01 00:00:00.5)'"],
    "tstzrange": ["'[2020-01-01 00:00+05:30,)'"],
    "int8multirange": ["'{[1,3),[5,9)}'", "'{}'"],
    "datemultirange": ["'{[2020-01-01,2020-02-01)}'"],
    "integer[]": ["'{1,NULL,3}'", "'{}'", "'[0:1]={5,6}'", "'{{1,2},{3,4}}'"],
    "text[]": ["ARRAY['a,b', E'q\"x\\\\', NULL, 'NULL', '', ' ']", "'{}'"],
    "numeric[]": ["'{1.10,NaN}'"],
    "float8[]": ["'{0.1,NaN,-Infinity}'"],
    "boolean[]": ["'{t,f,NULL}'"],
    "timestamptz[]": ["'{2024-03-04 10:36:07+00,infinity}'"],
    "date[]": ["'{2024-03-04,infinity}'"],
    "interval[]": ["'{1 day}'"],
    "box[]": ["ARRAY['((0,0),(1,1))'::box, '((2,2),(3,3))'::box]"],
    "json[]": ["ARRAY['{\"a\": 1.0}'::json]"],
    "jsonb[]": ["ARRAY['{\"a\": 1.0}'::jsonb, NULL]"],
    "uuid[]": ["'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'"],
    "mood": ["'sad'", "'very happy'"],
    "mood[]": ["'{sad,\"very happy\",NULL}'"],
    "positive": ["1", "2147483647"],
    "price": ["1.10"],
    "pair": ["ROW(1, 'a,b')", "ROW(NULL, E'x\"y')", "ROW(NULL, NULL)"],
    "pair[]": ["ARRAY[ROW(1,'x')::pair, NULL]"],
    "nested": ["ROW(ROW(1,'in'), ARRAY[1.10, NULL]::numeric[], '{\"k\": 1.0}', now()::timestamptz(0))"],
    "floatrange": ["'[0.1,1.50]'"],
}

PRELUDE = [
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'very happy')",
    "CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
    "CREATE DOMAIN price AS numeric(10,2)",
    "CREATE TYPE pair AS (a int, b text)",
    "CREATE TYPE nested AS (p pair, n numeric[], j jsonb, t timestamptz)",
    "CREATE TYPE floatrange AS RANGE (subtype = float8)",
]


def create(db) -> list[str]:
    """One table a type: id, v. Returns the relations."""
    statements, relations = list(PRELUDE), []
    for number, (type_name, values) in enumerate(TYPES.items()):
        relation = f"public.ty_{number:03d}"
        relations.append(relation)
        statements.append(f"CREATE TABLE {relation} (id int PRIMARY KEY, v {type_name})")
        rows = [f"({at}, CAST({value} AS {type_name}))" for at, value in enumerate([*values, "NULL"])]
        statements.append(f"INSERT INTO {relation} VALUES {', '.join(rows)}")
    db.execute(*statements)
    return relations


@pytest.mark.parametrize("fmt, policy", [("jsonl", "fail"), ("csv", "fail"), ("jsonl", "text"), ("csv", "text")])
def test_every_type_from_a_hostile_database(engine, hostile_db, make_pipeline, workdir, fmt, policy):
    """text delivers dates, timestamps and numbers as the server prints them: the outcome is the same."""
    relations = create(hostile_db)
    out = workdir / "lake"
    sink = {"plugin": "file", "config": {"path": str(out), "format": fmt, "compression": "zstd"}}
    source = hostile_db.config(on_unrepresentable=policy)
    engine.run(make_pipeline(source, {"out": sink}, ["public.ty_*"])).expect(0)
    read = lake.Lake(lake.FileStore(out))
    names = dict(zip(relations, TYPES, strict=True))
    bad = []
    for relation in relations:
        outcome = lake.compare(read, hostile_db, relation)
        if not outcome.ok:
            bad.append(f"{names[relation]}: {outcome}")
    assert not bad, "\n".join(bad)


@pytest.mark.parametrize("policy", ["fail", "null", "text"])
def test_timestamp_beyond_64_bits(engine, hostile_db, make_pipeline, workdir, policy):
    """PostgreSQL's last years do not fit Arrow's microseconds since 1970: a stated policy, no wrap."""
    hostile_db.execute(
        "CREATE TABLE late (id int PRIMARY KEY, at timestamp, atz timestamptz)",
        "INSERT INTO late VALUES (1, '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00'),"
        " (2, '2024-01-01', 'infinity')",
    )
    out = workdir / "lake"
    sink = {"plugin": "file", "config": {"path": str(out), "format": "jsonl", "compression": "none"}}
    source = hostile_db.config(on_unrepresentable=policy)
    result = engine.run(make_pipeline(source, {"out": sink}, ["public.late"]))
    if policy == "fail":
        assert result.rc == 1 and "on_unrepresentable" in result.output, result.describe()
        return
    result.expect(0)
    read = lake.Lake(lake.FileStore(out))
    if policy == "text":
        assert lake.compare(read, hostile_db, "public.late").ok
    else:
        rows = {row["id"]: row for row in read.stream("public.late").rows()}
        assert rows["1"]["at"] is None and rows["1"]["atz"] is None and rows["2"]["atz"] == "infinity"


def test_all_types_in_one_wide_row(engine, hostile_db, make_pipeline, bucket):
    """All types side by side, NULLs included: null bitmaps and offsets of every kind meet."""
    kinds = [name for name, values in TYPES.items() if values]
    columns = ", ".join(f"c{number} {kind}" for number, kind in enumerate(kinds))
    hostile_db.execute(*PRELUDE, f"CREATE TABLE one (id int PRIMARY KEY, {columns})")
    for row in range(40):
        cells = [
            "NULL" if (row + number) % 5 == 0 else f"CAST({TYPES[kind][row % len(TYPES[kind])]} AS {kind})"
            for number, kind in enumerate(kinds)
        ]
        hostile_db.execute(f"INSERT INTO one VALUES ({row}, {', '.join(cells)})")
    sink = {"plugin": "s3", "config": bucket.config(format="jsonl", compression="gzip")}
    engine.run(make_pipeline(hostile_db.config(), {"out": sink}, ["public.one"])).expect(0)
    outcome = lake.compare(lake.Lake(lake.S3Store(bucket)), hostile_db, "public.one")
    assert outcome.ok, str(outcome)
