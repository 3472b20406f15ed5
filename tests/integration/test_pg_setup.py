"""The PostgreSQL source made ready for a feed: identities, partitions, publication, slot, snapshot, rights.
Driven by pg_setup, without the engine."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from support import pg
from support.pgreader import role
from support.pgsetup import Setup, find_setup, make_tables

CAN_CHANGES, INSERT_ONLY, NO_LOAD = 1, 2, 16
SYNC = "SET synchronous_commit = on"
BEFORE_NONE, BEFORE_KEY, BEFORE_FULL = 0, 1, 2


@pytest.fixture(scope="session")
def setup_binary() -> Path:
    return find_setup()


@pytest.fixture
def made(db: pg.PgDatabase, setup_binary: Path) -> Setup:
    make_tables(db)
    return Setup(db, setup_binary)


# ---------------------------------------------------------------- the first start


def test_first_start(made: Setup):
    answer = made.ok("public.t", "public.u")
    assert made.slots() == [made.name] and made.publications() == [made.name]
    assert made.published() == ["t", "u"]
    assert answer.streams["public.t"] == [str(CAN_CHANGES), str(BEFORE_KEY), "id", "id,v", answer.start, ""]
    assert answer.streams["public.u"][2] == "b,a"
    assert answer.rows == {"public.t": 100, "public.u": 1}
    assert answer.start == made.confirmed()
    assert f"slot={made.name}" in answer.created and f"publication={made.name}" in answer.created
    assert "system=" in answer.field("info", 1) and "timeline=1" in answer.field("info", 1)
    comment = made.db.value("SELECT obj_description(oid, 'pg_publication') FROM pg_publication")
    assert comment == f"sluice: made for pipeline {made.pipeline}"


def test_snapshot_is_the_slots(made: Setup):
    """What is committed after open is not in the load; what the slot holds begins exactly there."""
    child, head = made.pause("public.t", "--done")
    made.db.execute("INSERT INTO t SELECT i, 'late' FROM generate_series(101, 150) i", "UPDATE t SET v = 'x'")
    made.db.execute(f"SELECT pg_export_snapshot()")
    answer = made.finish(child, "\n\n", head)
    assert answer.rc == 0 and answer.rows == {"public.t": 100}


@pytest.mark.parametrize("statement", [
    "TRUNCATE t", "ALTER TABLE t ALTER v TYPE varchar(5)", "ALTER TABLE t RENAME v TO w", "ALTER TABLE t DROP v",
    "DROP TABLE t", "ALTER TABLE t RENAME TO other"])
def test_table_changed_before_it_was_read(made: Setup, statement: str):
    """The snapshot cannot show it any more: it is loaded anew, under another one."""
    child, head = made.pause("public.t")
    made.db.execute(statement)
    answer = made.finish(child, "\n", head)
    assert answer.rc == 1 and "load:public.t:0001: SNAPSHOT_LOST: " in answer.err, answer.err


def test_load_points_are_exact_under_writes(made: Setup):
    """Each snapshot holds exactly the transactions whose commits end at or before its position."""
    made.ok("public.t")
    stop = threading.Event()

    def write(n: int) -> None:
        with made.db.connect() as conn:
            i = 0
            while not stop.is_set():
                conn.execute("INSERT INTO t VALUES (%s, 'w')", [1000 + n * 1000000 + i])
                i += 1

    writers = [threading.Thread(target=write, args=[n]) for n in range(3)]
    for thread in writers:
        thread.start()
    try:
        answers = [made.ok("public.t") for _ in range(4)]
    finally:
        stop.set()
        for thread in writers:
            thread.join()
    changes = made.db.query(
        "SELECT lsn - '0/0'::pg_lsn, get_byte(data, 0) FROM pg_logical_slot_peek_binary_changes(%s, NULL, NULL,"
        " 'proto_version', '1', 'publication_names', %s)", [made.name, made.name])
    for answer in answers:
        point = int(answer.streams["public.t"][4], 16)
        inserts = sum(1 for lsn, kind in changes if kind == ord("C") and lsn <= point)
        assert answer.rows["public.t"] == 100 + inserts


def test_cdc_only_begins_now(made: Setup):
    answer = made.ok("--mode", "cdc_only", "-public.t")
    assert list(answer.shards) == ["pg/changes"]
    assert answer.streams["public.t"][4] == ""
    assert answer.start == made.confirmed()


def test_restart_without_load(made: Setup):
    first = made.ok("public.t")
    answer = made.ok("-public.t", "--resume", first.start, "--created", first.created)
    assert list(answer.shards) == ["pg/changes"] and answer.start == first.start
    assert answer.created == first.created
    assert made.slots() == [made.name]


def test_crash_before_the_first_state(made: Setup):
    """The slot is there, nothing is remembered: the feed begins where the slot stands, the tables are
    loaded under a temporary slot's snapshot."""
    first = made.ok("public.t")
    made.db.execute("INSERT INTO t VALUES (1000, 'between')")
    answer = made.ok("public.t")
    assert answer.start == first.start
    assert answer.streams["public.t"][4] > first.start
    assert answer.rows == {"public.t": 101}
    assert made.slots() == [made.name]


