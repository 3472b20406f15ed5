"""The examples that follow changes do what their heads say."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from support import changes, lake

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def hr(sample_db):
    """Every table with an identity, as the examples ask for."""
    sample_db.execute("ALTER TABLE salary REPLICA IDENTITY FULL", "ALTER TABLE salary ADD id bigserial PRIMARY KEY")
    return sample_db


def change(db) -> None:
    db.execute(
        "UPDATE employee SET name = 'Renamed', email = 'new@example.org' WHERE id <= 10",
        "DELETE FROM salary WHERE employee_id = 7",
        "INSERT INTO department VALUES (99, 'New', 1.50)",
        "UPDATE salary SET amount = amount + 1 WHERE employee_id < 20",
    )


def test_to_s3(engine, hr, bucket):
    path = EXAMPLES / "PostgreSQL_to_S3_cdc.yaml"
    env = {**hr.env(), **bucket.env(), "S3_PREFIX": "hr"}
    engine.cmd("check", str(path), env=env).expect(0)
    engine.run(path, env=env).expect(0)
    change(hr)
    engine.run(path, env=env).expect(0)
    feed = changes.Feed(lake.Lake(lake.S3Store(bucket, "hr")))
    names = ["public.department", "public.employee", "public.salary"]
    assert str(changes.compare_all(feed, hr, names)) == "lost=0 dup=0 diff=0"
    assert engine.cmd("state", "show", str(path), env=env).expect(0)
    engine.cmd("retire", str(path), "--yes", env=env).expect(0)
    assert hr.value("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()") == 0


def test_to_files_with_hashed_columns(engine, hr, workdir):
    path = EXAMPLES / "PostgreSQL_to_files_cdc.yaml"
    env = {**hr.env(), "OUT": str(workdir / "out"), "MASK_SALT": "pepper"}
    engine.run(path, env=env).expect(0)
    change(hr)
    engine.run(path, env=env).expect(0)
    feed = changes.Feed(lake.Lake(lake.FileStore(workdir / "out")))
    columns = ", ".join(
        "encode(sha256(convert_to('pepper' || email, 'UTF8')), 'hex') AS email" if name == "email" else name
        for name in ("id", "department_id", "name", "email", "born", "active", "hired", "extra"))
    assert changes.compare(feed, hr, "public.employee", select=f"SELECT {columns} FROM employee").ok
    assert changes.compare(feed, hr, "public.salary").ok
    digest = hashlib.sha256(b"peppernew@example.org").hexdigest()
    updates = [event for event in feed.events("public.employee") if event.op == "U"]
    assert len(updates) == 10 and all(event.row["email"] == digest for event in updates)


def test_as_debezium_from_a_slot_of_ones_own(engine, hr, bucket):
    path = EXAMPLES / "PostgreSQL_to_S3_debezium.yaml"
    env = {**hr.env(), **bucket.env(), "S3_PREFIX": "dbz"}
    hr.execute(
        "CREATE PUBLICATION hr_changes FOR TABLE employee, salary",
        "SELECT pg_create_logical_replication_slot('hr_lake', 'pgoutput')",
    )
    try:
        change(hr)
        engine.run(path, env=env).expect(0)
        feed = changes.Feed(lake.Lake(lake.S3Store(bucket, "dbz")), shape="debezium")
        assert feed.names() == ["public.employee", "public.salary"]
        ops = [event.op for event in feed.events("public.employee")]
        assert ops == ["U"] * 10
        engine.cmd("retire", str(path), "--yes", env=env)
        assert hr.value("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'hr_lake'") == 1
    finally:
        hr.execute("SELECT pg_drop_replication_slot('hr_lake')")
