"""Change files as the sinks write them in whole pipelines: many tables, large transactions, options, faults."""

from __future__ import annotations

from collections import Counter

import pytest
from support import lake, pipe
from test_lake_docs import query, read_table

KILLED = 128 + 9


@pytest.fixture
def make_pipe(engine, db):
    made = []

    def make(sinks=None, **more):
        made.append(pipe.Pipe(engine, db, sinks, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()


def equal(made: pipe.Pipe, streams, **options) -> None:
    assert str(made.compare(streams, **options)) == "lost=0 dup=0 diff=0"


@pytest.mark.parametrize("kind", ["file", "s3"])
def test_many_tables_at_one_commit(make_pipe, db, bucket, kind):
    names = [f"t{i:03}" for i in range(80)]
    db.execute(*(f"CREATE TABLE {name} (id int PRIMARY KEY, v text)" for name in names))
    made = make_pipe({"lake": bucket if kind == "s3" else "file"})
    made.once()
    insert = "INSERT INTO {} SELECT i, 'v' || i FROM generate_series(1, 20) i; "
    db.execute("BEGIN; " + "".join(insert.format(name) for name in names) + "COMMIT")
    made.once()
    equal(made, [f"public.{name}" for name in names])
    (manifest,) = made.feed().manifests
    assert len(manifest["files"]) == len(manifest["streams"]) == len(names)
    positions = {file[name] for file in manifest["files"] for name in ("first_pos", "last_pos")}
    # The commit may cover idle progress behind the transaction, too.
    assert len(positions) == 1 and max(positions) <= manifest["to"]


def test_one_large_transaction_over_three_tables(make_pipe, db, workdir):
    """Files end at batch.bytes; tables that have much to write stream, and give way to each other."""
    for name in "abc":
        db.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, v text)")
    made = make_pipe({"lake": pipe.file_sink(workdir / "lake", batch={"bytes": "2MiB"})})
    made.once()
    insert = "INSERT INTO {} SELECT i, repeat(md5(i::text), 10) FROM generate_series({}, {}) i; "
    db.execute("BEGIN; " + "".join(insert.format(name, k, k + 3999)
                                   for k in range(1, 16001, 4000) for name in "abc") + "COMMIT")
    made.once()
    equal(made, ["public.a", "public.b", "public.c"])
    (manifest,) = made.feed().manifests
    files = Counter(file["stream"] for file in manifest["files"])
    assert set(files) == {"public.a", "public.b", "public.c"} and min(files.values()) >= 2
    assert max(file["bytes"] for file in manifest["files"]) < 5 << 20
    keys = [file["key"] for file in manifest["files"] if file["stream"] == "public.a"]
    assert keys == sorted(keys)


def test_documented_readers_on_a_pipeline(make_pipe, db, workdir):
    db.execute(
        "CREATE TABLE t (id int PRIMARY KEY, name text, note text)",
        "ALTER TABLE t ALTER note SET STORAGE EXTERNAL",
        "INSERT INTO t SELECT i, 'n' || i, repeat(md5(i::text), 100) FROM generate_series(1, 50) i",
    )
    out = workdir / "lake"
    made = make_pipe({"lake": pipe.file_sink(out, compression="zstd")}, name="hr_to_lake")
    made.once()
    db.execute(
        "UPDATE t SET name = 'u' WHERE id < 20",  # note is not sent
        "UPDATE t SET id = id + 1000 WHERE id < 5",
        "UPDATE t SET id = id + 1000 WHERE id > 1000",
        "UPDATE t SET note = NULL WHERE id = 7",
        "DELETE FROM t WHERE id = 9",
        "INSERT INTO t VALUES (9, NULL, 'again')",
    )
    made.once()
    want = db.query("SELECT id, name, note FROM t ORDER BY id")
    assert query(out, "public.t") == want
    rows = read_table(out, "public.t")
    assert sorted((row["id"], row["name"], row["note"]) for row in rows) == want
    db.execute("TRUNCATE t", "INSERT INTO t VALUES (1, 'a', 'b')")
    made.once()
    assert query(out, "public.t") == [(1, "a", "b")]
    assert read_table(out, "public.t") == [{"id": 1, "name": "a", "note": "b"}]


def test_a_column_that_is_called_like_metadata(make_pipe, db, workdir):
    db.execute('CREATE TABLE odd (id int PRIMARY KEY, "_pos" text)', "INSERT INTO odd VALUES (1, 'x')")
    made = make_pipe({"lake": pipe.file_sink(workdir / "lake")}, on_error={"retry": {"max": 1}})
    failed = made.once(rc=None)
    assert failed.rc != 0 and "metadata_prefix" in failed.output and "_pos" in failed.output
    assert not [key for key in made.keys() if "/cdc/" in key or "/full/" in key]
    made.sinks["lake"]["config"]["metadata_prefix"] = "__"
    made.write()
    made.once()
    db.execute("INSERT INTO odd VALUES (2, 'y')")
    made.once()
    equal(made, ["public.odd"], metadata_prefix="__")


@pytest.mark.parametrize("name", ["s3.mid_multipart", "s3.before_complete"])
def test_uploads_in_parts_that_fail(make_pipe, db, bucket, name):
    """A load and a transaction that are larger than a part, with an error and with death on their way."""
    db.execute(
        "CREATE TABLE wide (id int PRIMARY KEY, v text)",
        "INSERT INTO wide SELECT i, repeat(md5(i::text), 40) FROM generate_series(1, 6000) i",
    )
    sink = pipe.s3_sink(bucket, part_size="5MiB")
    sink["config"]["compression"] = "none"
    made = make_pipe({"lake": (sink, lake.S3Store(bucket, "lake"))})
    for step, action in enumerate(("error", "crash")):
        result = made.once(failpoints=f"{name}={action}@1", rc=None)
        assert (f"failpoint {name}" in result.output) if action == "error" else result.rc == KILLED
        made.once()
        db.execute(
            "INSERT INTO wide SELECT i, repeat(md5(i::text), 40)"
            f" FROM generate_series({6001 + 6000 * step}, {12000 + 6000 * step}) i")
        result = made.once(failpoints=f"{name}={action}@1", rc=None)
        assert (f"failpoint {name}" in result.output) if action == "error" else result.rc == KILLED
        made.once()
        equal(made, ["public.wide"])
        if step == 0:
            db.execute("INSERT INTO wide SELECT id + 100000, v FROM wide WHERE id <= 5000")
