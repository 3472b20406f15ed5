"""A SQL Server (the stand-in) that lets nobody in, or is none: what is said of it, as a source and as a sink, and that
no password is in it."""

from __future__ import annotations

import socket
import threading

import pytest
from support.mssql import MsReplica, ToMs
from support.tds.server import PASSWORD, MssqlServer

RETRY = {"retry": {"max": 1, "backoff": "20ms", "cap": "50ms"}}


@pytest.fixture
def own(pg_server):
    server = MssqlServer(pg_server)
    yield server
    server.destroy()


@pytest.fixture
def other():
    """other(answer, hold) → port of a server that sends that to whoever comes, and hangs up unless it is to hold on."""
    listeners: list[socket.socket] = []

    def serve(listener: socket.socket, answer: bytes, hold: bool, kept: list) -> None:
        while True:
            try:
                one, _ = listener.accept()
            except OSError:
                return
            one.sendall(answer)
            kept.append(one)
            if not hold:
                one.close()

    def make(answer: bytes, hold: bool = False) -> int:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=serve, args=(listener, answer, hold, []), daemon=True).start()
        return listener.getsockname()[1]

    yield make
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.fixture(params=["source", "sink"])
def pipe(request, release_engine, own, db, target):
    """pipe(options) → a pipeline whose end at the SQL Server has them."""
    db.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    ms = own.create_database()
    ms.execute("CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY)")
    made: list = []

    def make(**options):
        options = {"login_timeout": "2s", **options}
        more = {"mode": "full_load_only", "on_error": RETRY}
        made.append(MsReplica(release_engine, ms, target, source=options, **more) if request.param == "source"
                    else ToMs(release_engine, db, ms, sink=options, tables=["public.t"], **more))
        return made[-1]

    make.database = ms
    yield make
    for one in made:
        one.close()


def told(pipe, *words: str) -> None:
    """By check and by run alike, with exit code 3."""
    for result in (pipe.engine.cmd("check", str(pipe.path)), pipe.once(rc=None, timeout=60)):
        assert result.rc == 3, result.describe()
        assert all(word in result.output for word in words), f"{words}\n{result.describe()}"
        assert PASSWORD not in result.output and "wrong-secret" not in result.output, result.describe()


LOGINS = {
    18456: ("Login failed for user 'sa'.", "check user and password"),
    18486: ("Login failed for user 'sa' because the account is currently locked out.", "locked out"),
    18487: ("Login failed for user 'sa'. Reason: The password has expired.", "expired"),
    18470: ("Login failed for user 'sa'. Reason: The account is disabled.", "disabled"),
    4060: ('Cannot open database "shop" requested by the login. The login failed.', "option database"),
    942: ("Database 'shop' cannot be opened because it is offline.", "the database is offline"),
    924: ("Database 'shop' is already open and can only have one user at a time.", "one user"),
    927: ("Database 'shop' cannot be opened. It is in the middle of a restore.", "restore"),
    17142: ("SQL Server service has been paused. No new connections will be allowed.", "paused"),
    6005: ("SHUTDOWN is in progress.", "SHUTDOWN"),
    17809: ("The maximum number of '5' user connections has been reached.", "user connections"),
}


@pytest.mark.parametrize("number", LOGINS)
def test_refused(pipe, own, number):
    text, word = LOGINS[number]
    own.login_error = (number, text)
    told(pipe(), f"error {number}", word)


def test_wrong_password(pipe):
    told(pipe(password="wrong-secret"), "error 18456", "check user and password")


def test_no_such_database(pipe):
    told(pipe(database="nowhere"), "error 4060", "nowhere", "option database")


def test_tls(pipe, own):
    """A server without TLS, or with a stranger's certificate, gets no login."""
    told(pipe(encrypt="require"), "encrypt")
    assert own.users and not own.sessions


@pytest.mark.parametrize("answer, hold", [(b"", False), (b"", True), (b"HTTP/1.1 400 Bad Request\r\n\r\n", False),
                                          (b"\x00" * 64, True), (b"\x04\x01\xff\xff" + b"\xaa" * 80, False)],
                         ids=["hangs up", "silent", "http", "zeros", "garbage"])
def test_no_sql_server(pipe, other, answer, hold):
    silent = hold and not answer
    told(pipe(port=other(answer, hold)), "silent for too long" if silent else "host, port")


def test_nobody_there(pipe):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    told(pipe(port=port), "host, port")
    told(pipe(host="no-such-host.invalid"), "host")
