"""T10 into tables: every replica identity against every kind of change of every kind of column, one by one
and as sets. What was not sent stays what it is."""

from __future__ import annotations

import pytest
from support.score import Score

from fault.test_t10_identity import BIG, IDENTITIES, changes_of, make


@pytest.mark.slow
@pytest.mark.parametrize("identity", list(IDENTITIES))
@pytest.mark.parametrize("small_rows", [0, 64], ids=["sets", "ordered"])
def test_matrix(make_replica, db, target, identity, small_rows):
    make(db, identity)
    steps = changes_of(identity)
    for number in range(1, 15):
        key = f"repeat('k{number} ', 500)" if identity == "fat_key" else str(number)
        db.execute(f"INSERT INTO t VALUES ({key}, {number}, 's', {BIG}, decode(repeat('ab', 4000), 'hex'),"
                   f" jsonb_build_object('v', {BIG}))")
    replica = make_replica(tables=["public.t"], sink={"small_rows": small_rows})
    replica.once()
    with Score("T10", f"into tables, identity {identity}, small_rows {small_rows}") as score:
        # Half of them each in an epoch of its own, then all the rest in one.
        for statements in list(steps.values())[:8]:
            db.execute("BEGIN; " + "; ".join(statements) + "; COMMIT")
            score.fault()
            replica.once()
        for statements in list(steps.values())[8:]:
            db.execute("BEGIN; " + "; ".join(statements) + "; COMMIT")
            score.fault()
        replica.once()
        score.took(replica.compare_tables(["public.t"]))
        score.survive(len(steps))
