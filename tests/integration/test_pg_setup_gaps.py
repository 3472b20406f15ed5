"""The PostgreSQL source made ready for a feed: slots of others, gaps, failpoints, retire, measure, check.
Driven by pg_setup, without the engine."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest
from support import pg
from support.pgreader import role
from support.pgsetup import Answer, Setup, find_setup, make_tables

SYNC = "SET synchronous_commit = on"


@pytest.fixture(scope="session")
def setup_binary() -> Path:
    return find_setup()


@pytest.fixture
def made(db: pg.PgDatabase, setup_binary: Path) -> Setup:
    make_tables(db)
    return Setup(db, setup_binary)


# ---------------------------------------------------------------- slots of others, gaps


def test_slot_of_another_plugin(made: Setup):
    made.db.execute(f"SELECT pg_create_logical_replication_slot('{made.name}', 'test_decoding')")
    err = made.fail("public.t")
    assert "CONFLICT (fatal)" in err and "of plugin test_decoding" in err
    assert made.publications() == []


def test_slot_of_another_database(made: Setup):
    with made.db.server.database() as other:
        other.execute(f"SELECT pg_create_logical_replication_slot('{made.name}', 'pgoutput')")
        err = made.fail("public.t")
        assert "CONFLICT (fatal)" in err and f"belongs to database {other.name}" in err
        assert made.publications() == []


def test_physical_slot(made: Setup):
    made.db.execute(f"SELECT pg_create_physical_replication_slot('{made.name}')")
    try:
        assert "a physical slot" in made.fail("public.t")
    finally:
        made.db.execute(f"SELECT pg_drop_replication_slot('{made.name}')")


def read_slot(made: Setup) -> subprocess.Popen:
    """Somebody else who reads the slot."""
    tool = made.db.server.bin_dir / "pg_recvlogical"
    child = subprocess.Popen(
        [str(tool), "-d", made.db.name, "-S", made.name, "--start", "-o", "proto_version=1", "-o",
         f'publication_names="{made.name}"', "-f", "/dev/null"],
        env={**os.environ, **made.db.env()}, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if made.db.value("SELECT active FROM pg_replication_slots WHERE slot_name = %s", [made.name]):
            return child
        time.sleep(0.05)
    raise AssertionError("pg_recvlogical does not start")


def test_slot_in_use(made: Setup):
    first = made.ok("public.t")
    child = read_slot(made)
    try:
        pid = made.db.value("SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s", [made.name])
        err = made.fail("-public.t", "--resume", first.start)
        assert "UNAVAILABLE (retryable)" in err and f"server process {pid}" in err
        err = made.fail("--do", "retire")
        assert "CONFLICT (fatal)" in err and f"server process {pid}" in err
        assert made.slots() == [made.name] and made.publications() == [made.name]
        # It ends while we wait.
        timer = threading.Timer(1.0, child.terminate)
        timer.start()
        made.ok("-public.t", "--mode", "cdc_only")  # from where the other one left the slot
        timer.join()
    finally:
        child.kill()
        child.wait()


def gap(made: Setup, first: Answer, *more: str, **config) -> str:
    err = made.fail("-public.t", "--resume", first.start, *more, **config)
    assert "POSITION_LOST (fatal)" in err and "sluice state reset" in err
    return err


def test_gap_slot_gone(made: Setup):
    first = made.ok("public.t")
    made.db.execute(f"SELECT pg_drop_replication_slot('{made.name}')")
    assert f"replication slot {made.name} is gone" in gap(made, first)
    assert made.slots() == []


def test_gap_slot_made_anew(made: Setup):
    first = made.ok("public.t")
    made.db.execute(f"SELECT pg_drop_replication_slot('{made.name}')", "INSERT INTO t VALUES (1000, 'x')",
                    f"SELECT pg_create_logical_replication_slot('{made.name}', 'pgoutput')")
    assert "stands at" in gap(made, first)


def test_gap_slot_advanced(made: Setup):
    first = made.ok("public.t")
    made.db.execute(SYNC, "INSERT INTO t VALUES (1000, 'x')",
                    f"SELECT pg_replication_slot_advance('{made.name}', pg_current_wal_lsn())")
    assert "somebody advanced it" in gap(made, first)


def test_gap_restored_backup(made: Setup):
    first = made.ok("public.t")
    first.shards["pg/changes"][1] = "00000fff00000000"
    assert "it was restored from a backup" in gap(made, first)


def test_gap_another_server(made: Setup):
    first = made.ok("public.t")
    err = gap(made, first, "--created", f"system=1 slot={made.name}")
    assert "this is another server (system identifier" in err


def test_reserved_words_as_names(made: Setup):
    made.db.execute('CREATE SCHEMA "order"', 'CREATE TABLE "order"."select" (id int)', 'CREATE TABLE "Ä b""c" (id int)')
    err = made.fail('"order"."select"'.replace('"', ""), 'public."Ä b""c"')
    statements = ['ALTER TABLE "order"."select" REPLICA IDENTITY FULL',
                  'ALTER TABLE public."Ä b""c" REPLICA IDENTITY FULL']
    assert all(statement in err for statement in statements)
    made.db.execute(*statements)
    made.ok("order.select", 'public."Ä b""c"')
    assert made.published() == ["select", 'Ä b"c']


def test_gap_publication_gone(made: Setup):
    first = made.ok("public.t")
    made.db.execute(f"DROP PUBLICATION {made.name}")
    assert f"publication {made.name} is gone" in gap(made, first)
    assert made.publications() == []


def test_gap_table_taken_out(made: Setup):
    first = made.ok("public.t", "public.u")
    made.db.execute(f"ALTER PUBLICATION {made.name} DROP TABLE u")
    err = gap(made, first, "-public.u")
    assert f"table public.u was taken out of publication {made.name}" in err
    assert "sluice state reset --stream 'public.u' FILE" in err
    made.ok("-public.t", "public.u", "--resume", first.start)
    assert made.published() == ["t", "u"]


def test_gap_slot_lost(setup_binary: Path):
    server = pg.PgServer.create({"max_slot_wal_keep_size": "1MB", "wal_keep_size": "0", "max_wal_size": "32MB",
                                 "min_wal_size": "32MB"})
    try:
        with server.database() as db:
            db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
            made = Setup(db, setup_binary)
            first = made.ok("public.t")
            for _ in range(3):
                db.execute("INSERT INTO t SELECT i, repeat('x', 200) FROM generate_series(1, 5000) i",
                           "DELETE FROM t", "SELECT pg_switch_wal()", "CHECKPOINT")
            err = gap(made, first)
            assert "is lost" in err and f"pg_drop_replication_slot('{made.name}')" in err
            assert "is lost" in made.fail("public.t")
            lag = made.ok("--do", "measure")
            assert "is lost" in lag.out
            made.ok("--do", "retire")
            made.nothing_made()
    finally:
        server.destroy()


def test_verify(made: Setup):
    assert made.ok("--do", "verify", "public.t").lines[-1] == ["verified"]


@pytest.mark.parametrize("statement,expected", [
    ("SELECT pg_drop_replication_slot('{name}')", "is gone: somebody dropped it"),
    ("SELECT pg_replication_slot_advance('{name}', pg_current_wal_lsn())", "stands at"),
    ("DROP PUBLICATION {name}", "publication {name} is gone"),
    ("ALTER PUBLICATION {name} DROP TABLE t", "table public.t was taken out"),
])
def test_verify_gaps(made: Setup, statement: str, expected: str):
    """What happens between two connects of a running feed."""
    child, head = made.pause("--do", "verify", "-public.t", "--mode", "cdc_only")
    made.db.execute(SYNC, "INSERT INTO t VALUES (1000, 'x')", statement.format(name=made.name))
    answer = made.finish(child, "\n", head)
    assert answer.rc == 1 and "verify: POSITION_LOST (fatal)" in answer.err, answer.err
    assert expected.format(name=made.name) in answer.err and "sluice state reset" in answer.err


def test_verify_dropped_table_is_no_gap(made: Setup):
    child, head = made.pause("--do", "verify", "-public.t", "-public.u", "--mode", "cdc_only")
    made.db.execute("DROP TABLE u")
    assert made.finish(child, "\n", head).rc == 0


def test_verify_position_beyond_the_log(made: Setup):
    err = made.fail("--do", "verify", "--position", "00000fff00000000", "-public.t", "--mode", "cdc_only")
    assert "POSITION_LOST (fatal)" in err and "restored from a backup" in err


# ---------------------------------------------------------------- failpoints


@pytest.mark.parametrize("how", ["--crash", "--fail"])
@pytest.mark.parametrize("point", [
    "before_publication", "after_publication", "before_slot", "after_slot", "before_snapshot_import"])
def test_failpoints(made: Setup, point: str, how: str):
    """Wherever the first start dies, the second one works, and one slot and publication are left."""
    answer = made.run("public.t", how, f"postgres.{point}")
    assert answer.rc == (137 if how == "--crash" else 1), answer.err
    made.db.execute("INSERT INTO t VALUES (1000, 'x')")
    answer = made.ok("public.t")
    assert answer.rows == {"public.t": 101} and answer.start <= answer.streams["public.t"][4]
    assert made.slots() == [made.name] and made.publications() == [made.name]
    assert made.name in answer.created and "publication=" in answer.created


@pytest.mark.parametrize("how", ["--crash", "--fail"])
def test_failpoint_of_the_temporary_slot(made: Setup, how: str):
    made.ok("public.t")
    made.run("public.t", how, "postgres.after_temp_slot")
    deadline = time.monotonic() + 10
    while len(made.slots()) > 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert made.slots() == [made.name]


# ---------------------------------------------------------------- retire, measure


def test_retire(made: Setup):
    assert "there is nothing" in made.ok("--do", "retire").out
    first = made.ok("public.t")
    answer = made.ok("--do", "retire", "--created", first.created)
    assert answer.finding(f"slot {made.name}")[3] == "dropped"
    assert answer.finding(f"publication {made.name}")[3] == "dropped"
    made.nothing_made()


def test_retire_without_state(made: Setup):
    """The state was lost: what bears the default name, or our mark, is still ours."""
    made.ok("public.t")
    made.ok("--do", "retire")
    made.nothing_made()


def test_retire_leaves_others(made: Setup):
    made.db.execute("CREATE PUBLICATION mine FOR TABLE t",
                    f"SELECT pg_create_logical_replication_slot('x_{made.name}', 'pgoutput')")
    answer = made.ok("--do", "retire", slot=f"x_{made.name}", publication="mine")
    assert "stays" in answer.finding(f"slot x_{made.name}")[3]
    assert "stays" in answer.finding("publication mine")[3]
    assert made.slots() == [f"x_{made.name}"] and made.publications() == ["mine"]


def test_retire_at_another_server(made: Setup):
    answer = made.ok("--do", "retire", "--created", f"system=1 slot=x_{made.name}")
    assert "another server" in answer.out


def test_measure(made: Setup):
    assert "there is no replication slot" in made.ok("--do", "measure").out
    first = made.ok("public.t")
    made.db.execute("INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1000, 3000) i")
    made.db.execute("CHECKPOINT")  # what is measured is the log that is flushed
    answer = made.ok("--do", "measure")
    behind, retained, remaining = (int(answer.field("lag", i)) for i in (1, 2, 3))
    assert behind > 200000 and retained >= behind and remaining == -1
    assert answer.field("lag", 6).startswith("nobody reads")
    end = made.lsn()
    answer = made.ok("--do", "measure", "--position", end)
    # Other tests write to the same log meanwhile.
    assert int(answer.field("lag", 1)) <= int(made.lsn(), 16) - int(end, 16)
    assert int(made.ok("--do", "measure", "--position", first.start).field("lag", 1)) > 200000


def test_measure_does_not_hang(made: Setup):
    """Two seconds of a server that takes connections and says nothing."""
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        began = time.monotonic()
        err = made.fail("--do", "measure", port=silent.getsockname()[1])
        assert time.monotonic() - began < 8 and "measure: UNAVAILABLE (retryable)" in err


# ---------------------------------------------------------------- the server


def test_not_logical(setup_binary: Path):
    server = pg.PgServer.create({"wal_level": "replica"})
    try:
        with server.database() as db:
            db.execute("CREATE TABLE t (id int PRIMARY KEY)")
            made = Setup(db, setup_binary)
            err = made.fail("public.t")
            assert "UNAVAILABLE (fatal): the server's wal_level is replica" in err
            assert "ALTER SYSTEM SET wal_level = logical" in err
            made.nothing_made()
    finally:
        server.destroy()


def test_no_slot_is_free(setup_binary: Path):
    server = pg.PgServer.create({"max_replication_slots": "1"})
    try:
        with server.database() as db:
            db.execute("CREATE TABLE t (id int PRIMARY KEY)")
            made = Setup(db, setup_binary)
            made.ok("public.t")
            err = made.fail("public.t")
            assert "all 1 replication slots of the server are taken" in err and "max_replication_slots" in err
    finally:
        server.destroy()


# ---------------------------------------------------------------- check


def test_check_possible(made: Setup):
    answer = made.ok("--do", "check", "public.t", "public.u")
    assert answer.finding("change capture") == [
        "ok", "change capture", "", "change data capture is possible here", ""]
    assert answer.finding("replication connection")[0] == "ok"
    assert answer.finding(f"slot {made.name}")[3] == "is not there yet; the first run makes it"
    assert answer.finding(f"publication {made.name}")[3] == "is not there yet; the first run makes it"
    assert "no limit" in answer.finding("max_slot_wal_keep_size")[3]
    made.nothing_made()
    made.ok("public.t")
    answer = made.ok("--do", "check", "public.t")
    assert "stands at" in answer.finding(f"slot {made.name}")[3]
    assert answer.finding(f"publication {made.name}")[3] == "is ours, with exactly the chosen tables"
    answer = made.ok("--do", "check", "public.t", "public.u")
    assert "in step" in answer.finding(f"publication {made.name}")[3]
    # The slot of a pipeline that has gone back to full loads.
    answer = made.ok("--do", "check", "--mode", "full_load_only", "public.t")
    slot = answer.finding(f"slot {made.name}")
    assert slot[0] == "warn" and "sluice retire" in slot[4]
    assert answer.finding("mode")[3].startswith("full_load_only: what changes after the load is not captured")


def test_check_says_why_not(setup_binary: Path):
    server = pg.PgServer.create({"wal_level": "replica", "max_replication_slots": "0"})
    try:
        with server.database() as db:
            db.execute("CREATE TABLE t (id int)", "CREATE VIEW v AS SELECT 1 AS a")
            made = Setup(db, setup_binary)
            with role(db) as name:
                db.execute(f"GRANT SELECT ON t, v TO {name}")
                answer = made.ok("--do", "check", "public.t", "public.v", user=name, password="r")
                assert answer.finding("wal_level")[0] == "error"
                assert answer.finding("max_replication_slots")[0] == "error"
                assert answer.finding("role")[4] == f"ALTER ROLE {name} REPLICATION"
                assert [f for f in answer.findings if f[1] == "public.t" and f[0] == "error"] == [
                    ["error", "public.t", "without_identity", "has no replica identity: once published, its updates"
                     " and deletes would fail at the source", "ALTER TABLE public.t REPLICA IDENTITY FULL"]]
                assert answer.finding("public.v")[3] == "has no changes to capture: it is a view"
                publication = answer.finding(f"publication {made.name}")
                assert publication[0] == "error" and "no CREATE right on database" in publication[3]
                assert publication[4].startswith("run as owner: CREATE PUBLICATION")
                last = answer.finding("change capture")
                assert last[0] == "error"
                assert last[3] == ("not possible here yet, because of: wal_level, role, max_replication_slots,"
                                   f" replica identities, publication {made.name}")
                # A pipeline of full loads is told the same as a mere fact.
                answer = made.ok("--do", "check", "--mode", "full_load_only", "public.t", user=name, password="r")
                assert answer.finding("wal_level")[0] == answer.finding("change capture")[0] == "info"
                assert not [f for f in answer.findings if f[0] == "error"]
    finally:
        server.destroy()


def test_check_of_slot_and_publication_of_others(made: Setup):
    made.db.execute(f"SELECT pg_create_logical_replication_slot('{made.name}', 'test_decoding')",
                    "CREATE PUBLICATION mine FOR TABLE t")
    answer = made.ok("--do", "check", "public.t", "public.u", publication="mine")
    assert "of plugin test_decoding" in answer.finding(f"slot {made.name}")[3]
    assert answer.finding("publication mine")[4] == "run as owner: ALTER PUBLICATION mine ADD TABLE public.u"


def test_no_wal_senders(setup_binary: Path):
    server = pg.PgServer.create()
    try:
        with server.database() as db:
            db.execute("CREATE TABLE t (id int PRIMARY KEY)")
            made = Setup(db, setup_binary)
            server_conf = server.data / "postgresql.conf"
            with open(server_conf, "a", encoding="utf-8") as conf:
                conf.write("max_wal_senders = '0'\nwal_level = 'logical'\n")
            server.restart()
            answer = made.ok("--do", "check", "public.t")
            assert answer.finding("max_wal_senders")[0] == "error"
            assert "53300" in made.fail("public.t") or "max_wal_senders" in made.fail("public.t")
            made.nothing_made()
    finally:
        server.destroy()
