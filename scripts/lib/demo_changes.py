"""The second half of the demonstration: the same pipeline follows changes, is killed, and loses nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support import changes, lake, pg, proc, sluice

SWITCH = ["--set", "mode=full_load_and_cdc", "--set", "sinks.lake.batch.interval=1s"]

WHILE_FOLLOWING = [
    "UPDATE department SET budget = budget + 1000 WHERE dept_no IN ('d004', 'd005')",
    "INSERT INTO employee VALUES (90001, '1990-05-17', 'Ada', 'Byron', 'F', now(), 'ada@example.org', true,"
    " md5('ada')::uuid, '{sql,maths}', '{\"level\": 6}')",
    "UPDATE department SET dept_no = 'd099' WHERE dept_no = 'd012'",
    "DELETE FROM title WHERE emp_no = 10001",
    "BEGIN; INSERT INTO title VALUES (90001, 'Countess', '2026-11-23');"
    " INSERT INTO salary VALUES (90001, 123456.78, '[2026-11-23,2027-11-23)'); COMMIT",
    "BEGIN; DELETE FROM salary; ROLLBACK",
]

WHILE_DEAD = [
    "UPDATE employee SET active = false WHERE emp_no % 1000 = 0",
    "DELETE FROM audit_event WHERE actor = 'user7'",
    "INSERT INTO department VALUES ('d100', 'Night Shift', 0, now(), NULL, 'made while sluice was dead')",
    "UPDATE salary SET amount = amount * 1.02 WHERE emp_no BETWEEN 10100 AND 10300",
]

AFTER_RESTART = [
    "ALTER TABLE department ADD COLUMN floor int",
    "UPDATE department SET floor = 3, note = 'after the restart' WHERE dept_no = 'd001'",
    "TRUNCATE dept_manager",
    "INSERT INTO dept_manager VALUES ('d001', 10007, '2026-11-23')",
]


class Demo:
    """What demo.py has made: a database, a bucket, the environment of the engine; and how it prints."""

    def __init__(self, db: pg.PgDatabase, store: lake.Store, env: dict[str, str], pipeline: Path, root: Path,
                 paint: Callable[[str, str], str], heading: Callable[[str], None]):
        self.db, self.store, self.env = db, store, env
        self.pipeline, self.root = pipeline, root
        self.paint, self.heading = paint, heading
        self.binary = sluice.find_binary("release")
        self.log = root / "follow.log"
        self.child: subprocess.Popen | None = None

    # -- the engine

    def command(self, *words: str) -> list[str]:
        return [str(self.binary), *words]

    def show_command(self, *words: str) -> None:
        print(f"    $ {self.paint('build/release/bin/sluice ' + ' '.join(words), '1')}", flush=True)

    def check(self) -> None:
        """What the engine says is in the way of following."""
        self.show_command("check", "examples/" + self.pipeline.name, *SWITCH[:2])
        done = subprocess.run(
            self.command("check", str(self.pipeline), *SWITCH[:2]), env=self.env, capture_output=True, text=True
        )
        for line in (done.stdout + done.stderr).splitlines():
            print(f"      {line}")

    def start(self) -> None:
        """Runs the engine until it streams."""
        words = ["run", str(self.pipeline), "--follow", *SWITCH]
        self.show_command("run", "examples/" + self.pipeline.name, "--follow", *SWITCH)
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                self.command(*words), env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        self.wait(self.streams, 120, "the feed")

    def streams(self) -> bool:
        found = self.db.query(
            "SELECT 1 FROM pg_replication_slots WHERE database = current_database() AND active AND NOT temporary"
        )
        return bool(found)

    def wait(self, ready: Callable[[], bool], timeout: float, what: str) -> None:
        def ready_or_dead() -> bool:
            if self.child is not None and self.child.poll() is not None:
                tail = self.log.read_text(errors="replace")[-3000:]
                raise SystemExit(f"sluice ended with exit code {self.child.returncode}:\n{tail}")
            return ready()

        try:
            proc.wait_until(ready_or_dead, timeout, what, every=0.1)
        except TimeoutError as late:
            raise SystemExit(f"{late}\n{self.log.read_text(errors='replace')[-3000:]}") from late

    def kill(self) -> None:
        assert self.child is not None
        print(f"    $ {self.paint(f'kill -9 {self.child.pid}', '1')}")
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()
        self.child = None

    def stop(self) -> None:
        """As an operator would; for any way out of the demonstration."""
        if self.child is None:
            return
        child, self.child = self.child, None
        child.terminate()
        try:
            code = child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            code = child.wait()
        if code != 0:
            print(self.log.read_text(errors="replace")[-2000:])

    # -- the source

    def psql(self, statements: list[str]) -> int:
        """Runs them with psql, prints them, and counts the rows that it says were changed."""
        rows = 0
        program = self.db.server.bin_dir / "psql"
        for statement in statements:
            words = [str(program), "-X", "-v", "ON_ERROR_STOP=1", "-c", statement]
            done = subprocess.run(words, env={**os.environ, **self.db.env()}, capture_output=True, text=True)
            if done.returncode != 0:
                raise SystemExit(f"psql: {done.stderr.strip()}")
            said = done.stdout.strip().splitlines()
            width = max(60, shutil.get_terminal_size((140, 40)).columns - 30)
            line = statement if len(statement) <= width else statement[: width - 1] + "…"
            print(f"    hr=> {line};  {self.paint(' '.join(said), '2')}")
            if "ROLLBACK" not in said:
                rows += sum(int(found) for found in re.findall(r"(?:INSERT 0|UPDATE|DELETE) (\d+)", done.stdout))
        return rows

    # -- the bucket

    def feed(self) -> changes.Feed:
        return changes.Feed(lake.Lake(self.store, "department_to_s3", "lake"))

    def await_changes(self, known: int, more: int) -> changes.Feed:
        """Until the bucket names that many changes more; how long that took."""
        start = time.monotonic()
        state: dict[str, changes.Feed] = {}

        def there() -> bool:
            state["feed"] = self.feed()
            # A change of the key is two rows, with one number.
            numbers = {(e.pos, e.seq) for name in state["feed"].names() for e in state["feed"].events(name)}
            return len(numbers) >= known + more

        self.wait(there, 60, f"{more} changes in the bucket")
        took = time.monotonic() - start
        print(f"    {self.paint(f'{more} changes are in the bucket after {took:.1f} s', '32')} (rotation: 1 s)")
        return state["feed"]

    def show(self, feed: changes.Feed, after: str) -> None:
        """Some of the rows, as they are in the files."""
        width = max(60, shutil.get_terminal_size((140, 40)).columns - 7)
        seen: set[str] = set()
        for name in feed.names():
            for event in feed.events(name, after)[:3]:
                if event.file.key not in seen:
                    seen.add(event.file.key)
                    print(f"    {self.paint(event.file.key, '2')}")
                line = as_json({"_op": event.op, "_pos": event.pos, "_seq": f"\0{event.seq}", **event.row})
                print(f"      {line if len(line) <= width else line[: width - 1] + '…'}")


def as_json(value: Any) -> str:
    """A row as its line in the file has it; changes.py marks numbers by a NUL in front."""
    if isinstance(value, str):
        return value[1:] if value.startswith("\0") else json.dumps(value, ensure_ascii=False)
    if isinstance(value, changes.Pairs):
        value = dict(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{as_json(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(as_json, value)) + "]"
    return json.dumps(value)


def count(feed: changes.Feed) -> int:
    return len({(event.pos, event.seq) for name in feed.names() for event in feed.events(name)})


def newest(feed: changes.Feed) -> str:
    return max((event.pos for name in feed.names() for event in feed.events(name)), default="")


def columns(feed: changes.Feed, stream: str) -> list[str]:
    """Of the newest version that a change came in."""
    versions = [key for key in feed.columns if key[0] == stream]
    return [column["name"] for column in feed.columns[max(versions)]] if versions else []


def compare(demo: Demo, feed: changes.Feed, tables: list[str], table: Callable) -> bool:
    """Every table as a reader of the bucket rebuilds it, against PostgreSQL."""
    rows, good = [], True
    for name in tables:
        stream = f"public.{name}"
        names = columns(feed, stream)
        # Rows written before a column was added do not have it.
        outcome = changes.compare(feed, demo.db, stream, adapt=lambda row: {**dict.fromkeys(names), **row})
        twice = len(feed.twice(stream))
        good = good and outcome.ok and twice == 0
        rows.append([
            stream, f"{outcome.expected:,}", f"{outcome.got:,}", f"{len(feed.events(stream)):,}",
            f"lost={outcome.lost} dup={outcome.dup + twice} diff={outcome.diff}",
            demo.paint("equal", "32") if outcome.ok and not twice else demo.paint("NOT EQUAL", "31"),
        ])
        if not outcome.ok:
            print(outcome)
    table(["table", "rows in PostgreSQL", "rows rebuilt", "changes read", "content", ""], rows)
    return good


def run(demo: Demo, tables: list[str], table: Callable) -> bool:
    """Follows, is killed, goes on; whether all is equal at the end."""
    demo.heading("The same pipeline, switched to full_load_and_cdc")
    demo.check()
    demo.psql(["ALTER TABLE audit_event REPLICA IDENTITY FULL"])
    demo.start()
    runs = lake.Lake(demo.store, "department_to_s3", "lake").runs("public.department")
    print(f"    loaded ({runs[-1]}) and following; slot and publication are its own")

    demo.heading("Changes with psql, and where they arrive")
    feed = demo.feed()
    done, mark = count(feed), newest(feed)
    feed = demo.await_changes(done, demo.psql(WHILE_FOLLOWING))
    demo.show(feed, mark)

    demo.heading("The engine is killed, more changes, the engine is started again")
    demo.kill()
    done, mark = count(feed), newest(feed)
    made = demo.psql(WHILE_DEAD)
    demo.start()
    feed = demo.await_changes(done, made)

    demo.heading("A new column and a TRUNCATE while it follows")
    done, mark = count(feed), newest(feed)
    made = demo.psql(AFTER_RESTART)
    feed = demo.await_changes(done, made + 1)  # the TRUNCATE is one
    demo.show(feed, mark)

    demo.heading("Loads and changes read back by the manifests, compared with PostgreSQL")
    good = compare(demo, feed, tables, table)

    demo.heading("The end: nothing stays behind at the source")
    demo.stop()
    words = [*SWITCH[:2], "--yes"]
    demo.show_command("retire", "examples/" + demo.pipeline.name, *words)
    ended = subprocess.run(
        demo.command("retire", str(demo.pipeline), *words), env=demo.env, capture_output=True, text=True
    )
    for line in (ended.stdout + ended.stderr).strip().splitlines():
        print(f"      {line}")
    slots = demo.db.value("SELECT count(*) FROM pg_replication_slots")
    publications = demo.db.value("SELECT count(*) FROM pg_publication")
    print(f"    slots: {slots}, publications: {publications}")
    return good and ended.returncode == 0 and slots == 0 and publications == 0
