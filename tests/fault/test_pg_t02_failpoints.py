"""T2 into tables: every failpoint of the PostgreSQL sink, with an error and with death, in loads and changes."""

from __future__ import annotations

import time

import pytest
from fault.test_t02_failpoints import ACTIONS, ALL, KILLED, STREAMS, Scene
from support.score import Score


class TableScene(Scene):
    """The same tables and changes, into a database; `sets`: no change is written by itself.

    make_replica(by=…, name=…, …) → a pipeline out of `db` whose sink `copy` is the target.
    """

    def __init__(self, make_replica, db, by, sets: bool):
        super().__init__(None, db, None, by)
        self.make_replica, self.sets, self.replica = make_replica, sets, None

    def begin(self, action: str) -> None:
        """A new pipeline, whose loads take the place of what an older one left."""
        if self.replica is not None:
            self.replica.engine.cmd("retire", str(self.replica.path), "--yes").expect(0)
        self.replica = self.make_replica(
            by=self.by, name=f"{action}_{self.db.name[-10:]}", write={"mode": "replace"}, parallelism=2,
            source={"split_bytes": "1MiB"}, sink={"small_rows": 0} if self.sets else {}, tables=list(STREAMS))

    def live(self, failpoints: str):
        """As of files; and in the end changes one by one, each of which is an epoch of its own."""
        run = self.replica.start(failpoints=failpoints)
        begun, rounds = time.monotonic(), 0

        def alive() -> bool:
            return run.poll() is None and time.monotonic() - begun < 30

        while alive() and (rounds < 4 or not self.replica.complete() >= set(STREAMS)):
            self.change()
            rounds += 1
            time.sleep(0.05)
        for _ in range(4):
            seen = self.replica.epochs()
            self.db.execute("UPDATE fat SET n = n + 1 WHERE id = 1")
            while alive() and self.replica.epochs() == seen:
                time.sleep(0.02)
        if run.poll() is None:
            run.terminate()
        return run.wait(60)


    def sweep(self, name: str, score: Score) -> None:
        """At its first passage and at a later one; then the next run makes both databases equal."""
        for action in ACTIONS[ALL[name]]:
            self.begin(action)
            reached = 0
            for passage in (1, 2):
                result = self.live(f"{name}={action}@{passage}")
                score.saw(result.peak_rss_kib)
                hit = f"failpoint {name}" in result.output if action == "error" else result.rc == KILLED
                assert result.rc in (0, 1, 3) or (hit and action == "crash"), result.describe()
                reached += hit
                score.fault(hit)
            assert reached, f"{name} was not reached\n{result.describe()}"
            self.replica.once()
            score.took(self.replica.compare_tables(STREAMS))
        score.survive(score.faults)


NAMES = sorted(name for name in ALL if name.startswith("pgsink."))
# Changes are committed in two ways; the rest is the same in both.
SETS = ("pgsink.after_commit", "pgsink.before_commit")


@pytest.mark.slow
@pytest.mark.parametrize("name, sets", [*((name, False) for name in NAMES), *((name, True) for name in SETS)])
def test_failpoint_into_tables(request, make_replica, db, target, name, sets):
    with Score("T2", f"{name} {'sets' if sets else 'ordered'}") as score:
        scene = TableScene(make_replica, db, request.getfixturevalue("release_engine"), sets)
        scene.begin("base")
        scene.replica.once()
        scene.sweep(name, score)
