"""Who runs: the engine, the peers, and the limits. Each makes a Command for (table, format, folder)."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from support import pg, sluice

from .data import Table
from .measure import Command

# format → (kind, file name ending, compressor as a shell filter)
FORMATS = {
    "jsonl.zst": ("json", ".jsonl.zst", "zstd -1 -T1 -q"),
    "csv.zst": ("csv", ".csv.zst", "zstd -1 -T1 -q"),
    "csv.gz": ("csv", ".csv.gz", "gzip -1"),
    "csv": ("csv", ".csv", "cat"),
    "jsonl": ("json", ".jsonl", "cat"),
    "null": ("null", "", ""),
}


@dataclass
class Bench:
    """What all contestants share."""

    server: pg.PgServer
    db: pg.PgDatabase
    scratch: Path
    parallel: int = 2

    def psql(self, sql: str) -> str:
        return f"psql -XqAt -v ON_ERROR_STOP=1 -c {shlex.quote(sql)}"

    def env(self) -> dict[str, str]:
        return {
            **self.db.env(),
            "PATH": f"{self.server.bin_dir}:{os.environ.get('PATH', '')}",
            "PGOPTIONS": "-c timezone=UTC -c datestyle=ISO",
        }

    def halves(self, table: str) -> list[str]:
        """Two ctid ranges of equal pages."""
        pages = int(self.db.value("SELECT relpages FROM pg_class WHERE relname = %s", [table]))
        middle = pages // 2
        return [f"ctid < '({middle},0)'::tid", f"ctid >= '({middle},0)'::tid"]


def shell(bench: Bench, script: str) -> Command:
    return Command(["bash", "-c", f"set -o pipefail; {script}"], bench.env())


def both(parts: list[str]) -> str:
    """Two pipes at once; fails when one of them does."""
    return f"({parts[0]}) & first=$!; ({parts[1]}) & second=$!; wait $first && wait $second"


# ---------------------------------------------------------------- the limits


def limit(bench: Bench, table: Table, fmt: str, out: Path) -> Command:
    """The server alone, both cores: two ctid halves of COPY to nowhere, in its cheapest format."""
    how = "csv" if FORMATS[fmt][0] == "csv" else "binary"
    parts = [
        bench.psql(f"COPY (SELECT * FROM {table.name} WHERE {half}) TO '/dev/null' (FORMAT {how})")
        for half in bench.halves(table.name)
    ]
    return shell(bench, both(parts))


def copy_binary(bench: Bench, table: Table, fmt: str, out: Path) -> Command:
    """One COPY … (FORMAT binary): its server CPU is the yardstick for client CPU."""
    return shell(bench, bench.psql(f"COPY {table.name} TO '/dev/null' (FORMAT binary)"))


# ---------------------------------------------------------------- peers


def _rows_sql(table: Table, fmt: str, where: str) -> str:
    source = f"(SELECT * FROM {table.name} WHERE {where})"
    if FORMATS[fmt][0] == "json":
        # COPY's text format doubles backslashes; a quote and a delimiter that never occur do not.
        return (
            f"\\copy (SELECT row_to_json(r) FROM {source} r) TO STDOUT"
            " (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02')"
        )
    return f"\\copy {source} TO STDOUT (FORMAT csv)"


def psql_one(bench: Bench, table: Table, fmt: str, out: Path) -> Command:
    _kind, ending, compress = FORMATS[fmt]
    return shell(bench, f"{bench.psql(_rows_sql(table, fmt, 'true'))} | {compress} > {out}/a{ending}")


def psql_two(bench: Bench, table: Table, fmt: str, out: Path) -> Command:
    _kind, ending, compress = FORMATS[fmt]
    parts = [
        f"{bench.psql(_rows_sql(table, fmt, half))} | {compress} > {out}/{number}{ending}"
        for number, half in enumerate(bench.halves(table.name))
    ]
    return shell(bench, both(parts))


_DUCKDB = """
import sys, duckdb
import duckdb_extension_postgres_scanner as extension, glob, os
found = glob.glob(os.path.join(os.path.dirname(extension.__file__), "**", "*.duckdb_extension"), recursive=True)
con = duckdb.connect(config={"allow_unsigned_extensions": "true"})
con.execute(f"LOAD '{found[0]}'")
con.execute("SET threads=2; SET preserve_insertion_order=false; SET TimeZone='UTC'")
con.execute(f"ATTACH '{sys.argv[1]}' AS pg (TYPE postgres, READ_ONLY)")
con.execute(sys.argv[2])
"""


def duckdb_copy(bench: Bench, table: Table, fmt: str, out: Path) -> Command:
    kind, ending, _compress = FORMATS[fmt]
    compression = {".zst": "zstd", ".gz": "gzip"}.get(Path(ending).suffix, "uncompressed")
    options = "FORMAT json" if kind == "json" else "FORMAT csv, HEADER"
    target = f"{out}/a{ending}"
    sql = f"COPY pg.public.{table.name} TO '{target}' ({options}, COMPRESSION {compression})"
    return Command([sys.executable, "-c", _DUCKDB, "", sql], bench.env())


_CHDB = """
import sys
from chdb import session
s = session.Session()
s.query(sys.argv[1])
"""


def chdb_copy(bench: Bench, table: Table, fmt: str, out: Path) -> Command:
    kind, ending, _compress = FORMATS[fmt]
    compression = {".zst": "'zstd' LEVEL 1", ".gz": "'gzip' LEVEL 1"}.get(Path(ending).suffix, "'none'")
    name = "JSONEachRow" if kind == "json" else "CSVWithNames"
    info = bench.server.conninfo(bench.db.name)
    password = str(info["password"]).replace("'", "\\'")
    sql = (
        f"SELECT * FROM postgresql('{info['host']}:{info['port']}', '{info['dbname']}', '{table.name}',"
        f" '{info['user']}', '{password}')"
        f" INTO OUTFILE '{out}/a{ending}' TRUNCATE COMPRESSION {compression} FORMAT {name}"
        " SETTINGS max_threads=2, output_format_json_quote_64bit_integers=0, session_timezone='UTC',"
        " output_format_json_quote_decimals=0"
    )
    return Command([sys.executable, "-c", _CHDB, sql], bench.env())


# ---------------------------------------------------------------- the engine


def sluice_pipeline(bench: Bench, table: str, sink: dict[str, Any], name: str) -> dict[str, Any]:
    return {
        "version": 1,
        "name": name,
        "mode": "full_load_only",
        "sources": {
            "src": {
                "plugin": "postgres",
                "config": bench.db.config(),
                "tables": {"include": [f"public.{table}"]},
            }
        },
        "sinks": {"out": {"inputs": ["src"], **sink}},
        "parallelism": bench.parallel,
    }


def sluice_command(bench: Bench, pipeline: dict[str, Any], state: Path) -> Command:
    binary = sluice.find_binary("release")
    state.mkdir(parents=True, exist_ok=True)
    path = state / "pipeline.yaml"
    path.write_text(yaml.safe_dump(pipeline, sort_keys=False))
    env = {"SLUICE_PLUGIN_DIR": str(sluice.find_plugins(binary)), "XDG_STATE_HOME": str(state)}
    return Command([str(binary), "run", str(path), "--once"], env)


def sluice_copy(bench: Bench, table: Table, fmt: str, out: Path) -> Command:
    kind, ending, _compress = FORMATS[fmt]
    if kind == "null":
        sink: dict[str, Any] = {"plugin": "null"}
    else:
        compression = {".zst": "zstd", ".gz": "gzip"}.get(Path(ending).suffix, "none")
        config = {"path": str(out), "format": "jsonl" if kind == "json" else "csv", "compression": compression}
        if compression != "none":
            config["compression_level"] = 1
        sink = {"plugin": "file", "config": config}
    state = bench.scratch / "state"
    return sluice_command(bench, sluice_pipeline(bench, table.name, sink, "bench"), state)


Contestant = Callable[[Bench, Table, str, Path], Command]

PEERS: dict[str, Contestant] = {
    "DuckDB": duckdb_copy,
    "chDB": chdb_copy,
    "psql | zstd": psql_one,
    "psql | zstd, two": psql_two,
}
