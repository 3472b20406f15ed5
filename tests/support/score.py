"""The line that every reliability test prints, and the file that collects them.

    with score.Score("T1", "pg -> s3") as result:
        result.faults += 1 … result.took(changes.compare_all(…))

prints `T1 faults=30 survived=30 rows=8121 lost=0 dup=0 diff=0 stuck=0 rss_max=58 secs=41 pg -> s3`. The
test fails by itself; the line of a test that failed ends in FAILED. With SLUICE_TEST_LOGS the lines are
also kept in results.txt there, which scripts/test adds up.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from . import proc
from .changes import Totals

LONG = os.environ.get("SLUICE_LONG", "") not in ("", "0")


def size(short: int, long: int) -> int:
    """A number of the CI profile, or of the long one (SLUICE_LONG=1, scripts/test fault --long)."""
    return long if LONG else short


@dataclass
class Score:
    name: str  # T1 …
    what: str = ""
    faults: int = 0  # injected
    survived: int = 0  # after which the work went on, or ended with the error that it must
    rows: int = 0  # compared
    lost: int = 0
    dup: int = 0
    diff: int = 0
    stuck: int = 0
    rss_kib: int = 0
    begun: float = 0.0

    def fault(self, count: int = 1) -> None:
        self.faults += count

    def survive(self, count: int = 1) -> None:
        self.survived += count

    def took(self, totals: Totals) -> None:
        """Adds what a comparison found."""
        self.rows += totals.rows
        self.lost += totals.lost
        self.dup += totals.dup
        self.diff += totals.diff

    def saw(self, pid_or_kib: int, is_pid: bool = False) -> None:
        """Notes a process's peak of resident memory."""
        kib = proc.rss_kib(pid_or_kib)[1] if is_pid else pid_or_kib
        self.rss_kib = max(self.rss_kib, kib)

    def line(self) -> str:
        return (
            f"{self.name} faults={self.faults} survived={self.survived} rows={self.rows} lost={self.lost}"
            f" dup={self.dup} diff={self.diff} stuck={self.stuck} rss_max={self.rss_kib // 1024}"
            f" secs={time.monotonic() - self.begun:.0f}" + (f" {self.what}" if self.what else "")
        )

    def __enter__(self) -> Score:
        self.begun = time.monotonic()
        return self

    def __exit__(self, kind, error, _trace) -> None:
        if kind is not None and "still running after" in str(error):
            self.stuck += 1
        line = self.line() + (" FAILED" if kind is not None else "")
        print(line, flush=True)
        logs = os.environ.get("SLUICE_TEST_LOGS")
        if logs:
            Path(logs).mkdir(parents=True, exist_ok=True)
            with open(Path(logs) / "results.txt", "a", encoding="utf-8") as out:
                out.write(line + "\n")
        if kind is None:
            assert self.survived == self.faults, line
            assert not (self.lost or self.dup or self.diff or self.stuck), line
