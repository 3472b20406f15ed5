"""The JSON Schema of pipeline files, read by an independent validator, agrees with the engine.

Whatever the engine accepts the schema accepts: an editor must never mark a file that runs. What the
schema accepts and the engine refuses is listed here by name.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonschema
import pytest
import yaml

BASE: dict[str, Any] = {
    "version": 1,
    "name": "p",
    "mode": "full_load_only",
    "sources": {
        "src": {
            "plugin": "postgres",
            "config": {"host": "localhost", "database": "d", "user": "u"},
            "tables": {
                "include": ["public.*"],
                "defaults": {"where": "true", "columns": {"exclude": ["x"]}},
                "rules": [{"match": "public.a", "columns": {"include": ["y"]}}],
            },
            "snapshot": {"split": "64MiB"},
            "batch": {"rows": 1000, "bytes": "1MiB"},
        },
        "gen": {"plugin": "generate", "config": {"rows": 5}},
    },
    "transforms": {
        "slim": {"plugin": "project", "inputs": ["src"], "config": {"exclude": ["public.a.x"]}},
        "hide": {"plugin": "mask", "inputs": ["gen"], "config": {"columns": ["*.x"], "with": "null"}},
    },
    "sinks": {
        "out": {
            "plugin": "file",
            "inputs": ["slim", "hide"],
            "config": {"path": "out", "format": "csv"},
            "batch": {"rows": 10, "bytes": "1MiB", "interval": "5s"},
            "on_error": {"retry": {"max": 3, "backoff": "1s", "cap": "1m"}},
            "write": {"truncate": "ignore"},
        },
        "none": {"plugin": "null", "inputs": "slim"},
    },
    "state": {"uri": "file:state"},
    "memory": "64MiB",
    "parallelism": 2,
    "schema": "freeze",
    "on_error": {"retry": {"max": 0}},
}

ABSENT = object()

# (path, values) where both agree, right or wrong.
AGREED: list[tuple[str, list[Any]]] = [
    ("version", [1, 2, "1", 1.5, None, ABSENT, [], True]),
    ("name", ["a.b", "A", "", ".x", "x" * 64, 5, None, ABSENT, [1]]),
    ("mode", ["full_load_only", "FULL_LOAD_ONLY", "full", None, ABSENT, 1, []]),
    ("memory", ["1GB", "64 MiB", 134217728, "64M", "1.5GB", -1, "x", None, ABSENT, [], {}]),
    ("parallelism", [1, 64, 0, 65, "2", None, "many", 1.5, [1]]),
    ("state", [None, ABSENT, "file:x", [], {}, {"uri": None}, {"url": "x"}]),
    ("on_error", [None, {}, {"retry": None}, {"retry": {}}, {"dlq": "x"}, {"retry": 5}, []]),
    ("on_error.retry.max", [None, -1, "x", 1000001]),
    ("on_error.retry.backoff", ["1ms", "20s", "0x", 5, None]),
    ("schema", ["evolve", "stop", "Stop", "", None, ABSENT, 1, [], {}]),
    ("extra", [1, None]),
    ("schedule", ["daily"]),
    ("sources", [None, {}, ABSENT, [], "x"]),
    ("sinks", [None, {}, ABSENT, [], "x"]),
    ("transforms", [[], "x", 5]),
    ("sources.src", [None, [], "x", {}]),
    ("sources.src.plugin", [None, ABSENT, "postgress", "file", "", []]),
    ("sources.src.inputs", [["gen"]]),
    ("sources.src.route", [{}]),
    ("sources.src.config", [5, []]),
    ("sources.src.config.nope", [1, None]),
    ("sources.src.config.port", [5433, 0, 65536, "5433", "x", None, 5.5, True, []]),
    ("sources.src.config.host", ["h", 5, 5.5, True, None, "", [], {}]),
    ("sources.src.config.sslmode", ["disable", "verify-full", "verify_full", None, 1, []]),
    ("sources.src.config.connect_timeout", ["20s", "1m30s", 20, "20", "x", None, []]),
    ("sources.src.config.batch_bytes", ["1MiB", 2097152, "2 MB", "2mb", "2M", None, []]),
    ("sources.src.tables", [None, [], "x", {}, {"include": "public.*"}, {"includes": []}]),
    ("sources.src.tables.include", [["a", 5, True], "a", [["a"]], [None], {"a": "b"}, None]),
    ("sources.src.tables.exclude", [[], ["a"], [{}]]),
    ("sources.src.tables.defaults", [None, {}, [], "x", {"match": "x"}]),
    ("sources.src.tables.defaults.where", [None, "", 5, []]),
    ("sources.src.tables.defaults.columns", [None, {}, [], {"include": "x"}, {"with": 1}]),
    ("sources.src.tables.schema", ["stop"]),
    ("sources.src.tables.defaults.schema", ["stop", "x", None, []]),
    ("sources.src.tables.rules", [[{"match": "x", "schema": "freeze"}], [{"match": "x", "schema": "thaw"}]]),
    ("sources.src.tables.rules", [None, [], {}, "x", [{}], [{"match": None}], [{"match": "x", "w": 1}]]),
    ("sources.src.snapshot", [None, {}, [], {"mode": "x"}, {"split": "8MiB"}, {"split": []}]),
    ("sources.src.batch", [None, {}, [], {"interval": "1s"}, {"rows": 0}]),
    ("sources.gen.config", [None, ABSENT, {}, {"rows": 1}, {"rows": "x"}, {"row": 1}]),
    ("transforms.slim.inputs", [None, ABSENT, "src", ["src"], {"a": "b"}, [["src"]], [None]]),
    ("transforms.slim.batch", [{}]),
    ("transforms.slim.on_error", [{}]),
    ("transforms.slim.config.rename", [{"a": "b"}, {}, None, ["a"], "x", {"a": ["b"]}, {"a": None}]),
    ("transforms.hide.config", [None, ABSENT, {}, {"columns": ["a"]}]),
    ("transforms.hide.config.columns", [None, ABSENT, {}, [{}]]),
    ("sinks.out.tables", [{}]),
    ("sinks.out.config.path", [None, ABSENT, []]),
    ("sinks.out.config.format", ["jsonl", "JSONL", None, "xml", {}]),
    ("sinks.out.batch.interval", ["10s", "1h", "5", "x", None, []]),
    ("sinks.out.batch.rows", [1, 0, "5", None]),
    ("sinks.out.write", [None, {}, [], "x", {"truncate": "fail"}, {"truncate": None}, {"mode": "append"}]),
    ("sinks.out.route", [{}, {"to": "a"}]),
    ("sinks.out.on_error", [{"rows": "skip"}, {"max_rejected": 5}]),
    ("sinks.out.on_table_error", ["stop"]),
    ("sinks.out.write.truncate", ["apply", "drop", [], 5]),
    ("sinks.out.schema", ["stop"]),
    ("sources.src.write", [{}]),
    ("sources.src.schema", ["stop"]),
    ("sinks.none.plugin", ["null", None]),
    ("sinks.none.config", [None, {}, {"validate": True}, {"validate": "maybe"}]),
    ("sinks.Bad", [{"plugin": "null", "inputs": ["src"]}]),
]

# What only the engine sees: ranges of sizes and durations, empty texts, patterns, the graph.
ENGINE_ONLY: list[tuple[str, Any]] = [
    ("memory", "1MiB"),
    ("on_error.retry.cap", "2d"),
    ("on_error.retry.backoff", "2m"),
    ("state.uri", "postgresql://h/d"),
    ("sources.src.config.batch_bytes", 1),
    ("sources.src.snapshot.split", "1KB"),
    ("sources.src.tables.include", []),
    ("sources.src.tables.include", ["re:("]),
    ("sources.src.tables.rules", [{"match": "re:a)b"}]),
    ("sinks.out.config.path", ""),
    ("sinks.out.batch.bytes", 1),
    ("sinks.out.inputs", ["nobody"]),
    ("sinks.out.inputs", []),
    ("transforms.slim.inputs", ["slim"]),
    # In quotes it is text; without, as YAML 1.2 readers take it, the same text is true.
    ("sinks.none.config", {"validate": "yes"}),
]

# Variables: any value may come out of one, and must then be text in the eyes of other readers.
VARIABLES: list[tuple[str, str]] = [
    ("name", "${env:T_NAME}"),
    ("memory", "${env:T_SIZE}"),
    ("parallelism", "${env:T_INT}"),
    ("sources.src.config.port", "${env:T_INT:-5432}"),
    ("sources.src.config.sslmode", "${env:T_ENUM}"),
    ("sources.src.config.connect_timeout", "${env:T_DURATION}"),
    ("sinks.none.config", {"validate": "${env:T_BOOL}"}),
    ("sources.src.tables.include", ["${env:T_NAME}"]),
]
ENV = {"T_NAME": "x", "T_SIZE": "64MiB", "T_INT": "5", "T_ENUM": "disable", "T_DURATION": "5s", "T_BOOL": "yes"}


def changed(path: str, value: Any) -> dict[str, Any]:
    """BASE with one value set or removed."""
    document = copy.deepcopy(BASE)
    *way, last = path.split(".")
    node = document
    for step in way:
        node = node.setdefault(step, {})
    if value is ABSENT:
        node.pop(last, None)
    else:
        node[last] = value
    return document


@pytest.fixture
def validator(engine) -> jsonschema.Draft202012Validator:
    schema = engine.cmd("schema").expect(0).json()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def verdicts(engine, documents: list[dict[str, Any]], env: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """What `validate` says of each, in one run."""
    paths = [engine.write(yaml.safe_dump(one), f"d{i}.yaml") for i, one in enumerate(documents)]
    result = engine.cmd("validate", "--json", *map(str, paths), env=env)
    files = json.loads(result.stdout)["files"]
    assert len(files) == len(documents)
    return files


def test_base_is_right(engine, validator):
    assert [error.message for error in validator.iter_errors(BASE)] == []
    [found] = verdicts(engine, [BASE])
    assert found["ok"], found


def test_agreement(engine, validator):
    cases = [(path, value) for path, values in AGREED for value in values]
    documents = [changed(path, value) for path, value in cases]
    wrong = []
    for (path, value), document, found in zip(cases, documents, verdicts(engine, documents), strict=True):
        valid = validator.is_valid(document)
        if valid != (found["errors"] == 0):
            shown = "absent" if value is ABSENT else repr(value)
            wrong.append(f"{path} = {shown}: schema {valid}, engine {found['findings']}")
    assert wrong == []
    # Both kinds are there, or the test says nothing.
    assert sum(validator.is_valid(document) for document in documents) > 50
    assert sum(not validator.is_valid(document) for document in documents) > 100


def test_engine_sees_more(engine, validator):
    documents = [changed(path, value) for path, value in ENGINE_ONLY]
    for case, document, found in zip(ENGINE_ONLY, documents, verdicts(engine, documents), strict=True):
        assert validator.is_valid(document), case
        assert found["errors"] > 0, case


def test_variables(engine, validator):
    documents = [changed(path, value) for path, value in VARIABLES]
    for case, document, found in zip(VARIABLES, documents, verdicts(engine, documents, ENV), strict=True):
        assert validator.is_valid(document), case
        assert found["errors"] == 0, (case, found)


def test_says_what_is_wrong(validator):
    """Messages name the value and the rule, not a list of alternatives."""
    [error] = validator.iter_errors(changed("sources.src.config.port", 0))
    assert error.message == "0 is less than the minimum of 1"
    [error] = validator.iter_errors(changed("sources.src.config.prot", 1))
    assert "'prot' was unexpected" in error.message
    [error] = validator.iter_errors(changed("transforms.hide.config", {"columns": "a"}))
    assert error.message == "'with' is a required property"
