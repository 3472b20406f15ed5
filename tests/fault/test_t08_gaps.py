"""T8: changes that are gone. Each way to lose them stops the pipeline with an error that names it and the
command that mends it, exit code 3, and not a row is written after it."""

from __future__ import annotations

import re
import shutil

import pytest
from support import faultproxy as fp
from support import lake, proc
from support.pipe import Pipe
from support.score import Score


def fill(db) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)",
               "INSERT INTO t SELECT i, 'v' FROM generate_series(1, 100) i",
               "CREATE TABLE u (id int PRIMARY KEY)", "INSERT INTO u VALUES (1)")


def lose(db) -> None:
    """A row that the pipeline will not see. On disk at once, so that a slot can be moved past it."""
    db.execute("SET synchronous_commit = on; INSERT INTO t VALUES (2000, 'lost')")


def settle(pipe: Pipe) -> None:
    """Loaded, with some changes followed."""
    pipe.once()
    pipe.db.execute("INSERT INTO t VALUES (1000, 'change')", "UPDATE t SET v = 'w' WHERE id < 5")
    pipe.once()
    assert pipe.feed().count() == 5


def refused(pipe: Pipe, score: Score, pattern: str, remedy: str = "", rc: tuple[int, ...] = (3,)) -> str:
    """Two runs stop, say why and how to mend it, and leave every object as it is."""
    before = pipe.keys()
    contents = {key: pipe.stores[key.split(":", 1)[0]].get(key.split(":", 1)[1]) for key in before}
    score.fault()
    output = ""
    for how in ("once", "follow"):
        run = pipe.once(rc=None, timeout=60) if how == "once" else pipe.start().wait(60)
        assert run.rc in rc, run.describe()
        assert re.search(pattern, run.output, re.IGNORECASE), f"no {pattern!r} in\n{run.describe()}"
        if remedy:
            assert re.search(remedy, run.output, re.IGNORECASE), f"no {remedy!r} in\n{run.describe()}"
        output = run.output
    assert pipe.keys() == before, "something was written after the gap"
    for key, content in contents.items():
        assert pipe.stores[key.split(":", 1)[0]].get(key.split(":", 1)[1]) == content
    score.survive()
    return output


def resync(pipe: Pipe, score: Score, *more: str) -> None:
    """The command that the message names; then everything is equal again."""
    streams = ("public.t", "public.u")
    pipe.engine.cmd("state", "reset", str(pipe.path), "--yes", *more).expect(0)
    pipe.once()
    pipe.db.execute("INSERT INTO t VALUES (5000, 'after') ON CONFLICT DO NOTHING", "DELETE FROM t WHERE id = 7")
    pipe.once()
    score.took(pipe.compare(streams))


def resync_elsewhere(pipe: Pipe, score: Score) -> None:
    """What the sink holds comes from a future that the restored source does not have: a new load beneath
    it is refused, with the way out."""
    pipe.engine.cmd("state", "reset", str(pipe.path), "--yes").expect(0)
    seen = pipe.commits("lake")
    result = pipe.engine.run(pipe.path, "--once").expect(2)
    assert "another prefix" in result.output, result.describe()
    assert pipe.commits("lake") == seen, "something was written all the same"
    folder = pipe.sinks["lake"]["config"]["path"] + "-anew"
    pipe.sinks["lake"]["config"]["path"] = folder
    pipe.stores["lake"] = lake.FileStore(folder)
    pipe.write()
    resync(pipe, score)


@pytest.fixture
def pipe(db, make_pipe) -> Pipe:
    fill(db)
    return make_pipe({"lake": "file"})


def test_slot_dropped(pipe, db):
    with Score("T8", "slot dropped") as score:
        settle(pipe)
        db.query("SELECT pg_drop_replication_slot(%s)", [pipe.slot])
        lose(db)
        refused(pipe, score, rf"slot.*{pipe.slot}.*(does not exist|gone|missing|is not there)", "state re(set|sync)")
        resync(pipe, score)


