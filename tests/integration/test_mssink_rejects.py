"""Rows that SQL Server (the stand-in) refuses: kept as letters or skipped, in loads and in changes; tables that are set
aside; `sluice dlq` lists the letters and writes them again."""

from __future__ import annotations

import json

import pytest
from support.mssql import ToMs

SOURCE = ("CREATE TABLE t (id int PRIMARY KEY, c int, v text, at timestamp, n numeric(30,4), u int)",
          "INSERT INTO t SELECT i, i, 'v' || i, '2026-01-02 03:04:05.123', 1.25, i % 5 FROM generate_series(1, 40) i")
KNOWN = ("CREATE TABLE [public].[known] (id int NOT NULL PRIMARY KEY)",
         "INSERT INTO [public].[known] VALUES (0), (1), (2), (3), (4)")
TARGET = (*KNOWN,
          "CREATE TABLE [public].[t] (id int NOT NULL PRIMARY KEY, c int NOT NULL CONSTRAINT ck CHECK (c >= 0),"
          " v nvarchar(10) NULL, at datetime NULL, n decimal(8,2) NULL, u int NULL CONSTRAINT fk REFERENCES"
          " [public].[known] (id))")
MEND = ("ALTER TABLE [public].[t] DROP CONSTRAINT ck", "ALTER TABLE [public].[t] DROP CONSTRAINT fk",
        "ALTER TABLE [public].[t] ALTER COLUMN c int NULL",
        "ALTER TABLE [public].[t] ALTER COLUMN v nvarchar(max) NULL",
        "ALTER TABLE [public].[t] ALTER COLUMN at datetime2(6) NULL",
        "ALTER TABLE [public].[t] ALTER COLUMN n decimal(38,4) NULL")
# id → (what makes the row poison, part of the error)
POISON = {3: ("c = -1", "ck"), 9: ("c = NULL", "NULL"), 14: ("v = 'far too long a text'", "too large"),
          20: ("at = '1205-01-01'", "range"), 27: ("n = 123456789.12", "range"), 33: ("u = 77", "fk")}


@pytest.fixture
def pipe(engine, db, ms):
    made: list[ToMs] = []

    def make(rows: str = "dlq", **more) -> ToMs:
        on_error = {"rows": rows, **more.pop("on_error", {})}
        made.append(ToMs(engine, db, ms, more={"on_error": on_error, **more.pop("keys", {})}, schema="freeze",
                         **{"tables": ["public.t"], **more}))
        return made[-1]

    yield make
    for one in made:
        one.close()


def letters(pipe) -> list[dict]:
    return pipe.engine.cmd("dlq", "list", str(pipe.path), "--json").expect(0).json()["letters"]


def ids(ms) -> set[int]:
    return {row for (row,) in ms.query("SELECT id FROM [public].[t]")}


@pytest.mark.parametrize("rows", ["dlq", "skip"])
def test_load(pipe, db, ms, rows):
    db.execute(*SOURCE, *(f"UPDATE t SET {what} WHERE id = {row}" for row, (what, _why) in POISON.items()))
    ms.execute(*TARGET)
    made = pipe(rows, sink={"load_into": "truncate"})
    result = made.once(rc=4)
    assert f"the target refuses rows stream=public.t rows={len(POISON)}" in result.stderr, result.describe()
    assert ids(ms) == set(range(1, 41)) - POISON.keys()
    found = {letter["row"]["id"]: letter for letter in letters(made)}
    if rows == "skip":
        assert not found
        return
    assert found.keys() == POISON.keys()
    # A load anew brings them again, each once.
    made.engine.cmd("state", "resync", str(made.path), "--stream", "public.t", "--yes").expect(0)
    made.once(rc=4)
    assert sorted(letter["row"]["id"] for letter in letters(made)) == sorted(POISON)
    found = {letter["row"]["id"]: letter for letter in letters(made)}
    for row, (_what, why) in POISON.items():
        assert why in found[row]["error"] and found[row]["op"] == "R", found[row]
    assert found[20]["row"]["at"].startswith("1205-01-01") and found[14]["row"]["v"] == "far too long a text"
    ms.execute(*MEND)
    done = made.engine.cmd("dlq", "replay", str(made.path), "--all", "--json").expect(0).json()["letters"]
    assert len(done) == len(POISON) and all(x["replayed"] and x["error"] is None for x in done), done
    assert made.compare_pg("public.t").rows == 40


