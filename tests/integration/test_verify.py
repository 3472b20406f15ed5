"""`sluice verify`: what is equal is found equal, what differs is found, to the row; tables and lakes."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import threading

import pytest
from fault.test_t14_types import change, create
from support import pipe, pgsink
from support.proc import wait_until
from test_types import TYPES


@pytest.fixture
def make(engine, db):
    made = []

    def start(sinks=None, on=None, **more):
        made.append(pipe.Pipe(engine, on or db, sinks, **more))
        return made[-1]

    yield start
    for each in made:
        each.close()


@pytest.fixture
def replica(engine, db, target):
    made = []

    def start(**more):
        made.append(pgsink.Replica(engine, db, target, **more))
        return made[-1]

    yield start
    for each in made:
        each.close()


def verify(made, *args, rc=0):
    result = made.engine.cmd("verify", str(made.path), "--json", *args, timeout=170)
    done = result.json()
    assert result.rc == rc, (result.stderr, [(s["stream"], s["verdict"], s["reason"]) for s in done["streams"]
                                             if s["verdict"] != "equal"][:9],
                             done["differences"][:9])
    return {(s["stream"], s["sink"]): s for s in done["streams"]}, done["differences"]


def equal(made, *args) -> dict:
    streams, differences = verify(made, *args)
    bad = {name: s for name, s in streams.items() if s["verdict"] != "equal"}
    assert not bad and not differences, (bad, differences)
    for s in streams.values():
        assert s["source_rows"] == s["target_rows"]
    return streams


HOW = {"jsonl": {"compression": "zstd"}, "hex": {"binary": "hex", "full": "changes"},
       "csv": {"format": "csv", "compression": "gzip", "full": "changes"}}


@pytest.mark.parametrize("how", HOW)
def test_every_type_in_a_lake(make, hostile_db, workdir, how):
    """Loaded, then changed: each type prints at both ends what the other one does."""
    relations = create(hostile_db, list(TYPES))
    made = make({"lake": pipe.file_sink(workdir / "lake", **HOW[how])}, hostile_db, tables=["public.ty_*"])
    made.once()
    assert len(equal(made, "--window", "1s")) == len(relations)
    change(hostile_db, relations)
    made.once()
    streams = equal(made, "--window", "2s")
    assert len(streams) == len(relations) and sum(s["source_rows"] for s in streams.values()) > 100


def history(db):
    """Changes of every kind; `big` is not sent where it does not change."""
    db.execute(
        "UPDATE t SET v = 'u' WHERE id < 20",
        "UPDATE t SET id = id + 1000 WHERE id < 5",
        "UPDATE t SET id = id + 1000 WHERE id > 1000",
        "UPDATE t SET big = NULL WHERE id = 7",
        "DELETE FROM t WHERE id BETWEEN 30 AND 40",
        "INSERT INTO t SELECT i, 'again', repeat('y', 3000) FROM generate_series(30, 35) i",
        "UPDATE t SET v = 'twice' WHERE id IN (31, 2002)",
        "DELETE FROM t WHERE id = 2003",
        "INSERT INTO t VALUES (3, 'back', 'small')",
        "UPDATE bare SET v = 'w' WHERE k = 1",
        "DELETE FROM bare WHERE ctid = (SELECT min(ctid) FROM bare WHERE k = 2)",
        "INSERT INTO bare VALUES (9, 'new'), (9, 'new')",
        "TRUNCATE gone",
        "INSERT INTO gone VALUES (1, 'after')",
    )


TABLES = (
    "CREATE TABLE t (id int PRIMARY KEY, v text, big text)",
    "ALTER TABLE t ALTER big SET STORAGE EXTERNAL",
    "INSERT INTO t SELECT i, 'v' || i, repeat(md5(i::text), 100) FROM generate_series(1, 200) i",
    "CREATE TABLE bare (k int, v text)",
    "ALTER TABLE bare REPLICA IDENTITY FULL",
    "INSERT INTO bare SELECT i % 4, 'x' FROM generate_series(1, 40) i",
    "CREATE TABLE gone (id int PRIMARY KEY, v text)",
    "INSERT INTO gone SELECT i, 'x' FROM generate_series(1, 9) i",
    "CREATE TABLE \"Odd \"\"name\" (\"a\"\"b\\\" int PRIMARY KEY, \"ü,\" text)",
    "INSERT INTO \"Odd \"\"name\" VALUES (1, E'line\\nend, \"q\" \\\\ ü'), (2, ''), (3, NULL)",
    "CREATE TABLE empty (id int PRIMARY KEY)",
)


@pytest.mark.parametrize("format", ["jsonl", "csv"])
@pytest.mark.parametrize("kind", ["file", "s3"])
def test_changes_of_every_kind(make, db, bucket, workdir, kind, format):
    db.execute(*TABLES)
    sink = pipe.s3_sink(bucket) if kind == "s3" else pipe.file_sink(workdir / "lake")
    sink["config"]["format"] = format
    made = make({"lake": sink})
    made.once()
    history(db)
    made.once()
    streams = equal(made, "--window", "2s")
    assert streams["public.t", "lake"]["source_rows"] == db.value("SELECT count(*) FROM t")
    # Behind the lake's back: what it lacks is shown, row by row.
    db.execute("UPDATE t SET v = 'late' WHERE id = 50", "DELETE FROM t WHERE id = 51",
               "INSERT INTO t VALUES (5000, 'more', '')", "DELETE FROM bare WHERE k = 9")
    streams, differences = verify(made, "--window", "1s", rc=4)
    t, bare = streams["public.t", "lake"], streams["public.bare", "lake"]
    assert (t["missing"], t["extra"], t["different"]) == (1, 1, 1) and t["verdict"] == "different"
    assert (bare["missing"], bare["extra"]) == (0, 2)
    shown = {(d["stream"], d["key"]): (d["source"], d["target"]) for d in differences}
    key = '["{}"]' if format == "csv" else "[{}]"
    assert shown["public.t", key.format(5000)][1] is None
    assert shown["public.t", key.format(51)][0] is None
    assert '"late"' in shown["public.t", key.format(50)][0] and '"v50"' in shown["public.t", key.format(50)][1]
    assert {name for (name, _), s in streams.items() if s["verdict"] == "different"} == {"public.t", "public.bare"}


def test_while_changes_flow_into_a_lake(make, db, workdir):
    """What is on its way is no difference: the sink's position says when it must be there."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int)", "INSERT INTO t SELECT i, 0 FROM generate_series(1, 500) i")
    made = make({"lake": pipe.file_sink(workdir / "lake", interval="1s")})
    run = made.start()
    made.wait_loaded(["public.t"], run)
    with db.connect() as conn:
        for n in range(60):
            conn.execute(f"UPDATE t SET n = n + 1 WHERE id % 60 = {n}")
        streams, differences = verify(made)
    run.interrupt()
    run.wait().expect(0)
    assert streams["public.t", "lake"]["verdict"] == "equal", (streams, differences)


