"""What can be wrong at the target: a clear error that names the object and the way out, the right exit code,
nothing half-applied, and a run that goes on once it is mended."""

from __future__ import annotations

import os
import subprocess
import time

import pytest
from support import pg, pgsink

BASE = ("CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 50) i")


@pytest.fixture
def replica(engine, db, target):
    def make(**more):
        return pgsink.Replica(engine, db, target, **{
            "tables": ["public.*"], "on_error": {"retry": {"max": 2, "backoff": "20ms", "cap": "50ms"}}, **more})

    return make


@pytest.fixture
def role(pg_server, target):
    """A role with nothing but the right to connect."""
    name = f"low_{target.name[-12:]}"
    target.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'low'", "REVOKE ALL ON SCHEMA public FROM PUBLIC")
    yield name
    target.execute(f"DROP OWNED BY {name} CASCADE")
    with pg_server.connect() as conn:
        conn.execute(f"DROP OWNED BY {name} CASCADE")
        conn.execute(f"DROP ROLE {name}")


def said(result, *words: str) -> None:
    for word in words:
        assert word in result.stderr, f"{word!r} is not in\n{result.describe()}"


def test_unreachable_and_read_only(replica, db, target):
    db.execute(*BASE)
    said(replica(sink={"port": 1}, name="away").once(rc=3), "sink copy", "127.0.0.1:1", "refused", "host and port")
    said(replica(sink={"database": "not_there"}, name="nodb").once(rc=3), "sink copy", "not_there", "does not exist")
    target.execute(f'ALTER DATABASE "{target.name}" SET default_transaction_read_only = on')
    copy = replica()
    said(copy.once(rc=3), "sink copy", "read-only", "default_transaction_read_only")
    checked = copy.engine.cmd("check", str(copy.path))
    assert checked.rc != 0 and "its sessions are read-only" in checked.stdout
    with target.connect() as conn:
        conn.execute("SET default_transaction_read_only = off")
        assert conn.execute("SELECT to_regclass('t') IS NULL").fetchone()[0]
        conn.execute(f'ALTER DATABASE "{target.name}" RESET default_transaction_read_only')
    copy.once()
    copy.compare_tables(["public.t"])


def test_missing_rights(replica, db, target, role):
    """Which GRANT: said by the run and by check; with what check says, it runs."""
    db.execute(*BASE)
    copy = replica(sink={"user": role, "password": "low"})
    for _ in range(2):
        said(copy.once(rc=3), "may not make the sink's own tables in schema sluice", "CREATE SCHEMA", role)
    target.execute(f"CREATE SCHEMA sluice AUTHORIZATION {role}")
    said(copy.once(rc=3), "public", "permission denied")
    checked = copy.engine.cmd("check", str(copy.path))
    assert checked.rc != 0 and "GRANT" in checked.stdout and role in checked.stdout, checked.describe()
    target.execute(f"GRANT USAGE, CREATE ON SCHEMA public TO {role}")
    copy.once()
    copy.compare_tables(["public.t"])


