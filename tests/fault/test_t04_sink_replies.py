"""T4: S3 does what it is asked and the engine never hears of it: manifests, objects, the end of
multipart uploads. Nothing is written twice, whether the engine lives or dies then."""

from __future__ import annotations

import pytest
from support import faultproxy as fp
from support import lake, load
from support.pipe import s3_sink
from support.score import Score, size

SEED = 44


@pytest.mark.slow
@pytest.mark.timeout(size(200, 900))
def test_replies_dropped(release_engine, make_pipe, db, bucket):
    load.setup(db, rows=200)
    # A row is over 5 MiB in the file: an upload of several parts.
    db.execute("CREATE TABLE heavy (id int PRIMARY KEY, body bytea)",
               "ALTER TABLE heavy ALTER body SET STORAGE EXTERNAL",
               "CREATE SCHEMA aside",
               "CREATE TABLE aside.blob AS SELECT decode(repeat(md5('x'), 290000), 'hex') AS body")
    wanted = size(20, 50)
    with fp.HttpProxy((bucket.server.host, bucket.server.port), seed=SEED) as link:
        sink = s3_sink(bucket, interval="200ms")
        sink["config"].update(endpoint=link.endpoint, part_size="5MiB", compression="none")
        pipe = make_pipe({"lake": (sink, lake.S3Store(bucket, "lake"))}, by=release_engine)
        manifests = link.rule(fp.drop_reply(), fp.is_manifest, rate=0.4)
        objects = link.rule(fp.drop_reply(), lambda r: fp.is_put(r) and not fp.is_manifest(r), rate=0.1)
        ends = link.rule(fp.drop_reply(), fp.is_complete, rate=0.6)
        with Score("T4", f"S3 replies dropped, seed {SEED}") as score:
            with load.Load(db, writers=6, seed=SEED, rate=60) as work:
                run = pipe.start()
                pipe.wait_loaded(load.STREAMS, run)
                rounds = 0
                while manifests.used + objects.used < wanted or ends.used < size(2, 8) or rounds < size(4, 15):
                    rounds += 1
                    assert rounds < 400, (manifests.used, objects.used, ends.used)
                    if ends.used < size(2, 8):
                        db.execute(f"INSERT INTO heavy SELECT {rounds}, body FROM aside.blob")
                    pipe.wait_commits(pipe.commits() + 1, run)
                    if rounds % 3 == 0:
                        # Killed between what S3 did and what the engine knows of it.
                        seen = manifests.used
                        pipe.wait_for(lambda seen=seen: manifests.used > seen, "another lost reply", run)
                        score.saw(run.pid, is_pid=True)
                        run.kill9()
                        score.fault()
                        run = pipe.start()
                pipe.wait_commits(pipe.commits() + 2, run)
                done = work.stop()
            link.clear()
            run.terminate()
            run.wait(90).expect(0)
            score.fault(manifests.used + objects.used + ends.used)
            pipe.once(timeout=120)
            feed = pipe.judge_load(score)
            score.took(pipe.compare(["public.heavy"]))
            score.survive(score.faults)
            print(f"{done}, dropped: {manifests.used} manifests, {objects.used} objects, {ends.used} ends of uploads,"
                  f" {len(feed.manifests)} commits")
