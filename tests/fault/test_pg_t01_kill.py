"""T1 into tables: kill -9 of the engine, again and again, while eight writers change every table at the
source and a reader of the target looks at snapshot after snapshot."""

from __future__ import annotations

import random

import pytest
from support import load
from support.pgsink import BankWatch
from support.pipe import kill_nine_loop, sleep_or_end
from support.score import LONG, Score, size

SEED = 50501


@pytest.mark.slow
@pytest.mark.timeout(size(240, 1800))
def test_kill_nine_loop(release_engine, make_replica, db, target):
    """A third dies while tables are made and loaded, or the feed is opened again; a third anywhere; a third
    soon after a commit of its own. Every transaction is in the target once and whole."""
    kills = size(30, 100)
    chance = random.Random(SEED)
    load.setup(db, rows=size(300, 3000))
    replica = make_replica(by=release_engine)
    with Score("T1", f"pg -> pg, 8 writers, seed {SEED}") as score, BankWatch(target) as bank:
        with load.Load(db, writers=8, seed=SEED, rate=size(120, 400)) as work:
            grew = kill_nine_loop(replica, work, score, chance, kills, 0.7, (0.3, size(1.7, 5.0)))
            done = work.stop()
        replica.once(timeout=180)
        score.survive(score.faults)
        replica.judge_replica(score)
        print(f"{done}, {replica.epochs()} epochs, {grew} lives of {kills} committed,"
              f" {bank.seen} snapshots of the bank")
        # Else nothing but starts would have been killed.
        assert grew >= kills // 3
        assert replica.epochs() >= (2_000 if LONG else 50)


@pytest.mark.slow
@pytest.mark.timeout(size(240, 900))
def test_two_sinks(release_engine, make_replica, db, target, bucket):
    """One source, a database and a bucket: after kills both are equal to it, each by its own tokens."""
    kills = size(8, 40)
    chance = random.Random(SEED + 1)
    load.setup(db, rows=200)
    replica = make_replica(by=release_engine, beside={"lake": bucket})
    with Score("T1", f"pg -> pg and s3, seed {SEED + 1}") as score, BankWatch(target):
        with load.Load(db, writers=6, seed=SEED, rate=80) as work:
            for number in range(kills):
                before = replica.epochs()
                run = replica.start()
                if number % 2:
                    replica.wait_epochs(before + 1, run)
                assert sleep_or_end(run, chance.uniform(0.05, 1.5)), run.wait().describe()
                score.saw(run.pid, is_pid=True)
                run.kill9()
                score.fault()
            done = work.stop()
        replica.once(timeout=180)
        score.survive(score.faults)
        replica.judge_replica(score)
        replica.judge_load(score, "lake")
        compared = replica.engine.cmd("verify", str(replica.path), timeout=180).expect(0)
        print(done, compared.stdout)
