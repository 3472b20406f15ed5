"""Servers that all workers of one test run share: started by the first that asks, ended by the
controller.

The controller makes a run folder and hands it down in SLUICE_TEST_RUN_DIR. A worker that needs a
server takes the folder's lock, starts the server when nobody did, and records how to reach it.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import proc
from .kafka import artefacts
from .pg import PgServer
from .s3 import S3Server

RUN_DIR = "SLUICE_TEST_RUN_DIR"


def _kafka(module: str) -> Any:
    """The module of the Kafka bed, imported only by runs that use it: it needs packages that others do not."""
    return importlib.import_module(f".kafka.{module}", __package__)


def _start_connect() -> Any:
    plugins = ("debezium-postgres", "debezium-jdbc", "file")
    return _kafka("connect").Connect.create(get("kafka").bootstrap, plugins)


_STARTERS: dict[str, tuple[Callable[[], Any], Callable[[dict], Any]]] = {
    # So many slots come and go on the shared server that its reckoning of what log they need, which takes no
    # lock for the whole of it, may be short for a moment; the server's own reserve makes up for it.
    "pg": (lambda: PgServer.create({"wal_keep_size": "2GB"}), PgServer.attach),
    "s3": (S3Server.create, S3Server.attach),
    "s3_tls": (lambda: S3Server.create(tls=True), S3Server.attach),
    "kafka": (lambda: _kafka("broker").Broker.create(), lambda info: _kafka("broker").Broker.attach(info)),
    "kafka_old": (
        lambda: _kafka("broker").Broker.create(artefacts.OLD),
        lambda info: _kafka("broker").Broker.attach(info),
    ),
    "kafka_connect": (_start_connect, lambda info: _kafka("connect").Connect.attach(info)),
    "kafka_registry": (
        lambda: _kafka("registry").Registry.create(),
        lambda info: _kafka("registry").Registry.attach(info),
    ),
}


def begin_run() -> Path:
    """Called once, by the controller."""
    run_dir = proc.temp_dir("sluice-run-")
    os.environ[RUN_DIR] = str(run_dir)
    return run_dir


def get(name: str) -> Any:
    """The shared server of that name, started if it is not running yet."""
    run_dir = Path(os.environ[RUN_DIR])
    start, attach = _STARTERS[name]
    with open(run_dir / f"{name}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        record = run_dir / f"{name}.json"
        if record.exists():
            return attach(json.loads(record.read_text()))
        server = start()
        record.write_text(json.dumps(server.info()))
        return server


def end_run(keep_logs: Path | None) -> None:
    """Ends every server of the run; with keep_logs their logs are copied there first."""
    run_dir = Path(os.environ.pop(RUN_DIR))
    for record in sorted(run_dir.glob("*.json")):
        server = _STARTERS[record.stem][1](json.loads(record.read_text()))
        if keep_logs is not None and server.log.exists():
            keep_logs.mkdir(parents=True, exist_ok=True)
            shutil.copy(server.log, keep_logs / f"{record.stem}.log")
        server.destroy()
    proc.remove_tree(run_dir)