@pytest.mark.parametrize("rows", ["dlq", "skip"])
@pytest.mark.parametrize("small_rows", [0, 1000], ids=["sets", "ordered"])
def test_changes(pipe, db, ms, rows, small_rows):
    db.execute(*SOURCE)
    ms.execute(*TARGET)
    made = pipe(rows, sink={"load_into": "truncate", "small_rows": small_rows})
    made.once()
    db.execute("BEGIN; INSERT INTO t SELECT i, i, 'n', NULL, 1, 1 FROM generate_series(100, 180) i; "
               + "; ".join(f"UPDATE t SET {what} WHERE id = {row}" for row, (what, _why) in POISON.items())
               + "; INSERT INTO t VALUES (200, -5, 'new', NULL, NULL, 1); UPDATE t SET v = 'ok' WHERE id = 40;"
               " DELETE FROM t WHERE id = 39; COMMIT", "UPDATE t SET v = v || '.' WHERE id IN (1, 2)")
    result = made.once(rc=4)
    assert ids(ms) == set(range(1, 39)) | {40} | set(range(100, 181)), result.describe()
    assert ms.query("SELECT v FROM [public].[t] WHERE id IN (1, 2, 3, 40) ORDER BY id") == [
        ("v1.",), ("v2.",), ("v3",), ("ok",)]
    found = {letter["row"]["id"]: letter for letter in letters(made)}
    if rows == "skip":
        assert not found
        return
    assert found.keys() == POISON.keys() | {200}, result.describe()
    assert {found[row]["op"] for row in POISON} == {"U"} and found[200]["op"] == "I"
    assert all(why in found[row]["error"] for row, (_what, why) in POISON.items()), found
    assert found[3]["sqlstate"] == "547" and found[9]["sqlstate"] == "515" and found[14]["sqlstate"] is None
    ms.execute(*MEND)
    made.engine.cmd("dlq", "replay", str(made.path), "--all").expect(0)
    assert made.compare_pg("public.t").rows == 121
    made.once()
    assert made.compare_pg("public.t").rows == 121


@pytest.mark.parametrize("small_rows", [0, 1000], ids=["sets", "ordered"])
def test_only_what_cannot_be_encoded(pipe, db, ms, small_rows):
    """The server refuses nothing here: each such row is kept all the same."""
    db.execute(*SOURCE)
    ms.execute(*TARGET)
    made = pipe(sink={"load_into": "truncate", "small_rows": small_rows})
    made.once()
    db.execute("BEGIN; INSERT INTO t SELECT i, i, CASE WHEN i % 10 = 0 THEN 'far too long a text' END, NULL, 1, 1"
               " FROM generate_series(100, 199) i; COMMIT")
    made.once(rc=4)
    assert {letter["row"]["id"] for letter in letters(made)} == set(range(100, 200, 10))
    assert ids(ms) == set(range(1, 41)) | {i for i in range(100, 200) if i % 10}


def test_refused_in_a_part_of_an_epoch(pipe, db, ms):
    """A transaction larger than flush_bytes is written in parts: rows refused in any of them are told."""
    db.execute(*SOURCE)
    made = pipe(sink={"flush_bytes": "64KiB", "small_rows": 0})
    made.once()
    ms.execute("ALTER TABLE [public].[t] ADD CONSTRAINT ck CHECK (c >= 0)")
    db.execute("BEGIN; UPDATE t SET c = -1 WHERE id = 3; INSERT INTO t (id, c, v) SELECT i, i, repeat('x', 1000) FROM"
               " generate_series(100, 300) i; COMMIT")
    result = made.once(rc=4)
    assert "the target refuses rows stream=public.t rows=1" in result.stderr, result.describe()
    assert [letter["row"]["id"] for letter in letters(made)] == [3] and len(ids(ms)) == 241


