"""T1, T3, T4 into SQL Server (the stand-in): the engine is killed, the server is killed, COMMIT's reply never comes."""

from __future__ import annotations

import random
import time

import pytest
from support import load
from support.mssql import ToMs
from support.pipe import kill_nine_loop
from support.score import Score, size
from support.tds import MssqlServer

SEED = 60604


@pytest.fixture
def own(pg_server):
    server = MssqlServer(pg_server)
    yield server
    server.destroy()


@pytest.fixture
def pipe(release_engine, own, db):
    one = ToMs(release_engine, db, own.create_database(), tables=["public.*"])
    yield one
    one.close()


def judge(score: Score, pipe: ToMs) -> None:
    pipe.once(timeout=180)
    score.survive(score.faults)
    score.took(pipe.compare_tables(load.STREAMS.values()))


@pytest.mark.slow
@pytest.mark.timeout(size(300, 1800))
def test_kill_nine_loop(db, pipe):
    kills = size(20, 100)
    chance = random.Random(SEED)
    load.setup(db, rows=size(150, 2000))
    with Score("T1", f"pg -> sqlserver, 4 writers, seed {SEED}") as score:
        with load.Load(db, writers=4, seed=SEED, rate=size(8, 20)) as work:
            grew = kill_nine_loop(pipe, work, score, chance, kills, anywhere=(0.5, size(2.5, 5.0)))
            work.stop()
        judge(score, pipe)
        print(f"{pipe.epochs()} epochs, {grew} lives of {kills} committed")
        assert grew >= kills // 3


@pytest.mark.slow
@pytest.mark.timeout(size(200, 900))
def test_kill_nine_between_transactions(release_engine, db, own):
    """apply: transactional: an epoch whose first transactions are committed goes on behind them."""
    kills = size(8, 50)
    chance = random.Random(SEED + 9)
    load.setup(db, rows=size(100, 2000))
    pipe = ToMs(release_engine, db, own.create_database(), tables=["public.*"], sink={"apply": "transactional"})
    try:
        with Score("T1", f"pg -> sqlserver, each transaction by itself, seed {SEED + 9}") as score:
            with load.Load(db, writers=4, seed=SEED, rate=size(8, 20)) as work:
                grew = kill_nine_loop(pipe, work, score, chance, kills, anywhere=(0.5, size(2.0, 5.0)))
                work.stop()
            judge(score, pipe)
            print(f"{pipe.epochs()} epochs, {grew} lives of {kills} committed")
    finally:
        pipe.close()


@pytest.mark.slow
@pytest.mark.timeout(size(300, 900))
def test_server_killed(db, own, pipe):
    chance = random.Random(SEED + 1)
    load.setup(db, rows=size(150, 2000))
    with Score("T3", f"pg -> sqlserver, seed {SEED + 1}") as score:
        with load.Load(db, writers=3, seed=SEED, rate=8) as work:
            run = pipe.start()
            for number in range(size(10, 40)):
                time.sleep(chance.uniform(0.1, 0.6) if number < 3 else chance.uniform(0.5, 2.0))
                assert run.poll() is None, run.wait().describe()
                own.kill9()
                score.fault()
                time.sleep(chance.uniform(0.0, 0.5))
                own.start()
            pipe.wait_epochs(pipe.epochs() + 2, run)
            work.stop()
        run.terminate()
        run.wait(60).expect(0)
        judge(score, pipe)


@pytest.mark.slow
@pytest.mark.timeout(size(300, 900))
def test_commit_reply_dropped(db, own, pipe):
    """The transaction is committed, its answer is not told: the sink asks, and neither repeats nor leaves out."""
    load.setup(db, rows=100)
    with Score("T4", "pg -> sqlserver, COMMIT's reply dropped") as score:
        with load.Load(db, writers=3, seed=SEED, rate=8) as work:
            run = pipe.start()
            pipe.wait_epochs(1, run)
            for number in range(size(20, 80)):
                before = pipe.epochs()
                own.cut_on(r"^\s*COMMIT", "after" if number % 4 else "before")
                score.fault()
                pipe.wait_epochs(before + 2, run)
            work.stop()
        run.terminate()
        run.wait(60).expect(0)
        judge(score, pipe)
