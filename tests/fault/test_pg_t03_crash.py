"""T3 and T6 into tables: the source's or the target's server is killed as a whole, or the sessions of a load
by pid; the same process goes on, or the next one does."""

from __future__ import annotations

import pytest
from support import load
from support.pgsink import BankWatch
from support.score import Score, size

SEED = 3303


@pytest.mark.slow
@pytest.mark.timeout(size(240, 900))
@pytest.mark.parametrize("which", ["source", "target"])
def test_server_killed(own_server, make_replica, which):
    source = own_server({"checkpoint_timeout": "1h", "max_wal_size": "4GB"}, fsync=True)
    target = own_server(fsync=True)
    db, to = source.create_database(), target.create_database("to")
    load.setup(db, rows=150)
    replica = make_replica(on=db, to=to)
    server = source if which == "source" else target
    with Score("T3", f"pg -> pg, the {which} killed, seed {SEED}") as score, BankWatch(to):
        with load.Load(db, writers=5, seed=SEED, rate=size(80, 200)) as work:
            run = replica.start()
            run.wait_output(r"snapshot taken|at the target", 60)
            server.crash()  # the first time in the middle of the load
            score.fault()
            if run.poll() is not None:  # it was away before anything could be followed
                assert run.wait().rc in (1, 3)
                run = replica.start()
            replica.wait_loaded(load.STREAMS, run, timeout=90)
            score.survive()
            for _ in range(size(4, 19)):
                replica.wait_epochs(replica.epochs() + 3, run)
                server.crash()
                score.fault()
                replica.wait_epochs(replica.epochs() + 2, run, timeout=90)
                score.survive()
            score.saw(run.pid, is_pid=True)
            done = work.stop()
        run.terminate()
        run.wait(60).expect(0)
        replica.once(timeout=180)
        replica.judge_replica(score)
        print(done)


@pytest.mark.slow
@pytest.mark.timeout(size(200, 900))
def test_sessions_of_a_load_ended(release_engine, make_replica, db, target):
    """At the target, by pid, while COPY runs and while the load is completed; the engine killed on top."""
    load.setup(db, rows=300)
    names = []
    for number in range(size(8, 30)):
        name = f"public.s{number:02d}"
        names.append(name)
        db.execute(f"CREATE TABLE {name} (id bigint PRIMARY KEY, a bigint, b text)",
                   f"INSERT INTO {name} SELECT i, i, repeat(md5(i::text), 3) FROM generate_series(1, 20000) i")
    db.execute("ANALYZE")
    replica = make_replica(by=release_engine, source={"split_bytes": "1MiB"}, parallelism=4)
    ended = ("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND"
             " application_name = 'sluice' AND pid <> pg_backend_pid()")
    with Score("T6", f"into tables, sessions of the load ended, seed {SEED}") as score:
        with load.Load(db, writers=4, seed=SEED, rate=60) as work:
            for round_ in range(6):
                run = replica.start(failpoints="flow.after_batch=sleep:40")
                run.wait_output("at the target|snapshot taken", 60)
                replica.wait_for(lambda: target.value(ended) > 0 or bool(replica.epochs()), "a session", run, 30)
                score.fault()
                if round_ % 2:
                    run.kill9()
                else:
                    replica.wait_for(lambda: target.value(ended) > 0 or bool(replica.epochs()), "a session", None, 30)
                    run.kill9()
            done = work.stop()
        replica.once(timeout=180)
        score.survive(score.faults)
        replica.judge_replica(score)
        score.took(replica.compare_tables(names))
        print(done)
