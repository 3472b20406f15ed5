"""Kinds of tables of SQL Server (the stand-in) beside plain ones: views, computed columns, memory-optimised
tables, masked columns."""

from __future__ import annotations

import pytest
from support.mssql import MsReplica, enable


@pytest.fixture
def load(engine, ms, target):
    made: list[MsReplica] = []

    def make(*tables: str, mode: str = "full_load_only", **more) -> MsReplica:
        made.append(MsReplica(engine, ms, target, tables=list(tables), mode=mode, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_views(load, ms, target):
    """Loaded as they are; followed they are left out, with the reason."""
    ms.execute("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, v nvarchar(20) NULL, d decimal(9,2) NULL)",
               "INSERT INTO dbo.t VALUES (1, N'é', 1.5), (2, N'b', NULL), (3, NULL, -7)")
    ms.execute("CREATE VIEW dbo.[o'v] AS SELECT id, v AS [a name], d FROM dbo.t WHERE id < 3")
    load("dbo.*").once()
    rows = target.query("""SELECT id, "a name", d::text FROM dbo."o'v" ORDER BY id""")
    assert rows == [(1, "é", "1.50"), (2, "b", None)]
    assert target.value("SELECT count(*) FROM dbo.t") == 3
    enable(ms, "t")
    followed = load("dbo.*", mode="full_load_and_cdc", name="followed", write={"mode": "replace"})
    result = followed.once()
    assert "left out" in result.stderr and "a view has none" in result.stderr, result.describe()
    shown = followed.engine.cmd("check", str(followed.path)).stdout
    assert "is a view, which has no changes" in shown, shown


def test_columns_that_the_server_makes(load, ms, target):
    """Computed ones are read as any other in a load; where changes follow they are left out."""
    ms.execute("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, n int NULL, twice AS (n * 2))",
               "INSERT INTO dbo.t (id, n) VALUES (1, 21), (2, NULL)")
    load("dbo.t").once()
    assert target.query("SELECT id, twice FROM dbo.t ORDER BY id") == [(1, 42), (2, None)]


def test_memory_optimised(load, ms, target):
    """A SNAPSHOT transaction may not touch them: the hint of the table's gives the same moment."""
    ms.execute("CREATE TABLE dbo.m (id int NOT NULL PRIMARY KEY, v int NULL)",
               "INSERT INTO dbo.m VALUES (1, 2), (3, 4)")
    ms.behind("INSERT INTO tds.memory_optimized VALUES ('dbo.m'::regclass) RETURNING 1")
    ms.server.fail_on(r"FROM \[dbo\]\.\[m\]$", 41333, "not without the hint", times=100)
    ms.server.fail_on(r"ISOLATION LEVEL SNAPSHOT", 41332, "not in such a session", times=100)
    load("dbo.m").once()
    assert target.query("SELECT * FROM dbo.m ORDER BY 1") == [(1, 2), (3, 4)]


def test_masked_columns(load, ms):
    """Who may not unmask reads made-up values: check says so."""
    ms.execute("CREATE TABLE dbo.p (id int NOT NULL PRIMARY KEY, mail nvarchar(50) NULL)")
    ms.behind("INSERT INTO tds.masks VALUES ('dbo.p'::regclass, 2, 'email()') RETURNING 1")
    one = load("dbo.p")
    assert "masked" not in one.engine.cmd("check", str(one.path)).stdout
    ms.server.users["reader"] = "pass"
    ms.behind("INSERT INTO tds.denied VALUES ('reader', 'UNMASK', 0, 0) RETURNING 1")
    one = load("dbo.p", source={"user": "reader", "password": "pass"}, name="reader")
    shown = one.engine.cmd("check", str(one.path)).stdout
    assert "1 columns of the database are masked" in shown and "GRANT UNMASK" in shown, shown
