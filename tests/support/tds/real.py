"""A real SQL Server in the place of the stand-in, for the tests that need nothing of the stand-in's own:

    SLUICE_TEST_MSSQL='mssql://sa:secret@host:1433' scripts/test integration -k 'sqlserver or mssink'

The login must be of sysadmin: it makes databases of its own, with CDC where a test asks for it, and drops them. SQL
Server Agent must run. Tests that reach behind the server (faults, cuts, the capture job's pace) are skipped, and
say so.
"""

from __future__ import annotations

import datetime
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import pytds
import pytest

VARIABLE = "SLUICE_TEST_MSSQL"


def _plain(value: Any) -> Any:
    """As the stand-in's own queries give it: texts of times and GUIDs, numbers of bits."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, datetime.datetime) and value.tzinfo is None:
        return value.strftime("%Y-%m-%d %H:%M:%S.%f")
    if isinstance(value, uuid.UUID):
        return str(value)
    return value


class RealServer:
    """What tests use of a server: databases. Whatever else is the stand-in's."""

    def __init__(self, url: str):
        parts = urlsplit(url)
        if parts.scheme != "mssql" or not parts.hostname or not parts.username:
            raise ValueError(f"{VARIABLE} is not mssql://user:password@host:port")
        self.host, self.port = parts.hostname, parts.port or 1433
        self.user, self.password = unquote(parts.username), unquote(parts.password or "")
        self.databases: dict[str, str] = {}

    @classmethod
    def named(cls) -> RealServer | None:
        """The one of the environment, if there is one."""
        url = os.environ.get(VARIABLE, "")
        return cls(url) if url else None

    def __getattr__(self, name: str) -> Any:
        pytest.skip(f"NOT RUN: needs the stand-in's {name}, and {VARIABLE} names a real server")

    @contextmanager
    def session(self, database: str) -> Iterator[Any]:
        with pytds.connect(self.host, database=database, user=self.user, password=self.password, port=self.port,
                           autocommit=True) as conn, conn.cursor() as cursor:
            yield cursor

    def create_database(self, name: str = "") -> RealDatabase:
        name = name or f"sluice_test_{uuid.uuid4().hex[:12]}"
        with self.session("master") as cursor:
            cursor.execute(f"CREATE DATABASE [{name}]")
            cursor.execute(f"ALTER DATABASE [{name}] SET ALLOW_SNAPSHOT_ISOLATION ON")
        self.databases[name] = name
        return RealDatabase(self, name)

    def drop_database(self, name: str) -> None:
        del self.databases[name]
        with self.session("master") as cursor:
            cursor.execute(f"ALTER DATABASE [{name}] SET SINGLE_USER WITH ROLLBACK IMMEDIATE")
            cursor.execute(f"DROP DATABASE [{name}]")

    def destroy(self) -> None:
        for name in list(self.databases):
            self.drop_database(name)


class RealDatabase:
    def __init__(self, server: RealServer, name: str):
        self.server, self.name = server, name

    def execute(self, *statements: str) -> None:
        with self.server.session(self.name) as cursor:
            for text in statements:
                cursor.execute(text)

    def rows(self, text: str) -> list[tuple]:
        with self.server.session(self.name) as cursor:
            cursor.execute(text)
            return list(cursor.fetchall())

    def query(self, text: str) -> list[tuple]:
        return [tuple(_plain(value) for value in row) for row in self.rows(text)]

    def behind(self, _sql: str, _params: Any = None) -> list[tuple]:
        pytest.skip(f"NOT RUN: looks behind the stand-in, and {VARIABLE} names a real server")

    def config(self, **more: Any) -> dict[str, Any]:
        server = self.server
        return {"host": server.host, "port": server.port, "database": self.name, "user": server.user,
                "password": server.password, **more}
