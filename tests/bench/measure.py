"""Running one contestant: wall time, client and server CPU, memory, bytes written."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Sample:
    """One run of one contestant."""

    wall: float
    client_cpu: float = 0.0
    server_cpu: float = 0.0
    rss_mib: float = 0.0
    bytes: int = 0
    error: str = ""


def _cpu(pid: str, with_children: bool) -> float:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    if with_children:
        ticks += int(fields[13]) + int(fields[14])
    return ticks / _TICK


def server_cpu(postmaster: int) -> float:
    """CPU seconds of a PostgreSQL: the postmaster, backends that ended, backends that live."""
    total = _cpu(str(postmaster), True)
    try:
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    except OSError:
        children = []
    return total + sum(_cpu(child, False) for child in children)


class Memory:
    """Peak memory of a process and its children: the sum of what each had at most.

    Not ru_maxrss: that starts from the size of whoever forked the process.
    """

    def __init__(self, pid: int):
        self.pid = pid
        self.peaks: dict[int, int] = {}

    def look(self) -> None:
        todo = [self.pid]
        while todo:
            pid = todo.pop()
            try:
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
                status = Path(f"/proc/{pid}/status").read_text()
            except OSError:
                continue
            todo += map(int, children)
            at = status.find("VmHWM:")
            if at >= 0 and not status.startswith(("Name:\tbash", "Name:\tsh\n")):
                self.peaks[pid] = max(self.peaks.get(pid, 0), int(status[at + 6 :].split(None, 1)[0]))

    @property
    def mib(self) -> float:
        return sum(self.peaks.values()) / 1024


def tree_bytes(path: Path, suffixes: tuple[str, ...] = ()) -> int:
    if path.is_file():
        return path.stat().st_size
    files = (item for item in path.rglob("*") if item.is_file() and "_sluice" not in item.parts)
    return sum(item.stat().st_size for item in files if not suffixes or item.name.endswith(suffixes))


@dataclass
class Command:
    """What a contestant runs: one shell script (its children count) or one program."""

    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)


def run(command: Command, postmaster: int, out: Path | None = None, timeout: float = 600.0,
        said: Path | None = None) -> Sample:
    """Runs it to its end; `out` is where its output lies, file or folder. `said` keeps its stdout."""
    before = server_cpu(postmaster)
    start = time.perf_counter()
    with (
        open(os.devnull, "rb") as null,
        open(said or os.devnull, "wb") as stdout,
        open("/tmp/sluice-bench-stderr", "w+b") as err,
    ):
        child = subprocess.Popen(
            command.argv, env={**os.environ, **command.env}, stdin=null, stdout=stdout, stderr=err
        )
        deadline = start + timeout
        memory, looked = Memory(child.pid), 0.0
        while True:
            # A blocking wait4 would be simpler, but a contestant that hangs must not hang the run.
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                break
            if time.perf_counter() > deadline:
                child.kill()
            # Short runs are looked at often, long ones seldom: looking costs CPU of the same machine.
            now = time.perf_counter()
            if now - looked > min(0.05, 0.002 + (now - start) / 20):
                memory.look()
                looked = now
            time.sleep(0.002)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        err.seek(0)
        text = err.read().decode(errors="replace").strip()
    sample = Sample(
        wall=wall,
        client_cpu=usage.ru_utime + usage.ru_stime,
        rss_mib=memory.mib,
        bytes=tree_bytes(out) if out is not None and out.exists() else 0,
    )
    if child.returncode != 0:
        sample.error = f"exit {child.returncode}: {text[-600:]}"
    # Backends end a moment after their client.
    time.sleep(0.05)
    sample.server_cpu = server_cpu(postmaster) - before
    return sample