def test_replay_one_by_one(pipe, db, ms, workdir):
    """Refused again it stays; with another row it goes in; once only."""
    db.execute(*SOURCE, "UPDATE t SET c = -1 WHERE id IN (3, 4)")
    ms.execute(*TARGET)
    made = pipe(sink={"load_into": "truncate"})
    made.once(rc=4)
    first, second = (str(letter["id"]) for letter in letters(made))
    again = made.engine.cmd("dlq", "replay", str(made.path), first).expect(4)
    assert "0 of 1 letters replayed" in again.stdout and "ck" in again.stdout
    mended = workdir / "mended.json"
    mended.write_text(json.dumps({"id": 3, "c": 33, "v": "mend'é\\\\", "n": "12.5", "u": None}))
    made.engine.cmd("dlq", "replay", str(made.path), first, "--row", str(mended)).expect(0)
    assert ms.query("SELECT c, v, n, u FROM [public].[t] WHERE id = 3")[0][:2] == (33, "mend'é\\\\")
    assert "was replayed already" in made.engine.cmd("dlq", "replay", str(made.path), first).expect(4).stdout
    mended.write_text('{"id": 4, "c": 1); DROP TABLE [public].[t]; --')
    assert made.engine.cmd("dlq", "replay", str(made.path), second, "--row", str(mended)).rc != 0
    assert "dlq list" in made.engine.cmd("dlq", "replay", str(made.path), "999").expect(2).stderr
    assert len(ids(ms)) == 39


def test_replay_finds_the_row_by_its_key(pipe, db, ms):
    """Not by another unique index, whose column the letter itself changes."""
    db.execute(*SOURCE)
    ms.execute(*KNOWN, TARGET[2].replace("PRIMARY KEY", "PRIMARY KEY NONCLUSTERED"),
               "CREATE UNIQUE CLUSTERED INDEX a_first ON [public].[t] (v)")
    made = pipe(sink={"load_into": "truncate"})
    made.once()
    db.execute("UPDATE t SET c = -1, v = 'changed' WHERE id = 3")
    made.once(rc=4)
    assert letters(made)[0]["key"] == {"id": 3}
    ms.execute("ALTER TABLE [public].[t] DROP CONSTRAINT ck")
    made.engine.cmd("dlq", "replay", str(made.path), "--all").expect(0)
    assert ms.query("SELECT id, c FROM [public].[t] WHERE v = N'changed'") == [(3, -1)]


def test_deletes_and_keys(pipe, db, ms):
    """A delete that a foreign key forbids; an update of a key; both by the old key."""
    db.execute(*SOURCE)
    ms.execute(*TARGET)
    made = pipe(sink={"load_into": "truncate"})
    made.once()
    ms.execute("CREATE TABLE [public].[child] (t int NOT NULL REFERENCES [public].[t] (id))",
               "INSERT INTO [public].[child] VALUES (3), (5)")
    db.execute("DELETE FROM t WHERE id = 3", "UPDATE t SET id = 500 WHERE id = 5", "UPDATE t SET v = 'ok' WHERE id = 6")
    made.once(rc=4)
    assert {(x["op"], x["sqlstate"]) for x in letters(made)} == {("D", "547"), ("U", "547")}
    assert ms.query("SELECT v FROM [public].[t] WHERE id = 6") == [("ok",)]
    ms.execute("DELETE FROM [public].[child]")
    made.engine.cmd("dlq", "replay", str(made.path), "--all").expect(0)
    ms.execute(*MEND)
    assert made.compare_pg("public.t").rows == 39


def test_too_many(pipe, db, ms):
    """max_rejected: the run ends, and the epoch in which it did is not there."""
    db.execute(*SOURCE)
    ms.execute(*TARGET)
    made = pipe(sink={"load_into": "truncate"}, on_error={"max_rejected": 2})
    made.once()
    db.execute("BEGIN; UPDATE t SET v = 'x'; UPDATE t SET c = -1 WHERE id < 5; COMMIT")
    result = made.once(rc=1)
    assert "max_rejected (2)" in result.stderr, result.describe()
    assert ms.query("SELECT COUNT(*) FROM [public].[t] WHERE v = 'x'") == [(0,)] and not letters(made)


