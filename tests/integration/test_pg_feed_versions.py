"""Versions of columns in the feed of the PostgreSQL source: DDL, NULLs, identities, partitions."""

from __future__ import annotations

import json
import signal
import time

from support import pg
from support.pgfeed import Feed, changes, feed, feed_binary, rows, rows_of, short, wait_until  # noqa: F401 (fixtures)


def versions(events: list[dict], stream: str = "public.t") -> list[list[str]]:
    return [[c["name"] for c in e["columns"]] for e in events if e.get("schema") == stream]


def test_ddl_between_and_inside_transactions(db: pg.PgDatabase, feed):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL, b text)")
    f = feed("public.t")
    with db.connect(autocommit=False) as conn:
        conn.execute("INSERT INTO t VALUES (1, 1, 'x')")
        conn.execute("ALTER TABLE t ADD c numeric(6,2) NOT NULL DEFAULT 1.5")
        conn.execute("INSERT INTO t VALUES (2, 2, 'y')")
        conn.execute("ALTER TABLE t RENAME a TO z")
        conn.execute("UPDATE t SET z = 3 WHERE id = 2")
        conn.execute("ALTER TABLE t DROP b")
        conn.execute("INSERT INTO t VALUES (4, 4, 4)")
        conn.commit()
    db.execute("ALTER TABLE t ALTER c TYPE text", "INSERT INTO t VALUES (5, 5, 'five')")
    events = f.read(timeout=60)
    assert versions(events)[-4:] == [["id", "a", "b", "c"], ["id", "z", "b", "c"], ["id", "z", "c"], ["id", "z", "c"]]
    got = changes(events)
    assert [short(e) for e in got] == [
        ("I", None, {"id": "1", "a": "1", "b": "x"}),
        ("I", None, {"id": "2", "a": "2", "b": "y", "c": "96000000000000000000000000000000"}),
        ("U", None, {"id": "2", "z": "3", "b": "y", "c": "96000000000000000000000000000000"}),
        ("I", None, {"id": "4", "z": "4", "c": "90010000000000000000000000000000"}),
        ("I", None, {"id": "5", "z": "5", "c": "five"}),
    ]
    ids = [e["v"] for e in events if e.get("schema") == "public.t"]
    assert ids == sorted(set(ids))
    assert len({e["pos"] for e in got[:4]}) == 1 and [int(e["seq"]) for e in got] == [1, 2, 3, 4, 1]
    # Nothing is promised of a column that came in between.
    columns = {c["name"]: c for c in [e for e in events if "schema" in e][-1]["columns"]}
    assert columns["id"]["nullable"] is False and columns["c"]["nullable"] is True
    assert columns["c"]["native"] == "text"


