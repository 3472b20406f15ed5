"""The feed of the PostgreSQL source alone, drained by pg_feed: rows, transactions, identities, versions."""

from __future__ import annotations

import itertools
import json
import signal
import time
from pathlib import Path

import pytest
from support import pg
from support.pgfeed import Feed, changes, feed, feed_binary, rows, rows_of, short, wait_until  # noqa: F401 (fixtures)

from test_pg_source import PREPARE, SINCE, VALUES


# ---------------------------------------------------------------- rows and identities


def test_envelope(db: pg.PgDatabase, feed):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a text)")
    f = feed("public.t")
    with db.connect(autocommit=False) as conn:
        conn.execute("INSERT INTO t VALUES (1, 'a'), (2, NULL)")
        conn.execute("UPDATE t SET a = 'b' WHERE id = 1")
        xid = conn.execute("SELECT txid_current()").fetchone()[0]
        began = conn.execute(
            "SELECT lpad(to_hex((pg_current_wal_insert_lsn() - '0/0')::bigint), 16, '0')").fetchone()[0]
        conn.commit()
        before = conn.execute("SELECT pg_current_wal_insert_lsn()").fetchone()[0]
    db.execute("DELETE FROM t WHERE id = 2")
    got = changes(f.read())
    assert [short(e) for e in got] == [
        ("I", None, {"id": "1", "a": "a"}),
        ("I", None, {"id": "2", "a": None}),
        ("U", None, {"id": "1", "a": "b"}),
        ("D", {"id": "2"}, None),
    ]
    assert [e["seq"] for e in got] == ["1", "2", "3", "1"]
    assert [e["tx"] for e in got[:3]] == [str(xid)] * 3 and int(got[3]["tx"]) > xid
    assert abs(int(got[0]["ts"]) / 1e6 - time.time()) < 60 and int(got[3]["ts"]) >= int(got[0]["ts"])
    # The position is the commit's end; others may have written since.
    high, low = before.split("/")
    assert began <= got[0]["pos"] <= f"{int(high, 16):08x}{int(low, 16):08x}" < got[3]["pos"]


LONG = "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 300) i)"


def identity_table(db: pg.PgDatabase, identity: str) -> None:
    db.execute(f"CREATE TABLE t (id int NOT NULL, b int NOT NULL, c text, long text,"
               f" {'PRIMARY KEY (b, id)' if identity != 'i' else 'UNIQUE (b, id)'})")
    db.execute("ALTER TABLE t ALTER long SET STORAGE EXTERNAL")
    if identity == "i":
        db.execute("ALTER TABLE t REPLICA IDENTITY USING INDEX t_b_id_key")
    if identity == "f":
        db.execute("ALTER TABLE t REPLICA IDENTITY FULL")


@pytest.mark.parametrize("binary", ["off", "on"])
@pytest.mark.parametrize("identity", "dif")
def test_identities(db: pg.PgDatabase, feed, identity: str, binary: str):
    identity_table(db, identity)
    f = feed("public.t", binary=binary)
    db.execute(f"INSERT INTO t VALUES (1, 10, 'c', {LONG}), (2, 20, 'd', {LONG})",
               "UPDATE t SET c = 'e' WHERE id = 1",
               "UPDATE t SET id = 3 WHERE id = 1",
               "UPDATE t SET long = 'short' WHERE id = 3",
               "DELETE FROM t WHERE id = 2")
    long = db.value(f"SELECT {LONG}")
    events = f.read()
    assert events[0]["before"] == {"d": 1, "i": 1, "f": 2}[identity]
    assert events[0]["keys"] == ["b", "id"]
    full = {"id": "1", "b": "10", "c": "c", "long": long}
    got = changes(events)
    assert [short(e) for e in got[:2]] == [
        ("I", None, full), ("I", None, {"id": "2", "b": "20", "c": "d", "long": long})]
    sent = {"long": long} if identity == "f" else {}
    old = [full, {**full, "c": "e"}, {**full, "c": "e", "id": "3"}, None]
    if identity != "f":
        old = [None, {"b": "10", "id": "1"}, None, None]
    assert [short(e) for e in got[2:]] == [
        ("U", old[0], {"id": "1", "b": "10", "c": "e", **sent}),
        ("U", old[1], {"id": "3", "b": "10", "c": "e", **sent}),
        ("U", old[2], {"id": "3", "b": "10", "c": "e", "long": "short"}),
        ("D", {"id": "2", "b": "20", "c": "d", "long": long} if identity == "f" else {"b": "20", "id": "2"}, None),
    ]
    marked = [] if identity == "f" else ["long"]
    assert [e["unchanged"] for e in got] == [[], [], marked, marked, [], []]
    # A column that was not sent is null in the batch itself too.
    assert all(e["after"][name] is None for e in got for name in e["unchanged"])


