#!/usr/bin/env python3
"""Installs the SDK into a fresh prefix, moves it, and builds, checks and runs the templates from the
installed files alone: once through the CMake package, once with pkg-config and the compiler.

    out_of_tree.py BUILD_DIR SANITIZE
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

TEMPLATES = {"source": "lines", "sink": "print", "transform": "upper"}
TABLE = "id,name,city\n1,ada,london\n2,grace,\n3,linus,helsinki\n"
PIPELINE = """\
version: 1
name: templates
mode: full_load_only
sources:
  people: {{plugin: lines, config: {{path: "{table}"}}}}
transforms:
  loud: {{plugin: upper, inputs: [people], config: {{columns: [name]}}}}
sinks:
  out: {{plugin: print, inputs: [loud], config: {{path: "{out}"}}}}
state: {{uri: "file:{state}"}}
"""
EXPECTED = [
    "people\tR\t1\tADA\tlondon",
    "people\tR\t2\tGRACE\tNULL",
    "people\tR\t3\tLINUS\thelsinki",
]


def run(*args: object, **kw) -> subprocess.CompletedProcess:
    result = subprocess.run([str(a) for a in args], capture_output=True, text=True, **kw)
    if result.returncode != 0:
        sys.exit(f"$ {' '.join(map(str, args))}\n{result.stdout}{result.stderr}")
    return result


def build_cmake(prefix: Path, work: Path, name: str, flags: str) -> Path:
    source = prefix / "share/sluice/template" / name
    build = work / f"cmake-{name}"
    run(
        "cmake", "-S", source, "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}",
        f"-DCMAKE_C_FLAGS=-Wall -Wextra -Werror {flags}",
    )
    run("cmake", "--build", build)
    return build / f"{TEMPLATES[name]}.so"


def build_cc(prefix: Path, work: Path, name: str, flags: str) -> Path:
    pc = next(prefix.rglob("sluice-sdk.pc")).parent
    env = dict(os.environ, PKG_CONFIG_PATH=str(pc))

    def config(*args: str) -> list[str]:
        return run("pkg-config", *args, "sluice-sdk", env=env).stdout.split()

    plugin_map = config("--variable=plugin_map")[0]
    source = prefix / "share/sluice/template" / name / f"{TEMPLATES[name]}.c"
    out = work / "cc" / f"{TEMPLATES[name]}.so"
    out.parent.mkdir(exist_ok=True)
    defs = [] if flags else ["-Wl,-z,defs"]
    run(
        os.environ.get("CC", "cc"), "-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden",
        "-Wall", "-Wextra", "-Werror", *flags.split(), *config("--cflags"), source, "-o", out,
        *config("--libs"), f"-Wl,--version-script={plugin_map}", *defs,
    )
    return out


def check(prefix: Path, work: Path, plugin: Path) -> None:
    table = work / "people.csv"
    table.write_text(TABLE)
    options = {
        "lines": ["--set", f"path={table}"],
        "print": ["--set", "path={tmp}/out.txt"],
        "upper": ["--set", "columns=note"],
    }[plugin.stem]
    run(prefix / "bin/sluice-plugin-test", plugin, *options)


def use(engine: Path, work: Path, plugins: list[Path]) -> None:
    """The three as one pipeline in the engine."""
    folder = work / "plugins"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755)
    for plugin in plugins:
        shutil.copy(plugin, folder)
        (folder / plugin.name).chmod(0o755)
    out = work / "out.txt"
    out.unlink(missing_ok=True)
    shutil.rmtree(work / "state", ignore_errors=True)
    pipeline = work / "pipeline.yaml"
    pipeline.write_text(PIPELINE.format(table=work / "people.csv", out=out, state=work / "state"))
    run(engine, "run", pipeline, "--once", "--plugin-dir", folder)
    lines = out.read_text().splitlines()
    if lines != EXPECTED:
        sys.exit("the pipeline of the templates wrote\n" + "\n".join(lines))


def main() -> int:
    build, sanitize = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    flags = f"-fsanitize={sanitize}" if sanitize else ""
    with tempfile.TemporaryDirectory() as tmp:
        work = Path(tmp)
        run("cmake", "--install", build, "--prefix", work / "first", "--component", "sdk")
        prefix = work / "moved"
        (work / "first").rename(prefix)
        engine = build / "bin" / "sluice"
        for builder in (build_cmake, build_cc):
            plugins = [builder(prefix, work, name, flags) for name in TEMPLATES]
            for plugin in plugins:
                check(prefix, work, plugin)
            if engine.exists():
                use(engine, work, plugins)
    print("built and checked" + (" and run" if engine.exists() else "") + ", with CMake and without")
    return 0


if __name__ == "__main__":
    sys.exit(main())
