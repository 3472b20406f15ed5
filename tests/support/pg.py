"""A private PostgreSQL: its own cluster in a temporary folder, on a free port, ended by pid."""

from __future__ import annotations

import glob
import os
import re
import secrets
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from . import proc

USER = "sluice_admin"
PASSWORD = "s3cret pass'word"

# Session settings that change how values are printed. None of them may change what we write.
HOSTILE_SETTINGS = {
    "datestyle": "SQL, DMY",
    "intervalstyle": "iso_8601",
    "bytea_output": "escape",
    "timezone": "Asia/Kolkata",
    "extra_float_digits": "-5",
    "xmlbinary": "hex",
    "default_transaction_isolation": "read uncommitted",
    "search_path": "information_schema",
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    "array_nulls": "off",
    "row_security": "on",
    "idle_in_transaction_session_timeout": "2s",
    "lock_timeout": "5s",
    "statement_timeout": "2min",
}


class ServerMissing(RuntimeError):
    """No server binaries here: a skip on a laptop, a failure in CI."""


def find_bin_dir() -> Path:
    """Where the server's programs are: $SLUICE_PG_BIN, Debian's newest, or beside pg_config."""
    named = os.environ.get("SLUICE_PG_BIN")
    if named:
        return Path(named)
    found = [Path(name) for name in glob.glob("/usr/lib/postgresql/*/bin/initdb")]
    if found:
        return max(found, key=lambda path: int(re.sub(r"\D", "", path.parts[-3]) or 0)).parent
    try:
        out = subprocess.run(["pg_config", "--bindir"], capture_output=True, text=True)
    except OSError:
        out = None
    if out and out.returncode == 0 and (Path(out.stdout.strip()) / "initdb").exists():
        return Path(out.stdout.strip())
    raise ServerMissing("PostgreSQL server programs (initdb, postgres) not found")