def test_table_added(made: Setup):
    first = made.ok("public.t")
    answer = made.ok("-public.t", "public.u", "--resume", first.start)
    assert made.published() == ["t", "u"]
    assert answer.start == first.start
    assert answer.streams["public.t"][4] == "" and answer.streams["public.u"][4] >= first.start
    assert answer.rows == {"public.u": 1}
    answer = made.ok("-public.t", "--resume", first.start)
    assert made.published() == ["t"]


def test_temporary_slot_ends_with_the_load(made: Setup):
    first = made.ok("public.t")
    child, head = made.pause("-public.t", "public.u", "--resume", first.start, "--done")
    assert len(made.slots()) == 2
    child.stdin.write("\n")
    child.stdin.flush()
    for line in child.stdout:
        if line.strip() == "done":
            break
    deadline = time.monotonic() + 10
    while len(made.slots()) == 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert made.slots() == [made.name]
    assert made.finish(child, "\n", head).rc == 0


def test_waits_for_old_transactions(made: Setup):
    with made.db.connect(autocommit=False) as conn:
        conn.execute("INSERT INTO t VALUES (5000, 'open')")
        pid = conn.info.backend_pid
        child = made.start("--verbose", "public.t")
        time.sleep(7)
        assert child.poll() is None
        conn.commit()
    answer = made.finish(child)
    assert answer.rc == 0, answer.err
    assert "waits for an older transaction" in answer.err and f"pid={pid}" in answer.err
    assert answer.rows == {"public.t": 101}


def test_once_and_until(made: Setup):
    first = made.ok("public.t")
    made.db.execute("INSERT INTO t VALUES (1000, 'x')")
    before = made.lsn()
    answer = made.ok("-public.t", "--resume", first.start, "--once")
    assert int(answer.field("feed", 2), 16) >= int(before, 16)
    answer = made.ok("-public.t", "--resume", first.start, "--until", "16/B374D848")
    assert answer.field("feed", 3) == "16b374d848"
    answer = made.ok("-public.t", "--resume", first.start, "--until", "2026-11-23T00:52:34.5+01:00")
    assert answer.field("feed", 4) == "1795391554500000"
    for wrong in ("soon", "2026-02-29T00:00:00Z", "2026-11-23T25:00:00Z", "0/XYZ"):
        assert "INVALID" in made.fail("-public.t", "--resume", first.start, "--until", wrong)


# ---------------------------------------------------------------- options


@pytest.mark.parametrize("slot", ["Upper", "a-b", "", "x" * 64, "ü", "a b", 'a";drop'])
def test_bad_slot_names(made: Setup, slot: str):
    assert "create: INVALID: option slot" in made.fail("public.t", slot=slot)
    made.nothing_made()


def test_names_given(made: Setup):
    answer = made.ok("public.t", slot="my_slot_" + made.pipeline, publication='My "pub" ü')
    assert made.slots() == ["my_slot_" + made.pipeline] and made.publications() == ['My "pub" ü']
    assert 'publication="My ""pub"" ü"' in answer.created
    made.ok("--do", "retire", "--created", answer.created, slot="my_slot_" + made.pipeline)
    made.nothing_made()


