"""Changes of SQL Server, out of the change tables of the stand-in (tests/support/tds), into PostgreSQL and files."""

from __future__ import annotations

import pytest
from support import mssql
from support.mssql import MsReplica, enable
from support.tds import MssqlServer

TABLE = ("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, n int NULL, amount decimal(18,4) NULL, note nvarchar(200)"
         " NULL, body nvarchar(max) NULL, at datetime2(3) NULL, flag bit NOT NULL)")
COLUMNS = ("id", "n", "amount", "note", "body", "at", "flag")


def row(i: int, n: int = 0, body: str = "x") -> str:
    return (f"INSERT INTO dbo.t (id, n, amount, note, body, at, flag) VALUES ({i}, {n}, {i}.2500, N'né{i}', N'{body}',"
            f" '2026-11-27 10:00:{i % 60:02d}.125', {i % 2})")


@pytest.fixture
def ms(mssql_server: MssqlServer):
    return mssql_server.create_database()


@pytest.fixture
def replica(engine, ms, target):
    made: list[MsReplica] = []

    def make(**more):
        made.append(MsReplica(engine, ms, target, **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


WORK = (
    row(6, 6), row(7, 7),
    "UPDATE dbo.t SET n = n + 1 WHERE id IN (1, 2)",
    "UPDATE dbo.t SET id = 70 WHERE id = 7",
    "DELETE FROM dbo.t WHERE id IN (3, 6)",
    "UPDATE dbo.t SET body = NULL, note = N'' WHERE id = 4",
)


def test_load_then_changes(replica, ms, target):
    ms.execute(TABLE, *[row(i) for i in range(1, 6)])
    enable(ms, "t")
    copy = replica()
    copy.once()
    copy.compare_to("t", COLUMNS)
    ms.execute(*WORK)
    copy.once()
    assert copy.compare_to("t", COLUMNS).rows == 5
    assert mssql.rows_of(target, "dbo.t", ("id", "n"), 1).keys() == {(1,), (2,), (4,), (5,), (70,)}
