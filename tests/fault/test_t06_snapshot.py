"""T6: one snapshot a table under write load, while what reads it is killed: a worker, the holder of the
snapshot, the engine. A load that is complete is not read again: the right to is taken away."""

from __future__ import annotations

import random
import threading

import pytest
from support import load
from support.pipe import Pipe, file_sink
from support.score import Score, size

SEED = 66

OURS = "application_name = 'sluice' AND datname = current_database()"
WORKERS = f"{OURS} AND backend_type = 'client backend' AND query ILIKE 'copy%'"
# The session that exported the snapshot; not the one that streams from the pipeline's own slot.
HOLDER = (
    f"{OURS} AND backend_type = 'walsender' AND pid NOT IN"
    " (SELECT active_pid FROM pg_replication_slots WHERE active_pid IS NOT NULL AND NOT temporary)"
)


def kill_backend(pipe: Pipe, run, where: str, what: str) -> int:
    """Ends one session of the engine; returns how many were hit."""
    hit = []

    def found() -> bool:
        rows = pipe.db.query(
            f"SELECT pid, query, pg_terminate_backend(pid) FROM (SELECT pid, query FROM pg_stat_activity"
            f" WHERE {where} ORDER BY random() LIMIT 1) s")
        hit.extend(rows)
        return bool(rows) or pipe.complete() >= set(load.STREAMS)

    pipe.wait_for(found, what, run, timeout=30)
    return len(hit)


@pytest.fixture
def tables(db):
    """Load W's tables and many more, so that the load takes its time."""
    load.setup(db, rows=400)
    names = []
    for number in range(size(14, 40)):
        name = f"public.s{number:02d}"
        names.append(name)
        db.execute(f"CREATE TABLE {name} (id bigint PRIMARY KEY, a bigint, b text)",
                   f"INSERT INTO {name} SELECT i, i, repeat(md5(i::text), 3)"
                   f" FROM generate_series(1, {size(3000, 20000)}) i")
    db.execute("ANALYZE")
    return names


@pytest.mark.slow
@pytest.mark.timeout(size(240, 900))
def test_snapshot_under_writers(release_engine, make_pipe, db, tables):
    chance = random.Random(SEED)
    pipe = make_pipe({"lake": "file"}, source={"split_bytes": "1MiB"}, parallelism=4, by=release_engine)
    slow = "flow.after_batch=sleep:60"
    with Score("T6", f"worker, holder and engine killed while loading, seed {SEED}") as score:
        with load.Load(db, writers=6, seed=SEED, rate=80) as work:
            run = pipe.start(failpoints=slow)
            for what in ("worker", "holder", "worker", "engine", "holder", "engine", "worker"):
                if run.poll() is not None:
                    run.wait()  # its load could not go on: the next one does
                    run = pipe.start(failpoints=slow)
                if what == "engine":
                    pipe.wait_for(lambda: bool(pipe.commits()), "a commit", run)
                    run.wait_output("snapshot taken")
                    score.saw(run.pid, is_pid=True)
                    run.kill9()
                    score.fault()
                    run = pipe.start(failpoints=slow)
                    continue
                run.wait_output("snapshot taken")
                score.fault(kill_backend(pipe, run, WORKERS if what == "worker" else HOLDER, what))
                # Rows move between tables and ranges all the while.
                name = chance.choice(tables)
                db.execute(f"UPDATE {name} SET id = id + 1000000 WHERE id % 5 = 0",
                           f"DELETE FROM {name} WHERE id % 11 = 0",
                           f"INSERT INTO {name} SELECT i, 0, 'late' FROM generate_series(2000001, 2000050) i"
                           " ON CONFLICT (id) DO UPDATE SET b = 'later'")
            if run.poll() is not None:
                run.wait()
                run = pipe.start()
            pipe.wait_loaded([*load.STREAMS, *tables], run, timeout=120)
            done = work.stop()
        run.terminate()
        run.wait(60)
        pipe.once(timeout=120)
        feed = pipe.judge_load(score)
        score.took(pipe.compare(tables))
        score.survive(score.faults)
        assert score.faults >= 5, "the load was over too soon"
        runs = {name: len(feed.lake.runs(name)) for name in [*load.STREAMS, *tables]}
        assert set(runs.values()) == {1}, f"a complete load was made again: {runs}"
        print(done)


