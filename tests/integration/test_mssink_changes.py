"""Changes of PostgreSQL into SQL Server (the stand-in), one by one and as sets: the rows of both ends are equal."""

from __future__ import annotations

import pytest
from support.mssql import ToMs

TABLE = ("CREATE TABLE t (id bigint PRIMARY KEY, n int, amount numeric(18,4), note text, code varchar(40), flag boolean"
         " NOT NULL, at timestamp, raw bytea, tag uuid, x double precision)")


def rows(first: int, last: int) -> str:
    return ("INSERT INTO t SELECT i, i % 7, i * 1.25, 'né ''' || i || E'\\n😀', CASE i % 5 WHEN 0 THEN ''"
            " WHEN 1 THEN NULL ELSE 'c' || i END, i % 2 = 0,"
            " timestamp '2026-11-27 10:00' + i * interval '1.000001 second',"
            " decode(md5(i::text), 'hex'), md5(i::text)::uuid, 1.0 / i FROM"
            f" generate_series({first}, {last}) i")


@pytest.fixture
def replica(engine, db, ms):
    made: list[ToMs] = []

    def make(**more):
        made.append(ToMs(engine, db, ms, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


SETS = {"small_rows": 0}
ORDER = {"small_rows": 100000}
EACH = {"apply": "transactional"}


@pytest.mark.parametrize("how", [SETS, ORDER, EACH], ids=["sets", "order", "each"])
def test_load_then_changes(replica, db, how):
    db.execute(TABLE, rows(1, 60))
    copy = replica(sink=how)
    copy.once()
    assert copy.compare_pg("public.t").rows == 60
    db.execute(rows(61, 90), "UPDATE t SET n = n + 1, note = NULL WHERE id % 3 = 0", "DELETE FROM t WHERE id % 4 = 0",
               "UPDATE t SET id = id + 1000 WHERE id % 5 = 0", "UPDATE t SET code = '' WHERE id < 10",
               "DELETE FROM t WHERE id = 1", "INSERT INTO t (id, flag, note) VALUES (1, true, 'again')",
               "INSERT INTO t (id, flag) VALUES (5000, true)", "DELETE FROM t WHERE id = 5000")
    copy.once()
    assert copy.compare_pg("public.t").rows == 68


@pytest.mark.parametrize("how", [SETS, ORDER, EACH], ids=["sets", "order", "each"])
def test_what_was_not_sent_stays(replica, db, ms, how):
    db.execute("CREATE TABLE big (id int PRIMARY KEY, n int, body text, more text)",
               "ALTER TABLE big ALTER body SET STORAGE EXTERNAL, ALTER more SET STORAGE EXTERNAL",
               "INSERT INTO big SELECT i, i, repeat(md5(i::text), 500), repeat('é', 5000)"
               " FROM generate_series(1, 12) i")
    copy = replica(sink=how)
    copy.once()
    db.execute("UPDATE big SET n = n + 100", "UPDATE big SET body = 'short' WHERE id = 2",
               "UPDATE big SET more = NULL WHERE id IN (3, 4)", "UPDATE big SET id = 50 WHERE id = 5")
    copy.once()
    assert copy.compare_pg("public.big").rows == 12


@pytest.mark.parametrize("how", [SETS, ORDER, EACH], ids=["sets", "order", "each"])
def test_keys_that_a_collation_takes_for_one(replica, db, how):
    """Rows of keys that differ in case or blanks alone are told apart, in the table that sluice made."""
    db.execute("CREATE TABLE k (code varchar(20) PRIMARY KEY, v int)", "INSERT INTO k VALUES ('a', 1), ('A', 2)")
    copy = replica(sink=how)
    copy.once()
    db.execute("UPDATE k SET v = 10 WHERE code = 'A'", "INSERT INTO k VALUES ('é', 3), ('É', 4)",
               "DELETE FROM k WHERE code = 'a'", "UPDATE k SET code = 'b' WHERE code = 'É'")
    copy.once()
    assert copy.compare_pg("public.k").rows == 3


@pytest.mark.parametrize("how", [SETS, ORDER, EACH], ids=["sets", "order", "each"])
def test_names_that_need_quotes(replica, db, how):
    db.execute('CREATE TABLE "x]y" ("it\'s" int PRIMARY KEY, "a""]b" text, "select" int)',
               """INSERT INTO "x]y" VALUES (1, '''', 2), (2, ']', NULL)""")
    copy = replica(sink=how)
    copy.once()
    db.execute("""UPDATE "x]y" SET "select" = 7 WHERE "it's" = 2""", """INSERT INTO "x]y" VALUES (3, ''']', 1)""",
               """DELETE FROM "x]y" WHERE "it's" = 1""")
    copy.once()
    assert copy.compare_pg('public."x]y"').rows == 2


@pytest.mark.parametrize("how", [SETS, ORDER, EACH], ids=["sets", "order", "each"])
def test_truncates_and_soft_deletes(replica, db, ms, how):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)",
               "INSERT INTO t SELECT i, 'v' FROM generate_series(1, 5) i")
    copy = replica(sink=how, write={"mode": "upsert", "deletes": "soft"})
    copy.once()
    db.execute("DELETE FROM t WHERE id = 1", "TRUNCATE t", "INSERT INTO t VALUES (2, 'new'), (9, 'nine')")
    copy.once()
    have = {i: (v, int(gone)) for i, v, gone in ms.query("SELECT id, v, _sluice_deleted FROM [public].[t]")}
    assert have == {1: ("v", 1), 2: ("new", 0), 3: ("v", 1), 4: ("v", 1), 5: ("v", 1), 9: ("nine", 0)}


