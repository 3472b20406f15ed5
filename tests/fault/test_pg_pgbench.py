"""pgbench, with its history table that has no key, replicated live, killed on the way, and compared by
`sluice verify` and by hand."""

from __future__ import annotations

import os
import subprocess

import pytest
from support import proc
from support.pipe import sleep_or_end
from support.score import Score, size

TABLES = ["public.pgbench_accounts", "public.pgbench_branches", "public.pgbench_history", "public.pgbench_tellers"]


def pgbench(db, *args: str) -> subprocess.Popen:
    command = [str(db.server.bin_dir / "pgbench"), *args]
    return subprocess.Popen(command, env={**os.environ, **db.env()}, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)


@pytest.mark.slow
@pytest.mark.timeout(size(300, 900))
def test_pgbench(release_engine, make_replica, own_server):
    # A server of its own: what it writes is more than others can wait for.
    server = own_server({"max_wal_size": "4GB"})
    db, target = server.create_database(), server.create_database("to")
    made = pgbench(db, "-i", "-q", "-s", "10")
    text, _ = made.communicate(timeout=120)
    assert made.returncode == 0, text
    # History has no key, and only inserts.
    replica = make_replica(on=db, to=target, by=release_engine, tables=TABLES,
                           source={"without_identity": "insert_only"})
    with Score("T1", "pgbench, scale 10, 8 clients, killed thrice") as score:
        work = pgbench(db, "-c", "8", "-j", "2", "-T", str(size(20, 120)), "-n")
        try:
            for _ in range(3):
                before = replica.epochs()
                run = replica.start()
                replica.wait_epochs(before + 1, run, timeout=120)
                assert sleep_or_end(run, 1.5), run.wait().describe()
                score.saw(run.pid, is_pid=True)
                run.kill9()
                score.fault()
            run = replica.start()
            text, _ = work.communicate(timeout=size(120, 300))
        finally:
            proc.stop(work.pid)
        assert work.returncode == 0, text
        replica.wait_caught_up(run, timeout=120)
        run.terminate()
        run.wait(60).expect(0)
        score.survive(score.faults)
        score.took(replica.compare_tables(TABLES))
        done = release_engine.cmd("verify", str(replica.path), timeout=120)
        done.expect(0)
        print(text[-400:], done.stdout)
        # And what differs is found.
        target.execute("UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = 77777",
                       "DELETE FROM pgbench_history WHERE ctid = (SELECT min(ctid) FROM pgbench_history)")
        found = release_engine.cmd("verify", str(replica.path), "--window", "1s", timeout=120)
        found.expect(4)
        assert "77777" in found.stdout, found.stdout
