"""Transforms in a running engine: source generate → project, mask → files, values recomputed here."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from support import lake

M = (1 << 64) - 1
SEED, ROWS, WIDTH, NULLS = 7, 3000, 24, 15


def mix(z: int) -> int:
    z = (z + 0x9E3779B97F4A7C15) & M
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M
    return z ^ (z >> 31)


def cell(table: int, column: int, row: int) -> int:
    return mix((mix((mix((mix(SEED) + table) & M) + column) & M) + row) & M)


def signed(h: int, bits: int) -> int:
    h &= (1 << bits) - 1
    return h - (1 << bits) if h >> (bits - 1) else h


def text(h: int) -> str:
    size = h % (WIDTH + 1)
    words = b"".join(mix((h + 1 + k) & M).to_bytes(8, "little") for k in range((size + 7) // 8))
    return bytes((b & 15) + 97 for b in words[:size]).decode()


def number(table: int, row: int) -> int | None:
    h = cell(table, 1, row)
    return None if mix(h) % 100 < NULLS else signed(h, 32)


def word(table: int, row: int) -> str | None:
    h = cell(table, 2, row)
    return None if mix(h) % 100 < NULLS else text(h)


def pipeline(transforms: dict[str, Any], sinks: dict[str, Any], tables: int = 2) -> dict[str, Any]:
    config = {
        "tables": tables, "rows": ROWS, "shards": 3, "batch_rows": 256, "seed": SEED,
        "null_percent": NULLS, "columns": ["int32", f"utf8:{WIDTH}"],
    }
    nodes = {"transforms": transforms} if transforms else {}
    return {
        "version": 1, "name": "p", "mode": "full_load_only",
        "sources": {"g": {"plugin": "generate", "config": config}}, **nodes, "sinks": sinks,
    }


def file_sink(path, *inputs: str) -> dict[str, Any]:
    return {"plugin": "file", "inputs": list(inputs), "config": {"path": str(path), "format": "jsonl"}}


def rows_of(path, table: int) -> dict[int, dict[str, Any]]:
    stream = lake.Lake(lake.FileStore(path)).stream(f"public.gen_{table:04}")
    rows = [
        {key: int(value) if isinstance(value, lake.Number) else value for key, value in row.items()}
        for row in stream.rows()
    ]
    assert len(rows) == ROWS
    return {row["id"]: row for row in rows}


def test_generated_values_arrive(engine, workdir):
    out = workdir / "lake"
    engine.run(pipeline({}, {"out": file_sink(out, "g")})).expect(0)
    for table in (1, 2):
        rows = rows_of(out, table)
        for row in range(ROWS):
            got = rows[row + 1]
            assert (got["c1"], got["c2"]) == (number(table, row), word(table, row))


def test_mask_and_project_in_a_chain(engine, workdir):
    out = workdir / "lake"
    transforms = {
        "hide": {"plugin": "mask", "inputs": ["g"],
                 "config": {"columns": ["public.gen_*.c2"], "with": "sha256", "salt": "pepper"}},
        "shape": {"plugin": "project", "inputs": ["hide"],
                  "config": {"exclude": ["public.gen_0002.c1"], "rename": {"c2": "digest"},
                             "order": ["digest"], "constants": {"region": "eu"},
                             "metadata": {"origin": "stream"}}},
    }
    result = engine.run(pipeline(transforms, {"out": file_sink(out, "shape")})).expect(0)
    assert "pepper" not in result.output
    for table in (1, 2):
        rows = rows_of(out, table)
        assert list(rows[1]) == ["digest", "id", *(["c1"] if table == 1 else []), "region", "origin"]
        for row in range(ROWS):
            got, plain = rows[row + 1], word(table, row)
            expected = plain if plain is None else hashlib.sha256(f"pepper{plain}".encode()).hexdigest()
            assert got["digest"] == expected
            assert (got["region"], got["origin"]) == ("eu", f"public.gen_{table:04}")


def test_fan_out_shares_rows_that_one_way_changes(engine, workdir):
    plain, cut = workdir / "plain", workdir / "cut"
    transforms = {
        "cut": {"plugin": "mask", "inputs": ["g"],
                "config": {"columns": ["c2"], "with": "keep_last", "length": 4, "replacement": "#"}},
        "drop": {"plugin": "project", "inputs": ["cut"], "config": {"exclude": ["c1"]}},
    }
    sinks = {"plain": file_sink(plain, "g"), "short": file_sink(cut, "drop"),
             "checked": {"plugin": "null", "inputs": ["cut"], "config": {"validate": True}}}
    engine.run(pipeline(transforms, sinks, tables=1)).expect(0)
    whole, short = rows_of(plain, 1), rows_of(cut, 1)
    for row in range(ROWS):
        value = word(1, row)
        expected = value if value is None else "#" + value[-4:] if len(value) > 4 else "#"
        assert whole[row + 1]["c2"] == value and whole[row + 1]["c1"] == number(1, row)
        assert short[row + 1] == {"id": row + 1, "c2": expected}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"columns": ["c1"], "with": "truncate"}, "works on text only"),
        ({"columns": ["id"], "with": "redact"}, "part of the key"),
        ({"columns": ["public.gen_0001."], "with": "redact"}, "column pattern"),
    ],
)
def test_wrong_masks_are_refused(engine, workdir, config, says):
    transforms = {"m": {"plugin": "mask", "inputs": ["g"], "config": config}}
    result = engine.run(pipeline(transforms, {"n": {"plugin": "null", "inputs": ["m"]}}, tables=1))
    assert result.rc != 0 and says in result.output


def test_a_pattern_that_matches_nothing_is_warned_of(engine, workdir):
    transforms = {"m": {"plugin": "mask", "inputs": ["g"],
                        "config": {"columns": ["c2", "public.staff.ssn"], "with": "redact"}}}
    result = engine.run(pipeline(transforms, {"n": {"plugin": "null", "inputs": ["m"]}})).expect(0)
    assert "public.staff.ssn" in result.stderr and 'pattern="c2"' not in result.stderr
