"""Changes into PostgreSQL, mode by mode: what each does with inserts, updates, deletes, truncates."""

from __future__ import annotations

import pytest
from support import load, pgsink

SETUP = (
    "CREATE TABLE t (id int PRIMARY KEY, n int, body text)",
    "ALTER TABLE t ALTER body SET STORAGE EXTERNAL",
    "INSERT INTO t SELECT i, 0, repeat('x', 3000) FROM generate_series(1, 5) i",
)
WORK = (
    "INSERT INTO t VALUES (6, 6, 'six'), (7, 7, 'seven')",
    "UPDATE t SET n = n + 1 WHERE id IN (1, 2)",  # body is not sent
    "UPDATE t SET id = 70 WHERE id = 7",
    "DELETE FROM t WHERE id IN (3, 6)",
    "BEGIN; INSERT INTO t VALUES (8, 8, 'eight'); UPDATE t SET n = 9 WHERE id = 8; DELETE FROM t WHERE id = 8;"
    " INSERT INTO t VALUES (8, 10, 'again'); COMMIT",
)


@pytest.fixture
def replica(engine, db, target):
    def make(**more):
        return pgsink.Replica(engine, db, target, **{"tables": ["public.*"], **more})

    return make


@pytest.mark.parametrize("apply", ["epoch", "transactional"])
@pytest.mark.parametrize("small_rows", [0, 64])
def test_upsert(replica, db, target, apply, small_rows):
    db.execute(*SETUP)
    copy = replica(sink={"apply": apply, "small_rows": small_rows})
    copy.once()
    db.execute(*WORK)
    copy.once()
    copy.compare_tables(["public.t"])
    db.execute("TRUNCATE t", "INSERT INTO t VALUES (1, 1, NULL)")
    copy.once()
    copy.compare_tables(["public.t"])


def test_soft_deletes_and_metadata(replica, db, target):
    db.execute(*SETUP)
    copy = replica(write={"deletes": "soft", "metadata": ["op", "commit_ts", "position", "seq", "synced_at"]})
    copy.once()
    db.execute(*WORK)
    copy.once()
    gone = {row for (row,) in target.query("SELECT id FROM t WHERE _sluice_deleted")}
    assert gone == {3, 6}  # a key that changed is no deleted row
    assert set(target.query("SELECT id, n, body FROM t WHERE NOT _sluice_deleted")) == set(db.query("SELECT * FROM t"))
    ops = dict(target.query("SELECT id, _sluice_op FROM t"))
    assert ops[4] == "R" and ops[1] == "U" and ops[3] == "D" and ops[8] == "I"
    assert target.value("SELECT count(*) FROM t WHERE _sluice_position ~ '^[0-9a-f]{16}$'") == len(ops)
    assert target.value("SELECT count(*) FROM t WHERE _sluice_synced_at > now() - interval '1 hour'") == len(ops)


def test_deletes_ignored(replica, db, target):
    db.execute(*SETUP)
    copy = replica(write={"deletes": "ignore"})
    copy.once()
    db.execute("DELETE FROM t", "INSERT INTO t VALUES (1, 99, 'new')")
    copy.once()
    assert dict(target.query("SELECT id, n FROM t")) == {1: 99, 2: 0, 3: 0, 4: 0, 5: 0}


def test_history(replica, db, target):
    db.execute(*SETUP)
    copy = replica(write={"mode": "history"})
    copy.once()
    db.execute(*WORK, "TRUNCATE t")
    copy.once()
    events = target.query("SELECT _sluice_op, id, n FROM t ORDER BY _sluice_position, _sluice_seq, _sluice_op")
    assert events[:5] == [("R", i, 0) for i in range(1, 6)] or sorted(events[:5]) == [("R", i, 0) for i in range(1, 6)]
    rest = [event for event in events if event[0] != "R"]
    assert rest == [("I", 6, 6), ("I", 7, 7), ("U", 1, 1), ("U", 2, 1), ("U", 70, 7), ("D", 3, None), ("D", 6, None),
                    ("I", 8, 8), ("U", 8, 9), ("D", 8, None), ("I", 8, 10), ("T", None, None)]


def test_update_mode_adds_nothing(replica, db, target):
    db.execute(*SETUP)
    target.execute("CREATE TABLE t (id int PRIMARY KEY, n int, body text)", "INSERT INTO t VALUES (1, -1, 'mine')")
    copy = replica(mode="cdc_only", write={"mode": "update"})
    copy.once()
    db.execute("UPDATE t SET n = 5, body = 'b'", "INSERT INTO t VALUES (9, 9, 'x')")
    copy.once()
    assert target.query("SELECT id, n, body FROM t") == [(1, 5, "b")]


def test_append_refuses_updates(replica, db, target):
    db.execute(*SETUP)
    copy = replica(write={"mode": "append"})
    copy.once()
    db.execute("INSERT INTO t VALUES (6, 6, 'six')")
    copy.once()
    copy.compare_tables(["public.t"])
    db.execute("UPDATE t SET n = 1 WHERE id = 6")
    failed = copy.once(rc=None)
    assert failed.rc != 0 and "write.mode: append only adds rows" in failed.output