def test_insert_only(db: pg.PgDatabase, feed):
    db.execute("CREATE TABLE t (id int, a text); CREATE TABLE k (id int PRIMARY KEY)")
    f = feed("public.t", "public.k", without_identity="insert_only")
    db.execute("INSERT INTO t VALUES (1, 'x'); INSERT INTO k VALUES (7)", "UPDATE t SET a = 'y'", "DELETE FROM t",
               "UPDATE k SET id = 8")
    events = f.read()
    assert {e["schema"]: e["before"] for e in events if "schema" in e} == {"public.t": 0, "public.k": 1}
    assert [(e["s"], *short(e)) for e in changes(events)] == [
        ("public.t", "I", None, {"id": "1", "a": "x"}),
        ("public.k", "I", None, {"id": "7"}),
        ("public.k", "U", {"id": "7"}, {"id": "8"}),
    ]


def test_toasted_key(db: pg.PgDatabase, feed):
    """The key of a toasted key column is sent whole with each update."""
    db.execute("CREATE TABLE t (k text PRIMARY KEY, a int)", "ALTER TABLE t ALTER k SET STORAGE EXTERNAL")
    f = feed("public.t")
    # Toast takes values over 2 kB, an index entry under 2.7 kB.
    db.execute("INSERT INTO t VALUES (repeat('k', 2500), 1)", "UPDATE t SET a = 2")
    got = changes(f.read())
    assert got[1]["op"] == "U" and got[1]["after"]["a"] == "2"
    key = (got[1]["before"] or {"k": None})["k"] or got[1]["after"]["k"]
    assert key == "k" * 2500


def test_keys_move(db: pg.PgDatabase, feed):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a text)", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    f = feed("public.t")
    with db.connect(autocommit=False) as conn:  # a swap, then insert and update of one row
        conn.execute("UPDATE t SET id = -1 WHERE id = 1")
        conn.execute("UPDATE t SET id = 1 WHERE id = 2")
        conn.execute("UPDATE t SET id = 2 WHERE id = -1")
        conn.execute("INSERT INTO t VALUES (3, 'c')")
        conn.execute("UPDATE t SET a = 'd' WHERE id = 3")
        conn.execute("DELETE FROM t WHERE id = 3")
        conn.execute("INSERT INTO t VALUES (3, 'e')")
        conn.commit()
    assert rows(f) == [
        ("U", {"id": "1"}, {"id": "-1", "a": "a"}),
        ("U", {"id": "2"}, {"id": "1", "a": "b"}),
        ("U", {"id": "-1"}, {"id": "2", "a": "a"}),
        ("I", None, {"id": "3", "a": "c"}),
        ("U", None, {"id": "3", "a": "d"}),
        ("D", {"id": "3"}, None),
        ("I", None, {"id": "3", "a": "e"}),
    ]


def test_odd_tables(db: pg.PgDatabase, feed):
    wide = ", ".join(f"c{i} int" for i in range(1, 1600))
    db.execute("CREATE TABLE none ()", f"CREATE TABLE wide (id int PRIMARY KEY, {wide})",
               'CREATE TABLE "We""ird.Näme \'x" ("Co""l\'1" int PRIMARY KEY, "select" text)')
    odd = '"We""ird.Näme \'x"'
    f = feed("public.none", "public.wide", f"public.{odd}", without_identity="insert_only")
    db.execute("INSERT INTO none DEFAULT VALUES", "INSERT INTO wide (id, c1599) VALUES (1, 2)",
               f"INSERT INTO {odd} VALUES (1, 'x')", f"UPDATE {odd} SET \"Co\"\"l'1\" = 2")
    events = f.read()
    assert rows_of(events, "public.none") == [("I", None, {})]
    assert rows_of(events, "public.wide")[0][2]["c1599"] == "2"
    assert rows_of(events, f"public.{odd}") == [
        ("I", None, {'Co"l\'1': "1", "select": "x"}),
        ("U", {'Co"l\'1': "1"}, {'Co"l\'1': "2", "select": "x"})]


