"""The stand-in as a test sees it: made, asked, broken. README.md lists what can be broken and how."""

from __future__ import annotations

import contextlib
import itertools
import re
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import pq
from psycopg.adapt import Transformer

from ..pg import PgDatabase, PgServer
from . import errors, tokens, wire
from .cdc import Capture
from .engine import Engine
from .errors import ServerError
from .session import Session
from .tokens import Column

if TYPE_CHECKING:
    from .engine import Reply

USER, PASSWORD = "sa", "S3cret!pass"
HERE = Path(__file__).parent

# Errors that tests ask for by their number alone: text, severity, state, what ends.
FAULTS = {
    1205: ("", 13, 51, "transaction"),
    1222: ("Lock request time out period exceeded.", 16, 51, ""),
    9002: ("The transaction log for database '%db%' is full due to 'LOG_BACKUP'.", 17, 2, "transaction"),
    1105: (
        "Could not allocate space for object 'dbo.SORT temporary run storage' in database 'tempdb'"
        " because the 'PRIMARY'"
        " filegroup is full.",
        17,
        2,
        "transaction",
    ),
    701: ("There is insufficient system memory in resource pool 'default' to run this query.", 17, 123, "batch"),
    40613: (
        "Database '%db%' on server 'STANDIN' is not currently available. Please retry the connection later.",
        17,
        1,
        "connection",
    ),
    3960: ("Snapshot isolation transaction aborted due to update conflict.", 16, 2, "transaction"),
    229: ("The permission was denied on the object, database '%db%', schema 'dbo'.", 14, 5, "batch"),
}


@dataclass
class Fault:
    """Once a statement matches: an error, a cut, or a wait."""

    pattern: re.Pattern
    times: int
    error: Callable[[Engine], ServerError] | None = None
    cut: str = ""  # "before" or "after" it was done
    event: threading.Event | None = None
    skip: int = 0


class MssqlServer:
    """Listens on a port of its own; its databases are those of a PostgreSQL."""

    session_class: type[Session] = Session

    def __init__(self, pg: PgServer, owns: bool = False):
        self.pg = pg
        self.owns = owns
        self.users = {USER: PASSWORD}
        self.windows_users: dict[tuple[str, str], str] = {}  # (DOMAIN, user): by NTLMv2
        self.databases: dict[str, str] = {}
        self.tls: ssl.SSLContext = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.refuses_tls = True
        self.batches: list[str] = []
        self.holds: dict[str, threading.Event] = {}
        self.on_row: Callable[[Session, int], None] | None = None
        self.faults: list[Fault] = []
        self.login_error: tuple[int, str] | None = None
        self.tds_version = "74000004"  # in LOGINACK; 71000001 is SQL Server 2000's
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
        """All connections are cut, none is taken; what was not committed is gone. start() is back at the same port."""
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
        for event in [*self.holds.values(), *(fault.event for fault in self.faults if fault.event)]:
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
        made.execute((HERE / "catalog.sql").read_text(), (HERE / "views.sql").read_text(),
                     (HERE / "tracking.sql").read_text())
        self.databases[name or made.name] = made.name
        return MssqlDatabase(self, name or made.name)

    def drop_database(self, name: str) -> None:
        capture = self.captures.pop(name, None)
        if capture is not None:
            capture.end()
        self.pg.drop_database(self.databases.pop(name))

    def procedure(self, database: str, name: str, arguments: dict[str, str]) -> None:
        """A system procedure of change data capture."""
        if name == "sp_cdc_enable_db":
            self.captures.setdefault(database, Capture(PgDatabase(self.pg, self.databases[database])))
        elif name == "sp_cdc_enable_table" and database in self.captures:
            chosen = arguments.get("captured_column_list", "")
            instance = arguments.get("capture_instance", "")
            self.captures[database].enable(
                arguments["source_schema"],
                arguments["source_name"],
                "" if instance == "NULL" else instance,
                "" if chosen == "NULL" else chosen,
            )
        elif name == "sp_cdc_disable_table" and database in self.captures:
            self.captures[database].disable(arguments["capture_instance"])
        elif name == "sp_cdc_disable_db":
            if database in self.captures:
                self.captures.pop(database).disable_database()
        elif name == "sp_cdc_scan" and database in self.captures:
            self.captures[database].scan()
        else:
            raise errors.NotTaken(
                f"Could not find stored procedure '{name}', or the database is not enabled for Change Data Capture.",
                22901 if name.startswith("sp_cdc") else 2812,
            )

    def captured(self, database: str, relation: str) -> bool:
        capture = self.captures.get(database)
        return capture is not None and any(one.stream == relation for one in capture.instances)

    def connect(self, database: str) -> psycopg.Connection:
        conn = self.pg.connect(self.databases[database])
        conn.execute("SET search_path = dbo, sys, pg_catalog; SET extra_float_digits = 1; SET bytea_output = hex")
        return conn

    def use(self, engine: Engine, name: str, reply: Reply) -> None:
        if name not in self.databases:
            raise ServerError(f"Database '{name}' does not exist. Make sure that the name is entered correctly.", 911)
        if name != engine.database:
            if engine.trancount:
                raise ServerError("USE is not taken in a transaction by the stand-in.", 226)
            engine.move(name)
        reply.environment(1, tokens.b_varchar(name), tokens.b_varchar(name))
        reply.message(5701, f"Changed database context to '{name}'.", 0, 2)
        reply.done(0xFD)

    def forget(self, session: Session) -> None:
        self.sessions.discard(session)

    def number(self) -> int:
        return next(self._numbers)

    # -- watching and breaking

    def note(self, batch: str) -> None:
        self.batches.append(batch)

    def hold(self, what: str) -> None:
        """Waits where the test told so: `holds["login"] = Event()`, "before commit" and "before rollback", and "commit"
        and "rollback" behind them."""
        event = self.holds.get(what)
        if event is not None:
            event.wait(600)

    def after_row(self, session: Session, row: int) -> None:
        if self.on_row is not None:
            self.on_row(session, row)

    def fail_on(
        self,
        pattern: str,
        number: int,
        text: str = "",
        times: int = 1,
        skip: int = 0,
        ends: str = "",
        severity: int = 0,
    ) -> Fault:
        """The next statements that match (not the first `skip` of them) end with that error."""
        known = FAULTS.get(number, (text or "injected", 16, 1, ends))

        def error(engine: Engine) -> ServerError:
            if number == 1205 and not text:
                return errors.deadlock(engine.spid)
            return ServerError(
                (text or known[0]).replace("%db%", engine.database),
                number,
                severity or known[1],
                known[2],
                ends or known[3],
            )

        return self._add(Fault(re.compile(pattern, re.I | re.S), times, error, skip=skip))

    def cut_on(self, pattern: str, when: str = "after", times: int = 1, skip: int = 0) -> Fault:
        """The client of the next statement that matches loses its connection: "after" it was done (a COMMIT whose reply
        is lost) or "before"."""
        return self._add(Fault(re.compile(pattern, re.I | re.S), times, cut=when, skip=skip))

    def hang_on(self, pattern: str, times: int = 1, skip: int = 0) -> threading.Event:
        """The next statement that matches waits until the event is set."""
        event = threading.Event()
        self._add(Fault(re.compile(pattern, re.I | re.S), times, event=event, skip=skip))
        return event

    def _add(self, fault: Fault) -> Fault:
        self.faults.append(fault)
        return fault

    def _due(self, text: str, when: str) -> list[Fault]:
        out = []
        for fault in list(self.faults):
            if (fault.cut == "after") == (when == "after") and fault.times > 0 and fault.pattern.search(text):
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                out.append(fault)
        return out

    def before(self, engine: Engine, text: str) -> None:
        """Before a statement is run."""
        for fault in self._due(text, "before") if self.faults else ():
            if fault.event is not None:
                fault.event.wait(600)
            elif fault.cut:
                raise wire.Closed
            elif fault.error is not None:
                raise fault.error(engine)

    def after(self, engine: Engine, text: str) -> None:
        if self.faults and self._due(text, "after"):
            raise wire.Closed


