"""The examples with SQL Server do what their heads say; the server is the stand-in (tests/support/tds)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support import changes, lake, mssql
from support.mssql import enable
from support.tds.server import PASSWORD, USER

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
COLUMNS = ("id", "name", "price")


@pytest.fixture
def erp(mssql_server):
    db = mssql_server.create_database()
    db.execute("CREATE TABLE dbo.item (id int NOT NULL PRIMARY KEY, name nvarchar(40) NULL, price decimal(10,2) NULL)",
               *[f"INSERT INTO dbo.item VALUES ({i}, N'item {i}', {i}.50)" for i in range(1, 30)])
    enable(db, "item")
    return db


def env_of(db) -> dict[str, str]:
    return {"MSSQL_HOST": "127.0.0.1", "MSSQL_PORT": str(db.server.port), "MSSQL_DATABASE": db.name, "MSSQL_USER": USER,
            "MSSQL_PASSWORD": PASSWORD, "MSSQL_ENCRYPT": "off"}


def change(db) -> None:
    db.execute("UPDATE dbo.item SET name = N'né' WHERE id <= 3", "DELETE FROM dbo.item WHERE id = 7",
               "INSERT INTO dbo.item VALUES (99, NULL, 0)", "UPDATE dbo.item SET id = 100 WHERE id = 8")


def test_to_postgresql(engine, erp, target):
    path = EXAMPLES / "SQLServer_to_PostgreSQL.yaml"
    env = {**env_of(erp), **target.env()}
    engine.cmd("check", str(path), env=env).expect(0)
    assert "CREATE TABLE" in engine.cmd("plan", str(path), env=env).expect(0).stdout
    engine.run(path, env=env).expect(0)
    assert mssql.compare(erp, target, "dbo.item", "dbo.item", COLUMNS).rows == 29
    change(erp)
    engine.run(path, env=env).expect(0)
    assert mssql.compare(erp, target, "dbo.item", "dbo.item", COLUMNS).rows == 29
    assert "sqlserver_to_postgresql" in engine.cmd("state", "show", str(path), env=env).expect(0).stdout


def test_to_postgresql_by_change_tracking(engine, mssql_server, target):
    path = EXAMPLES / "SQLServer_to_PostgreSQL_change_tracking.yaml"
    erp = mssql_server.create_database()
    erp.execute("CREATE TABLE dbo.item (id int NOT NULL PRIMARY KEY, name nvarchar(40) NULL, price decimal(10,2) NULL)",
                *[f"INSERT INTO dbo.item VALUES ({i}, N'item {i}', {i}.50)" for i in range(1, 30)])
    mssql.track(erp, "item")
    env = {**env_of(erp), **target.env()}
    engine.cmd("check", str(path), env=env).expect(0)
    engine.run(path, env=env).expect(0)
    change(erp)
    engine.run(path, env=env).expect(0)
    assert mssql.compare(erp, target, "dbo.item", "dbo.item", COLUMNS).rows == 29


def test_to_s3(engine, erp, bucket):
    path = EXAMPLES / "SQLServer_to_S3.yaml"
    env = {**env_of(erp), **bucket.env(), "S3_PREFIX": "erp"}
    engine.cmd("check", str(path), env=env).expect(0)
    engine.run(path, env=env).expect(0)
    change(erp)
    engine.run(path, env=env).expect(0)
    feed = changes.Feed(lake.Lake(lake.S3Store(bucket, "erp")))
    table = changes.rebuild(feed, "dbo.item")
    have = {changes.number(row["id"]): (row["name"], row["price"]) for row in table.all_rows()}
    want = {i: (name, price) for i, name, price in erp.query("SELECT id, name, price FROM dbo.item")}
    assert have.keys() == want.keys() and len(have) == 29
    assert {i: name for i, (name, _) in have.items()} == {i: name for i, (name, _) in want.items()}
    assert [event.op for event in feed.events("dbo.item")] == ["U", "U", "U", "D", "I", "D", "I"]


def test_from_postgresql(engine, sample_db, mssql_server):
    target = mssql_server.create_database()
    sample_db.execute("ALTER TABLE salary ADD id bigserial PRIMARY KEY")
    path = EXAMPLES / "PostgreSQL_to_SQLServer.yaml"
    env = {**sample_db.env(), **env_of(target)}
    engine.cmd("check", str(path), env=env).expect(0)
    assert "CREATE TABLE [public].[salary]" in engine.cmd("plan", str(path), env=env).expect(0).stdout
    engine.run(path, env=env).expect(0)
    sample_db.execute("UPDATE employee SET name = 'né' WHERE id <= 10", "DELETE FROM salary WHERE employee_id = 7")
    engine.run(path, env=env).expect(0)
    rows = [mssql.compare_pg(sample_db, target, f"public.{name}").rows for name in ("department", "employee", "salary")]
    assert min(rows) > 1
    engine.cmd("retire", str(path), "--yes", env=env).expect(0)


def test_to_sql_server(engine, erp, mssql_server):
    target = mssql_server.create_database()
    path = EXAMPLES / "SQLServer_to_SQLServer.yaml"
    there = env_of(target)
    env = {**env_of(erp), **{name.replace("MSSQL", "TARGET"): value for name, value in there.items()}}
    engine.cmd("check", str(path), env=env).expect(0)
    engine.run(path, env=env).expect(0)
    change(erp)
    engine.run(path, env=env).expect(0)
    ask = "SELECT id, name, price FROM dbo.item ORDER BY id"
    assert target.query(ask) == erp.query(ask) and len(erp.query(ask)) == 29
