"""Ctrl-C at every stage, with real servers: exit 0 within two seconds, and the next run completes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from support import faultproxy as fp
from support import lake, pg, proc

# The wait after a failure, long enough to be interrupted in.
PATIENT = {"on_error": {"retry": {"max": 9, "backoff": "50s", "cap": "60s"}}}
ROWS = 20000


def file_sink(path):
    return {"plugin": "file", "config": {"path": str(path / "lake"), "format": "jsonl"}}


def stop(run, reached: Callable[[], bool], sig: int = signal.SIGINT) -> None:
    """Waits for the stage, interrupts, and expects the end that was promised."""
    run.wait_output("load")  # the engine runs: not before it, whatever the stage is told by
    try:
        proc.wait_until(lambda: run.poll() is not None or reached(), 30, "the stage")
    except TimeoutError as error:
        run.kill9()
        raise AssertionError(f"{error}\n{run.stdout}\n{run.stderr}") from None
    assert run.poll() is None, f"it ended before it was interrupted\n{run.wait().describe()}"
    time.sleep(0.1)
    started = time.monotonic()
    run.send(sig)
    result = run.wait(30)
    took = time.monotonic() - started
    assert result.rc == 0, result.describe()
    assert f"stopped by {signal.Signals(sig).name}" in result.stderr, result.describe()
    assert took < 2, f"{took:.1f} s after the signal\n{result.describe()}"


def completes(engine, pipeline, db, read) -> None:
    """The state is clean: it can be shown, nobody holds it, and the next run ends the load."""
    path = engine.write(pipeline, "again.yaml")
    shown = engine.cmd("state", "show", str(path), "--json").expect(0).json()
    assert shown["runs"][0]["outcome"] == "stopped"
    again = engine.run(path, "--json", "-q").expect(0).json()["pipelines"][0]
    assert again["outcome"] == "ok"
    assert lake.compare_all(read(), db, ["public.t"]) == "lost=0 dup=0 diff=0"


@pytest.fixture
def one_table(db: pg.PgDatabase) -> pg.PgDatabase:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, body text)",
               f"INSERT INTO t SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, {ROWS}) i", "ANALYZE")
    return db


def backends(db: pg.PgDatabase) -> list[str]:
    return [query for (query,) in db.query(
        "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'sluice'")]


# ---------------------------------------------------------------- the source


@contextmanager
def black_hole() -> Iterator[int]:
    """A port where a connection is never answered: its queue is full, so the system drops what comes."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = []
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
            fillers.append(filler)
        try:
            yield full.getsockname()[1]
        finally:
            for filler in fillers:
                filler.close()


