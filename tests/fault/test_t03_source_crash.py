"""T3: kill -9 of PostgreSQL while positions that it was told are not on its disk yet: it sends changes
again after its recovery, and none counts twice."""

from __future__ import annotations

import pytest
from support import load
from support.score import Score, size

SEED = 33


@pytest.mark.slow
@pytest.mark.timeout(size(240, 900))
def test_source_killed(own_server, make_pipe, bucket):
    # A checkpoint would write the slot's position: none comes by itself.
    server = own_server({"checkpoint_timeout": "1h", "max_wal_size": "4GB"}, fsync=True)
    db = server.create_database()
    load.setup(db, rows=200)
    pipe = make_pipe({"lake": bucket}, on=db)
    went_back = 0
    with Score("T3", f"pg -> s3, the server killed, seed {SEED}") as score:
        with load.Load(db, writers=6, seed=SEED, rate=size(100, 300)) as work:
            # The first time in the middle of the load.
            run = pipe.start()
            run.wait_output(r"snapshot taken|loading|load began", 60)
            server.crash()
            score.fault()
            if run.poll() is not None:  # the server was away before anything could be followed
                assert run.wait().rc in (1, 3)
                run = pipe.start()
            pipe.wait_loaded(load.STREAMS, run, timeout=90)
            score.survive()
            for _ in range(size(4, 19)):
                pipe.wait_commits(pipe.commits() + 3, run)
                pipe.wait_caught_up(run)
                told = pipe.slot_row()["confirmed"]
                server.crash()
                score.fault()
                went_back += pipe.slot_row()["confirmed"] < told
                # The same process goes on by itself.
                pipe.wait_commits(pipe.commits() + 2, run)
                score.survive()
            score.saw(run.pid, is_pid=True)
            done = work.stop()
        run.terminate()
        run.wait(60).expect(0)
        pipe.once(timeout=180)
        pipe.judge_load(score)
        print(f"{done}; the slot went back {went_back} times")
        assert went_back >= 1, "the server never sent anything again"
