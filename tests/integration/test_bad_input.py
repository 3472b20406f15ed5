"""What users get wrong, and what servers refuse: a clear message, the right exit code, bounded time."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest
from support import faultproxy as fp
from support import lake, pg, proc
from support.tls import Authority

NO_RETRY = {"on_error": {"retry": {"max": 1, "backoff": "10ms", "cap": "10ms"}}}


def file_sink(path, **config):
    return {"plugin": "file", "config": {"path": str(path), "format": "jsonl", "compression": "zstd", **config}}


def fails(result, rc, pattern):
    codes = rc if isinstance(rc, tuple) else (rc,)
    assert result.rc in codes, result.describe()
    assert re.search(pattern, result.output), f"no {pattern!r} in\n{result.describe()}"
    assert pg.PASSWORD not in result.output, "a password was printed"
    return result


# ---------------------------------------------------------------- the server


@pytest.mark.parametrize("change, pattern", [
    ({"port": 9}, "(?i)refused|connect"),
    ({"password": "wrong"}, "(?i)password|authentication"),
    ({"user": "nobody_at_all"}, "(?i)password|authentication|role"),
    ({"database": "not_there"}, "not_there"),
    ({"host": "no-such-host.invalid"}, "no-such-host"),
    ({"host": "/no/such/folder"}, "/no/such/folder"),
])
@pytest.mark.parametrize("command", ["run", "check"])
def test_unreachable_or_denied(engine, db, make_pipeline, workdir, change, pattern, command):
    pipeline = make_pipeline({**db.config(), **change}, {"out": file_sink(workdir / "l")}, None, **NO_RETRY)
    started = time.monotonic()
    fails(engine.run(pipeline, command=command), 3, pattern)
    assert time.monotonic() - started < 60


@pytest.fixture(scope="module")
def tls_pg():
    """A PostgreSQL with a certificate for localhost only."""
    root = proc.temp_dir("sluice-ca-")
    authority = Authority.create(root)
    server = None
    try:
        server = pg.PgServer.create(tls=authority.issue("pg", ("DNS:localhost",)))
        yield server, authority
    finally:
        if server:
            server.destroy()
        proc.remove_tree(root)


def test_tls_verified(engine, tls_pg, make_pipeline, workdir):
    server, authority = tls_pg
    with server.database() as db:
        db.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
        good = {**db.config(), "host": "localhost", "sslmode": "verify-full", "sslrootcert": str(authority.ca_file)}
        engine.run(make_pipeline(good, {"out": file_sink(workdir / "l")}, None)).expect(0)
        other = Authority.create(workdir / "other", "another CA")
        for change in ({"sslrootcert": str(other.ca_file)}, {"host": "127.0.0.1"}):
            bad = make_pipeline({**good, **change}, {"out": file_sink(workdir / "l2")}, None, **NO_RETRY)
            fails(engine.run(bad), 3, "(?i)certificate|ssl")


def test_statement_timeout_of_the_role_is_ours(engine, sample_db, make_pipeline, workdir):
    sample_db.execute(f'ALTER DATABASE "{sample_db.name}" SET statement_timeout = 1')
    engine.run(make_pipeline(sample_db.config(), {"out": file_sink(workdir / "l")}, ["public.*"])).expect(0)


def test_one_table_of_fifty_is_denied(engine, db, make_pipeline, workdir):
    db.execute(
        "DROP ROLE IF EXISTS sluice_reader",
        "CREATE ROLE sluice_reader LOGIN PASSWORD 'Xy7-r3ad'",
        *(f"CREATE TABLE t{n:02d} (id int PRIMARY KEY)" for n in range(50)),
        *(f"INSERT INTO t{n:02d} SELECT generate_series(1, 10)" for n in range(50)),
        "ANALYZE",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO sluice_reader",
        "REVOKE SELECT ON t17 FROM sluice_reader",
    )
    source = {**db.config(), "user": "sluice_reader", "password": "Xy7-r3ad"}
    pipeline = make_pipeline(source, {"out": file_sink(workdir / "l")}, ["public.*"], **NO_RETRY)
    try:
        found = engine.run(pipeline, command="check")
        assert "t17" in found.output and "GRANT" in found.output.upper(), found.describe()
        fails(engine.run(pipeline), (1, 4), "t17")
        names = lake.Lake(lake.FileStore(workdir / "l")).names()
        assert len(names) == 49 and "public.t17" not in names
        db.execute("GRANT SELECT ON t17 TO sluice_reader")
        engine.run(pipeline).expect(0)
        # A table that was given up ends its load: the next run is a new load of all tables.
        read = lake.Lake(lake.FileStore(workdir / "l"))
        assert len(read.names()) == 50 and len(read.runs("public.t00")) == 2
    finally:
        db.execute("DROP OWNED BY sluice_reader", "DROP ROLE sluice_reader")


def test_table_dropped_mid_load(engine, db, make_pipeline, workdir):
    db.execute(*(f"CREATE TABLE t{n} AS SELECT i AS id, repeat('x', 200) AS b FROM generate_series(1, 30000) i"
                 for n in range(4)))
    with fp.TcpProxy(("127.0.0.1", db.server.port)) as link:
        link.set(bytes_per_second=20_000_000)
        source = db.config(port=link.port)
        pipeline = make_pipeline(source, {"out": file_sink(workdir / "l")}, None, parallelism=1, **NO_RETRY)
        run = engine.start_run(pipeline)
        run.wait_output("source opened")
        # Waits for nobody: a table that is being read is locked against it.
        with db.connect() as conn:
            conn.execute("SET lock_timeout = '100ms'")
            dropped = []
            for number in range(4):
                try:
                    conn.execute(f"DROP TABLE t{number}")
                    dropped.append(f"public.t{number}")
                except Exception:  # locked
                    pass
        result = run.wait()
    read = lake.Lake(lake.FileStore(workdir / "l"))
    assert result.rc in (0, 1, 3, 4), result.describe()
    for name in {f"public.t{number}" for number in range(4)} - set(read.names()):
        assert name in dropped and name in result.output, result.describe()


def test_value_over_the_limit(engine, db, make_pipeline, workdir):
    """A row over the limit is one table's error, which names the option; the others finish."""
    db.execute("CREATE TABLE small AS SELECT 1 AS id", "CREATE TABLE huge (id int PRIMARY KEY, b text)",
               "ALTER TABLE huge ALTER b SET STORAGE EXTERNAL",
               "INSERT INTO huge VALUES (1, repeat('x', 20000000))")
    source = db.config(max_row_bytes="16MiB")
    pipeline = make_pipeline(source, {"out": file_sink(workdir / "l")}, None, **NO_RETRY)
    result = fails(engine.run(pipeline), (1, 4), "max_row_bytes")
    assert "public.huge" in result.output
    assert lake.Lake(lake.FileStore(workdir / "l")).names() == ["public.small"]
    source["max_row_bytes"] = "64MiB"
    engine.run(pipeline).expect(0)
    outcome = lake.compare(lake.Lake(lake.FileStore(workdir / "l")), db, "public.huge")
    assert outcome.ok and outcome.got == 1


