"""`sluice validate` on files that are wrong: everything at once, exact places, quickly, little memory."""

from __future__ import annotations

import json
import os
import re
import time

import pytest

HEAD = "version: 1\nname: p\nmode: full_load_only\n"
GOOD = HEAD + "sources: {src: {plugin: generate}}\nsinks: {out: {plugin: 'null', inputs: [src]}}\n"


def billion_laughs() -> str:
    text = 'a: &a ["lol","lol","lol","lol","lol","lol","lol","lol","lol"]\n'
    for before, name in zip("abcdefgh", "bcdefghi", strict=True):
        text += f"{name}: &{name} [" + ",".join([f"*{before}"] * 9) + "]\n"
    return text


BOMBS = {
    "billion laughs": (billion_laughs(), "anchors (&name) are not supported"),
    "2 MiB": ("# nothing\n" * 220000, "larger than 1 MiB"),
    "deep flow": ("a: " + "[" * 500000, "nested deeper than 64 levels"),
    "deep block": ("".join(" " * i + "a:\n" for i in range(1400)), "nested deeper than 64 levels"),
    "many values": ("a: [" + "1," * 400000 + "]", "more than 100,000 values"),
    "many wrong keys": ("".join(f"key{i}: 1\n" for i in range(45000)), "there are more problems"),
    "many duplicates": ("a: 1\n" * 45000, "there are more problems"),
    "huge expression": (
        GOOD.replace("{plugin: generate}", '{plugin: generate, tables: {include: ["re:((a{999}){999}){999}"]}}'),
        "repeats more than 1000 times",
    ),
}


@pytest.mark.parametrize("command", ["validate", "run"])
@pytest.mark.parametrize("kind", BOMBS)
def test_bomb(release_engine, kind, command):
    text, message = BOMBS[kind]
    path = release_engine.write(text)
    start = time.monotonic()
    result = release_engine.cmd(command, str(path)).expect(2)
    place = "" if kind == "2 MiB" else r":\d+:\d+"
    assert re.search(rf"^{re.escape(str(path))}{place}: error: ", result.stderr, re.M), result.stderr[:2000]
    assert message in result.output
    assert time.monotonic() - start < 3
    assert result.peak_rss_kib < 100 * 1024
    assert len(result.output) < 100_000


PLACES = {
    "tab": ("sources:\n\tsrc: 1\n", "p.yaml:2:1: error: a tab is used where YAML allows only spaces"),
    "unknown key": (GOOD + "memroy: 1GB\n", "p.yaml:6:1: error: unknown key \"memroy\""),
    "wrong type": (GOOD + "memory: [1]\n", "p.yaml:6:9: error: memory wants a size"),
    "duplicate": (GOOD + "name: q\n", "p.yaml:6:1: error: key \"name\" is given twice"),
    "not UTF-8": (b"name: caf\xe9\n", "p.yaml:1:10: error: byte 0xE9 is not valid UTF-8"),
    "UTF-16": ("name: a\n".encode("utf-16"), "p.yaml:1:1: error: the file is UTF-16"),
    "NUL": (b"name: a\0b\n", "p.yaml:1:8: error: a NUL byte is not allowed"),
    "empty": ("", "p.yaml: error: the file is empty"),
    "not a mapping": ("hello\n", "p.yaml:1:1: error: a pipeline file is a mapping"),
    "circle": (
        GOOD + "transforms:\n  a: {plugin: project, inputs: [b]}\n  b: {plugin: project, inputs: [a, src]}\n",
        "p.yaml:7:32: error: the inputs form a circle: a -> b -> a",
    ),
}


@pytest.mark.parametrize("kind", PLACES)
def test_place(engine, kind):
    text, line = PLACES[kind]
    path = engine.workdir / "p.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    for command in ("validate", "run"):
        result = engine.cmd(command, "p.yaml").expect(2)
        assert line in result.output, result.describe()


def test_all_errors_at_once(engine):
    path = engine.write(
        "version: 3\nname: p\nmode: full\n"
        "sources: {src: {plugin: generate, config: {rows: many, sead: 1}}}\n"
        "sinks: {out: {plugin: nul, inputs: [scr]}}\n"
    )
    found = json.loads(engine.cmd("validate", "--json", str(path)).expect(2).stdout)["files"][0]["findings"]
    assert [(one["line"], one["column"], one["path"]) for one in found] == [
        (1, 10, "version"),
        (3, 7, "mode"),
        (4, 50, "sources.src.config.rows"),
        (4, 56, "sources.src.config.sead"),
        (5, 23, "sinks.out.plugin"),
        (5, 37, "sinks.out.inputs[0]"),
    ]
    assert "did you mean seed?" in found[3]["hint"]
    assert "did you mean null?" in found[4]["hint"]
    assert "did you mean src?" in found[5]["hint"]


def test_strict(engine):
    path = engine.write(GOOD.replace("sources: {", "sources: {idle: {plugin: generate}, "))
    result = engine.cmd("validate", str(path)).expect(0)
    assert 'nothing takes the rows of source "idle"' in result.output
    engine.cmd("validate", "--strict", str(path)).expect(2)


def test_set(engine):
    path = engine.write(GOOD)
    engine.cmd("validate", str(path), "--set", "sources.src.config.rows=7").expect(0)
    result = engine.cmd("validate", str(path), "--set", "sources.src.config.rows=many").expect(2)
    assert "rows wants a whole number" in result.output
    result = engine.cmd("validate", str(path), "--set", "version.x=1").expect(2)
    assert "version is not a mapping" in result.output


def test_secrets_stay_hidden(engine):
    """Neither a wrong value out of a variable nor a password in the file is ever printed."""
    secret = engine.workdir / "pw"
    secret.write_text("file-hunter2\n")
    path = engine.write(
        HEAD + "sources:\n  src:\n    plugin: postgres\n"
        "    config: {host: localhost, database: d, user: u, password: plain-hunter2, port: \"${env:T_PORT}\","
        ' sslpassword: "${file:pw}"}\n'
        "sinks: {out: {plugin: 'null', inputs: [src]}}\n"
    )
    secret.chmod(0o644)
    result = engine.cmd("validate", str(path), env={"T_PORT": "env-hunter2"}).expect(2)
    assert "is open to other users (mode 0644)" in result.output
    assert f"chmod 600 '{secret}'" in result.output
    assert "port wants a whole number" in result.output
    assert "hunter2" not in result.output
    secret.chmod(0o600)
    result = engine.cmd("validate", str(path), env={"T_PORT": "env-hunter2"}).expect(2)
    assert "open to other users" not in result.output
    assert "hunter2" not in result.output
    engine.cmd("validate", str(path), env={"T_PORT": "5432"}).expect(0)


def test_fifo_as_secret_does_not_hang(engine):
    os.mkfifo(engine.workdir / "pipe", 0o600)
    path = engine.write(GOOD.replace("plugin: generate", 'plugin: generate, config: {seed: "${file:pipe}"}'))
    result = engine.cmd("validate", str(path), timeout=20).expect(2)
    assert "is not a regular file" in result.output