def connecting(port: int) -> bool:
    """Whether somebody is sending SYNs there (state 02), beside our own fillers."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == "02" for row in rows[1:]) > 1


def test_while_connecting(engine, one_table, make_pipeline, workdir):
    with black_hole() as port:
        pipeline = make_pipeline(one_table.config(port=port, connect_timeout="60s"), {"out": file_sink(workdir)})
        run = engine.start_run(pipeline)
        stop(run, lambda: connecting(port))
    pipeline["sources"]["src"]["config"] = one_table.config()
    completes(engine, pipeline, one_table, lambda: lake.Lake(lake.FileStore(workdir / "lake")))


def test_while_waiting_to_connect_again(engine, one_table, make_pipeline, workdir):
    pipeline = make_pipeline(one_table.config(port=9), {"out": file_sink(workdir)}, **PATIENT)
    run = engine.start_run(pipeline)
    stop(run, lambda: "trying again" in run.stderr, signal.SIGTERM)
    pipeline["sources"]["src"]["config"] = one_table.config()
    completes(engine, pipeline, one_table, lambda: lake.Lake(lake.FileStore(workdir / "lake")))


def test_while_looking_for_tables(engine, one_table, make_pipeline, workdir):
    pipeline = make_pipeline(one_table.config(lock_timeout="60s"), {"out": file_sink(workdir)})
    with one_table.connect(autocommit=False) as other:
        other.execute("LOCK TABLE pg_catalog.pg_index IN ACCESS EXCLUSIVE MODE")
        run = engine.start_run(pipeline)
        # Asking the server would wait for the same lock.
        stop(run, lambda: other.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0] > 0)
    completes(engine, pipeline, one_table, lambda: lake.Lake(lake.FileStore(workdir / "lake")))
    assert not backends(one_table)


def test_while_copying(engine, one_table, make_pipeline, workdir):
    """The server has sent rows and takes its time for the next ones."""
    one_table.execute("CREATE VIEW slow AS SELECT id, CASE WHEN id > 10000 THEN pg_sleep(100)::text END AS s FROM t")
    pipeline = make_pipeline(one_table.config(), {"out": file_sink(workdir)})
    run = engine.start_run(pipeline)
    stop(run, lambda: any(query.startswith("COPY") and "slow" in query for query in backends(one_table))
         and "stream complete stream=public.t" in run.stderr)
    proc.wait_until(lambda: not backends(one_table), 3, "the end of the statement at the server")
    one_table.execute("CREATE OR REPLACE VIEW slow AS SELECT id, NULL::text AS s FROM t")
    path = engine.write(pipeline)
    streams = engine.run(path, "--json", "-q").expect(0).json()["pipelines"][0]["streams"]
    assert {stream["name"]: stream["status"] for stream in streams} == {
        "public.slow": "complete", "public.t": "skipped"}


def test_while_the_table_is_locked(engine, one_table, make_pipeline, workdir):
    pipeline = make_pipeline(one_table.config(lock_timeout="60s"), {"out": file_sink(workdir)})
    with one_table.connect(autocommit=False) as other:
        other.execute("LOCK TABLE t")
        run = engine.start_run(pipeline)
        stop(run, lambda: other.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()[0] > 0)
    completes(engine, pipeline, one_table, lambda: lake.Lake(lake.FileStore(workdir / "lake")))


def test_while_the_link_is_dead(engine, one_table, make_pipeline, workdir):
    """In the middle of COPY nothing arrives any more, and the goodbye is not answered either."""
    with fp.TcpProxy(("127.0.0.1", one_table.server.port)) as link:
        link.set(bytes_per_second=2_000_000)
        pipeline = make_pipeline(one_table.config(port=link.port), {"out": file_sink(workdir)})
        run = engine.start_run(pipeline)

        def reached() -> bool:
            if link.bytes_down > 500_000:
                link.set(blackhole=True)
            return link.faults.blackhole

        stop(run, reached)
        link.set()
    pipeline["sources"]["src"]["config"] = one_table.config()
    completes(engine, pipeline, one_table, lambda: lake.Lake(lake.FileStore(workdir / "lake")))


def test_while_waiting_to_read_again(engine, one_table, make_pipeline, workdir):
    """A reader's connection was killed; the next try is a minute away."""
    one_table.execute("CREATE VIEW slow AS SELECT pg_sleep(100)::text AS s")
    pipeline = make_pipeline(one_table.config(), {"out": file_sink(workdir)}, ["public.slow"], **PATIENT)
    run = engine.start_run(pipeline)

    def reached() -> bool:
        one_table.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%'"
                          " AND datname = current_database() AND pid <> pg_backend_pid()")
        return "is read again in" in run.stderr

    stop(run, reached)


@pytest.fixture
def silent_names(workdir):
    """A command prefix under which the name service takes questions and never answers."""
    if os.geteuid() != 0:
        pytest.skip("NOT RUN: changing /etc/resolv.conf for one process needs root")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.settimeout(20)
        for last in range(60, 90):
            try:
                service.bind((f"127.0.0.{last}", 53))
                break
            except OSError:
                continue
        else:
            pytest.skip("NOT RUN: no free port 53")
        conf = workdir / "resolv.conf"
        conf.write_text(f"nameserver {service.getsockname()[0]}\n")
        prefix = ["unshare", "--mount", "sh", "-c", f'mount --bind {conf} /etc/resolv.conf && exec "$0" "$@"']
        if subprocess.run([*prefix, "true"], capture_output=True).returncode != 0:
            pytest.skip("NOT RUN: no mounts here")
        yield prefix, service


def asked(service: socket.socket) -> bool:
    service.setblocking(False)
    try:
        return bool(service.recv(1000))
    except BlockingIOError:
        return False


@pytest.mark.parametrize("what", ["source", "sink"])
def test_while_names_are_looked_up(engine, silent_names, make_pipeline, bucket, workdir, what):
    prefix, service = silent_names
    pipeline = make_pipeline({"host": "db.example.org", "database": "d", "user": "u", "password": "no-password"},
                             {"out": file_sink(workdir)})
    if what == "sink":
        config = bucket.config(prefix="p", endpoint="http://s3.example.org")
        pipeline["sinks"]["out"] = {"inputs": ["src"], "plugin": "s3", "config": config}
    run = engine.start("run", str(engine.write(pipeline)), prefix=prefix)
    stop(run, lambda: asked(service))