# ---------------------------------------------------------------- the bucket


def s3_sink(target, **config):
    return {"plugin": "s3", "config": {**target.config(prefix="p", format="jsonl"), **config}}


@pytest.mark.parametrize("change, pattern", [
    ({"bucket": "no-such-bucket-here"}, "(?i)no-such-bucket-here"),
    ({"access_key_id": "nobody"}, "(?i)access|key|denied|user"),
    ({"secret_access_key": "wrong"}, "(?i)signature|secret|denied"),
    ({"endpoint": "http://127.0.0.1:9"}, "(?i)refused|connect|reach"),
])
@pytest.mark.parametrize("command", ["run", "check"])
def test_bucket_denied(engine, sample_db, make_pipeline, bucket, change, pattern, command):
    sink = s3_sink(bucket, **change)
    pipeline = make_pipeline(sample_db.config(), {"out": sink}, ["public.department"], **NO_RETRY)
    result = fails(engine.run(pipeline, command=command), (1, 3), pattern)
    assert sink["config"]["secret_access_key"] not in result.output


@pytest.mark.parametrize("shift", ["+20m", "-20m"])
def test_clock_is_off(release_engine, sample_db, make_pipeline, bucket, shift):
    """A clock 20 minutes off is named, and the server's is used. No sanitizer: it is libfaketime's clock."""
    pipeline = make_pipeline(sample_db.config(), {"out": s3_sink(bucket)}, ["public.department"], **NO_RETRY)
    path = release_engine.write(pipeline)
    library = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
    if library is None:
        pytest.skip("NOT RUN: libfaketime is not installed")
    env = {"LD_PRELOAD": str(library), "FAKETIME": shift, "DONT_FAKE_MONOTONIC": "1"}
    for command in ("check", "run"):
        result = release_engine.run(path, env=env, command=command)
        assert re.search("(?i)clock", result.output), result.describe()
        if command == "run":
            result.expect(0)
    read = lake.Lake(lake.S3Store(bucket, "p"))
    assert lake.compare_all(read, sample_db, {"public.department": "department"}) == "lost=0 dup=0 diff=0"