@dataclass
class PgServer:
    """One running cluster. Create with PgServer.create(); end with destroy()."""

    root: Path
    port: int
    pid: int = 0
    user: str | None = None
    bin_dir: Path = field(default_factory=find_bin_dir)
    host: str = "127.0.0.1"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def socket_dir(self) -> Path:
        return self.root / "socket"

    @property
    def log(self) -> Path:
        return self.root / "postgresql.log"

    @classmethod
    def create(
        cls,
        settings: dict[str, str] | None = None,
        fsync: bool = False,
        tls: tuple[Path, Path] | None = None,
        root: Path | None = None,
    ) -> PgServer:
        """initdb and start. tls: (certificate, key) files. settings go to postgresql.conf."""
        root = root or proc.temp_dir("sluice-pg-")
        user = proc.system_user()
        server = cls(root=root, port=0, user=user)
        for folder in (root, server.socket_dir):
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)
            proc.give_to(user, folder)
        secret = root / "secret"
        secret.write_text(PASSWORD + "\n")
        proc.give_to(user, secret)
        proc.run(
            proc.as_user(
                user,
                [
                    str(server.bin_dir / "initdb"),
                    f"--pgdata={server.data}",
                    "--no-sync",
                    "--encoding=UTF8",
                    "--locale=C.UTF-8",
                    f"--username={USER}",
                    f"--pwfile={secret}",
                    "--auth-local=trust",
                    "--auth-host=scram-sha-256",
                ],
            ),
            cwd="/",
        )
        base = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(server.socket_dir),
            "wal_level": "logical",
            "max_wal_senders": "20",
            "max_replication_slots": "20",
            "max_connections": "120",
            "shared_buffers": "128MB",
            "fsync": "on" if fsync else "off",
            "synchronous_commit": "on",  # what is committed is in the log that others see
            "full_page_writes": "on" if fsync else "off",
            "wal_sender_timeout": "30s",
            "log_line_prefix": "%m [%p] %q%u@%d ",
            "log_min_messages": "warning",
            "lc_messages": "C",
        }
        if tls:
            for name, source in (("server.crt", tls[0]), ("server.key", tls[1])):
                target = server.data / name
                target.write_bytes(Path(source).read_bytes())
                target.chmod(0o600)
                proc.give_to(user, target)
            base.update(ssl="on", ssl_cert_file="server.crt", ssl_key_file="server.key")
        base.update(settings or {})
        with open(server.data / "postgresql.conf", "a", encoding="utf-8") as conf:
            for key, value in base.items():
                conf.write("%s = '%s'\n" % (key, str(value).replace("'", "''")))
        server.start()
        return server

    @classmethod
    def attach(cls, info: dict[str, Any]) -> PgServer:
        """The server another process of this test run started; see info()."""
        return cls(
            root=Path(info["root"]),
            port=info["port"],
            pid=info["pid"],
            user=info["user"],
            bin_dir=Path(info["bin_dir"]),
        )

    def info(self) -> dict[str, Any]:
        return {
            "root": str(self.root),
            "port": self.port,
            "pid": self.pid,
            "user": self.user,
            "bin_dir": str(self.bin_dir),
        }

    def start(self, timeout: float = 30.0) -> None:
        """Starts the postmaster; on a port clash it tries another port."""
        for attempt in range(5):
            if self.port == 0 or attempt > 0:
                self.port = proc.free_port()
            with open(self.log, "ab") as log:
                child = subprocess.Popen(
                    proc.as_user(
                        self.user,
                        [str(self.bin_dir / "postgres"), "-D", str(self.data), "-p", str(self.port)],
                    ),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    start_new_session=True,
                )
            self.pid = child.pid
            try:
                proc.wait_until(lambda: self._ready(child), timeout, "PostgreSQL start")
                return
            except ChildProcessError:
                if b"could not bind" not in self.log.read_bytes()[-4000:]:
                    break
        raise RuntimeError(f"PostgreSQL does not start:\n{self.tail()}")

    def _ready(self, child: subprocess.Popen) -> bool:
        if child.poll() is not None:
            raise ChildProcessError("postgres exited")
        pidfile = self.data / "postmaster.pid"
        try:
            lines = pidfile.read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[7].strip() in ("ready", "standby") and int(lines[0]) == child.pid

    def stop(self, mode: str = "fast") -> None:
        """Ends the server: smart, fast, immediate, or kill (SIGKILL to the postmaster)."""
        signals = {
            "smart": signal.SIGTERM,
            "fast": signal.SIGINT,
            "immediate": signal.SIGQUIT,
            "kill": signal.SIGKILL,
        }
        if self.pid:
            proc.stop(self.pid, signals[mode], timeout=20)
            self.pid = 0
        if mode == "kill":
            (self.data / "postmaster.pid").unlink(missing_ok=True)

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def crash(self) -> None:
        """Every process of the server at once, as when the power fails, and the recovery after it."""
        pids = [self.pid, *proc.children(self.pid)]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for pid in pids:
            proc.stop(pid, signal.SIGKILL)
        self.pid = 0
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        self.start()

    def base_backup(self, target: Path) -> Path:
        """A base backup under target; returns its data folder."""
        target.mkdir()
        proc.give_to(self.user, target)
        command = [str(self.bin_dir / "pg_basebackup"), "-D", str(target / "data"), "-h", str(self.socket_dir)]
        command += ["-p", str(self.port), "-U", USER, "-X", "stream", "-c", "fast"]
        proc.run(proc.as_user(self.user, command), cwd="/")
        return target / "data"

    def standby(self, root: Path) -> PgServer:
        """A hot standby of this server, started; the caller stops it."""
        made = PgServer(root=root, port=0, user=self.user, bin_dir=self.bin_dir)
        self.base_backup(root)
        made.socket_dir.mkdir()
        proc.give_to(self.user, made.socket_dir)
        (made.data / "standby.signal").touch()
        with open(made.data / "postgresql.auto.conf", "a", encoding="utf-8") as conf:
            conf.write(f"primary_conninfo = 'host={self.socket_dir} port={self.port} user={USER}'\n")
            conf.write(f"unix_socket_directories = '{made.socket_dir}'\n")
        made.start()
        return made

    def destroy(self) -> None:
        self.stop("immediate")
        proc.remove_tree(self.root)

    def tail(self, size: int = 4000) -> str:
        try:
            return self.log.read_bytes()[-size:].decode(errors="replace")
        except OSError:
            return ""

    def conninfo(self, dbname: str = "postgres", user: str = USER, password: str = PASSWORD) -> dict:
        return {
            "host": self.host,
            "port": self.port,
            "dbname": dbname,
            "user": user,
            "password": password,
        }

    def connect(self, dbname: str = "postgres", autocommit: bool = True, **more) -> psycopg.Connection:
        return psycopg.connect(
            **{**self.conninfo(dbname), "connect_timeout": 10, **more}, autocommit=autocommit
        )

    def create_database(self, prefix: str = "t", hostile: bool = False) -> PgDatabase:
        name = f"{prefix}_{secrets.token_hex(6)}"
        with self.connect() as conn:
            conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            if hostile:
                for key, value in HOSTILE_SETTINGS.items():
                    # search_path is a list of names, datestyle a list of words: one literal each.
                    conn.execute(
                        sql.SQL("ALTER DATABASE {} SET {} = {}").format(
                            sql.Identifier(name), sql.Identifier(key), sql.Literal(value)
                        )
                    )
        return PgDatabase(self, name)

    def drop_database(self, name: str) -> None:
        with self.connect() as conn:
            # Whoever follows it still would come back between the end of its session and the slot's.
            conn.execute("UPDATE pg_database SET datallowconn = false WHERE datname = %s", [name])
            rows = conn.execute(
                "SELECT slot_name, active_pid FROM pg_replication_slots WHERE database = %s", [name]
            ).fetchall()
            for slot, pid in rows:
                if pid:
                    conn.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
                conn.execute("SELECT pg_drop_replication_slot(%s)", [slot])
            conn.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    @contextmanager
    def database(self, prefix: str = "t", hostile: bool = False) -> Iterator[PgDatabase]:
        database = self.create_database(prefix, hostile)
        try:
            yield database
        finally:
            self.drop_database(database.name)


