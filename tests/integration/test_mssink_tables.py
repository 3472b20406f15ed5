"""Full loads into SQL Server (the stand-in), read back from behind it."""

from __future__ import annotations

import datetime
import json

import pytest

TYPES = [
    ("boolean", "true"), ("smallint", "'-32768'"), ("integer", "2147483647"), ("bigint", "'-9223372036854775808'"),
    ("real", "0.1"), ("double precision", "'1e300'"), ("numeric(38,10)", "1234567890123456789012345678.0123456789"),
    ("numeric(5,0)", "'-99999'"), ("text", "'héé€😀'''"), ("text", "''"), ("varchar(20)", "' trailing  '"),
    ("bytea", "'\\x00ff'"), ("bytea", "''"), ("bytea", "'\\x00'"), ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"),
    ("date", "'0001-01-01'"), ("date", "'9999-12-31'"), ("time(6)", "'23:59:59.999999'"),
    ("timestamp(6)", "'0001-01-01 00:00:00.000001'"), ("timestamp(6)", "'9999-12-31 23:59:59.999999'"),
    ("timestamptz(6)", "'2026-11-27 10:00:00.123456+02'"), ("jsonb", "'{\"a\": [1, null]}'"), ("text", "E'a\\tb\\nc'"),
]


def sink(ms, **more):
    return {"plugin": "sqlserver", "config": ms.config(encrypt="off", **more.pop("config", {})), **more}


def pipeline(db, ms, tables=("public.*",), **more):
    return {"version": 1, "name": f"p_{db.name[-10:]}", "mode": "full_load_only",
            "sources": {"src": {"plugin": "postgres", "config": db.config(), "tables": {"include": list(tables)}}},
            "sinks": {"out": {"inputs": ["src"], **sink(ms, **more)}}}


def form(value):
    """A value of either end in one form."""
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f +00:00")
    if isinstance(value, datetime.datetime):  # strftime does not pad years
        return f"{value.year:04d}" + value.strftime("-%m-%d %H:%M:%S.%f")
    if isinstance(value, datetime.time):
        return value.strftime("%H:%M:%S.%f")
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    if isinstance(value, bool):
        return int(value)
    return value.isoformat() if isinstance(value, datetime.date) else value


def run(engine, document, rc=0):
    return engine.run(engine.write(document)).expect(rc)


def typed(db):
    columns = ", ".join(f"c{i} {kind}" for i, (kind, _) in enumerate(TYPES))
    values = ", ".join(f"{value}::{kind}" for kind, value in TYPES)
    db.execute(f"CREATE TABLE t (id int PRIMARY KEY, {columns})", f"INSERT INTO t VALUES (1, {values})",
               "INSERT INTO t (id) VALUES (2)")


def test_every_type(engine, db, ms):
    typed(db)
    run(engine, pipeline(db, ms))
    have = [[form(value) for value in row] for row in ms.query("SELECT * FROM public.t ORDER BY id")]
    want = [[form(value) for value in row] for row in db.query("SELECT * FROM t ORDER BY id")]
    for (kind, value), one, other in zip([("int", "id"), *TYPES], want[0], have[0], strict=True):
        assert one == other and isinstance(one, type(other)), (kind, value, one, other)
    assert have[1] == want[1]
    kinds = dict(ms.query("SELECT c.name, y.name AS type FROM sys.columns c JOIN sys.types y ON y.user_type_id ="
                          " c.system_type_id JOIN sys.tables t ON t.object_id = c.object_id WHERE t.name = N't'"))
    assert [kinds[f"c{i}"] for i in (0, 3, 5, 6, 8, 11, 14, 17, 18, 20)] == [
        "bit", "bigint", "float", "decimal", "nvarchar", "varbinary", "uniqueidentifier", "time", "datetime2",
        "datetimeoffset"]


def test_there_and_back(engine, db, ms, target):
    """PostgreSQL to SQL Server to PostgreSQL: what differs is what docs/type-mapping.md says."""
    typed(db)
    run(engine, pipeline(db, ms))
    run(engine, {"version": 1, "name": f"b_{db.name[-10:]}", "mode": "full_load_only",
                 "sources": {"src": {"plugin": "sqlserver", "config": ms.config(encrypt="off"),
                                     "tables": {"include": ["public.*"]}}},
                 "sinks": {"out": {"inputs": ["src"], "plugin": "postgres", "config": target.config()}}})
    changed = {"jsonb": "text", "timestamptz(6)": "text", "varchar(20)": "text"}
    for i, (kind, _) in enumerate(TYPES):
        one = db.query(f"SELECT c{i}::text, pg_typeof(c{i})::text FROM t WHERE id = 1")[0]
        other = target.query(f"SELECT c{i}::text, pg_typeof(c{i})::text FROM t WHERE id = 1")[0]
        if kind == "timestamptz(6)":
            assert other == ("2026-11-27T08:00:00.123456+00:00", "text")
        else:
            assert other[0] == one[0], (kind, one, other)
            assert other[1] == changed.get(kind, one[1]), (kind, one, other)


