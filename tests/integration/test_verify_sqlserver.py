"""`sluice verify` with a SQL Server (the stand-in) at either end: what is equal is found equal, what differs is found,
to the row."""

from __future__ import annotations

import threading
import time

import pytest
from fault.test_ms_t14_types import REFUSED
from fault.test_t14_types import change, create
from support import pipe
from support.mssql import MsReplica, ToMs, enable, track
from test_sqlserver_source import TYPES as MS_TYPES
from test_types import TYPES
from test_verify import equal, verify


@pytest.fixture
def made():
    pipes: list[pipe.Pipe] = []
    yield lambda one: pipes.append(one) or one
    for one in pipes:
        one.close()


@pytest.mark.timeout(300)
def test_every_type_into_sql_server(release_engine, hostile_db, ms, made):
    """Of rows that SQL Server cannot hold verify says that they are missing, and nothing else."""
    relations = create(hostile_db, list(TYPES))
    there = made(ToMs(release_engine, hostile_db, ms, tables=["public.ty_*"], more={"on_error": {"rows": "dlq"}}))
    there.once(timeout=180, rc=None)
    change(hostile_db, [name for name, kind in relations.items() if kind not in REFUSED])
    hostile_db.execute(*(f"INSERT INTO {name} SELECT id + 1000, v FROM {name} WHERE id < 1000"
                         for name, kind in relations.items() if kind in REFUSED))
    there.once(timeout=180, rc=4)
    streams, differences = verify(there, "--window", "1s", rc=4)
    assert len(streams) == len(relations) and sum(s["source_rows"] for s in streams.values()) > 500
    for (name, _sink), s in streams.items():
        refused = 2 * REFUSED.get(relations[name], 0)
        found = (s["verdict"], s["missing"], s["extra"], s["different"], s["unsettled"])
        assert found == ("different" if refused else "equal", refused, 0, 0, 0), (relations[name], s, [
            d for d in differences if d["stream"] == name][:3])
        assert s["source_rows"] == s["target_rows"] + refused


def fill(ms) -> list[str]:
    names = []
    for number, (kind, text, _want) in enumerate(MS_TYPES):
        names.append(f"ty]{number:02}'\"")
        table = f"dbo.[{names[-1].replace(']', ']]')}]"
        ms.execute(f"CREATE TABLE {table} (id int NOT NULL PRIMARY KEY, [v ]]\"] {kind} NULL)",
                   f"INSERT INTO {table} VALUES (1, {text}), (2, NULL)")
    return names


@pytest.mark.timeout(300)
def test_every_type_out_of_sql_server(engine, mssql_server, ms, target, workdir, made):
    """To all that can be compared, in one pipeline: loaded, then changed."""
    other, names = mssql_server.create_database(), fill(ms)
    enable(ms, *names)
    there = made(ToMs(engine, ms, other, source={"fine_times": "text"}, beside={
        "pg": {"plugin": "postgres", "config": target.config(), "inputs": ["src"]},
        "json": {**pipe.file_sink(workdir / "json"), "inputs": ["src"]},
        "csv": {**pipe.file_sink(workdir / "csv", format="csv"), "inputs": ["src"]}}))
    there.once(timeout=180)
    assert len(equal(there, "--window", "1s")) == 4 * len(names)
    for name, (_kind, text, _want) in zip(names, MS_TYPES, strict=True):
        table = f"dbo.[{name.replace(']', ']]')}]"
        ms.execute(f"INSERT INTO {table} VALUES (3, {text}), (4, NULL)",
                   f"UPDATE {table} SET [v ]]\"] = {text} WHERE id = 2", f"DELETE FROM {table} WHERE id = 4")
    there.once(timeout=180)
    streams = equal(there, "--window", "2s")
    assert len(streams) == 4 * len(names) and all(s["source_rows"] == 3 for s in streams.values())


