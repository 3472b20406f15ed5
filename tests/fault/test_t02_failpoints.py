"""T2: every named failpoint of engine and plugins, with an error and with death, in a pipeline with
changes. The names come from the sources, so that a new one is swept without being listed here."""

from __future__ import annotations

import json
import re
import time

import pytest
from support import sluice
from support.changes import Feed
from support.pipe import file_sink
from support.score import LONG, Score

KILLED = 128 + 9
STREAMS = ("public.keyed", "public.keyless", "public.fat", "public.added")


def listed() -> dict[str, str]:
    """name → FAILS, STOPS or TEARS, as the header has it."""
    text = (sluice.ROOT / "core/base/failpoint_names.h").read_text()
    return dict(re.findall(r'^\s*X\("([^"]+)",\s*(\w+),', text, re.MULTILINE))


ALL = listed()
ACTIONS = {"FAILS": ("error", "crash"), "STOPS": ("crash",), "TEARS": ("torn", "crash")}

# Passed again and again while changes are followed, also in a second life.
AGAIN = ("flow.feed_", "lake.", "file.", "postgres.feed_", "state.")

# Of plugins that this scene does not have: test_pg_t02_failpoints.py and test_ms_t02_failpoints.py.
OTHER_PLUGINS = ("mssink.", "pgsink.", "sqlserver.")
# What this scene does not pass: the tests below do, and others.
OTHER_MODES = {"flow.after_load_finish", "flow.before_load_finish", "postgres.after_slot_drop",
               "postgres.after_temp_slot", "postgres.before_retire",
               # of objects in parts: tests/integration/test_lake_changes.py
               "s3.before_complete", "s3.mid_multipart"}


class Scene:
    """A database, pipelines into files, and a script of changes of every kind."""

    def __init__(self, make_pipe, db, folder, by=None):
        self.db, self.make_pipe, self.folder, self.by = db, make_pipe, folder, by
        db.execute(
            "CREATE TABLE keyed (id int PRIMARY KEY, v text)",
            "CREATE TABLE keyless (a int, b text)",
            "ALTER TABLE keyless REPLICA IDENTITY FULL",
            "CREATE TABLE fat (id int PRIMARY KEY, n int, body text)",
            "ALTER TABLE fat ALTER body SET STORAGE EXTERNAL",
            "CREATE TABLE added (id int PRIMARY KEY)",
            "INSERT INTO keyed SELECT i, 'v' || i FROM generate_series(1, 300) i",
            "INSERT INTO keyless SELECT i % 50, 'b' FROM generate_series(1, 300) i",
            "INSERT INTO fat SELECT i, 0, repeat(md5(i::text), 100) FROM generate_series(1, 40) i",
        )
        self.step = 0
        self.pipe = None

    def begin(self, action: str) -> None:
        """A new pipeline: what only happens once in its life happens again."""
        if self.pipe is not None:
            self.pipe.engine.cmd("retire", str(self.pipe.path), "--yes").expect(0)
        sink = file_sink(self.folder / f"lake_{action}", interval="100ms")
        self.pipe = self.make_pipe({"lake": sink}, by=self.by, name=f"{action}_{self.db.name[-10:]}",
                                   source={"split_bytes": "1MiB"}, parallelism=2)

    def change(self) -> None:
        """One round: inserts, updates, key changes, deletes, unchanged values, a truncate, a new column."""
        self.step += 1
        at = 1000 * self.step
        self.db.execute(
            f"INSERT INTO keyed SELECT i, 'n' FROM generate_series({at}, {at + 20}) i",
            f"UPDATE keyed SET v = v || '.' WHERE id % 7 = {self.step % 7}",
            f"BEGIN; UPDATE keyed SET id = id + 500 WHERE id = {at};"
            f" DELETE FROM keyed WHERE id = {at + 1};"
            f" UPDATE keyless SET b = b || 'x' WHERE a = {self.step % 50}; COMMIT",
            f"DELETE FROM keyless WHERE ctid = (SELECT ctid FROM keyless WHERE a = {(self.step + 9) % 50} LIMIT 1)",
            "UPDATE fat SET n = n + 1",
            f"INSERT INTO added VALUES ({self.step})",
        )
        if self.step % 3 == 0:
            self.db.execute("TRUNCATE added", f"INSERT INTO added VALUES ({self.step})")
        if self.step in (2, 7, 12):
            self.db.execute(f"ALTER TABLE keyed ADD COLUMN c{self.step} int",
                            f"UPDATE keyed SET c{self.step} = id")

    def live(self, failpoints: str) -> sluice.Result:
        """One life with changes all the while, ended by what is armed, or by SIGTERM once it has seen enough."""
        run = self.pipe.start(failpoints=failpoints)
        begun = time.monotonic()
        rounds = 0
        while run.poll() is None and time.monotonic() - begun < 30:
            self.change()
            rounds += 1
            if rounds >= 4 and self.pipe.complete() >= set(STREAMS):
                break
            time.sleep(0.1)
        if run.poll() is None:
            # One more rotation, so that what lies behind a commit is passed, too.
            seen = self.pipe.change_commits()
            deadline = time.monotonic() + 5
            while run.poll() is None and self.pipe.change_commits() <= seen + 1 and time.monotonic() < deadline:
                self.change()
                time.sleep(0.1)
        if run.poll() is None:
            run.terminate()
        return run.wait(60)

    def judge(self, score: Score) -> Feed:
        self.pipe.once()
        feed = self.pipe.feed()
        score.took(self.pipe.compare(STREAMS))
        return feed


