"""T11 with a SQL Server (the stand-in) at either end: columns change while changes are followed, and the engine is
killed around each."""

from __future__ import annotations

import random

import pytest
from support.mssql import MsReplica, ToMs, enable
from support.msload import MsLoad, setup
from support.pipe import sleep_or_end
from support.score import Score, size
from support.tds.errors import ServerError

from fault.test_t11_schema import STEPS, TABLE, run_step

SEED = 61111


@pytest.mark.slow
@pytest.mark.timeout(size(200, 900))
@pytest.mark.parametrize("inside", [False, True], ids=["between", "inside"])
def test_into_sql_server(release_engine, db, ms, inside):
    chance = random.Random(SEED)
    db.execute(*TABLE)
    pipe = ToMs(release_engine, db, ms, tables=["public.t"])
    try:
        pipe.once()
        with Score("T11", f"pg -> sqlserver, {'inside' if inside else 'between'} transactions, seed {SEED}") as score:
            number = 0
            for _ in range(size(1, 5)):
                for statements in STEPS.values():
                    number += 1
                    run = pipe.start()
                    if chance.random() < 0.5:
                        sleep_or_end(run, chance.uniform(0, 0.8))
                    run_step(db, statements, number, inside)
                    sleep_or_end(run, chance.uniform(0, 0.8))
                    assert run.poll() is None, run.wait().describe()
                    run.kill9()
                    score.fault()
            pipe.once()
            score.took(pipe.compare_tables(["public.t"]))
            score.survive(score.faults)
    finally:
        pipe.close()


DOC = ("id", "title", "body", "n")


def instance(ms, number: int) -> None:
    enable(ms, "doc", capture_instance=f"doc_{number}")


def drop_instance(ms, name: str) -> None:
    ms.execute("EXEC sys.sp_cdc_disable_table @source_schema = N'dbo', @source_name = N'doc', @capture_instance ="
               f" N'{name}'")


def patiently(ms, statement: str) -> None:
    """Again when it was chosen as the victim of a deadlock with the writers."""
    for _ in range(20):
        try:
            return ms.execute(statement)
        except ServerError as error:
            if error.number != 1205:
                raise
    raise AssertionError(f"a victim twenty times: {statement}")


@pytest.mark.slow
@pytest.mark.timeout(size(240, 900))
def test_second_instances(release_engine, ms, target):
    """A column comes, becomes wider, goes: each by another capture instance, under writers, with a kill on either side
    of its start. The older instance goes once the feed has passed it."""
    chance = random.Random(SEED + 1)
    setup(ms, rows=100)
    pipe = MsReplica(release_engine, ms, target, tables=["dbo.doc", "dbo.account"])
    kept: list[str] = []

    def killed(score: Score, change: tuple[str, ...]) -> None:
        run = pipe.start()
        sleep_or_end(run, chance.uniform(0.2, 0.8))
        for statement in change:
            patiently(ms, statement)
        sleep_or_end(run, chance.uniform(0, 0.8))
        assert run.poll() is None, run.wait().describe()
        run.kill9()
        score.fault()

    try:
        pipe.once()
        older, number = "dbo_doc", 0
        with Score("T11", f"sqlserver -> pg, capture instances, seed {SEED + 1}") as score:
            with MsLoad(ms, writers=3, seed=SEED, rate=20) as work:
                for _ in range(size(2, 6)):
                    number += 1
                    killed(score, (f"ALTER TABLE dbo.doc ADD x{number} int NULL, y{number} varchar(10) NULL",
                                   f"UPDATE dbo.doc SET x{number} = id % 1000 WHERE id % 2 = 0"))
                    shown = pipe.engine.cmd("check", str(pipe.path)).stdout
                    assert f"changes do not have the columns x{number}, y{number}" in shown, shown
                    instance(ms, 2 * number)
                    killed(score, (f"UPDATE dbo.doc SET x{number} = id % 1000, y{number} = 'y'",))
                    pipe.once()
                    drop_instance(ms, older)
                    killed(score, (f"ALTER TABLE dbo.doc DROP COLUMN y{number}",
                                   f"ALTER TABLE dbo.doc ALTER COLUMN x{number} bigint NULL",
                                   f"UPDATE dbo.doc SET x{number} = 5000000000 WHERE id % 3 = 0"))
                    instance(ms, 2 * number + 1)
                    killed(score, ("UPDATE dbo.doc SET n = n + 1",))
                    pipe.once()
                    drop_instance(ms, f"doc_{2 * number}")
                    older = f"doc_{2 * number + 1}"
                    kept.append(f"x{number}")
                assert work.running, "the writers ended"
            pipe.once()
            score.took(pipe.compare_to("doc", (*DOC, *kept)))
            score.took(pipe.compare_to("account", ("id", "balance", "name")))
            score.survive(score.faults)
    finally:
        pipe.close()
