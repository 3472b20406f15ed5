"""What FreeTDS would get wrong without a word, if it were asked to (each found by experiment with version 1.3.17): a
test for each, by content, at the ends where it could happen.

| db-lib by itself | tests |
|---|---|
| bulk load does not convert strings: nvarchar takes UTF-16, varchar its code page | test_texts, test_sqlserver_types |
| bulk load cuts a value that is too long | test_too_long, test_mssink_rejects |
| parameters beyond 8,000 bytes are cut, texts go through code page 1252 | test_texts |
| texts as dates: year 1 is 2001, offsets and T are errors, digits are cut | test_times, test_mssink_tables |
| times as texts lose digits | test_times, test_sqlserver_source |
| an error behind rows is told to the message handler alone: rows just seem to end | test_an_error_behind_rows |
| an empty string is NULL | test_texts |
"""

from __future__ import annotations

import pytest
from support.mssql import MsReplica, ToMs, enable
from support.tds.errors import ServerError
from test_sqlserver_source import pipeline, rows_of, to_files

SMALL_ROWS = (0, 10_000)  # changes as sets, changes one by one


@pytest.fixture
def into(engine, db, ms):
    made: list[ToMs] = []

    def make(**more) -> ToMs:
        made.append(ToMs(engine, db, ms, tables=["public.t"], **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("small_rows", SMALL_ROWS)
def test_texts(into, db, ms, small_rows):
    """Of every plane and page, empty, and longer than a parameter may be; in loads and in changes."""
    texts = ["", "é€ü", "😀日本", "'; DROP TABLE t; --", "a" * 8001, "ü€" * 30_000, "😀" * 9_000]
    pages = ["", "Привет", "№1", "'Ё'", "ж" * 200, "а", "я"]
    ms.execute("CREATE TABLE [public].[t] (id int NOT NULL PRIMARY KEY, v nvarchar(max) NULL, w nvarchar(50) NULL,"
               " c varchar(200) COLLATE Cyrillic_General_CI_AS NULL, b varbinary(max) NULL)")
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text, w text, c text, b bytea)")

    def put(first: int) -> None:
        with db.connect() as conn:
            for number, (text, page) in enumerate(zip(texts, pages, strict=True), first):
                conn.execute("INSERT INTO t VALUES (%s, %s, %s, %s, %s)",
                             [number, text, text[:20], page, text.encode()])
            conn.execute("INSERT INTO t (id) VALUES (%s)", [first + len(texts)])

    put(0)
    pipe = into(schema="freeze", sink={"small_rows": small_rows, "load_into": "append"})
    pipe.once()
    put(100)
    db.execute("UPDATE t SET v = v || '+', c = '' WHERE id IN (1, 5)")
    pipe.once()
    pipe.compare_pg("public.t")
    with ms.server.connect(ms.name) as conn:
        assert conn.execute("SELECT id, v, w, c, b FROM public.t ORDER BY id").fetchall() == db.query(
            "SELECT id, v, w, c, b FROM t ORDER BY id")


@pytest.mark.parametrize("small_rows", SMALL_ROWS)
@pytest.mark.parametrize("declared, value", [
    ("nvarchar(5)", "'sechs!'"), ("nvarchar(5)", "'😀😀😀'"), ("varchar(5)", "'sechs!'"), ("nchar(2)", "'abc'"),
    ("varchar(9) COLLATE Cyrillic_General_CI_AS", "'日本'"),
    ("varchar(4) COLLATE Latin1_General_100_CI_AS_SC_UTF8", "'ü€'"),
    ("varbinary(2)", "'\\x010203'::bytea"), ("binary(2)", "'\\x010203'::bytea"), ("decimal(4,1)", "1000::numeric(9,1)"),
    ("money", "922337203685477.5808::numeric(38,4)"), ("smallint", "40000"), ("tinyint", "-1"),
    ("datetime", "'1752-12-31'::timestamp"), ("smalldatetime", "'2079-06-07'::timestamp")])
def test_too_long(into, db, ms, declared, value, small_rows):
    """Refused, in a load and in a change, never cut or made another."""
    db.execute(f"CREATE TABLE t AS SELECT 1 AS id, {value} AS v", "ALTER TABLE t ADD PRIMARY KEY (id)")
    ms.execute(f"CREATE TABLE [public].[t] (id int NOT NULL PRIMARY KEY, v {declared} NULL)")
    pipe = into(schema="freeze", more={"on_error": {"rows": "dlq"}}, sink={"small_rows": small_rows})
    pipe.once(rc=4)
    db.execute("INSERT INTO t SELECT 2, v FROM t", "INSERT INTO t VALUES (3, NULL)", "INSERT INTO t VALUES (4, NULL)",
               "UPDATE t SET v = (SELECT v FROM t WHERE id = 1) WHERE id = 4")
    pipe.once(rc=4)
    assert ms.query("SELECT id, v FROM [public].[t] ORDER BY id") == [(3, None), (4, None)]
    assert len(ms.query("SELECT id FROM [sluice].[letters]")) == 3


@pytest.mark.parametrize("small_rows", SMALL_ROWS)
def test_times(engine, mssql_server, ms, small_rows):
    """Seven digits, offsets, the first and the last year: SQL Server to SQL Server, loaded and changed."""
    other = mssql_server.create_database()
    ms.execute("CREATE TABLE t (id int NOT NULL PRIMARY KEY, a datetime2(7) NULL, b time(7) NULL, c datetimeoffset(7)"
               " NULL, d date NULL, e datetime NULL, f smalldatetime NULL, g datetimeoffset(0) NULL)",
               "INSERT INTO t VALUES (1, '0001-01-01 00:00:00.0000001', '00:00:00.0000001',"
               " '0001-01-02 00:00:00.0000001 +13:59', '0001-01-01', '1753-01-01', '1900-01-01', '0001-01-02 +14:00'),"
               " (2, '9999-12-31 23:59:59.9999999', '23:59:59.9999999', '9999-12-30 23:59:59.9999999 -13:59',"
               " '9999-12-31', '9999-12-31 23:59:59.997', '2079-06-06 23:59', '9999-12-30 23:59:59 -14:00'),"
               " (3, '2024-02-29 12:34:56.1234567', '12:34:56.1234567', '2024-02-29 12:34:56.1234567 +05:30',"
               " '2024-02-29', '2024-02-29 12:34:56.003', '2024-02-29 12:34', '2024-02-29 12:34:56 -00:30')")
    enable(ms, "t")
    pipe = ToMs(engine, ms, other, source={"fine_times": "text"}, sink={"small_rows": small_rows})
    try:
        pipe.once()
        ms.execute("INSERT INTO t SELECT id + 10, a, b, c, d, e, f, g FROM t WHERE id < 10",
                   "UPDATE t SET a = '0001-01-01', c = '2024-01-01 00:00:00 +00:00' WHERE id = 13")
        pipe.once()
        query = "SELECT id, a, b, c, d, e, f, g FROM dbo.t ORDER BY id"
        with ms.server.connect(ms.name) as conn, other.server.connect(other.name) as copy:
            want = conn.execute(query).fetchall()
            assert copy.execute(query).fetchall() == want and len(want) == 6
            assert want[0][1] == "0001-01-01 00:00:00.0000001" and want[2][3] == "2024-02-29 12:34:56.1234567 +05:30"
    finally:
        pipe.close()


@pytest.mark.parametrize("where", ["load", "changes", "catalog"])
def test_an_error_behind_rows(engine, own_ms, target, workdir, where):
    """Rows that came are not all: the read fails, is tried again, and nothing is taken for whole meanwhile."""
    ms = own_ms.create_database()
    ms.execute("CREATE TABLE t (id int NOT NULL PRIMARY KEY, v nvarchar(100) NULL)")
    with own_ms.connect(ms.name) as conn:
        conn.execute("INSERT INTO dbo.t SELECT i, repeat('x', 90) FROM generate_series(1, 3000) i")
    enable(ms, "t")
    pipe = MsReplica(engine, ms, target, tables=["dbo.t"],
                     on_error={"retry": {"max": 9, "backoff": "50ms", "cap": "200ms"}})
    failed = []

    def fail(session, row: int) -> None:
        text = own_ms.batches[-1]
        wanted = {"load": "FROM [dbo].[t]", "changes": "_CT]", "catalog": "is_ms_shipped"}[where]
        if wanted in text and row == (1 if where == "catalog" else 1500) and len(failed) < 2:
            failed.append(row)
            raise ServerError("Could not continue scan with NOLOCK due to data movement.", 601, 12)

    try:
        if where != "load":
            pipe.once()
        with own_ms.connect(ms.name) as conn:
            conn.execute("INSERT INTO dbo.t SELECT i, repeat('y', 90) FROM generate_series(3001, 6000) i")
        own_ms.on_row = fail
        result = pipe.once(rc=None, timeout=120)
        own_ms.on_row = None
        assert failed, result.describe()
        if result.rc != 0:  # what is not tried again stops the run, and says why
            assert "601" in result.stderr, result.describe()
            pipe.once()
        assert target.query("SELECT count(*), count(DISTINCT id), max(id) FROM dbo.t") == [(6000, 6000, 6000)]
    finally:
        pipe.close()


def test_a_load_into_files_that_fails_behind_rows(engine, own_ms, workdir):
    """No manifest says that the table is complete."""
    ms = own_ms.create_database()
    ms.execute("CREATE TABLE t (id int NOT NULL PRIMARY KEY)")
    with own_ms.connect(ms.name) as conn:
        conn.execute("INSERT INTO dbo.t SELECT i FROM generate_series(1, 100) i")

    def fail(session, row: int) -> None:
        if "FROM [dbo].[t]" in own_ms.batches[-1] and row == 99:
            raise ServerError("Arithmetic overflow error.", 8115)

    own_ms.on_row = fail
    document = pipeline(ms.config(), to_files(workdir))
    failed = engine.run(document).expect(1)
    assert "8115" in failed.stderr and "dbo.t" in failed.stderr, failed.describe()
    own_ms.on_row = None
    engine.run(document).expect(0)
    assert sorted(row["id"] for row in rows_of(workdir, "dbo.t")) == list(range(1, 101))
