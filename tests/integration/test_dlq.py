"""`sluice dlq`: letters listed, shown and replayed, however the table is written."""

from __future__ import annotations

import json

import pytest
from support import pgsink


@pytest.fixture
def replica(engine, db, target):
    made = []

    def start(**more):
        made.append(pgsink.Replica(engine, db, target, more={"on_error": {"rows": "dlq"}}, **more))
        return made[-1]

    yield start
    for each in made:
        each.close()


def dlq(made, *args, rc=0):
    return made.engine.cmd("dlq", args[0], str(made.path), *args[1:], "--json").expect(rc).json()


def replay(made, *args) -> int:
    """How many went in; all that were asked for do."""
    done = dlq(made, "replay", *(args or ["--all"]))["letters"]
    assert all(x["replayed"] and x["error"] is None for x in done), done
    return len(done)


def letters(made) -> list[tuple]:
    return [(x["op"], x["row"].get("id"), x["sqlstate"]) for x in dlq(made, "list")["letters"]]


SOURCE = ("CREATE TABLE t (id int PRIMARY KEY, c int, v text)",
          "INSERT INTO t SELECT i, i, 'v' || i FROM generate_series(1, 20) i")
CHECKED = "CREATE TABLE t (id int PRIMARY KEY, c int CHECK (c >= 0), v text)"
MEND = "ALTER TABLE t DROP CONSTRAINT t_c_check"


def test_list_show_replay(replica, db, target, workdir):
    db.execute(*SOURCE, "UPDATE t SET c = -1 WHERE id IN (3, 4, 5)")
    target.execute(CHECKED)
    made = replica()
    first = made.once(rc=4)
    assert "WARN  copy the target refuses rows stream=public.t rows=3 kept=1" in first.stderr, first.describe()
    db.execute("UPDATE t SET c = -2, v = 'neg' WHERE id = 7", "INSERT INTO t VALUES (30, -9, 'new')")
    made.once(rc=4)
    assert letters(made) == [*[("R", i, "23514") for i in (3, 4, 5)], ("U", 7, "23514"), ("I", 30, "23514")]
    ids = [x["id"] for x in dlq(made, "list")["letters"]]
    shown = made.engine.cmd("dlq", "show", str(made.path), str(ids[3])).expect(0).stdout
    assert "public.t" in shown and "23514" in shown and "neg" in shown
    # As it stands the target says no again, and the letter stays.
    done = made.engine.cmd("dlq", "replay", str(made.path), str(ids[0])).expect(4)
    assert "t_c_check" in done.stdout and "0 of 1 letters replayed" in done.stdout
    # With another row it goes in.
    mended = workdir / "mended.json"
    mended.write_text(json.dumps({"id": 3, "c": 33, "v": "mended"}))
    assert replay(made, str(ids[0]), "--row", str(mended)) == 1
    assert target.query("SELECT * FROM t WHERE id = 3") == [(3, 33, "mended")]
    target.execute(MEND)
    assert replay(made, str(ids[1])) == 1
    again = made.engine.cmd("dlq", "replay", str(made.path), str(ids[1])).expect(4)
    assert "was replayed already" in again.stdout
    unknown = made.engine.cmd("dlq", "replay", str(made.path), "999999").expect(2)
    assert "999999" in unknown.stderr and "dlq list" in unknown.stderr
    assert replay(made) == 3
    assert replay(made) == 0
    db.execute("UPDATE t SET c = 33, v = 'mended' WHERE id = 3")
    made.once()
    made.compare_tables(["public.t"])


def test_deletes_and_keys(replica, db, target):
    """A delete that a foreign key forbids; an update of a key; both by the old key."""
    db.execute(*SOURCE)
    target.execute("CREATE TABLE t (id int PRIMARY KEY, c int, v text)", "CREATE TABLE child (t int REFERENCES t)")
    made = replica()
    made.once()
    target.execute("INSERT INTO child VALUES (3), (5)")
    db.execute("DELETE FROM t WHERE id = 3", "UPDATE t SET id = 500 WHERE id = 5", "UPDATE t SET v = 'ok' WHERE id = 6")
    made.once(rc=4)
    assert {(op, state) for op, _id, state in letters(made)} == {("D", "23503"), ("U", "23503")}
    assert target.value("SELECT v FROM t WHERE id = 6") == "ok"
    target.execute("DELETE FROM child")
    assert replay(made) == 2
    made.compare_tables(["public.t"])


def test_soft_deletes(replica, db, target):
    """A delete that is replayed marks the row."""
    db.execute(*SOURCE)
    made = replica(write={"deletes": "soft"})
    made.once()
    target.execute("ALTER TABLE t ADD CONSTRAINT keep CHECK (id <> 3 OR NOT _sluice_deleted)")
    db.execute("DELETE FROM t WHERE id IN (3, 4)")
    made.once(rc=4)
    assert letters(made) == [("D", 3, "23514")]
    target.execute("ALTER TABLE t DROP CONSTRAINT keep")
    assert replay(made) == 1
    assert target.query("SELECT id, v FROM t WHERE _sluice_deleted ORDER BY 1") == [(3, "v3"), (4, "v4")]


def test_history(replica, db, target):
    """Each change is a row: what is replayed is inserted, with what it says of itself."""
    db.execute(*SOURCE)
    made = replica(write={"mode": "history"})
    made.once()
    columns = "id, c, v, _sluice_op, _sluice_position IS NOT NULL"
    target.execute("ALTER TABLE t ADD CONSTRAINT keep CHECK (id <> 3 OR _sluice_op = 'R')")
    db.execute("UPDATE t SET c = 33 WHERE id = 3", "DELETE FROM t WHERE id = 3", "UPDATE t SET c = 44 WHERE id = 4")
    made.once(rc=4)
    assert [op for op, _id, _state in letters(made)] == ["U", "D"]
    target.execute("ALTER TABLE t DROP CONSTRAINT keep")
    assert replay(made) == 2
    rows = target.query(f"SELECT {columns} FROM t WHERE id IN (3, 4) AND _sluice_op <> 'R' ORDER BY id, _sluice_op")
    assert rows == [(3, None, None, "D", True), (3, 33, "v3", "U", True), (4, 44, "v4", "U", True)]


def test_refused_in_a_part_of_an_epoch(replica, db, target):
    """A transaction larger than flush_bytes is written in parts: rows refused in any of them are told."""
    db.execute(*SOURCE)
    target.execute(CHECKED)
    made = replica(sink={"flush_bytes": "64KiB", "small_rows": 0})
    made.once()
    db.execute("BEGIN; UPDATE t SET c = -1 WHERE id = 3; INSERT INTO t SELECT i, i, repeat('x', 1000) FROM"
               " generate_series(100, 400) i; COMMIT")
    result = made.once(rc=4)
    assert "the target refuses rows stream=public.t rows=1" in result.stderr, result.describe()
    assert letters(made) == [("U", 3, "23514")]
