"""Runs tests/unit/s3/driver: one S3 store in a process of its own, asked line by line."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from support import faultproxy as fp
from support import s3, sluice

MIB = 1 << 20
ERROR_RETRYABLE, ERROR_EPOCH_ABORTED = 1, 4


def find_driver() -> Path:
    named = os.environ.get("SLUICE_S3_DRIVER")
    if named:
        return Path(named)
    binary = os.environ.get("SLUICE_BIN")
    folder = Path(binary).parent if binary else sluice.ROOT / "build" / "debug" / "bin"
    driver = folder / "s3_driver"
    if not driver.exists():
        raise sluice.BinaryMissing(f"{driver} is not there; run scripts/build debug")
    return driver


@dataclass
class Answer:
    status: str
    flags: int
    native: int
    seconds: float
    message: str
    lines: list[list[str]]

    def expect(self, status: str = "OK") -> Answer:
        assert self.status == status, self
        return self

    @property
    def data(self) -> str:
        return next(line[1] if len(line) > 1 else "" for line in self.lines if line[0] == "data")

    @property
    def keys(self) -> list[str]:
        return [unquote(line[1]) for line in self.lines if line[0] == "key"]

    @property
    def findings(self) -> list[tuple[int, str, str, str]]:
        return [
            (int(line[1]), line[2], unquote(line[3]), unquote(line[4]))
            for line in self.lines
            if line[0] == "finding"
        ]


class Driver:
    """One store in a process of its own."""

    def __init__(self, options: dict[str, Any], log: Path, env: dict[str, str] | None = None):
        self._err = open(log, "w+", encoding="utf-8", errors="replace")
        clean = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        clean["AWS_EC2_METADATA_DISABLED"] = "true"
        clean["HOME"] = "/nonexistent"
        self.child = subprocess.Popen(
            [str(find_driver())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._err,
            env={**clean, **(env or {})},
            text=True,
        )
        for name, value in options.items():
            self.ask(f"set {name} {quote(str(value), safe='')}").expect()

    def ask(self, line: str) -> Answer:
        self.send(line)
        return self.answer()

    def send(self, line: str) -> None:
        assert self.child.stdin
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()

    def answer(self) -> Answer:
        lines: list[list[str]] = []
        assert self.child.stdout
        while line := self.child.stdout.readline():
            words = line.rstrip("\n").split(" ")
            if words[0] in ("key", "data", "finding", "number"):
                lines.append(words)
                continue
            message = unquote(words[4]) if len(words) > 4 else ""
            return Answer(words[0], int(words[1]), int(words[2]), float(words[3]), message, lines)
        raise AssertionError(f"the driver died ({self.child.wait()}):\n{self.log}")

    def number(self, line: str) -> int:
        return int(self.ask(line).lines[0][1])

    @property
    def log(self) -> str:
        self._err.flush()
        return Path(self._err.name).read_text(encoding="utf-8", errors="replace")

    def close(self) -> float:
        """Ends it; leaks, sanitizer reports and memory not given back fail the test."""
        start = time.monotonic()
        assert self.child.stdin
        self.child.stdin.close()
        code = self.child.wait(60)
        seconds = time.monotonic() - start
        assert code == 0, f"exit {code}\n{self.log}"
        assert not sluice.SANITIZER.search(self.log), self.log
        assert s3.SECRET_KEY not in self.log
        return seconds

    def kill(self) -> None:
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        self._err.close()


def options(made: s3.Bucket, **more: Any) -> dict[str, Any]:
    named = made.config()
    named.pop("path_style")
    return {**named, **more}


@pytest.fixture
def start(bucket: s3.Bucket, workdir: Path) -> Iterator[Any]:
    """start(**options) → an opened driver on the bucket; ends must be clean."""
    made: list[Driver] = []

    def begin(opened: bool = True, env: dict[str, str] | None = None, **more: Any) -> Driver:
        try:
            driver = Driver(options(bucket, **more), workdir / f"driver{len(made)}.log", env)
        except sluice.BinaryMissing as missing:
            if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
                raise
            pytest.skip(f"NOT RUN: {missing}")
        made.append(driver)
        driver.ask("create").expect()
        if opened:
            driver.ask("open").expect()
        return driver

    yield begin
    try:
        for driver in made:
            if driver.child.poll() is None:
                driver.close()
    finally:
        for driver in made:
            driver.kill()


@contextmanager
def proxied(server: s3.S3Server) -> Iterator[fp.HttpProxy]:
    with fp.HttpProxy((server.host, server.port)) as link:
        yield link


@pytest.fixture
def link(s3_server: s3.S3Server) -> Iterator[fp.HttpProxy]:
    with proxied(s3_server) as made:
        yield made


# Repeats at a prime, so that no two parts are alike.
PATTERN = bytes((j * 2654435761 >> 13) & 255 for j in range(65521))


def expected(size: int) -> bytes:
    """What the driver's upload writes."""
    return (PATTERN * (size // len(PATTERN) + 1))[:size]
