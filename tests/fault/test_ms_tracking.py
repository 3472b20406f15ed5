"""Change tracking of SQL Server (the stand-in) into PostgreSQL: T1, kill -9 of the engine while writers change the
tables; T8, each way to lose changes stops the pipeline, exit code 3, and not a row is written after it."""

from __future__ import annotations

import random
import re

import pytest
from support import msload
from support.mssql import MsReplica, track, version
from support.msload import COLUMNS, MsLoad
from support.pipe import kill_nine_loop, sleep_or_end
from support.score import Score, size

SEED = 60602
TRACKED = {"capture": "change_tracking"}
TABLES = {"t": ("id", "v"), "x]y'z": ("id", "v")}


@pytest.fixture
def make(engine, ms, target):
    made: list[MsReplica] = []

    def one(by=None, **more):
        made.append(MsReplica(by or engine, ms, target, source=TRACKED, **more))
        return made[-1]

    yield one
    for each in made:
        each.close()


@pytest.mark.slow
@pytest.mark.timeout(size(240, 1800))
def test_kill_nine_loop(release_engine, make, ms):
    """A third dies while tables are loaded, or the feed is opened; a third anywhere; a third soon after a commit."""
    kills = size(12, 100)
    chance = random.Random(SEED)
    msload.setup(ms, rows=size(300, 3000), captured=False)
    track(ms, *COLUMNS)
    replica = make(by=release_engine)
    with Score("T1", f"sqlserver (change tracking) -> pg, 4 writers, seed {SEED}") as score:
        with MsLoad(ms, writers=4, seed=SEED, rate=size(60, 200)) as work:
            grew = kill_nine_loop(replica, work, score, chance, kills, anywhere=(0.5, size(2.0, 5.0)))
        replica.once(timeout=180)
        score.survive(score.faults)
        for table, columns in COLUMNS.items():
            score.took(replica.compare_to(table, columns))
        print(f"{work.counts}, {replica.epochs()} epochs, {grew} lives of {kills} committed")
        assert grew >= kills // 3


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_windows_are_of_one_moment(make, ms, target):
    """Four writers move money between accounts, a transfer each in the same transaction: whenever the target is looked
    at, the sum is what it was, and each account has what its transfers say."""
    msload.setup(ms, rows=10, captured=False)
    track(ms, *COLUMNS)
    replica = make()
    replica.once()
    run = replica.start()
    looked = 0
    with Score("T9", "sqlserver (change tracking) -> pg, 4 writers") as score:
        with MsLoad(ms, writers=4, seed=SEED, rate=100):
            replica.wait_epochs(replica.epochs() + 1, run)
            while replica.epochs() < 60:
                assert sleep_or_end(run, 0.05), run.wait().describe()
                off = target.query("SELECT a.id FROM dbo.account a LEFT JOIN (SELECT account_id, sum(amount) AS amount"
                                   " FROM dbo.transfer GROUP BY 1) t ON t.account_id = a.id WHERE a.balance <> 1000 +"
                                   " coalesce(t.amount, 0)")
                assert not off, f"accounts {off} after {looked} looks"
                looked += 1
                score.fault()
        run.terminate()
        run.wait(60).expect(0)
        replica.once()
        score.survive(score.faults)
        for table, columns in COLUMNS.items():
            score.took(replica.compare_to(table, columns))


# ---- T8


def fill(ms) -> None:
    ms.execute("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, v nvarchar(20) NULL)",
               "CREATE TABLE dbo.[x]]y'z] (id int NOT NULL PRIMARY KEY, v nvarchar(max) NULL)",
               *(f"INSERT INTO {table} VALUES ({i}, N'v')" for table in ("dbo.t", "dbo.[x]]y'z]") for i in range(20)))
    track(ms, *TABLES)


def switch(ms, how: str, *tables: str) -> None:
    ms.execute(*(f"ALTER TABLE dbo.[{table.replace(']', ']]')}] {how} CHANGE_TRACKING" for table in tables))


def anew(ms) -> None:
    """Off and on again, and what comes between is not tracked."""
    switch(ms, "DISABLE", "x]y'z")
    ms.execute("UPDATE dbo.[x]]y'z] SET v = N'between' WHERE id = 2")
    switch(ms, "ENABLE", "x]y'z")


def database_off(ms) -> None:
    switch(ms, "DISABLE", *TABLES)
    ms.execute(f"ALTER DATABASE [{ms.name}] SET CHANGE_TRACKING = OFF")


