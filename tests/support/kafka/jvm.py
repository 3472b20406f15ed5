"""Starting a Java program of the bed: flags, log, pid, and the wait until it answers."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from .. import proc
from . import artefacts

# Two cores and short lives: the first compiler alone and one collecting thread start fastest and stay small.
_FLAGS = ("-Xms64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")


def class_path(*folders: Path) -> str:
    return ":".join(f"{folder}/*" for folder in folders)


def log_settings(root: Path, version: str) -> str:
    """Writes what the version's logger wants; returns the JVM's option. What is logged goes to standard output."""
    if version == artefacts.OLD:
        path = root / "log4j.properties"
        path.write_text(
            "log4j.rootLogger=INFO, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\n"
            "log4j.appender.out.layout=org.apache.log4j.PatternLayout\n"
            "log4j.appender.out.layout.ConversionPattern=%d %p %m (%c)%n\n"
        )
        return f"-Dlog4j.configuration=file:{path}"
    path = root / "log4j2.properties"
    path.write_text(
        "rootLogger.level=INFO\nrootLogger.appenderRef.out.ref=out\nappender.out.type=Console\nappender.out.name=out\n"
        "appender.out.layout.type=PatternLayout\nappender.out.layout.pattern=%d %p %m (%c)%n\n"
    )
    return f"-Dlog4j2.configurationFile={path}"


def start(command: list[str], heap_mib: int, log: Path, env: dict[str, str] | None = None) -> subprocess.Popen:
    """Starts java with the arguments; a session of its own, so that a Ctrl-C for the tests does not reach it."""
    with open(log, "ab") as out:
        return subprocess.Popen(
            [artefacts.java(), *_FLAGS, f"-Xmx{heap_mib}m", *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=log.parent,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", **(env or {})},
            start_new_session=True,
        )


def await_answer(child: subprocess.Popen, ready: Callable[[], bool], timeout: float, what: str, log: Path) -> float:
    """Waits until it answers; returns the seconds. A program that ended or never answers is an error with its log."""
    began = time.monotonic()
    try:
        proc.wait_until(lambda: child.poll() is not None or ready(), timeout, what, 0.05)
    except TimeoutError as late:
        proc.stop(child.pid, 9)
        raise RuntimeError(f"{late}\n{tail(log)}") from late
    if child.poll() is not None:
        raise RuntimeError(f"{what}: ended with {child.returncode}\n{tail(log)}")
    return time.monotonic() - began


def tail(log: Path, size: int = 4000) -> str:
    return log.read_text(errors="replace")[-size:] if log.exists() else ""
