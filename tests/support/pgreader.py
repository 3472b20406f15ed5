"""pg_reader: the PostgreSQL source drained without the engine; see tests/unit/pg/driver."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from . import pg, sluice

ROOT = Path(__file__).resolve().parents[2]


class Reader:
    """pg_reader as a process; rows are lists of raw cells, errors are lines of standard error."""

    def __init__(self, db: pg.PgDatabase, binary: Path, **config):
        self.binary = binary
        self.config = db.config(**config)

    def start(self, *args: str) -> subprocess.Popen:
        given = [f"{key}={value}" for key, value in self.config.items()]
        return subprocess.Popen(
            [str(self.binary), *args, *given],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={key: value for key, value in os.environ.items() if not key.startswith("PG")},
        )

    def finish(self, child: subprocess.Popen, go: str | None = None, timeout: float = 120):
        out, err = child.communicate(go, timeout=timeout)
        assert not sluice.SANITIZER.search(err), err
        return child.returncode, out, err

    def run(self, *args: str, timeout: float = 120):
        return self.finish(self.start(*args), timeout=timeout)

    def rows(self, *args: str) -> dict[str, list[list]]:
        rc, out, err = self.run("--mode", "print", *args)
        assert rc == 0, err
        return parse(out)

    def discover(self) -> dict[str, dict]:
        rc, out, err = self.run("--mode", "discover")
        assert rc == 0, err
        found = [json.loads(line) for line in out.splitlines()]
        return {stream["name"]: stream for stream in found}

    def pause(self, *args: str) -> subprocess.Popen:
        """Opens, takes the snapshot, and waits until finish(child, "\\n")."""
        child = self.start("--mode", "print", "--pause", *args)
        seen = []
        for line in child.stderr:
            seen.append(line)
            if line.strip() == "open":
                return child
        raise AssertionError("".join(seen))


def parse(out: str) -> dict[str, list[list]]:
    tables: dict[str, list[list]] = {}
    for line in out.splitlines():
        row = json.loads(line)
        tables.setdefault(row[0], []).append(row[1:])
    return tables


def find_reader() -> Path:
    named = os.environ.get("SLUICE_PG_READER")
    path = Path(named) if named else ROOT / "build" / "debug" / "bin" / "pg_reader"
    if not path.exists():
        raise sluice.BinaryMissing(f"{path} is not there; run scripts/build debug")
    return path


@pytest.fixture(scope="session")
def binary() -> Path:
    try:
        return find_reader()
    except sluice.BinaryMissing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"NOT RUN: {missing}")


@pytest.fixture
def reader(db: pg.PgDatabase, binary: Path) -> Reader:
    return Reader(db, binary)


@contextmanager
def role(db: pg.PgDatabase) -> Iterator[str]:
    """A role of this test's own: roles are shared by all databases of a server."""
    name = f"r_{db.name}"
    db.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'r'")
    try:
        yield name
    finally:
        db.execute(f"DROP OWNED BY {name}", f"DROP ROLE {name}")
