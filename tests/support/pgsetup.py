"""Runs pg_setup, which makes a source ready for a feed without the engine: tests/unit/pg/driver/setup.c."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support import pg, sluice
from support.pgreader import ROOT


def find_setup() -> Path:
    named = os.environ.get("SLUICE_PG_SETUP")
    path = Path(named) if named else ROOT / "build" / "debug" / "bin" / "pg_setup"
    if not path.exists():
        if os.environ.get("CI"):
            raise sluice.BinaryMissing(f"{path} is not there")
        pytest.skip(f"NOT RUN: {path} is not there; run scripts/build debug")
    return path


class Answer:
    """What one run printed, taken apart."""

    def __init__(self, rc: int, out: str, err: str):
        self.rc, self.out, self.err = rc, out, err
        self.lines = [line.split("\t") for line in out.splitlines()]
        self.streams = {line[1]: line[2:] for line in self.lines if line[0] == "stream"}
        self.shards = {line[1]: line[2:] for line in self.lines if line[0] == "shard"}
        self.findings = [line[1:] for line in self.lines if line[0] == "finding"]
        self.rows: dict[str, int] = {}
        for line in self.lines:
            if line[0] == "rows":
                stream = line[1].split(":")[1]
                self.rows[stream] = self.rows.get(stream, 0) + int(line[2])

    def field(self, kind: str, index: int) -> str:
        return next(line for line in self.lines if line[0] == kind)[index]

    @property
    def start(self) -> str:
        return self.shards["pg/changes"][1]

    @property
    def created(self) -> str:
        return self.field("info", 3)

    def finding(self, subject: str) -> list[str]:
        return next(f for f in self.findings if f[1] == subject)


class Setup:
    def __init__(self, db: pg.PgDatabase, binary: Path):
        self.db, self.binary = db, binary
        self.pipeline = db.name  # slots are shared by all databases of a server

    @property
    def name(self) -> str:
        return f"sluice_{self.pipeline}"

    def start(self, *args: str, config: dict | None = None) -> subprocess.Popen:
        given = [f"{key}={value}" for key, value in self.db.config(**(config or {})).items()]
        env = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        return subprocess.Popen(
            [str(self.binary), "--pipeline", self.pipeline, *args, *given], env=env, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )

    def finish(self, child: subprocess.Popen, go: str | None = None, head: str = "") -> Answer:
        out, err = child.communicate(go, timeout=120)
        assert not sluice.SANITIZER.search(err), err
        return Answer(child.returncode, head + out, err)

    def run(self, *args: str, **config) -> Answer:
        return self.finish(self.start(*args, config=config))

    def ok(self, *args: str, **config) -> Answer:
        answer = self.run(*args, **config)
        assert answer.rc == 0, answer.err
        return answer

    def fail(self, *args: str, **config) -> str:
        answer = self.run(*args, **config)
        assert answer.rc == 1, answer.out + answer.err
        return answer.err

    def pause(self, *args: str, **config) -> tuple[subprocess.Popen, str]:
        child = self.start("--pause", *args, config=config)
        head = ""
        for line in child.stdout:
            head += line
            if line.strip() == "open":
                return child, head
        raise AssertionError(head + child.stderr.read())

    def slots(self) -> list[str]:
        return [row[0] for row in self.db.query(
            "SELECT slot_name FROM pg_replication_slots WHERE database = current_database() ORDER BY 1")]

    def publications(self) -> list[str]:
        return [row[0] for row in self.db.query("SELECT pubname FROM pg_publication ORDER BY 1")]

    def published(self, name: str | None = None) -> list[str]:
        return [row[0] for row in self.db.query(
            "SELECT tablename FROM pg_publication_tables WHERE pubname = %s ORDER BY 1",
            [name or self.name])]

    def nothing_made(self) -> None:
        assert self.slots() == [] and self.publications() == []

    def lsn(self) -> str:
        return f"{self.db.value('SELECT (pg_current_wal_lsn() - $$0/0$$::pg_lsn)::bigint'):016x}"

    def confirmed(self, slot: str | None = None) -> str:
        at = self.db.value("SELECT confirmed_flush_lsn - '0/0'::pg_lsn FROM pg_replication_slots"
                           " WHERE slot_name = %s", [slot or self.name])
        return f"{int(at):016x}"


def make_tables(db: pg.PgDatabase) -> None:
    db.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text)",
        "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 100) i",
        "CREATE TABLE u (a int, b int, v text, PRIMARY KEY (b, a))",
        "INSERT INTO u VALUES (1, 1, 'x')",
    )
