"""Full loads of PostgreSQL into SQL Server (the stand-in, tests/support/tds): what arrived is read from the stand-in's
PostgreSQL, not over TDS. Nobody has run them against a real server."""

from __future__ import annotations

import pytest


@pytest.fixture
def db(db):
    db.execute("CREATE SCHEMA app")
    return db


def kept(ms, text: str) -> list[tuple]:
    with ms.server.connect(ms.name) as conn:
        return conn.execute(text).fetchall()


def pipeline(db, ms, include=("app.*",), write=None, **config):
    settings = {**ms.config(), "encrypt": "off", **config}
    sink = {"plugin": "sqlserver", "inputs": ["src"], "config": settings}
    if write is not None:
        sink["write"] = write
    return {"version": 1, "name": "toms", "mode": "full_load_only",
            "sources": {"src": {"plugin": "postgres", "config": db.config(), "tables": {"include": list(include)}}},
            "sinks": {"out": sink}}


# declared in PostgreSQL, value there, type that the made column has, value as the stand-in keeps it (as text)
TYPES = [
    ("boolean", "true", "bit", "1"), ("smallint", "-32768", "smallint", "-32768"),
    ("int", "-2147483648", "int", "-2147483648"), ("bigint", "-9223372036854775808", "bigint", "-9223372036854775808"),
    ("real", "0.1", "real", "0.1"), ("float8", "1e300", "float", "1e+300"),
    ("numeric(38,0)", "-99999999999999999999999999999999999999", "decimal", "-99999999999999999999999999999999999999"),
    ("numeric(38,38)", "0.00000000000000000000000000000000000001", "decimal",
     "0.00000000000000000000000000000000000001"),
    ("numeric(10,3)", "-1234567.891", "decimal", "-1234567.891"),
    ("numeric(20,10)", "1234567890.0123456789", "decimal", "1234567890.0123456789"),
    ("text", "'héé€😀'", "nvarchar", "héé€😀"), ("text", "''", "nvarchar", ""),
    ("text", "repeat('ü', 20000)", "nvarchar", "ü" * 20000), ("varchar(20)", "'x''y]'", "nvarchar", "x'y]"),
    ("bytea", r"'\x00ff'", "varbinary", "\\x00ff"), ("bytea", "''", "varbinary", "\\x"),
    ("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "uniqueidentifier", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("date", "'0001-01-01'", "date", "0001-01-01"), ("date", "'9999-12-31'", "date", "9999-12-31"),
    ("time", "'23:59:59.999999'", "time", "23:59:59.999999"),
    ("timestamp", "'0001-01-01 00:00:00.000001'", "datetime2", "0001-01-01 00:00:00.000001"),
    ("timestamp", "'9999-12-31 23:59:59.999999'", "datetime2", "9999-12-31 23:59:59.999999"),
    ("timestamptz", "'2024-02-29 12:34:56.123456+00'", "datetimeoffset", "2024-02-29 12:34:56.123456 +00:00"),
    ("jsonb", """'{"a": [1, "é"]}'""", "nvarchar", '{"a": [1, "é"]}'),
]


def test_every_type(engine, db, ms):
    for number, (kind, text, _type, _want) in enumerate(TYPES):
        db.execute(f"CREATE TABLE app.t{number:02} (id int PRIMARY KEY, v {kind})",
                   f"INSERT INTO app.t{number:02} VALUES (1, {text}), (2, NULL)")
    engine.run(pipeline(db, ms)).expect(0)
    for number, (kind, _text, declared, want) in enumerate(TYPES):
        made = kept(ms, f"SELECT type FROM tds.columns WHERE relid = 'app.t{number:02}'::regclass AND name = 'v'")
        assert made == [(declared,)], kind
        cast = "v::int::text" if declared == "bit" else "v::text"
        assert kept(ms, f"SELECT id, {cast} FROM app.t{number:02} ORDER BY id") == [(1, want), (2, None)], kind


def test_names_keys_and_empty_tables(engine, db, ms):
    db.execute("""CREATE TABLE app."x]y'" ("a]b" text, "select" int, "q""r" text, PRIMARY KEY ("a]b", "select"))""",
               """INSERT INTO app."x]y'" VALUES ('é', 2, ''), ('', 3, NULL)""",
               "CREATE TABLE app.empty (id int PRIMARY KEY)")
    engine.run(pipeline(db, ms)).expect(0)
    assert kept(ms, """SELECT "a]b", "select", "q""r" FROM app."x]y'" ORDER BY 2""") == [("é", 2, ""), ("", 3, None)]
    assert kept(ms, "SELECT * FROM app.empty") == []
    key = kept(ms, """SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum =
                   ANY(i.indkey) WHERE i.indrelid = 'app."x]y''"'::regclass AND i.indisprimary ORDER BY a.attnum""")
    assert key == [("a]b",), ("select",)]


def test_again_in_batches(engine, db, ms):
    """Many rows in small bulk batches; a second load takes the place of the first, also where rows went away."""
    db.execute("CREATE TABLE app.t (id int PRIMARY KEY, v text)",
               "INSERT INTO app.t SELECT i, 'v' || i FROM generate_series(1, 20000) i")
    document = pipeline(db, ms, load_bytes="64KiB")
    engine.run(document).expect(0)
    assert kept(ms, "SELECT id, v FROM app.t ORDER BY id") == [(i, f"v{i}") for i in range(1, 20001)]
    db.execute("DELETE FROM app.t WHERE id > 1000", "UPDATE app.t SET v = '' WHERE id <= 10")
    engine.run(document).expect(0)
    assert kept(ms, "SELECT id, v FROM app.t ORDER BY id") == [
        (i, "" if i <= 10 else f"v{i}") for i in range(1, 1001)]


@pytest.mark.parametrize("into", ["refuse", "truncate", "replace", "append", "upsert"])
def test_rows_that_are_there(engine, db, ms, into):
    db.execute("CREATE TABLE app.t (id int PRIMARY KEY, v text)",
               "INSERT INTO app.t SELECT i, 'new' FROM generate_series(1, 10) i")
    old = (1000, 500) if into == "append" else (100, 5)
    ms.execute("CREATE SCHEMA [app]", "CREATE TABLE [app].[t] (id int NOT NULL PRIMARY KEY, v nvarchar(20))",
               f"INSERT INTO [app].[t] VALUES ({old[0]}, N'old'), ({old[1]}, N'old')")
    result = engine.run(pipeline(db, ms, load_into=into))
    new = [(i, "new") for i in range(1, 11)]
    rows = kept(ms, "SELECT id, v FROM app.t ORDER BY id")
    if into == "refuse":
        result.expect(3)
        assert "app.t has rows that this pipeline did not bring" in result.output and "load_into" in result.output
        assert rows == [(5, "old"), (100, "old")]
        return
    result.expect(0)
    if into == "append":
        new += [(500, "old"), (1000, "old")]
    elif into == "upsert":
        new += [(100, "old")]
    assert rows == new


@pytest.mark.parametrize("declared, value, text", [
    ("nvarchar(3)", "'abcd'", "abcd"), ("decimal(4,2)", "100::numeric(10,2)", "100.00"), ("tinyint", "256", "256"),
    ("smallint", "40000", "40000")])
def test_columns_that_are_widened(engine, db, ms, declared, value, text):
    """Rather than that a value is cut or refused."""
    db.execute(f"CREATE TABLE app.t AS SELECT i AS id, {value} AS v FROM generate_series(1, 3) i",
               "ALTER TABLE app.t ADD PRIMARY KEY (id)")
    ms.execute("CREATE SCHEMA [app]", f"CREATE TABLE [app].[t] (id int NOT NULL PRIMARY KEY, v {declared})")
    engine.run(pipeline(db, ms)).expect(0)
    assert kept(ms, "SELECT id, v::text FROM app.t ORDER BY id") == [(i, text) for i in (1, 2, 3)]


def test_a_time_before_those_of_datetime(engine, db, ms):
    """Never changed; nothing of the load is kept."""
    db.execute("CREATE TABLE app.t AS SELECT i AS id, timestamp '1752-12-31 23:59:59' AS v"
               " FROM generate_series(1, 3) i", "ALTER TABLE app.t ADD PRIMARY KEY (id)")
    ms.execute("CREATE SCHEMA [app]", "CREATE TABLE [app].[t] (id int NOT NULL PRIMARY KEY, v datetime)")
    result = engine.run(pipeline(db, ms)).expect(1)
    assert "app.t" in result.output and "column v" in result.output
    assert kept(ms, "SELECT * FROM app.t") == []


def test_wrong_password(engine, db, ms):
    db.execute("CREATE TABLE app.t (id int PRIMARY KEY)")
    result = engine.run(pipeline(db, ms, password="wrong"))
    assert result.rc != 0 and "18456" in result.output and "check user and password" in result.output


@pytest.mark.parametrize("skip", range(5))
def test_commit_reply_is_lost(engine, db, ms, skip):
    """Each of a load's commits in turn is done, and nobody hears of it: of a table that is made, then of one that a
    shadow is copied into."""
    db.execute("CREATE TABLE app.t (id int PRIMARY KEY, v text)",
               "INSERT INTO app.t SELECT i, 'v' || i FROM generate_series(1, 300) i")
    for value in ("v", "w"):
        db.execute(f"UPDATE app.t SET v = '{value}' || id")
        fault = ms.server.cut_on(r"^\s*COMMIT", "after", skip=skip)
        engine.run(pipeline(db, ms)).expect(0)
        if fault in ms.server.faults:
            ms.server.faults.remove(fault)
        assert kept(ms, "SELECT id, v FROM app.t ORDER BY 1") == [(i, f"{value}{i}") for i in range(1, 301)]