def test_default_names(made: Setup):
    made.pipeline = "a-b.c"
    try:
        made.ok("public.t")
        (slot,) = made.slots()
        assert slot.startswith("sluice_a_b_c_") and slot == made.publications()[0]
    finally:
        made.ok("--do", "retire")
    made.pipeline = "x" * 63
    try:
        made.ok("public.t")
        (slot,) = made.slots()
        assert len(slot) == 63
    finally:
        made.ok("--do", "retire")
    made.nothing_made()


def test_start_lsn(made: Setup):
    now = made.db.value("SELECT pg_current_wal_lsn()")
    assert "create: INVALID" in made.fail("-public.t", "--mode", "cdc_only", start_lsn="12")
    assert "INVALID (fatal): option start_lsn is for" in made.fail("public.t", start_lsn=now)
    err = made.fail("-public.t", "--mode", "cdc_only", start_lsn="FFFF/0")
    assert "INVALID (fatal)" in err and "in the future" in err
    err = made.fail("-public.t", "--mode", "cdc_only", start_lsn=now)
    assert "POSITION_LOST (fatal)" in err and "no slot" in err
    assert made.slots() == []
    first = made.ok("-public.t", "--mode", "cdc_only")
    made.db.execute(SYNC, "INSERT INTO t VALUES (1001, 'x')")
    later = made.db.value("SELECT pg_current_wal_lsn()")
    answer = made.ok("-public.t", "--mode", "cdc_only", start_lsn=later)
    assert answer.start > first.start
    err = made.fail("-public.t", "--mode", "cdc_only", start_lsn="0/1")
    assert "POSITION_LOST (fatal)" in err and "lies before" in err


def test_version_options(made: Setup):
    """What the server is too old for is said before anything is made."""
    version = made.db.value("SELECT current_setting('server_version_num')::int")
    if version >= 160000:
        pytest.skip("the server knows it all")
    err = made.fail("public.t", origin="none")
    assert "origin: none needs PostgreSQL 16" in err
    assert "failover: on needs" in made.fail("public.t", failover="on")
    made.nothing_made()


def test_binary(made: Setup):
    assert made.ok("public.t", binary="auto").field("feed", 5) == "1"
    assert made.ok("public.t", binary="off").field("feed", 5) == "0"
    made.db.execute("CREATE TABLE n (id int PRIMARY KEY, v int[])")
    assert made.ok("public.t", "public.n").field("feed", 5) == "0"
    assert "binary: on" in made.fail("public.t", "public.n", binary="on")


def test_messages(made: Setup):
    answer = made.ok("public.t", "-pg_logical_message", messages="true")
    stream = answer.streams["pg_logical_message"]
    assert stream[0] == str(CAN_CHANGES | INSERT_ONLY | NO_LOAD)
    assert stream[3] == "prefix,content,transactional"
    found = made.ok("--do", "discover", messages="true").streams
    assert found["pg_logical_message"][0] == stream[0]
    assert "pg_logical_message" not in made.ok("--do", "discover").streams


# ---------------------------------------------------------------- identities


def test_identities(made: Setup):
    made.db.execute(
        "CREATE TABLE f (id int PRIMARY KEY, v text)", "ALTER TABLE f REPLICA IDENTITY FULL",
        "CREATE TABLE fk (v text)", "ALTER TABLE fk REPLICA IDENTITY FULL",
        "CREATE TABLE i (id int PRIMARY KEY, k text NOT NULL UNIQUE)",
        "ALTER TABLE i REPLICA IDENTITY USING INDEX i_k_key",
    )
    answer = made.ok("public.f", "public.fk", "public.i")
    assert answer.streams["public.f"][1:3] == [str(BEFORE_FULL), "id"]
    assert answer.streams["public.fk"][1:3] == [str(BEFORE_FULL), ""]
    assert answer.streams["public.i"][1:3] == [str(BEFORE_KEY), "k"]


