"""The PostgreSQL source when something is wrong: servers, logins, TLS, kills, cancels, sizes."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from support import pg, proc, tls
from support.pgreader import Reader, binary, parse  # noqa: F401 (fixtures)

BIG = "SELECT g AS id, repeat('x', 500) AS pad FROM generate_series(1, 400000) g"


def backends(db: pg.PgDatabase) -> list[tuple]:
    return db.query("SELECT pid, state, query FROM pg_stat_activity WHERE datname = current_database()"
                    " AND application_name = 'sluice' ORDER BY backend_start")


def gone(db: pg.PgDatabase) -> bool:
    return not backends(db)


def test_refused_logins(db: pg.PgDatabase, binary: Path):
    db.execute("CREATE TABLE t (a int)")
    rc, _, err = Reader(db, binary, password="wrong").run("public.t")
    assert rc == 1 and "AUTH:" in err and "28P01" in err and "wrong" not in err
    rc, _, err = Reader(db, binary, password="").run("public.t")
    assert rc == 1 and "AUTH:" in err and "option password" in err
    rc, _, err = Reader(db, binary, database="nope").run("public.t")
    assert rc == 1 and "NOT_FOUND:" in err and "option database" in err
    rc, _, err = Reader(db, binary, port=proc.free_port()).run("public.t")
    assert rc == 1 and "UNAVAILABLE (retryable):" in err and "hint" in err
    rc, out, err = Reader(db, binary, port=proc.free_port()).run("--mode", "check", "public.t")
    assert rc == 1 and out.startswith("error\tconnection")
    # The password of a URI is as secret.
    uri = f"postgresql://{pg.USER}:hunter2@127.0.0.1:{db.server.port}/{db.name}"
    bad = Reader(db, binary)
    bad.config = {"uri": uri}
    rc, out, err = bad.run("public.t")
    assert rc == 1 and "AUTH:" in err and "hunter2" not in out + err


def test_silent_server(db: pg.PgDatabase, binary: Path):
    """Something that accepts and never answers costs connect_timeout, no more."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        start = time.monotonic()
        rc, _, err = Reader(db, binary, port=mute.getsockname()[1], connect_timeout="1s").run("public.t")
        assert rc == 1 and "UNAVAILABLE (retryable):" in err and time.monotonic() - start < 4


def test_a_server_that_is_not_postgres(db: pg.PgDatabase, binary: Path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        def answer() -> None:
            conn, _ = other.accept()
            with conn:
                conn.recv(100)
                conn.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        thread = threading.Thread(target=answer)
        thread.start()
        port = other.getsockname()[1]
        rc, _, err = Reader(db, binary, port=port, connect_timeout="5s", sslmode="disable").run("public.t")
        thread.join()
        assert rc == 1 and "UNAVAILABLE" in err


def test_tls(binary: Path, workdir: Path):
    authority = tls.Authority.create(workdir / "ca")
    stranger = tls.Authority.create(workdir / "other")
    server = pg.PgServer.create(tls=authority.issue("server"))
    try:
        with server.database() as db:
            db.execute("CREATE TABLE t AS " + BIG.replace("400000", "20000"))
            ca = str(authority.ca_file)
            good = Reader(db, binary, host="localhost", sslmode="verify-full", sslrootcert=ca)
            rc, out, err = good.run("public.t")
            assert rc == 0 and "rows 20000" in out, err
            assert "TLSv1" in good.run("--mode", "check", "public.t")[1]
            rc, _, err = Reader(db, binary, sslmode="verify-full", sslrootcert=str(stranger.ca_file)).run("public.t")
            assert rc == 1 and "AUTH:" in err and "certificate" in err
            rc, _, err = Reader(db, binary, sslmode="verify-full").run("public.t")  # the system's own
            assert rc == 1 and "AUTH:" in err
            assert Reader(db, binary).run("public.t")[0] == 0  # loopback: prefer
    finally:
        server.destroy()


def test_wrong_name_in_certificate(binary: Path, workdir: Path):
    authority = tls.Authority.create(workdir / "ca")
    server = pg.PgServer.create(tls=authority.issue("server", hosts=("DNS:db.example.com",)))
    try:
        with server.database() as db:
            db.execute("CREATE TABLE t (a int)")
            ca = str(authority.ca_file)
            rc, _, err = Reader(db, binary, host="localhost", sslmode="verify-full", sslrootcert=ca).run("public.t")
            assert rc == 1 and "AUTH:" in err
            assert Reader(db, binary, host="localhost", sslmode="verify-ca", sslrootcert=ca).run("public.t")[0] == 0
    finally:
        server.destroy()


def test_reader_killed(db: pg.PgDatabase, binary: Path):
    """A reader's backend that dies is worth a retry: the holder still has the snapshot."""
    db.execute("CREATE VIEW slow AS SELECT g, pg_sleep(0.001)::text AS s FROM generate_series(1, 100000) g")
    child = Reader(db, binary).start("--threads", "1", "public.slow")
    wait_for_copy(db)
    db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%'"
               " AND datname = current_database() AND pid <> pg_backend_pid()")
    rc, _, err = Reader(db, binary).finish(child)
    assert rc == 1 and "IO (retryable):" in err and "57P01" in err


