"""The s3 sink as users meet it: options, check, plan, names that are hard on keys, kill and restart.
Rows come from the source `generate`; what is stored is read back by the independent reader."""

from __future__ import annotations

import subprocess

import pytest
from support import faultproxy as fp
from support import lake, s3


def pipeline(config: dict, rows: int = 1000, tables: int = 3, **top):
    source = {"rows": rows, "tables": tables, "columns": ["int32", "utf8:40", "timestamp"]}
    source.update(top.pop("source", {}))
    return {
        "version": 1,
        "name": "p",
        "mode": "full_load_only",
        "sources": {"gen": {"plugin": "generate", "config": source}},
        "sinks": {"lake": {"plugin": "s3", "inputs": ["gen"], "config": config, **top.pop("sink", {})}},
        **top,
    }


def _rows(stream: lake.Stream) -> list:
    return stream.csv_rows() if stream.files and stream.files[0].is_csv else stream.lines()


def counts(bucket: s3.Bucket, prefix: str = "p") -> dict[str, int]:
    read = lake.Lake(lake.S3Store(bucket, prefix))
    return {name: len(_rows(read.stream(name))) for name in read.names()}


def test_load_twice_makes_two_sets(engine, bucket):
    one = pipeline(bucket.config(prefix="p/x y", format="jsonl", compression="gzip"))
    for _ in range(2):
        engine.run(one).expect(0)
    read = lake.Lake(lake.S3Store(bucket, "p/x y"))
    assert [len(read.runs(name)) for name in read.names()] == [2, 2, 2]
    assert set(counts(bucket, "p/x y").values()) == {1000}
    assert not bucket.uploads()


def test_names_that_are_hard_on_keys(engine, bucket):
    odd = pipeline(
        bucket.config(prefix="a b+c%20/ä", format="csv", compression="none"),
        rows=10, tables=12, source={"names": "odd"},
    )
    engine.run(odd).expect(0)
    assert all(key.startswith("a b+c%20/ä/") for key in bucket.keys())
    assert list(counts(bucket, "a b+c%20/ä").values()) == [10] * 12


@pytest.mark.parametrize("config, words", [
    ({"bucket": "s3://x"}, ["bucket"]),
    ({"endpoint": "localhost:9000"}, ["endpoint", "http"]),
    ({"endpoint": "https://key:secret@h"}, ["endpoint"]),
    ({"access_key_id": ""}, ["access_key_id", "secret_access_key"]),
    ({"prefix": "a/../b"}, ["prefix"]),
    ({"kms_key_id": "k"}, ["kms_key_id", "server_side_encryption"]),
    ({"region": "EU West"}, ["region"]),
    ({"part_size": "1MiB"}, ["part_size"]),
    ({"upload_concurrency": 0}, ["upload_concurrency"]),
    ({"path_style": "sometimes"}, ["path_style"]),
    ({"checksum": "crc64"}, ["checksum"]),
    ({"buckett": "x"}, ["buckett", "bucket"]),
], ids=lambda value: next(iter(value)) if isinstance(value, dict) else "")
def test_wrong_options_are_refused_before_anything_runs(engine, bucket, config, words):
    result = engine.run(pipeline(bucket.config(**config)))
    assert result.rc == 2, result.describe()
    for word in words:
        assert word in result.output, result.describe()
    assert s3.SECRET_KEY not in result.output
    assert not bucket.keys()


def test_empty_values_count_as_not_given(engine, bucket):
    config = bucket.config(
        prefix="", session_token="", profile="", ca_file="", kms_key_id="", storage_class="", proxy=""
    )
    engine.run(pipeline(config)).expect(0)


def test_check_says_what_is_right_and_what_is_wrong(engine, bucket):
    result = engine.run(pipeline(bucket.config(prefix="p")), command="check").expect(0)
    for word in ("reachable", "may write", "may abort", "may list", "may read", "clock"):
        assert word in result.output, result.describe()
    assert not bucket.keys() and not bucket.uploads()
    result = engine.run(pipeline(bucket.config(bucket="not-there-at-all")), command="check")
    assert result.rc != 0 and "NoSuchBucket" in result.output, result.describe()
    result = engine.run(pipeline(bucket.config(secret_access_key="wrong-one")), command="check")
    assert result.rc != 0 and "SignatureDoesNotMatch" in result.output, result.describe()
    assert "wrong-one" not in result.output


def test_secret_is_nowhere(engine, bucket, workdir):
    result = engine.run(pipeline(bucket.config(prefix="p")), "-v").describe()
    plan = engine.run(pipeline(bucket.config(prefix="p")), command="plan").describe()
    assert s3.SECRET_KEY not in result + plan
    found = subprocess.run(
        ["grep", "-rlaF", s3.SECRET_KEY, str(workdir)], capture_output=True, text=True, check=False
    ).stdout.split()
    assert [name for name in found if not name.endswith("pipeline.yaml")] == []
    for key in bucket.keys():
        assert s3.SECRET_KEY.encode() not in bucket.get(key)


def test_large_objects_go_in_parts(engine, bucket):
    with fp.HttpProxy(("127.0.0.1", bucket.server.port)) as link:
        config = bucket.config(
            prefix="p", format="jsonl", compression="none", endpoint=link.endpoint, part_size="5MiB"
        )
        engine.run(pipeline(config, rows=200_000, tables=1)).expect(0)
        parts = [request for request, _done, _status in link.log if fp.is_part(request)]
    assert len(parts) >= 3
    assert not bucket.uploads()
    assert counts(bucket) == {"public.gen_0001": 200_000}


def test_killed_while_uploading_then_completed(engine, bucket):
    with fp.HttpProxy(("127.0.0.1", bucket.server.port)) as link:
        config = bucket.config(
            prefix="p", format="jsonl", compression="none", endpoint=link.endpoint, part_size="5MiB"
        )
        load = pipeline(config, rows=100_000, tables=2)
        link.rule(fp.stall(60), match=fp.is_part, times=None)
        running = engine.start_run(load)
        while not any(fp.is_part(request) for request, _done, _status in link.log):
            assert running.poll() is None, running.stderr
        running.kill9()
        link.clear()
        engine.run(load).expect(0)
    assert counts(bucket) == {"public.gen_0001": 100_000, "public.gen_0002": 100_000}


def test_interrupt_while_uploading_leaves_no_parts(engine, bucket):
    with fp.HttpProxy(("127.0.0.1", bucket.server.port)) as link:
        config = bucket.config(
            prefix="p", format="jsonl", compression="none", endpoint=link.endpoint, part_size="5MiB"
        )
        link.rule(fp.stall(60), match=fp.is_part)
        running = engine.start_run(pipeline(config, rows=400_000, tables=1))
        while not any(fp.is_part(request) for request, _done, _status in link.log):
            assert running.poll() is None, running.stderr
        running.terminate()
        result = running.wait(30).expect(0)
        assert result.seconds < 20
    assert not bucket.uploads()
    assert not bucket.keys("p/public.")
