"""B5: from commit to the row in the sink, at 1,000 transactions a second; idle cost; one huge transaction."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import proc

from . import changes, measure
from . import contestants as who
from .b2 import engine_there
from .b4 import verify_counts
from .table import median, render, save

RAW, ENGINE = "bare socket reader", "sluice → null"
RATE, CLIENTS = 1000, 4

_SCRIPT = f"""
INSERT INTO {changes.TABLE} VALUES (nextval('bench_id'), 1, 'created', 12.50,
    '{{"order": 1, "line": 2, "sku": "sku-17", "tags": ["a", "b"]}}', 'a note', now());
"""


@dataclass
class Waits:
    """Times from commit to arrival, in milliseconds."""

    count: int
    p50: float
    p95: float
    p99: float
    worst: float


def load(bench: who.Bench, seconds: int) -> str:
    """Small transactions at a fixed rate, each durable before it is answered; what went wrong."""
    script = bench.scratch / "transaction.sql"
    script.write_text(_SCRIPT)
    env = {**os.environ, **bench.env(), "PGOPTIONS": "-c synchronous_commit=on"}
    done = subprocess.run(
        [str(bench.server.bin_dir / "pgbench"), "-n", "-M", "prepared", "-f", str(script), "-R", str(RATE),
         "-c", str(CLIENTS), "-j", "1", "-T", str(seconds)],
        env=env, capture_output=True, text=True, timeout=seconds + 60,
    )
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or ["pgbench failed"])[-1]
    made = re.search(r"tps = ([\d.]+)", done.stdout)
    if made is None or float(made.group(1)) < 0.8 * RATE:
        return f"only {made.group(1) if made else '?'} transactions a second were made"
    return ""


def read_raw(bench: who.Bench, reader: Path, seconds: int, number: int) -> Waits | str:
    slot = f"bench_raw_{number}"
    changes.slot_new(bench.db, slot)
    command = changes.walreader(bench, reader, slot, str(seconds + 3), "latency")
    child = subprocess.Popen(
        command.argv, env={**os.environ, **command.env}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_active(bench, slot)
        problem = load(bench, seconds)
        said, why = child.communicate(timeout=seconds + 30)
        if problem or child.returncode != 0:
            return problem or why.strip()
        got = json.loads(said)
        return Waits(got["count"], got["p50_us"] / 1e3, got["p95_us"] / 1e3, got["p99_us"] / 1e3, got["max_us"] / 1e3)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        changes.slot_drop(bench.db, slot)


def wait_active(bench: who.Bench, slot: str, child: subprocess.Popen | None = None) -> None:
    def active() -> bool:
        if child is not None and child.poll() is not None:
            raise RuntimeError(f"ended early, exit code {child.returncode}")
        return bool(bench.db.value("SELECT active FROM pg_replication_slots WHERE slot_name = %s", [slot]))

    proc.wait_until(active, 20, f"slot {slot} in use")
    time.sleep(0.5)


class Follower:
    """The engine following a slot of its own into sink null."""

    def __init__(self, bench: who.Bench, slot: str, sink: dict[str, Any]):
        self.bench, self.slot = bench, slot
        self.state = bench.scratch / slot
        shutil.rmtree(self.state, ignore_errors=True)
        self.state.mkdir()
        changes.slot_new(bench.db, slot)
        command = who.sluice_command(bench, changes.pipeline(bench, slot, sink, slot), self.state)
        command.argv.remove("--once")
        self.log = self.state / "log"
        with self.log.open("wb") as log:
            self.child = subprocess.Popen(
                command.argv, env={**os.environ, **command.env}, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT,
            )

    def __enter__(self) -> Follower:
        try:
            wait_active(self.bench, self.slot, self.child)
        except Exception:
            self.__exit__()
            print(self.log.read_text()[-2000:])
            raise
        return self

    def cpu_ns(self) -> int:
        """CPU time of all its threads, by the scheduler's own clock."""
        total = 0
        for task in Path(f"/proc/{self.child.pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
        return total

    def stop(self) -> str:
        """Ends it as an operator would; what it said."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(30)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        return self.log.read_text(errors="replace")

    def __exit__(self, *_: object) -> None:
        self.stop()
        changes.slot_drop(self.bench.db, self.slot)


def read_engine(bench: who.Bench, seconds: int, number: int) -> Waits | str:
    notes = bench.scratch / f"latency_{number}"
    sink = {"plugin": "null", "config": {"latency": str(notes)}}
    with Follower(bench, f"bench_follow_{number}", sink) as follower:
        problem = load(bench, seconds)
        time.sleep(1.0)
        said = follower.stop()
    if problem or not notes.exists():
        return problem or "no latencies: " + (said.strip().splitlines() or ["nothing said"])[-1][:80]
    return waits_of(notes)


def waits_of(notes: Path) -> Waits | str:
    """What sink null noted: a line a commit, committed and arrived in microseconds."""
    pairs = [line.split() for line in notes.read_text().splitlines()]
    waits = sorted((int(arrived) - int(committed)) / 1e3 for committed, arrived in pairs)
    if not waits:
        return "no latencies were noted"

    def quantile(part: float) -> float:
        return waits[int(part * (len(waits) - 1))]

    return Waits(len(waits), quantile(0.5), quantile(0.95), quantile(0.99), waits[-1])


def idle(bench: who.Bench, seconds: int) -> tuple[float, float] | str:
    """CPU share in percent and memory in MiB of a follower with nothing to do."""
    with Follower(bench, "bench_idle", {"plugin": "null"}) as follower:
        time.sleep(3.0)
        start, cpu = time.monotonic(), follower.cpu_ns()
        time.sleep(seconds)
        share = (follower.cpu_ns() - cpu) / 1e9 / (time.monotonic() - start) * 100
        now, _peak = proc.rss_kib(follower.child.pid)
    return share, now / 1024


def huge_raw(bench: who.Bench, reader: Path, end: str) -> measure.Sample:
    """The same, read from the bare socket."""
    changes.slot_copy(bench.db, "bench_huge", "bench_huge_base")
    try:
        return measure.run(changes.walreader(bench, reader, "bench_huge", end, "gather"), bench.server.pid)
    finally:
        changes.slot_drop(bench.db, "bench_huge")


def huge(bench: who.Bench, rows: int, sink: dict[str, Any]) -> tuple[measure.Sample, str]:
    """One transaction of a million rows, drained."""
    said = bench.scratch / "said"
    state = bench.scratch / "huge"
    shutil.rmtree(state, ignore_errors=True)
    changes.slot_copy(bench.db, "bench_huge", "bench_huge_base")
    try:
        command = who.sluice_command(bench, changes.pipeline(bench, "bench_huge", sink, "bench_huge"), state)
        command.argv.append("--json")
        sample = measure.run(command, bench.server.pid, said=said)
    finally:
        changes.slot_drop(bench.db, "bench_huge")
    if sample.error:
        return sample, sample.error.splitlines()[-1][:80]
    return sample, verify_counts(said.read_text(), {"inserts": rows, "updates": 0, "deletes": 0, "commits": 1})


def huge_lines(bench: who.Bench, reader: Path, rows: int, figures: dict[str, Any]) -> list[list[str]]:
    changes.slot_new(bench.db, "bench_huge_base")
    bench.db.execute(
        f"INSERT INTO {changes.TABLE} SELECT 1000000000 + i, i % 100, 'huge', i / 7.0::numeric,"
        " jsonb_build_object('order', i, 'sku', 'sku-' || i % 9999), md5(i::text), now()"
        f" FROM generate_series(1, {rows}) i"
    )
    raw = huge_raw(bench, reader, changes.log_end(bench.db))
    lines = [[f"one transaction of {rows:,} rows → bare reader", f"{raw.wall:.1f} s", f"{raw.rss_mib:.0f} MiB",
              raw.error[-80:]]]
    files = {"plugin": "file", "config": {"path": str(bench.scratch / "huge_out"), "format": "jsonl",
                                          "compression": "zstd", "compression_level": 1}}
    for name, sink in (("null", {"plugin": "null"}), ("JSONL.zst", files)):
        sample, verdict = huge(bench, rows, sink)
        figures[f"huge → {name}"] = {"wall_s": sample.wall, "rss_mib": sample.rss_mib, "verified": verdict}
        lines.append([f"one transaction of {rows:,} rows → {name}", f"{sample.wall:.1f} s", f"{sample.rss_mib:.0f} MiB",
                      f"goal 256 MiB; {verdict}"])
    return lines


def latency_lines(rounds: dict[str, dict[int, Waits]],
                  problems: dict[str, str]) -> tuple[list[list[str]], dict[str, Any]]:
    lines, figures = [], {}
    for name, got in rounds.items():
        if not got:
            lines.append([name, "", "", "", "", "", problems.get(name, "")])
            continue
        middle = {key: median([getattr(w, key) for w in got.values()]) for key in ("p50", "p95", "p99", "worst")}
        ratios = [found.p99 / rounds[RAW][number].p99 for number, found in got.items() if number in rounds[RAW]]
        count = sum(w.count for w in got.values())
        figures[name] = {**middle, "count": count, "p99_to_raw": median(ratios) if ratios else None}
        lines.append([name, f"{count:,}", *(f"{middle[key]:.2f}" for key in ("p50", "p95", "p99", "worst")),
                      f"{median(ratios):.2f}" if ratios else "?"])
    return lines, figures


def goals(figures: dict[str, Any]) -> tuple[list[str], int]:
    lines, missed = [], 0

    def goal(text: str, value: float | None, most: float) -> None:
        nonlocal missed
        good = value is not None and value <= most
        missed += not good
        shown = f"{value:,.2f}" if value is not None else "not measured"
        lines.append(f"  {'ok  ' if good else 'MISS'} {text}: {shown} (goal ≤ {most:g})")

    engine = figures.get(ENGINE, {})
    goal("commit to row in sink null, p99 ms", engine.get("p99"), 10.0)
    goal("the same × the bare reader's p99", engine.get("p99_to_raw"), 1.5)
    goal("idle CPU, percent of one core", figures.get("idle_cpu_percent"), 0.2)
    goal("idle memory MiB", figures.get("idle_mib"), 128.0)
    for name in ("null", "JSONL.zst"):
        one = figures.get(f"huge → {name}", {})
        goal(f"memory MiB for a huge transaction → {name}", one.get("rss_mib"), 256.0)
        missed += one.get("verified") != "ok"
    return lines, missed


def main(bench: who.Bench, quick: bool, rounds: int, only: list[str], root: Path) -> int:
    reader = changes.build_reader(root)
    changes.setup(bench.db)
    changes.slot_drop(bench.db, changes.BASE_SLOT)
    bench.db.execute("CREATE SEQUENCE bench_id CACHE 100")
    seconds = 6 if quick else 20
    got: dict[str, dict[int, Waits]] = {RAW: {}, **({ENGINE: {}} if engine_there() else {})}
    problems: dict[str, str] = {}
    for number in range(rounds):
        order = list(got) if number % 2 == 0 else list(got)[::-1]
        for name in order:
            try:
                found = (read_raw(bench, reader, seconds, number) if name == RAW
                         else read_engine(bench, seconds, number))
            except RuntimeError as error:
                found = str(error)
            if isinstance(found, str):
                problems[name] = found
            else:
                got[name][number] = found
    lines, figures = latency_lines(got, problems)
    header = [f"B5: {RATE:,} tx/s, commits awaited, {rounds} × {seconds} s", "rows", "p50 ms", "p95 ms", "p99 ms",
              "worst ms", "p99 × bare reader"]
    print(render(header, lines), flush=True)
    more: list[list[str]] = []
    if engine_there():
        share = idle(bench, 10 if quick else 60)
        if not isinstance(share, str):
            figures["idle_cpu_percent"], figures["idle_mib"] = share
            more.append(["idle follower", f"{share[0]:.3f} % CPU", f"{share[1]:.1f} MiB", "goal 0.2 %"])
        more += huge_lines(bench, reader, 1_000_000, figures)
        print("\n" + render(["", "", "memory", ""], more))
    lines_, missed = goals(figures)
    print("\n" + "\n".join(lines_))
    print(f"\nfigures: {save(root, 'B5', figures).relative_to(root)}")
    return 1 if missed or problems else 0
