"""Pipelines that need no server, for the tests of the command line."""

from __future__ import annotations

from typing import Any


def generate(name: str = "gen", sinks: dict[str, Any] | None = None, **config: Any) -> dict[str, Any]:
    """Made-up tables into sinks that are `null` unless said otherwise."""
    return {
        "version": 1,
        "name": name,
        "mode": "full_load_only",
        "sources": {"g": {"plugin": "generate", "config": {"tables": 3, "rows": 100, **config}}},
        "sinks": sinks or {"out": {"plugin": "null", "inputs": ["g"]}},
    }


def slow(name: str = "slow", tables: int = 4, **config: Any) -> dict[str, Any]:
    """Takes some seconds: each table 5 batches of 100 ms."""
    return generate(name, tables=tables, rows=40960, delay="100ms", **config)
