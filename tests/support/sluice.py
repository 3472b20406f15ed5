"""The engine as a process: run a pipeline, look at what it printed, kill it, measure it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from . import proc

ROOT = Path(__file__).resolve().parents[2]

# What sanitizers print; a run that printed one has failed whatever its exit code.
SANITIZER = re.compile(
    r"ERROR: (Address|Leak|Thread|Memory)Sanitizer|WARNING: ThreadSanitizer|runtime error:"
)


class BinaryMissing(RuntimeError):
    """The engine is not built: a skip on a laptop, a failure in CI."""


def find_binary(preset: str = "debug") -> Path:
    """$SLUICE_BIN (debug) or $SLUICE_BIN_<PRESET>, else build/<preset>/bin/sluice."""
    named = os.environ.get("SLUICE_BIN" if preset == "debug" else f"SLUICE_BIN_{preset.upper()}")
    path = Path(named) if named else ROOT / "build" / preset / "bin" / "sluice"
    if not path.exists():
        raise BinaryMissing(f"{path} is not there; run scripts/build {preset}")
    return path


def find_plugins(binary: Path) -> Path:
    named = os.environ.get("SLUICE_PLUGIN_DIR")
    return Path(named) if named else binary.parent.parent / "lib" / "sluice" / "plugins"


@dataclass
class Result:
    """How a run ended."""

    rc: int
    stdout: str
    stderr: str
    seconds: float
    peak_rss_kib: int = 0
    cpu_seconds: float = 0.0
    args: list[str] = field(default_factory=list)

    @property
    def output(self) -> str:
        return self.stdout + self.stderr

    def json(self) -> Any:
        """stdout as one JSON document."""
        return json.loads(self.stdout)

    def json_lines(self) -> list[Any]:
        return [json.loads(line) for line in self.stdout.splitlines() if line.strip()]

    def expect(self, rc: int = 0) -> Result:
        """Fails the test, showing everything, unless the exit code is the given one."""
        assert self.rc == rc, f"exit {self.rc}, expected {rc}\n{self.describe()}"
        return self

    def describe(self) -> str:
        return (
            f"$ {' '.join(self.args)}   ({self.seconds:.2f} s, exit {self.rc})\n"
            f"--- stdout\n{self.stdout[-20000:]}\n--- stderr\n{self.stderr[-20000:]}"
        )


class Running:
    """A started engine. Output goes to files, so that it never blocks on a full pipe."""

    def __init__(self, args: list[str], cwd: Path, env: Mapping[str, str], stem: Path):
        self.args = args
        self._out, self._err = stem.with_suffix(".out"), stem.with_suffix(".err")
        self._start = time.monotonic()
        with open(self._out, "wb") as out, open(self._err, "wb") as err:
            self._child = subprocess.Popen(
                args, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )
        self._usage: Any = None
        self._peak_kib = 0
        self._rc: int | None = None

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def stdout(self) -> str:
        return self._out.read_text(errors="replace")

    @property
    def stderr(self) -> str:
        return self._err.read_text(errors="replace")

    def poll(self) -> int | None:
        """The exit code, None while it runs; a signal is 128 + its number, as in a shell."""
        if self._rc is None:
            # Not ru_maxrss: that starts from the size of the process that forked us.
            self._peak_kib = max(self._peak_kib, proc.rss_kib(self.pid)[1])
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self._usage = usage
                code = os.waitstatus_to_exitcode(status)
                self._rc = 128 - code if code < 0 else code
                self._child.returncode = code
        return self._rc

    def send(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill9(self) -> Result:
        self.send(signal.SIGKILL)
        return self.wait(30)

    def terminate(self) -> None:
        self.send(signal.SIGTERM)

    def interrupt(self) -> None:
        self.send(signal.SIGINT)

    def rss_kib(self) -> int:
        return proc.rss_kib(self.pid)[0]

    def wait_output(self, pattern: str, timeout: float = 30.0) -> re.Match:
        """Waits until stdout or stderr matches."""
        deadline = time.monotonic() + timeout
        while True:
            done = self.poll() is not None
            found = re.search(pattern, self.stdout) or re.search(pattern, self.stderr)
            if found:
                return found
            if done or time.monotonic() > deadline:
                raise AssertionError(f"no {pattern!r} in the output\n{self.stdout}\n{self.stderr}")
            time.sleep(0.02)

    def wait(self, timeout: float = 120.0) -> Result:
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
                while self.poll() is None:
                    time.sleep(0.01)
                raise AssertionError(
                    f"still running after {timeout:g} s, killed: {' '.join(self.args)}\n"
                    f"--- stdout\n{self.stdout[-8000:]}\n--- stderr\n{self.stderr[-8000:]}"
                )
            time.sleep(0.005)
        usage = self._usage
        result = Result(
            rc=self._rc if self._rc is not None else -1,
            stdout=self.stdout,
            stderr=self.stderr,
            seconds=time.monotonic() - self._start,
            peak_rss_kib=self._peak_kib,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            args=self.args,
        )
        if SANITIZER.search(result.stderr):
            raise AssertionError(f"sanitizer report\n{result.describe()}")
        return result


class Engine:
    """Runs `sluice` in a folder of its own, with its own state and no variables of the caller."""

    def __init__(self, workdir: Path, preset: str = "debug", binary: Path | None = None):
        self.binary = binary or find_binary(preset)
        self.plugin_dir = find_plugins(self.binary)
        self.workdir = Path(workdir)
        self.workdir.mkdir(parents=True, exist_ok=True)
        self.env: dict[str, str] = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self.workdir),
            "LANG": "C.UTF-8",
            "TMPDIR": str(self.workdir),
            "XDG_STATE_HOME": str(self.workdir / "state"),
            "SLUICE_PLUGIN_DIR": str(self.plugin_dir),
            "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:allocator_may_return_null=1:intercept_tls_get_addr=0",
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
            "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
        }
        for name in ("LSAN_OPTIONS", "LLVM_PROFILE_FILE", "GCOV_PREFIX"):
            if name in os.environ:
                self.env[name] = os.environ[name]
        self._runs = 0
        self._lock = threading.Lock()

    def write(self, pipeline: Mapping[str, Any] | str, name: str = "pipeline.yaml") -> Path:
        """Writes a pipeline given as mapping or text; returns its path."""
        path = self.workdir / name
        if isinstance(pipeline, str):
            path.write_text(pipeline, encoding="utf-8")
        else:
            path.write_text(
                yaml.safe_dump(dict(pipeline), sort_keys=False, allow_unicode=True), encoding="utf-8"
            )
        return path

    def start(self, *args: str, env: Mapping[str, str] | None = None, prefix: list[str] | None = None) -> Running:
        """Starts `sluice args…`; prefix is a program to run it under (faketime, valgrind)."""
        with self._lock:
            self._runs += 1
            stem = self.workdir / f"run-{self._runs}"
        command = [*(prefix or []), str(self.binary), *map(str, args)]
        return Running(command, self.workdir, {**self.env, **(env or {})}, stem)

    def cmd(self, *args: str, env: Mapping[str, str] | None = None, timeout: float = 120.0) -> Result:
        """Runs `sluice args…` to its end."""
        return self.start(*args, env=env).wait(timeout)

    def run(
        self,
        pipeline: Mapping[str, Any] | str | Path,
        *args: str,
        env: Mapping[str, str] | None = None,
        timeout: float = 120.0,
        command: str = "run",
    ) -> Result:
        """Writes the pipeline and runs it to its end. A Path is an existing file."""
        return self.start_run(pipeline, *args, env=env, command=command).wait(timeout)

    def start_run(
        self,
        pipeline: Mapping[str, Any] | str | Path,
        *args: str,
        env: Mapping[str, str] | None = None,
        command: str = "run",
    ) -> Running:
        path = pipeline if isinstance(pipeline, Path) else self.write(pipeline)
        extra = ["--once"] if command == "run" and "--follow" not in args and "--once" not in args else []
        return self.start(command, str(path), *extra, *args, env=env)


class RssSampler:
    """Samples the resident memory of a process in the background.

    with RssSampler(run.pid) as rss: ...        rss.samples: [(seconds, KiB)], rss.peak
    """

    def __init__(self, pid: int, every: float = 0.02):
        self.pid, self.every = pid, every
        self.samples: list[tuple[float, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, daemon=True)

    @property
    def peak(self) -> int:
        return max((kib for _at, kib in self.samples), default=0)

    def _loop(self) -> None:
        start = time.monotonic()
        while not self._stop.wait(self.every):
            now, _peak = proc.rss_kib(self.pid)
            if now:
                self.samples.append((time.monotonic() - start, now))

    def __enter__(self) -> RssSampler:
        self._thread.start()
        return self

    def __exit__(self, *_exc) -> None:
        self._stop.set()
        self._thread.join()
