"""The examples are correct: the engine says so, and so does its schema, read by another validator."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml
from support import lake

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").rglob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_engine_accepts(engine, path):
    engine.cmd("validate", str(path)).expect(0)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_schema_accepts(engine, path):
    schema = engine.cmd("schema").expect(0).json()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    document = yaml.safe_load(path.read_text())
    validator.validate(document)
    document["sinks"][next(iter(document["sinks"]))]["config"]["no_such_option"] = 1
    assert not validator.is_valid(document)


def test_department_example_as_documented(engine, sample_db, bucket):
    """The first example, fed by the variables that its head names."""
    path = next(path for path in EXAMPLES if path.name == "PostgreSQL_to_S3_department.yaml")
    env = {**sample_db.env(), **bucket.env(), "S3_PREFIX": "hr"}
    engine.cmd("check", str(path), env=env).expect(0)
    for _ in range(2):
        engine.run(path, env=env).expect(0)
    read = lake.Lake(lake.S3Store(bucket, "hr"))
    names = {name: name for name in ("public.department", "public.employee", "public.salary")}
    assert lake.compare_all(read, sample_db, names) == "lost=0 dup=0 diff=0"
    assert all(len(read.runs(name)) == 2 for name in names)
