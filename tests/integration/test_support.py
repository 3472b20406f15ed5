"""The helpers themselves: servers start, faults happen, and the reader notices every kind of damage."""

from __future__ import annotations

import hashlib
import json
import urllib.error
import urllib.request

import psycopg
import pytest
import zstandard
from support import faultproxy as fp
from support import lake
from support.s3 import make_client


def test_server_speaks_logical(db):
    assert db.value("SHOW wal_level") == "logical"
    assert db.value("SHOW server_encoding") == "UTF8"


def test_hostile_database_prints_differently(hostile_db, pg_server):
    with pg_server.connect(hostile_db.name) as conn:
        row = conn.execute("SELECT date '2024-03-04'::text, interval '1 day'::text, 0.1::float8::text").fetchone()
    assert row == ("04/03/2024", "P1D", "0.1") and hostile_db.value("SELECT (date '2024-03-04')::text") == "2024-03-04"


def test_bucket_round_trip(bucket):
    bucket.put("a b/ü+%.txt", b"x")
    assert bucket.keys() == ["a b/ü+%.txt"] and bucket.get("a b/ü+%.txt") == b"x"


def test_tls_bucket(tls_bucket):
    tls_bucket.put("k", b"y")
    assert tls_bucket.get("k") == b"y"
    with pytest.raises(Exception, match="SSL|certificate"):
        make_client(tls_bucket.server.endpoint).list_buckets()


def test_tcp_proxy_slices_and_resets(db):
    with fp.TcpProxy(("127.0.0.1", db.server.port)) as link:
        link.set(slice_bytes=1)
        with psycopg.connect(**{**db.server.conninfo(db.name), "port": link.port}) as conn:
            assert conn.execute("SELECT 1").fetchone() == (1,)
            link.set(reset_after=1000)
            with pytest.raises(psycopg.OperationalError):
                conn.execute("SELECT repeat('x', 100000)").fetchone()
        assert link.triggered == 1
        link.set(refuse=True)
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(**{**db.server.conninfo(db.name), "port": link.port})


def test_http_proxy_plays_faults(bucket):
    with fp.HttpProxy(("127.0.0.1", bucket.server.port)) as link:
        client = make_client(link.endpoint)
        client.put_object(Bucket=bucket.name, Key="k", Body=b"0123456789")
        link.rule(fp.slow_down("1"), fp.is_put, times=1)
        with pytest.raises(Exception, match="SlowDown"):
            client.put_object(Bucket=bucket.name, Key="k2", Body=b"x")
        link.rule(fp.drop_reply(), fp.is_put, times=1)
        with pytest.raises(Exception, match="Connection|reset|closed"):
            client.put_object(Bucket=bucket.name, Key="k3", Body=b"x")
        assert "k3" in bucket.keys() and "k2" not in bucket.keys()
        link.rule(fp.truncate(4), lambda request: request.method == "GET", times=1)
        with pytest.raises(Exception, match="(?i)incomplete|closed|IncompleteRead"):
            client.get_object(Bucket=bucket.name, Key="k")["Body"].read()
        link.rule(fp.slices(), times=1)
        assert client.get_object(Bucket=bucket.name, Key="k")["Body"].read() == b"0123456789"
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{link.endpoint}/{bucket.name}/k", timeout=5)
        assert [link.count(name) for name in ("SlowDown", "drop_reply", "truncate", "slices")] == [1, 1, 1, 1]


