"""What stands for a real SQL Server in tests, tried on the stand-in."""

from __future__ import annotations

import pytest
from support.mssql import MsReplica, enable
from support.tds import MssqlServer
from support.tds.real import VARIABLE, RealServer
from support.tds.server import PASSWORD, USER


@pytest.fixture
def real(pg_server):
    server = MssqlServer(pg_server)
    made = RealServer(f"mssql://{USER}:{PASSWORD}@127.0.0.1:{server.port}")
    yield made
    made.destroy()
    assert set(server.databases) <= {"master"}
    server.destroy()


def test_a_pipeline(real, engine, target):
    ms = real.create_database()
    ms.execute("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, v nvarchar(20) NULL, at datetime2(3) NULL, n"
               " decimal(9,2) NULL)", "INSERT INTO dbo.t VALUES (1, N'é', '2026-01-02 03:04:05.678', 1.5)")
    enable(ms, "t")
    pipe = MsReplica(engine, ms, target)
    pipe.once()
    ms.execute("UPDATE dbo.t SET v = N'x', n = -2", "INSERT INTO dbo.t (id) VALUES (2)")
    pipe.once()
    assert pipe.compare_to("t", ("id", "v", "at", "n")).rows == 2


def test_what_only_the_stand_in_has(real):
    with pytest.raises(pytest.skip.Exception, match="needs the stand-in's captures"):
        real.captures.get("x")
    with pytest.raises(ValueError, match=VARIABLE):
        RealServer("postgres://a:b@c")