@dataclass
class PgDatabase:
    """One database of a server, made for one test."""

    server: PgServer
    name: str

    def connect(self, autocommit: bool = True, **more) -> psycopg.Connection:
        """A connection with plain settings, whatever the database sets."""
        options = (
            "-c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=1 -c timezone=UTC"
            " -c bytea_output=hex -c search_path=public,pg_catalog -c statement_timeout=0"
            " -c lock_timeout=0 -c idle_in_transaction_session_timeout=0"
            " -c standard_conforming_strings=on -c array_nulls=on -c lc_monetary=C"
            " -c default_transaction_isolation=read\\ committed -c xmlbinary=base64"
        )
        return self.server.connect(self.name, autocommit, **{"options": options, **more})

    def execute(self, *statements: str) -> None:
        with self.connect() as conn:
            for statement in statements:
                conn.execute(statement)  # type: ignore[arg-type]

    def query(self, statement: str, params: Any = None) -> list[tuple]:
        with self.connect() as conn:
            return conn.execute(statement, params).fetchall()  # type: ignore[arg-type]

    def value(self, statement: str, params: Any = None) -> Any:
        return self.query(statement, params)[0][0]

    def feed_has_all(self) -> Callable[[], bool]:
        """Whether who follows this database was sent all there is now; others write the same log on."""
        end = self.value("SELECT pg_current_wal_flush_lsn()")
        return lambda: bool(self.value(
            "SELECT count(*) FROM pg_replication_slots s JOIN pg_stat_replication r ON r.pid = s.active_pid"
            " WHERE s.database = current_database() AND r.write_lsn >= %s", [end]))

    def config(self, **more: Any) -> dict[str, Any]:
        """The `config:` of a `postgres` source that reads this database."""
        return {
            "host": self.server.host,
            "port": self.server.port,
            "database": self.name,
            "user": USER,
            "password": PASSWORD,
            **more,
        }

    def env(self) -> dict[str, str]:
        """The same as PG* variables, for the examples and for psql."""
        return {
            "PGHOST": self.server.host,
            "PGPORT": str(self.server.port),
            "PGDATABASE": self.name,
            "PGUSER": USER,
            "PGPASSWORD": PASSWORD,
        }
