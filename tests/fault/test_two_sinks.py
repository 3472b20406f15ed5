"""Two sinks of one feed, one of which stalls: the other goes on, the server keeps what the slower one needs
and never loses its patience with us, memory is bounded, and in the end both are equal."""

from __future__ import annotations

import time

import pytest
from support import faultproxy as fp
from support import lake, load
from support.pipe import file_sink, s3_sink
from support.score import LONG, Score, size

SEED = 7


@pytest.mark.slow
@pytest.mark.release
@pytest.mark.timeout(size(200, 900))
def test_one_stalls(own_server, release_engine, bucket, make_pipe, workdir):
    server = own_server({"wal_sender_timeout": "5s"})
    db = server.create_database()
    load.setup(db, rows=200)
    stall = 120 if LONG else 16
    with fp.TcpProxy((bucket.server.host, bucket.server.port)) as link:
        slow = s3_sink(bucket)
        slow["config"]["endpoint"] = link.endpoint
        pipe = make_pipe(
            {"slow": (slow, lake.S3Store(bucket, "lake")), "quick": file_sink(workdir / "lake")},
            on=db, by=release_engine, memory="96MiB")
        with Score("S1", f"two sinks, one stalled {stall} s, seed {SEED}") as score:
            with load.Load(db, writers=4, seed=SEED, rate=60) as work:
                run = pipe.start()
                pipe.wait_loaded(load.STREAMS, run, node="slow")
                pipe.wait_loaded(load.STREAMS, run, node="quick")
                pipe.wait_caught_up(run)
                begun = time.monotonic()
                before = pipe.commits("quick")
                link.set(blackhole=True)
                score.fault()
                confirmed = []
                while time.monotonic() - begun < stall:
                    assert run.poll() is None, run.wait().describe()
                    confirmed.append(pipe.slot_row()["confirmed"])
                    score.saw(run.pid, is_pid=True)
                    time.sleep(0.5)
                assert pipe.commits("quick") > before, "the other sink stood still"
                quick_to = max(manifest["to"] for manifest in pipe.feed("quick").manifests)
                # Nothing moved that the slow one does not have: it was asked before anything arrives there again.
                slow_to = max(manifest["to"] for manifest in pipe.feed("slow").manifests)
                first_missing = min(
                    event.pos for name in pipe.feed("quick").names()
                    for event in pipe.feed("quick").events(name) if event.pos > slow_to)
                assert max(confirmed) < first_missing <= quick_to, (max(confirmed), slow_to, quick_to)
                link.set()
                link.kill_connections()
                done = work.stop()
            pipe.wait_caught_up(run, timeout=120)
            score.survive()
            score.saw(run.pid, is_pid=True)
            run.terminate()
            result = run.wait(60).expect(0)
            pipe.once(timeout=120)
            pipe.judge_load(score, "slow")
            pipe.judge_load(score, "quick")
            print(done)
            assert "replication timeout" not in server.log.read_text(errors="replace")
            assert result.peak_rss_kib < 256 * 1024, f"{result.peak_rss_kib} KiB"
