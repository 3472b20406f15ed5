"""B4: how fast a lagging slot is drained. The engine, PostgreSQL's own client and a bare socket reader."""

from __future__ import annotations

import io
import json
import shutil
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from . import changes, measure
from . import contestants as who
from .b2 import engine_there
from .table import median, render, save, spread

LIMIT, CLIENT = "bare socket reader", "pg_recvlogical > /dev/null"
TO_NULL, TO_JSONL = "sluice → null", "sluice → JSONL.zst"

# Debezium's engine, as measured elsewhere and published; not run here. Changes/s, CPU-s per million, MB.
DEBEZIUM = (20_000, 87.0, 400)


@dataclass
class Contest:
    bench: who.Bench
    reader: Path
    end: str
    expected: dict[str, int]
    samples: dict[str, list[measure.Sample]] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return self.expected["inserts"] + self.expected["updates"] + self.expected["deletes"]

    @property
    def out(self) -> Path:
        return self.bench.scratch / "out"

    def command(self, name: str, slot: str) -> measure.Command:
        if name == LIMIT:
            return changes.walreader(self.bench, self.reader, slot, self.end, "gather")
        if name == CLIENT:
            return changes.recvlogical(self.bench, slot, self.end)
        sink: dict[str, Any] = {"plugin": "null"}
        if name == TO_JSONL:
            sink = {
                "plugin": "file",
                "config": {"path": str(self.out), "format": "jsonl", "compression": "zstd", "compression_level": 1},
            }
        state = self.bench.scratch / "state"
        command = who.sluice_command(self.bench, changes.pipeline(self.bench, slot, sink, "bench_changes"), state)
        command.argv.append("--json")
        return command

    def run(self, name: str, number: int, label: str = "") -> None:
        """One contestant once: a slot of its own that lags behind the whole load."""
        slot = f"bench_{number}_{list(self.samples).index(name)}"
        said = self.bench.scratch / "said"
        for folder in (self.out, self.bench.scratch / "state"):
            shutil.rmtree(folder, ignore_errors=True)
        self.out.mkdir()
        changes.slot_copy(self.bench.db, slot)
        try:
            sample = measure.run(self.command(name, slot), self.bench.server.pid, self.out, said=said)
            if sample.error:
                self.verdicts[name] = "FAILED " + sample.error.splitlines()[-1][:90]
                return
            self.samples[name].append(sample)
            if not self.verdicts.get(name):
                self.verdicts[name] = self.verify(name, said)
        finally:
            changes.slot_drop(self.bench.db, slot)

    def verify(self, name: str, said: Path) -> str:
        if name == CLIENT:
            return "-"
        if name == TO_JSONL:
            return verify_files(self.bench, self.out, self.expected)
        if name == LIMIT:
            counted = json.loads(said.read_text())
            wrong = {key: counted[key] for key in self.expected if counted[key] != self.expected[key]}
            return f"counts differ: {wrong}" if wrong else "ok"
        return verify_counts(said.read_text(), self.expected)


def verify_counts(said: str, expected: dict[str, int]) -> str:
    """What the engine says it moved, of each kind."""
    try:
        feed = json.loads(said.strip().splitlines()[-1])["pipelines"][0]["feeds"][0]
    except (ValueError, IndexError, KeyError):
        return "said nothing of its feed"
    got = {name: feed["transactions" if name == "commits" else name] for name in expected}
    wrong = {name: value for name, value in got.items() if value != expected[name]}
    return f"counts differ: {wrong}" if wrong else "ok"


def change_lines(out: Path) -> list[str]:
    """The rows of all change files; manifests say which count, and here each of them must."""
    lines: list[str] = []
    for path in sorted(out.rglob("*.jsonl.zst")):
        if "_sluice" in path.parts:
            continue
        with path.open("rb") as raw:
            stream = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
            lines += io.TextIOWrapper(stream, encoding="utf-8").read().split("\n")[:-1]
    return lines


def verify_files(bench: who.Bench, out: Path, expected: dict[str, int]) -> str:
    """Counts each kind of change, replays them, and compares the table that comes out with the source."""
    kinds: Counter[str] = Counter()
    table: dict[int, dict[str, Any]] = {}
    seen: set[tuple[str, int]] = set()
    rows = [json.loads(line, parse_float=str) for line in change_lines(out)]
    rows.sort(key=lambda row: (row["_pos"], row["_seq"]))
    for row in rows:
        kinds[row["_op"]] += 1
        if (row["_pos"], row["_seq"]) in seen:
            return f"twice: {row['_pos']} {row['_seq']}"
        seen.add((row["_pos"], row["_seq"]))
        if row["_op"] == "D":
            table.pop(row["id"], None)
            continue
        known = table.setdefault(row["id"], {})
        known.update({key: value for key, value in row.items() if not key.startswith("_")})
    got = {"inserts": kinds["I"], "updates": kinds["U"], "deletes": kinds["D"]}
    wrong = {key: value for key, value in got.items() if value != expected[key]}
    if wrong:
        return f"counts differ: {wrong}"
    with bench.db.connect() as conn:
        source = conn.execute(f"SELECT id, row_to_json(t)::text FROM {changes.TABLE} t").fetchall()
    if len(source) != len(table):
        return f"{len(table)} rows after replay, {len(source)} in the source"
    differ = sum(1 for key, text in source if table.get(key) != json.loads(text, parse_float=str))
    return f"{differ} rows differ" if differ else "ok"


