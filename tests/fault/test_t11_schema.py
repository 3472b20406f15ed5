"""T11: columns and tables change while changes are followed, inside transactions and between them, and the
engine is killed around each. A row is never given the columns of another moment."""

from __future__ import annotations

import random

import pytest
from support import changes
from support.pgoutput import UNCHANGED, Oracle
from support.pipe import Pipe, sleep_or_end
from support.score import Score, size

SEED = 111

TABLE = (
    "CREATE TABLE t (id int PRIMARY KEY, n int, a text, b numeric(10,2), c text)",
    "INSERT INTO t SELECT i, i, 'a' || i, i * 1.10, CASE WHEN i % 3 > 0 THEN 'c' END FROM generate_series(1, 60) i",
)

# Every row is written anew behind each, so that the newest columns describe all of it. {k} is a number that
# is never used twice.
STEPS: dict[str, tuple[str, ...]] = {
    "add": ("ALTER TABLE t ADD COLUMN new{k} int", "UPDATE t SET n = n + 1, new{k} = id"),
    "add with default": ("ALTER TABLE t ADD COLUMN def{k} text NOT NULL DEFAULT 'd'", "UPDATE t SET n = n + 1"),
    "drop": ("ALTER TABLE t ADD COLUMN gone{k} text DEFAULT 'x'", "UPDATE t SET n = n + 1",
             "ALTER TABLE t DROP COLUMN gone{k}", "UPDATE t SET n = n + 1"),
    "drop and add under the same name": ("ALTER TABLE t DROP COLUMN IF EXISTS again",
                                         "ALTER TABLE t ADD COLUMN again int",
                                         "UPDATE t SET n = n + 1, again = 5", "ALTER TABLE t DROP COLUMN again",
                                         "ALTER TABLE t ADD COLUMN again text DEFAULT 'text now'",
                                         "UPDATE t SET n = n + 1"),
    "rename": ("ALTER TABLE t ADD COLUMN old{k} int DEFAULT 3", "UPDATE t SET n = n + 1",
               "ALTER TABLE t RENAME COLUMN old{k} TO renamed{k}", "UPDATE t SET n = n + 1"),
    "swap two names": ("ALTER TABLE t RENAME COLUMN a TO tmp", "ALTER TABLE t RENAME COLUMN c TO a",
                       "ALTER TABLE t RENAME COLUMN tmp TO c", "UPDATE t SET n = n + 1"),
    "type": ("ALTER TABLE t ADD COLUMN ty{k} int DEFAULT 7", "UPDATE t SET n = n + 1",
             "ALTER TABLE t ALTER COLUMN ty{k} TYPE bigint", "UPDATE t SET n = n + 1",
             "ALTER TABLE t ALTER COLUMN ty{k} TYPE text USING 'was ' || ty{k}", "UPDATE t SET n = n + 1"),
    "wider numeric": ("ALTER TABLE t ALTER COLUMN b TYPE numeric(20,4)", "UPDATE t SET n = n + 1, b = b + 0.0001"),
    "not null and back": ("ALTER TABLE t ADD COLUMN nn{k} int DEFAULT 1", "UPDATE t SET n = n + 1",
                          "ALTER TABLE t ALTER nn{k} SET NOT NULL", "UPDATE t SET n = n + 1",
                          "ALTER TABLE t ALTER nn{k} DROP NOT NULL",
                          "UPDATE t SET n = n + 1, nn{k} = NULLIF(id % 2, 1)"),
}


def run_step(db, statements: tuple[str, ...], number: int, inside: bool) -> None:
    texts = [statement.format(k=number) for statement in statements]
    # A change of another kind between, so that order counts.
    texts.append(f"INSERT INTO t (id, n, b) VALUES ({1000 + number}, {number}, 1.5)")
    if inside:
        db.execute("BEGIN; " + "; ".join(texts) + "; COMMIT")
    else:
        db.execute(*texts)


