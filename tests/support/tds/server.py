"""The stand-in as a test sees it: made, asked, broken."""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from ..pg import PgDatabase, PgServer
from . import tsql
from .cdc import Capture
from .session import Session

USER, PASSWORD = "sa", "S3cret!pass"


class MssqlServer:
    """Listens on a port of its own; its databases are those of a PostgreSQL."""

    session_class: type[Session] = Session

    def __init__(self, pg: PgServer, owns: bool = False):
        self.pg = pg
        self.owns = owns
        self.users = {USER: PASSWORD}
        self.databases: dict[str, str] = {}
        self.tls: ssl.SSLContext = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.refuses_tls = True
        self.batches: list[str] = []
        self.holds: dict[str, threading.Event] = {}
        self.on_row: Callable[[Session, int], None] | None = None
        self.sessions: set[Session] = set()
        self.captures: dict[str, Capture] = {}
        self._numbers = itertools.count(1)
        self._listener: socket.socket | None = None
        self.port = 0
        self.create_database("master")
        self.start()

    @classmethod
    def create(cls) -> MssqlServer:
        return cls(PgServer.create(), owns=True)

    # -- life

    def start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            session = self.session_class(self, sock)
            self.sessions.add(session)
            session.start()

    def kill9(self) -> None:
        """All connections are cut, none is taken; what was not committed is gone."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for session in list(self.sessions):
            with contextlib.suppress(OSError):
                session.link.sock.shutdown(socket.SHUT_RDWR)
        for session in list(self.sessions):
            session.join(5)

    def destroy(self) -> None:
        for event in self.holds.values():
            event.set()
        self.kill9()
        for capture in self.captures.values():
            capture.end()
        if self.owns:
            self.pg.destroy()

    # -- TLS

    def use_tls(self, certificate: Path, key: Path) -> None:
        self.tls.load_cert_chain(certificate, key)
        self.tls.maximum_version = ssl.TLSVersion.TLSv1_2  # the client's last flight of 1.3 is never sent
        self.refuses_tls = False

    def encryption(self, wanted: int) -> int:
        """What PRELOGIN answers: 2 not supported, 1 on, 0 the login alone."""
        return 2 if self.refuses_tls else 1 if wanted in (1, 3) else 0

    # -- databases

    def create_database(self, name: str = "") -> MssqlDatabase:
        made = self.pg.create_database("ms")
        made.execute((Path(__file__).parent / "catalog.sql").read_text())
        self.databases[name or made.name] = made.name
        return MssqlDatabase(self, name or made.name)

    def procedure(self, database: str, name: str, arguments: dict[str, str]) -> None:
        """A system procedure of change data capture."""
        if name == "sp_cdc_enable_db":
            self.captures.setdefault(database, Capture(PgDatabase(self.pg, self.databases[database])))
        elif name == "sp_cdc_enable_table" and database in self.captures:
            chosen = arguments.get("captured_column_list", "")
            instance = arguments.get("capture_instance", "")
            self.captures[database].enable(arguments["source_schema"], arguments["source_name"],
                                           "" if instance == "NULL" else instance, "" if chosen == "NULL" else chosen)
        elif name == "sp_cdc_disable_table" and database in self.captures:
            self.captures[database].disable(arguments["capture_instance"])
        elif name == "sp_cdc_scan" and database in self.captures:
            self.captures[database].scan()
        else:
            raise tsql.NotTaken(f"Could not find stored procedure '{name}', or the database is not enabled for"
                                " Change Data Capture.", 22901 if name.startswith("sp_cdc") else 2812)

    def connect(self, database: str) -> psycopg.Connection:
        conn = self.pg.connect(self.databases[database])
        conn.execute("SET search_path = dbo, sys, pg_catalog; SET extra_float_digits = 1; SET bytea_output = hex")
        return conn

    def forget(self, session: Session) -> None:
        self.sessions.discard(session)

    def number(self) -> int:
        return next(self._numbers)

    # -- watching and breaking

    def note(self, batch: str) -> None:
        self.batches.append(batch)

    def hold(self, what: str) -> None:
        """Waits where the test told so: `holds["login"] = Event()`, and "commit", "rollback" behind them."""
        event = self.holds.get(what)
        if event is not None:
            event.wait(600)

    def after_row(self, session: Session, row: int) -> None:
        if self.on_row is not None:
            self.on_row(session, row)


class MssqlDatabase:
    """One database, asked in T-SQL through the same translation that clients go through."""

    def __init__(self, server: MssqlServer, name: str):
        self.server = server
        self.name = name

    def execute(self, *statements: str) -> None:
        with self.server.connect(self.name) as conn:
            for text in statements:
                for part in tsql.split(text):
                    made = tsql.translate(part)
                    if made.kind == "procedure":
                        self.server.procedure(self.name, made.sql[0], made.arguments)
                        continue
                    for sql in made.sql:
                        conn.execute(sql)  # type: ignore[call-overload]

    def query(self, text: str) -> list[tuple]:
        with self.server.connect(self.name) as conn:
            return conn.execute(tsql.translate(text).sql[-1]).fetchall()  # type: ignore[call-overload]

    def config(self, **more: Any) -> dict[str, Any]:
        """The `config:` of a `sqlserver` source that reads this database."""
        return {"host": "127.0.0.1", "port": self.server.port, "database": self.name, "user": USER,
                "password": PASSWORD, **more}

