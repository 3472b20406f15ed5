"""Ctrl-C and SIGTERM at every stage: the first leaves a clean state, the second ends at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time

import pytest
from cli_pipelines import generate, slow


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_first_signal_leaves_a_clean_state(engine, sig):
    path = engine.write(slow(tables=20))
    running = engine.start("run", str(path))
    running.wait_output("stream complete")
    started = time.monotonic()
    running.send(sig)
    result = running.wait().expect(0)
    assert time.monotonic() - started < 5
    assert f"stopping: leaving a clean state; a second signal ends at once signal={sig.name}" in result.stderr
    assert f"stopped by {sig.name}; the next run goes on from here" in result.stderr
    assert result.stdout.count("stopped") >= 1 and result.stdout.count("complete") >= 1
    state = engine.cmd("state", "show", str(path), "--json").expect(0).json()
    assert state["load"]["finished"] is None and state["runs"][0]["outcome"] == "stopped"
    done = {s["stream"] for s in state["streams"] if s["status"] == "complete"}
    again = engine.cmd("run", str(path), "--set", "sources.g.config.delay=0s", "--json", "-q").expect(0)
    again = again.json()["pipelines"][0]
    assert again["load"] == state["load"]["id"] and again["outcome"] == "ok"
    assert {s["name"] for s in again["streams"] if s["status"] == "skipped"} == done


def test_stopped_as_json(engine):
    path = engine.write(slow(tables=20))
    running = engine.start("run", str(path), "--json", "--log-level", "info")
    running.wait_output("load begins")
    running.interrupt()
    found = running.wait().expect(0).json()
    assert found["ok"] is True and found["pipelines"][0]["outcome"] == "stopped"


def test_several_files_stop_together(engine):
    one = engine.write(slow("one", tables=20), "one.yaml")
    two = engine.write(generate("two"), "two.yaml")
    running = engine.start("run", str(one), str(two))
    running.wait_output("load begins")
    running.terminate()
    result = running.wait().expect(0)
    assert "pipeline=two" not in result.stderr


@pytest.mark.parametrize("milliseconds", [0, 2, 5, 10, 20, 30, 50, 80, 120, 200, 300])
def test_interrupt_at_any_moment(engine, milliseconds):
    """Before the signals are watched the process may simply end: nothing has begun then."""
    path = engine.write(slow(tables=20))
    running = engine.start("run", str(path))
    time.sleep(milliseconds / 1000)
    running.interrupt()
    result = running.wait(20)
    assert result.rc in (0, 130), result.describe()
    if result.rc == 130:
        assert "load begins" not in result.stderr
    engine.cmd("run", str(path), "--set", "sources.g.config.delay=0s", "-q").expect(0)


@pytest.mark.parametrize("second, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_second_signal_ends_at_once(engine, second, code):
    path = engine.write(generate())
    # A commit that hangs: what the first signal cannot cut short.
    running = engine.start("run", str(path), env={"SLUICE_FAILPOINTS": "flow.before_sink_commit=sleep:20000"})
    running.wait_output("source opened")
    time.sleep(0.3)
    running.interrupt()
    running.wait_output("stopping")
    time.sleep(0.2)
    assert running.poll() is None
    started = time.monotonic()
    running.send(second)
    result = running.wait(10)
    assert result.rc == code and time.monotonic() - started < 3, result.describe()


@pytest.mark.parametrize("sig, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("command", ["check", "discover", "plan", "preview"])
def test_looking_can_be_cut_short(engine, command, sig, code):
    """A server that takes the connection and says nothing."""
    if not (engine.plugin_dir / "postgres.so").exists():
        pytest.skip("NOT RUN: the plugin postgres is not built")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        pipeline = generate()
        pipeline["sources"]["g"] = {
            "plugin": "postgres",
            "config": {"host": "127.0.0.1", "port": silent.getsockname()[1], "user": "u", "database": "d"},
        }
        running = engine.start(command, str(engine.write(pipeline)))
        silent.settimeout(20)
        connection, _peer = silent.accept()
        with connection:
            time.sleep(0.1)
            started = time.monotonic()
            running.send(sig)
            result = running.wait(20)
    assert result.rc == code and time.monotonic() - started < 3, result.describe()


def test_ignored_signals_stay_ignored(engine):
    """nohup, and background jobs of a shell."""
    path = engine.write(slow(tables=2))
    code = f"trap '' HUP INT; exec '{engine.binary}' run '{path}' --log-level info"
    child = subprocess.Popen(["bash", "-c", code], env=engine.env, stderr=subprocess.PIPE, text=True,
                             stdout=subprocess.DEVNULL)
    assert child.stderr
    while "load begins" not in child.stderr.readline():
        pass
    os.kill(child.pid, signal.SIGHUP)
    os.kill(child.pid, signal.SIGINT)
    rest = child.stderr.read()
    assert child.wait(60) == 0 and "stopping" not in rest and "stopped" not in rest
