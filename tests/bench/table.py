"""Aligned tables on a terminal and in a log."""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path
from typing import Any


def render(header: list[str], rows: list[list[str]]) -> str:
    """First column to the left, the others to the right."""
    widths = [max(len(row[at]) for row in [header, *rows]) for at in range(len(header))]

    def line(row: list[str]) -> str:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        return "  ".join(cells).rstrip()

    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(header), rule, *map(line, rows)])


def median(values: list[float]) -> float:
    return statistics.median(values) if values else 0.0


def spread(values: list[float]) -> str:
    """How far the rounds lie apart, in percent of the median."""
    middle = median(values)
    return f"{100 * (max(values) - min(values)) / middle:.0f} %" if middle else ""


def save(root: Path, name: str, body: dict[str, Any]) -> Path:
    folder = root / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
    path.write_text(json.dumps(body, indent=1, default=str) + "\n")
    return path
