"""A password is in the file, in a variable, in a file of its own: it is never in what is printed."""

from __future__ import annotations

import pytest
from cli_pipelines import generate

SECRET = 'pl4nted-"secret"-\\ä'
PARTS = ("pl4nted", "-ä", "\\u00e4")

COMMANDS = [
    ["run"], ["run", "--progress", "json"], ["run", "--log-level", "trace"], ["run", "--log-format", "json"],
    ["check"], ["plan"], ["discover"], ["preview"], ["validate"], ["state", "show"],
]


@pytest.fixture
def needs_postgres(engine):
    if not (engine.plugin_dir / "postgres.so").exists():
        pytest.skip("NOT RUN: the plugin postgres is not built")


def pipeline(password, **config):
    made = generate("secret")
    made["on_error"] = {"retry": {"max": 1, "backoff": "10ms"}}
    made["sources"]["g"] = {
        "plugin": "postgres",
        "config": {"host": "127.0.0.1", "port": 9, "user": "u", "database": "d", "password": password, **config},
    }
    return made


def expect_none(result):
    for part in PARTS:
        assert part not in result.output, result.describe()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("flags", [[], ["--json"]], ids=["text", "json"])
def test_no_secret_in_the_output(engine, needs_postgres, workdir, command, flags):
    secret_file = workdir / "secret"
    secret_file.write_text(SECRET + "\n")
    secret_file.chmod(0o600)
    forms = (SECRET, "${env:PLANTED}", "${file:%s}" % secret_file)
    path = engine.write(pipeline(forms[(COMMANDS.index(command) + len(flags)) % 3]))
    expect_none(engine.cmd(*command, str(path), *flags, env={"PLANTED": SECRET}))


def test_no_secret_in_findings_about_the_file(engine, needs_postgres):
    """A value of the wrong type is shown, but not when it is secret or came out of a variable."""
    for config in ({"password": {"oops": SECRET}}, {"password": [SECRET]}, {"port": "${env:PLANTED}"}):
        path = engine.write(pipeline(**{"password": "other-pass", **config}))
        for flags in ([], ["--json"]):
            expect_none(engine.cmd("validate", str(path), *flags, env={"PLANTED": SECRET}).expect(2))


def test_no_secret_given_by_set(engine, needs_postgres):
    path = engine.write(pipeline("first"))
    for command in (["plan"], ["run"], ["check"]):
        expect_none(engine.cmd(*command, str(path), "--set", f"sources.g.config.password='{SECRET}'"))
