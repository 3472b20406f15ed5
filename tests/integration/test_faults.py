"""Networks and servers that misbehave: the load survives, or ends with a clear error in bounded time."""

from __future__ import annotations

import time

import pytest
from support import faultproxy as fp
from support import lake

NAMES = {"public.department": "department", "public.employee": "employee", "public.salary": "salary"}
RETRY = {"on_error": {"retry": {"max": 20, "backoff": "20ms", "cap": "200ms"}}}


def s3_pipeline(make_pipeline, db, bucket, endpoint, **top):
    sink = {"plugin": "s3", "config": bucket.config(prefix="p", format="jsonl", compression="none", endpoint=endpoint)}
    return make_pipeline(db.config(), {"out": sink}, ["public.*"], **{**RETRY, **top})


def verify(db, bucket) -> lake.Lake:
    read = lake.Lake(lake.S3Store(bucket, "p"))
    assert lake.compare_all(read, db, NAMES) == "lost=0 dup=0 diff=0"
    assert not bucket.uploads()
    return read


@pytest.mark.parametrize("fault, match, times", [
    (fp.slow_down(), None, None),
    (fp.slow_down("1"), None, 3),
    (fp.internal_error(), None, None),
    (fp.reset(), None, None),
    (fp.drop_reply(), None, None),
    (fp.drop_reply(), fp.is_manifest, 4),
    (fp.drop_reply(), fp.is_put, 6),
    (fp.reset_upload(100), fp.is_put, 4),
    (fp.conflict(), fp.is_manifest, 3),
    (fp.slices(), None, 20),
    (fp.truncate(10), lambda request: request.method == "GET", 2),
    (fp.delay(0.3), None, 10),
], ids=lambda value: getattr(value, "name", None) or "")
def test_s3_misbehaves(engine, sample_db, make_pipeline, bucket, fault, match, times):
    with fp.HttpProxy(("127.0.0.1", bucket.server.port)) as link:
        link.rule(fault, match or (lambda request: True), rate=0.3 if times is None else 1.0, times=times)
        engine.run(s3_pipeline(make_pipeline, sample_db, bucket, link.endpoint), timeout=200).expect(0)
        assert link.count(fault.name) > 0 or fault.action in ("truncate", "slices")
    verify(sample_db, bucket)


@pytest.fixture
def big_db(db):
    """A table whose file is of several parts."""
    db.execute("CREATE TABLE big (id int PRIMARY KEY, body text)",
               "INSERT INTO big SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 40000) i", "ANALYZE")
    return db


@pytest.mark.parametrize("fault, match, times", [
    (fp.error_in_200(), fp.is_complete, 2),
    (fp.error_in_200("SlowDown"), fp.is_complete, 2),
    (fp.drop_reply(), fp.is_complete, 2),
    (fp.drop_reply(), fp.is_create_upload, 1),
    (fp.slow_down(), fp.is_part, 3),
    (fp.reset_upload(1_000_000), fp.is_part, 2),
    (fp.drop_reply(), fp.is_part, 2),
    (fp.truncate(5), fp.is_complete, 1),
], ids=lambda value: getattr(value, "name", None) or "")
def test_multipart_misbehaves(engine, big_db, make_pipeline, bucket, fault, match, times):
    with fp.HttpProxy(("127.0.0.1", bucket.server.port)) as link:
        link.rule(fault, match, times=times)
        engine.run(s3_pipeline(make_pipeline, big_db, bucket, link.endpoint), timeout=200).expect(0)
        assert any(fp.is_part(request) for request, _done, _status in link.log)
        assert link.count(fault.name) > 0
    read = lake.Lake(lake.S3Store(bucket, "p"))
    assert lake.compare_all(read, big_db, {"public.big": "big"}) == "lost=0 dup=0 diff=0"


def test_s3_down_ends_with_a_clear_error(engine, sample_db, make_pipeline, bucket):
    started = time.monotonic()
    pipeline = s3_pipeline(make_pipeline, sample_db, bucket, "http://127.0.0.1:9",
                           on_error={"retry": {"max": 2, "backoff": "10ms", "cap": "20ms"}})
    result = engine.run(pipeline)
    assert result.rc in (1, 3) and "127.0.0.1:9" in result.output, result.describe()
    assert time.monotonic() - started < 60


def test_expired_token_is_named_and_not_retried_for_long(engine, sample_db, make_pipeline, bucket):
    with fp.HttpProxy(("127.0.0.1", bucket.server.port)) as link:
        link.rule(fp.expired_token())
        result = engine.run(s3_pipeline(make_pipeline, sample_db, bucket, link.endpoint))
        assert result.rc in (1, 3) and "ExpiredToken" in result.output, result.describe()


def pg_pipeline(make_pipeline, db, port, out, **top):
    sink = {"plugin": "file", "config": {"path": str(out), "format": "jsonl", "compression": "zstd"}}
    return make_pipeline(db.config(port=port), {"out": sink}, ["public.*"], **{**RETRY, **top})


@pytest.mark.parametrize("faults", [
    {"slice_bytes": 1, "bytes_per_second": 0},
    {"slice_bytes": 7},
    {"reset_after": 300_000},
    {"close_after": 300_000},
    {"reset_after": 2_000},
    {"latency": 0.02},
], ids=str)
def test_link_to_postgresql(engine, sample_db, make_pipeline, workdir, faults):
    if faults.get("slice_bytes") == 1:
        sample_db.execute("DELETE FROM salary WHERE amount > 2000", "DELETE FROM employee WHERE id > 500")
    out = workdir / "lake"
    with fp.TcpProxy(("127.0.0.1", sample_db.server.port)) as link:
        link.set(**faults)
        engine.run(pg_pipeline(make_pipeline, sample_db, link.port, out), timeout=200).expect(0)
    assert lake.compare_all(lake.Lake(lake.FileStore(out)), sample_db, NAMES) == "lost=0 dup=0 diff=0"


def test_link_resets_again_and_again(engine, sample_db, make_pipeline, workdir):
    out = workdir / "lake"
    with fp.TcpProxy(("127.0.0.1", sample_db.server.port)) as link:
        run = engine.start_run(pg_pipeline(make_pipeline, sample_db, link.port, out))
        for _ in range(6):
            time.sleep(0.15)
            link.kill_connections()
        run.wait(200).expect(0)
    assert lake.compare_all(lake.Lake(lake.FileStore(out)), sample_db, NAMES) == "lost=0 dup=0 diff=0"


def test_signal_while_the_server_is_silent(engine, sample_db, make_pipeline, workdir):
    """Every blocked call wakes up: a run that waits for a dead link ends within seconds."""
    with fp.TcpProxy(("127.0.0.1", sample_db.server.port)) as link:
        link.set(blackhole=True)
        run = engine.start_run(pg_pipeline(make_pipeline, sample_db, link.port, workdir / "lake"))
        time.sleep(0.7)
        started = time.monotonic()
        run.terminate()
        result = run.wait(30)
        assert time.monotonic() - started < 5 and result.rc in (0, 143), result.describe()


def test_backends_are_terminated_mid_copy(engine, sample_db, make_pipeline, workdir):
    out = workdir / "lake"
    run = engine.start_run(pg_pipeline(make_pipeline, sample_db, sample_db.server.port, out))
    for _ in range(4):
        time.sleep(0.15)
        sample_db.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid()"
        )
    run.wait(200).expect(0)
    assert lake.compare_all(lake.Lake(lake.FileStore(out)), sample_db, NAMES) == "lost=0 dup=0 diff=0"
