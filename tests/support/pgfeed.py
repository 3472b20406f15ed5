"""pg_feed: the feed of the PostgreSQL source drained without the engine; see tests/unit/postgres/driver."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from . import pg, sluice

ROOT = Path(__file__).resolve().parents[2]


def find_binary() -> Path:
    named = os.environ.get("SLUICE_PG_FEED")
    path = Path(named) if named else ROOT / "build" / "debug" / "bin" / "pg_feed"
    if not path.exists():
        raise sluice.BinaryMissing(f"{path} is not there; run scripts/build debug")
    return path


@pytest.fixture(scope="session")
def feed_binary() -> Path:
    try:
        return find_binary()
    except sluice.BinaryMissing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"NOT RUN: {missing}")


class Feed:
    """A slot of its own and pg_feed reading it. Events are the dicts that pg_feed prints."""

    def __init__(self, db: pg.PgDatabase, program: Path, *tables: str, **config):
        self.db = db
        self.program = program
        self.tables = tables
        self.config = db.config(**{"slot": f"f_{db.name}", **config})
        self.position: str | None = None
        self.log = ""

    def start(self, *args: str, mode: str = "cdc", **config) -> subprocess.Popen:
        given = [f"{key}={value}" for key, value in {**self.config, **config}.items()]
        position = ["--resume", self.position] if self.position else []
        return subprocess.Popen(
            [str(self.program), "--print", "--mode", mode, *position, *args, *given, *self.tables],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={key: value for key, value in os.environ.items() if not key.startswith("PG")},
        )

    def finish(self, child: subprocess.Popen, timeout: float = 120):
        out, err = child.communicate(timeout=timeout)
        assert not sluice.SANITIZER.search(err), err
        self.log = err
        return child.returncode, [json.loads(line) for line in out.splitlines()], err

    def run(self, *args: str, timeout: float = 120, **config):
        return self.finish(self.start(*args, **config), timeout)

    def open(self, **config) -> Feed:
        """Makes the slot here and now; what is committed from now on will be read."""
        rc, _, err = self.run("--once", **config)
        assert rc == 0, err
        return self

    def read(self, *args: str, timeout: float = 120, **config) -> list[dict]:
        """Everything that was committed since open(), or since the last read()."""
        rc, events, err = self.run("--once", *args, timeout=timeout, **config)
        assert rc == 0, err
        check_order(events, self.position)
        ends = [event.get("boundary") or event.get("heartbeat") for event in events if isinstance(event, dict)]
        self.position = max([self.position or "", *filter(None, ends)]) or None
        return events


def check_order(events: list[dict], position: str | None) -> None:
    """Each stream ascends, boundaries cover what is before them, nothing is older than the position."""
    last: dict[str, tuple[str, int]] = {}
    newest = position or ""
    for event in events:
        if not isinstance(event, dict):
            continue
        stream = event.get("s") or event.get("truncate")
        if stream:
            key = (event["pos"], int(event["seq"]))
            assert key > last.get(stream, ("", 0)), (event, last)
            assert event["pos"] > (position or ""), event
            last[stream] = key
            newest = max(newest, event["pos"])
        end = event.get("boundary") or event.get("heartbeat")
        if end:
            assert newest <= end, (newest, end)
            position = end


def changes(events: list[dict], stream: str | None = None) -> list[dict]:
    """The rows and truncates in the order of the log."""
    found = [e for e in events if isinstance(e, dict) and ("s" in e or "truncate" in e)]
    if stream is not None:
        found = [e for e in found if stream in (e.get("s"), e.get("truncate"))]
    return sorted(found, key=lambda e: (e["pos"], int(e["seq"])))


def short(event: dict) -> tuple:
    """(op, before, after), what was not sent left out."""
    after = event.get("after")
    if after is not None:
        after = {name: cell for name, cell in after.items() if name not in event["unchanged"]}
    return event["op"], event.get("before"), after


def wait_until(condition, timeout: float = 20, step: float = 0.1) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(step)


def rows_of(events: list[dict], stream: str | None = None) -> list[tuple]:
    return [short(event) for event in changes(events, stream)]


def rows(reader: Feed, stream: str | None = None, *args: str) -> list[tuple]:
    return rows_of(reader.read(*args), stream)


@pytest.fixture
def feed(db: pg.PgDatabase, feed_binary: Path):
    """feed("public.t", …, option=value): opened."""

    def make(*tables: str, **config) -> Feed:
        return Feed(db, feed_binary, *tables, **config).open()

    return make