def test_what_differs_is_found(engine, ms, target, made):
    """Behind the back of the pipeline; tables without a key too, and rows that WHERE leaves out."""
    ms.execute("CREATE TABLE t (id int NOT NULL PRIMARY KEY, v nvarchar(20) NULL, n int NULL)",
               *(f"INSERT INTO t VALUES ({i}, N'v{i}', {i % 7})" for i in range(1, 60)),
               "CREATE TABLE bare (k int NULL, v nvarchar(20) NULL)",
               *(f"INSERT INTO bare VALUES ({i % 4}, N'x')" for i in range(40)))
    there = made(MsReplica(engine, ms, target, mode="full_load_only", tables={
        "include": ["dbo.*"], "rules": [{"match": "dbo.t", "where": "[n] <> 3 -- not these"}]}))
    there.once()
    streams = equal(there)
    assert streams["dbo.t", "copy"]["source_rows"] == ms.query("SELECT COUNT(*) FROM t WHERE n <> 3")[0][0]
    ms.execute("UPDATE t SET v = N'late' WHERE id = 5", "DELETE FROM t WHERE id = 6",
               "INSERT INTO t VALUES (500, N'more', 1)", "DELETE FROM bare WHERE k = 3")
    streams, differences = verify(there, rc=4)
    t, bare = streams["dbo.t", "copy"], streams["dbo.bare", "copy"]
    assert (t["missing"], t["extra"], t["different"]) == (1, 1, 1)
    assert (bare["missing"], bare["extra"], bare["different"]) == (0, 10, 0)
    assert {(d["key"], d["source"], d["target"]) for d in differences if d["stream"] == "dbo.t"} == {
        ("[5]", '{"id":5,"v":"late","n":5}', '{"id":5,"v":"v5","n":5}'), ("[6]", None, '{"id":6,"v":"v6","n":6}'),
        ("[500]", '{"id":500,"v":"more","n":1}', None)}


def test_a_table_of_other_types(engine, db, ms, made):
    """What a target's type holds is compared as the source's type; what it has lost shows."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n numeric(12,3), at timestamp, z timestamptz, f real, s text, b"
               " bytea, g uuid, d date)",
               "INSERT INTO t SELECT i, i + 0.125, '2026-01-02 03:04:05.123', '2026-01-02 03:04:05.123+05', 0.1, 'é' ||"
               " i, '\\x00ff', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '2026-02-03' FROM generate_series(1, 9) i")
    ms.execute("CREATE TABLE [public].[t] (id bigint NOT NULL PRIMARY KEY, n decimal(30,9) NULL, at datetime2(7) NULL,"
               " z datetimeoffset(7) NULL, f float NULL, s nvarchar(50) NULL, b varbinary(50) NULL,"
               " g uniqueidentifier NULL, d date NULL, extra int NULL)")
    there = made(ToMs(engine, db, ms, tables=["public.t"], mode="full_load_only", schema="freeze"))
    there.once()
    equal(there)
    ms.execute("UPDATE [public].[t] SET n = n + 0.000001 WHERE id = 1",
               "UPDATE [public].[t] SET at = '2026-01-02 03:04:05.1230001' WHERE id = 2",
               "UPDATE [public].[t] SET z = '2026-01-02 03:04:05.1230000 +06:00' WHERE id = 3",
               "UPDATE [public].[t] SET extra = 1 WHERE id = 4")
    streams, differences = verify(there, rc=4)
    assert streams["public.t", "copy"]["different"] == 3, differences
    shown = {d["key"]: d["target"] for d in differences}
    assert '"n":null' in shown["[1]"] and '"at":null' in shown["[2]"]
    assert '"z":"2026-01-01T21:04:05.123+00:00"' in shown["[3]"]


def test_soft_deletes(engine, db, ms, made):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)",
               "INSERT INTO t SELECT i, 'v' FROM generate_series(1, 9) i")
    there = made(ToMs(engine, db, ms, tables=["public.t"], write={"deletes": "soft"}))
    there.once()
    db.execute("DELETE FROM t WHERE id < 4", "UPDATE t SET v = 'w' WHERE id = 5")
    there.once()
    assert equal(there, "--window", "2s")["public.t", "copy"]["target_rows"] == 6
    assert ms.query("SELECT COUNT(*) FROM [public].[t]")[0][0] == 9


@pytest.mark.parametrize("way", ["cdc", "change_tracking"])
def test_while_changes_flow(engine, ms, target, made, way):
    """What is on its way is no difference; what went wrong behind the pipeline's back is one."""
    ms.execute("CREATE TABLE t (id int NOT NULL PRIMARY KEY, n int NULL)",
               *(f"INSERT INTO t VALUES ({i}, 0)" for i in range(1, 200)))
    if way == "cdc":
        enable(ms, "t")
    else:
        ms.execute(f"ALTER DATABASE [{ms.name}] SET ALLOW_SNAPSHOT_ISOLATION ON")
        track(ms, "t")
    there = made(MsReplica(engine, ms, target, source={"capture": way}, tables=["dbo.t"]))
    run = there.start()
    there.wait_loaded(["dbo.t"], run)
    for n in range(40):
        ms.execute(f"UPDATE t SET n = n + 1 WHERE id % 40 = {n}")
    streams, differences = verify(there)
    assert streams["dbo.t", "copy"]["verdict"] == "equal", (streams, differences)
    target.execute("UPDATE dbo.t SET n = -1 WHERE id = 77")
    streams, differences = verify(there, "--window", "3s", rc=4)
    assert [(d["key"], d["target"]) for d in differences] == [("[77]", '{"id":77,"n":-1}')]
    run.interrupt()
    run.wait().expect(0)


