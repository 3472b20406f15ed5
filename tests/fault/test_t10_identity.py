"""T10: every replica identity against every kind of change of every kind of column, and what the wire
itself says of them. Unchanged is not NULL, and the application never gets an error because of us."""

from __future__ import annotations

import pytest
from support import lake
from support.pgoutput import UNCHANGED, Oracle
from support.score import Score

BIG = "repeat('big ', 2000)"
OTHER = "repeat('other ', 2000)"

IDENTITIES = {
    "default": ("id int PRIMARY KEY", ""),
    "index": ("id int NOT NULL", "CREATE UNIQUE INDEX t_id ON t (id); ALTER TABLE t REPLICA IDENTITY USING INDEX t_id"),
    "full_with_key": ("id int PRIMARY KEY", "ALTER TABLE t REPLICA IDENTITY FULL"),
    "full": ("id int", "ALTER TABLE t REPLICA IDENTITY FULL"),
    # The key itself does not fit into the page.
    "fat_key": ("id text PRIMARY KEY", "ALTER TABLE t ALTER id SET STORAGE EXTERNAL"),
}


def make(db, identity: str) -> None:
    column, more = IDENTITIES[identity]
    db.execute(
        f"CREATE TABLE t ({column}, n int, small text, big text, bin bytea, doc jsonb)",
        "ALTER TABLE t ALTER big SET STORAGE EXTERNAL, ALTER bin SET STORAGE EXTERNAL, ALTER doc SET STORAGE EXTERNAL",
        *[part for part in more.split(";") if part.strip()],
    )


def changes_of(identity: str) -> dict[str, list[str]]:
    """name → statements of one transaction each."""

    def key(number: int) -> str:
        return f"repeat('k{number} ', 500)" if identity == "fat_key" else str(number)

    def row(number: int, big: str = BIG) -> str:
        return (f"INSERT INTO t VALUES ({key(number)}, {number}, 's', {big}, decode(repeat('ab', 4000), 'hex'),"
                f" jsonb_build_object('v', {big}))")

    where = {number: f"WHERE id = {key(number)}" for number in range(1, 30)}
    return {
        "a small column": [f"UPDATE t SET n = n + 1 {where[1]}"],
        "a toasted column": [f"UPDATE t SET big = {OTHER} {where[2]}"],
        "a toasted column to null": [f"UPDATE t SET big = NULL {where[3]}"],
        "a toasted column to a short one": [f"UPDATE t SET big = 'short' {where[4]}"],
        "the key": [f"UPDATE t SET id = {key(105)} {where[5]}"],
        "the key and a toasted column": [f"UPDATE t SET id = {key(106)}, big = {OTHER} {where[6]}"],
        "nothing": [f"UPDATE t SET n = n {where[7]}"],
        "a delete": [f"DELETE FROM t {where[8]}"],
        "insert and update at once": [row(20), f"UPDATE t SET n = 0 {where[20]}",
                                      f"UPDATE t SET small = 'z' {where[20]}"],
        "insert, change of key, delete": [row(21), f"UPDATE t SET id = {key(121)} {where[21]}",
                                          f"DELETE FROM t WHERE id = {key(121)}"],
        "delete and insert again": [f"DELETE FROM t {where[9]}", row(9, OTHER)],
        "two keys swap": [f"UPDATE t SET id = {key(999)} {where[10]}", f"UPDATE t SET id = {key(10)} {where[11]}",
                          f"UPDATE t SET id = {key(11)} WHERE id = {key(999)}"],
        "unchanged, twice in a row": [f"UPDATE t SET n = 1 {where[12]}", f"UPDATE t SET n = 2 {where[12]}",
                                      f"UPDATE t SET small = NULL {where[12]}"],
        "changed, then unchanged": [f"UPDATE t SET big = {OTHER} {where[13]}", f"UPDATE t SET n = 9 {where[13]}"],
        "rolled back": ["SAVEPOINT a", f"UPDATE t SET big = 'never' {where[14]}", "ROLLBACK TO a",
                        f"UPDATE t SET n = 14 {where[14]}"],
        "many at once": ["UPDATE t SET small = small || '!'"],
    }


@pytest.mark.slow
@pytest.mark.parametrize("identity", list(IDENTITIES))
@pytest.mark.parametrize("fmt", ["jsonl", "csv"])
def test_matrix(make_pipe, db, workdir, identity, fmt):
    """Each change alone in its life of the pipeline's file, all kinds after one load; then the end state."""
    make(db, identity)
    db.execute("CREATE PUBLICATION o FOR TABLE t")
    steps = changes_of(identity)
    for number in [*range(1, 15)]:
        key = f"repeat('k{number} ', 500)" if identity == "fat_key" else str(number)
        db.execute(f"INSERT INTO t VALUES ({key}, {number}, 's', {BIG}, decode(repeat('ab', 4000), 'hex'),"
                   f" jsonb_build_object('v', {BIG}))")
    sink = {"plugin": "file", "config": {"path": str(workdir / "lake"), "format": fmt, "compression": "none"},
            "batch": {"interval": "250ms"}}
    oracle = Oracle(db, "o")
    pipe = make_pipe({"lake": (sink, lake.FileStore(workdir / "lake"))}, tables=["public.t"])
    pipe.once()
    with Score("T10", f"identity {identity}, {fmt}") as score:
        for statements in steps.values():
            # The application: none of its statements may fail because somebody reads the changes.
            db.execute("BEGIN; " + "; ".join(statements) + "; COMMIT")
            score.fault()
        pipe.once()
        score.took(pipe.compare(["public.t"]))
        feed = pipe.feed()
        events = feed.events("public.t")
        wire = [(tx, change) for tx in oracle.transactions() for change in tx.changes]
        oracle.drop()
        check_wire(identity, wire)
        check_events(identity, wire, events)
        score.survive(len(steps))