def test_without_identity_is_refused(made: Setup):
    made.db.execute(
        "CREATE TABLE n (id int)", "CREATE TABLE n2 (id int NOT NULL UNIQUE)",
        "CREATE TABLE n3 (id int PRIMARY KEY)", "ALTER TABLE n3 REPLICA IDENTITY NOTHING",
        "CREATE TABLE n4 (id int PRIMARY KEY DEFERRABLE)",
        "CREATE TABLE n5 (id int, k int NOT NULL UNIQUE)",
        "ALTER TABLE n5 REPLICA IDENTITY USING INDEX n5_k_key", "ALTER TABLE n5 DROP CONSTRAINT n5_k_key",
    )
    err = made.fail("public.t", *(f"public.{n}" for n in ("n", "n2", "n3", "n4", "n5")))
    assert "INVALID (fatal): 5 of the chosen tables have no replica identity" in err
    statements = [
        'ALTER TABLE public.n REPLICA IDENTITY FULL',
        'ALTER TABLE public.n2 REPLICA IDENTITY USING INDEX n2_id_key',
        'ALTER TABLE public.n3 REPLICA IDENTITY DEFAULT',
        'ALTER TABLE public.n4 REPLICA IDENTITY FULL',
        'ALTER TABLE public.n5 REPLICA IDENTITY FULL',
    ]
    for statement in statements:
        assert statement in err
    made.nothing_made()
    made.db.execute(*statements)
    made.ok("public.t", *(f"public.{n}" for n in ("n", "n2", "n3", "n4", "n5")))
    made.db.execute(*(f"UPDATE {n} SET id = id" for n in ("n", "n2", "n3", "n4", "n5")))


def test_insert_only(made: Setup):
    made.db.execute("CREATE TABLE n (id int)", "INSERT INTO n VALUES (1)")
    answer = made.ok("public.t", "public.n", without_identity="insert_only")
    assert answer.streams["public.n"][:3] == [str(CAN_CHANGES | INSERT_ONLY), str(BEFORE_NONE), ""]
    assert answer.streams["public.t"][:2] == [str(CAN_CHANGES), str(BEFORE_KEY)]
    assert made.published() == ["t"] and made.published(made.name + "_ins") == ["n"]
    made.db.execute("UPDATE n SET id = 2", "DELETE FROM n")
    # It gets a key later: it moves to the publication of all changes.
    made.db.execute("ALTER TABLE n ADD PRIMARY KEY (id)")
    answer = made.ok("-public.t", "-public.n", "--resume", answer.start, without_identity="insert_only")
    assert answer.streams["public.n"][0] == str(CAN_CHANGES)
    assert made.published() == ["n", "t"]
    made.ok("--do", "retire", "--created", answer.created)
    made.nothing_made()


def test_what_cannot_be_captured(made: Setup):
    made.db.execute(
        "CREATE VIEW v AS SELECT * FROM t", "CREATE MATERIALIZED VIEW m AS SELECT * FROM t",
        "CREATE UNLOGGED TABLE ul (id int PRIMARY KEY)",
    )
    err = made.fail("public.v", "public.m", "public.ul", "public.t")
    assert "INVALID (fatal): 3 of the chosen tables have no changes to capture" in err
    assert "public.v is a view" in err and "public.ul is unlogged" in err
    made.nothing_made()
    found = made.ok("--do", "discover").streams
    assert {name: int(stream[0]) & CAN_CHANGES for name, stream in found.items()} == {
        "public.t": 1, "public.u": 1, "public.v": 0, "public.m": 0, "public.ul": 0}
    # Loaded beside, without changes.
    answer = made.ok("+public.v", "public.t")
    assert answer.rows == {"public.v": 100, "public.t": 100}
    assert made.published() == ["t"]


def test_key_columns_stay(made: Setup):
    err = made.fail("public.t", "--exclude", "id")
    assert 'INVALID (fatal): table public.t: its key column "id" is excluded' in err
    made.nothing_made()
    made.db.execute("CREATE TABLE g (a int, k int GENERATED ALWAYS AS (a * 2) STORED PRIMARY KEY)")
    assert "is generated" in made.fail("public.g")


