"""B7: changes into PostgreSQL: a backlog applied, beside PostgreSQL's own logical subscription, and the lag at 1,000
transactions a second."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg import sql
from support import pg, proc

from . import b5, changes, measure
from . import contestants as who
from .b2 import engine_there
from .b8 import compare
from .table import median, render, save, spread

SUBSCRIPTION, ENGINE, STRICT = "logical subscription", "sluice", "sluice, apply: transactional"
MARK = -1


@dataclass
class Applied:
    """A backlog, applied."""

    wall: float
    client_cpu: float = 0.0
    server_cpu: float = 0.0
    rss_mib: float = 0.0
    rss_server_mib: float = 0.0


@dataclass
class Contest:
    bench: who.Bench
    total: int
    got: dict[str, list[Applied]] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)


def new_target(bench: who.Bench) -> pg.PgDatabase:
    """A database with the table, empty."""
    target = bench.server.create_database("to")
    target.execute(changes.DDL)
    return target


class Subscribed:
    """The server's own subscription, from a slot that is there already."""

    def __init__(self, bench: who.Bench, target: pg.PgDatabase, slot: str):
        self.bench, self.target, self.slot = bench, target, slot
        password = pg.PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
        where = (f"host={bench.server.host} port={bench.server.port} dbname={bench.db.name} user={pg.USER}"
                 f" password='{password}'")
        target.execute(sql.SQL(
            "CREATE SUBSCRIPTION {} CONNECTION {} PUBLICATION {} WITH (create_slot = false, slot_name = {}, enabled ="
            " false, copy_data = false, binary = true)").format(
                sql.Identifier(slot), sql.Literal(where), sql.Identifier(changes.PUBLICATION), sql.Literal(slot)))

    def start(self) -> None:
        self.target.execute(f"ALTER SUBSCRIPTION {self.slot} ENABLE")

    def usage(self) -> tuple[float, float]:
        """Its work is the server's."""
        return 0.0, 0.0

    def stop(self) -> str:
        self.target.execute(f"ALTER SUBSCRIPTION {self.slot} DISABLE")
        proc.wait_until(lambda: not self.target.value(
            "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'logical replication worker'"
            " AND datname = current_database()"), 30, "the worker's end")
        self.target.execute(f"ALTER SUBSCRIPTION {self.slot} SET (slot_name = NONE)",
                            f"DROP SUBSCRIPTION {self.slot}")
        return ""