# ---------------------------------------------------------------- transactions


def test_subtransactions(db: pg.PgDatabase, feed):
    db.execute("CREATE TABLE t (id int PRIMARY KEY)")
    f = feed("public.t")
    with db.connect(autocommit=False) as conn:
        for i in range(200):
            conn.execute("SAVEPOINT s")
            conn.execute("INSERT INTO t VALUES (%s)", [i])
            if i % 3 == 0:
                conn.execute("ROLLBACK TO SAVEPOINT s")
        conn.commit()
    got = changes(f.read())
    assert [e["after"]["id"] for e in got] == [str(i) for i in range(200) if i % 3]
    assert len({e["pos"] for e in got}) == 1 and [int(e["seq"]) for e in got] == list(range(1, len(got) + 1))


def test_interleaved_transactions(db: pg.PgDatabase, feed):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, conn int)")
    f = feed("public.t")
    conns = [db.connect(autocommit=False) for _ in range(20)]
    for i in range(200):
        conns[i % 20].execute("INSERT INTO t VALUES (%s, %s)", [i, i % 20])
    order = [(i * 7) % 20 for i in range(20)]
    for i in order:
        if i % 5 == 4:
            conns[i].rollback()
        else:
            conns[i].commit()
    for conn in conns:
        conn.close()
    got = changes(f.read())
    assert [int(e["after"]["conn"]) for e in got[::10]] == [i for i in order if i % 5 != 4]
    for _, part in itertools.groupby(got, key=lambda e: e["pos"]):
        tx = list(part)
        assert len(tx) == 10 and len({e["after"]["conn"] for e in tx}) == 1
        assert [int(e["after"]["id"]) for e in tx] == sorted(int(e["after"]["id"]) for e in tx)


def test_empty_transactions_move_the_position(db: pg.PgDatabase, feed):
    db.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (id int)")
    f = feed("public.t")
    for i in range(50):
        db.execute(f"INSERT INTO other VALUES ({i})")
    written = db.value("SELECT (pg_current_wal_lsn() - '0/0')::bigint")  # others write to the same server meanwhile
    events = f.read()
    assert changes(events) == []
    beats = [e for e in events if "heartbeat" in e]
    assert 1 <= len(beats) <= 3
    assert int(beats[-1]["heartbeat"], 16) >= written - 65536


