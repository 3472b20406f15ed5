"""T2 with a SQL Server (the stand-in) at either end: every failpoint of its sink and of its source."""

from __future__ import annotations

import time

import pytest
from fault.test_pg_t02_failpoints import TableScene
from fault.test_t02_failpoints import ACTIONS, ALL, KILLED
from support.mssql import MsReplica, ToMs, track
from support.msload import COLUMNS, MsLoad, setup
from support.score import Score

SINK = sorted(name for name in ALL if name.startswith("mssink."))
SOURCE = sorted(name for name in ALL if name.startswith("sqlserver."))
SETS = ("mssink.after_commit", "mssink.before_commit")


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("name, sets", [*((name, False) for name in SINK), *((name, True) for name in SETS)])
def test_failpoint_into_sql_server(release_engine, db, ms, name, sets):
    made: list[ToMs] = []

    def make(by, **more) -> ToMs:
        made.append(ToMs(by, db, ms, **more))
        return made[-1]

    try:
        with Score("T2", f"{name} {'sets' if sets else 'ordered'}") as score:
            scene = TableScene(make, db, release_engine, sets)
            scene.begin("base")
            scene.replica.once()
            scene.sweep(name, score)
    finally:
        for one in made:
            one.close()


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("way", ["cdc", "change_tracking"])
@pytest.mark.parametrize("name", SOURCE)
def test_failpoint_out_of_sql_server(release_engine, ms, target, name, way):
    """Under writers; then the next run makes both databases equal."""
    setup(ms, rows=200, captured=way == "cdc")
    if way != "cdc":
        track(ms, *COLUMNS)
    with Score("T2", f"{name} {way}") as score:
        for action in ACTIONS[ALL[name]]:
            pipe = MsReplica(release_engine, ms, target, name=f"{action}_{ms.name[-10:]}", write={"mode": "replace"},
                             source={"capture": way})
            with MsLoad(ms, writers=2, seed=1, rate=40):
                reached = 0
                for passage in (1, 2):
                    run = pipe.start(failpoints=f"{name}={action}@{passage}")
                    until, before = time.monotonic() + 30, pipe.epochs()
                    while run.poll() is None and pipe.epochs() < before + 4 and time.monotonic() < until:
                        time.sleep(0.05)
                    if run.poll() is None:
                        run.terminate()
                    result = run.wait(60)
                    score.saw(result.peak_rss_kib)
                    hit = f"failpoint {name}" in result.output if action == "error" else result.rc == KILLED
                    assert result.rc in (0, 1, 3) or (hit and action == "crash"), result.describe()
                    reached += hit
                    score.fault(hit)
            assert reached, f"{name} was not reached\n{result.describe()}"
            pipe.once(timeout=180)
            for table, columns in COLUMNS.items():
                score.took(pipe.compare_to(table, columns))
            pipe.engine.cmd("retire", str(pipe.path), "--yes").expect(0)
        score.survive(score.faults)
