"""Memory that does not grow with what is loaded. The release build, as users run it. Speed is scripts/bench's."""

from __future__ import annotations

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
    read = lake.Lake(lake.FileStore(workdir / "lake"))
    assert len(read.names()) == 1000 and read.stream("public.e7").rows() == []
    assert result.peak_rss_kib < 128 * MIB, f"{result.peak_rss_kib >> 10} MiB"
