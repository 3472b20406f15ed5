"""scripts/bench: starts a private PostgreSQL, fills it, and runs one benchmark."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from support import pg

from . import b2, b4, b5, b7, b8, b11, b13, data
from .contestants import FORMATS, Bench

ROOT = Path(__file__).resolve().parents[2]

SETTINGS = {
    "shared_buffers": "2GB",
    "autovacuum": "off",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "1h",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_parallel_workers_per_gather": "0",
    "work_mem": "64MB",
    "maintenance_work_mem": "256MB",
    "jit": "off",
}


# What the benchmarks of change feeds need beside or instead of that.
CHANGE_SETTINGS = {
    "wal_level": "logical",
    "max_wal_senders": "20",
    "max_replication_slots": "20",
    "wal_sender_timeout": "60s",
    "track_commit_timestamp": "on",
}


# Targets write a log that could be replayed, whoever fills them.
LOGGED = {"wal_level": "replica", "max_wal_senders": "4"}


def scratch_parent() -> Path:
    """Memory rather than a disk, where there is enough: what is measured is the program."""
    shm = Path("/dev/shm")
    if shm.is_dir() and shutil.disk_usage(shm).free > 8 << 30:
        return shm
    return Path(tempfile.gettempdir())


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="Runs a benchmark: the engine, its peers, the limit."
    )
    parser.add_argument("which", choices=["B2", "B4", "B5", "B7", "B8", "B11", "B13"],
                        help="B2: to JSON lines and CSV. B4: drain of changes. B5: latency of changes."
                             " B7: changes into PostgreSQL. B8: loads into PostgreSQL. B11: SQL Server, in and out."
                                 " B13: footprint")
    parser.add_argument("--quick", action="store_true", help="smaller and fewer rounds: under 5 minutes")
    parser.add_argument("--rounds", type=int, help="rounds (5; quick: 2; B4 to B8 quick: 3)")
    parser.add_argument("--tables", default="LWJ", help="letters of L, W and J (LWJ)")
    parser.add_argument("--formats", help=f"comma list of {', '.join(FORMATS)}")
    parser.add_argument("--only", default="", help='comma list of contestants, e.g. "sluice,DuckDB"')
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    feeds = {"B4": b4, "B5": b5, "B7": b7}
    into = options.which in ("B7", "B8", "B11")
    rounds = options.rounds or ((3 if into or options.which in feeds else 2) if options.quick else 5)
    formats = (options.formats or ("jsonl.zst,csv.zst,null" if options.quick
               else "jsonl.zst,csv.zst,csv.gz,csv,jsonl,null")).split(",")
    only = [name.strip() for name in options.only.split(",") if name.strip()]
    start = time.monotonic()
    load = os.getloadavg()[0]
    if load > 0.7:
        print(f"warning: the machine is busy (load {load:.1f}): wall times mean little, CPU times more\n")
    # B5 waits for commits to be durable, so they must be.
    more = CHANGE_SETTINGS if options.which in feeds else LOGGED if into else {}
    server = pg.PgServer.create({**SETTINGS, **more}, fsync=options.which in ("B5", "B7"))
    scratch = Path(tempfile.mkdtemp(prefix="sluice-bench-", dir=scratch_parent()))
    try:
        database = server.create_database("bench")
        bench = Bench(server, database, scratch)
        which = {**feeds, "B8": b8, "B11": b11}.get(options.which)
        if which is not None:
            print(f"PostgreSQL {database.value('SHOW server_version')}", flush=True)
            return which.main(bench, options.quick, rounds, only, ROOT)
        letters = options.tables if options.which == "B2" else "L"
        tables = data.build(database, options.quick, letters)
        sizes = ", ".join(f"{table.letter} {table.rows:,} × {len(table.columns)}" for table in tables)
        version = database.value("SHOW server_version")
        print(f"PostgreSQL {version}; {sizes}; ready in {time.monotonic() - start:.0f} s\n", flush=True)
        if options.which == "B2":
            return b2.main(bench, tables, formats, rounds, only, options.quick, ROOT)
        return b13.main(bench, tables[0], options.quick, ROOT)
    finally:
        server.destroy()
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