def test_slot_dropped_and_made_again(pipe, db):
    with Score("T8", "slot dropped and made again") as score:
        settle(pipe)
        db.query("SELECT pg_drop_replication_slot(%s)", [pipe.slot])
        lose(db)
        db.query("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [pipe.slot])
        db.execute("INSERT INTO t VALUES (2001, 'not lost')")
        refused(pipe, score, rf"{pipe.slot}.*(recreated|made anew|ahead|beyond|past|later|after)", "state re(set|sync)")
        resync(pipe, score)


def test_slot_advanced(pipe, db):
    with Score("T8", "slot advanced by somebody") as score:
        settle(pipe)
        lose(db)
        db.query("SELECT pg_replication_slot_advance(%s, pg_current_wal_lsn())", [pipe.slot])
        refused(pipe, score, rf"{pipe.slot}.*(ahead|beyond|past|advanced|later|after)", "state re(set|sync)")
        resync(pipe, score)


@pytest.mark.slow
def test_slot_lost_to_max_slot_wal_keep_size(own_server, make_pipe):
    server = own_server({"max_slot_wal_keep_size": "16MB", "min_wal_size": "32MB", "max_wal_size": "64MB"})
    db = server.create_database()
    fill(db)
    pipe = make_pipe({"lake": "file"}, on=db)
    with Score("T8", "slot lost to max_slot_wal_keep_size") as score:
        settle(pipe)
        while pipe.slot_row()["wal_status"] != "lost":
            db.execute("SELECT pg_logical_emit_message(false, 'x', repeat('x', 1000000)) FROM generate_series(1, 20)",
                       "SELECT pg_switch_wal()", "CHECKPOINT")
        refused(pipe, score, rf"{pipe.slot}.*(lost|invalidated|max_slot_wal_keep_size)", "state re(set|sync)")
        db.query("SELECT pg_drop_replication_slot(%s)", [pipe.slot])
        resync(pipe, score)


def _swap(server, data) -> None:
    """Puts another data folder in the place of the server's."""
    server.stop("fast")
    shutil.rmtree(server.data)
    shutil.move(data, server.data)
    server.start()


@pytest.mark.slow
def test_restored_from_a_copy(own_server, make_pipe):
    """The folder as it was before: the same server by name and timeline, with less in its log."""
    server = own_server()
    db = server.create_database()
    fill(db)
    pipe = make_pipe({"lake": "file"}, on=db)
    with Score("T8", "source restored from an older copy of its folder") as score:
        settle(pipe)
        server.stop("fast")
        copy = server.root / "copy"
        proc.run(["cp", "-a", str(server.data), str(copy)])
        server.start()
        db.execute("INSERT INTO t SELECT i, repeat('x', 500) FROM generate_series(3000, 8000) i")
        pipe.once()
        _swap(server, copy)
        refused(pipe, score, r"(behind|restored|older|before our|less than|backup|ends at)", "state re(set|sync)")
        db.query("SELECT count(pg_drop_replication_slot(slot_name)) FROM pg_replication_slots")
        resync_elsewhere(pipe, score)


@pytest.mark.slow
def test_restored_from_a_base_backup(own_server, make_pipe):
    """A base backup has no slots; recovered with a recovery.signal it begins a timeline of its own."""
    server = own_server()
    db = server.create_database()
    fill(db)
    pipe = make_pipe({"lake": "file"}, on=db)
    with Score("T8", "source restored from a base backup") as score:
        settle(pipe)
        data = server.base_backup(server.root / "backup")
        db.execute("INSERT INTO t VALUES (2000, 'after the backup')")
        pipe.once()
        (data / "recovery.signal").touch()
        with open(data / "postgresql.auto.conf", "a", encoding="utf-8") as conf:
            conf.write("restore_command = 'false'\nrecovery_target_timeline = 'current'\n")
        _swap(server, data)
        proc.wait_until(lambda: not db.value("SELECT pg_is_in_recovery()"), 30, "recovery")
        refused(pipe, score, r"timeline|slot.*(does not exist|gone|missing)|before our position", "state re(set|sync)")
        resync_elsewhere(pipe, score)


@pytest.mark.slow
def test_promoted_standby(own_server, make_pipe):
    """The slot stayed behind on the old primary (before 17), and the timeline is another."""
    server = own_server()
    db = server.create_database()
    fill(db)
    pipe = make_pipe({"lake": "file"}, on=db)
    with Score("T8", "standby promoted") as score:
        settle(pipe)
        standby = server.standby(server.root / "standby")
        try:
            # Before its promotion: logical decoding is not possible there.
            other = type(db)(standby, db.name)
            pipe.source.update(port=standby.port)
            pipe.write()
            db.execute("INSERT INTO t VALUES (2000, 'on the old primary')")
            refused(pipe, score, r"is a standby", rc=(2, 3))
            with standby.connect() as conn:
                conn.execute("SELECT pg_promote(true, 30)")
            other.execute("INSERT INTO t VALUES (2001, 'on the new one')")
            refused(pipe, score, r"timeline|slot.*(does not exist|gone|missing)", "state re(set|sync)")
            pipe.db = other
            resync(pipe, score)
        finally:
            standby.stop("immediate")


@pytest.mark.slow
def test_another_cluster(own_server, make_pipe, db):
    """The same host name, another server: not one row of it is taken for ours."""
    server = own_server()
    db2 = type(db)(server, server.create_database().name)
    fill(db)
    fill(db2)
    pipe = make_pipe({"lake": "file"})
    with Score("T8", "another cluster in its place") as score:
        settle(pipe)
        pipe.source.update(port=server.port, database=db2.name)
        pipe.write()
        refused(pipe, score, r"system identifier|another (server|cluster|database)|other (server|cluster)")


def test_publication_dropped(pipe, db):
    with Score("T8", "publication dropped") as score:
        settle(pipe)
        (name,) = db.query("SELECT pubname FROM pg_publication")[0]
        db.execute(f"DROP PUBLICATION {name}", "INSERT INTO t VALUES (2000, 'unpublished')")
        refused(pipe, score, rf"publication.*{name}", "CREATE PUBLICATION|state re(set|sync)")


def test_table_removed_from_publication(db, make_pipe):
    """A publication of the user's own that lost a table: its changes since are gone, in part or in whole."""
    fill(db)
    db.execute("CREATE PUBLICATION mine FOR TABLE t, u")
    pipe = make_pipe({"lake": "file"}, source={"publication": "mine", "publication_mode": "existing"})
    with Score("T8", "table removed from the publication") as score:
        settle(pipe)
        db.execute("ALTER PUBLICATION mine DROP TABLE u", "INSERT INTO u VALUES (2)")
        refused(pipe, score, r"public\.u.*publication.*mine", r"state reset --stream .?public\.u")
        db.execute("ALTER PUBLICATION mine ADD TABLE u")
        resync(pipe, score, "--stream", "public.u")
        assert len(pipe.feed().lake.runs("public.t")) == 1


def test_manifest_deleted(db, bucket, make_pipe):
    """S3 lost commits that the pipeline knows it made."""
    fill(db)
    pipe = make_pipe({"lake": bucket})
    with Score("T8", "S3 manifest deleted") as score:
        settle(pipe)
        keys = [key for key in bucket.keys("lake/_sluice/") if "/commits/" in key]
        bucket.client.delete_object(Bucket=bucket.name, Key=sorted(keys)[-1])
        db.execute("INSERT INTO t VALUES (2000, 'x')")
        refused(pipe, score, r"manifest|commit|epoch|lost|position", "state re(set|sync)|restore")


@pytest.mark.slow
@pytest.mark.parametrize("gap", ["dropped", "advanced"])
def test_gap_while_it_runs(db, make_pipe, gap):
    """The connection breaks, and what was there is gone when it comes back: the same error, in the same process."""
    fill(db)
    with fp.TcpProxy((db.server.host, db.server.port)) as link, Score("T8", f"slot {gap} while it runs") as score:
        pipe = make_pipe({"lake": "file"}, source={"port": link.port})
        settle(pipe)
        run = pipe.start()
        db.execute("INSERT INTO t VALUES (1500, 'seen')")
        pipe.wait_caught_up(run)
        score.fault()
        link.set(refuse=True)
        link.kill_connections()
        lose(db)
        pipe.wait_for(lambda: pipe.slot_row()["active_pid"] is None, "the server to notice", run)
        if gap == "dropped":
            db.query("SELECT pg_drop_replication_slot(%s)", [pipe.slot])
        else:
            db.query("SELECT pg_replication_slot_advance(%s, pg_current_wal_lsn())", [pipe.slot])
        before = pipe.keys()
        link.set()
        result = run.wait(60)
        assert result.rc == 3 and pipe.slot in result.output, result.describe()
        assert re.search("state reset", result.output), result.describe()
        assert pipe.keys() == before
        score.survive()
        resync(pipe, score)