def database_anew(ms) -> None:
    """Versions begin anew."""
    database_off(ms)
    track(ms, *TABLES)


def restored(ms) -> None:
    """A backup from before: the versions that were read have not been yet."""
    ms.behind("DELETE FROM tds.ct_commits WHERE version > 1 RETURNING 1")
    ms.behind("SELECT setval('tds.ct_versions', 1)")


# How → what is done, what the error says, what is tracked again then; "quiet": nothing else was changed since the feed
# stopped, so that the version is the one where it is.
WAYS = {
    "cleanup": (lambda ms: ms.clean_tracking(version(ms)), r"cleaned up", ()),
    "table disabled": (lambda ms: switch(ms, "DISABLE", "x]y'z"),
                       r"is not tracked.*ALTER TABLE \[dbo\]\.\[x\]\]y'z\] ENABLE CHANGE_TRACKING", ("x]y'z",)),
    "table tracked anew": (anew, r"begun anew", ()),
    "table truncated": (lambda ms: ms.execute("TRUNCATE TABLE dbo.[x]]y'z]"), r"was truncated", ()),
    "database disabled": (database_off, r"SET CHANGE_TRACKING = ON", tuple(TABLES)),
    "database tracked anew": (database_anew, r"restored|begun anew", ()),
    "restored": (restored, r"restored from an older backup", ()),
}


@pytest.mark.slow
@pytest.mark.parametrize("quiet", [False, True], ids=["changes", "quiet"])
@pytest.mark.parametrize("way", WAYS)
def test_gap(make, ms, target, way, quiet):
    lose, pattern, tracked = WAYS[way]
    if quiet and way in ("cleanup", "restored"):
        pytest.skip("nothing is lost")
    fill(ms)
    replica = make()
    replica.once()
    ms.execute("UPDATE dbo.t SET v = N'w' WHERE id < 5", "DELETE FROM dbo.[x]]y'z] WHERE id = 3")
    replica.once()
    with Score("T8", f"sqlserver (change tracking), {way}{', quiet' if quiet else ''}") as score:
        for table in () if quiet else ("dbo.t", "dbo.[x]]y'z]"):
            ms.execute(f"INSERT INTO {table} VALUES (100, N'lost')", f"DELETE FROM {table} WHERE id = 7")
        lose(ms)
        score.fault()
        before = [sorted(target.query(f'SELECT * FROM dbo."{table}"')) for table in TABLES]
        for follow in (False, True):
            run = replica.start().wait(60) if follow else replica.once(rc=None, timeout=60)
            assert run.rc == 3 and re.search(pattern, run.output), run.describe()
            assert re.search(r"sluice state (resync|reset)", run.output), run.describe()
        assert [sorted(target.query(f'SELECT * FROM dbo."{table}"')) for table in TABLES] == before
        if way == "database disabled":
            track(ms)
        switch(ms, "ENABLE", *tracked)
        mend(replica, way)
        if way in ("database disabled", "database tracked anew", "restored"):
            # The target has positions that come again: no load goes beneath them.
            assert "restored from a backup" in replica.once(rc=2).stderr
            replica = make(name=f"anew_{ms.name[-10:]}", write={"mode": "replace"})
        replica.once()
        ms.execute("INSERT INTO dbo.t VALUES (200, N'after')", "UPDATE dbo.[x]]y'z] SET v = N'after' WHERE id = 9")
        replica.once()
        for table, columns in TABLES.items():
            score.took(replica.compare_to(table, columns))
        score.survive()


def mend(replica, way: str) -> None:
    for stream in ("dbo.t", "dbo.\"x]y'z\""):
        replica.engine.cmd("state", "resync", str(replica.path), "--stream", stream, "--yes").expect(0)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["table truncated", "table tracked anew", "table disabled"])
def test_gap_while_it_is_followed(make, ms, target, way):
    """With nothing tracked in between: the version stays what it was."""
    fill(ms)
    replica = make()
    replica.once()
    run = replica.start()
    ms.execute("INSERT INTO dbo.t VALUES (300, N'seen')")
    replica.wait_for(lambda: target.value("SELECT count(*) FROM dbo.t WHERE id = 300") == 1, "a change", run)
    with Score("T8", f"sqlserver (change tracking), {way} while followed") as score:
        WAYS[way][0](ms)
        score.fault()
        ended = run.wait(60)
        assert ended.rc == 3 and re.search(r"sluice state resync", ended.output), ended.describe()
        assert 'x]y\'z' in ended.output
        score.survive()