def check_wire(identity: str, wire: list) -> None:
    """What reliability.md §1.4 states of the wire, on this server."""
    kinds = {change.old_kind for _tx, change in wire if change.op == "U"}
    sent = [value for _tx, change in wire if change.op == "U" for value in change.new]
    assert any(value is UNCHANGED for value in sent), "nothing was unchanged: the test is none"
    if identity.startswith("full"):
        assert kinds == {"O"}
    else:
        # K when the key changed, or when the key itself is toasted.
        assert kinds <= {"", "K"} and "K" in kinds
    for _tx, change in wire:
        if change.old_kind == "K":
            assert all(key or value is None
                       for key, value in zip(change.relation.keys, change.old, strict=True))


def check_events(identity: str, wire: list, events: list) -> None:
    """Row by row: number, order, position, and which columns are there."""
    at = 0
    for tx, change in wire:
        first = events[at]
        assert (first.pos, first.seq) == (tx.pos, change.seq), (first, change)
        pair = events[at + 1] if at + 1 < len(events) and (events[at + 1].pos, events[at + 1].seq) == (
            tx.pos, change.seq) else None
        at += 2 if pair else 1
        if change.op == "U":
            names = change.relation.columns
            unchanged = {name for name, value in zip(names, change.new, strict=True) if value is UNCHANGED}
            final = pair or first
            if change.old_kind == "O":
                # The value is in the old row: it was sent.
                assert not final.unchanged, (change, final.unchanged)
            else:
                # A key that is toasted is in the old key, as is every key in the row.
                keys = {name for name, key in zip(names, change.relation.keys, strict=True) if key}
                assert set(final.unchanged) == unchanged - keys, (final.unchanged, unchanged)
            if pair:
                assert (first.op, pair.op) == ("D", "I")
            elif identity == "full":
                raise AssertionError(f"an update without key must be D and I: {first}")
            else:
                assert first.op == "U"
        else:
            assert pair is None and first.op == change.op
        if first.op == "D" and not identity.startswith("full"):
            keys = {name for name, key in zip(change.relation.columns, change.relation.keys, strict=True) if key}
            assert {name for name in first.row if first.row[name] is not None} == keys
    assert at == len(events)


def test_no_identity_is_refused_before_anything_is_made(make_pipe, db):
    """The exact ALTER TABLE is printed; no slot, no publication; the application goes on."""
    db.execute("CREATE TABLE nokey (id int, v text)", "CREATE TABLE nothing (id int PRIMARY KEY)",
               "ALTER TABLE nothing REPLICA IDENTITY NOTHING", "CREATE TABLE good (id int PRIMARY KEY)",
               "INSERT INTO nokey VALUES (1, 'a')", "INSERT INTO nothing VALUES (1)")
    pipe = make_pipe({"lake": "file"})
    with Score("T10", "no identity: refused") as score:
        score.fault()
        result = pipe.once(rc=2)
        assert "public.nokey" in result.output and "public.nothing" in result.output, result.describe()
        for remedy in ("ALTER TABLE public.nokey REPLICA IDENTITY FULL",
                       "ALTER TABLE public.nothing REPLICA IDENTITY DEFAULT"):
            assert remedy in result.output.replace('"', ""), result.describe()
        assert db.value("SELECT count(*) FROM pg_publication") == 0 and pipe.slot_row() is None and not pipe.keys()
        db.execute("UPDATE nokey SET v = 'b'", "DELETE FROM nothing")
        score.survive()


def test_no_identity_insert_only(make_pipe, db):
    """Asked for: inserts and truncates alone are followed, and the application's UPDATE and DELETE work."""
    db.execute("CREATE TABLE nokey (id int, v text)", "INSERT INTO nokey VALUES (1, 'a'), (1, 'a')",
               "CREATE TABLE good (id int PRIMARY KEY, v text)", "INSERT INTO good VALUES (1, 'a'), (2, 'b')")
    pipe = make_pipe({"lake": "file"}, source={"without_identity": "insert_only"})
    with Score("T10", "no identity: inserts alone") as score:
        score.fault()
        pipe.once()
        db.execute("INSERT INTO nokey VALUES (2, 'b'), (2, 'b')", "UPDATE nokey SET v = 'c' WHERE id = 1",
                   "DELETE FROM nokey WHERE id = 1", "UPDATE good SET v = 'c' WHERE id = 1",
               "DELETE FROM good WHERE id = 2",
                   "INSERT INTO nokey VALUES (3, 'd')")
        pipe.once()
        feed = pipe.feed()
        assert [(event.op, event.row["id"], event.row["v"]) for event in feed.events("public.nokey")] == [
            ("I", "\0" + "2", "b"), ("I", "\0" + "2", "b"), ("I", "\0" + "3", "d")]
        score.took(pipe.compare(["public.good"]))
        score.survive()


def test_identity_that_is_taken_away_while_it_runs(make_pipe, db):
    """The table is in a publication by then; what the server does about that is the application's and
    ours alike: changes that come are right, or the pipeline stops with the table's name."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    pipe = make_pipe({"lake": "file"})
    with Score("T10", "identity changed while running") as score:
        score.fault()
        pipe.once()
        db.execute("UPDATE t SET v = 'x' WHERE id = 1", "ALTER TABLE t REPLICA IDENTITY FULL",
                   "UPDATE t SET v = 'y' WHERE id = 1", "UPDATE t SET id = 5 WHERE id = 2",
                   "ALTER TABLE t REPLICA IDENTITY DEFAULT", "UPDATE t SET v = 'z' WHERE id = 5",
                   "DELETE FROM t WHERE id = 1")
        pipe.once()
        score.took(pipe.compare(["public.t"]))
        score.survive()