def test_large_transaction_flows_through(db: pg.PgDatabase, feed):
    """More than a group holds: parts without a boundary, one position for all of them."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a text); CREATE TABLE u (id int PRIMARY KEY)")
    f = feed("public.t", "public.u")
    with db.connect(autocommit=False) as conn:
        conn.execute("INSERT INTO u VALUES (0)")
        conn.commit()
        conn.execute("INSERT INTO t SELECT i, 'x' || i FROM generate_series(1, 150000) i")
        conn.execute("INSERT INTO u VALUES (1)")
        conn.commit()
        conn.execute("INSERT INTO u VALUES (2)")
        conn.commit()
    events = f.read()
    big = [e for e in events if e.get("s") == "public.t"]
    assert [int(e["after"]["id"]) for e in big] == list(range(1, 150001))
    u = changes(events, "public.u")
    assert {e["pos"] for e in big} == {u[1]["pos"]} and u[0]["pos"] < u[1]["pos"] < u[2]["pos"]
    assert [int(e["seq"]) for e in big] == list(range(1, 150001)) and u[1]["seq"] == "150001"
    inside = [i for i, e in enumerate(events) if "boundary" in e and "x" in e]
    first, last = events.index(big[0]), events.index(big[-1])
    assert not inside and not [e for e in events[first:last] if "boundary" in e]
    ends = [e["boundary"] for e in events if "boundary" in e]
    assert u[1]["pos"] <= ends[-1]


def test_every_boundary_is_a_resume_point(db: pg.PgDatabase, feed):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a int)")
    f = feed("public.t", batch_rows="8192")
    child = f.start()
    lines: list[str] = []
    for line in child.stdout:
        lines.append(line)
        if "open" in line:
            break
    for i in range(30):
        db.execute(f"INSERT INTO t SELECT g, {i} FROM generate_series({i * 10}, {i * 10 + i % 4}) g",
                   f"UPDATE t SET a = a + 1 WHERE id = {i * 10}")
        if i % 6 == 5:  # a batch ends where the log ends
            wait_until(db.feed_has_all())
    child.send_signal(signal.SIGTERM)
    rc, events, err = f.finish(child)
    assert rc == 0, err
    everything = [(e["pos"], e["seq"], short(e)) for e in changes(events)]
    assert len(everything) == sum(i % 4 + 2 for i in range(30))
    ends = [e["boundary"] for e in events if "boundary" in e]
    assert len(ends) >= 3
    for end in ends[:: max(1, len(ends) // 4)]:
        f.position = end
        again = [(e["pos"], e["seq"], short(e)) for e in changes(f.read())]
        assert again == [e for e in everything if e[0] > end]


def test_latency_of_small_transactions(db: pg.PgDatabase, feed):
    """A commit is there at once, alone."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY)")
    f = feed("public.t")
    child = f.start()
    waits = []
    try:
        for line in child.stdout:
            if "open" in line:
                break
        for i in range(20):
            began = time.monotonic()
            db.execute(f"INSERT INTO t VALUES ({i})")
            while '"s"' not in child.stdout.readline():
                pass
            waits.append(time.monotonic() - began)
    finally:
        child.send_signal(signal.SIGTERM)
        rc, events, err = f.finish(child)
    assert rc == 0, err
    assert sorted(waits)[10] < 0.5


# ---------------------------------------------------------------- truncates


def test_truncate(db: pg.PgDatabase, feed):
    db.execute("CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE b (id int PRIMARY KEY REFERENCES a)",
               "CREATE TABLE c (id int PRIMARY KEY)", "CREATE TABLE other (id int PRIMARY KEY REFERENCES a)")
    f = feed("public.a", "public.b", "public.c")
    with db.connect(autocommit=False) as conn:
        conn.execute("INSERT INTO a VALUES (1); INSERT INTO b VALUES (1); INSERT INTO c VALUES (1)")
        conn.execute("TRUNCATE a, c CASCADE")
        conn.execute("INSERT INTO a VALUES (2); INSERT INTO c VALUES (2)")
        conn.commit()
        conn.execute("INSERT INTO c VALUES (3)")
        conn.execute("TRUNCATE c")
        conn.commit()
    events = f.read()
    got = changes(events)
    first, second = sorted({e["pos"] for e in got})
    shown = [(e.get("s") or e["truncate"], e["op"], int(e["seq"])) for e in got]
    assert shown[:3] == [("public.a", "I", 1), ("public.b", "I", 2), ("public.c", "I", 3)]
    assert sorted(shown[3:6]) == [("public.a", "T", 4), ("public.b", "T", 4), ("public.c", "T", 4)]
    assert shown[6:] == [("public.a", "I", 5), ("public.c", "I", 6), ("public.c", "I", 1), ("public.c", "T", 2)]
    assert [e["pos"] for e in got].count(second) == 2
    # Rows before it go out before it.
    for stream in ("public.a", "public.b", "public.c"):
        order = [(e["pos"], int(e["seq"])) for e in events if stream in (e.get("s"), e.get("truncate"))]
        assert order == sorted(order)


# ---------------------------------------------------------------- types