def test_state_tables_of_others(replica, db, target, role):
    """Made by another role: check says which GRANTs are missing, and they are enough."""
    db.execute(*BASE)
    target.execute("CREATE TABLE t (id int PRIMARY KEY, v text)", f"GRANT ALL ON t TO {role}",
                   f"GRANT USAGE ON SCHEMA public TO {role}")
    first = replica()
    first.once()
    target.execute("TRUNCATE t")
    copy = replica(name="p2_" + role, sink={"user": role, "password": "low"})
    said(copy.once(rc=3), "permission denied")
    target.execute(f"GRANT USAGE ON SCHEMA sluice TO {role}",
                   f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sluice TO {role}")
    checked = copy.engine.cmd("check", str(copy.path))
    assert f'GRANT USAGE ON ALL SEQUENCES IN SCHEMA "sluice" TO {role}' in checked.stdout, checked.describe()
    target.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA sluice TO {role}")
    checked = copy.engine.cmd("check", str(copy.path))
    assert "SEQUENCES" not in checked.stdout
    copy.once()
    copy.compare_tables(["public.t"])


def test_table_of_others_without_rights(replica, db, target, role):
    db.execute(*BASE)
    target.execute(f"CREATE SCHEMA sluice AUTHORIZATION {role}", f"GRANT USAGE ON SCHEMA public TO {role}",
                   "CREATE TABLE t (id int PRIMARY KEY, v text)", f"GRANT SELECT ON t TO {role}")
    copy = replica(sink={"user": role, "password": "low"})
    failed = copy.once(rc=None)
    assert failed.rc in (1, 3)
    said(failed, "permission denied for table t", "INSERT, UPDATE, DELETE")
    target.execute(f"GRANT INSERT, UPDATE, DELETE, TRUNCATE ON t TO {role}")
    copy.once()
    copy.compare_tables(["public.t"])


def test_other_columns(replica, db, target):
    """The difference, column by column; nothing is written."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text, n numeric(10,2), d date)", "INSERT INTO t VALUES (1)")
    target.execute("CREATE TABLE t (id int PRIMARY KEY, n point, d date, must int NOT NULL)")
    failed = replica(sink={"auto_create": False}).once(rc=None)
    assert failed.rc in (1, 2, 3)
    said(failed, "public.t", "v")
    assert "must" in failed.stderr or "n " in failed.stderr, failed.describe()
    assert target.value("SELECT count(*) FROM t") == 0


def test_not_null_without_default(replica, db, target):
    db.execute(*BASE)
    target.execute("CREATE TABLE t (id int PRIMARY KEY, v text, must int NOT NULL)")
    copy = replica()
    failed = copy.once(rc=None)
    assert failed.rc in (1, 2)
    said(failed, "public.t", "must", "NOT NULL")
    target.execute("ALTER TABLE t ALTER must SET DEFAULT 7")
    copy.once()
    assert target.query("SELECT DISTINCT must FROM t") == [(7,)]
    assert set(target.query("SELECT id, v FROM t")) == set(db.query("SELECT * FROM t"))


def test_key_missing(replica, db, target):
    db.execute("CREATE TABLE t (a int, v text)", "INSERT INTO t VALUES (1, 'a')")
    failed = replica(source={"without_identity": "insert_only"}, write={"key": ["nope"]}).once(rc=None)
    assert failed.rc in (1, 2)
    said(failed, "public.t", "nope")
    assert target.value("SELECT to_regclass('t') IS NULL")


@pytest.mark.parametrize("rows", ["stop", "dlq", "skip"])
@pytest.mark.parametrize("small_rows", [0, 64])
def test_unique_index_of_another_column(replica, db, target, rows, small_rows):
    """Found exactly: all others are stored."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'a')")
    target.execute("CREATE TABLE t (id int PRIMARY KEY, v text UNIQUE)")
    copy = replica(sink={"small_rows": small_rows}, more={"on_error": {"rows": rows}})
    result = copy.once(rc=1 if rows == "stop" else 4)
    if rows == "stop":
        said(result, "t_v_key", "duplicate key")
        assert target.value("SELECT count(*) FROM t") == 0
        return
    stored = set(target.query("SELECT * FROM t"))
    assert len(stored) == 2 and (2, "b") in stored
    db.execute("BEGIN; INSERT INTO t SELECT i, 'x' || i FROM generate_series(10, 99) i;"
               " INSERT INTO t VALUES (4, 'b'), (5, 'c'); COMMIT", "UPDATE t SET v = 'c' WHERE id = 2")
    copy.once(rc=4)
    assert dict(target.query("SELECT v, id FROM t WHERE id IN (2, 4, 5)")) == {"b": 2, "c": 5}
    assert target.value("SELECT count(*) FROM t WHERE id BETWEEN 10 AND 99") == 90
    letters = target.query("SELECT op, row ->> 'id', sqlstate FROM sluice.letters ORDER BY id")
    assert [letter[2] for letter in letters] == (["23505"] * 3 if rows == "dlq" else [])


def test_trigger_that_raises(replica, db, target):
    db.execute(*BASE)
    target.execute("CREATE TABLE t (id int PRIMARY KEY, v text)",
                   "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = 13 THEN RAISE"
                   " EXCEPTION 'thirteen is not welcome'; END IF; RETURN NEW; END $$",
                   "CREATE TRIGGER no BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION no()")
    copy = replica()
    failed = copy.once(rc=1)
    said(failed, "public.t", "thirteen is not welcome", "trigger")
    assert target.value("SELECT count(*) FROM t") == 0
    target.execute("DROP TRIGGER no ON t")
    copy.once()
    copy.compare_tables(["public.t"])


