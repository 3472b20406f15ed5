"""Changes into SQL Server (the stand-in), read back from behind it."""

from __future__ import annotations

import re

import pytest
from support.mssql import ToMs, enable

SETUP = (
    "CREATE TABLE t (id int PRIMARY KEY, n int, body text, at timestamptz, amount numeric(12,2), raw bytea)",
    "ALTER TABLE t ALTER body SET STORAGE EXTERNAL",
    "INSERT INTO t SELECT i, 0, repeat('x', 3000), '2026-11-27 10:00:00+01', i * 1.5, '\\x0001' FROM"
        " generate_series(1, 5) i",
)
WORK = (
    "INSERT INTO t (id, n, body) VALUES (6, 6, 'six'), (7, 7, 'it''s'), (9, NULL, '')",
    "UPDATE t SET n = n + 1 WHERE id IN (1, 2)",  # body is not sent
    "UPDATE t SET id = 70 WHERE id = 7",
    "UPDATE t SET id = 50, n = -1 WHERE id = 5",  # nor here, under another key
    "DELETE FROM t WHERE id IN (3, 6)",
    "BEGIN; INSERT INTO t (id, n) VALUES (8, 8); UPDATE t SET n = 9, raw = '\\x' WHERE id = 8; DELETE FROM t WHERE"
        " id = 8;"
    " INSERT INTO t (id, n, body) VALUES (8, 10, 'ag😀in'); COMMIT",
)


@pytest.fixture
def copy(engine, db, ms):
    made = []

    def make(**more):
        made.append(ToMs(engine, db, ms, **{"tables": ["public.*"], **more}))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("small_rows", [0, 10000])
def test_upsert(copy, db, ms, small_rows):
    db.execute(*SETUP)
    one = copy(sink={"small_rows": small_rows})
    one.once()
    one.compare_pg("public.t")
    db.execute(*WORK)
    one.once()
    assert one.compare_pg("public.t").rows == 7
    db.execute("TRUNCATE t", "INSERT INTO t (id, n) VALUES (1, 1)")
    one.once()
    assert one.compare_pg("public.t").rows == 1


def test_soft_deletes_and_metadata(copy, db, ms):
    db.execute(*SETUP)
    one = copy(write={"deletes": "soft", "metadata": ["op", "commit_ts", "position", "seq", "tx", "synced_at"]})
    one.once()
    db.execute(*WORK)
    one.once()
    assert {i for (i,) in ms.behind("SELECT id FROM public.t WHERE _sluice_deleted::int = 1")} == {3, 6}
    assert set(ms.behind("SELECT id, n FROM public.t WHERE _sluice_deleted::int = 0")) == set(db.query("SELECT id, n"
        " FROM t"))
    ops = dict(ms.behind("SELECT id, _sluice_op FROM public.t"))
    assert ops[4] == "R" and ops[1] == "U" and ops[3] == "D" and ops[8] == "I"
    assert [row for row in ms.behind("SELECT id, _sluice_position FROM public.t")
            if not re.fullmatch("[0-9a-f]{16}", row[1] or "")] == []


def test_history(copy, db, ms):
    db.execute(*SETUP)
    one = copy(write={"mode": "history"})
    one.once()
    db.execute(*WORK, "TRUNCATE t")
    one.once()
    events = ms.behind("SELECT _sluice_op, id, n FROM public.t ORDER BY _sluice_position, _sluice_seq, _sluice_op, id")
    rest = [event for event in events if event[0] != "R"]
    assert rest[:3] == [("I", 6, 6), ("I", 7, 7), ("I", 9,
        None)] and rest[-1][0] == "T" and len(events) - len(rest) == 5
    assert [event for event in rest if event[1] == 8] == [("I", 8, 8), ("U", 8, 9), ("D", 8, None), ("I", 8, 10)]


def test_columns_come_and_go(copy, db, ms):
    db.execute(*SETUP)
    one = copy(schema="evolve")
    one.once()
    db.execute("ALTER TABLE t ADD extra text, DROP amount", "INSERT INTO t (id, extra) VALUES (20, 'e')",
               "ALTER TABLE t ALTER n TYPE bigint", "UPDATE t SET n = 9999999999, extra = 'f' WHERE id = 1")
    one.once()
    assert one.compare_pg("public.t").rows == 6


def test_order_over_tables(copy, db, ms):
    db.execute("CREATE TABLE parent (id int PRIMARY KEY, name text)",
               "CREATE TABLE child (id int PRIMARY KEY, parent_id int REFERENCES parent, n int)")
    one = copy()
    one.once()
    ms.execute("ALTER TABLE public.child ADD CONSTRAINT fk FOREIGN KEY (parent_id) REFERENCES public.parent (id)")
    db.execute("BEGIN; INSERT INTO parent SELECT i, 'p' FROM generate_series(1, 100) i; INSERT INTO child SELECT i,"
        " i, 0 FROM"
               " generate_series(1, 100) i; UPDATE child SET parent_id = 101 - parent_id; DELETE FROM child WHERE id"
                   " > 90;"
               " DELETE FROM parent WHERE id < 11; COMMIT")
    one.once()
    assert one.compare_pg("public.parent").rows == 90 and one.compare_pg("public.child").rows == 90


def test_texts_as_keys(copy, db, ms):
    """'a' and 'A' are two keys at the source; a table that we make tells them apart."""
    db.execute("CREATE TABLE k (k text PRIMARY KEY, n int)", "INSERT INTO k VALUES ('a', 1), ('A', 2), ('ä', 3)")
    one = copy()
    one.once()
    db.execute("UPDATE k SET n = n + 10", "DELETE FROM k WHERE k = 'A'", "INSERT INTO k VALUES ('Ä', 5)")
    one.once()
    assert one.compare_pg("public.k").rows == 3


def test_sql_server_to_sql_server(engine, mssql_server):
    source, target = mssql_server.create_database(), mssql_server.create_database()
    source.execute("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, v nvarchar(20) NULL, at datetime2(7) NULL, o"
                   " datetimeoffset(7) NULL, m money NULL, c varchar(10) NULL, d datetime NULL, g uniqueidentifier"
                       " NULL)",
                   "INSERT INTO dbo.t VALUES (1, N'né', '2026-01-01 00:00:00.1234567', '2026-01-01 12:00:00.1234567"
                       " +05:30',"
                   " -1.2345, 'äb', '2026-01-01 00:00:00.997', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')",
                   "INSERT INTO dbo.t (id) VALUES (2)")
    enable(source, "t")
    one = ToMs(engine, source, target, source={"fine_times": "text"})
    one.once()
    source.execute("UPDATE dbo.t SET v = N'two', at = '0001-01-01' WHERE id = 2", "INSERT INTO dbo.t (id, o) VALUES (3,"
                   " '9999-12-31 23:59:59.9999999 +14:00')", "DELETE FROM dbo.t WHERE id = 1")
    one.once()
    assert target.query("SELECT * FROM dbo.t ORDER BY id") == source.query("SELECT * FROM dbo.t ORDER BY id")
    shape = ("SELECT name, max_length, precision, scale, is_nullable FROM sys.columns WHERE object_id ="
             " OBJECT_ID(N'dbo.t') ORDER BY column_id")
    assert target.query(shape) == source.query(shape)