def report(contest: Contest) -> tuple[str, dict[str, Any]]:
    total, samples = contest.total, contest.samples
    lines, figures = [], {}

    def ratio(name: str, to: str, what: str = "wall") -> float:
        """Median of the rounds' ratios, each of one round."""
        if what == "wall":
            pairs = [b.wall / a.wall for a, b in zip(samples[name], samples[to])]
        else:
            pairs = [a.client_cpu / b.client_cpu for a, b in zip(samples[name], samples[to]) if b.client_cpu]
        return median(pairs)

    for name, got in samples.items():
        if not got:
            lines.append([name, "", "", "", "", "", "", "", "", contest.verdicts.get(name, "")])
            continue
        wall = median([s.wall for s in got])
        cpu, server = median([s.client_cpu for s in got]), median([s.server_cpu for s in got])
        figures[name] = {
            "changes_per_s": total / wall, "wall_s": wall, "client_cpu_s_per_m": cpu / total * 1e6,
            "server_cpu_s_per_m": server / total * 1e6, "rss_mib": max(s.rss_mib for s in got),
            "to_pg_recvlogical": ratio(name, CLIENT), "to_bare_socket": ratio(name, LIMIT),
            "cpu_to_pg_recvlogical": ratio(name, CLIENT, "cpu"), "bytes": got[0].bytes,
            "verified": contest.verdicts.get(name, ""), "rounds": len(got),
        }
        one = figures[name]
        lines.append([
            name, f"{one['changes_per_s'] / 1000:,.1f}", f"{wall:.2f}", spread([s.wall for s in got]),
            f"{one['client_cpu_s_per_m']:.2f}", f"{one['server_cpu_s_per_m']:.2f}", f"{one['rss_mib']:.0f}",
            f"{one['to_pg_recvlogical']:.2f}", f"{one['to_bare_socket']:.2f}",
            (f"{got[0].bytes / 1e6:.0f} MB " if got[0].bytes else "") + one["verified"],
        ])
    rate, cpu_s, rss = DEBEZIUM
    lines.append(["Debezium engine (quoted, not run)", f"{rate / 1000:.1f}", "", "", f"{cpu_s:.2f}", "", f"{rss}",
                  "", "", "-"])
    header = [
        f"B4: {total:,} changes, {contest.expected['commits']:,} tx", "k changes/s", "wall s", "spread",
        "client CPU-s/M", "server CPU-s/M", "RSS MiB", "× pg_recvlogical", "× bare socket", "output, verified",
    ]
    return render(header, lines), figures


def goals(figures: dict[str, Any]) -> tuple[list[str], int]:
    """What the figures are to reach, and how many do not."""
    lines, missed = [], 0

    def goal(text: str, value: float, least: float | None = None, most: float | None = None) -> None:
        nonlocal missed
        good = value >= least if least is not None else value <= (most or 0.0)
        bound = f"≥ {least:g}" if least is not None else f"≤ {most:g}"
        missed += not good
        lines.append(f"  {'ok  ' if good else 'MISS'} {text}: {value:,.2f} (goal {bound})")

    for name, least in ((TO_NULL, 1.1), (TO_JSONL, 0.9)):
        if name not in figures:
            lines.append(f"  MISS {name}: did not run")
            missed += 1
            continue
        one = figures[name]
        goal(f"{name}, changes/s × pg_recvlogical", one["to_pg_recvlogical"], least=least)
        goal(f"{name}, changes/s × Debezium's 20 k/s (quoted)", one["changes_per_s"] / DEBEZIUM[0], least=3.0)
        goal(f"{name}, peak memory MiB", one["rss_mib"], most=128.0)
        if name == TO_NULL:
            goal(f"{name}, client CPU × pg_recvlogical", one["cpu_to_pg_recvlogical"], most=0.35)
        missed += one["verified"] != "ok"
    return lines, missed


def main(bench: who.Bench, quick: bool, rounds: int, only: list[str], root: Path) -> int:
    reader = changes.build_reader(root)
    transactions = 36_000 if quick else 100_000
    start = time.monotonic()
    changes.setup(bench.db)
    expected = changes.load(bench.db, transactions)
    contest = Contest(bench, reader, changes.log_end(bench.db), expected)
    print(f"{contest.total:,} changes in {transactions:,} transactions, made in {time.monotonic() - start:.0f} s;"
          f" over TCP, {rounds} rounds\n", flush=True)
    names = [LIMIT, CLIENT] + ([TO_NULL, TO_JSONL] if engine_there() else [])
    contest.samples = {name: [] for name in names if not only or name in (LIMIT, CLIENT, *only)}
    names = list(contest.samples)
    start = time.monotonic()
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            contest.run(name, number)
    text, figures = report(contest)
    lines, missed = goals(figures)
    print(text)
    print(f"({rounds} rounds, rotated; ratios are medians of rounds; {time.monotonic() - start:.0f} s)\n")
    print("\n".join(lines))
    print(f"\nfigures: {save(root, 'B4', figures).relative_to(root)}")
    return 1 if missed else 0