def test_a_null_is_announced(db: pg.PgDatabase, feed):
    """The log is behind the catalog: a column that is not null now had NULLs then."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a int, b int)", "ALTER TABLE t REPLICA IDENTITY FULL")
    f = feed("public.t")
    db.execute("INSERT INTO t VALUES (1, 1, 1)", "INSERT INTO t VALUES (2, NULL, NULL)",
               "UPDATE t SET a = 2, b = 2 WHERE id = 2",
               "ALTER TABLE t ALTER a SET NOT NULL, ALTER b SET NOT NULL", "INSERT INTO t VALUES (3, 3, 3)")
    events = f.read()
    told = [{c["name"]: c["nullable"] for c in e["columns"]} for e in events if "schema" in e]
    assert told == [{"id": False, "a": False, "b": False}, {"id": False, "a": True, "b": True}]
    order = [("schema" if "schema" in e else e["after"]["id"]) for e in events if "schema" in e or "s" in e]
    assert order == ["schema", "1", "schema", "2", "2", "3"]
    assert rows_of(events, "public.t")[2] == (
        "U", {"id": "2", "a": None, "b": None}, {"id": "2", "a": "2", "b": "2"})


def test_identity_changes(db: pg.PgDatabase, feed):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL UNIQUE)", "INSERT INTO t VALUES (1, 1)")
    f = feed("public.t")
    db.execute("UPDATE t SET id = 2", "ALTER TABLE t REPLICA IDENTITY FULL", "UPDATE t SET id = 3",
               "ALTER TABLE t REPLICA IDENTITY USING INDEX t_a_key", "UPDATE t SET a = 2",
               "ALTER TABLE t REPLICA IDENTITY DEFAULT", "UPDATE t SET id = 4")
    events = f.read()
    # The catalog is asked at the end: the first version is what it says then.
    assert [(e["before"], e["keys"]) for e in events if "schema" in e] == [
        (1, ["id"]), (2, ["id"]), (1, ["a"]), (1, ["id"])]
    assert rows_of(events, "public.t") == [
        ("U", {"id": "1"}, {"id": "2", "a": "1"}),
        ("U", {"id": "2", "a": "1"}, {"id": "3", "a": "1"}),
        ("U", {"a": "1"}, {"id": "3", "a": "2"}),
        ("U", {"id": "3"}, {"id": "4", "a": "2"}),
    ]


def test_renamed_and_dropped_tables(db: pg.PgDatabase, feed):
    db.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE gone (id int PRIMARY KEY); CREATE SCHEMA s")
    f = feed("public.t", "public.gone")
    child = f.start()
    for line in child.stdout:
        if "open" in line:
            break
    db.execute("INSERT INTO t VALUES (1); INSERT INTO gone VALUES (1)", "DROP TABLE gone",
               "ALTER TABLE t RENAME TO u; ALTER TABLE u SET SCHEMA s", "INSERT INTO s.u VALUES (2)",
               "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (3)")
    wait_until(db.feed_has_all())
    time.sleep(0.5)
    child.send_signal(signal.SIGTERM)
    rc, events, err = f.finish(child)
    assert rc == 0, err
    assert [(e["s"], e["after"]["id"]) for e in changes(events)] == [
        ("public.t", "1"), ("public.gone", "1"), ("public.t", "2")]
    assert "another name" in err


def test_chosen_columns(db: pg.PgDatabase, feed):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a int, secret text)")
    f = feed("public.t")
    g = Feed(f.db, f.program, "public.t", slot="g_" + db.name)
    assert g.run("--once", "--include", "id", "--include", "a")[0] == 0
    db.execute("INSERT INTO t VALUES (1, 1, 's')", "ALTER TABLE t ADD later int, ADD hidden int",
               "INSERT INTO t VALUES (2, 2, 's', 2, 2)", "UPDATE t SET secret = 'x', id = 3 WHERE id = 2")
    hidden = ("--exclude", "secret", "--exclude", "hidden")
    # What came before the column is a version without it, since the catalog has it already.
    assert rows(f, None, *hidden) == [
        ("I", None, {"id": "1", "a": "1"}),
        ("I", None, {"id": "2", "a": "2", "later": "2"}),
        ("U", {"id": "2"}, {"id": "3", "a": "2", "later": "2"}),
    ]
    only = g.read("--include", "id", "--include", "a")
    assert versions(only) == [["id", "a"]]
    assert [e["after"] for e in changes(only)] == [{"id": i, "a": a} for i, a in [("1", "1"), ("2", "2"), ("3", "2")]]


def test_columns_added_while_it_reads(db: pg.PgDatabase, feed):
    db.execute("CREATE TABLE t (id int PRIMARY KEY)")
    f = feed("public.t", binary="off")
    child = f.start("--exclude", "secret")
    for line in child.stdout:
        if "open" in line:
            break
    db.execute("INSERT INTO t VALUES (1)", "CREATE TYPE mood AS ENUM ('sad', 'ok')",
               "ALTER TABLE t ADD m mood, ADD secret text, ADD r int4range, ADD d date[]",
               "INSERT INTO t VALUES (2, 'ok', 's', '[1,3)', '{2024-01-01}')")
    seen = []
    while len(seen) < 2:
        line = child.stdout.readline()
        assert line, child.stderr.read()
        if '"s"' in line:
            seen.append(line)
    child.send_signal(signal.SIGTERM)
    rc, _, err = f.finish(child)
    assert rc == 0, err
    assert '"after": {"id": "2", "m": "ok", "r": "[1,3)", "d": "{2024-01-01}"}' in seen[1]


def test_binary_gives_way_to_text(db: pg.PgDatabase, feed):
    """A type without a binary form that we know turns up: the same feed goes on in text."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n numeric(8,3))")
    f = feed("public.t", binary="auto")
    child = f.start("--retry")
    for line in child.stdout:
        if "open" in line:
            break
    db.execute("INSERT INTO t VALUES (1, 1.5)", "ALTER TABLE t ADD i interval",
               "INSERT INTO t VALUES (2, 2.5, '1 day')", "INSERT INTO t VALUES (3, 3.5, '2 days')")
    seen: list[str] = []
    while not any('"3"' in line for line in seen):
        line = child.stdout.readline()
        assert line, child.stderr.read()
        if '"s"' in line:
            seen.append(line)
    child.send_signal(signal.SIGTERM)
    rc, _, err = f.finish(child)
    assert rc == 0, err
    assert "no binary form" in err and "binary=1" in err and "binary=0" in err
    assert len(seen) == 3 and '"i": "1 day"' in seen[1] and '"i": "2 days"' in seen[2]


def test_dropped_types(db: pg.PgDatabase, feed):
    """The log knows values of types that the catalog has forgotten."""
    db.execute("CREATE TYPE mood AS ENUM ('sad', 'ok')", "CREATE TABLE t (id int PRIMARY KEY, m mood)")
    f = feed("public.t")
    db.execute("INSERT INTO t VALUES (1, 'ok')", "ALTER TABLE t DROP m; DROP TYPE mood", "INSERT INTO t VALUES (2)")
    assert rows(f) == [("I", None, {"id": "1", "m": "ok"}), ("I", None, {"id": "2"})]


