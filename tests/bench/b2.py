"""B2: PostgreSQL → JSON lines and CSV. The engine, the peers and the limit in rotated rounds."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from support import sluice

from . import contestants as who
from . import measure, verify
from .data import Table
from .table import median, render, save, spread

LIMIT, YARDSTICK, ENGINE = "limit: server alone", "COPY binary, one", "sluice"


def engine_there() -> bool:
    try:
        sluice.find_binary("release")
    except sluice.BinaryMissing:
        return False
    return True


def field_of(fmt: str, only: list[str], quick: bool) -> dict[str, who.Contestant]:
    """The contestants of a format. Quick leaves out the slowest, which two of its kind always beat."""
    field: dict[str, who.Contestant] = {LIMIT: who.limit, YARDSTICK: who.copy_binary}
    if engine_there():
        field[ENGINE] = who.sluice_copy
    if fmt != "null":
        field.update(who.PEERS)
        if quick and fmt.startswith("jsonl"):
            del field["psql | zstd"]
    return {name: make for name, make in field.items() if not only or name in (LIMIT, YARDSTICK, *only)}


def compressor_limit(bench: who.Bench, table: Table, fmt: str) -> str:
    """How fast two zstd -1 of the same bytes are, without anyone producing them."""
    source = bench.scratch / "plain"
    source.mkdir(exist_ok=True)
    plain = fmt.split(".")[0]
    command = who.psql_two(bench, table, plain, source)
    made = measure.run(command, bench.server.pid, source)
    files = sorted(source.glob(f"*.{plain}"))
    if made.error or len(files) != 2:
        return f"compressor: {made.error}"
    parts = [f"zstd -1 -T1 -q -c {file} > /dev/null" for file in files]
    sample = measure.run(who.shell(bench, who.both(parts)), bench.server.pid)
    shutil.rmtree(source)
    rate = table.rows / sample.wall / 1000
    return (
        f"limit of the compressor: {made.bytes / 1e6:.0f} MB of {plain} through two zstd -1 alone:"
        f" {made.bytes / 1e6 / sample.wall:.0f} MB/s, {rate:,.0f} k rows/s, {sample.client_cpu:.2f} CPU-s"
    )


def reference(bench: who.Bench, table: Table) -> tuple[int, int]:
    """Rows and checksum of what the server's own CSV says."""
    out = bench.scratch / "reference"
    out.mkdir(exist_ok=True)
    sample = measure.run(who.psql_one(bench, table, "csv", out), bench.server.pid, out)
    if sample.error:
        raise RuntimeError(sample.error)
    found = verify.checksum(table, verify.outputs(out), "csv")
    shutil.rmtree(out)
    return found


def check(table: Table, fmt: str, out: Path, expected: tuple[int, int]) -> str:
    kind = who.FORMATS[fmt][0]
    if kind == "null":
        return "-"
    try:
        found = verify.checksum(table, verify.outputs(out), kind)
    except Exception as error:  # a reader that chokes is a finding, not the end of the run
        return f"unreadable: {str(error).splitlines()[0][:60]}"
    if found == expected:
        return "ok"
    return f"{found[0]} rows" if found[0] != expected[0] else "content differs"


def contest(
    bench: who.Bench, table: Table, fmt: str, rounds: int, expected: tuple[int, int], only: list[str],
    quick: bool,
) -> dict[str, dict[str, Any]]:
    """All contestants, rotated: round r starts with contestant r."""
    field = field_of(fmt, only, quick)
    samples: dict[str, list[measure.Sample]] = {name: [] for name in field}
    verdict: dict[str, str] = {name: "" for name in field}
    out = bench.scratch / "out"
    names = list(field)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            shutil.rmtree(out, ignore_errors=True)
            shutil.rmtree(bench.scratch / "state", ignore_errors=True)
            out.mkdir()
            sample = measure.run(field[name](bench, table, fmt, out), bench.server.pid, out)
            if sample.error:
                verdict[name] = "FAILED " + sample.error.splitlines()[-1][:70]
                continue
            samples[name].append(sample)
            if number == 0 and name not in (LIMIT, YARDSTICK):
                verdict[name] = check(table, fmt, out, expected)
    shutil.rmtree(out, ignore_errors=True)
    return {name: {"samples": samples[name], "verdict": verdict[name]} for name in names}


