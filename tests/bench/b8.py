"""B8: bulk load into PostgreSQL, and tables from PostgreSQL to PostgreSQL with their primary key."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support import pg

from . import contestants as who
from . import data, measure
from .b2 import engine_there
from .table import median, render, save, spread

COPY = "psql \\copy … binary, from a file"
LOAD, LOAD_TWO = "sluice, made rows, one lane", "sluice, made rows, two lanes"
PIPE, DUMP, CLONE, FULL = "psql \\copy binary | psql \\copy binary", "pg_dump | psql", "pgcopydb clone", "sluice"
COLUMNS = ["int32", "int64", "numeric(12,2)", "utf8:32", "utf8:16", "timestamp", "date", "float64", "bool"]


@dataclass
class Contest:
    bench: who.Bench
    source: pg.PgDatabase
    target: pg.PgDatabase
    rows: int
    samples: dict[str, list[measure.Sample]] = field(default_factory=dict)
    verdicts: dict[str, str] = field(default_factory=dict)

    def sink(self) -> dict[str, Any]:
        return {"plugin": "postgres", "config": {**self.target.config(), "load_into": "truncate"}}

    def empty(self) -> None:
        """A target as it was before anything came."""
        self.bench.server.drop_database(self.target.name)
        with self.bench.server.connect() as conn:
            conn.execute(f'CREATE DATABASE "{self.target.name}"')
        self.target.execute("CHECKPOINT")
        shutil.rmtree(self.bench.scratch / "state", ignore_errors=True)

    def run(self, name: str, command: measure.Command, verify: Callable[[], str]) -> None:
        sample = measure.run(command, self.bench.server.pid)
        if sample.error:
            self.verdicts[name] = "FAILED " + sample.error.splitlines()[-1][:90]
            return
        self.samples.setdefault(name, []).append(sample)
        if self.verdicts.get(name, "ok") == "ok":
            self.verdicts[name] = verify()

    def lines(self, names: list[str], first: str) -> tuple[list[list[str]], dict[str, Any]]:
        lines, figures = [], {}
        for name in names:
            got = self.samples.get(name, [])
            if not got:
                lines.append([name, *[""] * 6, self.verdicts.get(name, "not run")])
                continue
            wall = median([sample.wall for sample in got])
            ratio = median([a.wall / b.wall for a, b in zip(self.samples[first], got)]) if first in self.samples else 0
            figures[name] = {"rows_per_s": self.rows / wall, "wall_s": wall, f"× {first}": ratio,
                             "client_cpu_s": median([s.client_cpu for s in got]),
                             "server_cpu_s": median([s.server_cpu for s in got]),
                             "rss_mib": max(s.rss_mib for s in got), "verified": self.verdicts[name]}
            one = figures[name]
            lines.append([name, f"{one['rows_per_s'] / 1e3:,.0f}", f"{ratio:.2f}", f"{one['client_cpu_s']:.2f}",
                          f"{one['server_cpu_s']:.2f}", f"{one['rss_mib']:.0f}", spread([s.wall for s in got]),
                          self.verdicts[name]])
        return lines, figures


def content(db: pg.PgDatabase, table: str) -> tuple:
    """Rows, and a sum over them that does not care for their order."""
    return db.query(f"SELECT count(*), sum(('x' || left(md5(t::text), 15))::bit(60)::bigint) FROM {table} t")[0]


def compare(source: pg.PgDatabase, table: str, target: pg.PgDatabase, to: str, key: bool) -> str:
    if content(source, table) != content(target, to):
        return "content differs"
    keys = target.value("SELECT count(*) FROM pg_index WHERE indrelid = %s::regclass AND indisprimary", [to])
    return "ok" if keys == int(key) else "no primary key"


# ---------------------------------------------------------------- rows out of nothing


def made(contest: Contest, parallel: int) -> measure.Command:
    pipeline = {
        "version": 1, "name": "bench", "mode": "full_load_only",
        "sources": {"src": {"plugin": "generate",
                            "config": {"rows": contest.rows, "columns": COLUMNS, "shards": 4 * parallel}}},
        "sinks": {"out": {"inputs": ["src"], **contest.sink(), "write": {"mode": "append", "key": "none"}}},
        "parallelism": parallel,
    }
    return who.sluice_command(contest.bench, pipeline, contest.bench.scratch / "state")


def load_rounds(contest: Contest, rounds: int) -> None:
    """The rows are made once and kept as a binary file; each contestant finds an empty table."""
    binary = contest.bench.scratch / "rows.bin"
    contest.empty()
    measure.run(made(contest, 2), contest.bench.server.pid)
    contest.bench.db.execute("DROP TABLE IF EXISTS kept")
    ddl = contest.target.value(
        "SELECT string_agg(format('%I %s %s', attname, format_type(atttypid, atttypmod), CASE WHEN attnotnull THEN"
        " 'NOT NULL' ELSE '' END), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'gen_0001'::regclass"
        " AND attnum > 0")
    contest.bench.db.execute(f"CREATE TABLE kept ({ddl})")
    for database, words in ((contest.target, "gen_0001 to"), (contest.bench.db, "kept from")):
        own = who.Bench(contest.bench.server, database, contest.bench.scratch)
        done = measure.run(who.shell(own, own.psql(f"\\copy {words} '{binary}' (format binary)")), own.server.pid)
        assert not done.error, done.error

    def check() -> str:
        return compare(contest.bench.db, "kept", contest.target, "gen_0001", False)

    psql = who.shell(who.Bench(contest.bench.server, contest.target, contest.bench.scratch),
                     contest.bench.psql(f"\\copy gen_0001 from '{binary}' (format binary)"))
    for number in range(rounds):
        order = [COPY, LOAD, LOAD_TWO] if engine_there() else [COPY]
        for name in order if number % 2 == 0 else order[::-1]:
            contest.empty()
            contest.target.execute(f"CREATE TABLE gen_0001 ({ddl})")
            contest.run(name, psql if name == COPY else made(contest, 1 if name == LOAD else 2), check)


# ---------------------------------------------------------------- from PostgreSQL


def shell_of(contest: Contest, script: str) -> measure.Command:
    named = script.replace("SOURCE", contest.source.name).replace("TARGET", contest.target.name)
    return who.shell(contest.bench, named)


def copy_commands(contest: Contest, work: Path) -> dict[str, measure.Command]:
    uri = f"postgresql://{pg.USER}@{contest.bench.server.host}:{contest.bench.server.port}/"
    key = "ALTER TABLE lineitem ADD PRIMARY KEY (l_orderkey)"
    psql = "psql -XqAt -v ON_ERROR_STOP=1 -d"
    commands = {
        PIPE: shell_of(contest, f"{psql} TARGET -c \"{data.LINEITEM_DDL}\" &&"
                                f" {psql} SOURCE -c '\\copy lineitem to stdout (format binary)' |"
                                f" {psql} TARGET -c '\\copy lineitem from stdin (format binary)' &&"
                                f" {psql} TARGET -c '{key}'"),
        DUMP: shell_of(contest, f"pg_dump -t lineitem SOURCE | {psql} TARGET > /dev/null"),
        # It signals its whole process group when it fails.
        CLONE: shell_of(contest, f"exec setsid -w pgcopydb clone --source {uri}SOURCE --target {uri}TARGET --dir {work}"
                                 " --table-jobs 2 --index-jobs 2 --split-tables-larger-than 32MB --no-owner --no-acl"
                                 " --skip-large-objects --skip-extensions --restart"),
    }
    if engine_there():
        pipeline = who.sluice_pipeline(contest.bench, "lineitem", contest.sink(), "bench")
        pipeline["sources"]["src"]["config"] = contest.source.config()
        commands[FULL] = who.sluice_command(contest.bench, pipeline, contest.bench.scratch / "state")
    return commands


def copy_rounds(contest: Contest, rounds: int, only: list[str]) -> None:
    work = contest.bench.scratch / "pgcopydb"

    def check() -> str:
        return compare(contest.source, "lineitem", contest.target, "lineitem", True)

    for number in range(rounds):
        names = [name for name in (PIPE, DUMP, CLONE, FULL) if not only or name in only]
        for name in names if number % 2 == 0 else names[::-1]:
            contest.empty()
            shutil.rmtree(work, ignore_errors=True)
            commands = copy_commands(contest, work)
            if name in commands:
                contest.run(name, commands[name], check)


def goals(loads: dict[str, Any], copies: dict[str, Any]) -> tuple[list[str], int]:
    lines, missed = [], 0

    def goal(text: str, value: float | None, least: float, most: bool = False) -> None:
        nonlocal missed
        good = value is not None and (value <= least if most else value >= least)
        missed += not good
        shown = f"{value:,.2f}" if value is not None else "not measured"
        lines.append(f"  {'ok  ' if good else 'MISS'} {text}: {shown} (goal {'≤' if most else '≥'} {least:g})")

    def against(name: str) -> float | None:
        ours, theirs = copies.get(FULL), copies.get(name)
        return theirs["wall_s"] / ours["wall_s"] if ours and theirs else None

    goal(f"load × {COPY}", loads.get(LOAD, {}).get(f"× {COPY}"), 0.90)
    goal(f"with primary key × {CLONE}", against(CLONE), 1.5)
    goal(f"with primary key × {PIPE}", against(PIPE), 1.0)
    goal(f"with primary key × {DUMP}", against(DUMP), 1.0)
    rss = [one["rss_mib"] for one in (loads.get(LOAD_TWO), copies.get(FULL)) if one]
    goal("memory MiB", max(rss, default=None), 192, True)
    wrong = {name: one["verified"] for name, one in {**loads, **copies}.items() if one["verified"] != "ok"}
    lines += [f"  FAIL {name}: {verdict}" for name, verdict in wrong.items()]
    return lines, missed + len(wrong)


def main(bench: who.Bench, quick: bool, rounds: int, only: list[str], root: Path) -> int:
    source, target = bench.server.create_database("src"), bench.server.create_database("to")
    contest = Contest(bench, source, target, 1_000_000 if quick else 5_000_000)
    load_rounds(contest, rounds)
    header = ["k rows/s", "×", "client CPU-s", "server CPU-s", "MiB", "spread", "content"]
    lines, loads = contest.lines([COPY, LOAD, LOAD_TWO], COPY)
    title = f"B8: {contest.rows:,} rows × {len(COLUMNS) + 1} into a table without key"
    print(render([title, *header], lines), flush=True)
    table = data.build(source, quick, "L")[0]
    source.execute("ALTER TABLE lineitem ADD PRIMARY KEY (l_orderkey)", "VACUUM (FREEZE, ANALYZE) lineitem")
    second = Contest(bench, source, target, table.rows)
    copy_rounds(second, rounds, only)
    lines, copies = second.lines([PIPE, DUMP, CLONE, FULL], PIPE)
    title = f"PostgreSQL → PostgreSQL, {table.rows:,} × {len(table.columns)}, primary key"
    print("\n" + render([title, *header], lines))
    lines_, missed = goals(loads, copies)
    print("\n" + "\n".join(lines_))
    print(f"\nfigures: {save(root, 'B8', {**loads, **copies}).relative_to(root)}")
    return 1 if missed else 0
