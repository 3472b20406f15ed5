"""S2: a process that was thought dead wakes up while another has taken its place: it can commit nothing any
more, and says why. In a folder and in S3, while writers go on."""

from __future__ import annotations

import re
import signal

import pytest
from support import lake, load, sluice
from support.pipe import Pipe, file_sink
from support.score import Score

SEED = 77


@pytest.mark.slow
@pytest.mark.timeout(150)
@pytest.mark.parametrize("kind", ["file", "s3"])
def test_the_old_process_is_fenced(release_engine, make_pipe, db, bucket, workdir, kind):
    """The second has no state of its own, as on another machine: it loads anew and follows from what the sink
    says. The first one wakes in the middle of that."""
    load.setup(db, rows=150)
    sink = bucket if kind == "s3" else (file_sink(workdir / "lake"), lake.FileStore(workdir / "lake"))
    first: Pipe = make_pipe({"lake": sink}, by=release_engine)
    second: Pipe = make_pipe({"lake": sink}, by=sluice.Engine(workdir / "other", "release"))
    with Score("S2", f"an old process wakes up, {kind}, seed {SEED}") as score:
        with load.Load(db, writers=4, seed=SEED, rate=60) as work:
            old = first.start()
            first.wait_loaded(load.STREAMS, old)
            first.wait_for(lambda: first.change_commits() >= 3, "changes", old)
            old.send(signal.SIGSTOP)
            score.fault()
            # Its session is gone from the server, as after a cut network; it does not know.
            db.query("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                     " WHERE application_name = 'sluice' AND datname = current_database()")
            new = second.start()
            runs = len(second.feed().lake.runs("public.ledger"))
            second.wait_for(lambda: len(lake.Lake(second.store()).runs("public.ledger")) > runs, "a new load", new)
            seen = second.change_commits()
            second.wait_for(lambda: second.change_commits() > seen, "changes of the new process", new)
            old.send(signal.SIGCONT)
            # It may only learn it from the slot, which another holds, or from the first commit that it tries.
            for _ in range(3):
                seen = second.change_commits()
                second.wait_for(lambda seen=seen: second.change_commits() > seen, "changes of the new process", new)
            if old.poll() is None:
                old.terminate()
            ended = old.wait(60)
            assert ended.rc in (0, 3), ended.describe()
            # Fenced by the sink, or told by the slot that another has read on.
            said = re.search(r"another process|fenced|slot .* (is in use|stands at)", ended.output)
            assert ended.rc == 0 or said, ended.describe()
            work.stop()
        new.terminate()
        new.wait(60).expect(0)
        second.once()
        feed = second.judge_load(score)
        assert not any(feed.twice(name) for name in feed.names())
        score.survive()