def report(table: Table, fmt: str, outcome: dict[str, dict[str, Any]]) -> tuple[str, dict[str, Any]]:
    walls = {name: [s.wall for s in entry["samples"]] for name, entry in outcome.items()}
    yard = median([s.server_cpu for s in outcome[YARDSTICK]["samples"]])
    peers = {name: median(walls[name]) for name in who.PEERS if walls.get(name)}
    fastest = min(peers, key=lambda name: peers[name]) if peers else None
    lines, figures = [], {}
    for name, entry in outcome.items():
        got = entry["samples"]
        if not got:
            lines.append([name, "", "", "", "", "", "", "", "", "", entry["verdict"]])
            continue
        wall = median(walls[name])
        cpu, server = median([s.client_cpu for s in got]), median([s.server_cpu for s in got])
        to_limit = median(walls[LIMIT]) / wall if walls[LIMIT] else 0
        to_peer = peers[fastest] / wall if fastest else 0
        rate = table.rows / wall
        figures[name] = {
            "rows_per_s": rate, "wall_s": wall, "best_s": min(walls[name]), "client_cpu_s": cpu,
            "server_cpu_s": server, "cpu_s_per_m_rows": cpu / table.rows * 1e6, "to_limit": to_limit,
            "to_fastest_peer": to_peer, "client_to_copy_binary": cpu / yard if yard else 0,
            "rss_mib": max(s.rss_mib for s in got), "bytes": got[0].bytes, "verified": entry["verdict"],
            "rounds": len(got),
        }
        own = name in (LIMIT, YARDSTICK)
        lines.append([
            name, f"{rate / 1000:,.0f}", f"{wall:.2f}", spread(walls[name]),
            "" if own else f"{cpu / table.rows * 1e6:.2f}", f"{server / table.rows * 1e6:.2f}",
            f"{to_limit:.2f}", "" if own or not fastest else f"{to_peer:.2f}",
            "" if own or not yard else f"{cpu / yard:.2f}",
            "" if own else f"{figures[name]['rss_mib']:.0f}",
            entry["verdict"] if own or not got[0].bytes
            else f"{got[0].bytes / 1e6:.0f} MB {entry['verdict']}",
        ])
    header = [
        f"{table.letter} → {fmt}", "k rows/s", "wall s", "spread", "client CPU-s/M", "server CPU-s/M",
        "× limit", "× best peer", "client/COPY bin", "RSS MiB", "output, verified",
    ]
    text = render(header, lines)
    if fastest:
        text += f"\nfastest peer: {fastest}"
    if ENGINE in figures and fastest:
        line = figures[ENGINE]
        text += (
            f"\nsluice: {line['to_fastest_peer']:.2f}× the fastest peer, {line['to_limit']:.2f}× the limit,"
            f" client CPU {line['client_to_copy_binary']:.2f}× the server's COPY binary"
        )
    return text, figures


def main(bench: who.Bench, tables: list[Table], formats: list[str], rounds: int, only: list[str],
         quick: bool, root: Path) -> int:
    if not engine_there():
        print("sluice is not built (scripts/build): peers and limits only\n")
    everything: dict[str, Any] = {}
    bad = 0
    for table in tables:
        expected = reference(bench, table)
        for fmt in formats:
            start = time.monotonic()
            outcome = contest(bench, table, fmt, rounds, expected, only, quick)
            text, figures = report(table, fmt, outcome)
            print(text, flush=True)
            if fmt == "jsonl.zst" and (table.letter == "L" or not quick):
                print(compressor_limit(bench, table, fmt))
            print(f"({rounds} rounds, {time.monotonic() - start:.0f} s)\n", flush=True)
            everything[f"{table.letter} {fmt}"] = figures
            if ENGINE in outcome and outcome[ENGINE]["verdict"] not in ("ok", "-"):
                bad += 1
    print(f"figures: {save(root, 'B2', everything).relative_to(root)}")
    return 1 if bad else 0