def test_generated_columns(made: Setup):
    made.db.execute("CREATE TABLE g (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2) STORED)")
    columns = made.ok("public.g").streams["public.g"][3]
    version = made.db.value("SELECT current_setting('server_version_num')::int")
    assert columns == ("id,a,b" if version >= 180000 else "id,a")


@pytest.mark.slow
def test_more_tables_than_one_statement_takes(made: Setup):
    made.db.execute("DO $$ BEGIN FOR i IN 1..2100 LOOP EXECUTE format('CREATE TABLE m%s (id int PRIMARY KEY)', i);"
                    " IF i % 500 = 0 THEN COMMIT; END IF; END LOOP; END $$")
    names = [f"public.m{i}" for i in range(1, 2101)]
    answer = made.ok("--mode", "cdc_only", *[f"-{name}" for name in names])
    assert len(answer.streams) == 2100 and len(made.published()) == 2100
    answer = made.ok("--mode", "cdc_only", "-public.t", "--resume", answer.start)
    assert made.published() == ["t"]
    made.ok("--mode", "cdc_only", "-public.t", *[f"-{name}" for name in names], "--resume", answer.start)
    assert len(made.published()) == 2101


def test_inherited_tables(made: Setup):
    made.db.execute("CREATE TABLE child (more int, PRIMARY KEY (id)) INHERITS (t)",
                    "INSERT INTO child VALUES (7, 'c', 1)")
    answer = made.ok("public.t")
    assert answer.rows == {"public.t": 100} and made.published() == ["t"]


# ---------------------------------------------------------------- partitions


@pytest.fixture
def partitioned(made: Setup) -> Setup:
    made.db.execute(
        "CREATE TABLE p (id int, k int, v text, PRIMARY KEY (id, k)) PARTITION BY LIST (k)",
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
        "CREATE TABLE p2 (v text, k int NOT NULL, id int NOT NULL)",
        "ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN (2)",
        "INSERT INTO p SELECT i, 1 + i % 2, 'v' FROM generate_series(1, 10) i",
    )
    return made


def test_partitions_by_root(partitioned: Setup):
    answer = partitioned.ok("public.p")
    assert partitioned.published() == ["p"]
    assert answer.streams["public.p"][1:4] == [str(BEFORE_KEY), "id,k", "id,k,v"]
    assert answer.rows == {"public.p": 10}
    partitioned.db.execute("UPDATE p SET v = 'w'", "UPDATE p SET k = 3 - k")


def test_partitions_by_leaf(partitioned: Setup):
    answer = partitioned.ok("public.p1", "public.p2", partitions="leaves")
    assert partitioned.published() == ["p1", "p2"]
    assert answer.rows == {"public.p1": 5, "public.p2": 5}


def test_partitions_without_identity(made: Setup):
    made.db.execute(
        "CREATE TABLE q (id int, k int) PARTITION BY LIST (k)",
        "CREATE TABLE q1 PARTITION OF q FOR VALUES IN (1)",
        "CREATE TABLE q2 PARTITION OF q FOR VALUES IN (2)",
        "ALTER TABLE q1 ADD PRIMARY KEY (id)",
    )
    err = made.fail("public.q")
    for name in ("q", "q1", "q2"):
        assert f'ALTER TABLE public.{name} REPLICA IDENTITY FULL' in err
    made.nothing_made()
    # FULL at the root alone does not reach the partitions: old rows would lack columns.
    made.db.execute("ALTER TABLE q REPLICA IDENTITY FULL", "ALTER TABLE q1 REPLICA IDENTITY FULL")
    err = made.fail("public.q")
    assert "public.q2 REPLICA IDENTITY FULL" in err and "public.q1" not in err
    made.db.execute("ALTER TABLE q2 REPLICA IDENTITY FULL")
    assert made.ok("public.q").streams["public.q"][1] == str(BEFORE_FULL)


