"""T3 and T5 out of SQL Server (the stand-in): the server dies and comes back, or hangs while it is asked."""

from __future__ import annotations

import random
import threading
import time

import pytest
from support.mssql import MsReplica
from support.msload import COLUMNS, MsLoad, setup
from support.score import Score, size
from support.tds import MssqlServer

SEED = 60603


@pytest.fixture
def own(pg_server):
    server = MssqlServer(pg_server)
    yield server
    server.destroy()


@pytest.fixture
def replica(release_engine, own, target):
    one = MsReplica(release_engine, own.create_database(), target,
                    source={"query_timeout": "2s", "login_timeout": "2s"})
    yield one
    one.close()


def judge(score: Score, replica: MsReplica) -> None:
    score.survive(score.faults)
    for table, columns in COLUMNS.items():
        score.took(replica.compare_to(table, columns))


@pytest.mark.slow
@pytest.mark.timeout(size(240, 900))
def test_server_killed(own, replica):
    """Connections cut, nothing taken for a moment: in the load first, then in the feed; one engine outlives all."""
    chance = random.Random(SEED)
    setup(replica.db, rows=size(2000, 20000))
    with Score("T3", f"sqlserver -> pg, seed {SEED}") as score:
        with MsLoad(replica.db, writers=3, seed=SEED, rate=40):
            run = replica.start()
            for number in range(size(10, 40)):
                time.sleep(chance.uniform(0.05, 0.4) if number < 3 else chance.uniform(0.3, 1.5))
                assert run.poll() is None, run.wait().describe()
                own.kill9()
                score.fault()
                time.sleep(chance.uniform(0.0, 0.5))
                own.start()
            before = replica.epochs()
            replica.wait_epochs(before + 2, run)
        run.terminate()
        run.wait(60).expect(0)
        replica.once(timeout=180)
        judge(score, replica)


@pytest.mark.slow
@pytest.mark.timeout(size(240, 900))
def test_server_hangs(own, replica):
    """In logins, and in the middle of rows, for longer than the deadlines: both fire, and nothing is lost by it."""
    setup(replica.db, rows=3000)
    with Score("T5", "sqlserver -> pg, hangs") as score:
        held = own.holds["login"] = threading.Event()
        run = replica.start()
        replica.wait_for(lambda: "silent for too long" in run.stderr, "the login's deadline", run)
        score.fault()
        hang = threading.Event()

        def on_row(_session, row: int) -> None:
            if row == 700 and not hang.is_set():
                hang.wait(600)

        own.on_row = on_row
        held.set()
        del own.holds["login"]
        replica.wait_for(lambda: run.stderr.count("silent for too long") >= 1, "the deadline within rows", run)
        score.fault()
        own.on_row = None
        hang.set()
        replica.wait_for(lambda: len(replica.complete()) == len(COLUMNS), "the load", run)
        with MsLoad(replica.db, writers=2, seed=SEED, rate=100):
            replica.wait_epochs(2, run)
            stuck = threading.Event()
            own.on_row = lambda _session, _row: None if stuck.is_set() else stuck.wait(600)
            told = run.stderr.count("silent for too long")
            replica.wait_for(lambda: run.stderr.count("silent for too long") > told, "the deadline in the feed", run)
            score.fault()
            own.on_row = None
            stuck.set()
            replica.wait_epochs(replica.epochs() + 2, run)
        run.terminate()
        run.wait(60).expect(0)
        replica.once(timeout=180)
        judge(score, replica)