@pytest.mark.parametrize("when", ["load", "changes"])
def test_lock_held_by_another_session(replica, db, target, when):
    """Who holds it is said; once it is let go, the run goes on."""
    db.execute(*BASE)
    copy = replica(sink={"lock_timeout": "300ms"})
    if when == "changes":
        copy.once()
        db.execute("UPDATE t SET v = 'new'")
    else:
        target.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
        copy.mode = "full_load_only"  # a slot would wait for the other's transaction
        copy.write()
    with target.connect(autocommit=False, application_name="nightly report") as other:
        other.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        pid = other.info.backend_pid
        failed = copy.once(rc=None)
        assert failed.rc in (1, 3), failed.describe()
        said(failed, "lock timeout", f"pid {pid}", "nightly report", "AccessExclusiveLock", "lock_timeout")
    copy.once()
    copy.compare_tables(["public.t"])


def test_waiting_for_a_lock(replica, db, target):
    """A lock that is let go in time takes no run away."""
    db.execute(*BASE)
    copy = replica()
    copy.once()
    run = copy.start()
    run.wait_output("following changes", 30)
    with target.connect(autocommit=False) as other:
        other.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        db.execute("UPDATE t SET v = 'again'")
        time.sleep(1.5)
        assert run.poll() is None
        other.rollback()
    copy.wait_for(lambda: not target.value("SELECT count(*) FROM t WHERE v <> 'again'"), "the change", run, 30)
    run.terminate()
    run.wait(30).expect(0)
    copy.compare_tables(["public.t"])


@pytest.mark.parametrize("damage, words", [
    ("ALTER TABLE sluice.lanes DROP COLUMN epoch", ("sluice.lanes was altered", "state_schema")),
    ("UPDATE sluice.meta SET format = 99", ("have format 99", "use the version that made them")),
    ("DELETE FROM sluice.lanes WHERE run IS NULL", ("commits are gone from the target",)),
    ("UPDATE sluice.lanes SET token = '\\x00' WHERE run IS NULL", ("token",)),
])
def test_own_tables_altered(replica, db, target, damage, words):
    db.execute(*BASE)
    copy = replica()
    copy.once()
    db.execute("INSERT INTO t VALUES (100, 'x')")
    copy.once()
    target.execute(damage)
    db.execute("INSERT INTO t VALUES (101, 'y')")
    failed = copy.once(rc=None)
    assert failed.rc in (1, 3), failed.describe()
    said(failed, *words)
    assert target.value("SELECT count(*) FROM t WHERE id = 101") == 0


def test_two_engines_on_one_target(replica, db, target, engine, workdir):
    """Another state folder, the same pipeline: the older process is fenced off, and no row is there twice."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)", "CREATE TABLE h (v text)",
               "ALTER TABLE h REPLICA IDENTITY FULL", "INSERT INTO h VALUES ('first')")
    copy = replica()
    copy.once()
    one = copy.start()
    one.wait_output("following changes", 30)
    other = workdir / "other_state"
    two = engine.cmd("run", str(copy.path), "--once", "--set", f"state.uri=file:{other}", timeout=60)
    # It has no progress of its own, and must not take the target's for it.
    assert two.rc in (1, 3), two.describe()
    db.execute("INSERT INTO h VALUES ('second')", "INSERT INTO t VALUES (1, 'x')")
    copy.wait_for(lambda: target.value("SELECT count(*) FROM h") >= 2 or one.poll() is not None, "the row", None, 30)
    if one.poll() is None:
        one.terminate()
    ended = one.wait(30)
    assert ended.rc in (0, 1, 3), ended.describe()
    copy.once()
    copy.compare_tables(["public.t", "public.h"])


def test_many_columns_empty_tables_and_names(replica, db, target):
    long = "n" * 63
    db.execute(f"CREATE TABLE wide (id int PRIMARY KEY, {', '.join(f'c{i} int' for i in range(1000))})",
               "INSERT INTO wide (id, c0, c999) SELECT i, i, -i FROM generate_series(1, 200) i",
               "CREATE TABLE empty (id int PRIMARY KEY, v text)",
               'CREATE SCHEMA "Odd ""schema"". é"',
               'CREATE TABLE "Odd ""schema"". é"."a.b; DROP TABLE x -- "'
               ' ("Id ""q""" int PRIMARY KEY, "new\nline" text)',
               'INSERT INTO "Odd ""schema"". é"."a.b; DROP TABLE x -- " VALUES (1, $$x\'"\\$$)',
               f'CREATE TABLE "{long}" ("{long}" int PRIMARY KEY)', f'INSERT INTO "{long}" VALUES (1)')
    tables = ["public.wide", "public.empty", f'public."{long}"', '"Odd ""schema"". é"."a.b; DROP TABLE x -- "']
    copy = replica(tables=["*.*"], sink={"small_rows": 0})
    copy.once()
    db.execute("UPDATE wide SET c5 = 5", "INSERT INTO empty VALUES (1, 'x')",
               'UPDATE "Odd ""schema"". é"."a.b; DROP TABLE x -- " SET "new\nline" = NULL',
               f'UPDATE "{long}" SET "{long}" = 2')
    copy.once()
    copy.compare_tables(tables)