def test_columns_that_come(replica, db):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    copy = replica()
    copy.once()
    db.execute("INSERT INTO t VALUES (3, 'c')", "ALTER TABLE t ADD COLUMN w int", "UPDATE t SET w = id WHERE id > 1",
               "INSERT INTO t VALUES (4, 'd', 44)")
    copy.once()
    assert copy.compare_pg("public.t").rows == 4


def test_rows_that_are_only_added(replica, db):
    db.execute("CREATE TABLE t (a int, b text)", "ALTER TABLE t REPLICA IDENTITY FULL",
               "INSERT INTO t VALUES (1, 'x'), (1, 'x'), (2, NULL)")
    copy = replica(write={"mode": "append"})
    copy.once()
    db.execute("INSERT INTO t VALUES (3, 'y'), (3, 'y'), (NULL, '')")
    copy.once()
    assert copy.compare_pg("public.t").rows == 6


def test_parents_and_children(replica, db, ms):
    """A foreign key at the target holds, whatever the order in which tables come."""
    db.execute("CREATE TABLE a_child (id int PRIMARY KEY, p int)", "CREATE TABLE parent (id int PRIMARY KEY, v text)",
               "INSERT INTO parent VALUES (1, 'x')", "INSERT INTO a_child VALUES (1, 1)")
    copy = replica(sink=SETS)
    copy.once()
    ms.execute("ALTER TABLE [public].[a_child] ADD CONSTRAINT fk FOREIGN KEY (p) REFERENCES [public].[parent] (id)")
    db.execute("INSERT INTO parent SELECT i, 'p' FROM generate_series(2, 30) i",
               "INSERT INTO a_child SELECT i, i FROM generate_series(2, 30) i",
               "DELETE FROM a_child WHERE id < 10", "DELETE FROM parent WHERE id < 10")
    copy.once()
    assert copy.compare_pg("public.parent").rows == 21
    assert copy.compare_pg("public.a_child").rows == 21


def test_each_transaction_by_itself(replica, db, ms):
    """In one epoch, in order, each in a transaction of the target of its own, over tables that refer to each other."""
    db.execute("CREATE TABLE parent (id int PRIMARY KEY, v text)", "CREATE TABLE a_child (id int PRIMARY KEY, p int)")
    copy = replica(sink=EACH, tables=["public.*"])
    copy.once()
    ms.execute("ALTER TABLE [public].[a_child] ADD CONSTRAINT fk FOREIGN KEY (p) REFERENCES [public].[parent] (id)")
    for i in range(8):
        db.execute(f"BEGIN; INSERT INTO parent VALUES ({i}, 'p'); INSERT INTO a_child VALUES ({i}, {i});"
                   f" INSERT INTO a_child VALUES ({i + 100}, {i}); COMMIT")
    db.execute("BEGIN; DELETE FROM a_child WHERE p = 3; DELETE FROM parent WHERE id = 3; COMMIT")
    before = copy.epochs()
    copy.once()
    assert copy.epochs() - before < 8  # far fewer commits of the engine than transactions
    assert copy.compare_pg("public.parent").rows == 7 and copy.compare_pg("public.a_child").rows == 14
    with ms.server.connect(ms.name) as conn:
        made = conn.execute("SELECT id, xmin::text FROM public.parent UNION ALL SELECT p, xmin::text FROM"
                            " public.a_child").fetchall()
    of = {}
    for row, transaction in made:
        of.setdefault(row, set()).add(transaction)
    assert all(len(transactions) == 1 for transactions in of.values())  # whole ones
    assert len({min(transactions) for transactions in of.values()}) == 7  # and no two together


def test_rows_that_are_refused_among_transactions(replica, db, ms):
    """Those before are committed already; nothing is written twice, and the letters are counted."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int)", "INSERT INTO t VALUES (0, 0)")
    ms.execute("CREATE TABLE [public].[t] (id int NOT NULL PRIMARY KEY, n int NULL CONSTRAINT ck CHECK (n >= 0))")
    copy = replica(sink={**EACH, "load_into": "append"}, tables=["public.t"], schema="freeze",
                   more={"on_error": {"rows": "dlq"}})
    copy.once()
    for i in range(1, 31):
        db.execute(f"INSERT INTO t VALUES ({i}, {-1 if i in (7, 19, 20) else i})",
                   "UPDATE t SET n = n + 1 WHERE id = 0")
    result = copy.once(rc=4)
    assert "rows=" in result.stderr, result.describe()
    assert sorted(row for (row,) in ms.query("SELECT id FROM [public].[t]")) == sorted(
        set(range(31)) - {7, 19, 20})
    assert ms.query("SELECT n FROM [public].[t] WHERE id = 0") == [(30,)]
    assert ms.query("SELECT COUNT(*) FROM [sluice].[letters]") == [(3,)]


@pytest.mark.parametrize("skip", range(6))
def test_what_is_applied_stays_so(replica, db, ms, skip):
    """A row is refused behind transactions that are committed; then a connection is lost at a commit that follows."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n int)", "INSERT INTO t VALUES (0, 0)")
    copy = replica(sink=EACH, tables=["public.t"], write={"mode": "append"}, more={"on_error": {"rows": "dlq"}})
    copy.once()
    ms.execute("ALTER TABLE [public].[t] ADD CONSTRAINT ck CHECK (n >= 0)")
    for i in range(1, 7):
        db.execute(f"INSERT INTO t VALUES ({i}, {-1 if i == 4 else i})")
    fault = ms.server.cut_on(r"^\s*COMMIT", skip=skip)
    copy.once(rc=None)
    assert fault.times == 0
    copy.once(rc=None)
    assert sorted(row for (row,) in ms.query("SELECT id FROM [public].[t]")) == [0, 1, 2, 3, 5, 6]
    assert ms.query("SELECT COUNT(*) FROM [sluice].[letters]") == [(1,)]
