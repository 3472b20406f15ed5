"""B13: footprint. Start-up times and memory of the engine, with peers where they have the same."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from support import proc, sluice

from . import contestants as who
from . import measure
from .b2 import engine_there
from .data import Table
from .table import median, render, save


def _walls(command: measure.Command, pid: int, times: int) -> tuple[float, float, str]:
    """(median wall in ms, peak MiB, error) of several runs."""
    walls, rss = [], 0.0
    for _ in range(times):
        sample = measure.run(command, pid)
        if sample.error:
            return 0.0, 0.0, sample.error.splitlines()[-1][:80]
        walls.append(sample.wall * 1000)
        rss = max(rss, sample.rss_mib)
    return median(walls), rss, ""


def _load(bench: who.Bench, tables: list[str], name: str, sink: dict[str, Any] | None = None) -> measure.Command:
    """A run of the engine over some tables, each time from nothing."""
    shutil.rmtree(bench.scratch / name, ignore_errors=True)
    out = bench.scratch / name / "out"
    default = {"plugin": "file", "config": {"path": str(out), "format": "jsonl", "compression": "zstd"}}
    pipeline = who.sluice_pipeline(bench, "x", sink or default, name.replace("-", "_"))
    pipeline["sources"]["src"]["tables"] = {"include": tables}
    return who.sluice_command(bench, pipeline, bench.scratch / name)


def start_times(bench: who.Bench, times: int) -> list[list[str]]:
    """From nothing to the rows of a small table written, everything included."""
    bench.db.execute(
        "CREATE TABLE IF NOT EXISTS small AS SELECT i AS id, 'row ' || i AS name FROM generate_series(1, 20) i"
    )
    table = Table("small", "s", 20, [("id", "int"), ("name", "text")])
    out = bench.scratch / "start"
    out.mkdir(exist_ok=True)
    rows = []
    pid = bench.server.pid
    connect, rss, error = _walls(who.shell(bench, "exec " + bench.psql("SELECT 1")), pid, times)
    rows.append(["psql: connect, SELECT 1, exit", f"{connect:.1f} ms", f"{rss:.1f} MiB", error])
    for name, make in (("psql: COPY 20 rows", None), ("DuckDB", who.duckdb_copy), ("chDB", who.chdb_copy)):
        if make is None:
            command = who.shell(bench, "exec " + bench.psql("COPY small TO STDOUT"))
        else:
            command = make(bench, table, "jsonl", out)
        wall, rss, error = _walls(command, pid, times if make is None else 3)
        for item in out.iterdir():
            item.unlink()
        rows.append([f"20 rows to a file: {name}", f"{wall:.1f} ms", f"{rss:.1f} MiB", error])
    if engine_there():
        walls = []
        for number in range(times):
            sample = measure.run(_load(bench, ["public.small"], f"start-{number}"), pid)
            if sample.error:
                rows.append(["20 rows to a file: sluice", "", "", sample.error.splitlines()[-1][:80]])
                return rows
            walls.append(sample.wall * 1000)
            rss = sample.rss_mib
        wall = median(walls)
        verdict = f"{wall - connect:.1f} ms beyond psql's connect (goal 50)"
        rows.append(["20 rows to a file: sluice", f"{wall:.1f} ms", f"{rss:.1f} MiB", verdict])
    return rows


def version_time(bench: who.Bench, times: int) -> list[list[str]]:
    binary = sluice.find_binary("release")
    env = {"SLUICE_PLUGIN_DIR": str(sluice.find_plugins(binary))}
    wall, rss, error = _walls(measure.Command([str(binary), "version"], env), bench.server.pid, times)
    size = binary.stat().st_size / 1e6
    plugins = sum(path.stat().st_size for path in sluice.find_plugins(binary).glob("*.so")) / 1e6
    verdict = error or f"goal 10 ms; binary {size:.1f} MB, plugins {plugins:.1f} MB"
    return [["sluice version", f"{wall:.1f} ms", f"{rss:.1f} MiB", verdict]]


def idle_memory(bench: who.Bench) -> list[list[str]]:
    """Memory while it waits: for a server that accepts and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = _load(bench, ["public.small"], "idle")
        path = Path(command.argv[2])
        path.write_text(path.read_text().replace(f"port: {bench.server.port}", f"port: {listener.getsockname()[1]}"))
        child = subprocess.Popen(
            command.argv, env={**os.environ, **command.env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(1.0)
        now, _peak = proc.rss_kib(child.pid)
        child.send_signal(signal.SIGKILL)
        child.wait()
    return [["idle, all plugins at hand", "", f"{now / 1024:.1f} MiB", "goal 15 MiB" if now else "ended early"]]


def busy_memory(bench: who.Bench, table: Table) -> list[list[str]]:
    sample = measure.run(_load(bench, [f"public.{table.name}"], "busy"), bench.server.pid)
    shutil.rmtree(bench.scratch / "busy")
    label = f"{table.rows:,} rows to JSONL.zst"
    return [[label, f"{sample.wall:.2f} s", f"{sample.rss_mib:.1f} MiB", sample.error[-80:] or "goal 128 MiB"]]


def empty_tables(bench: who.Bench, count: int = 1000) -> list[list[str]]:
    with bench.db.connect() as conn:
        conn.execute("CREATE SCHEMA empty")
        for number in range(count):
            conn.execute(f"CREATE TABLE empty.t{number:04d} (id bigint PRIMARY KEY, name text, at timestamptz)")
    sample = measure.run(_load(bench, ["empty.*"], "empty"), bench.server.pid)
    shutil.rmtree(bench.scratch / "empty")
    verdict = sample.error[-80:] or "goal 60 s"
    return [[f"{count:,} empty tables", f"{sample.wall:.2f} s", f"{sample.rss_mib:.1f} MiB", verdict]]


def huge_value(bench: who.Bench, mib: int = 100) -> list[list[str]]:
    """One value of 100 MB: text that does not compress away on the server."""
    bench.db.execute(
        "CREATE TABLE huge (id int PRIMARY KEY, body text)",
        "ALTER TABLE huge ALTER body SET STORAGE EXTERNAL",
        f"INSERT INTO huge SELECT 1, repeat(md5('x') || md5('y'), {mib * 1000000 // 64})",
    )
    sample = measure.run(_load(bench, ["public.huge"], "huge"), bench.server.pid)
    written = measure.tree_bytes(bench.scratch / "huge" / "out") if not sample.error else 0
    shutil.rmtree(bench.scratch / "huge")
    verdict = sample.error[-80:] or f"goal 512 MiB; {written / 1e6:.1f} MB written"
    return [[f"one value of {mib} MB", f"{sample.wall:.2f} s", f"{sample.rss_mib:.1f} MiB", verdict]]


def main(bench: who.Bench, table: Table, quick: bool, root: Path) -> int:
    times = 7 if quick else 25
    rows = start_times(bench, times)
    if engine_there():
        rows += version_time(bench, times) + idle_memory(bench) + busy_memory(bench, table)
        rows += empty_tables(bench) + huge_value(bench)
    else:
        print("sluice is not built (scripts/build): peers only\n", file=sys.stderr)
    print(render(["B13", "time", "peak memory", "note"], rows))
    print(f"\nfigures: {save(root, 'B13', {row[0]: row[1:] for row in rows}).relative_to(root)}")
    return 1 if any("exit" in row[3] for row in rows) else 0