def test_partition_of_another_key(made: Setup):
    made.db.execute(
        "CREATE TABLE q (id int, k int, x int NOT NULL, PRIMARY KEY (id, k)) PARTITION BY LIST (k)",
        "CREATE TABLE q1 PARTITION OF q FOR VALUES IN (1)",
        "CREATE UNIQUE INDEX q1x ON q1 (x)", "ALTER TABLE q1 REPLICA IDENTITY USING INDEX q1x",
    )
    assert 'ALTER TABLE public.q1 REPLICA IDENTITY DEFAULT' in made.fail("public.q")
    made.db.execute("ALTER TABLE q1 REPLICA IDENTITY FULL")
    made.ok("public.q")


# ---------------------------------------------------------------- publications of others


def test_given_publication(made: Setup):
    made.db.execute("CREATE PUBLICATION mine FOR TABLE t")
    err = made.fail("public.t", "public.u", publication="mine")
    assert "NOT_FOUND (fatal): publication mine lacks 1 of the chosen tables" in err
    statement = "ALTER PUBLICATION mine ADD TABLE public.u"
    assert statement in err and made.slots() == []
    made.db.execute(statement)
    answer = made.ok("public.t", "public.u", publication="mine")
    assert "publication" not in answer.created
    made.ok("--do", "retire", "--created", answer.created, publication="mine")
    assert made.slots() == [] and made.publications() == ["mine"]


def test_given_publication_of_some_operations(made: Setup):
    made.db.execute("CREATE PUBLICATION mine FOR TABLE t WITH (publish = 'insert, update')")
    err = made.fail("public.t", publication="mine")
    statement = "ALTER PUBLICATION mine SET (publish = 'insert, update, delete, truncate')"
    assert statement in err
    made.db.execute(statement)
    made.ok("public.t", publication="mine")


def test_existing_only(made: Setup):
    err = made.fail("public.t", "public.u", publication_mode="existing")
    assert "NOT_FOUND (fatal)" in err
    assert f"CREATE PUBLICATION {made.name} FOR TABLE ONLY public.t, ONLY public.u" in err
    made.nothing_made()


def test_filters_hold_for_the_load(made: Setup):
    if made.db.value("SELECT current_setting('server_version_num')::int") < 150000:
        pytest.skip("row filters need PostgreSQL 15")
    made.db.execute(
        "CREATE TABLE w (id int PRIMARY KEY, a text, b text)",
        "INSERT INTO w SELECT i, 'a', 'b' FROM generate_series(1, 20) i",
        "CREATE PUBLICATION mine FOR TABLE t WHERE (id <= 10), w (id, b)",
    )
    answer = made.ok("public.t", "public.w", publication="mine")
    assert answer.rows == {"public.t": 10, "public.w": 20}
    assert answer.streams["public.w"][3] == "id,b"
    # A rule is allowed beside a filter, refused without one.
    answer = made.ok("public.t", "--where", "id > 5 -- five", publication="mine")
    assert answer.rows == {"public.t": 5}
    assert "its where rule filters the load but not the changes" in made.fail("public.u", "--where", "a > 1")


def test_column_list_without_the_key(made: Setup):
    if made.db.value("SELECT current_setting('server_version_num')::int") < 150000:
        pytest.skip("column lists need PostgreSQL 15")
    made.db.execute("CREATE PUBLICATION mine FOR TABLE t (v)")
    assert "belong to its replica identity" in made.fail("public.t", publication="mine")


def test_given_publication_of_partitions(partitioned: Setup):
    partitioned.db.execute("CREATE PUBLICATION mine FOR TABLE p")
    err = partitioned.fail("public.p", publication="mine")
    statement = "ALTER PUBLICATION mine SET (publish_via_partition_root = true)"
    assert statement in err
    partitioned.ok("public.p1", "public.p2", publication="mine", partitions="leaves")
    partitioned.db.execute(statement)
    partitioned.ok("public.p", publication="mine")
    err = partitioned.fail("public.p1", publication="mine", partitions="leaves")
    assert "publish_via_partition_root = false" in err


