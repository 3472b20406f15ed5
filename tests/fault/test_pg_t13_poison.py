"""T13: rows that the target refuses, one in a hundred, in a load and in changes, with kills in between: what
is stored and what is kept as a letter is all that was read, each once; once the target is mended, the
letters go in, and both ends are equal."""

from __future__ import annotations

import random

import pytest
from support.pipe import sleep_or_end
from support.score import Score, size

ROWS = 100_000
SEED = 1313

# Six ways to be refused; each row that is poison is so in one of them.
TARGET = (
    "CREATE TABLE known (id int PRIMARY KEY)", "INSERT INTO known SELECT generate_series(0, 499)",
    "CREATE TABLE t (id int PRIMARY KEY, n numeric(6,2), v varchar(12), must text NOT NULL, c int CHECK (c >= 0),"
    " u int REFERENCES known, r int)",
    "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.r = 666 THEN RAISE EXCEPTION"
    " 'not this one'; END IF; RETURN NEW; END $$",
    "CREATE TRIGGER no BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION no()",
)
MEND = (
    "DROP TRIGGER no ON t", "ALTER TABLE t ALTER n TYPE numeric(12,2), ALTER v TYPE text, ALTER must DROP NOT NULL",
    "ALTER TABLE t DROP CONSTRAINT t_c_check", "ALTER TABLE t DROP CONSTRAINT t_u_fkey",
)
POISON = "CASE WHEN {i} % 100 = 37 THEN ({i} / 100) % 6 ELSE -1 END"
ROW = (
    "SELECT i, CASE WHEN p = 0 THEN 123456.78 ELSE i % 1000 END, CASE WHEN p = 1 THEN 'far too long a text' ELSE 'v'"
    " || i % 1000 END, CASE WHEN p = 2 THEN NULL ELSE 'm' END, CASE WHEN p = 3 THEN -1 ELSE i END,"
    " CASE WHEN p = 4 THEN 9999 ELSE i % 500 END, CASE WHEN p = 5 THEN 666 ELSE i % 500 END"
    f" FROM generate_series({{a}}, {{b}}) i, LATERAL (SELECT {POISON.format(i='i')} AS p) s"
)


def letters(target) -> list[int]:
    return [row for (row,) in target.query("SELECT (row ->> 'id')::int FROM sluice.letters ORDER BY id")]


@pytest.fixture
def poisoned(db, target):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n numeric(12,2), v text, must text, c int, u int, r int)",
               "INSERT INTO t " + ROW.format(a=1, b=ROWS))
    target.execute(*TARGET)
    return [i for i in range(1, ROWS + 1) if i % 100 == 37]


@pytest.mark.slow
@pytest.mark.timeout(size(280, 900))
def test_load_and_changes(release_engine, make_replica, db, target, poisoned):
    chance = random.Random(SEED)
    replica = make_replica(by=release_engine, tables=["public.t"], source={"split_bytes": "1MiB"},
                           sink={"load_into": "truncate"}, more={"on_error": {"rows": "dlq"}})
    with Score("T13", f"{len(poisoned)} rows of {ROWS} are poison, load and changes, killed") as score:
        for _ in range(3):
            run = replica.start()
            sleep_or_end(run, chance.uniform(0.2, 0.8))
            run.kill9()
            score.fault()
        result = replica.once(timeout=120, rc=None)
        assert result.rc == 4, result.describe()
        assert "rows were refused" in result.stderr and "sluice dlq list" in result.stderr
        assert sorted(letters(target)) == poisoned
        assert target.value("SELECT count(*) FROM t") + len(poisoned) == ROWS
        # Changes: new rows of which some are poison, updates that make rows poison, deletes.
        db.execute("INSERT INTO t " + ROW.format(a=ROWS + 1, b=ROWS + 20_000))
        for digit in range(5):
            db.execute(f"UPDATE t SET c = CASE WHEN id % 100 = 50 THEN -id ELSE c END, v = v || '.' WHERE id % 10 = 0"
                       f" AND id % 5 = {digit} AND id % 100 <> 37")
        db.execute("DELETE FROM t WHERE id % 1000 = 11")
        for _ in range(3):
            run = replica.start()
            sleep_or_end(run, chance.uniform(0.2, 0.7))
            run.kill9()
            score.fault()
        replica.once(timeout=120, rc=None)
        score.survive(6)
        source = {row[0]: row for row in db.query("SELECT * FROM t")}
        stored = {row[0]: row for row in target.query("SELECT * FROM t")}
        refused = target.query("SELECT op, (row ->> 'id')::int, count(*) FROM sluice.letters GROUP BY 1, 2")
        assert all(count == 1 for _op, _row, count in refused), "a letter came twice"
        missing = {row for op, row, _count in refused if op in "RI"}
        stale = {row for op, row, _count in refused if op == "U"} - missing
        assert set(source) == set(stored) | missing and not set(stored) & missing
        differing = {key for key, row in stored.items() if source[key] != row}
        assert differing == stale, (len(differing), len(stale))
        score.rows += len(source)
        # Mended, replayed, equal.
        target.execute(*MEND)
        listed = release_engine.cmd("dlq", "list", str(replica.path), "--json").expect(0).json()
        assert len(listed["letters"]) == len(refused)
        done = release_engine.cmd("dlq", "replay", str(replica.path), "--all", timeout=200)
        done.expect(0)
        assert f"{len(refused)} of {len(refused)} letters replayed" in done.stdout
        score.took(replica.compare_tables(["public.t"]))


@pytest.mark.slow
def test_skip_and_bound(engine, make_replica, db, target, poisoned):
    """skip counts and keeps nothing; max_rejected ends the run; stop names the row."""
    db.execute("DELETE FROM t WHERE id > 5000")
    skip = make_replica(tables=["public.t"], mode="full_load_only", more={"on_error": {"rows": "skip"}})
    with Score("T13", "skip, max_rejected, stop") as score:
        score.fault(3)
        result = skip.once(rc=None)
        assert result.rc == 4 and "50 rows" in result.output, result.describe()
        assert letters(target) == [] and target.value("SELECT count(*) FROM t") == 4950
        score.survive()
        skip.sinks["copy"]["on_error"] = {"rows": "dlq", "max_rejected": 10}
        skip.sinks["copy"]["config"]["load_into"] = "truncate"
        skip.write()
        result = skip.once(rc=None)
        assert result.rc not in (0, 4) and "max_rejected (10)" in result.output, result.describe()
        assert letters(target) == []
        score.survive()
        skip.sinks["copy"]["on_error"] = {"rows": "stop"}
        skip.write()
        result = skip.once(rc=None)
        assert result.rc == 1, result.describe()
        assert target.value("SELECT count(*) FROM t") == 0
        score.survive()
        score.rows += 5000
