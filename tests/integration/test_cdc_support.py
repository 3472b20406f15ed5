"""The helpers of the tests of changes: the load, the reader of change files, and the second opinion.

A lake is written here from what a second slot sees, by Python alone: the reader must find it equal to
the source, and must notice every kind of damage done to it.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from support import changes, lake, load, score
from support.pgoutput import UNCHANGED, Oracle

META = ["_op", "_pos", "_seq", "_commit_ts", "_tx", "_unchanged"]


def _cell(value) -> str:
    if value is None:
        return ""
    return '"' + value.replace('"', '""') + '"'


class Writer:
    """Writes a lake by hand: full runs, and change files of CSV or JSON lines."""

    def __init__(self, root: Path):
        self.root, self.seq, self.epoch, self.last = root, 0, 0, "0" * 16

    def put(self, key: str, text: str) -> dict:
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        data = text.encode()
        return {"key": key, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    def manifest(self, body: dict) -> None:
        self.seq += 1
        base = {"format": 1, "pipeline": "p", "sink": "out", "mode": "full_load_and_cdc", "seq": self.seq,
                "committed_at": "2026-01-01T00:00:00.000000Z", "token": "AA=="}
        self.put(f"_sluice/p/out/commits/{self.seq:020d}.json", json.dumps({**base, **body}))

    def run(self, stream: str, text: str, rows: int, columns: list[dict], position: str, ext: str) -> None:
        key = f"{lake.key_segment(stream)}/full/20260101T000000Z/0-1.{ext}"
        described = [{"name": stream, "schema_id": 1, "columns": columns}]
        entry = {**self.put(key, text), "stream": stream, "schema_id": 1, "rows": rows}
        self.manifest({"kind": "full", "run": "20260101T000000Z", "shard": stream, "epoch": 1,
                       "streams": described, "files": [entry]})
        self.manifest({"kind": "complete", "run": "20260101T000000Z", "files": [], "streams": [
            {"name": stream, "run": "20260101T000000Z", "rows": rows, "position": position}]})

    def cdc(self, files: list[tuple[str, list[dict], str, int, str, str]], to: str, ext: str,
            more: dict | None = None) -> None:
        """files: (stream, columns, text, rows, first_pos, last_pos)."""
        self.epoch += 1
        entries, described = [], []
        for stream, columns, text, rows, first, final in files:
            date = re_date(text)
            key = f"{lake.key_segment(stream)}/cdc/dt={date}/{first}-{self.epoch}-{self.seq}.{ext}"
            entries.append({**self.put(key, text), "stream": stream, "schema_id": 1, "rows": rows,
                            "first_pos": first, "last_pos": final})
            described.append({"name": stream, "schema_id": 1, "columns": columns})
        self.manifest({"kind": "cdc", "shard": "src/changes", "epoch": self.epoch, "from": self.last, "to": to,
                       "streams": described, "files": entries, **(more or {})})
        self.last = to


def re_date(text: str) -> str:
    import re

    return re.search(r"(\d{4}-\d\d-\d\d)T\d\d:\d\d:\d\d\.\d{6}Z", text)[1]


def oracle_rows(tx, change) -> list[tuple[str, dict, list[str]]]:
    """(op, cells, unchanged) of a change, in the shape `columns`."""
    relation = change.relation
    if change.op == "T":
        return [("T", {}, [])]

    def cells(values, keys_only=False):
        return {
            name: value
            for name, value, key in zip(relation.columns, values, relation.keys, strict=True)
            if value is not UNCHANGED and (key or not keys_only)
        }

    if change.op == "D":
        return [("D", cells(change.old, change.old_kind == "K"), [])]
    new = change.new
    if change.old_kind == "O":
        new = [old if value is UNCHANGED else value for old, value in zip(change.old, new, strict=True)]
    unchanged = [name for name, value in zip(relation.columns, new, strict=True) if value is UNCHANGED]
    if change.op == "I" or not change.old:
        return [(change.op, cells(new), unchanged)]
    keys = primary(relation)
    old, fresh = cells(change.old, change.old_kind == "K"), cells(new)
    if keys and all(old[name] == fresh[name] for name in keys):
        return [("U", fresh, unchanged)]
    return [("D", old, []), ("I", fresh, unchanged)]


KEYS = {"public.append": [], "public.toast_full": ["id"]}


def primary(relation) -> list[str]:
    flagged = [name for name, key in zip(relation.columns, relation.keys, strict=True) if key]
    return KEYS.get(relation.stream, flagged)


def write_oracle(writer: Writer, transactions: list, per_commit: int) -> None:
    for start in range(0, len(transactions), per_commit):
        some = transactions[start : start + per_commit]
        texts: dict[str, io.StringIO] = {}
        info: dict[str, list] = {}
        for tx in some:
            stamp = datetime.datetime(2000, 1, 1) + datetime.timedelta(microseconds=tx.time_us)
            ts = stamp.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            for change in tx.changes:
                relation = change.relation
                out = texts.setdefault(relation.stream, io.StringIO())
                if relation.stream not in info:
                    out.write(",".join(map(_cell, META + relation.columns)) + "\n")
                    keys = primary(relation)
                    columns = [{"name": name, "type": "utf8", "native": "x", "nullable": True, "key": name in keys}
                               for name in relation.columns]
                    info[relation.stream] = [columns, 0, tx.pos, tx.pos]
                for op, row, unchanged in oracle_rows(tx, change):
                    cells = [op, tx.pos, str(change.seq), ts, str(tx.xid), json.dumps(unchanged) if unchanged else None]
                    out.write(",".join(map(_cell, cells + [row.get(name) for name in relation.columns])) + "\n")
                    info[relation.stream][1] += 1
                info[relation.stream][3] = tx.pos
        files = [(stream, columns, texts[stream].getvalue(), rows, first, final)
                 for stream, (columns, rows, first, final) in info.items()]
        writer.cdc(files, some[-1].pos, "csv")


def load_run(writer: Writer, db, stream: str, relation: str, keys: list[str], position: str) -> None:
    select = lake.source_select(db, relation, "", "hex")
    header, *rows = lake.source_csv(db, select)
    text = "".join(",".join(map(_cell, row)) + "\n" for row in [header, *rows])
    columns = [{"name": name, "type": "utf8", "native": "x", "nullable": True, "key": name in keys} for name in header]
    writer.run(stream, text, len(rows), columns, position, "csv")


PRIMARY = {
    "public.composite": ["a", "b", "c"], "public.part": ["id", "region"], "public.append": [],
    "public.by_index": ["code"], 'public."Odd Table"': ["Id"], "public.ledger": ["name"],
}


@pytest.mark.slow
def test_the_reader_agrees_with_a_second_opinion(db, workdir):
    """Load W, decoded by Python into a lake: the reader's rule gives the source's tables, strictly."""
    streams = load.setup(db, rows=100)
    db.execute(f"CREATE PUBLICATION w FOR TABLE {', '.join(streams.values())} WITH (publish_via_partition_root = true)")
    oracle = Oracle(db, "w")
    writer = Writer(workdir / "lake")
    position = f"{int(db.value('SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), %s)', ['0/0'])):016x}"
    for stream, relation in streams.items():
        load_run(writer, db, stream, relation, PRIMARY.get(stream, ["id"]), position)
    writer.last = position
    with load.Load(db, writers=8, seed=11, changes=25000) as work:
        done = work.wait()
    transactions = list(oracle.transactions())
    oracle.drop()
    assert len(transactions) == done["transactions"] and done.get("errors", 0) == 0
    write_oracle(writer, transactions, per_commit=400)
    begun = time.monotonic()
    feed = changes.Feed(lake.Lake(lake.FileStore(workdir / "lake")))
    total = changes.compare_all(feed, db, streams)
    assert str(total) == "lost=0 dup=0 diff=0" and total.rows > 3000
    assert changes.check_ledger(feed, db) == done["transactions"]
    assert changes.check_bank(feed, *load.bank(db)) > 1000
    ops = Counter(event.op for name in feed.names() for event in feed.events(name))
    # Whether a TRUNCATE falls into so short a time is chance; events of it have tests of their own.
    assert set("IUD") <= set(ops) <= set("IUDT") and any(event.unchanged for event in feed.events("public.toast"))
    print(f"{feed.count()} events {dict(ops)} read in {time.monotonic() - begun:.1f} s, {done}")


def test_load_w_ends_by_itself_and_by_signal(db):
    load.setup(db, rows=20)
    with load.Load(db, writers=2, seed=5, rate=50) as work:
        while db.value("SELECT count(*) FROM ledger") < 10:
            time.sleep(0.02)
        assert work.running
        first = work.stop()
    with load.Load(db, writers=2, seed=5, changes=100) as again:
        second = again.wait()
    names = [name for (name,) in db.query("SELECT name FROM ledger")]
    assert len(set(names)) == len(names) == first["transactions"] + second["transactions"]
    assert load.bank(db) == (load.ACCOUNTS, load.ACCOUNTS * load.BALANCE)


# ---------------------------------------------------------------- every kind of damage is noticed

COLUMNS = [{"name": "id", "type": "int32", "native": "integer", "nullable": False, "key": True},
           {"name": "v", "type": "decimal128(5,2)", "native": "numeric(5,2)", "nullable": True},
           {"name": "big", "type": "utf8", "native": "text", "nullable": True}]
POS = [f"{number:016x}" for number in range(100)]


def event(op: str, pos: int, seq: int = 1, unchanged: list[str] | None = None, **row) -> str:
    meta = {"_op": op, "_pos": POS[pos], "_seq": seq, "_commit_ts": "2026-11-23T00:52:34.123456Z", "_tx": "7"}
    if unchanged:
        meta["_unchanged"] = unchanged
    text = json.dumps({**meta, **row})
    return text.replace('"NUM(', "").replace(')MUN"', "")


def num(text: str) -> str:
    return f"NUM({text})MUN"


@pytest.fixture
def small(db, workdir):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v numeric(5,2), big text)",
               "INSERT INTO t VALUES (1, 1.10, 'old'), (2, 2.00, NULL), (3, NULL, 'x')")
    writer = Writer(workdir)
    loaded = '{"id":1,"v":1.00,"big":"old"}\n{"id":9,"v":null,"big":"gone"}\n'
    writer.run("public.t", loaded, 2, COLUMNS, POS[5], "jsonl")
    writer.last = POS[5]
    return db, writer


GOOD = [
    [event("U", 10, unchanged=["big"], id=1, v=num("1.10")), event("D", 10, 2, id=9)],
    [event("I", 12, id=2, v=num("2.00"), big=None), event("I", 13, id=3, v=None, big="x")],
]


def write_small(writer: Writer, commits: list[list[str]], more: dict | None = None) -> None:
    for lines in commits:
        positions = [json.loads(line)["_pos"] for line in lines]
        text = "".join(line + "\n" for line in lines)
        entry = ("public.t", COLUMNS, text, len(lines), positions[0], positions[-1])
        writer.cdc([entry], max(positions), "jsonl", more)


def outcome(db, workdir) -> tuple[int, int, int]:
    found = changes.compare(changes.Feed(lake.Lake(lake.FileStore(workdir))), db, "public.t", "t")
    print(found)
    return found.lost, found.dup, found.diff


def test_good_changes(small, workdir):
    db, writer = small
    write_small(writer, GOOD)
    assert outcome(db, workdir) == (0, 0, 0)


@pytest.mark.parametrize("damage, counts", [
    # A change is missing: the row, its removal, its newer value.
    (lambda c: c[1].pop(), (1, 0, 0)),
    (lambda c: c[0].pop(1), (0, 1, 0)),
    (lambda c: c[0].pop(0), (0, 0, 1)),
    # A change is there twice: inside one file, and in two manifests.
    (lambda c: c[1].append(c[1][1]), (0, 1, 2)),
    (lambda c: c.append([c[1][1]]), None),
    # NULL in the place of what was not sent, and another spelling of a number.
    (lambda c: c[0].__setitem__(0, event("U", 10, id=1, v=num("1.10"), big=None)), (0, 0, 1)),
    (lambda c: c[1].__setitem__(0, event("I", 12, id=2, v=num("2.0"), big=None)), (0, 0, 1)),
    (lambda c: c[1].__setitem__(0, event("I", 12, id=2, v="2.00", big=None)), (0, 0, 1)),
    # A truncate too much.
    (lambda c: c[1].insert(1, event("T", 12, 2)), (2, 0, 0)),
    # Removed and updated, but never there.
    (lambda c: c[1].append(event("D", 14, id=77)), (0, 0, 1)),
])
def test_damage_is_counted(small, workdir, damage, counts):
    db, writer = small
    commits = [list(lines) for lines in GOOD]
    damage(commits)
    write_small(writer, commits[:2])
    if counts is None:
        with pytest.raises(lake.LakeError, match="not before|overlap|outside"):
            write_small(writer, commits[2:])
            outcome(db, workdir)
        return
    assert outcome(db, workdir) == counts


@pytest.mark.parametrize("body, message", [
    ({"from": POS[11]}, "hole"),
    ({"from": POS[9]}, "overlap"),
    ({"epoch": 1}, "epoch"),
    ({"to": POS[12]}, "outside"),
    ({"files": []}, "names no file"),
    ({"streams": []}, "does not describe"),
    ({"to": "13"}, "to is"),
])
def test_a_broken_chain_is_refused(small, workdir, body, message):
    _db, writer = small
    write_small(writer, GOOD[:1])
    write_small(writer, GOOD[1:], body)
    with pytest.raises(lake.LakeError, match=message):
        changes.Feed(lake.Lake(lake.FileStore(workdir)))


@pytest.mark.parametrize("lines, message", [
    ([event("I", 12, id=2, v=None)], "columns"),
    ([event("I", 12, id=2, v=None, big=None, more=1)], "columns"),
    ([event("X", 12, id=2, v=None, big=None)], "op"),
    ([event("D", 12, v=None)], "key"),
    ([event("I", 13, id=2, v=None, big=None), event("I", 12, id=3, v=None, big=None)], "behind|outside"),
    (['{"id":1,"v":null,"big":null,"_pos":"%s"}' % POS[12]], "without"),
])
def test_rows_that_break_the_layout_are_refused(small, workdir, lines, message):
    _db, writer = small
    with pytest.raises((lake.LakeError, TypeError), match=message):
        text = "".join(line + "\n" for line in lines)
        if "_commit_ts" not in text:
            text = text.replace("}", ',"x":"2026-11-23T00:52:34.123456Z"}')
        positions = [json.loads(line)["_pos"] for line in lines]
        entry = ("public.t", COLUMNS, text, len(lines), positions[0], positions[-1])
        writer.cdc([entry], max(positions), "jsonl")
        changes.Feed(lake.Lake(lake.FileStore(workdir)))


def test_two_hundred_thousand_changes_in_seconds(db, workdir):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v numeric(5,2), big text)",
               "INSERT INTO t SELECT i, i % 100, 'x' FROM generate_series(1, 100000) i",
               "UPDATE t SET big = 'y'")
    writer = Writer(workdir)
    for part in range(10):
        first = 1000 + part * 1000
        lines = []
        for op, big in (("I", "x"), ("U", "y")):
            for number in range(part * 10000 + 1, part * 10000 + 10001):
                pos = first + (0 if op == "I" else 1)
                seq = number - part * 10000
                lines.append(
                    f'{{"_op":"{op}","_pos":"{pos:016x}","_seq":{seq},"_commit_ts":"2026-11-23T00:52:34.123456Z",'
                    f'"_tx":"7","id":{number},"v":{number % 100}.00,"big":"{big}"}}\n')
        writer.cdc([("public.t", COLUMNS, "".join(lines), len(lines), f"{first:016x}", f"{first + 1:016x}")],
                   f"{first + 1:016x}", "jsonl")
    begun = time.monotonic()
    feed = changes.Feed(lake.Lake(lake.FileStore(workdir)))
    total = changes.compare_all(feed, db, {"public.t": "t"})
    assert str(total) == "lost=0 dup=0 diff=0" and total.rows == 100000 and feed.count() == 200000
    print(f"{time.monotonic() - begun:.1f} s")


def test_result_lines_are_added_up(workdir, monkeypatch):
    monkeypatch.setenv("SLUICE_TEST_LOGS", str(workdir))
    with score.Score("T1", "a") as result:
        result.fault(3)
        result.survive(3)
        result.took(changes.Totals(rows=10))
    with pytest.raises(AssertionError, match="survived=0"):
        with score.Score("T1", "b") as result:
            result.fault()
    with pytest.raises(ValueError):
        with score.Score("T2") as result:
            raise ValueError("x")
    lines = (workdir / "results.txt").read_text().splitlines()
    assert lines[0].startswith("T1 faults=3 survived=3 rows=10 lost=0 dup=0 diff=0 stuck=0 rss_max=0 secs=")
    assert lines[2].endswith("FAILED")
    root = Path(__file__).resolve().parents[2]
    added = subprocess.run([sys.executable, root / "scripts/lib/scores.py", workdir / "results.txt"],
                           capture_output=True, text=True, check=True).stdout.splitlines()
    assert added[0].startswith("T1 faults=4 survived=3 rows=10 lost=0") and "parts=2" in added[0], added
    assert "FAILED" in added[1]