def test_names_that_are_too_long(replica, db, target):
    long = "n" * 60
    db.execute(f'CREATE TABLE "{long}" (id int PRIMARY KEY)', f'INSERT INTO "{long}" VALUES (1)')
    route = {"prefix": "copied_"}
    failed = replica(more={"route": route}).once(rc=None)
    assert failed.rc in (1, 2), failed.describe()
    said(failed, f"copied_{long[:20]}", "63", "long_names")
    replica(more={"route": {**route, "long_names": "hash"}}, name=f"hashed_{db.name[-10:]}").once()
    [(name,)] = target.query("SELECT relname FROM pg_class WHERE relname LIKE 'copied%' AND relkind = 'r'")
    assert len(name) <= 63 and target.query(f'SELECT * FROM "{name}"') == [(1,)]


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT RUN: mounting a small file system needs root")
def test_disk_full(replica, db, target, workdir):
    """Nothing half-applied; with room again the run goes on."""
    small = workdir / "small"
    small.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m,mode=777", "tmpfs", str(small)], capture_output=True)
    if done.returncode != 0:
        pytest.skip(f"NOT RUN: mount: {done.stderr.decode()}")
    try:
        space = f"small_{target.name[-12:]}"
        for folder in (workdir, *list(workdir.parents)[:1]):
            folder.chmod(0o755)
        subprocess.run(["chown", target.server.user, str(small)], check=True)
        target.execute(f"CREATE TABLESPACE {space} LOCATION '{small}'",
                       f"CREATE TABLE t (id int PRIMARY KEY, v text) TABLESPACE {space}")
        db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a')")
        copy = replica()
        copy.once()
        db.execute("INSERT INTO t SELECT i, repeat(md5(i::text), 20) FROM generate_series(2, 20000) i",
                   "UPDATE t SET v = 'b' WHERE id = 1")
        failed = copy.once(rc=None)
        assert failed.rc in (1, 3), failed.describe()
        said(failed, "No space left on device", "disk is full")
        assert target.query("SELECT id, v FROM t") == [(1, "a")]
        subprocess.run(["mount", "-o", "remount,size=100m", str(small)], check=True)
        copy.once()
        copy.compare_tables(["public.t"])
        target.execute("DROP TABLE t", f"DROP TABLESPACE {space}")
    finally:
        subprocess.run(["umount", "-l", str(small)], check=False)


def test_an_unfinished_commit_setting(replica, db, target):
    """The source may forget what the target committed: a commit waits for the log whatever the role says."""
    db.execute(*BASE)
    target.execute(f'ALTER DATABASE "{target.name}" SET synchronous_commit = off',
                   "CREATE TABLE seen (setting text)",
                   "CREATE TABLE t (id int PRIMARY KEY, v text)",
                   "CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen VALUES"
                   " (current_setting('synchronous_commit')); RETURN NULL; END $$",
                   "CREATE TRIGGER look AFTER INSERT OR UPDATE ON t FOR EACH STATEMENT EXECUTE FUNCTION look()")
    copy = replica()
    copy.once()
    db.execute("UPDATE t SET v = 'x' WHERE id = 1")
    copy.once()
    assert target.query("SELECT DISTINCT setting FROM seen") == [("on",)]


def test_collation_comes_along(replica, db, target):
    db.execute('CREATE TABLE t (id int PRIMARY KEY, v text COLLATE "C", w varchar(5) COLLATE "POSIX", x text)',
               "INSERT INTO t VALUES (1, 'a', 'b', 'c')")
    replica().once()
    assert target.query("SELECT attname, collname FROM pg_attribute a JOIN pg_collation c ON c.oid = attcollation"
                        " WHERE attrelid = 't'::regclass AND attnum > 0 ORDER BY attnum") == [
        ("v", "C"), ("w", "POSIX"), ("x", "default")]
