"""Buckets that refuse, through the command line: what is said, which exit code, what is left behind."""

from __future__ import annotations

import re
import time

import pytest
from support import faultproxy as fp
from support import lake

NO_RETRY = {"on_error": {"retry": {"max": 0}}}


def pipeline(bucket, rows=100, **config):
    return {
        "version": 1, "name": "p", "mode": "full_load_only",
        "sources": {"g": {"plugin": "generate", "config": {"tables": 2, "rows": rows}}},
        "sinks": {"lake": {"plugin": "s3", "inputs": ["g"],
                           "config": bucket.config(prefix="p", format="jsonl", compression="none", **config)}},
        **NO_RETRY,
    }


def rows_of(bucket) -> dict[str, int]:
    read = lake.Lake(lake.S3Store(bucket, "p"))
    return {name: len(read.stream(name).rows()) for name in read.names()}


def test_wrong_region_is_corrected_and_told(engine, bucket):
    """The bucket says where it is: no reason to fail, every reason to say so."""
    load = pipeline(bucket, region="eu-north-1")
    result = engine.run(load).expect(0)
    assert "region=us-east-1 configured=eu-north-1" in result.stderr, result.describe()
    assert set(rows_of(bucket).values()) == {100}
    result = engine.run(load, command="check").expect(0)
    assert re.search(r"warning  .*in region us-east-1, not eu-north-1 \[region\]\n +mend: region: us-east-1",
                     result.stdout), result.describe()


@pytest.mark.parametrize("what, match, right", [
    ("put", fp.is_put, "s3:PutObject"),
    ("manifest", fp.is_manifest, "s3:PutObject"),
    ("list", lambda request: "list-type" in request.query, "s3:ListBucket"),
    ("part", fp.is_part, "s3:PutObject"),
])
def test_a_right_that_lacks_is_named(engine, bucket, what, match, right):
    with fp.HttpProxy(("127.0.0.1", bucket.server.port)) as link:
        link.rule(fp.answer(403, "AccessDenied", "Access Denied"), match)
        load = pipeline(bucket, rows=100_000 if what == "part" else 100, endpoint=link.endpoint, part_size="5MiB")
        started = time.monotonic()
        result = engine.run(load).expect(3)
        assert time.monotonic() - started < 20
        error = next(line for line in result.stderr.splitlines() if line.startswith("sluice: error: p: "))
        assert "AccessDenied" in error and right in error, result.describe()
        # One object, named once.
        assert len(re.findall(r"full/\d{8}T\d{6}Z", error)) <= 1, error
        assert not bucket.uploads()
        link.clear()
        engine.run(load).expect(0)
    assert set(rows_of(bucket).values()) == {100_000 if what == "part" else 100}


@pytest.mark.parametrize("match", [lambda request: True, fp.is_put, fp.is_part], ids=["all", "put", "part"])
def test_storm_that_does_not_end(engine, bucket, match):
    with fp.HttpProxy(("127.0.0.1", bucket.server.port)) as link:
        link.rule(fp.slow_down(), match)
        load = pipeline(bucket, rows=100_000, endpoint=link.endpoint, part_size="5MiB", retry_attempts=3)
        result = engine.run(load, timeout=60)
        # 1 where it hit a manifest, of which nobody knows then whether it was written.
        assert result.rc in (1, 3), result.describe()
        assert re.search(r"^sluice: error: p: .*HTTP 503 SlowDown.*\(after 3 tries\)", result.stderr, re.M), (
            result.describe())
        assert not bucket.uploads()
        link.clear()
        engine.run(load).expect(0)
    assert set(rows_of(bucket).values()) == {100_000}