# ---------------------------------------------------------------- partitions


PARTITIONS = (
    "CREATE TABLE p (id int, k int, a text, PRIMARY KEY (id, k)) PARTITION BY RANGE (k)",
    "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)",
    # Another order of columns than its table's.
    "CREATE TABLE p2 (a text, k int NOT NULL, id int NOT NULL, PRIMARY KEY (id, k))",
    "ALTER TABLE p ATTACH PARTITION p2 FOR VALUES FROM (10) TO (20)",
)


def change_partitions(db: pg.PgDatabase) -> None:
    db.execute("INSERT INTO p VALUES (1, 1, 'x'), (2, 12, 'y')", "UPDATE p SET k = 13 WHERE id = 1",
               "CREATE TABLE p3 (LIKE p INCLUDING ALL)",
               "ALTER TABLE p ATTACH PARTITION p3 FOR VALUES FROM (20) TO (30)",
               "INSERT INTO p VALUES (3, 25, 'z')", "DELETE FROM p WHERE id = 2")


def test_partitions_through_the_root(db: pg.PgDatabase, feed):
    db.execute(*PARTITIONS)
    f = feed("public.p")
    change_partitions(db)
    db.execute("TRUNCATE p")
    events = f.read()
    assert versions(events, "public.p") == [["id", "k", "a"]]
    # The server makes of a move what the root's identity shows.
    assert rows_of(events, "public.p")[:2] == [
        ("I", None, {"id": "1", "k": "1", "a": "x"}), ("I", None, {"id": "2", "k": "12", "a": "y"})]
    assert replay(changes(events, "public.p")) == {}
    assert replay([e for e in changes(events, "public.p") if e["op"] != "T"]) == {
        ("1", "13"): "x", ("3", "25"): "z"}


def replay(events: list[dict]) -> dict:
    table: dict = {}
    for e in events:
        if e["op"] == "T":
            table.clear()
            continue
        if e["op"] == "D" or e["before"]:
            table.pop((e["before"]["id"], e["before"]["k"]))
        if e["op"] != "D":
            table[e["after"]["id"], e["after"]["k"]] = e["after"]["a"]
    return table


def test_partitions_as_streams(db: pg.PgDatabase, feed):
    db.execute(*PARTITIONS)
    f = feed("public.p1", "public.p2", partitions="leaves")
    change_partitions(db)
    db.execute("TRUNCATE p1")
    events = f.read()
    assert rows_of(events, "public.p1")[:2] == [
        ("I", None, {"id": "1", "k": "1", "a": "x"}), ("D", {"id": "1", "k": "1"}, None)]
    assert [e["op"] for e in changes(events, "public.p1")] == ["I", "D", "T"]
    assert rows_of(events, "public.p2") == [
        ("I", None, {"a": "y", "k": "12", "id": "2"}), ("I", None, {"a": "x", "k": "13", "id": "1"}),
        ("D", {"id": "2", "k": "12"}, None)]


def test_versions_after_a_new_connection(db: pg.PgDatabase, feed):
    """A new reader does not know what the one before announced: it says its columns again."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE u (id int PRIMARY KEY)")
    f = feed("public.t", "public.u")
    child = f.start("--retry")
    seen: list[dict] = []

    def read_until(text: str) -> None:
        while not any(text in json.dumps(event) for event in seen):
            line = child.stdout.readline()
            assert line, child.stderr.read()
            seen.append(json.loads(line))

    read_until("open")
    db.execute("INSERT INTO t VALUES (1); INSERT INTO u VALUES (1)", "ALTER TABLE t ADD a int",
               "ALTER TABLE u ADD a int", "INSERT INTO t VALUES (2, 2); INSERT INTO u VALUES (2, 2)")
    read_until('"public.u", "v": 2')
    db.execute("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE"
               f" slot_name = '{f.config['slot']}'")
    db.execute("TRUNCATE u", "INSERT INTO t VALUES (33, 3)")
    read_until('"33"')
    child.send_signal(signal.SIGTERM)
    rc, _, err = f.finish(child)
    assert rc == 0 and "(retryable)" in err, err
    assert [(e["schema"], e["v"]) for e in seen if "schema" in e] == [
        ("public.t", 1), ("public.u", 1), ("public.t", 2), ("public.u", 2), ("public.u", 3), ("public.t", 3)]
    assert [(e.get("s") or e["truncate"], e["v"], e["op"]) for e in changes(seen)][-2:] == [
        ("public.u", 3, "T"), ("public.t", 3, "I")]
    assert len(changes(seen)) == 6
