"""kill -9, again and again, and signals: no row is lost, none counts twice."""

from __future__ import annotations

import random
import signal
import time

import pytest
from support import lake


def fill(db, tables: int, rows: int) -> list[str]:
    """Tables with keys; sizes differ, so that some are complete when the others are not."""
    names = []
    for number in range(tables):
        name = f"public.t{number:02d}"
        names.append(name)
        db.execute(
            f"CREATE TABLE {name} (id bigint PRIMARY KEY, n numeric(12,2), body text, at timestamptz)",
            f"INSERT INTO {name} SELECT i, i * 1.01, repeat(md5(i::text), 3),"
            f" '2026-01-01+00'::timestamptz + i * interval '1 second'"
            f" FROM generate_series(1, {rows * (1 + number % 4)}) i",
        )
    db.execute("ANALYZE")
    return names


def lake_sink(kind, bucket, workdir):
    if kind == "s3":
        return {"plugin": "s3", "config": bucket.config(prefix="p", format="jsonl", compression="zstd"),
                "batch": {"rows": 5000}}
    return {"plugin": "file", "config": {"path": str(workdir / "lake"), "format": "jsonl", "compression": "zstd"},
            "batch": {"rows": 5000}}


def read_lake(kind, bucket, workdir):
    return lake.Lake(lake.S3Store(bucket, "p") if kind == "s3" else lake.FileStore(workdir / "lake"))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["file", "s3"])
def test_thirty_kills(engine, db, make_pipeline, bucket, workdir, kind):
    names = fill(db, 24, 4000)
    pipeline = make_pipeline(db.config(), {"out": lake_sink(kind, bucket, workdir)}, ["public.*"])
    chance = random.Random(7)
    started = time.monotonic()
    assert engine.run(pipeline, "--limit", "1").rc == 0
    kills = finished = 0
    path = engine.write(pipeline)
    duration = 3.0
    while kills < 30:
        begin = time.monotonic()
        run = engine.start_run(path)
        deadline = begin + chance.uniform(0.05, duration)
        while run.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        if run.poll() is None:
            run.kill9()
            kills += 1
        else:
            run.wait().expect(0)
            finished += 1
            duration = max(0.3, 0.9 * (time.monotonic() - begin))
        # Whatever was killed when: what counts is whole, and equal to the source.
        read = read_lake(kind, bucket, workdir)
        for name in read.names():
            assert read.stream(name).run is not None
    engine.run(path, timeout=300).expect(0)
    read = read_lake(kind, bucket, workdir)
    line = lake.compare_all(read, db, names)
    print(f"{kills} kills, {finished} runs ended in between, {time.monotonic() - started:.0f} s: {line}")
    assert line == "lost=0 dup=0 diff=0" and read.names() == names


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_complete_tables_are_not_read_again(engine, db, make_pipeline, bucket, workdir, kind):
    names = fill(db, 12, 3000)
    pipeline = make_pipeline(db.config(), {"out": lake_sink(kind, bucket, workdir)}, ["public.*"], parallelism=1)
    path = engine.write(pipeline)
    run = engine.start_run(path)
    deadline = time.monotonic() + 60
    while run.poll() is None and time.monotonic() < deadline:
        try:
            if len(read_lake(kind, bucket, workdir).names()) >= 3:
                break
        except (lake.LakeError, OSError):
            pass  # looked while a manifest was being written
        time.sleep(0.01)
    if run.poll() is not None:
        pytest.skip("the load ended before it could be killed")
    run.kill9()
    before = {name: read_lake(kind, bucket, workdir).runs(name) for name in names}
    done = [name for name, runs in before.items() if runs]
    engine.run(path).expect(0)
    read = read_lake(kind, bucket, workdir)
    assert done and all(read.runs(name) == before[name] for name in done)
    assert lake.compare_all(read, db, names) == "lost=0 dup=0 diff=0"
    # That load is complete: the next run is a new one, of all tables.
    engine.run(path).expect(0)
    again = read_lake(kind, bucket, workdir)
    assert all(len(again.runs(name)) == len(read.runs(name)) + 1 for name in names)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_first_signal_drains(engine, db, make_pipeline, bucket, workdir, sig):
    names = fill(db, 8, 20000)
    path = engine.write(make_pipeline(db.config(), {"out": lake_sink("s3", bucket, workdir)}, ["public.*"]))
    run = engine.start_run(path)
    time.sleep(0.6)
    run.send(sig)
    result = run.wait(30)
    assert result.rc == 0, result.describe()
    read_lake("s3", bucket, workdir)
    assert not bucket.uploads()
    engine.run(path).expect(0)
    assert lake.compare_all(read_lake("s3", bucket, workdir), db, names) == "lost=0 dup=0 diff=0"


def test_second_run_of_a_pipeline_is_refused(engine, db, make_pipeline, bucket, workdir):
    fill(db, 4, 40000)
    path = engine.write(make_pipeline(db.config(), {"out": lake_sink("file", bucket, workdir)}, ["public.*"]))
    first = engine.start_run(path)
    time.sleep(0.4)
    if first.poll() is not None:
        pytest.skip("the load ended too soon")
    second = engine.run(path)
    assert second.rc == 3 and str(first.pid) in second.output, second.describe()
    first.wait().expect(0)
