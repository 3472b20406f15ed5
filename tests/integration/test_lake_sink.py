"""The sinks' files byte by byte, odd names in keys, and what a killed run leaves behind."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
import zstandard
from support import lake


def file_sink(path: Path, **config) -> dict:
    return {"plugin": "file", "config": {"path": str(path), "compression": "none", **config}}


def files_of(out: Path, name: str) -> list[Path]:
    """Data files of a table, in the order of their manifests."""
    manifests = [json.loads(p.read_text()) for p in sorted(out.glob("_sluice/*/*/commits/*.json"))]
    newest = {s["name"]: s["run"] for m in manifests if m["kind"] == "complete" for s in m["streams"]}
    return [
        out / f["key"]
        for m in manifests
        if m["kind"] == "full" and m["run"] == newest.get(name)
        for f in m["files"]
        if f["stream"] == name
    ]


def fill_values(db) -> None:
    db.execute(
        "CREATE TYPE pair AS (a int, b text)",
        "CREATE TABLE v (id int PRIMARY KEY, s smallint, big bigint, f4 real, f8 double precision,"
        " n numeric(20,4), free numeric, b boolean, t text, c char(5), d date, ts timestamp,"
        " tz timestamptz, tm time, iv interval, u uuid, j jsonb, arr text[], nums int[], p pair, e bytea)",
        "INSERT INTO v SELECT i, i % 30000, i * 10000000000, (i / 7.0)::real, i / 7.0::float8,"
        " i * 1.0001, i::numeric / 3, i % 2 = 0,"
        " CASE i % 7 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'a,\"b\"' WHEN 3 THEN E'x\\ny\\r\\tz'"
        " WHEN 4 THEN '\\.' WHEN 5 THEN 'é€😀' ELSE repeat('long ', i % 40) END,"
        " 'c' || i % 10, date '2024-01-01' + (i % 100000 - 900000),"
        " timestamp '2024-01-01' + i * interval '1 hour 0.1 second',"
        " timestamptz '2024-01-01+00' - i * interval '1 day 0.000001 second',"
        " time '00:00' + i * interval '1 second', make_interval(0, i % 13 - 6, 0, i % 5 - 2, 0, 0, i % 3 - 1.5),"
        " md5(i::text)::uuid, jsonb_build_object('i', i, 'x', 1.10), ARRAY['a' || i, NULL, 'b,\"c\\'],"
        " ARRAY[i, NULL, -i], ROW(i, 'q\"' || i)::pair, decode(md5(i::text), 'hex')"
        " FROM generate_series(1, 3000) i",
        "INSERT INTO v (id, f8, n, d, ts, tz) VALUES (100001, 'NaN', 'NaN', 'infinity', '-infinity', 'infinity'),"
        " (100002, '-Infinity', NULL, '-infinity', '0044-03-15 BC', '0044-03-15+00 BC')",
        "ANALYZE",
    )


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_csv_is_what_copy_prints(engine, hostile_db, make_pipeline, workdir, compression):
    fill_values(hostile_db)
    out = workdir / "lake"
    sink = {**file_sink(out, format="csv", compression=compression), "batch": {"rows": 1000000}}
    engine.run(make_pipeline(hostile_db.config(), {"out": sink}, ["public.v"])).expect(0)
    (path,) = files_of(out, "public.v")
    data = path.read_bytes()
    if compression == "gzip":
        data = gzip.decompress(data)
    elif compression == "zstd":
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    with hostile_db.connect() as conn, conn.cursor() as cur:
        with cur.copy("COPY (SELECT * FROM v ORDER BY ctid) TO STDOUT (FORMAT csv, HEADER)") as copy:
            want = b"".join(bytes(block) for block in copy)
    assert data == want


def test_jsonl_is_what_row_to_json_prints(engine, hostile_db, make_pipeline, workdir):
    fill_values(hostile_db)
    out = workdir / "lake"
    sink = file_sink(out, format="jsonl", binary="hex")
    engine.run(make_pipeline(hostile_db.config(), {"out": sink}, ["public.v"])).expect(0)
    (path,) = files_of(out, "public.v")
    want = [row[0] for row in hostile_db.query("SELECT row_to_json(v)::text FROM v ORDER BY ctid")]
    assert path.read_bytes().decode().removesuffix("\n").split("\n") == want


def test_other_readers_agree(engine, sample_db, make_pipeline, workdir):
    """DuckDB and Python's own readers, on files that rotate."""
    out = workdir / "lake"
    pipeline = make_pipeline(
        sample_db.config(),
        {
            "gz": {**file_sink(out / "gz", format="jsonl", compression="gzip"), "batch": {"rows": 1500}},
            "zst": {**file_sink(out / "zst", format="csv", compression="zstd"), "batch": {"rows": 1500}},
        },
        ["public.salary"],
    )
    engine.run(pipeline).expect(0)
    count, total = sample_db.query("SELECT count(*), sum(amount) FROM salary")[0]
    gz = [str(path) for path in files_of(out / "gz", "public.salary")]
    zst = [str(path) for path in files_of(out / "zst", "public.salary")]
    assert len(gz) == len(zst) == -(-count // 1500)
    with duckdb.connect() as duck:
        sql = "SELECT count(*), sum(amount::DECIMAL(18,2)) FROM {}"
        for call in (
            sql.format(f"read_json({gz!r}, format='newline_delimited')"),
            sql.format(f"read_csv({zst!r}, header=true)"),
        ):
            assert duck.execute(call).fetchone() == (count, total)
    amounts = Decimal(0)
    for path in zst:
        text = zstandard.ZstdDecompressor().decompressobj().decompress(Path(path).read_bytes()).decode()
        amounts += sum(Decimal(row["amount"]) for row in csv.DictReader(io.StringIO(text, newline="")))
    assert amounts == total


NAMES = [
    "a/../b", "..", ".", "x\x01y\n", 'quo"te', "%2F", "ü" * 31, "sp ace+plus", "~tilde", "UPPER", "a.b",
    "\\back\\slash", "trailing.", "-rf", "con:aux*?<>|", "😀" * 15,
]


def test_odd_names_stay_inside(engine, db, make_pipeline, workdir):
    with db.connect() as conn:
        for name in NAMES:
            quoted = '"' + name.replace('"', '""') + '"'
            conn.execute(f"CREATE TABLE {quoted} (id int PRIMARY KEY, {quoted} text)")  # type: ignore[arg-type]
            conn.execute(f"INSERT INTO {quoted} VALUES (1, 'one'), (2, NULL)")  # type: ignore[arg-type]
    out = workdir / "deep" / "lake"
    before = {path for path in workdir.rglob("*") if out not in path.parents}
    engine.run(make_pipeline(db.config(), {"out": file_sink(out, format="jsonl")}, ["public.*"])).expect(0)
    read = lake.Lake(lake.FileStore(out))
    assert read.names() == sorted(lake.stream_name("public", name) for name in NAMES)
    top = {path.name for path in out.iterdir()}
    assert top == {lake.key_segment(name) for name in read.names()} | {"_sluice", ".sluice-tmp"}
    outside = {path for path in workdir.rglob("*") if out not in path.parents} - before
    assert not [path for path in outside if "jsonl" in path.name or "full" in path.parts], outside
    for name in NAMES:
        rows = read.stream(lake.stream_name("public", name)).rows()
        assert [str(row["id"]) for row in rows] == ["1", "2"] and rows[1][name] is None


def test_killed_run_leaves_nothing_in_sight(engine, db, make_pipeline, workdir):
    db.execute(
        "CREATE TABLE big (id int PRIMARY KEY, body text)",
        "INSERT INTO big SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 150000) i",
        "ANALYZE",
    )
    out = workdir / "lake"
    path = engine.write(make_pipeline(db.config(), {"out": file_sink(out, format="jsonl")}, ["public.big"]))
    run = engine.start_run(path)
    deadline = time.monotonic() + 60
    temporary = out / ".sluice-tmp"

    def unfinished() -> list[Path]:
        return [p for p in temporary.iterdir() if p.stat().st_size > 0] if temporary.exists() else []

    while not unfinished() and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    run.kill9()
    assert unfinished(), "the run ended before it was killed"
    assert not list(out.rglob("*.jsonl")), "a file showed before it was whole"
    engine.run(path).expect(0)
    assert not list(temporary.iterdir())
    assert lake.compare_all(lake.Lake(lake.FileStore(out)), db, ["public.big"]) == "lost=0 dup=0 diff=0"


@pytest.mark.release
def test_one_value_of_100_mb(release_engine, db, make_pipeline, workdir):
    db.execute(
        "CREATE TABLE huge (id int, body text, arr text[])",
        "INSERT INTO huge SELECT 1, repeat('x\"y\\' || chr(10), 20000000), NULL",
        "INSERT INTO huge SELECT 2, 'small', ARRAY[repeat('q\"', 10000000)]",
    )
    out = workdir / "lake"
    sink = file_sink(out, format="jsonl", compression="zstd")
    pipeline = make_pipeline(db.config(), {"out": sink}, ["public.huge"])
    result = release_engine.run(pipeline, timeout=280).expect(0)
    assert result.peak_rss_kib < 512 * 1024, f"{result.peak_rss_kib >> 10} MiB"
    program = (
        "import json, sys, zstandard\n"
        "rows = [json.loads(line) for line in zstandard.open(sys.argv[1], 'rt', newline='\\n')]\n"
        "assert rows[0]['body'] == 'x\"y\\\\\\n' * 20000000 and rows[1]['arr'] == ['q\"' * 10000000]\n"
    )
    (path,) = files_of(out, "public.huge")
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, timeout=120)