def test_holder_killed(db: pg.PgDatabase, binary: Path):
    db.execute("CREATE TABLE t (a int)")
    reader = Reader(db, binary)
    child = reader.pause("public.t")
    assert len(backends(db)) == 1
    db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sluice'"
               " AND datname = current_database()")
    proc.wait_until(lambda: gone(db), 5, "the holder's end")
    rc, _, err = reader.finish(child, "\n")
    assert rc == 1 and "load:public.t:0001: SNAPSHOT_LOST:" in err


def test_server_killed(binary: Path):
    server = pg.PgServer.create()
    try:
        with server.connect() as conn:
            conn.execute("CREATE VIEW slow AS SELECT g, pg_sleep(0.001)::text AS s FROM generate_series(1, 100000) g")
        db = pg.PgDatabase(server, "postgres")
        reader = Reader(db, binary)
        child = reader.start("public.slow")
        wait_for_copy(db)
        server.stop("immediate")
        rc, _, err = reader.finish(child, timeout=20)
        assert rc == 1 and "(retryable):" in err
    finally:
        server.destroy()


def wait_for_copy(db: pg.PgDatabase) -> None:
    proc.wait_until(
        lambda: any(query.startswith("COPY") and state == "active" for _, state, query in backends(db)),
        15, "COPY running")


def test_cancel(db: pg.PgDatabase, binary: Path):
    """Every wait ends at once, and the server does not go on working for nobody."""
    db.execute("CREATE VIEW stuck AS SELECT pg_sleep(1000)::text AS s")
    reader = Reader(db, binary)
    child = reader.start("public.stuck")
    wait_for_copy(db)
    start = time.monotonic()
    child.send_signal(signal.SIGTERM)
    rc, _, err = reader.finish(child, timeout=10)
    assert rc == 1 and "CANCELLED" in err and time.monotonic() - start < 3
    proc.wait_until(lambda: gone(db), 5, "the statement's end at the server")


def test_cancel_while_connecting(db: pg.PgDatabase, binary: Path):
    with socket.create_server(("127.0.0.1", 0)) as mute:
        reader = Reader(db, binary, port=mute.getsockname()[1], connect_timeout="60s")
        child = reader.start("public.t")
        time.sleep(1)
        start = time.monotonic()
        child.send_signal(signal.SIGTERM)
        rc, _, err = reader.finish(child, timeout=10)
        assert rc == 1 and "CANCELLED" in err and time.monotonic() - start < 3