@pytest.mark.parametrize("binary", ["off", "auto"])
def test_all_types_as_in_the_load(hostile_db: pg.PgDatabase, feed_binary: Path, binary: str):  # noqa: F811
    """The cell of a change is the cell of the load, bit for bit, whatever the session's settings."""
    db = hostile_db
    user = f"r_{db.name}"
    db.execute(PREPARE)
    with db.connect() as conn:
        conn.execute(f"CREATE ROLE {user} SUPERUSER LOGIN PASSWORD 'r'")
        for key, value in {"datestyle": "German", "intervalstyle": "sql_standard", "extra_float_digits": "0",
                           "bytea_output": "escape", "timezone": "America/New_York", "lc_monetary": "C"}.items():
            conn.execute(f"ALTER ROLE {user} SET {key} = '{value}'")
    try:
        compare_types(db, feed_binary, binary, user)
    finally:
        with db.connect() as conn:
            conn.execute(f"DROP OWNED BY {user}; DROP ROLE {user}")


def compare_types(db: pg.PgDatabase, feed_binary: Path, binary: str, user: str) -> None:  # noqa: F811
    major = int(db.value("SHOW server_version_num")) // 10000
    table = {name: values for name, values in VALUES.items() if SINCE.get(name, 0) <= major}
    if binary == "auto":
        # Only types whose binary form we know: so the server is asked for it.
        names = ("boolean smallint integer bigint oid real numeric(12,2) numeric(18,0) numeric(19,4) numeric(76,6)"
                 " text name bytea date time timestamp json jsonb uuid mood dnum ddnum dchar dmood citext").split()
        names += ["double precision", "timestamp with time zone", "character varying(5)", "character(5)",
                  "numeric(38,38)"]
        table = {name: values for name, values in table.items() if name in names}
    columns = ", ".join(f"c{i} {name}" for i, name in enumerate(table))
    for name in ("loaded", "changed"):
        db.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, {columns})", f"ALTER TABLE {name} REPLICA IDENTITY FULL")
    for row in range(max(len(values) for values in table.values())):
        cells = [f"({values[row]})::{name}" if row < len(values) else "NULL" for name, values in table.items()]
        db.execute(f"INSERT INTO loaded VALUES ({row}, {', '.join(cells)})")
    access = {"user": user, "password": "r"}
    load = Feed(db, feed_binary, "public.loaded", slot="l_" + db.name, **access)
    f = Feed(db, feed_binary, "public.changed", binary=binary, **access).open()
    db.execute("INSERT INTO changed SELECT * FROM loaded", "UPDATE changed SET id = id + 1000")
    want = {row[1]: row[2:] for row in load.read(mode="both") if isinstance(row, list)}
    got = changes(f.read())
    assert f"binary={int(binary == 'auto')}" in f.log
    assert len(got) == 2 * len(want) > 0
    for event in got:
        for part in ("before", "after"):
            if event[part] is not None:
                id_, *cells = event[part].values()
                assert cells == want[str(int(id_) % 1000)], event
    for slot in (load, f):
        db.execute(f"SELECT pg_drop_replication_slot('{slot.config['slot']}')")


@pytest.mark.parametrize("binary", ["off", "on"])
def test_a_value_that_cannot_be_held(db: pg.PgDatabase, feed, binary: str):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a timestamp)")
    f = feed("public.t", binary=binary)
    db.execute("INSERT INTO t VALUES (1, '2024-01-01'), (2, '294276-12-31 23:59:59')")
    rc, events, err = f.run("--once")
    assert rc == 1 and "DATA" in err and "column a" in err and "public.t" in err and "change at" in err, err
    assert "on_unrepresentable" in err
    null = f.run("--once", on_unrepresentable="null")[1]
    assert [e["after"]["a"] for e in changes(null)] == ["1704067200000000", None]
    text = f.run("--once", on_unrepresentable="text", binary="off")[1]
    assert [e["after"]["a"] for e in changes(text)] == ["2024-01-01 00:00:00", "294276-12-31 23:59:59"]


def test_large_values(db: pg.PgDatabase, feed):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a text)", "ALTER TABLE t ALTER a SET STORAGE EXTERNAL")
    f = feed("public.t")
    db.execute("INSERT INTO t VALUES (1, repeat('x', 20000000))", "INSERT INTO t VALUES (2, 'y')")
    got = changes(f.read())
    assert [len(e["after"]["a"]) for e in got] == [20000000, 1]
    f.position = None
    rc, _, err = f.run("--once", max_row_bytes="1MiB")
    assert rc == 1 and "LIMIT" in err and "max_row_bytes" in err


