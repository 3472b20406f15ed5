"""What cannot work says so: the exit code, the reason, and what to do, before anything is made or lost."""

from __future__ import annotations

import re

import pytest
from support import pg, pipe


@pytest.fixture
def make_pipe(engine, db):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a')")
    made = []

    def make(on=None, **more):
        made.append(pipe.Pipe(engine, on or db, None, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()


# A configuration that does not fit the server, seen from either side.
EITHER = (2, 3)


def refused(made: pipe.Pipe, rc: int | tuple[int, ...], *patterns: str) -> str:
    result = made.once(rc=None, timeout=60)
    assert result.rc in (rc if isinstance(rc, tuple) else (rc,)), result.describe()
    for pattern in patterns:
        assert re.search(pattern, result.output, re.IGNORECASE), f"no {pattern!r} in\n{result.describe()}"
    assert not made.keys()
    return result.output


def untouched(db) -> None:
    assert db.value("SELECT count(*) FROM pg_publication") == 0
    assert db.value("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()"
                    " AND slot_name LIKE 'sluice%'") == 0


def test_server_is_not_logical(engine):
    server = pg.PgServer.create({"wal_level": "replica"})
    try:
        with server.database() as db:
            db.execute("CREATE TABLE t (id int PRIMARY KEY)")
            made = pipe.Pipe(engine, db)
            refused(made, EITHER, "wal_level", "ALTER SYSTEM SET wal_level")
            untouched(db)
            said = engine.cmd("check", str(made.path))
            assert said.rc != 0 and "wal_level" in said.output
    finally:
        server.destroy()


def test_no_slots_or_senders_left(engine):
    server = pg.PgServer.create({"max_replication_slots": "1"})
    try:
        with server.database() as db:
            db.execute("CREATE TABLE t (id int PRIMARY KEY)")
            db.query("SELECT pg_create_logical_replication_slot('other', 'test_decoding')")
            refused(pipe.Pipe(engine, db), 3, "max_replication_slots")
    finally:
        server.destroy()


@pytest.fixture
def role(db):
    name = f"plain_{db.name}"
    db.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'pw'", f"GRANT CREATE ON DATABASE {db.name} TO {name}")
    yield name
    db.execute(f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def test_no_replication_right(make_pipe, db, role):
    db.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}", f"ALTER TABLE t OWNER TO {role}")
    refused(make_pipe(source={"user": role, "password": "pw"}), 3, "REPLICATION", rf"ALTER ROLE \"?{role}")
    untouched(db)
    db.execute("ALTER TABLE t OWNER TO CURRENT_USER")


def test_no_right_to_publish(make_pipe, db, role):
    db.execute(f"ALTER ROLE {role} REPLICATION", f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    refused(make_pipe(source={"user": role, "password": "pw"}), 3, "publication", r"public\.t|CREATE PUBLICATION")
    untouched(db)


def test_slot_of_another_plugin(make_pipe, db):
    db.query("SELECT pg_create_logical_replication_slot(%s, 'test_decoding')", [f"s_{db.name}"])
    refused(make_pipe(source={"slot": f"s_{db.name}"}), 3, f"s_{db.name}", "test_decoding", "pgoutput")


def test_physical_slot(make_pipe, db):
    db.query("SELECT pg_create_physical_replication_slot(%s)", [f"s_{db.name}"])
    try:
        refused(make_pipe(source={"slot": f"s_{db.name}"}), 3, f"s_{db.name}", "physical|logical")
    finally:
        db.query("SELECT pg_drop_replication_slot(%s)", [f"s_{db.name}"])


def test_slot_of_another_database(make_pipe, db, pg_server):
    with pg_server.database("o") as other:
        other.query("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [f"s_{db.name}"])
        refused(make_pipe(source={"slot": f"s_{db.name}"}), 3, f"s_{db.name}", other.name)


def test_slot_in_use(make_pipe, engine, db):
    """By another pipeline: named with its process id; when that ends, it works."""
    first = make_pipe(name=f"first_{db.name}", source={"slot": f"s_{db.name}", "publication": "shared"})
    run = first.start()
    first.wait_loaded(["public.t"], run)
    db.execute("INSERT INTO t VALUES (2, 'b')")
    first.wait_caught_up(run)
    pid = first.slot_row()["active_pid"]
    second = make_pipe(name=f"second_{db.name}", source={"slot": f"s_{db.name}", "publication": "shared"},
                       on_error={"retry": {"max": 2, "backoff": "10ms", "cap": "50ms"}})
    result = second.once(rc=None, timeout=90)
    assert result.rc == 3 and str(pid) in result.output and f"s_{db.name}" in result.output, result.describe()
    assert run.poll() is None
    run.terminate()
    run.wait(60).expect(0)
    first.once()
    assert str(first.compare(["public.t"])) == "lost=0 dup=0 diff=0"


@pytest.mark.parametrize("name", ["Upper", "with-dash", "x" * 64, "ünïcode", "a b", ""])
def test_invalid_slot_name(make_pipe, db, name):
    refused(make_pipe(source={"slot": name}), 2, "slot", r"a-z|lower|63|letters|empty|name")
    untouched(db)


def test_publication_is_not_there(make_pipe, db):
    refused(make_pipe(source={"publication": "mine", "publication_mode": "existing"}), EITHER, "mine",
            r"CREATE PUBLICATION")
    untouched(db)


def test_publication_without_a_table(make_pipe, db):
    db.execute("CREATE TABLE u (id int PRIMARY KEY)", "CREATE PUBLICATION mine FOR TABLE t")
    refused(make_pipe(source={"publication": "mine", "publication_mode": "existing"}), EITHER, "mine",
            r'ALTER PUBLICATION "?mine"? ADD TABLE (ONLY )?"?public"?."?u"?')
    assert db.value("SELECT count(*) FROM pg_publication_tables") == 1


def test_publication_without_an_operation(make_pipe, db):
    """A publication that leaves deletes out would lose them without a word."""
    db.execute("CREATE PUBLICATION mine FOR TABLE t WITH (publish = 'insert, update')")
    refused(make_pipe(source={"publication": "mine", "publication_mode": "existing"}), EITHER, "mine",
            "delete|truncate")


@pytest.mark.parametrize("where", ["start_lsn", "until"])
def test_lsn_in_the_future(make_pipe, db, where):
    made = make_pipe(mode="cdc_only", source={"start_lsn": "FFFF/0"} if where == "start_lsn" else {})
    if where == "until":
        result = made.once("--until", "not a position", rc=2)
        assert "until" in result.output
        return
    refused(made, 2, "FFFF/0", "future|not reached|beyond|ahead|ends at|greater|later")


@pytest.mark.parametrize("text", ["", "0", "16/B374D848/1", "x/y", "1FFFFFFFF/0", "-1/0"])
def test_lsn_malformed(make_pipe, db, text):
    refused(make_pipe(mode="cdc_only", source={"start_lsn": text}), 2, "start_lsn")
    untouched(db)


def test_start_lsn_needs_cdc_only(make_pipe, db):
    lsn = db.value("SELECT pg_current_wal_lsn()::text")
    refused(make_pipe(source={"start_lsn": lsn}), 2, "start_lsn", "cdc_only")


def test_column_named_like_ours(make_pipe, db):
    db.execute("CREATE TABLE clash (id int PRIMARY KEY, _op text)")
    output = refused(make_pipe(tables=["public.clash"]), (1, 2), "_op", "metadata_prefix", r"public\.clash")
    assert "metadata_prefix" in output


def test_unlogged_and_views_have_no_changes(make_pipe, db):
    db.execute("CREATE UNLOGGED TABLE quick (id int PRIMARY KEY)", "CREATE VIEW v AS SELECT * FROM t")
    result = make_pipe(tables=["public.quick"]).once(rc=None)
    assert result.rc == 2 and "public.quick" in result.output and "no changes" in result.output, result.describe()
