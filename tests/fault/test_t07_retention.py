"""T7: a quiet database keeps no log because of us, and never less than a sink that is down needs."""

from __future__ import annotations

import pytest
from support import lake
from support.pipe import s3_sink
from support.score import Score, size

LIMIT = 32 * 2**20


def write_log(other, mib: int) -> None:
    """So much of the server's log, of tables and of messages, by another database."""
    for _ in range(mib // 8):
        other.execute(
            "INSERT INTO noise SELECT repeat(md5(g::text), 30) FROM generate_series(1, 4000) g",
            "SELECT pg_logical_emit_message(false, 'noise', repeat('x', 1000000)) FROM generate_series(1, 4)",
        )
    other.execute("TRUNCATE noise")


@pytest.mark.slow
@pytest.mark.timeout(size(150, 900))
def test_idle_slot_retains_little(own_server, make_pipe):
    server = own_server({"max_wal_size": "4GB"})
    db, other = server.create_database(), server.create_database("other")
    db.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 10)")
    other.execute("CREATE TABLE noise (v text)")
    pipe = make_pipe({"lake": "file"}, on=db, tables=["public.t"])
    with Score("T7", "another database writes, ours is quiet") as score:
        run = pipe.start()
        pipe.wait_loaded(["public.t"], run)
        db.execute("INSERT INTO t VALUES (11)")
        pipe.wait_caught_up(run)
        quiet = pipe.commits()
        written = 0
        for _ in range(size(3, 16)):
            begin = db.value("SELECT pg_current_wal_lsn()")
            write_log(other, 48)
            written += int(db.value("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), %s)", [begin]))
            score.fault()

            def little() -> bool:
                # What a slot needs at least moves on at a record that the server writes at checkpoints.
                db.execute("CHECKPOINT")
                row = pipe.slot_row()
                return row is not None and row["retained"] <= LIMIT

            pipe.wait_for(little, f"the slot to retain at most {LIMIT} bytes after {written}", run)
            score.survive()
        assert written > 3 * LIMIT
        assert pipe.commits() == quiet, "an idle pipeline wrote manifests"
        score.saw(run.pid, is_pid=True)
        db.execute("INSERT INTO t VALUES (12)", "DELETE FROM t WHERE id = 1")
        pipe.wait_caught_up(run)
        run.terminate()
        run.wait(60).expect(0)
        score.took(pipe.compare(["public.t"]))


@pytest.mark.slow
@pytest.mark.timeout(size(150, 900))
def test_sink_down_keeps_the_log(own_server, own_bucket, make_pipe):
    """While the sink is away nothing is acknowledged that it does not have; then all of it arrives."""
    server = own_server()
    db = server.create_database()
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)",
               "INSERT INTO t SELECT i, 'v' FROM generate_series(1, 50) i")
    pipe = make_pipe({"lake": (s3_sink(own_bucket), lake.S3Store(own_bucket, "lake"))}, on=db, tables=["public.t"])
    with Score("T7", "the sink is down") as score:
        run = pipe.start()
        pipe.wait_loaded(["public.t"], run)
        db.execute("INSERT INTO t VALUES (100, 'before')")
        pipe.wait_caught_up(run)
        held = pipe.feed().last
        (held_to,) = {manifest["to"] for manifest in held.values()}
        own_bucket.server.stop(kill=True)
        score.fault()
        for number in range(size(40, 400)):
            db.execute(f"INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series({1000 + number * 100},"
                       f" {1000 + number * 100 + 99}) i", "CHECKPOINT" if number % 20 == 0 else "SELECT 1")
            row = pipe.slot_row()
            first_new = db.value("SELECT 1")  # one more round trip, so that feedback had its chance
            assert first_new == 1 and row is not None
            assert run.poll() is None, run.wait().describe()
        # Nothing was written since `held_to` but what the sink does not have.
        begun = db.value("SELECT pg_wal_lsn_diff(confirmed_flush_lsn, '0/0')::bigint FROM pg_replication_slots"
                         " WHERE slot_name = %s", [pipe.slot])
        first = db.value("SELECT count(*) FROM t WHERE id >= 1000")
        assert first == size(4000, 40000)
        own_bucket.server.start()
        pipe.wait_caught_up(run, timeout=90)
        score.survive()
        score.saw(run.pid, is_pid=True)
        run.terminate()
        run.wait(60).expect(0)
        feed = pipe.feed()
        # The first change that came while the sink was down is after everything acknowledged then.
        new = [event.pos for event in feed.events("public.t") if event.op == "I" and event.pos > held_to]
        assert new and f"{begun:016x}" < min(new), (f"{begun:016x}", min(new))
        score.took(pipe.compare(["public.t"]))