def test_locked_table(db: pg.PgDatabase, binary: Path):
    """A lock keeps its table waiting for lock_timeout, not the start of the load."""
    db.execute("CREATE TABLE t (a int); CREATE TABLE u (a int); INSERT INTO u VALUES (1)")
    with db.connect(autocommit=False) as conn:
        conn.execute("LOCK TABLE t")
        rc, out, err = Reader(db, binary, lock_timeout="1s").run("--mode", "print", "public.t", "public.u")
    assert rc == 1 and "load:public.t:0001: TIMEOUT (retryable):" in err and "55P03" in err
    assert parse(out)["public.u"] == [["1"]]


def test_statement_timeout(db: pg.PgDatabase, binary: Path):
    db.execute("CREATE VIEW slow AS SELECT pg_sleep(100)::text AS s")
    rc, _, err = Reader(db, binary, statement_timeout="300ms").run("public.slow")
    assert rc == 1 and "TIMEOUT (retryable):" in err and "57014" in err


def test_row_data_stays_out_of_messages(db: pg.PgDatabase, binary: Path):
    db.execute("CREATE FUNCTION boom(text) RETURNS int LANGUAGE plpgsql AS"
               " $$ BEGIN RAISE EXCEPTION 'boom' USING DETAIL = $1, ERRCODE = 'P0001'; END $$",
               "CREATE TABLE t (a text); INSERT INTO t VALUES ('very secret row')",
               "CREATE VIEW v AS SELECT boom(a) FROM t")
    rc, out, err = Reader(db, binary).run("public.v")
    assert rc == 1 and "DATA:" in err and "boom" in err and "secret" not in out + err


def test_too_few_connections(binary: Path):
    server = pg.PgServer.create(settings={"max_connections": "5", "superuser_reserved_connections": "0",
                                          "max_wal_senders": "0", "wal_level": "replica"})
    try:
        with server.connect() as conn:
            for i in range(8):
                conn.execute(f"CREATE TABLE t{i} AS " + BIG.replace("400000", "50000"))
            db = pg.PgDatabase(server, "postgres")
            rc, _, err = Reader(db, binary).run("--threads", "8", "*")
            assert rc == 1 and "UNAVAILABLE (retryable):" in err and "53300" in err
            out = Reader(db, binary).run("--mode", "check", "--threads", "8", "public.t0")[1]
            assert "ALTER SYSTEM SET wal_level = logical" in out and "max_connections" in out
            assert "change capture\t\tnot possible" in out
    finally:
        server.destroy()


def test_large_values(db: pg.PgDatabase, binary: Path):
    db.execute("CREATE TABLE t (id int, a text); ALTER TABLE t ALTER a SET STORAGE EXTERNAL",
               "INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 1000) g",
               "INSERT INTO t VALUES (0, repeat('0123456789', 10000000))")
    release = Path(os.environ.get("SLUICE_PG_READER_RELEASE", ""))
    rc, out, err = Reader(db, binary).run("public.t")
    assert rc == 0 and "rows 1001" in out, err
    if release.is_file():
        rc, out, err = Reader(db, release).run("public.t")
        assert rc == 0 and int(out.split("rss ")[1].split()[0]) < 400
    rc, _, err = Reader(db, binary, max_row_bytes="50MiB").run("public.t")
    assert rc == 1 and "LIMIT:" in err and "max_row_bytes" in err
    if release.is_file():  # seen before the whole row is in memory
        rc, _, err = Reader(db, release, max_row_bytes="1MiB").run("public.t")
        assert rc == 1 and "LIMIT:" in err and "max_row_bytes" in err


@pytest.mark.slow
def test_value_larger_than_the_server_can_send(db: pg.PgDatabase, binary: Path):
    db.execute("CREATE VIEW v AS SELECT repeat('x', 600000000) AS a, repeat('y', 600000000) AS b")
    rc, _, err = Reader(db, binary).run("public.v")
    assert rc == 1 and "LIMIT:" in err
