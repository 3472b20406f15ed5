"""T4 and T5 into tables, through a proxy in front of the target: the COMMIT is done and its reply lost; the
link is slow, cut in the middle of a message, in single bytes, silent, half open."""

from __future__ import annotations

import pytest
from support import faultproxy as fp
from support import load
from support.pgsink import BankWatch
from support.score import Score, size

SEED = 4404


@pytest.fixture
def linked(own_server, make_replica, db):
    """(replica, link): the target is reached through the proxy alone."""
    server = own_server()
    to = server.create_database("to")
    with fp.TcpProxy((server.host, server.port)) as link:
        host, port = link.endpoint.rsplit("//", 1)[-1].rsplit(":", 1)
        replica = make_replica(to=to, sink={
            "host": host, "port": int(port), "keepalives_idle": "2s", "keepalives_interval": "1s",
            "tcp_user_timeout": "4s", "connect_timeout": "5s"})
        yield replica, link


@pytest.mark.slow
@pytest.mark.timeout(size(240, 900))
def test_commit_reply_lost(linked, db):
    """At least twenty times: each commit is found by reading back, and none is made twice."""
    replica, link = linked
    load.setup(db, rows=100)
    with Score("T4", f"pg -> pg, replies to COMMIT dropped, seed {SEED}") as score, BankWatch(replica.target):
        with load.Load(db, writers=4, seed=SEED, rate=60) as work:
            run = replica.start()
            replica.wait_loaded(load.STREAMS, run, timeout=90)
            link.set(reset_on=b"COMMIT\0", reset_chance=0.4)
            replica.wait_for(lambda: link.triggered >= size(22, 100), "dropped replies", run, size(150, 600))
            link.set()
            score.fault(link.triggered)
            replica.wait_epochs(replica.epochs() + 2, run)
            score.saw(run.pid, is_pid=True)
            done = work.stop()
        run.terminate()
        run.wait(60).expect(0)
        replica.once(timeout=120)
        replica.judge_replica(score)
        score.survive(score.faults)
        print(done)


FAULTS = {
    "latency": {"latency": 0.02},
    "throttle": {"bytes_per_second": 200_000},
    "one byte": {"slice_bytes": 1},
    "reset mid-message": {"reset_after": 777},
    "closed mid-message": {"close_after": 1500},
    "half open": {"blackhole": True},
    "refused": {"refuse": True},
}


@pytest.mark.slow
@pytest.mark.timeout(size(280, 900))
def test_network_faults(linked, db):
    replica, link = linked
    load.setup(db, rows=60)
    with Score("T5", f"pg -> pg, {len(FAULTS)} faults of the link, seed {SEED}") as score, BankWatch(replica.target):
        with load.Load(db, writers=3, seed=SEED, rate=25) as work:
            # In the load, too.
            link.set(reset_after=20_000)
            run = replica.start()
            replica.wait_loaded(load.STREAMS, run, timeout=90)
            score.fault()
            score.survive()
            for name, fault in FAULTS.items():
                link.set(**fault)
                score.fault()
                if name in ("half open", "refused"):
                    work_for = 9 if name == "half open" else 2
                    if name == "refused":
                        link.kill_connections()
                    try:
                        replica.wait_for(lambda: False, name, run, work_for)
                    except AssertionError as waited:
                        assert "not within" in str(waited), waited
                elif name in ("latency", "throttle", "one byte"):
                    replica.wait_epochs(replica.epochs() + 3, run, timeout=60)
                else:
                    replica.wait_for(lambda: link.faults.reset_after < 0 and link.faults.close_after < 0, name, run, 60)
                link.set()
                replica.wait_epochs(replica.epochs() + 2, run, timeout=90)
                score.survive()
            done = work.stop()
        run.terminate()
        run.wait(60).expect(0)
        replica.once(timeout=120)
        replica.judge_replica(score)
        print(done)
