"""Changes of SQL Server by change tracking of the stand-in (tests/support/tds), into PostgreSQL and files."""

from __future__ import annotations

import re

import pytest
from support import mssql
from support.mssql import MsReplica, ToMs, track, version

TRACKED = {"capture": "change_tracking"}
TABLE = ("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, n int NULL, amount decimal(18,4) NULL, note nvarchar(200)"
         " NULL, body nvarchar(max) NULL, at datetime2(3) NULL, flag bit NOT NULL)")
COLUMNS = ("id", "n", "amount", "note", "body", "at", "flag")


def row(i: int, n: int = 0, body: str = "x") -> str:
    return (f"INSERT INTO dbo.t (id, n, amount, note, body, at, flag) VALUES ({i}, {n}, {i}.2500, N'né{i}', N'{body}',"
            f" '2026-11-27 10:00:{i % 60:02d}.125', {i % 2})")


@pytest.fixture
def replica(engine, ms, target):
    made: list[MsReplica] = []

    def make(source=None, **more):
        made.append(MsReplica(engine, ms, target, source={**TRACKED, **(source or {})}, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


WORK = (
    row(6, 6), row(7, 7), row(8, 8),
    "UPDATE dbo.t SET n = n + 1 WHERE id IN (1, 2)",
    "UPDATE dbo.t SET id = 70 WHERE id = 7",
    "DELETE FROM dbo.t WHERE id IN (3, 6)",
    "UPDATE dbo.t SET body = NULL, note = N'' WHERE id = 4",
    "DELETE FROM dbo.t WHERE id = 5", row(5, 55),
)


def test_load_then_changes(replica, ms, target):
    """An insert, an update, a new key, a delete, a row that came and went, one that went and came again."""
    ms.execute(TABLE, *[row(i) for i in range(1, 6)])
    track(ms, "t")
    copy = replica(beside={"out": "file"})
    copy.once()
    copy.compare_to("t", COLUMNS)
    ms.execute(*WORK)
    copy.once()
    assert copy.compare_to("t", COLUMNS).rows == 6
    assert mssql.rows_of(target, "dbo.t", ("id",), 1).keys() == {(1,), (2,), (4,), (5,), (70,), (8,)}
    events = copy.feed("out").events("dbo.t")
    assert len({event.pos for event in events}) == 1, "more than one window"
    assert sorted(event.seq for event in events) == list(range(1, len(events) + 1))
    ops = {int(str(event.row["id"]).lstrip("\0")): event.op for event in events}
    assert [ops[i] for i in (1, 3, 5, 6, 7, 70)] == ["U", "D", "I", "D", "D", "I"]


def test_key_kinds(replica, ms, target):
    """Names that want quoting, keys of several columns, in another order than the table has them."""
    ms.execute("CREATE TABLE dbo.[x]]y'z] ([k]]1] int NOT NULL, v varchar(50) NULL, at datetime2(3) NOT NULL,"
               " [c d] nvarchar(20) NOT NULL, CONSTRAINT [p]]k] PRIMARY KEY ([c d], [k]]1], at))",
               "INSERT INTO dbo.[x]]y'z] VALUES (1, 'a', '2026-01-01 00:00:00.125', N'é'), (2, 'b',"
               " '2026-01-01 00:00:00.250', N'o''k')")
    track(ms, "x]y'z")
    copy = replica()
    copy.once()
    ms.execute("INSERT INTO dbo.[x]]y'z] VALUES (3, 'c', '2026-01-02 00:00:00.5', N'𝄞')",
               "UPDATE dbo.[x]]y'z] SET v = 'A' WHERE [k]]1] = 1", "DELETE FROM dbo.[x]]y'z] WHERE [k]]1] = 2",
               "UPDATE dbo.[x]]y'z] SET [c d] = N'moved' WHERE [k]]1] = 3")
    copy.once()
    assert copy.compare_to("x]y'z", ("k]1", "c d", "at", "v"), keys=3).rows == 2
    ms.execute("UPDATE dbo.[x]]y'z] SET [k]]1] = [k]]1] + 10")
    copy.once()
    assert copy.compare_to("x]y'z", ("k]1", "c d", "at", "v"), keys=3).rows == 2


def test_large_values_come_whole(replica, ms, target):
    """Rows come from the table itself: also what an update left alone."""
    ms.execute(TABLE, row(1, body="a" * 9000), row(2, body="b" * 9000))
    track(ms, "t")
    copy = replica()
    copy.once()
    target.execute("UPDATE dbo.t SET body = 'lost'")
    ms.execute("UPDATE dbo.t SET n = 5", "UPDATE dbo.t SET body = NULL WHERE id = 2")
    copy.once()
    assert copy.compare_to("t", COLUMNS).rows == 2


def two_tables(ms):
    ms.execute("CREATE TABLE dbo.parent (id int NOT NULL PRIMARY KEY, name nvarchar(20) NULL UNIQUE)",
               "CREATE TABLE dbo.child (id int NOT NULL PRIMARY KEY, parent_id int NOT NULL REFERENCES dbo.parent,"
               " n int NULL UNIQUE)",
               "CREATE TABLE dbo.aside (id int NOT NULL PRIMARY KEY, child_id int NULL REFERENCES dbo.child,"
               " u int NULL UNIQUE)")
    track(ms, "parent", "child", "aside")


@pytest.mark.parametrize("small_rows", [0, 10000])
def test_order_over_tables(replica, ms, target, small_rows):
    """The target has the source's foreign and unique keys: each window can be applied row by row."""
    two_tables(ms)
    copy = replica(sink={"small_rows": small_rows})
    copy.once()
    target.execute("ALTER TABLE dbo.child ADD FOREIGN KEY (parent_id) REFERENCES dbo.parent",
                   "ALTER TABLE dbo.aside ADD FOREIGN KEY (child_id) REFERENCES dbo.child",
                   "ALTER TABLE dbo.child ADD UNIQUE (n)", "ALTER TABLE dbo.aside ADD UNIQUE (u)")
    parents = ", ".join(f"({i}, N'p{i}')" for i in range(20))
    children = ", ".join(f"({i}, {i}, {i})" for i in range(20))
    ms.execute(f"INSERT INTO dbo.parent VALUES {parents}", f"INSERT INTO dbo.child VALUES {children}",
               "INSERT INTO dbo.aside SELECT id, id, id FROM dbo.child",
               "UPDATE dbo.parent SET name = N'later' WHERE id = 3")
    copy.once()
    assert copy.compare_to("child", ("id", "parent_id", "n")).rows == 20
    # Children move from a parent that goes to one that comes; what is unique to one is another's afterwards.
    ms.execute("INSERT INTO dbo.parent VALUES (100, N'new')", "UPDATE dbo.child SET parent_id = 100 WHERE id < 5",
               "DELETE FROM dbo.parent WHERE id < 5", "UPDATE dbo.aside SET child_id = NULL WHERE child_id = 19",
               "DELETE FROM dbo.child WHERE id = 19", "UPDATE dbo.child SET n = NULL WHERE id = 7",
               "INSERT INTO dbo.child VALUES (50, 100, 7)", "DELETE FROM dbo.aside WHERE id = 3",
               "INSERT INTO dbo.aside VALUES (90, 50, 3)", "UPDATE dbo.parent SET name = N'x' WHERE id = 100")
    copy.once()
    assert copy.compare_to("parent", ("id", "name")).rows == 16
    assert copy.compare_to("child", ("id", "parent_id", "n")).rows == 20
    assert copy.compare_to("aside", ("id", "child_id", "u")).rows == 20


def test_a_window_in_parts(replica, ms, target):
    """More than a batch may hold is handed over in parts, and is one transaction at the target all the same."""
    ms.execute("CREATE TABLE dbo.a (id int NOT NULL PRIMARY KEY, v nvarchar(20) NULL)",
               "CREATE TABLE dbo.b (id int NOT NULL PRIMARY KEY, v nvarchar(20) NULL)")
    track(ms, "a", "b")
    copy = replica(beside={"out": "file"})
    document = copy.document()
    document["sources"]["src"]["batch"] = {"rows": 100}
    copy.engine.write(document, copy.path.name)
    copy.once()
    ms.behind("INSERT INTO dbo.a SELECT i, 'a' || i FROM generate_series(1, 1000) i RETURNING 1")
    ms.behind("INSERT INTO dbo.b SELECT i, 'b' || i FROM generate_series(1, 500) i RETURNING 1")
    ms.execute("DELETE FROM dbo.a WHERE id <= 50", "UPDATE dbo.b SET v = N'x' WHERE id <= 10")
    copy.once()
    assert copy.compare_to("a", ("id", "v")).rows == 950
    assert copy.compare_to("b", ("id", "v")).rows == 500
    events = copy.feed("out").events("dbo.a") + copy.feed("out").events("dbo.b")
    assert len({event.pos for event in events}) == 1
    assert sorted(event.seq for event in events) == list(range(1, 1501))


def test_columns_that_come_and_go(replica, ms, target):
    """The next read has the table's columns as they are; computed ones, too."""
    ms.execute(TABLE, row(1))
    track(ms, "t")
    copy = replica(schema="evolve")
    copy.once()
    ms.execute("ALTER TABLE dbo.t ADD extra int NULL", row(2), "UPDATE dbo.t SET extra = id * 11")
    copy.once()
    assert copy.compare_to("t", (*COLUMNS, "extra")).rows == 2
    ms.execute("ALTER TABLE dbo.t DROP COLUMN note", "ALTER TABLE dbo.t ALTER COLUMN n bigint NULL", row(3).replace(
        " note,", "").replace(" N'né3',", ""), "UPDATE dbo.t SET n = 5000000000 WHERE id = 3")
    copy.once()
    assert copy.compare_to("t", ("id", "n", "amount", "body", "at", "flag", "extra")).rows == 3


def test_a_column_that_changes_while_it_is_followed(replica, ms, target):
    ms.execute(TABLE, row(1))
    track(ms, "t")
    copy = replica(schema="evolve")
    copy.once()
    run = copy.start()
    for i in range(2, 8):
        ms.execute(f"ALTER TABLE dbo.t ADD extra{i} int NULL", row(i), f"UPDATE dbo.t SET extra{i} = {i}")
        copy.wait_for(lambda i=i: target.value(f"SELECT count(*) FROM dbo.t WHERE id = {i}") == 1, f"row {i}", run)
    run.terminate()
    run.wait(60).expect(0)
    assert copy.compare_to("t", (*COLUMNS, *(f"extra{i}" for i in range(2, 8)))).rows == 7


def test_changes_during_the_load_come_again(replica, ms, target):
    """The version is read before the load: what is in it already comes again, by key."""
    ms.execute(TABLE, *[row(i) for i in range(1, 6)])
    track(ms, "t")
    gate = ms.server.hang_on(r"SELECT \[id\].* FROM \[dbo\]\.\[t\]")
    copy = replica(source={"isolation": "read_committed"})
    run = copy.start()
    copy.wait_for(lambda: not any(f.times for f in ms.server.faults), "the load", run)
    ms.execute(*WORK)
    gate.set()
    copy.wait_for(lambda: copy.epochs() > 0, "a change", run)
    run.terminate()
    run.wait(60).expect(0)
    copy.once()
    assert copy.compare_to("t", COLUMNS).rows == 6


def test_until_a_version(replica, ms, target):
    ms.execute(TABLE, row(1))
    track(ms, "t")
    copy = replica()
    copy.once()
    ms.execute(row(2))
    at = version(ms)
    until = lambda at: copy.engine.cmd("run", str(copy.path), "--until", at)  # noqa: E731
    until(str(at)).expect(0)
    assert copy.compare_to("t", COLUMNS).rows == 2
    assert "neither a version" in until("00000027:00000ac0:0002").expect(2).output


def test_what_check_says(replica, ms, engine):
    """Statement by statement until all is there."""
    ms.execute(TABLE, "CREATE TABLE dbo.bare (id int NULL)")
    copy = replica(tables=["dbo.t"])
    check = lambda: engine.cmd("check", str(copy.path))  # noqa: E731
    ms.execute(f"ALTER DATABASE [{ms.name}] SET ALLOW_SNAPSHOT_ISOLATION OFF")
    output = check().expect(3).output
    # What it prints can be run as it is.
    printed = re.findall(r"ALTER (?:DATABASE|TABLE) \[[^\n]*?(?:ENABLE CHANGE_TRACKING|AUTO_CLEANUP = ON\))", output)
    assert len(printed) == 2 and f"ALTER DATABASE [{ms.name}] SET ALLOW_SNAPSHOT_ISOLATION ON" in output, output
    ms.execute(*printed, f"ALTER DATABASE [{ms.name}] SET CHANGE_TRACKING (CHANGE_RETENTION = 5 HOURS)")
    assert "ALLOW_SNAPSHOT_ISOLATION ON" in copy.once(rc=3).output
    ms.execute(f"ALTER DATABASE [{ms.name}] SET ALLOW_SNAPSHOT_ISOLATION ON")
    output = check().expect(0).output
    assert "kept for 300 minutes" in output and "tracked since version 0" in output
    ms.server.users["reader"] = "S3cret!pass"
    ms.execute("DENY VIEW CHANGE TRACKING ON dbo.t TO reader")
    document = copy.document()
    document["sources"]["src"]["config"]["user"] = "reader"
    copy.engine.write(document, copy.path.name)
    assert "GRANT VIEW CHANGE TRACKING ON [dbo].[t] TO the user" in check().expect(3).output
    copy.write()
    assert "no primary key, which change tracking needs" in engine.cmd(
        "check", str(replica(tables=["dbo.bare"]).path)).expect(3).output


def test_what_is_refused(replica, ms):
    ms.execute(TABLE, row(1))
    track(ms, "t")
    assert "keeps nothing of the old row" in replica(source={"before_image": "full"}).once(rc=2).output
    copy = replica()
    document = copy.document()
    document["sources"]["src"]["tables"] = {"include": ["dbo.t"], "rules": [
        {"match": "dbo.t", "columns": {"exclude": ["id"]}}]}
    copy.engine.write(document, copy.path.name)
    assert "deliver the whole key" in copy.once(rc=None).output


def test_changes_alone(replica, ms, target):
    """cdc_only: from the version at the start on, of tables whose tracking began earlier, and right there."""
    ms.execute(TABLE, "CREATE TABLE dbo.u (id int NOT NULL PRIMARY KEY, v int NULL)")
    track(ms, "t")
    ms.execute(row(1))
    track(ms, "u")
    copy = replica(mode="cdc_only")
    for i in range(2, 4):
        copy.once()
        ms.execute(row(i), f"INSERT INTO dbo.u VALUES ({i}, 0)", "UPDATE dbo.u SET v = v + 1")
    copy.once()
    assert target.query("SELECT id FROM dbo.t ORDER BY 1") == [(2,), (3,)]
    assert target.query("SELECT id, v FROM dbo.u ORDER BY 1") == [(2, 2), (3, 1)]


def test_into_sql_server(engine, ms, mssql_server):
    """The same keys and foreign keys at the target, which has none that can be deferred."""
    two_tables(ms)
    to = mssql_server.create_database()
    copy = ToMs(engine, ms, to, source=TRACKED)
    try:
        copy.once()
        to.execute("ALTER TABLE dbo.child ADD FOREIGN KEY (parent_id) REFERENCES dbo.parent",
                   "ALTER TABLE dbo.aside ADD FOREIGN KEY (child_id) REFERENCES dbo.child")
        ms.execute(*(f"INSERT INTO dbo.parent VALUES ({i}, N'p{i}')" for i in range(9)),
                   *(f"INSERT INTO dbo.child VALUES ({i}, {i}, {i})" for i in range(9)),
                   "INSERT INTO dbo.aside VALUES (1, 1, 1), (2, 2, 2)",
                   "UPDATE dbo.parent SET name = N'later' WHERE id = 2")
        copy.once()
        ms.execute("INSERT INTO dbo.parent VALUES (50, N'new')", "UPDATE dbo.child SET parent_id = 50 WHERE id < 3",
                   "DELETE FROM dbo.parent WHERE id < 3", "DELETE FROM dbo.aside WHERE id = 1",
                   "DELETE FROM dbo.child WHERE id = 1", "UPDATE dbo.aside SET id = 20 WHERE id = 2")
        copy.once()
        for table, columns in (("parent", "id, name"), ("child", "id, parent_id, n"), ("aside", "id, child_id, u")):
            text = f"SELECT {columns} FROM dbo.{table} ORDER BY id"
            assert ms.query(text) == to.query(text), table
    finally:
        copy.close()


def test_without_commit_times(replica, ms, target):
    """VIEW DATABASE STATE is not needed: times of commits are NULL then."""
    ms.execute(TABLE, row(1))
    track(ms, "t")
    ms.server.users["reader"] = "S3cret!pass"
    ms.execute("DENY VIEW DATABASE STATE TO reader")
    copy = replica(source={"user": "reader"}, beside={"out": "file"})
    copy.once()
    ms.execute(row(2))
    copy.once()
    assert copy.compare_to("t", COLUMNS).rows == 2
    assert [event.ts for event in copy.feed("out").events("dbo.t")] == [None]


def test_another_way_of_capture_is_told(replica, ms, target):
    """A position of the one is none of the other."""
    ms.execute(TABLE, row(1))
    track(ms, "t")
    copy = replica()
    copy.once()
    mssql.enable(ms, "t")
    document = copy.document()
    document["sources"]["src"]["config"]["capture"] = "cdc"
    copy.engine.write(document, copy.path.name)
    assert "option capture was another" in copy.once(rc=3).output


@pytest.mark.parametrize("rows", [None, 5], ids=["whole", "in parts"])
def test_a_table_that_is_altered_inside_of_a_window(replica, ms, target, rows):
    """Its rows are no longer as of the window's moment: nothing of the window counts, and it is read anew."""
    ms.execute(TABLE, *[row(i) for i in range(1, 21)], "CREATE TABLE dbo.a (id int NOT NULL PRIMARY KEY)")
    track(ms, "a", "t")
    copy = replica(schema="evolve")
    if rows:
        document = copy.document()
        document["sources"]["src"]["batch"] = {"rows": rows}
        copy.engine.write(document, copy.path.name)
    copy.once()
    ms.execute("INSERT INTO dbo.a VALUES (1), (2), (3), (4), (5), (6)", "UPDATE dbo.t SET n = n + 1", row(21))
    gate = ms.server.hang_on(r"FROM CHANGETABLE.*LEFT JOIN \[dbo\]\.\[t\]")
    run = copy.start()
    copy.wait_for(lambda: not any(fault.times for fault in ms.server.faults), "the window", run)
    ms.execute("ALTER TABLE dbo.t ALTER COLUMN n bigint NULL", "ALTER TABLE dbo.t ADD extra int NULL",
               "UPDATE dbo.t SET n = 5000000000, extra = 1 WHERE id = 3", "DELETE FROM dbo.t WHERE id = 4")
    gate.set()
    copy.wait_for(lambda: copy.epochs() > 0, "a change", run)
    run.terminate()
    run.wait(60).expect(0)
    copy.once()
    assert copy.compare_to("t", (*COLUMNS, "extra")).rows == 20
    assert copy.compare_to("a", ("id",)).rows == 6


def test_lag_and_status(replica, ms):
    ms.execute(TABLE, row(1))
    track(ms, "t")
    copy = replica()
    copy.once()
    ms.execute(row(2))
    copy.once()
    show = lambda: copy.engine.cmd("state", "show", str(copy.path)).expect(0).stdout  # noqa: E731
    assert "(at 1 of 1" in show(), show()
    ms.execute(row(3))
    ms.behind("UPDATE tds.ct_commits SET at = to_char(now() AT TIME ZONE 'UTC' - interval '25 hours',"
              " 'YYYY-MM-DD HH24:MI:SS.MS') WHERE version = 2 RETURNING 1")
    assert "1500 minutes behind; change tracking keeps changes for 2880" in show(), show()
    told = copy.once().stderr
    assert "1500 minutes behind, and change tracking keeps changes for 2880" in told, told


def test_a_definition_that_changed_is_read_anew(replica, ms, target):
    """3961: the transaction is gone, and the window with it."""
    ms.execute(TABLE, row(1))
    track(ms, "t")
    copy = replica()
    copy.once()
    ms.execute(row(2), row(3), "DELETE FROM dbo.t WHERE id = 1")
    fault = ms.server.fail_on(
        r"FROM CHANGETABLE.*LEFT JOIN \[dbo\]\.\[t\]", 3961,
        f"Snapshot isolation transaction failed in database '{ms.name}' because the object accessed by the statement"
        " has been modified by a DDL statement in another concurrent transaction since the start of this transaction.",
        ends="transaction", times=2)
    copy.once()
    assert fault.times == 0
    assert copy.compare_to("t", COLUMNS).rows == 2
