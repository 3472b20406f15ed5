#!/usr/bin/env python3
"""Each plugin exports its entry and nothing else.

    symbols.py FOLDER ENTRY
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main() -> int:
    folder, entry = Path(sys.argv[1]), sys.argv[2]
    plugins = sorted(folder.glob("*.so"))
    bad = 0
    for plugin in plugins:
        out = subprocess.run(
            ["nm", "-D", "--defined-only", str(plugin)], check=True, capture_output=True, text=True
        ).stdout
        # Version names of the map are absolute symbols, not exports.
        names = [line.split()[-1] for line in out.splitlines() if " A " not in line]
        if names != [entry]:
            bad += 1
            print(f"{plugin.name}: exports {names}, expected [{entry}]")
    print(f"{len(plugins) - bad} of {len(plugins)} plugins export their entry alone")
    return 1 if bad or not plugins else 0


if __name__ == "__main__":
    sys.exit(main())
