"""Full loads of a real PostgreSQL into folders and buckets, read back independently."""

from __future__ import annotations

import re
import time

import pytest
from support import lake

TABLES = {name: name for name in ("public.department", "public.employee", "public.salary")}
PUBLIC = ["public.*"]


def file_sink(path, **config):
    return {"plugin": "file", "config": {"path": str(path), "format": "jsonl", "compression": "zstd", **config}}


def s3_sink(bucket, **config):
    return {"plugin": "s3", "config": bucket.config(prefix="hr", format="jsonl", compression="zstd", **config)}


@pytest.mark.parametrize("fmt", ["jsonl", "csv"])
@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_files(engine, sample_db, make_pipeline, workdir, fmt, compression):
    out = workdir / "lake"
    pipeline = make_pipeline(
        sample_db.config(), {"out": file_sink(out, format=fmt, compression=compression)}, PUBLIC
    )
    engine.run(pipeline).expect(0)
    read = lake.Lake(lake.FileStore(out))
    assert lake.compare_all(read, sample_db, TABLES) == "lost=0 dup=0 diff=0"
    assert read.names() == sorted(TABLES) and not read.orphans()


def test_two_runs_are_two_timestamped_sets(engine, sample_db, make_pipeline, bucket):
    pipeline = make_pipeline(sample_db.config(), {"out": s3_sink(bucket)}, PUBLIC)
    engine.run(pipeline).expect(0)
    sample_db.execute("DELETE FROM salary WHERE amount < 100", "INSERT INTO department VALUES (99, 'new', NULL)")
    engine.run(pipeline).expect(0)
    read = lake.Lake(lake.S3Store(bucket, "hr"))
    for name in TABLES:
        runs = read.runs(name)
        assert len(runs) == 2 and runs[0] < runs[1]
        assert all(re.fullmatch(r"\d{8}T\d{6}Z(-\d+)?", run) for run in runs)
    assert lake.compare_all(read, sample_db, TABLES) == "lost=0 dup=0 diff=0"
    assert not bucket.uploads()


def test_over_tls_with_own_authority(engine, sample_db, make_pipeline, tls_bucket):
    pipeline = make_pipeline(sample_db.config(), {"out": s3_sink(tls_bucket)}, PUBLIC)
    engine.run(pipeline).expect(0)
    read = lake.Lake(lake.S3Store(tls_bucket, "hr"))
    assert lake.compare_all(read, sample_db, TABLES) == "lost=0 dup=0 diff=0"


def test_unknown_authority_is_refused(engine, sample_db, make_pipeline, tls_bucket):
    sink = s3_sink(tls_bucket)
    del sink["config"]["ca_file"]
    started = time.monotonic()
    result = engine.run(make_pipeline(sample_db.config(), {"out": sink}, PUBLIC))
    assert result.rc in (1, 3) and re.search("(?i)certificate|ssl|tls", result.output), result.describe()
    assert time.monotonic() - started < 60


def test_fan_out_with_transforms(engine, sample_db, make_pipeline, bucket, workdir):
    out = workdir / "files"
    pipeline = make_pipeline(
        sample_db.config(),
        {
            "masked": {**s3_sink(bucket), "inputs": ["hide"]},
            "plain": {**file_sink(out, format="csv", compression="gzip"), "inputs": ["src"]},
        },
        PUBLIC,
        transforms={
            "slim": {"plugin": "project", "inputs": ["src"], "config": {"exclude": ["public.employee.extra"]}},
            "hide": {
                "plugin": "mask",
                "inputs": ["slim"],
                "config": {"columns": ["public.employee.email"], "with": "redact"},
            },
        },
    )
    engine.run(pipeline).expect(0)
    assert lake.compare_all(lake.Lake(lake.FileStore(out)), sample_db, TABLES) == "lost=0 dup=0 diff=0"
    masked = lake.Lake(lake.S3Store(bucket, "hr")).stream("public.employee").rows()
    assert len(masked) == 5000 and all("extra" not in row for row in masked)
    assert not any("@example.org" in str(row["email"]) for row in masked)
    assert {row["email"] is None for row in masked} == {True, False}


def test_tables_chosen_on_the_command_line(engine, sample_db, make_pipeline, workdir):
    out = workdir / "lake"
    pipeline = make_pipeline(sample_db.config(), {"out": file_sink(out)}, PUBLIC)
    engine.run(pipeline, "--tables", "public.dep*").expect(0)
    assert lake.Lake(lake.FileStore(out)).names() == ["public.department"]


