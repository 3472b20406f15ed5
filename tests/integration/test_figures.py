"""Figures that hold at any size: memory, many tables, the time to the first row. The release build, as users run it."""

from __future__ import annotations

import time

import pytest
from support import lake

pytestmark = pytest.mark.release

MIB = 1024  # KiB


def file_sink(path, **config):
    return {"plugin": "file", "config": {"path": str(path), "format": "jsonl", **config}}


def generated(rows: int, sinks: dict, **top) -> dict:
    return {
        "version": 1, "name": "p", "mode": "full_load_only",
        "sources": {"src": {"plugin": "generate", "config": {"tables": 2, "rows": rows, "shards": 4,
                                                             "columns": ["utf8:100", "int64", "numeric(12,2)"]}}},
        "sinks": {name: {"inputs": ["src"], **sink} for name, sink in sinks.items()}, **top,
    }


@pytest.mark.slow
@pytest.mark.parametrize("case", ["one sink", "two sinks", "many readers", "bucket"])
def test_memory_does_not_grow_with_the_tables(release_engine, bucket, workdir, case):
    """128 MiB, whatever is loaded; half a gigabyte of rows here."""
    sinks = {"out": file_sink(workdir / "a")}
    top = {}
    if case == "two sinks":
        sinks["other"] = file_sink(workdir / "b", compression="gzip", format="csv")
    elif case == "many readers":
        top = {"parallelism": 16}
    elif case == "bucket":
        sinks = {"out": {"plugin": "s3", "config": bucket.config(prefix="p", format="jsonl", compression="none")}}
    rows = 2_000_000
    result = release_engine.run(generated(rows, sinks, **top), "--json", timeout=280).expect(0)
    assert result.json()["pipelines"][0]["rows"] == 2 * rows
    assert result.peak_rss_kib < 128 * MIB, f"{result.peak_rss_kib >> 10} MiB"


@pytest.mark.slow
def test_a_thousand_empty_tables(release_engine, db, make_pipeline, workdir):
    with db.connect() as conn:
        for first in range(0, 1000, 200):
            conn.execute("DO $$ BEGIN FOR i IN %d..%d LOOP"
                         " EXECUTE format('CREATE TABLE e%%s (a int PRIMARY KEY, b text)', i);"
                         " END LOOP; END $$" % (first, first + 199))
    result = release_engine.run(make_pipeline(db.config(), {"out": file_sink(workdir / "lake")}), "-q").expect(0)
    assert result.seconds < 60, f"{result.seconds:.1f} s"
    read = lake.Lake(lake.FileStore(workdir / "lake"))
    assert len(read.names()) == 1000 and read.stream("public.e7").rows() == []
    assert result.peak_rss_kib < 128 * MIB, f"{result.peak_rss_kib >> 10} MiB"


def test_the_first_row_comes_soon(release_engine, db, make_pipeline, workdir):
    """A small table, from start to end of the process: little more than connecting."""
    db.execute("CREATE TABLE t AS SELECT 1 AS i", "ANALYZE")
    took = []
    for number in range(5):
        pipeline = make_pipeline(db.config(), {"out": file_sink(workdir / f"lake{number}")}, name=f"p{number}")
        path = release_engine.write(pipeline)
        started = time.monotonic()
        release_engine.cmd("run", str(path), "-q").expect(0)
        took.append(time.monotonic() - started)
    assert min(took) < 0.5, took