def test_the_command_lists_what_the_sources_have(engine):
    said = json.loads(engine.cmd("failpoints", "--json").expect(0).stdout)["failpoints"]
    assert {entry["name"] for entry in said} == set(ALL) and len(ALL) >= 20
    assert engine.cmd("failpoints").expect(0).stdout.split() == [entry["name"] for entry in said]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(n for n in set(ALL) - OTHER_MODES if not n.startswith(OTHER_PLUGINS)))
def test_failpoint(request, make_pipe, db, workdir, name):
    """At its first passage, and for death at a later one in the next life of the same pipeline. The short
    profile runs the release build, which lives faster."""
    scene = Scene(make_pipe, db, workdir, None if LONG else request.getfixturevalue("release_engine"))
    with Score("T2", name) as score:
        for action in ACTIONS[ALL[name]]:
            scene.begin(action)
            reached = 0
            twice = LONG or (action == "crash" and name.startswith(AGAIN))
            for passage in (1, 3) if twice else (1,):
                result = scene.live(f"{name}={action}@{passage}")
                score.saw(result.peak_rss_kib)
                if action == "error":
                    hit = f"failpoint {name}" in result.output
                    assert result.rc in (0, 1, 3), result.describe()
                else:
                    hit = result.rc == KILLED
                    assert hit or result.rc == 0, result.describe()
                reached += hit
                score.fault(hit)
            assert reached, f"{name}={action} was not reached\n{result.describe()}"
            scene.judge(score)
        score.survive(score.faults)


@pytest.mark.slow
@pytest.mark.parametrize("name, action", [
    ("postgres.before_retire", "error"), ("postgres.before_retire", "crash"), ("postgres.after_slot_drop", "crash")])
def test_failpoint_of_retire(make_pipe, db, name, action):
    """What was left at the server by a retire that failed is dropped by the next."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    pipe = make_pipe({"lake": "file"})
    with Score("T2", f"{name} {action}") as score:
        pipe.once()
        result = pipe.engine.cmd("retire", str(pipe.path), "--yes", env={"SLUICE_FAILPOINTS": f"{name}={action}"})
        score.fault()
        assert result.rc == KILLED if action == "crash" else result.rc in (1, 3), result.describe()
        pipe.engine.cmd("retire", str(pipe.path), "--yes").expect(0)
        assert pipe.slot_row() is None and db.value("SELECT count(*) FROM pg_publication") == 0
        score.survive()


@pytest.mark.slow
@pytest.mark.parametrize("action", ACTIONS[ALL["postgres.after_temp_slot"]])
def test_failpoint_of_a_temporary_slot(make_pipe, db, action):
    """A table comes later: its load has a slot of its own, which ends with whoever made it."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)",
               "CREATE TABLE u (id int PRIMARY KEY)", "INSERT INTO u SELECT generate_series(1, 50)")
    pipe = make_pipe({"lake": "file"}, tables=["public.t"])
    with Score("T2", f"postgres.after_temp_slot {action}") as score:
        pipe.once()
        pipe.tables = {"include": ["public.*"]}
        pipe.write()
        db.execute("INSERT INTO t VALUES (2)", "INSERT INTO u VALUES (100)")
        result = pipe.once(rc=None, failpoints=f"postgres.after_temp_slot={action}@1")
        score.fault()
        if action == "crash":
            assert result.rc == KILLED, result.describe()
        else:
            assert "failpoint postgres.after_temp_slot" in result.output, result.describe()
        db.execute("DELETE FROM u WHERE id < 5", "INSERT INTO u VALUES (101)")
        pipe.once()
        score.took(pipe.compare(["public.t", "public.u"]))
        pipe.wait_for(lambda: db.value("SELECT count(*) FROM pg_replication_slots WHERE temporary"
                                       " AND database = current_database()") == 0, "the slot's end")
        score.survive()
