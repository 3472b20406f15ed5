"""Plugin files that are not right, through the command line: named with the reason, and in nobody else's way."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest
from cli_pipelines import generate

CASES = {
    "wrong_major": "it wants ABI major 7, this engine offers 0",
    "newer_minor_min": "it wants at least ABI 0.999",
    "wrong_magic": "it is not a sluice plugin",
    "wrong_envelope": "change envelope version 9",
    "missing_slot": "lacks the function reader_next",
    "no_symbol": "does not export sluice_plugin_entry_v0",
    "null_descriptor": "gives no descriptor",
    "undefined_symbol": "install the library it lacks or rebuild it",
    "twice": "offers the source twice twice",
    "text": "is not a shared object (no ELF header)",
    "empty": "is empty: copy it again",
    "truncated": "is cut off",
    "world_writable": "can be changed by every user",
    "folder": "is not a regular file",
    "dangling": "No such file or directory",
}


@pytest.fixture
def modules(engine) -> Path:
    found = engine.binary.parent.parent / "tests" / "unit" / "plugin" / "modules"
    if not (found / "good.so").exists():
        pytest.skip("NOT RUN: the plugins of the unit tests are not built")
    return found


@pytest.fixture
def folder(workdir) -> Path:
    made = workdir / "mine"
    made.mkdir(mode=0o755)
    return made


def put(kind: str, modules: Path, folder: Path) -> Path:
    """Makes the bad file bad.so in the folder."""
    path = folder / "bad.so"
    good = (modules / "good.so").read_bytes()
    if kind == "text":
        path.write_text("#!/bin/sh\necho hello\n")
    elif kind == "empty":
        path.touch()
    elif kind == "truncated":
        path.write_bytes(good[: len(good) // 2])
    elif kind == "folder":
        path.mkdir()
    elif kind == "dangling":
        path.symlink_to("nowhere.so")
    elif kind == "world_writable":
        path.write_bytes(good)
        path.chmod(0o666)
    else:
        shutil.copy(modules / f"{kind}.so", path)
    return path


@pytest.mark.parametrize("kind", CASES)
def test_bad_file(engine, modules, folder, kind):
    path = put(kind, modules, folder)
    dirs = ["--plugin-dir", str(engine.plugin_dir), "--plugin-dir", str(folder)]
    listed = engine.cmd("plugin", "list", *dirs).expect(0)
    line = next(line for line in listed.stdout.splitlines() if line.startswith("refused: "))
    assert str(path) in line and CASES[kind] in line, listed.describe()
    assert listed.stderr == "", "it is said once"
    # The others work.
    assert re.search(r"^generate +source ", listed.stdout, re.M)
    engine.cmd("run", str(engine.write(generate())), *dirs).expect(0)
    # Who asks for it is told why it is not there.
    pipeline = {**generate(), "sinks": {"out": {"plugin": "bad", "inputs": ["g"]}}}
    for command in ("run", "validate", "check", "plan"):
        result = engine.cmd(command, str(engine.write(pipeline)), *dirs).expect(2)
        assert 'unknown sink plugin "bad" (sinks.out.plugin)' in result.stderr, result.describe()
        assert result.stderr.count("bad.so was refused: ") == 1, result.describe()
        assert CASES[kind] in result.stderr, result.describe()


def test_plugin_that_is_missing(engine, folder):
    pipeline = {**generate(), "sinks": {"out": {"plugin": "fil", "inputs": ["g"]}}}
    result = engine.run(pipeline).expect(2)
    assert 'unknown sink plugin "fil"' in result.stderr and "did you mean file?" in result.stderr
    result = engine.cmd("run", str(engine.write(pipeline)), "--plugin-dir", str(folder)).expect(2)
    assert "no plugins were found" in result.stderr, result.describe()


@pytest.mark.parametrize("command", [["plugin", "list"], ["run", "pipeline.yaml"]], ids=" ".join)
def test_folder_that_others_may_write(engine, folder, command):
    engine.write(generate())
    folder.chmod(0o777)
    result = engine.cmd(*command, "--plugin-dir", str(folder)).expect(3)
    assert f'can be changed by every user, so whatever lies there is not loaded: chmod o-w "{folder}"' in result.stderr
    result = engine.cmd(*command, "--plugin-dir", str(folder / "not-there")).expect(3)
    assert "not-there does not exist" in result.stderr and "--plugin-dir" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT RUN: giving files away needs root")
def test_file_of_somebody_else(engine, modules, folder):
    path = put("good", modules, folder)
    os.chown(path, 65534, 65534)
    result = engine.cmd("plugin", "list", "--plugin-dir", str(folder)).expect(0)
    assert "belongs to user 65534" in result.stdout


def test_names_of_files_cannot_reach_the_terminal(engine, folder):
    (folder / "ev\x1b[31mil\n.so").write_text("x")
    for args in (["plugin", "list"], ["validate", str(engine.write(generate()))]):
        result = engine.cmd(*args, "--plugin-dir", str(folder))
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", result.output), result.describe()
