"""A pipeline of changes under test: its file, its runs, and what its sinks hold."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from . import changes, lake, load, proc, sluice
from .changes import Totals
from .pg import PgDatabase
from .s3 import Bucket
from .score import Score

# Sinks rotate this often in tests; users have a minute.
INTERVAL = "250ms"

RETRY = {"retry": {"max": 200, "backoff": "20ms", "cap": "300ms"}}


def file_sink(path: Path, interval: str = INTERVAL, batch: Mapping[str, Any] | None = None, **config: Any) -> dict:
    return {
        "plugin": "file",
        "config": {"path": str(path), "format": "jsonl", "compression": "none", **config},
        "batch": {"interval": interval, **(batch or {})},
    }


def s3_sink(bucket: Bucket, prefix: str = "lake", interval: str = INTERVAL,
            batch: Mapping[str, Any] | None = None, **config: Any) -> dict:
    return {
        "plugin": "s3",
        "config": bucket.config(prefix=prefix, format="jsonl", compression="zstd", **config),
        "batch": {"interval": interval, **(batch or {})},
    }


class Pipe:
    """One pipeline with one or more lake sinks.

    sinks: name → "file", a Bucket, or a whole sink; stores are where each can be read again.
    """

    plugin = "postgres"  # of the source

    def __init__(self, engine: sluice.Engine, db: PgDatabase, sinks: Mapping[str, Any] | None = None,
                 tables: Iterable[str] | Mapping[str, Any] = ("public.*",), name: str = "",
                 mode: str = "full_load_and_cdc", source: Mapping[str, Any] | None = None, **top: Any):
        # Slots are the server's, and tests share one: the name is the test's own.
        self.engine, self.db, self.name, self.mode = engine, db, name or f"p_{db.name[-12:]}", mode
        self.stores: dict[str, lake.Store] = {}
        self.sinks: dict[str, dict] = {}
        for node, sink in (sinks or {"out": "file"}).items():
            self._add(node, sink)
        self.source = {**db.config(), **(source or {})}
        self.tables = dict(tables) if isinstance(tables, Mapping) else {"include": list(tables)}
        self.top = {"on_error": RETRY, **top}
        self.path = self.write()
        self.runs: list[sluice.Result] = []
        self.started: list[sluice.Running] = []

    def _add(self, node: str, sink: Any) -> None:
        if sink == "file":
            sink = file_sink(self.engine.workdir / self.name / node)
        elif isinstance(sink, Bucket):
            self.stores[node] = lake.S3Store(sink, "lake")
            sink = s3_sink(sink)
        elif isinstance(sink, tuple):  # (a whole sink, the store to read it)
            sink, self.stores[node] = sink
        if node not in self.stores and sink["plugin"] == "file":
            self.stores[node] = lake.FileStore(sink["config"]["path"])
        self.sinks[node] = {"inputs": ["src"], **sink}

    def document(self) -> dict[str, Any]:
        return {
            "version": 1, "name": self.name, "mode": self.mode,
            "sources": {"src": {"plugin": self.plugin, "config": self.source, "tables": self.tables}},
            "sinks": self.sinks, **self.top,
        }

    def write(self) -> Path:
        """Writes the file again, after something was changed."""
        self.path = self.engine.write(self.document(), f"{self.name}.yaml")
        return self.path

    # -- runs

    def start(self, *args: str, failpoints: str | None = None, **more: Any) -> sluice.Running:
        """`sluice run --follow`."""
        env = {"SLUICE_FAILPOINTS": failpoints} if failpoints else None
        run = self.engine.start_run(self.path, "--follow", "--progress", "log", *args, env=env, **more)
        self.started.append(run)
        return run

    def close(self) -> None:
        """Ends what a failed test left running."""
        for run in self.started:
            if run.poll() is None:
                run.kill9()

    def once(self, *args: str, failpoints: str | None = None, timeout: float = 120,
             rc: int | None = 0) -> sluice.Result:
        """`sluice run --once`: catches up and ends; rc None: whatever it is."""
        env = {"SLUICE_FAILPOINTS": failpoints} if failpoints else None
        result = self.engine.run(self.path, "--progress", "log", *args, env=env, timeout=timeout)
        self.runs.append(result)
        return result if rc is None else result.expect(rc)

    # -- what is there

    def store(self, node: str | None = None) -> lake.Store:
        return self.stores[node or next(iter(self.stores))]

    def keys(self) -> list[str]:
        """Every object of every sink, for before and after."""
        return [f"{node}:{key}" for node in self.stores for key in self.stores[node].keys("")
                if not key.startswith(".sluice-tmp/")]

    def commits(self, node: str | None = None) -> int:
        """How many manifests there are."""
        found = self.store(node).keys(f"_sluice/{self.name}/")
        return sum(1 for key in found if "/commits/" in key)

    def change_commits(self, node: str | None = None) -> int:
        """How many manifests of changes there are."""
        try:
            return sum(manifest["kind"] == "cdc" for manifest in lake.Lake(self.store(node)).manifests)
        except (OSError, ValueError):  # looked while it was being written
            return 0

    def feed(self, node: str | None = None, **options: Any) -> changes.Feed:
        return changes.Feed(lake.Lake(self.store(node)), **options)

    def wait_for(self, ready: Callable[[], bool], what: str, run: sluice.Running | None = None,
                 timeout: float = 60) -> None:
        """Until ready(); fails at once, showing everything, when the run ends before."""

        def look() -> bool:
            if ready():
                return True
            if run is not None and run.poll() is not None:
                raise AssertionError(f"ended before {what}\n{run.wait().describe()}")
            return False

        try:
            proc.wait_until(look, timeout, what, every=0.05)
        except TimeoutError:
            shown = f"\n{run.stdout[-4000:]}\n{run.stderr[-8000:]}" if run is not None else ""
            raise AssertionError(f"{what}: not within {timeout:g} s{shown}") from None

    def wait_commits(self, count: int, run: sluice.Running | None = None, node: str | None = None,
                     timeout: float = 60) -> None:
        self.wait_for(lambda: self.commits(node) >= count, f"{count} commits", run, timeout)

    def wait_loaded(self, streams: Iterable[str], run: sluice.Running | None = None, node: str | None = None,
                    timeout: float = 60) -> None:
        """Until every stream has a complete load."""
        want = set(streams)
        self.wait_for(lambda: want <= self.complete(node), f"the load of {sorted(want)}", run, timeout)

    def complete(self, node: str | None = None) -> set[str]:
        try:
            read = lake.Lake(self.store(node))
        except (OSError, ValueError):  # looked while it was being written
            return set()
        return {entry["name"] for manifest in read.manifests if manifest["kind"] == "complete"
                for entry in manifest["streams"]}

    # -- the slot

    @property
    def slot(self) -> str:
        return self.source.get("slot") or f"sluice_{self.name}"

    def slot_row(self) -> dict[str, Any] | None:
        rows = self.db.query(
            "SELECT restart_lsn::text, confirmed_flush_lsn::text, active_pid, wal_status,"
            " pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint, lpad(to_hex(("
            "pg_wal_lsn_diff(confirmed_flush_lsn, '0/0'))::bigint), 16, '0')"
            " FROM pg_replication_slots WHERE slot_name = %s", [self.slot])
        if not rows:
            return None
        names = ("restart_lsn", "confirmed_flush_lsn", "active_pid", "wal_status", "retained", "confirmed")
        return dict(zip(names, rows[0], strict=True))

    def wait_caught_up(self, run: sluice.Running | None = None, timeout: float = 60) -> None:
        """Until what is committed now is acknowledged, that is: durable in every sink."""
        # Also what was committed asynchronously; the message takes the log past a page's end.
        target = self.db.value("SELECT pg_current_wal_insert_lsn()::text")
        self.db.execute("SELECT pg_logical_emit_message(false, 'test', 'x')")
        self.wait_for(
            lambda: self.db.value(
                "SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s AND confirmed_flush_lsn >= %s",
                [self.slot, target]) == 1,
            f"the slot {self.slot} at {target}", run, timeout)

    # -- the verdict

    def compare(self, streams: Mapping[str, str] | Iterable[str], node: str | None = None, **options: Any) -> Totals:
        pairs = dict(streams) if isinstance(streams, Mapping) else {name: name for name in streams}
        return changes.compare_all(self.feed(node, **options), self.db, pairs)

    def judge_load(self, score: Score, node: str | None = None) -> changes.Feed:
        """Load W has ended and the pipeline has caught up: every table, the bank, the ledger."""
        feed = self.feed(node)
        score.took(changes.compare_all(feed, self.db, load.STREAMS))
        accounts, total = load.bank(self.db)
        assert (accounts, total) == (load.ACCOUNTS, load.ACCOUNTS * load.BALANCE)
        changes.check_bank(feed, accounts, total)
        changes.check_ledger(feed, self.db)
        return feed


def sleep_or_end(run: sluice.Running, seconds: float) -> bool:
    """Waits; True if it still runs then."""
    deadline = time.monotonic() + seconds
    while run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    return run.poll() is None


def kill_nine_loop(pipe: Any, work: Any, score: Score, chance: random.Random, kills: int,
                   early: float = 0.9, anywhere: tuple[float, float] = (0.5, 2.0)) -> int:
    """Starts the pipeline and kills it, so many times, while `work` writes. A third dies within `early` seconds, while
    tables are loaded or the feed is opened; a third `anywhere`; a third soon after a commit of its own. Answers how
    many lives committed: else nothing but starts would have been killed."""
    grew = 0
    for number in range(kills):
        before = pipe.epochs()
        run = pipe.start()
        if number % 3 == 2:
            pipe.wait_epochs(before + 1, run)
            wait = chance.uniform(0, 0.4)
        else:
            wait = chance.uniform(0.02, early) if number % 3 == 0 else chance.uniform(*anywhere)
        assert sleep_or_end(run, wait), run.wait().describe()
        score.saw(run.pid, is_pid=True)
        run.kill9()
        score.fault()
        grew += pipe.epochs() > before
        assert work.running, "the writers ended"
    return grew