@pytest.mark.parametrize("duplicates", ["one", "all", "fail"])
def test_without_key(replica, db, target, duplicates):
    db.execute("CREATE TABLE k (a int, b text, j json)", "ALTER TABLE k REPLICA IDENTITY FULL",
               "INSERT INTO k VALUES (1, 'x', '{}'), (1, 'x', '{}'), (2, NULL, NULL), (3, 'y', '[1]')")
    copy = replica(write={"duplicates": duplicates})
    copy.once()
    db.execute("DELETE FROM k WHERE a = 2", "UPDATE k SET b = 'z' WHERE a = 3")
    copy.once()
    copy.compare_tables(["public.k"])
    db.execute("DELETE FROM k WHERE ctid = (SELECT min(ctid) FROM k WHERE a = 1)")
    result = copy.once(rc=None)
    if duplicates == "fail":
        assert result.rc != 0, result.describe()
        assert target.value("SELECT count(*) FROM k WHERE a = 1") == 2
    elif duplicates == "all":
        assert target.value("SELECT count(*) FROM k WHERE a = 1") == 0
    else:
        copy.compare_tables(["public.k"])


def test_unchanged_value_of_a_row_that_is_not_there(replica, db, target):
    """An error that names the row, never a NULL."""
    db.execute(*SETUP)
    copy = replica()
    copy.once()
    target.execute("DELETE FROM t WHERE id = 2")
    db.execute("UPDATE t SET n = 77 WHERE id = 2")
    failed = copy.once(rc=None)
    assert failed.rc != 0, failed.describe()
    assert '{"id":2}' in failed.output and "lacks the row" in failed.output
    assert target.value("SELECT count(*) FROM t WHERE id = 2") == 0


def test_quarantine_and_resync(replica, engine, db, target):
    """A table that fails for good is set aside; the others go on; loaded anew it joins them."""
    db.execute(*SETUP, "CREATE TABLE other (id int PRIMARY KEY)")
    copy = replica(more={"on_table_error": "quarantine"})
    copy.once()
    target.execute("ALTER TABLE t ADD CHECK (n < 100)")
    db.execute("UPDATE t SET n = 1000 WHERE id = 1", "INSERT INTO other VALUES (1)")
    result = copy.once(rc=None)
    assert result.rc == 4, result.describe()
    assert "set aside" in result.output and "t_n_check" in result.output
    db.execute("INSERT INTO other VALUES (2)", "UPDATE t SET n = 3 WHERE id = 2")
    assert copy.once(rc=None).rc == 4
    copy.compare_tables(["public.other"])
    assert target.value("SELECT n FROM t WHERE id = 2") == 0
    target.execute("ALTER TABLE t DROP CONSTRAINT t_n_check")
    engine.cmd("state", "resync", str(copy.path), "--stream", "public.t", "--yes").expect(0)
    copy.once()
    db.execute("UPDATE t SET n = n + 1")
    copy.once()
    copy.compare_tables(["public.t", "public.other"])


def test_routes(replica, db, target):
    db.execute("CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE b (id int PRIMARY KEY)",
               "INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (2)")
    copy = replica(more={"route": {"to": "Copy.{schema}_{table}", "suffix": "_x"}})
    copy.once()
    db.execute("INSERT INTO a VALUES (3)")
    copy.once()
    assert target.query('SELECT id FROM "Copy".public_a_x ORDER BY 1') == [(1,), (3,)]
    clash = replica(name=copy.name + "2", more={"route": {"to": "{schema}.all"}})
    failed = clash.once(rc=None)
    assert failed.rc == 2 and "both go into table public.all" in failed.output, failed.describe()


def test_foreign_keys(replica, db, target):
    """Parents and children in one epoch, in circles, and moved between parents."""
    ddl = ("CREATE TABLE p (id int PRIMARY KEY, u int UNIQUE)",
           "CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p, self int REFERENCES c)")
    db.execute(*ddl)
    target.execute(*ddl)
    copy = replica(sink={"small_rows": 0})
    copy.once()
    db.execute("INSERT INTO p SELECT i, i FROM generate_series(1, 300) i",
               "INSERT INTO c SELECT i, i, CASE WHEN i > 1 THEN i - 1 END FROM generate_series(1, 300) i")
    copy.once()
    copy.compare_tables(["public.p", "public.c"])
    db.execute("UPDATE c SET p = 1", "DELETE FROM p WHERE id > 100", "UPDATE p SET u = -u WHERE id <= 50",
               "INSERT INTO p SELECT i, i - 400 FROM generate_series(401, 500) i WHERE i - 400 <= 50")
    copy.once()
    copy.compare_tables(["public.p", "public.c"])


def test_load_w(replica, db, target):
    load.setup(db, rows=100)
    copy = replica(sink={"small_rows": 16})
    copy.once()
    with load.Load(db, writers=3, seed=5, rate=150) as work:
        copy.once()
        work.stop()
    copy.once()
    copy.compare_tables(list(load.STREAMS.values()))
