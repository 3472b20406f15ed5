#!/usr/bin/env python3
"""Every SDK header compiles alone, as C and as C++, under each compiler that is installed.

    headers.py INCLUDE_DIR
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror", "-fsyntax-only"]
LANGUAGES = [
    ("c", "-std=c11", ("gcc", "clang")),
    ("c", "-std=c17", ("gcc", "clang")),
    ("c++", "-std=c++11", ("g++", "clang++")),
    ("c++", "-std=c++20", ("g++", "clang++")),
]


def compile_one(job: tuple[str, str, str, Path, Path]) -> str:
    compiler, language, standard, include, source = job
    result = subprocess.run(
        [compiler, "-x", language, standard, *WARNINGS, f"-I{include}", str(source)],
        capture_output=True,
        text=True,
    )
    return "" if result.returncode == 0 else f"{compiler} {standard} {source.name}\n{result.stderr}"


def main() -> int:
    include = Path(sys.argv[1])
    jobs = []
    with tempfile.TemporaryDirectory() as tmp:
        for header in sorted((include / "sluice").glob("*.h")):
            source = Path(tmp) / f"{header.stem}.txt"
            # Twice: a second time it must be empty.
            line = f'#include "sluice/{header.name}"\n'
            source.write_text(line + line + "extern int sluice_header_test;\n")
            for language, standard, compilers in LANGUAGES:
                jobs += [
                    (c, language, standard, include, source) for c in compilers if shutil.which(c)
                ]
        with ThreadPoolExecutor(2) as pool:
            failures = [text for text in pool.map(compile_one, jobs) if text]
    print("\n".join(failures))
    print(f"{len(jobs) - len(failures)} of {len(jobs)} compilations passed")
    return 1 if failures or not jobs else 0


if __name__ == "__main__":
    sys.exit(main())