def test_somebody_else_writes_to_the_prefix(engine, sample_db, make_pipeline, bucket):
    """The next manifest is there already and is not ours: stop, fenced, by name."""
    pipeline = make_pipeline(sample_db.config(), {"out": s3_sink(bucket)}, ["public.*"], **NO_RETRY)
    done = {}

    def put_foreign(request: fp.Request) -> bool:
        if fp.is_manifest(request) and not done:
            done["key"] = request.path.split("/", 2)[2]
            foreign = {"format": 1, "pipeline": "p", "sink": "out", "seq": 1, "kind": "full", "token": "Zm9yZWlnbg=="}
            bucket.put(done["key"], json.dumps(foreign).encode())
        return False

    with fp.HttpProxy(("127.0.0.1", bucket.server.port)) as link:
        link.rule(fp.reset(), put_foreign)
        pipeline["sinks"]["out"]["config"]["endpoint"] = link.endpoint
        result = engine.run(pipeline)
    assert done and result.rc in (1, 3), result.describe()
    assert re.search("(?i)fenced|another process|other process", result.output), result.describe()


# ---------------------------------------------------------------- the disk


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT RUN: mounting needs root")
def test_disk_full(engine, sample_db, make_pipeline, workdir):
    out = workdir / "small"
    out.mkdir()
    try:
        proc.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(out)])
    except RuntimeError as error:
        pytest.skip(f"NOT RUN: no mounts here: {str(error).splitlines()[0]}")
    try:
        sink = file_sink(out / "lake", compression="none")
        pipeline = make_pipeline(sample_db.config(), {"out": sink}, ["public.*"], **NO_RETRY)
        fails(engine.run(pipeline), (1, 3), "(?i)no space|disk (is )?full|space left")
        proc.run(["mount", "-o", "remount,size=64m", str(out)])
        engine.run(pipeline).expect(0)
        read = lake.Lake(lake.FileStore(out / "lake"))
        names = {name: name for name in ("public.department", "public.employee", "public.salary")}
        assert lake.compare_all(read, sample_db, names) == "lost=0 dup=0 diff=0"
    finally:
        proc.run(["umount", str(out)])


def test_folder_may_not_be_written(engine, sample_db, make_pipeline, workdir):
    (workdir / "file").write_text("not a folder")
    pipeline = make_pipeline(sample_db.config(), {"out": file_sink(workdir / "file" / "x")}, None, **NO_RETRY)
    fails(engine.run(pipeline), (1, 3), "(?i)not a directory|not a folder")