class _Collected:
    """A reply that is kept."""

    def __init__(self, pg: psycopg.Connection) -> None:
        self.found: list[tuple] = []
        self.error: ServerError | None = None
        self.pg = pg

    def message(self, number: int, text: str, severity: int, state: int) -> None:
        if severity > 10 and self.error is None:
            self.error = ServerError(text, number, severity, state)

    def columns(self, columns: list[Column]) -> None: ...

    def rows(self, columns: list[Column], result: pq.abc.PGresult) -> None:
        made = Transformer(self.pg)
        made.set_pgresult(result)
        self.found = made.load_rows(0, result.ntuples, tuple)

    def done(self, command: int, rows: int | None = None, failed: bool = False, token: int = 0xFD) -> None: ...

    def environment(self, kind: int, new: bytes, old: bytes) -> None: ...

    def status(self, value: int) -> None: ...


class MssqlDatabase:
    """One database, asked in T-SQL through the same engine that clients go through."""

    def __init__(self, server: MssqlServer, name: str):
        self.server = server
        self.name = name

    def _run(self, statements: tuple[str, ...]) -> list[tuple]:
        engine = Engine(self.server, self.name, USER)
        try:
            reply = _Collected(engine.pg)
            for text in statements:
                engine.run(text, reply)
                if reply.error is not None:
                    raise reply.error
            return reply.found
        finally:
            engine.close()

    def execute(self, *statements: str) -> None:
        """As batches of one session."""
        self._run(statements)

    def query(self, text: str) -> list[tuple]:
        """Rows as PostgreSQL keeps the values."""
        return self._run((text,))

    def rows(self, text: str) -> list[tuple]:
        """Rows as python-tds reads them from the server: by a client of its own, with its own types."""
        import pytds

        options = {"port": self.server.port, "database": self.name, "user": USER, "password": PASSWORD}
        with pytds.connect("127.0.0.1", autocommit=True, **options) as conn, conn.cursor() as cursor:
            cursor.execute(text)
            return list(cursor.fetchall())

    def behind(self, sql: str, params: Any = None) -> list[tuple]:
        """Rows of PostgreSQL itself: what lies there, whatever the stand-in makes of it."""
        with self.server.connect(self.name) as conn:
            return conn.execute(sql, params).fetchall()  # type: ignore[arg-type]

    def clean_tracking(self, up_to: int) -> None:
        """What was tracked up to this version is forgotten, as once its retention has passed."""
        self.behind("SELECT tds.ct_cleanup(%s)", [up_to])

    def config(self, **more: Any) -> dict[str, Any]:
        """The `config:` of a `sqlserver` source or sink of this database."""
        return {
            "host": "127.0.0.1",
            "port": self.server.port,
            "database": self.name,
            "user": USER,
            "password": PASSWORD,
            **more,
        }
