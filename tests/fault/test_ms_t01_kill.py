"""T1 out of SQL Server (the stand-in): kill -9 of the engine while writers change its tables, into PostgreSQL."""

from __future__ import annotations

import random

import pytest
from support.mssql import MsReplica
from support.msload import COLUMNS, MsLoad, setup
from support.pipe import kill_nine_loop
from support.score import Score, size

SEED = 60601


@pytest.fixture
def make_ms(engine, mssql_server, target):
    made: list[MsReplica] = []

    def make(by=None, on=None, **more):
        made.append(MsReplica(by or engine, on or mssql_server.create_database(), target, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.slow
@pytest.mark.timeout(size(240, 1800))
def test_kill_nine_loop(release_engine, make_ms):
    """A third dies while tables are loaded, or the feed is opened; a third anywhere; a third soon after a commit."""
    kills = size(20, 100)
    chance = random.Random(SEED)
    replica = make_ms(by=release_engine)
    setup(replica.db, rows=size(300, 3000))
    with Score("T1", f"sqlserver -> pg, 4 writers, seed {SEED}") as score:
        with MsLoad(replica.db, writers=4, seed=SEED, rate=size(60, 200)) as work:
            grew = kill_nine_loop(replica, work, score, chance, kills, anywhere=(0.5, size(2.0, 5.0)))
        replica.once(timeout=180)
        score.survive(score.faults)
        for table, columns in COLUMNS.items():
            score.took(replica.compare_to(table, columns))
        print(f"{work.counts}, {replica.epochs()} epochs, {grew} lives of {kills} committed")
        assert grew >= kills // 3