class Engine:
    """The same slot, followed by the engine."""

    def __init__(self, bench: who.Bench, target: pg.PgDatabase, slot: str, strict: bool = False):
        self.bench, self.state = bench, bench.scratch / slot
        shutil.rmtree(self.state, ignore_errors=True)
        sink = {"plugin": "postgres", "config": {**target.config(), **({"apply": "transactional"} if strict else {})}}
        self.command = who.sluice_command(bench, changes.pipeline(bench, slot, sink, slot), self.state)
        self.command.argv.remove("--once")
        self.child: subprocess.Popen | None = None
        self.peak = 0.0

    def start(self) -> None:
        with (self.state / "log").open("wb") as log:
            self.child = subprocess.Popen(self.command.argv, env={**os.environ, **self.command.env},
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def usage(self) -> tuple[float, float]:
        assert self.child is not None
        if self.child.poll() is not None:
            raise RuntimeError((self.state / "log").read_text(errors="replace").strip()[-300:])
        _now, peak = proc.rss_kib(self.child.pid)
        return measure._cpu(str(self.child.pid), False), peak / 1024

    def stop(self) -> str:
        if self.child is not None and self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(30)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        return (self.state / "log").read_text(errors="replace")


def contestant(bench: who.Bench, name: str, target: pg.PgDatabase, slot: str) -> Subscribed | Engine:
    return Subscribed(bench, target, slot) if name == SUBSCRIPTION else Engine(bench, target, slot, name == STRICT)


def backlog(contest: Contest, name: str, number: int) -> None:
    """From the start of whoever applies it to the last row."""
    bench = contest.bench
    slot = f"b7_{number}_{(SUBSCRIPTION, ENGINE, STRICT).index(name)}"
    target = new_target(bench)
    changes.slot_copy(bench.db, slot)
    who_ = contestant(bench, name, target, slot)
    try:
        with target.connect() as looking:
            server = measure.server_cpu(bench.server.pid)
            begun = time.perf_counter()
            who_.start()
            used = (0.0, 0.0)
            while not looking.execute(f"SELECT 1 FROM {changes.TABLE} WHERE id = {MARK}").fetchone():
                if time.perf_counter() - begun > 300:
                    raise RuntimeError("not within 300 s")
                used = who_.usage()
                time.sleep(0.02)
            wall = time.perf_counter() - begun
            used = who_.usage()
            server = measure.server_cpu(bench.server.pid) - server
        contest.got.setdefault(name, []).append(Applied(wall, used[0], server, used[1]))
        if contest.verdicts.get(name, "ok") == "ok":
            contest.verdicts[name] = compare(bench.db, changes.TABLE, target, changes.TABLE, True)
    except RuntimeError as error:
        contest.verdicts[name] = f"FAILED {str(error).splitlines()[-1][:120]}"
    finally:
        who_.stop()
        bench.server.drop_database(target.name)
        changes.slot_drop(bench.db, slot)


def lag(bench: who.Bench, name: str, seconds: int) -> b5.Waits | str:
    """Commit at the source to commit at the target, row by row, by the server's own times of commits (a subscription
    notes the source's instead)."""
    slot = f"b7_lag_{(SUBSCRIPTION, ENGINE, STRICT).index(name)}"
    target = new_target(bench)
    bench.db.execute(f"TRUNCATE {changes.TABLE}")
    changes.slot_new(bench.db, slot)
    who_ = contestant(bench, name, target, slot)
    try:
        who_.start()
        b5.wait_active(bench, slot, getattr(who_, "child", None))
        time.sleep(1.0)
        problem = b5.load(bench, seconds)
        time.sleep(1.0)
        who_.usage()
        if problem:
            return problem
        times = f"SELECT id, extract(epoch FROM pg_xact_commit_timestamp(xmin)) FROM {changes.TABLE}"
        made, came = dict(bench.db.query(times)), dict(target.query(times))
        if set(made) != set(came):
            return f"{len(came)} of {len(made)} rows came"
        waits = sorted(float(came[key] - made[key]) * 1e3 for key in made)

        def quantile(part: float) -> float:
            return waits[int(part * (len(waits) - 1))]

        return b5.Waits(len(waits), quantile(0.5), quantile(0.95), quantile(0.99), waits[-1])
    except RuntimeError as error:
        return str(error).splitlines()[-1][:120]
    finally:
        who_.stop()
        bench.server.drop_database(target.name)
        changes.slot_drop(bench.db, slot)


def backlog_lines(contest: Contest, names: list[str]) -> tuple[list[list[str]], dict[str, Any]]:
    lines, figures = [], {}
    for name in names:
        got = contest.got.get(name, [])
        if not got:
            lines.append([name, *[""] * 6, contest.verdicts.get(name, "not run")])
            continue
        first = contest.got.get(SUBSCRIPTION, [])
        ratio = median([a.wall / b.wall for a, b in zip(first, got)]) if first else 0.0
        wall = median([one.wall for one in got])
        figures[name] = {"changes_per_s": contest.total / wall, "ratio": ratio,
                         "client_cpu_s": median([one.client_cpu for one in got]),
                         "server_cpu_s": median([one.server_cpu for one in got]),
                         "rss_mib": max(one.rss_mib for one in got), "verified": contest.verdicts[name]}
        one = figures[name]
        lines.append([name, f"{one['changes_per_s'] / 1e3:,.1f}", f"{ratio:.2f}", f"{one['client_cpu_s']:.2f}",
                      f"{one['server_cpu_s']:.2f}", f"{one['rss_mib']:.0f}" if one["rss_mib"] else "",
                      spread([a.wall for a in got]), one["verified"]])
    return lines, figures


def goals(applied: dict[str, Any], lags: dict[str, Any]) -> tuple[list[str], int]:
    lines, missed = [], 0

    def goal(text: str, value: float | None, bound: float, most: bool) -> None:
        nonlocal missed
        good = value is not None and (value <= bound if most else value >= bound)
        missed += not good
        shown = f"{value:,.2f}" if value is not None else "not measured"
        lines.append(f"  {'ok  ' if good else 'MISS'} {text}: {shown} (goal {'≤' if most else '≥'} {bound:g})")

    engine = applied.get(ENGINE, {})
    goal(f"changes applied × {SUBSCRIPTION}", engine.get("ratio"), 1.5, False)
    goal("changes applied a second, thousands", engine["changes_per_s"] / 1e3 if engine else None, 40, False)
    goal("memory MiB", engine.get("rss_mib"), 192, True)
    goal("lag at 1,000 tx/s, p99 ms", lags.get(ENGINE, {}).get("p99"), 50, True)
    wrong = [name for name, one in applied.items() if one["verified"] != "ok"]
    lines += [f"  FAIL {name}: {applied[name]['verified']}" for name in wrong]
    return lines, missed + len(wrong)


def main(bench: who.Bench, quick: bool, rounds: int, only: list[str], root: Path) -> int:
    changes.setup(bench.db)
    transactions = 20_000 if quick else 100_000
    counts = changes.load(bench.db, transactions)
    bench.db.execute(f"INSERT INTO {changes.TABLE} VALUES ({MARK}, 0, 'last', 0, '{{}}', NULL, now())")
    changes.log_end(bench.db)
    total = counts["inserts"] + counts["updates"] + counts["deletes"]
    names = [name for name in (SUBSCRIPTION, ENGINE, STRICT)
             if (not only or name in only) and (name == SUBSCRIPTION or engine_there())]
    contest = Contest(bench, total)
    for number in range(rounds):
        for name in names if number % 2 == 0 else names[::-1]:
            backlog(contest, name, number)
    lines, applied = backlog_lines(contest, names)
    header = [f"B7: {total:,} changes in {transactions:,} transactions", "k changes/s", "×", "client CPU-s",
              "server CPU-s", "MiB", "spread", "content"]
    print(render(header, lines), flush=True)
    changes.slot_drop(bench.db, changes.BASE_SLOT)
    bench.db.execute("CREATE SEQUENCE bench_id CACHE 100")
    lines, lags, problems = [], {}, 0
    for name in [name for name in names if name != SUBSCRIPTION]:
        found = lag(bench, name, 6 if quick else 20)
        if isinstance(found, str):
            lines.append([name, "", "", "", "", found])
            problems += 1
            continue
        lags[name] = vars(found)
        lines.append([name, f"{found.count:,}", *(f"{v:.2f}" for v in (found.p50, found.p95, found.p99, found.worst))])
    print("\n" + render([f"lag at {b5.RATE:,} tx/s", "rows", "p50 ms", "p95 ms", "p99 ms", "worst ms"], lines))
    lines_, missed = goals(applied, lags)
    print("\n" + "\n".join(lines_))
    print(f"\nfigures: {save(root, 'B7', {**applied, 'lag': lags}).relative_to(root)}")
    return 1 if missed or problems else 0
