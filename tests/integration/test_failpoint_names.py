"""The list of failpoints (core/base/failpoint_names.h) names exactly those that the sources pass."""

from __future__ import annotations

import re
from pathlib import Path

from support import sluice

LIST = sluice.ROOT / "core/base/failpoint_names.h"
# A call of any function with failpoint in its name, plugins' own short ones too, and the first
# argument that looks like a name.
CALL = re.compile(r"\b(\w*failpoint\w*|fp_\w+)\s*\(([^;\"]*?)\"([a-z0-9_]+\.[a-z0-9_.]+)\"", re.IGNORECASE)
KIND = {
    "sluice_failpoint": "FAILS",
    "sluice_failpoint_error": "FAILS",
    "sluice_failpoint_hit": "FAILS",
    "sluice_failpoint_torn": "TEARS",
    "SLUICE_FAILPOINT": "STOPS",
}


def listed() -> dict[str, str]:
    entries = re.findall(r'X\(\s*"([^"]+)",\s*(\w+),', LIST.read_text())
    assert len({name for name, _ in entries}) == len(entries), "a name is listed twice"
    return dict(entries)


def sources() -> list[Path]:
    found = []
    for folder in ("core", "plugins"):
        for pattern in ("*.c", "*.h"):
            found += [p for p in (sluice.ROOT / folder).rglob(pattern) if p.name not in ("failpoint.h", LIST.name)]
    return sorted(found)


def passed() -> dict[str, list[tuple[str, str]]]:
    """name → where it is passed, by which function."""
    found: dict[str, list[tuple[str, str]]] = {}
    for path in sources():
        text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
        for function, _, name in CALL.findall(text):
            found.setdefault(name, []).append((str(path.relative_to(sluice.ROOT)), function))
    return found


def test_every_failpoint_is_listed_and_passed():
    names, places = listed(), passed()
    missing = {name: where for name, where in places.items() if name not in names}
    assert not missing, f"add to {LIST.name}: {missing}"
    assert not set(names) - set(places), f"listed in {LIST.name}, passed nowhere: {set(names) - set(places)}"


def test_a_name_is_one_place():
    twice = {name: where for name, where in passed().items() if len(where) > 1}
    assert not twice, f"one name, one place: counts of passages would mix: {twice}"


def test_kinds_are_as_the_sources_say():
    names = listed()
    for name, where in passed().items():
        _, function = where[0]
        if function in KIND and name in names:
            assert names[name] == KIND[function], f"{name} is passed by {function}"