def test_harm_by_anothers_publication(made: Setup):
    made.db.execute("CREATE TABLE n (id int)", "CREATE PUBLICATION mine FOR TABLE t, n")
    err = made.fail("public.t", "public.n", publication="mine", without_identity="insert_only")
    assert "ALTER PUBLICATION mine DROP TABLE public.n" in err
    made.db.execute('ALTER PUBLICATION "mine" DROP TABLE "public"."n"')
    made.ok("public.t", "public.n", publication="mine", without_identity="insert_only")
    assert made.publications() == ["mine", "mine_ins"]


def test_all_tables(made: Setup):
    made.db.execute("CREATE TABLE other (x int)")
    err = made.fail("public.t", publication_mode="all_tables")
    assert "1 tables of the database have no replica identity" in err
    assert 'ALTER TABLE public.other REPLICA IDENTITY FULL' in err
    made.nothing_made()
    made.db.execute("DROP TABLE other")
    made.ok("public.t", publication_mode="all_tables")
    assert made.db.value("SELECT puballtables FROM pg_publication") is True
    made.ok("-public.t", "-public.u", "--resume", made.confirmed(), publication_mode="all_tables")


# ---------------------------------------------------------------- rights


def test_rights(made: Setup):
    with role(made.db) as name:
        user = {"user": name, "password": "r"}
        err = made.fail("public.t", **user)
        assert f'PERMISSION (fatal): role {name} may not replicate (hint: ALTER ROLE {name} REPLICATION)' in err
        made.db.execute(f"ALTER ROLE {name} REPLICATION")
        err = made.fail("public.t", **user)
        assert "it has no CREATE right on database" in err and "CREATE PUBLICATION" in err
        made.db.execute(f"GRANT CREATE ON DATABASE {made.db.name} TO {name}")
        err = made.fail("public.t", **user)
        assert "may not publish table public.t, which it does not own" in err
        made.nothing_made()
        # The owner makes it: then the right to read is enough.
        made.db.execute(
            f'CREATE PUBLICATION "{made.name}" FOR TABLE ONLY t', f"GRANT SELECT ON t TO {name}",
            f"GRANT USAGE ON SCHEMA public TO {name}")
        answer = made.ok("public.t", **user)
        assert answer.rows == {"public.t": 100} and "publication" not in answer.created
        made.ok("--do", "retire", "--created", answer.created, **user)
        assert made.slots() == []


def test_right_to_read_taken_away(made: Setup):
    """A table that is complete is followed without being read; one that is to be loaded is not."""
    with role(made.db) as name:
        user = {"user": name, "password": "r"}
        made.db.execute(
            f"ALTER ROLE {name} REPLICATION", f"GRANT SELECT ON t, u TO {name}",
            f"GRANT USAGE ON SCHEMA public TO {name}",
            f"CREATE PUBLICATION {made.name} FOR TABLE ONLY t, ONLY u")
        first = made.ok("public.t", "public.u", **user)
        made.db.execute(f"REVOKE SELECT ON t, u FROM {name}")
        answer = made.ok("-public.t", "public.u", "--resume", first.start, **user)
        assert answer.streams["public.t"][3] == "id,v" and answer.streams["public.t"][5] == ""
        assert "no right to read it" in answer.streams["public.u"][5]


def test_row_security(made: Setup):
    """Policies thin out the load, not the changes: refused."""
    with role(made.db) as name:
        user = {"user": name, "password": "r"}
        made.db.execute(
            f"ALTER ROLE {name} REPLICATION", f"GRANT SELECT ON t TO {name}", f"GRANT USAGE ON SCHEMA public TO {name}",
            f"CREATE PUBLICATION {made.name} FOR TABLE ONLY t", "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY few ON t USING (id < 10)")
        err = made.fail("public.t", **user)
        assert f"PERMISSION (fatal): table public.t: row security applies to role {name}" in err
        assert f"ALTER ROLE {name} BYPASSRLS" in err and made.slots() == []
        check = made.ok("--do", "check", "public.t", **user)
        assert check.finding("public.t")[0] == "error"
        made.db.execute(f"ALTER ROLE {name} BYPASSRLS")
        assert made.ok("public.t", **user).rows == {"public.t": 100}