def test_loads_alone(make, db, workdir):
    """The newest complete load counts; files that no manifest names do not."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v json, _op text)",
               "INSERT INTO t SELECT i, '{\"a\":\n 1}', 'x' FROM generate_series(1, 1000) i")
    made = make({"lake": pipe.file_sink(workdir / "lake")}, mode="full_load_only")
    made.once()
    equal(made)
    db.execute("DELETE FROM t WHERE id = 7", "UPDATE t SET _op = 'y' WHERE id = 8")
    streams, _ = verify(made, rc=4)
    assert (streams["public.t", "lake"]["extra"], streams["public.t", "lake"]["different"]) == (1, 1)
    made.once()
    equal(made)


def first_file(workdir) -> tuple:
    lake = workdir / "lake"
    for path in sorted(lake.glob("_sluice/*/lake/commits/*.json")):
        manifest = json.loads(path.read_text())
        if manifest.get("files"):
            return path, manifest, lake / manifest["files"][0]["key"]
    raise AssertionError("no file")


@pytest.mark.parametrize("how", ["flipped", "cut", "gone", "line", "count", "manifest"])
def test_damaged_lake(make, db, workdir, how):
    """Said with the file's name; never taken for a difference of rows."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)",
               "INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 1000) i")
    made = make({"lake": pipe.file_sink(workdir / "lake", compression="gzip")}, mode="full_load_only")
    made.once()
    path, manifest, data = first_file(workdir)
    raw = bytearray(data.read_bytes())
    if how == "flipped":
        raw[len(raw) // 2] ^= 1
    elif how == "cut":
        raw = raw[:-10]
    elif how == "line":
        raw = bytearray(gzip.compress(gzip.decompress(raw)[:-20] + b"\n"))
        manifest["files"][0].update(bytes=len(raw), sha256=hashlib.sha256(raw).hexdigest())
    elif how == "count":
        manifest["files"][0]["rows"] = 999
    data.write_bytes(raw)
    if how == "gone":
        data.unlink()
    path.write_text(json.dumps(manifest) if how != "manifest" else "{")
    streams, _ = verify(made, rc=4)
    stream = streams["public.t", "lake"]
    assert stream["verdict"] == "damaged"
    named = path.name if how == "manifest" else data.name
    assert named in stream["reason"], stream


def test_what_cannot_be_compared(make, db, workdir):
    db.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    made = make({"lake": pipe.file_sink(workdir / "none")})
    streams, _ = verify(made)
    assert "no folder" in streams["public.t", "lake"]["reason"]
    assert not (workdir / "none").exists()
    other = make({"lake": pipe.file_sink(workdir / "lake", changes="debezium")}, name="other")
    other.once()
    streams, _ = verify(other)
    assert "Debezium" in streams["public.t", "lake"]["reason"]


def test_two_sinks(replica, db, target, workdir):
    """A table and a lake beside each other; each has its own line."""
    db.execute(*TABLES)
    made = replica(beside={"lake": pipe.file_sink(workdir / "lake")})
    made.once()
    history(db)
    made.once()
    streams = equal(made, "--window", "2s")
    assert {sink for _, sink in streams} == {"copy", "lake"} and len(streams) == 10
    target.execute("UPDATE t SET v = 'not so' WHERE id = 60", "DELETE FROM t WHERE id = 61",
                   "INSERT INTO t VALUES (7000, 'x', 'y')", "INSERT INTO bare VALUES (9, 'new')")
    streams, differences = verify(made, "--window", "1s", "--rows", "2", rc=4)
    t = streams["public.t", "copy"]
    assert (t["missing"], t["extra"], t["different"], t["unsettled"]) == (1, 1, 1, 0)
    assert streams["public.bare", "copy"]["extra"] == 1 and streams["public.t", "lake"]["verdict"] == "equal"
    assert sum(d["stream"] == "public.t" for d in differences) == 2  # all are counted, two are shown
    text = made.engine.cmd("verify", str(made.path), "--stream", "public.t", "--window", "0s").expect(4)
    assert "not so" in text.stdout and "has no such row" in text.stdout and "bare" not in text.stdout


def test_while_changes_flow(replica, db, target):
    """Rows that are on their way settle; rows that change all the time are not called different."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int)", "INSERT INTO t SELECT i, 0 FROM generate_series(1, 300) i")
    made = replica()
    run = made.start()
    made.wait_caught_up(run)
    with db.connect() as conn:
        for n in range(200):
            conn.execute("UPDATE t SET n = n + 1 WHERE id = %s", [n + 1])
        streams, differences = verify(made)
    wait_until(lambda: target.value("SELECT sum(n) FROM t") == 200, 30, "all changes at the target")
    run.interrupt()
    run.wait().expect(0)
    assert streams["public.t", "copy"]["verdict"] == "equal", (streams, differences)


def test_rows_that_never_rest(replica, db, target):
    """A row that changes between the looks at both ends is not called different, however long a look takes."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n bigint, v text)",
               "INSERT INTO t SELECT i, 0, repeat('x', 100) FROM generate_series(1, 60000) i")
    made = replica()
    run = made.start()
    made.wait_caught_up(run)
    resting = threading.Event()

    def write() -> None:
        with db.connect() as conn:
            for n in itertools.count():
                if resting.is_set():
                    return
                conn.execute("UPDATE t SET n = n + 1 WHERE id = %s", [1 + n % 40])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            streams, differences = verify(made, "--window", "2s")
            stream = streams["public.t", "copy"]
            assert (stream["missing"], stream["extra"], stream["different"]) == (0, 0, 0), (stream, differences)
    finally:
        resting.set()
        writer.join()
    run.interrupt()
    run.wait().expect(0)


def test_other_types_that_print_the_same(replica, db, target):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int, d numeric(10,2))", "INSERT INTO t VALUES (1, 2, 1.5)")
    target.execute("CREATE TABLE t (id bigint PRIMARY KEY, n bigint, d numeric(10,2), more text DEFAULT 'm')")
    made = replica()
    made.once()
    equal(made, "--window", "1s")