@pytest.mark.slow
def test_complete_loads_are_not_read_again(make_pipe, pg_server, db):
    """As a role that may read, until it may not any more: what is complete needs no SELECT, and a table
    that comes later is loaded without touching the others."""
    load.setup(db, rows=100)
    role = f"etl_{db.name}"
    db.execute(
        f"CREATE ROLE {role} LOGIN REPLICATION PASSWORD 'pw'",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
        f"CREATE PUBLICATION w FOR TABLE {', '.join(load.STREAMS.values())} WITH (publish_via_partition_root = true)",
    )
    try:
        pipe = make_pipe({"lake": "file"}, source={
            "user": role, "password": "pw", "publication": "w", "publication_mode": "existing"})
        with Score("T6", "SELECT revoked after the load") as score:
            with load.Load(db, writers=4, seed=SEED, rate=80) as work:
                run = pipe.start()
                pipe.wait_loaded(load.STREAMS, run)
                run.kill9()
                score.fault()
                db.execute(f"REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM {role}")
                run = pipe.start()
                pipe.wait_commits(pipe.commits() + 2, run)
                db.execute("CREATE TABLE later (id int PRIMARY KEY, v text)",
                           "INSERT INTO later SELECT i, 'x' FROM generate_series(1, 500) i",
                           f"GRANT SELECT ON later TO {role}", "ALTER PUBLICATION w ADD TABLE later")
                run.kill9()
                score.fault()
                run = pipe.start()
                pipe.wait_loaded(["public.later"], run)
                db.execute("UPDATE later SET v = 'y' WHERE id % 2 = 0", "DELETE FROM later WHERE id = 1")
                work.stop()
            run.terminate()
            run.wait(60).expect(0)
            pipe.once()
            score.survive(2)
            feed = pipe.judge_load(score)
            score.took(pipe.compare(["public.later"]))
            assert all(len(feed.lake.runs(name)) == 1 for name in feed.lake.names())
    finally:
        for (pid,) in pg_server.connect().execute(
                "SELECT pid FROM pg_stat_activity WHERE usename = %s", [role]).fetchall():
            with pg_server.connect() as conn:
                conn.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        db.execute("DROP PUBLICATION IF EXISTS w", f"DROP OWNED BY {role}", f"DROP ROLE {role}")


@pytest.mark.slow
def test_a_table_that_cannot_be_loaded_holds_up_no_other(release_engine, make_pipe, db):
    """Truncated more often than a snapshot and a COPY take: its load begins again and again. The others are
    loaded, and their changes flow meanwhile; when it is left in peace it joins them."""
    db.execute("CREATE TABLE staging (id int PRIMARY KEY)", "CREATE TABLE t (id int PRIMARY KEY, v text)",
               "INSERT INTO t SELECT i, 'v' FROM generate_series(1, 100) i")
    stop = threading.Event()

    def truncate() -> None:
        with db.connect() as conn:
            while not stop.wait(0.005):
                conn.execute("BEGIN; TRUNCATE staging; INSERT INTO staging SELECT generate_series(1, 10); COMMIT")

    writer = threading.Thread(target=truncate)
    pipe = make_pipe({"lake": file_sink(release_engine.workdir / "lake", interval="3s")}, by=release_engine)
    with Score("T6", "a table truncated all the time") as score:
        score.fault()
        writer.start()
        try:
            run = pipe.start()
            pipe.wait_loaded(["public.t"], run)
            db.execute("INSERT INTO t VALUES (1000, 'new')")
            pipe.wait_for(lambda: pipe.change_commits() > 0, "changes of the other table", run, 90)
        finally:
            stop.set()
            writer.join()
        pipe.wait_loaded(["public.staging", "public.t"], run)
        run.terminate()
        run.wait(60).expect(0)
        pipe.once()
        score.took(pipe.compare(["public.staging", "public.t"]))
        score.survive()
