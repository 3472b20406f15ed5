"""What can be wrong with connecting to a SQL Server (the stand-in): said clearly, with the way out and the exit code of
docs/operations.md, without the password; and a login that hangs ends when it is told to. Nobody has run it against a
real server."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import struct
import threading
import time

import pytest
from support import tls
from support.tds import MssqlServer, wire
from support.tds.server import PASSWORD
from test_sqlserver_source import pipeline, rows_of, to_files

RETRY = {"on_error": {"retry": {"max": 1, "backoff": "10ms", "cap": "10ms"}}}


@pytest.fixture(scope="module")
def server():
    server = MssqlServer.create()
    yield server
    server.destroy()


@pytest.fixture
def ms(server):
    """Its server is as it was made: no TLS, no refusals."""
    server.tls, server.refuses_tls, server.login_error = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), True, None
    made = server.create_database()
    made.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    return made


def said(result, rc: int, *words: str) -> None:
    assert result.rc == rc, result.describe()
    for word in words:
        assert word in result.stderr, f"{word!r} is not in\n{result.describe()}"
    assert PASSWORD not in result.output and "sluice_" not in result.stderr, result.describe()


# number, text as sys.messages has it, what of the way out is said; more of them in test_sqlserver_bad_login.py
REFUSALS = [
    (18488, "Login failed for user 'sa'. Reason: The password of the account must be changed.", "must be changed"),
    (4064, "Cannot open user default database. Login failed.", "DEFAULT_DATABASE"),
    (911, "Database 'x' does not exist. Make sure that the name is entered correctly.", "check option database"),
    (952, "Database 'x' is in transition. Try the statement later.", "state is being changed"),
    (17300, "SQL Server was unable to run a new system task.", "too many sessions"),
    (10928, "Resource ID : 1. The session limit for the database is 30 and has been reached.", "10928"),
    (18461, "Login failed for user 'sa'. Reason: Server is in single user mode.", "single user mode"),
]


def test_refused_logins(engine, ms, workdir):
    """Each says what the server said; once it lets us in, the run goes on."""
    where = f"connect to 127.0.0.1:{ms.server.port}"
    for number, text, way_out in REFUSALS:
        ms.server.login_error = (number, text)
        said(engine.run(pipeline(ms.config(), to_files(workdir), **RETRY)), 3, where, text, str(number), way_out)
    assert not list((workdir / "lake").rglob("*.jsonl")), "nothing is half-written"
    ms.server.login_error = None
    engine.run(pipeline(ms.config(), to_files(workdir))).expect(0)
    assert rows_of(workdir, "dbo.t") == [{"id": 1}]


def test_tls_that_does_not_fit(engine, ms, workdir, tmp_path):
    server, one, other = ms.server, tls.Authority.create(tmp_path / "one"), tls.Authority.create(tmp_path / "other")

    def certificate(name: str, **more) -> None:
        server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.use_tls(*one.issue(name, **more))

    def run(**config):
        good = {"encrypt": "require", "ca_file": str(one.ca_file)}
        return engine.run(pipeline(ms.config(**{**good, **config}), to_files(workdir), **RETRY))

    words = ("encrypt: require", "ca_file", "expired")
    said(run(), 3, *words)  # the server has none
    certificate("good")
    said(run(ca_file=str(other.ca_file)), 3, *words)
    said(run(ca_file=None), 3, *words)  # the system knows no such authority
    certificate("elsewhere", hosts=("DNS:elsewhere.example",))
    said(run(), 3, *words)
    said(run(verify_host=False), 0)
    certificate("old", days=0)
    time.sleep(1.1)  # its one second
    said(run(), 3, *words)
    certificate("new")
    said(run(), 0)


def test_server_that_demands_encryption(engine, ms, workdir, tmp_path, monkeypatch):
    ms.server.use_tls(*tls.Authority.create(tmp_path / "one").issue("localhost"))
    monkeypatch.setattr(ms.server, "encryption", lambda wanted: 3)
    said(engine.run(pipeline(ms.config(encrypt="off"), to_files(workdir), **RETRY)), 3, "encrypt: require")


def test_nobody_there(engine, ms, workdir):
    def run(**config):
        return engine.run(pipeline(ms.config(login_timeout="1s", **config), to_files(workdir), **RETRY))

    said(run(host="no-such-host.invalid"), 3, "connect to no-such-host.invalid", "check option host")
    said(run(port=1), 3, "connect to 127.0.0.1:1", "is the server up")
    said(run(instance="NOPE"), 3, "connect to 127.0.0.1\\NOPE")
    said(run(port=ms.server.pg.port), 3, "is no SQL Server")


@contextlib.contextmanager
def impostor(answer: bytes):
    """Listens, has one answer to whatever is said, and is silent then; yields its port and its callers."""
    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    kept.append(listener.accept()[0])
                    kept[-1].recv(4096)
                    kept[-1].sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1], kept
        listener.shutdown(socket.SHUT_RDWR)
    for one in kept:
        one.close()


def prelogin(encryption: int) -> bytes:
    body = wire.prelogin_reply(encryption)
    return struct.pack(">BBHHBB", wire.REPLY, 1, len(body) + 8, 51, 1, 0) + body


# what the server answers before it is silent for ever: to PRELOGIN nothing, to TLS nothing, to LOGIN7 nothing
SILENT = {"prelogin": (b"", "off"), "tls": (prelogin(1), "require"), "login": (prelogin(2), "off")}


@pytest.mark.parametrize("stage", SILENT)
def test_login_that_hangs(engine, ms, workdir, stage):
    """It takes no longer than login_timeout, each time it is tried."""
    answer, encrypt = SILENT[stage]
    with impostor(answer) as (port, kept):
        config = ms.config(port=port, encrypt=encrypt, login_timeout="1s")
        said(engine.run(pipeline(config, to_files(workdir), **RETRY)), 3, "silent for too long", "login_timeout")
        assert len(kept) == 2


@pytest.mark.parametrize("stage", SILENT)
def test_stop_while_a_login_hangs(engine, ms, workdir, stage):
    """The first signal ends it, not the end of login_timeout, which here is ten minutes."""
    answer, encrypt = SILENT[stage]
    with impostor(answer) as (port, kept):
        config = ms.config(port=port, encrypt=encrypt, login_timeout="10m")
        running = engine.start("run", str(engine.write(pipeline(config, to_files(workdir)))))
        while not kept:
            time.sleep(0.01)
        time.sleep(0.2)
        running.send(signal.SIGTERM)
        said(running.wait(20), 0, "stopped by SIGTERM")