def test_a_table_is_set_aside(pipe, db, ms):
    """Its table is gone at the target: others go on, and a new load brings it back."""
    db.execute(*SOURCE, "CREATE TABLE o (id int PRIMARY KEY, v text)", "INSERT INTO o VALUES (1, 'a')")
    made = pipe("stop", tables=["public.t", "public.o"], keys={"on_table_error": "quarantine"})
    made.once()
    ms.execute("ALTER TABLE [public].[t] DROP COLUMN v", "ALTER TABLE [public].[t] ADD v int NULL")
    db.execute("BEGIN; UPDATE t SET v = 'text' WHERE id = 1; INSERT INTO o VALUES (2, 'b'); COMMIT")
    result = made.once(rc=4)
    assert "the table is set aside" in result.stderr and "public.t" in result.stderr, result.describe()
    assert made.compare_pg("public.o").rows == 2
    db.execute("UPDATE t SET v = 'more' WHERE id = 2", "INSERT INTO o VALUES (3, 'c')")
    made.once(rc=4)
    assert made.compare_pg("public.o").rows == 3
    ms.execute("DROP TABLE [public].[t]")
    made.engine.cmd("state", "resync", str(made.path), "--stream", "public.t", "--yes").expect(0)
    made.once()
    assert made.compare_pg("public.t").rows == 40 and made.compare_pg("public.o").rows == 3


def test_errors_that_end_the_transaction(pipe, db, ms):
    """As a trigger's: all of the epoch comes again without the row, once it is known which that is."""
    db.execute(*SOURCE)
    made = pipe(sink={"small_rows": 1000})
    made.once()
    ms.server.fail_on(r"N'poison'.*WHERE", 50001, "the trigger says no", times=100, ends="transaction")
    db.execute("BEGIN; UPDATE t SET c = c + 1; UPDATE t SET v = 'poison' WHERE id = 17; INSERT INTO t (id) VALUES (50);"
               " UPDATE t SET v = 'poison' WHERE id = 30; DELETE FROM t WHERE id = 2; COMMIT")
    result = made.once(rc=4)
    assert {(x["op"], x["row"]["id"], x["sqlstate"]) for x in letters(made)} == {
        ("U", 17, "50001"), ("U", 30, "50001")}, result.describe()
    assert ids(ms) == set(range(1, 41)) - {2} | {50}
    assert ms.query("SELECT COUNT(*) FROM [public].[t] WHERE c = id + 1") == [(39,)]
    ms.server.faults.clear()
    made.engine.cmd("dlq", "replay", str(made.path), "--all").expect(0)
    assert made.compare_pg("public.t").rows == 40


def test_what_is_not_the_rows_fault(pipe, db, ms):
    """A deadlock is tried again; a full log and a full tempdb end the run with what to do. No letter in any."""
    db.execute(*SOURCE)
    made = pipe()
    made.top["on_error"] = {"retry": {"max": 2, "backoff": "20ms", "cap": "50ms"}}
    made.write()
    made.once()
    ms.server.fail_on(r"^\s*UPDATE \[public\]", 1205)
    db.execute("UPDATE t SET v = 'a' WHERE id = 1")
    made.once()
    assert ms.query("SELECT v FROM [public].[t] WHERE id = 1") == [("a",)]
    for number, remedy in ((9002, "log_reuse_wait_desc"), (1105, "add a file"), (229, "GRANT")):
        fault = ms.server.fail_on(r"^\s*UPDATE \[public\]", number, times=1000)
        db.execute("UPDATE t SET v = v || '.' WHERE id = 2")
        result = made.once(rc=None)
        assert result.rc in (1, 3) and f"error {number}" in result.stderr, result.describe()
        assert remedy in result.stderr, result.describe()
        assert ms.query("SELECT v FROM [public].[t] WHERE id = 2") == [("v2",)]
        fault.times = 0
    made.once()
    assert made.compare_pg("public.t").rows == 40 and not letters(made)
