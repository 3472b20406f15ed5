"""The guide docs/live-replica.md as it is written: a live replica in PostgreSQL, exported to S3 night after night."""

from __future__ import annotations

import json
import time
from pathlib import Path

import psycopg
import pytest
from support import lake, pgsink

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
REPLICA = str(EXAMPLES / "PostgreSQL_live_replica.yaml")
NIGHTLY = str(EXAMPLES / "PostgreSQL_replica_nightly_to_S3.yaml")
TABLES = ["public.department", "public.employee", "public.salary"]


@pytest.fixture
def hr(sample_db):
    """Every table with an identity, as the example asks for."""
    sample_db.execute("ALTER TABLE salary ADD id bigserial PRIMARY KEY")
    return sample_db


@pytest.fixture
def env(hr, target, bucket):
    """The variables that the heads of the examples name."""
    replica = {name.replace("PG", "REPLICA_", 1): value for name, value in target.env().items()}
    return {**hr.env(), **replica, **bucket.env(), "S3_PREFIX": "hr"}


def change(db, step: int) -> None:
    """Each is one transaction over several tables; budgets of departments never change in sum."""
    db.execute(
        f"BEGIN; UPDATE department SET budget = budget - {step} WHERE id = 1; UPDATE department SET budget ="
        f" budget + {step} WHERE id = 2; UPDATE employee SET name = 'Renamed {step}' WHERE id % 100 = {step};"
        f" DELETE FROM salary WHERE employee_id = {step}; INSERT INTO salary (employee_id, amount, valid)"
        f" VALUES ({step + 1}, {step}.25, NULL); COMMIT")


def wait_equal(hr, target, run, seconds: float = 60) -> None:
    """Until the replica has what the source has."""
    ends = time.monotonic() + seconds
    while True:
        try:
            assert pgsink.compare_tables(hr, target, TABLES).ok
            return
        except (lake.LakeError, psycopg.errors.UndefinedTable):
            assert run.poll() is None, run.stderr
            assert time.monotonic() < ends, "the replica does not catch up"
            time.sleep(0.1)


def exported(bucket, table: str) -> list[dict]:
    """Rows of the newest whole set, read with nothing of ours: manifests and files out of the bucket, by hand."""
    prefix = "hr/_sluice/replica_nightly_to_s3/lake/commits/"
    manifests = [json.loads(bucket.get(key)) for key in sorted(bucket.keys(prefix))]
    whole = [stream["run"] for m in manifests if m["kind"] == "complete" for stream in m["streams"]
             if stream["name"] == table]
    files = [file["key"] for m in manifests if m["kind"] == "full" and m["run"] == whole[-1]
             for file in m["files"] if file["stream"] == table]
    text = b"".join(lake.decompress(key, bucket.get(f"hr/{key}")) for key in files).decode()
    return [json.loads(line) for line in text.splitlines()]


def test_replica_and_nightly_export(engine, hr, target, bucket, env):
    engine.cmd("check", REPLICA, env=env).expect(0)
    plan = engine.cmd("plan", REPLICA, env=env).expect(0)
    assert 'CREATE TABLE "public"."department"' in plan.stdout and "exactly once" in plan.stdout
    run = engine.start("run", REPLICA, env=env)
    wait_equal(hr, target, run)
    budgets = hr.value("SELECT sum(budget) FROM department")
    for night in (1, 2):
        for step in range(night * 10, night * 10 + 10):
            change(hr, step)
        wait_equal(hr, target, run)
        engine.cmd("verify", REPLICA, env=env).expect(0)
        engine.cmd("check", NIGHTLY, env=env).expect(0)
        engine.cmd("run", NIGHTLY, "--once", env=env).expect(0)
        # What lies in the bucket is what source and replica say, each asked by another client.
        read = lake.Lake(lake.S3Store(bucket, "hr"))
        assert read.names() == TABLES and all(len(read.runs(name)) == night for name in TABLES)
        for db in (hr, target):
            assert lake.compare_all(read, db, {name: name for name in TABLES}) == "lost=0 dup=0 diff=0"
        rows = exported(bucket, "public.salary")
        assert {(row["id"], row["employee_id"]) for row in rows} == set(hr.query("SELECT id, employee_id FROM salary"))
        assert len(rows) == hr.value("SELECT count(*) FROM salary")
    # An export while changes flow: some state that the source has had, transactions whole.
    for step in range(40, 60):
        change(hr, step)
    engine.cmd("run", NIGHTLY, "--once", env=env).expect(0)
    rows = exported(bucket, "public.department")
    assert round(sum(row["budget"] for row in rows), 2) == float(budgets)
    run.terminate()
    run.wait().expect(0)
    engine.cmd("run", REPLICA, "--once", env=env).expect(0)
    assert pgsink.compare_tables(hr, target, TABLES).ok
    assert target.value("SELECT sum(budget) FROM department") == budgets
    engine.cmd("retire", REPLICA, "--yes", env=env).expect(0)
    assert hr.value("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()") == 0


def test_difference_is_found_and_mended(engine, hr, target, env):
    """Somebody wrote to the replica: verify says which row, resync mends it."""
    engine.cmd("run", REPLICA, "--once", env=env).expect(0)
    target.execute("UPDATE employee SET name = 'not so' WHERE id = 7", "DELETE FROM salary WHERE id = 3")
    found = engine.cmd("verify", REPLICA, "--window", "0s", "--json", env=env).expect(4).json()
    assert {(row["stream"], row["key"]) for row in found["differences"]} == {
        ("public.employee", "[7]"), ("public.salary", "[3]")}
    for table in ("public.employee", "public.salary"):
        engine.cmd("state", "resync", REPLICA, "--stream", table, "--yes", env=env).expect(0)
    engine.cmd("run", REPLICA, "--once", env=env).expect(0)
    engine.cmd("verify", REPLICA, env=env).expect(0)
    assert pgsink.compare_tables(hr, target, TABLES).ok
    engine.cmd("retire", REPLICA, "--yes", env=env).expect(0)