def test_rotation_by_rows(engine, sample_db, make_pipeline, workdir):
    out = workdir / "lake"
    sink = {**file_sink(out), "batch": {"rows": 3000}}
    engine.run(make_pipeline(sample_db.config(), {"out": sink}, ["public.salary"])).expect(0)
    read = lake.Lake(lake.FileStore(out))
    assert lake.compare_all(read, sample_db, {"public.salary": "salary"}) == "lost=0 dup=0 diff=0"
    assert len(read.stream("public.salary").files) >= 3


def test_many_shards_of_one_table(engine, db, make_pipeline, workdir):
    """A table of many pages, read in several ranges at once; every row exactly once."""
    db.execute(
        "CREATE TABLE big (id int PRIMARY KEY, body text)",
        "INSERT INTO big SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 60000) i",
        "DELETE FROM big WHERE id % 7 = 0",
        "UPDATE big SET body = 'moved' WHERE id % 11 = 0",
        "ANALYZE big",
    )
    out = workdir / "lake"
    pipeline = make_pipeline(db.config(), {"out": file_sink(out)}, ["public.big"], parallelism=4)
    pipeline["sources"]["src"]["snapshot"] = {"split": "1MiB"}
    engine.run(pipeline).expect(0)
    read = lake.Lake(lake.FileStore(out))
    assert lake.compare_all(read, db, {"public.big": "big"}) == "lost=0 dup=0 diff=0"
    assert len(read.stream("public.big").files) > 4


def test_one_snapshot_under_writers(engine, db, make_pipeline, workdir):
    """Money moves between two tables all the while; the loaded sum never changes."""
    db.execute(
        "CREATE TABLE account_a (id int PRIMARY KEY, amount int NOT NULL)",
        "CREATE TABLE account_b (id int PRIMARY KEY, amount int NOT NULL)",
        "INSERT INTO account_a SELECT i, 100 FROM generate_series(1, 20000) i",
        "INSERT INTO account_b SELECT i, 100 FROM generate_series(1, 20000) i",
    )
    out = workdir / "lake"
    pipeline = make_pipeline(db.config(), {"out": file_sink(out)}, PUBLIC)
    run = engine.start_run(pipeline)
    moved = 0
    with db.connect() as conn:
        while run.poll() is None:
            with conn.transaction():
                conn.execute("UPDATE account_a SET amount = amount - 1 WHERE id = %s", [1 + moved % 20000])
                conn.execute("UPDATE account_b SET amount = amount + 1 WHERE id = %s", [1 + moved * 7 % 20000])
            moved += 1
    run.wait().expect(0)
    read = lake.Lake(lake.FileStore(out))
    rows = read.stream("public.account_a").rows() + read.stream("public.account_b").rows()
    assert moved > 10 and len(rows) == 40000 and sum(int(row["amount"]) for row in rows) == 4_000_000


def test_odd_tables(engine, db, make_pipeline, bucket):
    """Empty, one column, quoted and 63-byte names, names that look like paths, 1,000 columns."""
    names = ["Mixed Case", "a/../b", "..", "x" * 63, "ü" * 31, "tab\there", "new\nline", 'q"uote', "a.b", "%41", "__"]
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    db.execute(
        *(f"CREATE TABLE {name} (id int PRIMARY KEY, {name} text)" for name in quoted),
        *(f"INSERT INTO {name} VALUES (1, 'x'), (2, NULL)" for name in quoted),
        "CREATE TABLE empty_one (id int PRIMARY KEY)",
        'CREATE SCHEMA "Other Schema"',
        'CREATE TABLE "Other Schema".t (a int)',
        'INSERT INTO "Other Schema".t VALUES (7)',
        f"CREATE TABLE wide ({', '.join(f'c{n} int' for n in range(1000))})",
        f"INSERT INTO wide SELECT {', '.join(str(n) for n in range(1000))} FROM generate_series(1, 3)",
    )
    engine.run(make_pipeline(db.config(), {"out": s3_sink(bucket)}, None)).expect(0)
    read = lake.Lake(lake.S3Store(bucket, "hr"))
    relations = {lake.stream_name("public", name): f"public.{sql}" for name, sql in zip(names, quoted, strict=True)}
    relations |= {"public.empty_one": "empty_one", "public.wide": "wide"}
    relations[lake.stream_name("Other Schema", "t")] = '"Other Schema".t'
    assert sorted(read.names()) == sorted(relations)
    assert lake.compare_all(read, db, relations) == "lost=0 dup=0 diff=0"
    assert all(key.startswith("hr/") and "/../" not in key for key in bucket.keys())
    for name in relations:
        segment = lake.key_segment(name)
        assert all(file.key.startswith(f"{segment}/full/") for file in read.stream(name).files)
