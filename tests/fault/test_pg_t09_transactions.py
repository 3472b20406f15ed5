"""T9 into tables: transactions of every shape. One that is larger than memory is seen at the target as a whole
or not at all, also when the engine is killed inside it."""

from __future__ import annotations

import random
import threading

import pytest
from support.changes import Totals
from support.score import Score, size

from fault.test_t09_transactions import MANY

SEED = 909
CONTENT = "SELECT count(*), coalesce(sum(('x' || left(md5(t::text), 15))::bit(60)::bigint), 0) FROM {} t"


class Watch(threading.Thread):
    """What a reader of the target sees of a table while it is written: row counts."""

    def __init__(self, target, query: str):
        super().__init__(daemon=True)
        self.target, self.query = target, query
        self.seen: set[tuple] = set()
        self.looks = 0
        self.done = threading.Event()

    def run(self) -> None:
        with self.target.connect() as conn:
            while not self.done.wait(0.02):
                self.seen.add(conn.execute(self.query).fetchone())
                self.looks += 1

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *_exc) -> None:
        self.done.set()
        self.join()


@pytest.mark.slow
@pytest.mark.timeout(size(280, 900))
def test_a_large_transaction(release_engine, make_replica, db, target):
    """Inserts, updates and deletes of several tables in one transaction: memory stays bounded, a reader sees
    none of it or all."""
    rows = size(400_000, 2_000_000)
    db.execute("CREATE TABLE big (id int PRIMARY KEY, n bigint, v text)", "CREATE TABLE other (id int PRIMARY KEY)",
               "INSERT INTO big SELECT i, i, 'old ' || i FROM generate_series(1, 1000) i")
    replica = make_replica(by=release_engine)
    replica.once()
    db.execute("INSERT INTO other VALUES (1)",
               "BEGIN; INSERT INTO big SELECT i, i * 7::bigint, 'value ' || i FROM generate_series(1001,"
               f" {rows}) i; UPDATE big SET v = v || '!' WHERE id % 10 = 0;"
               " UPDATE big SET id = -id WHERE id % 1000 = 7; DELETE FROM big WHERE id % 50 = 3;"
               " INSERT INTO other VALUES (2); COMMIT",
               "INSERT INTO other VALUES (3)")
    with Score("T9", f"into tables, one transaction of more than {rows} changes") as score:
        whole = db.value("SELECT count(*) FROM big")
        query = "SELECT (SELECT count(*) FROM big), EXISTS (SELECT FROM other WHERE id = 2)"
        with Watch(target, query) as watch:
            result = replica.once(timeout=200)
        score.fault()
        score.saw(result.peak_rss_kib)
        assert watch.seen <= {(1000, False), (whole, True)}, watch.seen
        assert watch.looks > 5
        assert result.peak_rss_kib < 192 * 1024, f"{result.peak_rss_kib} KiB"
        assert target.query(CONTENT.format("big")) == db.query(CONTENT.format("big"))
        assert target.query("SELECT id FROM other ORDER BY 1") == [(1,), (2,), (3,)]
        score.took(Totals(rows=whole))
        score.survive()
        print(f"{result.peak_rss_kib // 1024} MiB, {result.seconds:.1f} s, {result.cpu_seconds:.1f} CPU-s,"
              f" {watch.looks} looks")


@pytest.mark.slow
@pytest.mark.timeout(size(200, 900))
def test_killed_inside_a_large_transaction(make_replica, db, target):
    """What was written of it is rolled back with its session; the next life writes it as a whole."""
    chance = random.Random(SEED)
    rows = size(120_000, 600_000)
    db.execute("CREATE TABLE big (id int PRIMARY KEY, v text)")
    replica = make_replica()
    replica.once()
    db.execute(f"INSERT INTO big SELECT i, repeat('x', 100) FROM generate_series(1, {rows}) i",
               "UPDATE big SET v = 'y' WHERE id % 10 = 0")
    with Score("T9", f"into tables, killed inside a large transaction, seed {SEED}") as score:
        with Watch(target, "SELECT count(*), count(*) FILTER (WHERE v = 'y') FROM big") as watch:
            for _ in range(4):
                run = replica.start()
                # A kill may have come just after the commit: then there is nothing left to write.
                replica.wait_for(lambda: bool(target.value(
                    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND"
                    " application_name LIKE 'sluice%' AND state <> 'idle' AND xact_start IS NOT NULL)"
                    " OR EXISTS (SELECT FROM big WHERE v = 'y')")), "a transaction of the target", run)
                if target.value("SELECT EXISTS (SELECT FROM big WHERE v = 'y')"):
                    run.terminate()
                    run.wait(60)
                    break
                threading.Event().wait(chance.uniform(0.05, 0.6))
                run.kill9()
                score.fault()
                score.survive()
            replica.once(timeout=180)
        assert watch.seen <= {(0, 0), (rows, 0), (rows, rows // 10)}, watch.seen
        score.took(replica.compare_tables(["public.big"]))
    assert score.faults >= 1


@pytest.mark.slow
@pytest.mark.parametrize("small_rows", [0, 64])
def test_subtransactions_with_aborts(make_replica, db, target, small_rows):
    """Two thousand savepoints, every third rolled back, nested ones too."""
    count = size(2000, 5000)
    db.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text)",
        MANY,
    )
    replica = make_replica(sink={"small_rows": small_rows})
    replica.once()
    with Score("T9", f"into tables, {count} subtransactions, a third rolled back, small_rows {small_rows}") as score:
        score.fault(count)
        db.execute(f"CALL many({count})", "BEGIN; INSERT INTO t VALUES (-1, 'gone'); ROLLBACK", "CALL many(0)")
        replica.once()
        score.took(replica.compare_tables(["public.t"]))
        assert target.value("SELECT count(*) FROM t") == count - count // 3
        score.survive(count)


@pytest.mark.slow
@pytest.mark.parametrize("apply", ["epoch", "transactional"])
def test_fifty_interleaved_transactions(make_replica, db, target, apply):
    """Open at once, row after row in turn, committed in another order, every fourth rolled back."""
    db.execute("CREATE TABLE t (tx int, n int, v text, PRIMARY KEY (tx, n))",
               "CREATE TABLE last (one int PRIMARY KEY, tx int)",
               "INSERT INTO last VALUES (1, -1)", "CREATE TABLE not_ours (id int)")
    replica = make_replica(tables=["public.t", "public.last"], sink={"apply": apply})
    replica.once()
    with Score("T9", f"into tables, 50 interleaved transactions, apply {apply}") as score:
        sessions = [db.connect(autocommit=False) for _ in range(50)]
        for number in range(20):
            for which, session in enumerate(sessions):
                session.execute("INSERT INTO t VALUES (%s, %s, %s)", [which, number, "x" * which])
                if number % 4 == 3:
                    session.execute("UPDATE t SET v = 'u' WHERE tx = %s AND n = %s", [which, number - 1])
        for which in (which for at in range(7) for which in range(at, 50, 7)):
            score.fault()
            if which % 4 == 0:
                sessions[which].rollback()
            else:
                sessions[which].execute("UPDATE last SET tx = %s", [which])  # the order of commits shows in it
                sessions[which].commit()
            db.execute("BEGIN; COMMIT", "INSERT INTO not_ours VALUES (1)", "SELECT txid_current()")
        for session in sessions:
            session.close()
        replica.once()
        score.took(replica.compare_tables(["public.t", "public.last"]))
        assert target.value("SELECT count(DISTINCT tx) FROM t") == sum(1 for which in range(50) if which % 4)
        score.survive(50)