def test_what_is_not_compared(engine, db, ms, made):
    """A table that is not there, a column that is not: said so, not judged."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)", "CREATE TABLE u (id int PRIMARY KEY, v text)")
    there = made(ToMs(engine, db, ms, tables=["public.t", "public.u"], mode="full_load_only"))
    there.once()
    ms.execute("DROP TABLE [public].[t]", "ALTER TABLE [public].[u] DROP COLUMN v")
    streams, _ = verify(there)
    assert {name: s["verdict"] for (name, _), s in streams.items()} == {
        "public.t": "not compared", "public.u": "not compared"}
    assert "is not there" in streams["public.t", "copy"]["reason"]
    assert "no column v" in streams["public.u", "copy"]["reason"]


def test_a_server_that_is_away(engine, db, ms, made):
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    there = made(ToMs(engine, db, ms, tables=["public.t"], mode="full_load_only"))
    there.once()
    config = there.sinks["copy"]["config"]
    there.sinks["copy"]["config"] = {**config, "password": "wrong"}
    there.write()
    result = engine.cmd("verify", str(there.path))
    assert result.rc == 3 and "18456" in result.stderr, result.describe()


def test_large_values_and_many_rows(engine, ms, target, made):
    """More than one batch, values beyond a chunk, a thousand columns."""
    columns = ", ".join(f"c{i} int NULL" for i in range(1000))
    ms.execute("CREATE TABLE many (id int NOT NULL PRIMARY KEY, v nvarchar(max) NULL)",
               f"CREATE TABLE wide (id int NOT NULL PRIMARY KEY, {columns})",
               "INSERT INTO wide (id, c0, c999) VALUES (1, 5, 7)", "CREATE TABLE empty (id int NOT NULL PRIMARY KEY)")
    with ms.server.connect(ms.name) as conn:
        conn.execute("INSERT INTO dbo.many SELECT i, repeat('é' || i, CASE WHEN i % 1000 = 0 THEN 60000 ELSE 3 END)"
                     " FROM generate_series(1, 5000) i")
    there = made(MsReplica(engine, ms, target, mode="full_load_only"))
    there.once()
    assert equal(there)["dbo.many", "copy"]["source_rows"] == 5000
    target.execute("UPDATE dbo.many SET v = v || 'x' WHERE id IN (1000, 4999)")
    streams, differences = verify(there, rc=4)
    assert streams["dbo.many", "copy"]["different"] == 2 and {d["key"] for d in differences} == {"[1000]", "[4999]"}




@pytest.mark.parametrize("end", ["source", "sink"])
def test_a_server_that_is_killed_meanwhile(engine, own_ms, db, target, made, end):
    """No verdict on half of the rows."""
    ms = own_ms.create_database()
    if end == "source":
        ms.execute("CREATE TABLE t (id int NOT NULL PRIMARY KEY, v nvarchar(100) NULL)")
        with own_ms.connect(ms.name) as conn:
            conn.execute("INSERT INTO dbo.t SELECT i, repeat('x', 90) FROM generate_series(1, 3000) i")
        there = made(MsReplica(engine, ms, target, mode="full_load_only", tables=["dbo.t"]))
    else:
        db.execute("CREATE TABLE t AS SELECT i AS id, repeat('x', 90) AS v FROM generate_series(1, 3000) i",
                   "ALTER TABLE t ADD PRIMARY KEY (id)")
        there = made(ToMs(engine, db, ms, mode="full_load_only", tables=["public.t"]))
    there.once()
    killed: list[threading.Thread] = []

    def kill(_session, row: int) -> None:
        if row == 1500 and "[t]" in own_ms.batches[-1] and not killed:
            killed.append(threading.Thread(target=own_ms.kill9))
            killed[0].start()
            time.sleep(0.5)

    own_ms.on_row = kill
    result = engine.cmd("verify", str(there.path), timeout=100)
    assert killed and result.rc == 3 and "equal" not in result.stdout, result.describe()
    own_ms.on_row = None
    killed[0].join()
    own_ms.start()
    equal(there)