def test_names(engine, db, ms):
    db.execute("""CREATE TABLE "x]y'z" ("k]1" int PRIMARY KEY, "sel""ect" text, " " text)""",
               """INSERT INTO "x]y'z" VALUES (1, 'a', 'it''s'), (2, NULL, '')""", "CREATE TABLE empty (id int)")
    run(engine, pipeline(db, ms))
    assert ms.query("SELECT [k]]1], [sel\"ect], [ ] FROM public.[x]]y'z] ORDER BY 1") == [(1, "a", "it's"), (2, None,
        "")]
    assert ms.query("SELECT * FROM public.[empty]") == []


def test_a_thousand_columns(engine, db, ms):
    db.execute(f"CREATE TABLE wide (id int PRIMARY KEY, {', '.join(f'c{i} int' for i in range(999))})",
               f"INSERT INTO wide SELECT g, {', '.join('g + ' + str(i) for i in range(999))} FROM generate_series(1,"
                   f" 20) g")
    run(engine, pipeline(db, ms))
    assert ms.query("SELECT * FROM public.wide ORDER BY id") == db.query("SELECT * FROM wide ORDER BY id")


def test_many_rows(engine, db, ms):
    db.execute("CREATE TABLE many (id bigint PRIMARY KEY, v text, n numeric(12,2))",
               "INSERT INTO many SELECT g, repeat('é', (g % 50)::int), g / 100.0 FROM generate_series(1, 30000) g")
    run(engine, pipeline(db, ms, config={"load_bytes": "64KiB"}))
    assert ms.query("SELECT id, v, n FROM public.many ORDER BY id") == db.query("SELECT * FROM many ORDER BY id")


EXISTING = ("CREATE TABLE public.t (id int NOT NULL PRIMARY KEY, v nvarchar(20) NULL, more int NULL"
            " DEFAULT 7)", "INSERT INTO public.t VALUES (1, N'old', 1), (9, N'nine', 9)")


@pytest.mark.parametrize("what,rows", [
    ("truncate", [(1, "one", 7), (2, None, 7)]), ("replace", [(1, "one", 7), (2, None, 7)]),
    ("upsert", [(1, "one", 1), (2, None, 7), (9, "nine", 9)]),
])
def test_load_into(engine, db, ms, what, rows):
    """A table with rows of others: refused, or what load_into says. Columns that we lack keep values, or default."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'one'), (2, NULL)")
    ms.execute(*EXISTING)
    shown = run(engine, pipeline(db, ms), rc=3).stderr
    assert "has rows that this pipeline did not bring" in shown and "load_into" in shown
    assert ms.query("SELECT * FROM public.t ORDER BY id") == [(1, "old", 1), (9, "nine", 9)]
    run(engine, pipeline(db, ms, config={"load_into": what}))
    assert ms.query("SELECT * FROM public.t ORDER BY id") == rows
    assert ms.query("SELECT name FROM sys.tables WHERE name LIKE '%sluice%'") == []


def test_values_that_do_not_fit(engine, db, ms):
    """Nothing is cut: the run stops with the column's name, and no row of the table is there."""
    ms.execute("CREATE TABLE public.t (id int NOT NULL PRIMARY KEY, v nvarchar(3) NULL, at datetime"
               " NULL)")
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text, at timestamp)",
               "INSERT INTO t VALUES (1, 'abc', '2026-01-01'), (2, 'abcd', NULL)")
    shown = engine.run(engine.write({**pipeline(db, ms), "schema": "freeze"}))
    assert shown.rc != 0 and "column v (nvarchar(3))" in shown.stderr and "too large" in shown.stderr, shown.stderr
    assert ms.query("SELECT * FROM public.t") == []
    db.execute("UPDATE t SET v = 'x', at = '1492-10-12' WHERE id = 2")
    shown = engine.run(engine.write({**pipeline(db, ms), "schema": "freeze"}))
    assert shown.rc != 0 and "column at (datetime)" in shown.stderr, shown.stderr
    assert ms.query("SELECT * FROM public.t") == []


def test_identity_and_triggers(engine, db, ms):
    """Values of an identity column are ours; checks of an existing table hold."""
    ms.execute("CREATE TABLE public.t (id int IDENTITY(1,1) NOT NULL PRIMARY KEY, n int NOT NULL"
               " CHECK (n > 0))")
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int)", "INSERT INTO t VALUES (5, 1), (7, 2)")
    run(engine, pipeline(db, ms))
    assert ms.query("SELECT id, n FROM public.t ORDER BY id") == [(5, 1), (7, 2)]
    ms.execute("DELETE FROM public.t")
    db.execute("UPDATE t SET n = -1 WHERE id = 7")
    engine.cmd("state", "reset", str(engine.write({**pipeline(db, ms), "schema": "freeze"})), "--yes")
    shown = engine.run(engine.write({**pipeline(db, ms), "schema": "freeze"}))
    assert shown.rc != 0 and "547" in shown.stderr, shown.stderr
    assert ms.query("SELECT * FROM public.t") == []
