"""Fixtures of the integration tests: a sample database, and pipelines as dicts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from support import pg


@pytest.fixture
def sample_db(db: pg.PgDatabase) -> pg.PgDatabase:
    """departments, employees and salaries: small, with keys, NULLs and non-ASCII text."""
    db.execute(
        "CREATE TABLE department (id int PRIMARY KEY, name text NOT NULL, budget numeric(14,2))",
        "INSERT INTO department SELECT i, 'Dept ' || i || ' ä€😀', i * 1000.10 FROM generate_series(1, 20) i",
        "CREATE TABLE employee (id bigint PRIMARY KEY, department_id int REFERENCES department,"
        " name text, email text, born date, active boolean, hired timestamptz, extra jsonb)",
        "INSERT INTO employee SELECT i, 1 + i % 20, 'Name ' || i, CASE WHEN i % 3 > 0 THEN"
        " 'e' || i || '@example.org' END, date '1960-01-01' + i % 15000, i % 7 > 0,"
        " timestamptz '2020-01-01 00:00:00+00' + i * interval '1 minute 0.123456 second',"
        " jsonb_build_object('n', i, 'tags', jsonb_build_array('a', i, null))"
        " FROM generate_series(1, 5000) i",
        "CREATE TABLE salary (employee_id bigint, amount numeric(12,2), valid daterange)",
        "INSERT INTO salary SELECT 1 + i % 5000, i * 1.01, daterange('2020-01-01', '2021-01-01')"
        " FROM generate_series(1, 20000) i",
        "ANALYZE",
    )
    return db


@pytest.fixture
def make_pipeline() -> Callable[..., dict[str, Any]]:
    """make_pipeline(source_config, sinks={...}, tables=[...], transforms={...}, **top) → pipeline."""

    def make(
        source: dict[str, Any],
        sinks: dict[str, dict[str, Any]],
        tables: list[str] | dict[str, Any] | None = None,
        transforms: dict[str, Any] | None = None,
        name: str = "p",
        mode: str = "full_load_only",
        **top: Any,
    ) -> dict[str, Any]:
        node: dict[str, Any] = {"plugin": "postgres", "config": source}
        if tables is not None:
            node["tables"] = {"include": tables} if isinstance(tables, list) else tables
        pipeline: dict[str, Any] = {"version": 1, "name": name, "mode": mode, "sources": {"src": node}}
        if transforms:
            pipeline["transforms"] = transforms
        pipeline["sinks"] = {
            key: {"inputs": ["src"], **value} for key, value in sinks.items()
        }
        return {**pipeline, **top}

    return make
