"""B11: SQL Server's rows in and bulk loads out, beside freebcp, against a server that costs nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from support.tds import bulk
from support.tds.server import PASSWORD, USER, MssqlDatabase

from . import contestants as who
from . import measure
from .b2 import engine_there
from .canned import CannedServer
from .table import median, render, save, spread

OURS, NATIVE, TEXT = "sluice to null", "freebcp out, native", "freebcp out, text"
INTO, BCP_IN = "sluice, read and bulk insert", "freebcp in, text"
LOADED = "loaded"
PACKET = 32767
BLOCK = 1000
COLUMNS = ("id bigint, n int, ok bit, price decimal(18,4), f float, name nvarchar(60), code varchar(20),"
           " g uniqueidentifier, made datetime2(7), note nvarchar(max)")
ROWS = ("SELECT i, i * 7 % 1000, i % 2, i * 1.25, i / 3.0, 'Name of the customer ' || i, 'C-' || i, md5(i::text)::uuid,"
        " TIMESTAMP '2024-01-01' + i * INTERVAL '37.000001 s',"
        f" repeat('note ', 1 + i % 8) || CASE i % 10 WHEN 0 THEN 'äöü€' ELSE '' END FROM generate_series(1, {BLOCK}) i")


@dataclass
class Contest:
    bench: who.Bench
    server: CannedServer
    db: MssqlDatabase
    rows: int
    samples: dict[str, list[measure.Sample]] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)

    def source(self, **more: Any) -> dict[str, Any]:
        config = self.db.config(encrypt="off", packet_size=PACKET, **more)
        return {"plugin": "sqlserver", "config": config, "tables": {"include": ["dbo.replayed"]}}

    def reading(self, sink: dict[str, Any]) -> measure.Command:
        shutil.rmtree(self.bench.scratch / "state", ignore_errors=True)
        pipeline = {"version": 1, "name": "bench", "mode": "full_load_only", "sources": {"src": self.source()},
                    "sinks": {"out": {"inputs": ["src"], **sink}}, "parallelism": 1}
        return who.sluice_command(self.bench, pipeline, self.bench.scratch / "state")

    def loading(self) -> measure.Command:
        """The replayed rows into a table of the same server, which throws them away."""
        return self.reading({"plugin": "sqlserver", "config": self.db.config(encrypt="off", packet_size=PACKET),
                             "route": {"to": f"dbo.{LOADED}"}})

    def freebcp(self, direction: str, file: str, how: str, table: str = "replayed") -> measure.Command:
        return measure.Command(["freebcp", f"dbo.{table}", direction, file, how, "-D", self.db.name, "-S",
                                f"127.0.0.1:{self.server.port}", "-U", USER, "-P", PASSWORD, "-A", str(PACKET),
                                "-T", "2147483647"])

    def run(self, name: str, command: measure.Command) -> None:
        sample = measure.run(command, self.bench.server.pid)
        if sample.error:
            self.verdicts[name] = "FAILED " + sample.error.splitlines()[-1][:90]
            return
        self.samples.setdefault(name, []).append(sample)

    def lines(self, names: list[str], first: str) -> tuple[list[list[str]], dict[str, Any]]:
        lines, figures = [], {}
        for name in names:
            got = self.samples.get(name, [])
            if not got:
                lines.append([name, *[""] * 5, self.verdicts.get(name, "not run")])
                continue
            wall = median([sample.wall for sample in got])
            cpu = median([sample.client_cpu for sample in got])
            pairs = zip(self.samples.get(first, []), got)
            one = {"rows_per_s": self.rows / wall, "wall_s": wall, "ratio": median([a.wall / b.wall for a, b in pairs]),
                   "cpu_s_per_m_rows": cpu / self.rows * 1e6, "rss_mib": max(s.rss_mib for s in got),
                   "verified": self.verdicts.get(name, "")}
            figures[name] = one
            lines.append([name, f"{one['rows_per_s'] / 1e3:,.0f}", f"{one['ratio']:.2f}",
                          f"{one['cpu_s_per_m_rows']:.2f}", f"{one['rss_mib']:.0f}", spread([s.wall for s in got]),
                          one["verified"]])
        return lines, figures


def verify_reading(contest: Contest) -> str:
    """What the engine writes of the replayed rows is what the table of the stand-in holds, so many times over."""
    out = contest.bench.scratch / "read"
    shutil.rmtree(out, ignore_errors=True)
    sink = {"plugin": "file", "config": {"path": str(out), "format": "csv", "compression": "none"}}
    sample = measure.run(contest.reading(sink), contest.bench.server.pid)
    if sample.error:
        return "FAILED " + sample.error.splitlines()[-1][:90]
    kinds = {"id": "BIGINT", "n": "INTEGER", "ok": "BOOLEAN", "price": "VARCHAR", "f": "DOUBLE", "name": "VARCHAR",
             "code": "VARCHAR", "g": "VARCHAR", "made": "TIMESTAMP", "note": "VARCHAR"}
    got = duckdb.sql("SELECT id, n, ok, price, f, name, code, g, strftime(made, '%Y-%m-%d %H:%M:%S.%f0'), note,"
        " count(*)"
                     f" FROM read_csv('{out}/**/*.csv', header=true, columns={kinds}) GROUP BY ALL ORDER BY"
                         f" id").fetchall()
    with contest.server.connect(contest.db.name) as conn:
        want = conn.execute("SELECT id, n, ok = 1, price::text, f, name, code, g::text, made, note, %s::bigint"
                            " FROM dbo.replayed ORDER BY id", [contest.rows // BLOCK]).fetchall()
    shutil.rmtree(out, ignore_errors=True)
    return "ok" if got == want else "content differs"


def verify_loading(contest: Contest) -> str:
    """The beginning of what was bulk loaded, taken apart, is the beginning of the table that was replayed."""
    cursor = bulk.Cursor(contest.server.kept_bulk)
    columns = bulk.read_columns(cursor)
    takers = [bulk.taker(column, 7) for column in columns]
    data, at, got = cursor.data, cursor.at, []
    while len(got) < BLOCK and data[at] == 0xD1:
        at += 1
        row = []
        for take in takers:
            value, at = take(data, at)
            row.append(value)
        got.append(row)
    replay = contest.server.replay
    assert replay is not None
    names = [column.name for column in columns]
    want = [[row[[c.name for c in replay.columns].index(name)] for name in names] for row in replay.rows[: len(got)]]
    for one, other in zip(got, want, strict=True):
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            if a != b and not (columns[i].type.name == "float" and float(a) == float(b)):
                return f"content differs: {names[i]} {a!r} {b!r}"[:90]
    return "ok" if len(got) == BLOCK else f"{len(got)} rows"


def loading_rounds(contest: Contest, rounds: int) -> None:
    file = str(contest.bench.scratch / "rows.txt")
    contest.server.bulk_rows = contest.rows
    commands: dict[str, Callable[[], measure.Command]] = {BCP_IN: lambda: contest.freebcp("in", file, "-c", LOADED)}
    contest.run("made", contest.freebcp("out", file, "-c"))
    if engine_there():
        commands[INTO] = contest.loading
    for number in range(rounds):
        names = list(commands)
        for name in names if number % 2 == 0 else names[::-1]:
            contest.server.kept_bulk = b""
            contest.run(name, commands[name]())
            if name == INTO and number == 0 and name in contest.samples:
                contest.verdicts[name] = verify_loading(contest)


def reading_rounds(contest: Contest, rounds: int) -> None:
    commands: dict[str, Callable[[], measure.Command]] = {
        NATIVE: lambda: contest.freebcp("out", "/dev/null", "-n"),
        TEXT: lambda: contest.freebcp("out", "/dev/null", "-c"),
    }
    if engine_there():
        commands[OURS] = lambda: contest.reading({"plugin": "null"})
        contest.verdicts[OURS] = verify_reading(contest)
    for number in range(rounds):
        names = list(commands)
        for name in names if number % 2 == 0 else names[::-1]:
            contest.run(name, commands[name]())


def goals(reads: dict[str, Any], loads: dict[str, Any]) -> tuple[list[str], int]:
    lines, missed = [], 0

    def goal(text: str, value: float | None, least: float, most: bool = False) -> None:
        nonlocal missed
        good = value is not None and (value <= least if most else value >= least)
        missed += not good
        shown = f"{value:,.2f}" if value is not None else "not measured"
        lines.append(f"  {'ok  ' if good else 'MISS'} {text}: {shown} (goal {'≤' if most else '≥'} {least:g})")

    ours = reads.get(OURS)
    theirs = reads.get(TEXT)
    goal(f"reading × {TEXT}", theirs["wall_s"] / ours["wall_s"] if ours and theirs else None, 2.0)
    native = reads.get(NATIVE)
    goal(f"reading × {NATIVE}", native["wall_s"] / ours["wall_s"] if ours and native else None, 2.0)
    into, bcp = loads.get(INTO), loads.get(BCP_IN)
    goal(f"bulk insert × {BCP_IN}", bcp["wall_s"] / into["wall_s"] if into and bcp else None, 2.0)
    for name, one in ((OURS, ours), (INTO, into)):
        goal(f"memory MiB, {name}", one["rss_mib"] if one else None, 128, True)
        if one is not None and one["verified"] != "ok":
            lines.append(f"  FAIL {name}: {one['verified']}")
            missed += 1
    return lines, missed


def main(bench: who.Bench, quick: bool, rounds: int, only: list[str], root: Path) -> int:
    server = CannedServer(bench.server)
    try:
        db = server.create_database()
        db.execute(f"CREATE TABLE replayed ({COLUMNS})")
        with server.connect(db.name) as conn:
            conn.execute(f"INSERT INTO dbo.replayed {ROWS}")
        db.execute(f"CREATE TABLE {LOADED} ({COLUMNS})")
        contest = Contest(bench, server, db, 500_000 if quick else 2_000_000)
        server.make_replay(db, contest.rows // BLOCK)
        reading_rounds(contest, rounds)
        loading_rounds(contest, rounds)
    finally:
        server.destroy()
    lines, reads = contest.lines([OURS, NATIVE, TEXT], TEXT)
    header = ["k rows/s", "×", "CPU-s/M rows", "MiB", "spread", "content"]
    print(render([f"B11: {contest.rows:,} rows × {COLUMNS.count(',')} read", *header], lines))
    lines, loads = contest.lines([INTO, BCP_IN], BCP_IN)
    print("\n" + render([f"B11: {contest.rows:,} rows × {COLUMNS.count(',')} bulk loaded", *header], lines))
    lines_, missed = goals(reads, loads)
    print("\n" + "\n".join(lines_))
    print(f"\nfigures: {save(root, 'B11', {**reads, **loads}).relative_to(root)}")
    return 1 if missed else 0
