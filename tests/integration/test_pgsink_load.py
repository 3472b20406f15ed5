"""Full loads into PostgreSQL: tables made, filled, replaced; both ends compared row by row."""

from __future__ import annotations

import pytest
from support import load, pgsink


@pytest.fixture
def replica(engine, db, target):
    """replica(tables, write=…, sink=…) → a Replica that only loads."""

    def make(tables=("public.*",), **more):
        return pgsink.Replica(engine, db, target, mode="full_load_only", tables=tables, **more)

    return make


def test_all_kinds(replica, db, target):
    load.setup(db, rows=300)
    copy = replica()
    copy.once()
    copy.compare_tables(list(load.STREAMS.values()))
    # Types, NOT NULL and keys are the source's own.
    shape = (
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute WHERE attrelid ="
        " '{0}'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY 1"
    )
    for relation in ("public.wide", "public.composite", 'public."Odd Table"', "public.by_index"):
        assert db.query(shape.format(relation)) == target.query(shape.format(relation)), relation
        if relation != "public.by_index":  # its identity is no primary key there
            assert pgsink.key_of(db, relation) == pgsink.key_of(target, relation), relation


def test_again(replica, db, target):
    """A second load of the same pipeline takes the place of the first, also where rows went away."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)",
               "INSERT INTO t SELECT i, 'a' FROM generate_series(1, 100) i")
    copy = replica()
    copy.once()
    oid = target.value("SELECT 'public.t'::regclass::oid")
    target.execute("GRANT SELECT ON t TO PUBLIC", "COMMENT ON TABLE t IS 'copied'")
    db.execute("DELETE FROM t WHERE id > 90", "UPDATE t SET v = 'b' WHERE id <= 10")
    copy.once()
    copy.compare_tables(["public.t"])
    assert target.value("SELECT 'public.t'::regclass::oid") != oid, "it was not swapped"
    assert target.value("SELECT obj_description('public.t'::regclass)") == "copied"
    assert target.value("SELECT count(*) FROM information_schema.role_table_grants WHERE table_name = 't' AND"
                        " grantee = 'PUBLIC'") == 1
    assert target.query("SELECT indexrelid::regclass::text FROM pg_index"
                        " WHERE indrelid = 't'::regclass") == [("t_pkey",)]


@pytest.mark.parametrize("into", ["refuse", "truncate", "replace", "append", "upsert"])
def test_rows_that_are_there(replica, db, target, into):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)",
               "INSERT INTO t SELECT i, 'new' FROM generate_series(1, 10) i")
    target.execute("CREATE TABLE t (id int PRIMARY KEY, v text, extra int DEFAULT 7)",
                   f"INSERT INTO t VALUES (1{'0' if into == 'append' else ''}00, 'old'),"
                   f" (5{'00' if into == 'append' else ''}, 'old')")
    copy = replica(sink={"load_into": into})
    if into == "refuse":
        text = copy.once(rc=None)
        assert text.rc != 0
        assert "is not empty" in text.output and "load_into: truncate" in text.output
        assert target.value("SELECT count(*) FROM t WHERE v = 'old'") == 2
        return
    copy.once()
    rows = dict(target.query("SELECT id, v FROM t"))
    new = {i: "new" for i in range(1, 11)}
    if into == "append":
        assert rows == {**new, 1000: "old", 500: "old"}
    elif into == "upsert":
        assert rows == {**new, 100: "old"}
    else:
        assert rows == new
    assert target.value("SELECT count(*) FROM t WHERE extra = 7") == len(rows)
    assert target.value("SELECT count(*) FROM pg_class WHERE relname LIKE 't\\_load%'") == 0
