"""`cmake --install`: what is there, and that it works from any place, with nothing of the build."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from cli_pipelines import generate

PLUGINS = {"file", "generate", "mask", "null", "postgres", "project", "s3", "sqlserver"}


@pytest.fixture
def prefix(engine, workdir):
    build = engine.binary.parent.parent
    if shutil.which("cmake") is None or not (build / "cmake_install.cmake").exists():
        pytest.skip("NOT RUN: no build folder to install from")
    first = workdir / "first"
    done = subprocess.run(["cmake", "--install", build, "--prefix", first], capture_output=True, text=True)
    if done.returncode != 0 and "cannot find" in done.stderr:
        pytest.skip("NOT RUN: not all that is installed is built")
    assert done.returncode == 0, done.stderr
    moved = workdir / "opt" / "sluice"
    moved.parent.mkdir()
    first.rename(moved)
    return moved


def test_installed_files(prefix):
    names = {str(path.relative_to(prefix)) for path in prefix.rglob("*") if path.is_file()}
    wanted = {"bin/sluice", "lib/libsluice_sdk.a", "lib/pkgconfig/sluice-sdk.pc", "include/sluice/abi.h",
              "lib/cmake/sluice/sluiceConfig.cmake", "share/man/man1/sluice.1"}
    wanted |= {f"lib/sluice/plugins/{name}.so" for name in PLUGINS}
    assert wanted <= names, wanted - names
    # Nobody but the owner may write: plugins in folders that others may write are refused.
    assert not [path for path in prefix.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022]


def test_installed_program_finds_its_plugins(prefix, engine, workdir):
    env = {key: value for key, value in engine.env.items() if key != "SLUICE_PLUGIN_DIR"}
    binary = prefix / "bin" / "sluice"
    listed = subprocess.run([binary, "plugin", "list"], env=env, capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in listed.splitlines()[1:]} == PLUGINS
    # Through a link too, as packages and people make them.
    link = workdir / "sluice"
    link.symlink_to(binary)
    path = engine.write(generate())
    for program in (binary, link):
        done = subprocess.run([program, "run", path], env=env, capture_output=True, text=True)
        assert done.returncode == 0 and "3 complete" in done.stdout, done.stderr
