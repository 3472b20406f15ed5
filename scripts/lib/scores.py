#!/usr/bin/env python3
"""Adds up the result lines of the reliability tests: one line for each T<n>, over all its parts."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path

SUMS = ("faults", "survived", "rows", "lost", "dup", "diff", "stuck", "secs")


def add_up(text: str) -> list[str]:
    parts: dict[str, list[dict[str, int]]] = defaultdict(list)
    failed: dict[str, int] = defaultdict(int)
    for line in text.splitlines():
        name = line.split(" ", 1)[0]
        fields = {key: int(value) for key, value in re.findall(r"\b(\w+)=(\d+)", line)}
        if re.fullmatch(r"[A-Z]+\d*", name) and "faults" in fields:
            parts[name].append(fields)
            failed[name] += line.endswith(" FAILED")
    out = []
    for name in sorted(parts, key=lambda text: (re.sub(r"\d", "", text), int(re.sub(r"\D", "", text) or 0))):
        total = {key: sum(part.get(key, 0) for part in parts[name]) for key in SUMS}
        peak = max(part.get("rss_max", 0) for part in parts[name])
        values = " ".join(f"{key}={total[key]}" for key in SUMS if key != "secs")
        line = f"{name} {values} rss_max={peak} secs={total['secs']} parts={len(parts[name])}"
        out.append(line + (f" FAILED={failed[name]}" if failed[name] else ""))
    return out


if __name__ == "__main__":
    for found in add_up("".join(Path(name).read_text() for name in sys.argv[1:])):
        print(found)
