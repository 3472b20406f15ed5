"""T11 into tables: columns change while changes are followed, the engine is killed around each; the table
follows in the transaction of the rows."""

from __future__ import annotations

import random

import pytest
from support.pipe import sleep_or_end
from support.score import Score, size

from fault.test_t11_schema import STEPS, TABLE, run_step

SEED = 1111


@pytest.mark.slow
@pytest.mark.timeout(size(200, 900))
@pytest.mark.parametrize("inside", [False, True], ids=["between", "inside"])
def test_every_change_with_kills(make_replica, db, target, inside):
    chance = random.Random(SEED)
    db.execute(*TABLE)
    replica = make_replica(tables=["public.t"])
    replica.once()
    with Score("T11", f"into tables, {'inside' if inside else 'between'} transactions, seed {SEED}") as score:
        number = 0
        for _ in range(size(1, 5)):
            for _name, statements in STEPS.items():
                number += 1
                run = replica.start()
                if chance.random() < 0.5:
                    sleep_or_end(run, chance.uniform(0, 0.8))
                run_step(db, statements, number, inside)
                sleep_or_end(run, chance.uniform(0, 0.8))
                assert run.poll() is None, run.wait().describe()
                run.kill9()
                score.fault()
        replica.once()
        score.took(replica.compare_tables(["public.t"]))
        score.survive(score.faults)


@pytest.mark.slow
def test_policies(make_replica, db, target):
    """freeze and stop alter nothing at the target; what cannot be followed without loss is refused."""
    db.execute(*TABLE)
    replica = make_replica(tables=["public.t"], schema="freeze")
    replica.once()
    with Score("T11", "into tables, freeze, and a type that gets narrower") as score:
        score.fault(2)
        db.execute("ALTER TABLE t ADD COLUMN extra int", "UPDATE t SET n = n + 1, extra = 1")
        replica.once()
        columns = {name for (name,) in target.query(
            "SELECT attname FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped")}
        assert columns == {"id", "n", "a", "b", "c"}
        assert target.query("SELECT id, n FROM t ORDER BY 1") == db.query("SELECT id, n FROM t ORDER BY 1")
        score.survive()
        score.rows += 60
        replica.top["schema"] = "evolve"
        replica.write()
        db.execute("ALTER TABLE t ALTER COLUMN b TYPE date USING '2024-01-01'::date + id", "UPDATE t SET n = n + 1")
        failed = replica.once(rc=None)
        assert failed.rc != 0 and "cannot follow" in failed.output, failed.describe()
        score.survive()
