"""On a terminal: the live block, colours, questions. A small terminal of our own watches."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
import unicodedata

import pytest
from cli_pipelines import generate, slow


class Screen:
    """As much of a terminal as a well-behaved program needs; anything else is an error."""

    TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|([\r\n])|([^\x1b\r\n])")

    def __init__(self, columns: int, rows: int):
        self.columns, self.rows = columns, rows
        self.lines: list[str] = [""]  # with what scrolled away
        self.row = self.column = 0
        self.colors = 0
        self.wrapped = 0

    def feed(self, text: str) -> None:
        at = 0
        while at < len(text):
            found = self.TOKEN.match(text, at)
            assert found, f"unknown control at {text[at : at + 20]!r}"
            at = found.end()
            number, final, line_end, char = found.groups()
            if final:
                self.control(number, final)
            elif line_end == "\r":
                self.column = 0
            elif line_end:
                self.row, self.column = self.row + 1, 0
                while len(self.lines) <= self.row:
                    self.lines.append("")
            else:
                self.put(char)

    def control(self, number: str, final: str) -> None:
        if final == "A":
            self.row -= int(number or 1)
            assert self.row >= max(0, len(self.lines) - self.rows), "moved up past the window"
        elif final == "J":
            assert number in ("", "0")
            self.lines[self.row] = self.lines[self.row][: self.column]
            del self.lines[self.row + 1 :]
        elif final == "K":
            self.lines[self.row] = self.lines[self.row][: self.column]
        elif final == "m":
            self.colors += 1
        else:
            raise AssertionError(f"unknown control {number}{final}")

    def put(self, char: str) -> None:
        wide = 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if self.column + wide > self.columns:
            self.wrapped += 1
            self.row, self.column = self.row + 1, 0
            while len(self.lines) <= self.row:
                self.lines.append("")
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[: self.column] + char + line[self.column + 1 :]
        self.column += wide

    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines)


class Terminal:
    """The program on a pseudo terminal."""

    def __init__(self, engine, *args: str, columns: int = 110, rows: int = 24, env: dict | None = None):
        self.screen = Screen(columns, rows)
        self.raw = ""
        self.decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self.pending = ""
        self.frames: list[str] = []
        environment = {**engine.env, "TERM": "xterm-256color", **(env or {})}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execve(engine.binary, [str(engine.binary), *args], environment)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        # Ctrl-C would throw away what is on its way to the screen, and the lines with it.
        modes = termios.tcgetattr(self.fd)
        modes[3] |= termios.NOFLSH
        termios.tcsetattr(self.fd, termios.TCSANOW, modes)

    def read(self, timeout: float = 0.1) -> bool:
        """False at the end."""
        if not select.select([self.fd], [], [], timeout)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        if not data:
            return False
        text = self.decoder.decode(data)
        self.raw += text
        # A read may end within a sequence. The kernel's own echo of Ctrl-C is no output of the program.
        text = self.pending + text
        whole = re.sub(r"\x1b(\[[0-9;?]*)?\Z", "", text)
        self.pending = text[len(whole) :]
        self.screen.feed(whole.replace("^C", ""))
        self.frames.append(self.screen.text())
        return True

    def until(self, pattern: str, timeout: float = 60) -> None:
        deadline = time.monotonic() + timeout
        while not re.search(pattern, self.screen.text()):
            assert self.read() and time.monotonic() < deadline, self.screen.text()

    def finish(self, timeout: float = 120) -> int:
        deadline = time.monotonic() + timeout
        while self.read():
            assert time.monotonic() < deadline, self.screen.text()
        _pid, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())


def test_live_block_then_summary(engine):
    path = engine.write(slow(tables=6))
    terminal = Terminal(engine, "run", str(path), "-j", "2")
    assert terminal.finish() == 0
    shown = "\n".join(terminal.frames)
    assert re.search(r"slow  loading  \d/6 tables  \d+%  [\d,]+ rows", shown), shown[-3000:]
    assert re.search(r"  public\.gen_000\d  [█▏▎▍▌▋▊▉░]+ +\d+%  +[\d,]+ rows", shown)
    assert re.search(r"ETA \d+s", shown) and "complete " in shown
    # Nothing of the block stays behind: the summary stands alone.
    last = terminal.screen.text().strip().splitlines()
    assert last[0].split() == ["table", "rows", "time", "rate", "status"] and len(last) == 8
    assert last[-1].startswith("6 tables") and terminal.screen.colors > 0
    assert terminal.screen.wrapped == 0


def test_log_lines_do_not_tear_the_block(engine):
    path = engine.write(slow(tables=12))
    terminal = Terminal(engine, "run", str(path), "-j", "3", "--log-level", "info", columns=200, rows=10)
    assert terminal.finish() == 0
    lines = terminal.screen.text().splitlines()
    logged = [line for line in lines if re.match(r"\d{4}-\d\d-\d\dT", line)]
    assert len([line for line in logged if "stream complete" in line]) == 12
    assert all(re.fullmatch(r"\S+Z (INFO |WARN ) \S+ .*", line) for line in logged), logged
    # Log lines, then the summary: table by table.
    assert lines.index(logged[-1]) == len(logged) - 1
    assert "loading" not in terminal.screen.text() and terminal.screen.wrapped == 0


@pytest.mark.parametrize("columns, rows", [(40, 24), (70, 6), (200, 50), (20, 3)])
def test_any_window(engine, columns, rows):
    path = engine.write(slow(tables=60))
    terminal = Terminal(engine, "run", str(path), "-j", "4", columns=columns, rows=rows)
    terminal.until("loading", 60)
    for _ in range(8):
        terminal.read(0.2)
    assert terminal.screen.wrapped == 0, terminal.screen.text()
    os.kill(terminal.pid, signal.SIGTERM)
    assert terminal.finish() == 0


def test_ctrl_c_on_the_terminal(engine):
    path = engine.write(slow(tables=30))
    terminal = Terminal(engine, "run", str(path), "-j", "2")
    terminal.until(r"[1-9]/30 tables")
    terminal.type("\x03")
    assert terminal.finish() == 0
    text = terminal.screen.text()
    assert "stopping: leaving a clean state" in text and "stopped by SIGINT" in text
    assert "ETA" not in text


def test_no_color(engine):
    path = engine.write(slow(tables=2))
    for args, env in ((["--no-color"], {}), ([], {"NO_COLOR": "1"})):
        terminal = Terminal(engine, "run", str(path), *args, env=env)
        assert terminal.finish() == 0
        assert terminal.screen.colors == 0 and "loading" in "\n".join(terminal.frames)


def test_dumb_terminal_gets_log_lines(engine):
    path = engine.write(slow(tables=2))
    terminal = Terminal(engine, "run", str(path), env={"TERM": "dumb"})
    assert terminal.finish() == 0
    assert "\x1b" not in terminal.raw and "stream complete" in terminal.raw


def test_ascii_only(engine):
    path = engine.write(slow(tables=2))
    terminal = Terminal(engine, "run", str(path), env={"LANG": "C"})
    assert terminal.finish() == 0
    assert terminal.raw.isascii() and re.search(r"  #+-* +\d+%", "\n".join(terminal.frames))


def test_quiet_shows_nothing(engine):
    terminal = Terminal(engine, "run", str(engine.write(slow(tables=2))), "-q")
    assert terminal.finish() == 0 and terminal.raw == ""


def test_reset_asks(engine):
    pipeline = generate("half", fail_after_rows=10, fail_kind="fatal", fail_times=100)
    path = engine.write(pipeline)
    engine.cmd("run", str(path), "-q").expect(3)

    def unfinished() -> bool:
        return engine.cmd("state", "show", str(path), "--json").json()["load"]["finished"] is None

    for answer in ("n\n", "\n", "\x04"):
        terminal = Terminal(engine, "state", "reset", str(path))
        terminal.until(r"Forget it\? \[y/N\]")
        assert "will read again" in terminal.screen.text()
        terminal.type(answer)
        assert terminal.finish() == 0 and "nothing was changed" in terminal.screen.text()
        assert unfinished()
    terminal = Terminal(engine, "state", "reset", str(path))
    terminal.until(r"Forget it\? \[y/N\]")
    terminal.type("y\n")
    assert terminal.finish() == 0 and "forgotten" in terminal.screen.text()


def test_wide_rows_are_shown_as_records(engine):
    path = engine.write(generate(tables=1, columns=["utf8:60"] * 8))
    terminal = Terminal(engine, "preview", str(path), "--limit", "2", columns=80)
    assert terminal.finish() == 0
    text = terminal.screen.text()
    assert re.search(r"^  row 1$", text, re.M) and re.search(r"^    c3  ", text, re.M)
    assert terminal.screen.wrapped == 0


def test_help_fits_the_window(engine):
    terminal = Terminal(engine, "help", "run", columns=70)
    assert terminal.finish() == 0 and terminal.screen.wrapped == 0
