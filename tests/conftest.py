"""Fixtures of all Python tests. A missing server is a loud skip, and a failure when CI is true."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import pg, proc, s3, shared, sluice
from support.kafka import artefacts
from support.tds import MssqlServer
from support.tds.real import RealServer

CI = os.environ.get("CI", "").lower() in ("1", "true", "yes")

_MISSING = (pg.ServerMissing, s3.ServerMissing, sluice.BinaryMissing, artefacts.ServerMissing)


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    # What runs us may ignore hang-ups (nohup), and an engine that inherits that rightly ignores them too.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # A shell lets what it runs in the background ignore Ctrl-C; the engines under test must not inherit that.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not _is_worker(config):
        shared.begin_run()


def pytest_unconfigure(config: pytest.Config) -> None:
    if _is_worker(config) or shared.RUN_DIR not in os.environ:
        return
    keep = os.environ.get("SLUICE_TEST_LOGS")
    shared.end_run(Path(keep) if keep else None)


def need(obtain: Callable):
    """obtain(), or a skip that says what is missing; in CI the missing part is a failure."""
    try:
        return obtain()
    except _MISSING as missing:
        if CI:
            raise
        pytest.skip(f"NOT RUN: {missing}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    outcome = yield
    setattr(item, f"report_{call.when}", outcome.get_result())


def _failed(request: pytest.FixtureRequest) -> bool:
    reports = [getattr(request.node, f"report_{when}", None) for when in ("setup", "call")]
    return any(report is not None and report.failed for report in reports)


@pytest.fixture
def workdir(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder of the test's own with a short path; kept and named when the test fails."""
    path = proc.temp_dir("sluice-t-")
    yield path
    keep = os.environ.get("SLUICE_TEST_LOGS")
    if _failed(request) and keep:
        name = "".join(char if char.isalnum() or char in "-_" else "_" for char in request.node.name)
        target = Path(keep) / name[:100]
        shutil.copytree(path, target, dirs_exist_ok=True, ignore_dangling_symlinks=True)
    proc.remove_tree(path)


@pytest.fixture(scope="session")
def pg_server() -> pg.PgServer:
    """The PostgreSQL of this run. A test that stops or breaks a server makes its own."""
    return need(lambda: shared.get("pg"))


@pytest.fixture(scope="session")
def shared_mssql(pg_server: pg.PgServer) -> Iterator[Any]:
    server = RealServer.named() or MssqlServer(pg_server)
    yield server
    server.destroy()


@pytest.fixture
def mssql_server(shared_mssql: Any) -> Iterator[Any]:
    """A stand-in for SQL Server, or the server that SLUICE_TEST_MSSQL names; see support/tds. A test that breaks it
    makes its own. Its databases are the test's: each whose changes are captured has a thread and a replication slot."""
    before = set(shared_mssql.databases)
    yield shared_mssql
    if isinstance(shared_mssql, MssqlServer):
        shared_mssql.faults.clear()
    for name in shared_mssql.databases.keys() - before:
        shared_mssql.drop_database(name)


@pytest.fixture
def own_ms() -> Iterator[MssqlServer]:
    """A stand-in of the test's own, to be broken."""
    server = MssqlServer.create()
    yield server
    server.destroy()


@pytest.fixture
def ms(mssql_server: Any) -> Any:
    """An empty database of it."""
    return mssql_server.create_database()


@pytest.fixture
def db(pg_server: pg.PgServer) -> Iterator[pg.PgDatabase]:
    """An empty database."""
    with pg_server.database() as database:
        yield database


@pytest.fixture
def target(pg_server: pg.PgServer) -> Iterator[pg.PgDatabase]:
    """Another empty database: where rows go."""
    with pg_server.database("to") as database:
        yield database


@pytest.fixture
def hostile_db(pg_server: pg.PgServer) -> Iterator[pg.PgDatabase]:
    """An empty database whose settings change how values are printed."""
    with pg_server.database("h", hostile=True) as database:
        yield database


@pytest.fixture
def own_server() -> Iterator[Callable[..., pg.PgServer]]:
    """own_server(settings, fsync=…) → a PostgreSQL of this test alone, to be killed, copied and broken."""
    made: list[pg.PgServer] = []

    def make(settings: dict[str, str] | None = None, fsync: bool = False) -> pg.PgServer:
        server = need(lambda: pg.PgServer.create(settings, fsync))
        made.append(server)
        return server

    yield make
    for server in made:
        server.destroy()


@pytest.fixture(scope="session")
def s3_server() -> s3.S3Server:
    """The S3 server of this run, plain HTTP."""
    return need(lambda: shared.get("s3"))


@pytest.fixture(scope="session")
def s3_tls_server() -> s3.S3Server:
    """The same with TLS and a certificate authority of its own."""
    return need(lambda: shared.get("s3_tls"))


@pytest.fixture
def bucket(s3_server: s3.S3Server) -> Iterator[s3.Bucket]:
    """An empty bucket."""
    with s3_server.bucket() as made:
        yield made


@pytest.fixture
def tls_bucket(s3_tls_server: s3.S3Server) -> Iterator[s3.Bucket]:
    """An empty bucket on the server with TLS."""
    with s3_tls_server.bucket() as made:
        yield made


@pytest.fixture(scope="session")
def kafka() -> Any:
    """The Kafka broker of this run (4.3.1, PLAINTEXT). Topics have the test's own names."""
    return need(lambda: shared.get("kafka"))


@pytest.fixture(scope="session")
def kafka_old() -> Any:
    """The same, 3.9.2."""
    return need(lambda: shared.get("kafka_old"))


@pytest.fixture
def own_kafka() -> Iterator[Callable[..., Any]]:
    """own_kafka(version, sasl=…, ssl=…, proxied=…) → a broker of this test alone, to be killed and broken."""
    made: list[Any] = []

    def make(*arguments: Any, **options: Any) -> Any:
        from support.kafka.broker import Broker

        made.append(need(lambda: Broker.create(*arguments, **options)))
        return made[-1]

    yield make
    for broker in made:
        broker.destroy()


@pytest.fixture(scope="session")
def kafka_connect(kafka: Any) -> Any:
    """The Connect worker of this run on `kafka`: Debezium's PostgreSQL source and JDBC sink, file connectors."""
    return need(lambda: shared.get("kafka_connect"))


@pytest.fixture(scope="session")
def registry() -> Any:
    """The Avro registry of this run."""
    return need(lambda: shared.get("kafka_registry"))


@pytest.fixture
def engine(workdir: Path) -> sluice.Engine:
    """The engine with sanitizers (build/debug)."""
    return need(lambda: sluice.Engine(workdir, "debug"))


@pytest.fixture
def release_engine(workdir: Path) -> sluice.Engine:
    """The engine as users run it (build/release): for time and memory."""
    return need(lambda: sluice.Engine(workdir, "release"))
