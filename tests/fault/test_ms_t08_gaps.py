"""T8 out of SQL Server (the stand-in): each way to lose changes stops the pipeline with exit code 3 and the command
that mends it; not a row is written after it, and what the command loads is whole."""

from __future__ import annotations

import re

import pytest
from support.mssql import MsReplica, enable
from support.score import Score

TABLES = {"t": ("id", "v"), "x]y'z": ("id", "v")}


@pytest.fixture
def replica(engine, ms, target):
    """Loaded, with some changes followed."""
    ms.execute("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, v nvarchar(20) NULL)",
               "CREATE TABLE dbo.[x]]y'z] (id int NOT NULL PRIMARY KEY, v nvarchar(max) NULL)",
               *(f"INSERT INTO {table} VALUES ({i}, N'v')" for table in ("dbo.t", "dbo.[x]]y'z]") for i in range(20)))
    enable(ms, *TABLES)
    one = MsReplica(engine, ms, target)
    one.once()
    ms.execute("UPDATE dbo.t SET v = N'w' WHERE id < 5", "DELETE FROM dbo.[x]]y'z] WHERE id = 3")
    one.once()
    yield one
    one.close()


def capture(ms):
    return ms.server.captures[ms.name]


def disable(ms, table: str = "x]y'z") -> None:
    name = table.replace("'", "''")
    ms.execute(f"EXEC sys.sp_cdc_disable_table @source_schema = N'dbo', @source_name = N'{name}',"
               f" @capture_instance = N'dbo_{name}'")


def cleaned(ms) -> None:
    capture(ms).scan()
    ms.execute("UPDATE dbo.[x]]y'z] SET v = N'behind the mark'")
    capture(ms).scan()
    capture(ms).cleanup("dbo_x]y'z", capture(ms).newest())


def restored(ms) -> None:
    """A backup of the time before the changes: what was captured since is not there."""
    capture(ms).scan()
    with ms.server.connect(ms.name) as conn:
        for name in TABLES:
            conn.execute(f"""DELETE FROM cdc."dbo_{name}_CT" WHERE "__$start_lsn" > (SELECT start_lsn FROM
                         cdc.lsn_time_mapping ORDER BY 1 LIMIT 1)""")
        conn.execute("DELETE FROM cdc.lsn_time_mapping WHERE start_lsn > (SELECT start_lsn FROM cdc.lsn_time_mapping"
                     " ORDER BY 1 LIMIT 1)")
    capture(ms).stopped.set()


# How → what is done, what the error says, what the database's owner does then.
WAYS = {
    "cleanup": (cleaned, r"cleanup job", ()),
    "table disabled": (disable, r"is not captured.*sp_cdc_enable_table", ("x]y'z",)),
    "instance made anew": (lambda ms: (disable(ms), enable(ms, "x]y'z")), r"load the table anew", ()),
    "database disabled": (lambda ms: ms.execute("EXEC sys.sp_cdc_disable_db"), r"sp_cdc_enable_db", tuple(TABLES)),
    "database disabled and enabled": (lambda ms: (ms.execute("EXEC sys.sp_cdc_disable_db"), enable(ms, *TABLES)),
                                      r"load the table anew", ()),
    "restored": (restored, r"restored from an older backup", ()),
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_gap(replica, ms, target, way):
    lose, pattern, enabled = WAYS[way]
    with Score("T8", f"sqlserver, {way}") as score:
        for table in ("dbo.t", "dbo.[x]]y'z]"):
            ms.execute(f"INSERT INTO {table} VALUES (100, N'lost')", f"DELETE FROM {table} WHERE id = 7")
        lose(ms)
        score.fault()
        before = [sorted(target.query(f'SELECT * FROM dbo."{table}"')) for table in TABLES]
        for follow in (False, True):
            run = replica.start().wait(60) if follow else replica.once(rc=None, timeout=60)
            assert run.rc == 3 and re.search(pattern, run.output), run.describe()
            assert re.search(r"sluice state (resync|reset)", run.output), run.describe()
        assert [sorted(target.query(f'SELECT * FROM dbo."{table}"')) for table in TABLES] == before
        if enabled:
            enable(ms, *enabled)
        for stream in ("dbo.t", "dbo.\"x]y'z\""):
            replica.engine.cmd("state", "resync", str(replica.path), "--stream", stream, "--yes").expect(0)
        capture(ms).stopped.clear()
        if way == "restored":  # the target has positions that come again: no load goes beneath them
            assert "restored from a backup" in replica.once(rc=2).stderr
            replica = MsReplica(replica.engine, ms, target, name=f"anew_{ms.name[-10:]}", write={"mode": "replace"})
        replica.once()
        ms.execute("INSERT INTO dbo.t VALUES (200, N'after')", "UPDATE dbo.[x]]y'z] SET v = N'after' WHERE id = 9")
        replica.once()
        for table, columns in TABLES.items():
            score.took(replica.compare_to(table, columns))
        score.survive()


@pytest.mark.slow
def test_table_made_anew(replica, ms, target):
    """Another table by the old one's name is not followed as if it were the old one: it is loaded."""
    with Score("T8", "sqlserver, table made anew") as score:
        disable(ms, "t")
        ms.execute("DROP TABLE dbo.t", "CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, v nvarchar(20) NULL)",
                   "INSERT INTO dbo.t VALUES (1, N'of another table')")
        enable(ms, "t")
        score.fault()
        ms.execute("INSERT INTO dbo.t VALUES (2, N'change')", "DELETE FROM dbo.[x]]y'z] WHERE id = 1")
        assert "the table was dropped and made anew" in replica.once().stderr
        for table, columns in TABLES.items():
            score.took(replica.compare_to(table, columns))
        score.survive()
