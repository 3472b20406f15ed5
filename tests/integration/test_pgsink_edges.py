"""Changes into PostgreSQL where tables are gone, shared, emptied, or rows come in part."""

from __future__ import annotations

import pytest
from support import pgsink


@pytest.fixture
def replica(engine, db, target):
    def make(**more):
        return pgsink.Replica(engine, db, target, **{"tables": ["public.*"], **more})

    return make


def test_a_table_that_is_gone_is_not_made_anew(replica, db, target):
    """Empty it would look as if its rows had been deleted."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)",
               "CREATE TABLE u (id int PRIMARY KEY)", "INSERT INTO u VALUES (1)")
    copy = replica()
    copy.once()
    target.execute("DROP TABLE t")
    db.execute("INSERT INTO t VALUES (3)", "INSERT INTO u VALUES (3)")
    failed = copy.once(rc=1)
    assert "public.t" in failed.stderr and "gone from the target" in failed.stderr, failed.describe()
    assert "state resync" in failed.stderr and target.value("SELECT to_regclass('t') IS NULL")
    copy.engine.cmd("state", "resync", str(copy.path), "--stream", "public.t", "--yes").expect(0)
    copy.once()
    copy.compare_tables(["public.t", "public.u"])


def test_cdc_only_knows_what_it_made(replica, db, target):
    """NOT NULL that the source drops is dropped where sluice set it."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text NOT NULL)")
    copy = replica(mode="cdc_only")
    copy.once()
    db.execute("INSERT INTO t VALUES (1, 'a')")
    copy.once()
    db.execute("ALTER TABLE t ALTER v DROP NOT NULL", "INSERT INTO t VALUES (2, NULL)")
    copy.once()
    copy.compare_tables(["public.t"])


@pytest.mark.parametrize("deletes", ["soft", "ignore"])
@pytest.mark.parametrize("small_rows", [0, 64])
def test_truncate_where_deletes_are_not_hard(replica, db, target, deletes, small_rows):
    db.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)",
               "CREATE TABLE u (id int PRIMARY KEY)", "INSERT INTO u VALUES (1)")
    copy = replica(sink={"small_rows": small_rows},
                   write={"rules": [{"match": "public.t", "deletes": deletes}]})
    copy.once()
    db.execute("TRUNCATE t, u", "INSERT INTO t VALUES (5)", "INSERT INTO u VALUES (5)")
    copy.once()
    assert target.query("SELECT id FROM u") == [(5,)]
    if deletes == "soft":
        assert set(target.query("SELECT id, _sluice_deleted FROM t")) == {(1, True), (2, True), (5, False)}
    else:
        assert {row[0] for row in target.query("SELECT id FROM t")} == {1, 2, 5}


def test_truncate_of_a_shared_table(replica, db, target):
    """It must not take the rows of others along."""
    db.execute("CREATE TABLE a (id int PRIMARY KEY)", "INSERT INTO a VALUES (1)",
               "CREATE TABLE b (id int PRIMARY KEY)", "INSERT INTO b VALUES (100)")
    copy = replica(more={"route": {"to": "public.m", "merge": True}})
    copy.once()
    db.execute("INSERT INTO a VALUES (2)", "TRUNCATE a")
    failed = copy.once(rc=2)
    assert "public.a" in failed.stderr and "write.truncate: ignore" in failed.stderr, failed.describe()
    assert {row[0] for row in target.query("SELECT id FROM m")} == {1, 100}


@pytest.mark.parametrize("indexes", ["after", "before"])
def test_several_streams_into_one_table(replica, db, target, indexes):
    for number, name in enumerate("abcdef"):
        db.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, v text)",
                   f"INSERT INTO {name} SELECT {number} * 1000 + i, '{name}' FROM generate_series(1, 300) i")
    copy = replica(more={"route": {"to": "public.m", "merge": True}}, sink={"indexes": indexes}, parallelism=4)
    copy.once()
    db.execute("UPDATE a SET v = 'new'", "DELETE FROM b WHERE id % 2 = 0", "INSERT INTO c VALUES (-1, 'c')")
    copy.once()
    union = " UNION ALL ".join(f"SELECT * FROM {name}" for name in "abcdef")
    assert sorted(target.query("SELECT * FROM m")) == sorted(db.query(union))
    assert target.value("SELECT count(*) FROM pg_index WHERE indrelid = 'm'::regclass AND indisprimary") == 1


def test_history_names_what_was_not_sent(replica, db, target):
    """NULL in a history is otherwise not to be told from a value that stayed."""
    db.execute('CREATE TABLE t (id int PRIMARY KEY, n int, body text, "odd, {col}" text)',
               'ALTER TABLE t ALTER body SET STORAGE EXTERNAL, ALTER "odd, {col}" SET STORAGE EXTERNAL',
               "INSERT INTO t VALUES (1, 0, repeat('x', 3000), repeat('y', 3000)), (2, 0, NULL, NULL)")
    copy = replica(write={"mode": "history"})
    copy.once()
    db.execute("UPDATE t SET n = 1", "UPDATE t SET body = NULL WHERE id = 1")
    copy.once()
    rows = target.query("SELECT _sluice_op, id, n, body, _sluice_unchanged FROM t ORDER BY _sluice_position, id")
    assert [row[4] for row in rows if row[0] == "R"] == [None, None]
    assert [(row[1:]) for row in rows if row[0] == "U"] == [
        (1, 1, None, ["body", "odd, {col}"]), (2, 1, None, None), (1, 1, None, ["odd, {col}"])]


def test_new_rows_that_are_there_already(replica, db, target):
    """A set of new rows is copied; where one was there, all are put."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a')")
    copy = replica(sink={"small_rows": 0})
    copy.once()
    target.execute("INSERT INTO t VALUES (50, 'of someone else')")
    db.execute("INSERT INTO t SELECT i, 'new' FROM generate_series(2, 100) i")
    copy.once()
    copy.compare_tables(["public.t"])
    db.execute("INSERT INTO t SELECT i, 'more' FROM generate_series(101, 300) i", "DELETE FROM t WHERE id % 3 = 0")
    copy.once()
    copy.compare_tables(["public.t"])


def test_plan_shows_the_columns_that_come(replica, db, target):
    """Neither those that are left out, nor, with changes, generated ones, which older servers do not send."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a int, secret text, twice int GENERATED ALWAYS AS (a * 2) STORED)",
               "INSERT INTO t VALUES (1, 2, 's')")
    made = replica(tables={"include": ["public.*"],
                           "rules": [{"match": "public.t", "columns": {"exclude": ["secret"]}}]})
    planned = made.engine.cmd("plan", str(made.path)).expect(0).stdout
    assert "CREATE TABLE" in planned and "secret" not in planned and "twice" not in planned, planned
    made.once()
    columns = [name for (name,) in target.query(
        "SELECT attname FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 ORDER BY attnum")]
    assert columns == ["id", "a"]
    made.engine.cmd("verify", str(made.path), "--window", "1s").expect(0)