# ---------------------------------------------------------------- messages, origins


def test_logical_messages(db: pg.PgDatabase, feed):
    if int(db.value("SHOW server_version_num")) < 140000:
        pytest.skip("logical messages are sent since 14")
    db.execute("CREATE TABLE t (id int PRIMARY KEY)")
    f = feed("public.t", "pg_logical_message", messages="true")
    with db.connect(autocommit=False) as conn:
        conn.execute("INSERT INTO t VALUES (1)")
        conn.execute("SELECT pg_logical_emit_message(true, 'in', '\\x00ff'::bytea)")
        conn.execute("SELECT pg_logical_emit_message(false, 'out', 'now')")
        conn.execute("INSERT INTO t VALUES (2)")
        conn.commit()
        conn.execute("SELECT pg_logical_emit_message(true, 'lost', 'x')")
        conn.rollback()
    events = f.read()
    got = changes(events)
    shown = [(e["s"], *(e["after"].values())) for e in got]
    assert shown == [
        ("pg_logical_message", "out", "6e6f77", "0"),
        ("public.t", "1"),
        ("pg_logical_message", "in", "00ff", "1"),
        ("public.t", "2"),
    ]
    assert [e["seq"] for e in got] == ["1", "1", "2", "3"]
    assert changes(f.read()) == []


def test_origins_are_tolerated(db: pg.PgDatabase, feed):
    db.execute("CREATE TABLE t (id int PRIMARY KEY)")
    f = feed("public.t")
    name = "o_" + db.name
    db.execute(f"SELECT pg_replication_origin_create('{name}')")
    with db.connect(autocommit=False) as conn:
        conn.execute(f"SELECT pg_replication_origin_session_setup('{name}')")
        conn.execute("SELECT pg_replication_origin_xact_setup('0/123', now())")
        conn.execute("INSERT INTO t VALUES (1)")
        conn.commit()
    assert rows(f) == [("I", None, {"id": "1"})]
    db.execute(f"SELECT pg_replication_origin_drop('{name}')")


# ---------------------------------------------------------------- connection, positions, ends


def slot(db: pg.PgDatabase, f: Feed, column: str):
    return db.value(f"SELECT {column} FROM pg_replication_slots WHERE slot_name = '{f.config['slot']}'")


def test_feedback_while_the_sink_stalls(db: pg.PgDatabase, feed):
    db.execute("CREATE TABLE t (id int PRIMARY KEY)")
    f = feed("public.t")
    db.execute("INSERT INTO t SELECT generate_series(1, 20000)")
    with db.server.connect() as conn:
        conn.execute("ALTER SYSTEM SET wal_sender_timeout = '2s'")
        conn.execute("SELECT pg_reload_conf()")
    try:
        rc, events, err = f.run("--once", "--idle", "8")
    finally:
        with db.server.connect() as conn:
            conn.execute("ALTER SYSTEM RESET wal_sender_timeout")
            conn.execute("SELECT pg_reload_conf()")
    assert rc == 0, err
    assert len(changes(events)) == 20000


