"""Changes of SQL Server, out of the change tables of the stand-in (tests/support/tds), into PostgreSQL and files."""

from __future__ import annotations

import re

import pytest
from support import mssql
from support.mssql import MsReplica, enable

TABLE = ("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, n int NULL, amount decimal(18,4) NULL, note nvarchar(200)"
         " NULL, body nvarchar(max) NULL, at datetime2(3) NULL, flag bit NOT NULL)")
COLUMNS = ("id", "n", "amount", "note", "body", "at", "flag")


def row(i: int, n: int = 0, body: str = "x") -> str:
    return (f"INSERT INTO dbo.t (id, n, amount, note, body, at, flag) VALUES ({i}, {n}, {i}.2500, N'né{i}', N'{body}',"
            f" '2026-11-27 10:00:{i % 60:02d}.125', {i % 2})")


@pytest.fixture
def replica(engine, ms, target):
    made: list[MsReplica] = []

    def make(**more):
        made.append(MsReplica(engine, ms, target, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


WORK = (
    row(6, 6), row(7, 7),
    "UPDATE dbo.t SET n = n + 1 WHERE id IN (1, 2)",
    "UPDATE dbo.t SET id = 70 WHERE id = 7",
    "DELETE FROM dbo.t WHERE id IN (3, 6)",
    "UPDATE dbo.t SET body = NULL, note = N'' WHERE id = 4",
)


def test_load_then_changes(replica, ms, target):
    ms.execute(TABLE, *[row(i) for i in range(1, 6)])
    enable(ms, "t")
    copy = replica()
    copy.once()
    copy.compare_to("t", COLUMNS)
    ms.execute(*WORK)
    copy.once()
    assert copy.compare_to("t", COLUMNS).rows == 5
    assert mssql.rows_of(target, "dbo.t", ("id", "n"), 1).keys() == {(1,), (2,), (4,), (5,), (70,)}


@pytest.mark.parametrize("keeps_lobs", [True, False])
def test_large_values_that_stay(replica, ms, target, keeps_lobs):
    """A (max) column that an update left alone keeps its value at the target, NULL among them."""
    ms.execute(TABLE, row(1, body="a" * 9000), row(2, body="b" * 9000), "UPDATE dbo.t SET body = NULL WHERE id = 2")
    enable(ms, "t")
    ms.server.captures[ms.name].keeps_lobs = keeps_lobs
    copy = replica()
    copy.once()
    ms.execute("UPDATE dbo.t SET n = 5", "UPDATE dbo.t SET body = N'new' WHERE id = 1", "UPDATE dbo.t SET n = 6",
               row(3), "UPDATE dbo.t SET n = 7 WHERE id = 3", "UPDATE dbo.t SET id = 30 WHERE id = 3")
    copy.once()
    assert copy.compare_to("t", COLUMNS).rows == 3
    assert target.value("SELECT body FROM dbo.t WHERE id = 1") == "new"


def two_tables(ms):
    ms.execute("CREATE TABLE dbo.parent (id int NOT NULL PRIMARY KEY, name nvarchar(20) NULL)",
               "CREATE TABLE dbo.child (id int NOT NULL PRIMARY KEY, parent_id int NOT NULL, n int NULL)")
    enable(ms, "parent", "child")


@pytest.mark.parametrize("small_rows", [0, 10000])
def test_order_over_tables(replica, ms, target, small_rows):
    """Parents before their children, and the other way round when they go: the target has a foreign key."""
    two_tables(ms)
    copy = replica(sink={"small_rows": small_rows})
    copy.once()
    target.execute("ALTER TABLE dbo.child ADD FOREIGN KEY (parent_id) REFERENCES dbo.parent")
    with ms.server.connect(ms.name) as conn, conn.transaction():
        for i in range(20):
            conn.execute(f"INSERT INTO dbo.parent VALUES ({i}, 'p{i}')")
            conn.execute(f"INSERT INTO dbo.child VALUES ({i}, {i}, 0)")
        conn.execute("UPDATE dbo.child SET n = 1, parent_id = 19 - parent_id")
        conn.execute("DELETE FROM dbo.child WHERE parent_id < 5")
        conn.execute("DELETE FROM dbo.parent WHERE id < 5")
    copy.once()
    assert copy.compare_to("parent", ("id", "name")).rows == 15
    assert copy.compare_to("child", ("id", "parent_id", "n")).rows == 15


def test_a_transaction_in_parts(replica, ms, target, workdir):
    """Larger than a window: read by ranges of command ids, and one transaction at the target all the same."""
    two_tables(ms)
    copy = replica(beside={"out": "file"})
    document = copy.document()
    document["sources"]["src"]["batch"] = {"rows": 100}
    copy.engine.write(document, copy.path.name)
    copy.once()
    with ms.server.connect(ms.name) as conn, conn.transaction():
        for i in range(1500):
            table, rest = ("parent", "NULL") if i % 3 else ("child", f"{i}, {i}")
            conn.execute(f"INSERT INTO dbo.{table} VALUES ({i}, {rest})")
    ms.execute("INSERT INTO dbo.parent VALUES (9999, N'after')")
    copy.once()
    assert copy.compare_to("parent", ("id", "name")).rows == 1001
    assert copy.compare_to("child", ("id", "parent_id", "n")).rows == 500
    events = copy.feed("out").events("dbo.parent") + copy.feed("out").events("dbo.child")
    first = min(event.pos for event in events)
    assert sorted(event.seq for event in events if event.pos == first) == list(range(1, 1501))


def test_a_second_instance_takes_over(replica, ms, target):
    """A column that was added is captured from the second instance's start on."""
    ms.execute(TABLE, row(1))
    enable(ms, "t")
    copy = replica(schema="evolve")
    copy.once()
    ms.execute("ALTER TABLE dbo.t ADD extra int NULL")
    ms.execute(row(2).replace("flag)", "flag, extra)").replace("', 0)", "', 0, 22)"))
    enable(ms, "t", capture_instance="dbo_t_2")
    ms.execute("UPDATE dbo.t SET extra = 11 WHERE id = 1", row(3))
    copy.once()
    assert target.query("SELECT id, extra FROM dbo.t ORDER BY id") == [(1, 11), (2, None), (3, None)]
    ms.server.captures[ms.name].disable("dbo_t")
    ms.execute("UPDATE dbo.t SET extra = 3 WHERE id = 3", "UPDATE dbo.t SET extra = 22 WHERE id = 2")
    copy.once()
    assert copy.compare_to("t", (*COLUMNS, "extra")).rows == 3


def test_gaps_are_told(replica, ms, target):
    """The cleanup job, sp_cdc_disable_table and sp_cdc_disable_db: nothing goes on, the error says what to do."""
    ms.execute(TABLE, row(1))
    enable(ms, "t")
    copy = replica()
    copy.once()
    ms.execute(row(2))
    capture = ms.server.captures[ms.name]
    capture.scan()
    ms.execute(row(3))
    capture.scan()
    capture.cleanup("dbo_t", capture.newest())
    result = copy.once(rc=3)
    assert "cleanup job" in result.stderr and "sluice state resync" in result.stderr, result.stderr
    assert target.query("SELECT id FROM dbo.t") == [(1,)]
    capture.disable("dbo_t")
    result = copy.once(rc=3)
    assert "is not captured" in result.stderr and "sp_cdc_enable_table" in result.stderr, result.stderr
    enable(ms, "t")
    assert "load the table anew" in copy.once(rc=3).stderr
    copy.engine.cmd("state", "resync", str(copy.path), "--stream", "dbo.t", "--yes").expect(0)
    copy.once()
    assert copy.compare_to("t", COLUMNS).rows == 3


def test_not_enabled(replica, ms):
    ms.execute(TABLE)
    copy = replica()
    shown = copy.once(rc=2).stderr
    assert "left out" in shown and "sp_cdc_enable_db" in shown and "@source_name = N't'" in shown
    assert "none of the 1 chosen tables has changes to follow" in shown and "sluice check" in shown, shown
    shown = copy.engine.cmd("plan", str(copy.path)).expect(0).stdout
    assert "left out" in shown and "CREATE TABLE" not in shown, shown


def test_a_table_without_key(replica, ms, target):
    ms.execute("CREATE TABLE dbo.h (a int NULL, b nvarchar(20) NULL)", "INSERT INTO dbo.h VALUES (1, N'x')")
    enable(ms, "h")
    result = replica().once(rc=None)
    assert result.rc != 0 and "has no primary key" in result.stderr
    copy = replica(mode="cdc_only", name="keyless", write={"duplicates": "one"})
    copy.once()
    ms.execute("INSERT INTO dbo.h VALUES (2, N'y'), (2, N'y'), (3, NULL)", "UPDATE dbo.h SET b = N'z' WHERE a = 3",
               "DELETE FROM dbo.h WHERE a = 1")
    copy.once()
    assert sorted(target.query("SELECT a, b FROM dbo.h")) == [(2, "y"), (2, "y"), (3, "z")]


@pytest.mark.parametrize("small_rows", [0, 10000])
@pytest.mark.parametrize("keeps_lobs", [True, False])
def test_what_is_both_in_the_load_and_behind_it(replica, ms, target, keeps_lobs, small_rows):
    """The capture job is behind when the load begins: rows that came, changed and went before are met again."""
    ms.execute(TABLE, *[row(i, body="b" * 3000) for i in range(1, 6)])
    enable(ms, "t")
    capture = ms.server.captures[ms.name]
    capture.keeps_lobs = keeps_lobs
    capture.stopped.set()
    ms.execute(row(6, body="six"), "UPDATE dbo.t SET n = 1 WHERE id = 6", row(7), row(8),
               "UPDATE dbo.t SET n = 2 WHERE id IN (1, 2, 7)", "UPDATE dbo.t SET note = N'gone' WHERE id IN (2, 7)",
               "DELETE FROM dbo.t WHERE id IN (2, 7)", "UPDATE dbo.t SET id = 80 WHERE id = 8",
               "UPDATE dbo.t SET body = N'other' WHERE id = 3", "DELETE FROM dbo.t WHERE id = 4", row(4, 44))
    copy = replica(sink={"small_rows": small_rows})
    run = copy.start()
    copy.wait_for(lambda: "dbo.t" in copy.complete(), "the load", run)
    copy.compare_to("t", COLUMNS)
    ms.execute("UPDATE dbo.t SET n = 9 WHERE id IN (1, 80)")
    capture.stopped.clear()
    copy.wait_for(lambda: target.value("SELECT count(*) FROM dbo.t WHERE n = 9") == 2, "the changes", run)
    run.terminate()
    run.wait(30).expect(0)
    assert copy.compare_to("t", COLUMNS).rows == 6


def test_check_says_what_is_missing(replica, ms):
    ms.execute(TABLE, "CREATE TABLE dbo.u (id int NOT NULL PRIMARY KEY, a int NULL, b int NULL)",
               "CREATE TABLE dbo.[x]]y'z] (id int NOT NULL PRIMARY KEY)")
    copy = replica(tables=["dbo.t", "dbo.u", "dbo.\"x]y'z\""])

    def check() -> str:
        result = copy.engine.cmd("check", str(copy.path))
        return " ".join(result.stdout.split())

    shown = check()
    assert "change data capture" in shown and "sp_cdc_enable_db" in shown
    for statement in re.findall(r"EXEC sys\.sp_cdc_enable_db|EXEC sys\.sp_cdc_enable_table .*?= NULL", shown):
        ms.execute(statement)
    shown = check()
    assert all(f"captured by instance dbo_{name} since" in shown for name in ("t", "u", "x]y'z")), shown
    ms.server.captures[ms.name].disable("dbo_u")
    shown = check()
    assert "sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'u'" in shown, shown
    enable(ms, "u", captured_column_list="id, a")
    shown = check()
    assert "captured by instance dbo_u since 000000" in shown and "changes do not have the columns b" in shown, shown


def test_lag_and_status(replica, ms):
    ms.execute(TABLE, row(1))
    enable(ms, "t")
    copy = replica()
    copy.once()
    ms.execute(row(2))
    copy.once()
    shown = copy.engine.cmd("state", "show", str(copy.path)).expect(0).stdout
    last = bytes(ms.query("SELECT TOP (1) __$start_lsn FROM cdc.dbo_t_CT ORDER BY __$start_lsn DESC")[0][0]).hex()
    assert f" (at {last[:8]}:{last[8:16]}:{last[16:]} of " in shown, shown