def _write_lake(root, rows: list[str], run="20261123T005234Z", seq=1, complete=True, rows_said=None):
    data = zstandard.ZstdCompressor().compress(("\n".join(rows) + "\n").encode())
    key = f"public.t/full/{run}/1-0.jsonl.zst"
    (root / key).parent.mkdir(parents=True, exist_ok=True)
    (root / key).write_bytes(data)
    columns = [{"name": "id", "type": "int32", "native": "integer", "nullable": False, "key": True}]
    base = {"format": 1, "pipeline": "p", "sink": "lake", "mode": "full_load_only", "run": run, "epoch": 1}
    manifests = [{
        **base, "seq": seq, "kind": "full", "shard": "1",
        "streams": [{"name": "public.t", "schema_id": 1, "columns": columns}],
        "files": [{"key": key, "stream": "public.t", "schema_id": 1, "rows": rows_said or len(rows),
                   "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}],
    }]
    if complete:
        manifests.append({**base, "seq": seq + 1, "kind": "complete", "files": [],
                          "streams": [{"name": "public.t", "run": run, "rows": len(rows), "position": "0"}]})
    folder = root / "_sluice/p/lake/commits"
    folder.mkdir(parents=True, exist_ok=True)
    for body in manifests:
        (folder / f"{body['seq']:020d}.json").write_text(json.dumps(body))


@pytest.fixture
def table(db):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v numeric, w text)",
               "INSERT INTO t VALUES (1, 1.10, 'a'), (2, NULL, E'x\\n\"y'), (3, 12345678901234567890.5, '')")
    return db


GOOD = [
    '{"id":1,"v":1.10,"w":"a"}',
    '{"id":2, "v":null,"w":"x\\u000a\\"y"}',
    '{"id":3,"v":12345678901234567890.5,"w":""}',
]


def test_lake_reader_agrees(table, workdir):
    _write_lake(workdir, GOOD)
    read = lake.Lake(lake.FileStore(workdir))
    assert lake.compare_all(read, table, {"public.t": "t"}) == "lost=0 dup=0 diff=0"
    assert read.stream("public.t").rows()[2]["v"] == "12345678901234567890.5" and not read.orphans()


@pytest.mark.parametrize("rows, counts", [
    (GOOD[:2], (1, 0, 0)),
    ([*GOOD, GOOD[0]], (0, 1, 0)),
    ([GOOD[0].replace("1.10", "1.1"), *GOOD[1:]], (0, 0, 1)),
    ([GOOD[0].replace("1.10", '"1.10"'), *GOOD[1:]], (0, 0, 1)),
    ([*GOOD, '{"id":9,"v":1,"w":"z"}'], (0, 0, 1)),
    ([GOOD[0], GOOD[0], GOOD[1].replace("null", "0")], (1, 1, 1)),
])
def test_lake_reader_counts_damage(table, workdir, rows, counts):
    _write_lake(workdir, rows)
    out = lake.compare(lake.Lake(lake.FileStore(workdir)), table, "t", "public.t")
    assert (out.lost, out.dup, out.diff) == counts, str(out)


def test_lake_reader_refuses_holes_and_lies(workdir):
    _write_lake(workdir, GOOD, seq=2)
    with pytest.raises(lake.LakeError, match="hole"):
        lake.Lake(lake.FileStore(workdir))
    _write_lake(workdir, GOOD, seq=1, rows_said=4)
    (workdir / "_sluice/p/lake/commits/00000000000000000003.json").unlink()
    with pytest.raises(lake.LakeError, match="rows"):
        lake.Lake(lake.FileStore(workdir)).stream("public.t")


def test_newest_complete_run_counts(workdir):
    _write_lake(workdir, GOOD, run="20261123T005234Z", seq=1)
    _write_lake(workdir, GOOD[:1], run="20261123T005235Z", seq=3)
    _write_lake(workdir, GOOD[:2], run="20261123T005236Z", seq=5, complete=False)
    read = lake.Lake(lake.FileStore(workdir))
    assert read.stream("public.t").run == "20261123T005235Z" and len(read.stream("public.t").rows()) == 1
    assert read.runs("public.t") == ["20261123T005234Z", "20261123T005235Z"]


def test_names_and_segments():
    assert lake.stream_name("public", "Emp.x") == 'public."Emp.x"'
    assert lake.key_segment('public."Emp"') == "public.%22Emp%22"
    long = "ü" * 63
    segment = lake.key_segment(lake.stream_name("public", long))
    assert len(segment) <= 200 and segment.startswith("public.%22%C3%BC") and "~" in segment


def test_csv_null_and_empty():
    assert lake.parse_csv('a,b\n,""\n"x""\n,",y\n') == [["a", "b"], [None, ""], ['x"\n,', "y"]]