def check_mapping(pipe: Pipe, wire: list, stream: str = "public.t") -> int:
    """Every row has just the columns that the wire gave it, and text values are the wire's."""
    feed = pipe.feed()
    load_position = feed.lake.stream(stream).position
    events = feed.events(stream, load_position)
    told = [(tx, change) for tx in wire for change in tx.changes
            if change.relation.stream == stream and tx.pos > load_position]
    assert [(event.seq, event.op) for event in events] == [(change.seq, change.op) for _tx, change in told]
    positions: dict[int, set[str]] = {}
    for event, (tx, change) in zip(events, told, strict=True):
        # What precedes new columns inside a transaction goes out before its commit is known; then all
        # of the transaction has the position that is.
        assert event.pos in (tx.pos, tx.early_pos), (event, tx.pos, tx.early_pos)
        positions.setdefault(tx.end_lsn, set()).add(event.pos)
        if change.op not in "IU":
            continue
        names = change.relation.columns
        sent = {name for name, value in zip(names, change.new, strict=True) if value is not UNCHANGED}
        assert set(event.row) == sent, (event, names)
        for name, value in zip(names, change.new, strict=True):
            got = event.row.get(name)
            if value is None:
                assert got is None, (name, event)
            elif value is not UNCHANGED:
                assert got in (value, "\0" + value), (name, value, event)
    assert all(len(found) == 1 for found in positions.values()), positions
    return len(events)


@pytest.mark.slow
@pytest.mark.timeout(size(200, 900))
@pytest.mark.parametrize("inside", [False, True], ids=["between", "inside"])
def test_every_change_with_kills(make_pipe, db, inside):
    chance = random.Random(SEED)
    db.execute(*TABLE, "CREATE PUBLICATION o FOR TABLE t")
    oracle = Oracle(db, "o")
    pipe = make_pipe({"lake": "file"}, tables=["public.t"])
    pipe.once()
    with Score("T11", f"{'inside' if inside else 'between'} transactions, seed {SEED}") as score:
        number = 0
        for _ in range(size(1, 5)):
            for _name, statements in STEPS.items():
                number += 1
                run = pipe.start()
                before = chance.random() < 0.5
                if before:
                    sleep_or_end(run, chance.uniform(0, 0.8))
                run_step(db, statements, number, inside)
                sleep_or_end(run, chance.uniform(0, 0.8))
                assert run.poll() is None, run.wait().describe()
                score.saw(run.pid, is_pid=True)
                run.kill9()
                score.fault()
        pipe.once()
        score.took(pipe.compare(["public.t"]))
        seen = check_mapping(pipe, list(oracle.transactions()))
        oracle.drop()
        score.survive(score.faults)
        ids = {schema for stream, schema in pipe.feed().columns if stream == "public.t"}
        print(f"{seen} changes, schema ids {sorted(ids)}")
        assert len(ids) >= 10


@pytest.mark.slow
def test_old_rows_after_add_with_default(make_pipe, db):
    """The server does not send rows that were not written: a reader fills in the default."""
    db.execute(*TABLE)
    pipe = make_pipe({"lake": "file"}, tables=["public.t"])
    pipe.once()
    with Score("T11", "ADD COLUMN … DEFAULT without rewriting") as score:
        db.execute("ALTER TABLE t ADD COLUMN d text NOT NULL DEFAULT 'fill'", "UPDATE t SET n = 0 WHERE id <= 10",
                   "INSERT INTO t (id, n) VALUES (500, 1)", "DELETE FROM t WHERE id = 20")
        score.fault()
        pipe.once()
        feed = pipe.feed()
        table = changes.rebuild(feed, "public.t")
        found = changes.compare_rows(table, changes.source_rows(db, "t"), lambda row: {"d": "fill", **row})
        score.took(changes.totals([found]))
        assert sum("d" in row for row in table.all_rows()) == 11
        score.survive()


