"""Checks what a contestant wrote: row count, and a checksum over typed values that order does not change.

DuckDB reads every format; the reference is what the server's own COPY prints.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import duckdb

from .data import Table

# kind → (type to read JSON as, type to read CSV as, expression that makes equal values equal)
TYPES = {
    "int": ("BIGINT", "BIGINT", "{c}::BIGINT"),
    "decimal": ("DECIMAL(18,2)", "DECIMAL(18,2)", "{c}"),
    "float": ("DOUBLE", "DOUBLE", "{c}"),
    "date": ("DATE", "DATE", "{c}"),
    "text": ("VARCHAR", "VARCHAR", "rtrim({c})"),
    "timestamp": ("VARCHAR", "VARCHAR", "epoch_us(({zoned})::TIMESTAMPTZ)"),
    # Some write a document as a JSON string, some as JSON; blanks between tokens do not matter.
    "json": ("JSON", "VARCHAR", "json(CASE WHEN json_type({c}::JSON) = 'VARCHAR' THEN {c}::JSON->>'$'"
             " ELSE {c}::VARCHAR END)::VARCHAR"),
}

# A timestamp without an offset is UTC, which is what the sessions use.
_ZONED = (
    "CASE WHEN regexp_matches({c}, '([+-][0-9:]+|Z)$') AND length({c}) > 10 AND"
    " regexp_matches(substr({c}, 11), '[+Z-]') THEN {c} ELSE {c} || '+00' END"
)


def _expressions(table: Table) -> str:
    out = []
    for name, kind in table.columns:
        zoned = _ZONED.format(c=name)
        out.append(TYPES[kind][2].format(c=name, zoned=zoned))
    return ", ".join(out)


def _reader(table: Table, files: list[Path], kind: str) -> str:
    names = "[" + ", ".join(f"'{file}'" for file in files) + "]"
    index = 0 if kind == "json" else 1
    columns = "{" + ", ".join(f"'{name}': '{TYPES[k][index]}'" for name, k in table.columns) + "}"
    compression = "zstd" if files[0].suffix == ".zst" else "gzip" if files[0].suffix == ".gz" else "none"
    if kind == "json":
        return (
            f"read_json({names}, columns={columns}, format='newline_delimited',"
            f" compression='{compression}', maximum_object_size=268435456)"
        )
    header = "true" if _has_header(files[0], table) else "false"
    return (
        f"read_csv({names}, columns={columns}, header={header}, delim=',', quote='\"', escape='\"',"
        f" compression='{compression}', nullstr='\\N', max_line_size=268435456, auto_detect=false)"
    )


def _has_header(file: Path, table: Table) -> bool:
    """Whether the first line names the columns."""
    tool = {".zst": ["zstd", "-dc"], ".gz": ["gzip", "-dc"]}.get(file.suffix, ["cat"])
    with subprocess.Popen([*tool, str(file)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdout is not None
        first = child.stdout.readline().decode(errors="replace")
        child.kill()
    return first.split(",")[0].strip('"\n') == table.columns[0][0]


def checksum(table: Table, files: list[Path], kind: str) -> tuple[int, int]:
    """(rows, order-independent checksum) of files of one kind: json or csv."""
    connection = duckdb.connect(config={"threads": 2})
    connection.execute("SET TimeZone='UTC'; SET preserve_insertion_order=false")
    query = (
        f"SELECT count(*), coalesce(sum(hash({_expressions(table)})::HUGEINT % 1000000007), 0)"
        f" FROM {_reader(table, files, kind)}"
    )
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def outputs(out: Path) -> list[Path]:
    """The data files of a contestant's output, manifests left out."""
    if out.is_file():
        return [out]
    return sorted(path for path in out.rglob("*") if path.is_file() and "_sluice" not in path.parts)
