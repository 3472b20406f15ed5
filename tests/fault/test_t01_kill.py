"""T1: kill -9 of the engine, again and again, while eight writers change every table."""

from __future__ import annotations

import random

import pytest
from support import load
from support.pipe import sleep_or_end
from support.score import LONG, Score, size

SEED = 20261


@pytest.mark.slow
@pytest.mark.timeout(size(240, 1800))
@pytest.mark.parametrize("kind", ["file", "s3"])
def test_kill_nine_loop(release_engine, make_pipe, db, bucket, kind):
    """A third dies while the slot is made, tables are loaded, the feed is opened again; a third anywhere; a
    third soon after a commit of its own. Every change of every transaction is in the lake once, and no
    reader ever sees half. The release build: with sanitizers a life is over before it has begun."""
    kills = size(30, 100)
    chance = random.Random(SEED)
    load.setup(db, rows=size(300, 3000))
    pipe = make_pipe({"lake": bucket if kind == "s3" else "file"}, by=release_engine)
    grew = 0
    with Score("T1", f"pg -> {kind}, 8 writers, seed {SEED}") as score:
        with load.Load(db, writers=8, seed=SEED, rate=size(120, 400)) as work:
            for number in range(kills):
                before = pipe.commits()
                run = pipe.start()
                if number % 3 == 2:
                    pipe.wait_commits(before + 1, run)
                    wait = chance.uniform(0, 0.6)
                else:
                    wait = chance.uniform(0.02, 0.7) if number % 3 == 0 else chance.uniform(0.3, size(1.7, 5.0))
                assert sleep_or_end(run, wait), run.wait().describe()
                score.saw(run.pid, is_pid=True)
                run.kill9()
                score.fault()
                grew += pipe.commits() > before
                assert work.running, "the writers ended"
            done = work.stop()
        pipe.once(timeout=180)
        score.survive(score.faults)
        feed = pipe.judge_load(score)
        print(f"{done}, {feed.count()} changes in {len(feed.manifests)} commits, {grew} lives of {kills} committed")
        # Else nothing but starts would have been killed.
        assert grew >= kills // 3 and len(feed.manifests) >= kills // 3
        assert feed.count() >= (200_000 if LONG else 5_000)