def test_name_service_that_is_silent_costs_the_timeout(engine, silent_names, make_pipeline, workdir):
    prefix, _service = silent_names
    config = {"host": "db.example.org,other.example.org", "database": "d", "user": "u", "password": "no-password",
              "connect_timeout": "1s"}
    pipeline = make_pipeline(config, {"out": file_sink(workdir)}, on_error={"retry": {"max": 0}})
    result = engine.start("run", str(engine.write(pipeline)), prefix=prefix).wait(30).expect(3)
    assert "the name service does not answer" in result.stderr and result.seconds < 5, result.describe()


# ---------------------------------------------------------------- the bucket


def s3_pipeline(make_pipeline, db, bucket, link, **top):
    config = bucket.config(prefix="p", format="jsonl", compression="none", endpoint=link.endpoint, part_size="5MiB")
    return make_pipeline(db.config(), {"out": {"plugin": "s3", "config": config}}, ["public.t"], **top)


@pytest.mark.parametrize("stage, match", [
    ("open", lambda request: request.method == "GET"),
    ("create upload", fp.is_create_upload),
    ("part", fp.is_part),
    ("complete", fp.is_complete),
    ("manifest", fp.is_manifest),
])
def test_while_the_bucket_is_silent(engine, one_table, make_pipeline, bucket, stage, match):
    with fp.HttpProxy(("127.0.0.1", bucket.server.port)) as link:
        link.rule(fp.stall(120), match)
        pipeline = s3_pipeline(make_pipeline, one_table, bucket, link)
        run = engine.start_run(pipeline)
        stop(run, lambda: link.count("stall") > 0)
        link.clear()
        completes(engine, pipeline, one_table, lambda: lake.Lake(lake.S3Store(bucket, "p")))
    assert not bucket.uploads()


@pytest.mark.parametrize("match", [lambda request: True, fp.is_part, fp.is_manifest],
                         ids=["all", "part", "manifest"])
def test_while_waiting_to_ask_the_bucket_again(engine, one_table, make_pipeline, bucket, match):
    with fp.HttpProxy(("127.0.0.1", bucket.server.port)) as link:
        link.rule(fp.slow_down("50"), match)
        pipeline = s3_pipeline(make_pipeline, one_table, bucket, link, **PATIENT)
        run = engine.start_run(pipeline)
        stop(run, lambda: link.count("SlowDown") > 0)
        link.clear()
        completes(engine, pipeline, one_table, lambda: lake.Lake(lake.S3Store(bucket, "p")))
    assert not bucket.uploads()


def test_while_connecting_to_the_bucket(engine, one_table, make_pipeline, bucket):
    with black_hole() as port, fp.HttpProxy(("127.0.0.1", bucket.server.port)) as link:
        pipeline = s3_pipeline(make_pipeline, one_table, bucket, link)
        pipeline["sinks"]["out"]["config"]["endpoint"] = f"http://127.0.0.1:{port}"
        run = engine.start_run(pipeline)
        stop(run, lambda: connecting(port))
        pipeline["sinks"]["out"]["config"]["endpoint"] = link.endpoint
        completes(engine, pipeline, one_table, lambda: lake.Lake(lake.S3Store(bucket, "p")))


@pytest.mark.parametrize("other", ["file", "null"])
def test_with_two_sinks(engine, one_table, make_pipeline, bucket, workdir, other):
    """One sink hangs, so that the queues fill and the reader is held back."""
    with fp.HttpProxy(("127.0.0.1", bucket.server.port)) as link:
        link.rule(fp.stall(120), fp.is_part)
        pipeline = s3_pipeline(make_pipeline, one_table, bucket, link)
        beside = file_sink(workdir) if other == "file" else {"plugin": "null"}
        pipeline["sinks"]["beside"] = {"inputs": ["src"], **beside}
        run = engine.start_run(pipeline)
        stop(run, lambda: link.count("stall") > 0)
        link.clear()
        completes(engine, pipeline, one_table, lambda: lake.Lake(lake.S3Store(bucket, "p")))