@pytest.mark.slow
def test_tables_dropped_and_partitions_attached(make_pipe, db):
    """A dropped table ends, the others go on; a partition that is attached brings no rows twice."""
    db.execute(*TABLE, "CREATE TABLE doomed (id int PRIMARY KEY)", "INSERT INTO doomed VALUES (1), (2)",
               "CREATE TABLE p (id int, r text, v int, PRIMARY KEY (id, r)) PARTITION BY LIST (r)",
               "CREATE TABLE p_a PARTITION OF p FOR VALUES IN ('a')",
               "INSERT INTO p SELECT i, 'a', i FROM generate_series(1, 20) i")
    pipe = make_pipe({"lake": "file"}, tables=["public.t", "public.doomed", "public.p"])
    with Score("T11", "tables dropped, partitions attached") as score:
        run = pipe.start()
        pipe.wait_loaded(["public.t", "public.doomed", "public.p"], run)
        db.execute("INSERT INTO doomed VALUES (3)", "DELETE FROM doomed WHERE id = 1")
        last = [row[0] for row in db.query("SELECT id FROM doomed ORDER BY 1")]
        db.execute("DROP TABLE doomed", "UPDATE t SET n = n + 1",
                   "CREATE TABLE p_b PARTITION OF p FOR VALUES IN ('b')",
                   "INSERT INTO p SELECT i, 'b', i FROM generate_series(1, 20) i",
                   # Another order of columns, and a dropped one.
                   "CREATE TABLE p_c (v int, waste int, r text NOT NULL, id int NOT NULL)",
                   "ALTER TABLE p_c DROP COLUMN waste", "ALTER TABLE p ATTACH PARTITION p_c FOR VALUES IN ('c')",
                   "INSERT INTO p SELECT i, 'c', i FROM generate_series(1, 20) i",
                   "UPDATE p SET r = 'c', id = id + 100 WHERE r = 'a' AND id < 5", "UPDATE p SET v = v + 1",
                   "DELETE FROM p WHERE id = 9")
        score.fault(2)
        pipe.wait_caught_up(run)
        run.kill9()
        score.fault()
        result = pipe.once(rc=None)
        score.took(pipe.compare(["public.t", "public.p"]))
        ids = sorted(changes.number(row["id"]) for row in changes.rebuild(pipe.feed(), "public.doomed").all_rows())
        assert ids == last
        assert result.rc in (0, 2, 3) and (result.rc == 0 or "public.doomed" in result.output), result.describe()
        # What was detached with its rows does not leave them behind without a word of the server: see the docs.
        score.survive(3)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["pipeline", "table"])
def test_policy_stop(make_pipe, db, how):
    """Stops before the first row of the new shape, says which table and what changed; with evolve it goes
    on from there and nothing is missing."""
    db.execute(*TABLE, "CREATE TABLE u (id int PRIMARY KEY, v int)", "INSERT INTO u VALUES (1, 1)")
    tables: dict = {"include": ["public.*"]}
    top = {}
    if how == "table":
        tables["rules"] = [{"match": "public.t", "schema": "stop"}]
    else:
        top["schema"] = "stop"
    pipe = make_pipe({"lake": "file"}, tables=tables, **top)
    pipe.once()
    with Score("T11", f"schema: stop of the {how}") as score:
        db.execute("UPDATE t SET n = 100 WHERE id = 1", "ALTER TABLE t ADD COLUMN extra int",
                   "UPDATE t SET n = 200, extra = 1 WHERE id = 2", "UPDATE u SET v = 2")
        score.fault()
        result = pipe.once(rc=None)
        assert result.rc != 0 and "public.t" in result.output and "extra" in result.output, result.describe()
        assert all("extra" not in event.row for event in pipe.feed().events("public.t"))
        again = pipe.once(rc=None)
        assert again.rc == result.rc
        assert len(pipe.feed().events("public.t")) <= 1
        pipe.tables.pop("rules", None)
        pipe.top.pop("schema", None)
        pipe.write()
        pipe.once()
        db.execute("UPDATE t SET n = n + 1")
        pipe.once()
        score.took(pipe.compare(["public.t", "public.u"]))
        score.survive()


@pytest.mark.slow
def test_policy_freeze(make_pipe, db):
    """New columns are left out; what the frozen columns need and do not get any more stops the pipeline."""
    db.execute(*TABLE)
    pipe = make_pipe({"lake": "file"}, tables=["public.t"], schema="freeze")
    pipe.once()
    with Score("T11", "schema: freeze") as score:
        db.execute("ALTER TABLE t ADD COLUMN extra int", "UPDATE t SET n = n + 1, extra = 7")
        score.fault()
        pipe.once()
        feed = pipe.feed()
        assert len(feed.events("public.t")) == 60 and all("extra" not in e.row for e in feed.events("public.t"))
        table = changes.rebuild(feed, "public.t")
        rows = changes.source_rows(db, "t", select="SELECT id, n, a, b, c FROM t")
        score.took(changes.totals([changes.compare_rows(table, rows)]))
        score.survive()
        db.execute("ALTER TABLE t DROP COLUMN c", "UPDATE t SET n = n + 1")
        score.fault()
        result = pipe.once(rc=None)
        assert result.rc != 0 and "public.t" in result.output, result.describe()
        assert len(pipe.feed().events("public.t")) == 60
        score.survive()
