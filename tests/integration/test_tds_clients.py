"""The stand-in for SQL Server, asked by tedious (JavaScript) and mssql-jdbc (Java): they share no code with it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from support import tls
from support.tds import MssqlServer
from support.tds.server import PASSWORD, USER

CLIENTS = Path(__file__).parent.parent / "support" / "clients"


def where(variable: str) -> str:
    """scripts/test fetches the clients and names them; without it they are a skip, in CI a failure."""
    path = os.environ.get(variable, "")
    if path and Path(path).exists():
        return path
    if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        raise RuntimeError(f"{variable} names no client")
    pytest.skip(f"NOT RUN: {variable} names no client; scripts/test fetches it")


@pytest.fixture(params=["plain", "tls"])
def server(request, workdir):
    made = MssqlServer.create()
    if request.param == "tls":
        made.use_tls(*tls.Authority.create(workdir / "ca").issue("localhost"))
    yield made, request.param == "tls"
    made.destroy()


def ask(server: MssqlServer, encrypted: bool, command: list[str], **more: str) -> list[str]:
    database = server.create_database()
    env = {**os.environ, **more, "MS_PORT": str(server.port), "MS_DB": database.name}
    env.update(MS_USER=USER, MS_PASSWORD=PASSWORD, TZ="UTC")
    if encrypted:
        env["MS_TLS"] = "1"
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_tedious(server):
    """Types by parameters, an OUTPUT parameter, transactions, an error, a bulk load, a prepared statement, cancel."""
    path = where("SLUICE_TEDIOUS")
    lines = ask(*server, ["node", str(CLIENTS / "tedious.js")], NODE_PATH=path)
    assert lines == [
        '{"rows":[[1,"é"]],"n":1,"out":{}}',
        '{"rows":[],"n":1,"out":{}}',
        '{"rows":[[1,"it\'s é",1.5,{"type":"Buffer","data":[0,255]},"2024-02-29T01:02:03.456Z",'
        '"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",9000,0.1,true]],"n":1,"out":{}}',
        '{"rows":[],"n":0,"out":{"o":42}}',
        "[[1],[3]]",
        "2627 14 1 Violation of PRIMARY KEY constraint 'PK__t'. Cannot insert duplicate key in object 'dbo.t'. The"
        " duplicate key value is (3).",
        'bulk 2 [[10,"ten","2024-01-01T00:00:00.500Z"],[11,null,null]]',
        "prep 2",
        "prep 42",
        "cancel ECANCEL true",
    ]


def test_jdbc(server):
    """All of it by prepared statements and by SQLServerBulkCopy; what is read back names its types."""
    path = where("SLUICE_MSSQL_JDBC")
    lines = ask(*server, ["java", "-cp", path, str(CLIENTS / "JdbcClient.java")])
    row = (
        "int={0}|nvarchar=it's é{0}|decimal=1.50|varbinary=00ff|datetime2=2024-02-29 01:02:03.1234567|"
        "datetimeoffset=2024-02-29 06:32:03.123 +05:30|uniqueidentifier=A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11|"
        "nvarchar=9000 chars|float=0.1|bit=true|money=-1.2345|xml=<a/>|date=0001-01-01|time=01:02:03|"
    )
    assert lines == [
        "version 16.00.1000",
        *(row.format(i) for i in (1, 2, 3)),
        "bulk 3 2024-02-29 01:02:03.1234567 it's é3",
        "upd 2",
        "del 1",
        "1 it's é1",
        "2 it's é2",
        "error 2627 23000 14 1",
        "out 42",
        "cancel The query has timed out.",
        "alive 7",
    ]
