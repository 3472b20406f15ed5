"""The readers that docs/object-layout.md shows, run as they stand there against lakes made by the sink."""

from __future__ import annotations

import os
import random
import re
import subprocess
from collections import Counter
from pathlib import Path

import duckdb
import pytest
from support.sluice import ROOT, find_binary

DOC = ROOT / "docs" / "object-layout.md"


def snippet(name: str) -> str:
    found = re.search(rf"```\w+ {name}\n(.*?)```", DOC.read_text(), re.S)
    assert found, f"no snippet {name} in {DOC}"
    return found.group(1)


@pytest.fixture(scope="module")
def feed_tool() -> Path:
    path = find_binary().parent / "lake_feed"
    if not path.exists():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{path} is not built")
    return path


def run_feed(tool: Path, folder: Path, commands: list[str], *options: str) -> None:
    done = subprocess.run(
        [tool, folder, *options], input="\n".join(commands) + "\n", text=True, capture_output=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def read_table(root: Path, table: str) -> list[dict]:
    scope: dict = {}
    exec(snippet("lake_reader"), scope)  # noqa: S102
    return scope["read_table"](root, "hr_to_lake", "lake", table)


def query(root: Path, table: str) -> list[tuple]:
    text = snippet("lake_query").replace("/var/lib/lake/", f"{root}/").replace("public.department", table)
    with duckdb.connect() as duck:
        duck.execute(text)
        return duck.execute("SELECT * FROM department").fetchall()


class Model:
    """What a database would hold, and the commands that make the lake of it."""

    def __init__(self, seed: int, identity: str):
        self.random = random.Random(seed)
        self.identity = identity  # key, full, none (full without a key)
        self.rows: list[list] = []
        self.position = 100
        self.seq = 0
        self.commands: list[str] = []
        before, keys = {"key": ("key", "0"), "full": ("full", "0"), "none": ("full", "-")}[identity]
        self.commands.append(f"stream 0 public.t {before} {keys}")

    @staticmethod
    def text(row: list | None) -> str:
        return "-" if row is None else "|".join("~" if v is None else str(v) for v in row)

    def value(self):
        return self.random.choice([None, "a", "b", f"v{self.random.randrange(1000)}", "x" * 50])

    def load(self, run: str) -> None:
        rows = " ".join(self.text(row) for row in self.rows)
        self.commands.append(f"load 0 {run} {self.position} {rows}".rstrip())

    def old(self, row: list) -> list:
        return row[:1] if self.identity == "key" else row

    def free_id(self) -> int:
        used = {row[0] for row in self.rows}
        return self.random.choice([i for i in range(60) if i not in used])

    def insert(self) -> None:
        unique = self.identity != "none"
        row = [self.free_id() if unique else self.random.randrange(5), self.value(), self.value()]
        self.rows.append(row)
        self.change("I", None, row)

    def update(self) -> None:
        row = self.random.choice(self.rows)
        old = list(row)
        if self.random.random() < 0.3:
            row[0] = self.free_id() if self.identity != "none" else self.random.randrange(5)
        if self.random.random() < 0.7:
            row[1] = self.value()
        new: list = list(row)
        if self.identity == "key":
            if self.random.random() < 0.5:
                new[2] = "?"
            else:
                row[2] = new[2] = self.value()
        moved = self.identity != "key" or old[0] != row[0]
        self.change("U", self.old(old) if moved else None, new)

    def delete(self) -> None:
        row = self.rows.pop(self.random.randrange(len(self.rows)))
        self.change("D", self.old(row), None)

    def change(self, op: str, old: list | None, new: list | None) -> None:
        self.seq += 1
        self.commands.append(f"change 0 {op} {self.position} {self.seq} {self.text(old)} {self.text(new)}")

    def transaction(self) -> None:
        self.position += self.random.randrange(1, 50)
        self.seq = 0
        for _ in range(self.random.randrange(1, 8)):
            dice = self.random.random()
            if dice < 0.02:
                self.seq += 1
                self.rows.clear()
                self.commands.append(f"truncate 0 {self.position} {self.seq}")
            elif len(self.rows) < 40 and (dice < 0.4 or not self.rows):
                self.insert()
            elif dice < 0.8:
                self.update()
            else:
                self.delete()

    def history(self, transactions: int) -> None:
        for i in range(transactions):
            self.transaction()
            if self.random.random() < 0.2 or i == transactions - 1:
                self.commands.append(f"commit {self.position}")


def as_rows(found: list[dict]) -> Counter:
    return Counter((row["id"], row["name"], row["note"]) for row in found)


@pytest.mark.parametrize("identity", ["key", "full", "none"])
def test_documented_python_reader(feed_tool, tmp_path, identity):
    for seed in range(6):
        model = Model(seed, identity)
        for _ in range(seed):
            model.insert()
        model.commands = model.commands[:1]  # these stand in the load
        model.load("20261123T005234Z")
        model.history(40)
        root = tmp_path / f"{identity}-{seed}"
        run_feed(feed_tool, root, model.commands, f"compression={seed % 3}", f"full={seed % 2}")
        assert as_rows(read_table(root, "public.t")) == Counter(map(tuple, model.rows)), seed


def test_documented_query(feed_tool, tmp_path):
    for seed in range(12):
        model = Model(seed, "key" if seed % 3 else "full")
        for _ in range(seed + 1):
            model.insert()
        model.commands = model.commands[:1]
        model.load("20261123T005234Z")
        model.history(40)
        root = tmp_path / str(seed)
        run_feed(feed_tool, root, model.commands, "compression=2")
        assert query(root, "public.t") == sorted(map(tuple, model.rows)), seed


def test_later_loads_lost_epochs_and_changes_before_a_load(feed_tool, tmp_path):
    """A second run hides the first and the changes before it; what was not committed is written again."""
    for seed in range(4):
        model = Model(seed, "key")
        model.insert()
        model.commands = model.commands[:1]
        model.load("20261123T005234Z")
        model.history(15)
        done = model.position
        model.transaction()
        lost = [line for line in model.commands if line.startswith("change") and int(line.split()[3]) > done]
        lost += [line for line in model.commands if line.startswith("truncate") and int(line.split()[2]) > done]
        lost.sort(key=model.commands.index)
        model.commands.append("restart")
        model.commands += lost
        model.commands.append(f"commit {model.position}")
        root = tmp_path / str(seed)
        before = list(map(tuple, model.rows))
        run_feed(feed_tool, root / "once", model.commands)
        assert query(root / "once", "public.t") == sorted(before), seed
        model.position += 1
        if not model.rows:  # the query wants a file of the load
            model.rows.append([7, "a", None])
        model.load("20261124T000000Z")
        model.history(15)
        run_feed(feed_tool, root / "twice", model.commands)
        assert query(root / "twice", "public.t") == sorted(map(tuple, model.rows)), seed
        assert as_rows(read_table(root / "twice", "public.t")) == Counter(map(tuple, model.rows)), seed


def test_changes_alone(feed_tool, tmp_path):
    model = Model(3, "key")
    model.history(30)
    run_feed(feed_tool, tmp_path / "lake", model.commands)
    assert as_rows(read_table(tmp_path / "lake", "public.t")) == Counter(map(tuple, model.rows))