def test_acks_move_the_slot(db: pg.PgDatabase, feed):
    """Without changes of ours, what others write is let go; nothing is, before it is acknowledged."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE other (a text)")
    f = feed("public.t")
    began = slot(db, f, "confirmed_flush_lsn - '0/0'")
    silent = f.start()
    for line in silent.stdout:
        if "open" in line:
            break
    db.execute("INSERT INTO t VALUES (1)", "INSERT INTO other SELECT repeat('x', 1000) FROM generate_series(1, 2000)")
    time.sleep(2.5)
    assert slot(db, f, "confirmed_flush_lsn - '0/0'") == began
    silent.send_signal(signal.SIGTERM)
    f.finish(silent)
    child = f.start("--ack")
    try:
        for line in child.stdout:
            if "open" in line:
                break
        db.execute("INSERT INTO other SELECT repeat('x', 1000) FROM generate_series(1, 2000)")
        end = db.value("SELECT pg_current_wal_lsn()")
        wait_until(lambda: slot(db, f, f"'{end}' - confirmed_flush_lsn") < 4096)
    finally:
        child.send_signal(signal.SIGTERM)
        f.finish(child)


def test_a_killed_connection_is_retryable(db: pg.PgDatabase, feed):
    db.execute("CREATE TABLE t (id int PRIMARY KEY)")
    f = feed("public.t")
    child = f.start("--retry")
    for line in child.stdout:
        if "open" in line:
            break
    for i in range(3):
        db.execute(f"INSERT INTO t VALUES ({i})")
        wait_until(lambda: slot(db, f, "active_pid") is not None)
        db.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active_pid IS NOT NULL"
                   f" AND slot_name = '{f.config['slot']}'")
    db.execute("INSERT INTO t VALUES (99)")
    seen: list[str] = []
    while not any('"99"' in line for line in seen):
        line = child.stdout.readline()
        assert line, child.stderr.read()
        if '"s"' in line:
            seen.append(line)
    child.send_signal(signal.SIGTERM)
    rc, _, err = f.finish(child)
    assert rc == 0, err
    assert len(seen) == 4 and "(retryable)" in err


def test_a_server_that_crashes(feed_binary: Path):  # noqa: F811
    """What it sends again after that is told from what is new."""
    server = pg.PgServer.create({"synchronous_commit": "on", "wal_sender_timeout": "5s"}, fsync=True)
    try:
        db = server.create_database()
        db.execute("CREATE TABLE t (id int PRIMARY KEY)")
        f = Feed(db, feed_binary, "public.t").open()
        child = f.start("--retry", "--ack")
        for line in child.stdout:
            if "open" in line:
                break
        for k in range(3):
            for i in range(40):
                db.execute(f"INSERT INTO t VALUES ({k * 100 + i})")
            server.crash()
        db.execute("INSERT INTO t VALUES (999)")
        lines: list[str] = []
        while not any('"999"' in line for line in lines):
            lines.append(child.stdout.readline())
            assert lines[-1], child.stderr.read()
        child.send_signal(signal.SIGTERM)
        rc, _, err = f.finish(child)
        assert rc == 0, err
        got = [json.loads(line) for line in lines]
        ids = [int(e["after"]["id"]) for e in changes(got)]
        assert ids == [k * 100 + i for k in range(3) for i in range(40)] + [999]
    finally:
        server.destroy()


def test_until_a_position_and_a_time(db: pg.PgDatabase, feed):
    db.execute("CREATE TABLE t (id int PRIMARY KEY)")
    f = feed("public.t")
    db.execute("INSERT INTO t VALUES (1)")
    lsn = db.value("SELECT pg_current_wal_insert_lsn()::text")
    moment = db.value("SELECT to_char(clock_timestamp(), 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
    db.execute("INSERT INTO t VALUES (2)")
    for until in (lsn, moment):
        rc, events, err = f.run("--until", until)
        assert rc == 0, err
        assert [e["after"]["id"] for e in changes(events)] == ["1"]
    later = db.value("SELECT to_char(clock_timestamp() + interval '1.5 s', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
    rc, events, err = f.run("--until", later)  # comes while nothing happens
    assert rc == 0, err
    assert [e["after"]["id"] for e in changes(events)] == ["1", "2"]


def test_a_position_of_another_kind(db: pg.PgDatabase, feed):
    db.execute("CREATE TABLE t (id int PRIMARY KEY)")
    f = feed("public.t")
    f.position = "00ff"
    rc, _, err = f.run("--once")
    assert rc == 1 and "position" in err


def test_many_tables(db: pg.PgDatabase, feed):
    n = 300
    db.execute(*[f"CREATE TABLE t{i} (id int PRIMARY KEY, a text, b numeric(10,2), c timestamptz)" for i in range(n)])
    f = feed(*[f"public.t{i}" for i in range(n)])
    with db.connect() as conn:
        for k in range(3):
            for i in range(n):
                conn.execute(f"INSERT INTO t{i} VALUES ({k}, 'x', 1.5, now())")
    events = f.read()
    got = changes(events)
    assert len(got) == 3 * n and len({e["s"] for e in got}) == n
    assert sum("boundary" in e for e in events) < 3 * n / 4  # groups hold many transactions
