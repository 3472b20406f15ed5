#!/usr/bin/env python3
"""The checks of the source that no compiler makes: who includes whom, banned functions, lengths.

    check.py [--shrink] [file…]

Without files: all that git knows or would add. Prints one line a finding and, last, the count of
checks that passed and failed. --shrink rewrites long-functions.txt, which can only get shorter.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LISTS = ROOT / "scripts" / "lint.d"

MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 80

# Lower number: lower layer. A module of core includes itself, lower layers, and the SDK. log lies under
# config, which tells it what is secret.
LAYERS = {"base": 0, "log": 1, "config": 2, "metrics": 2, "plugin": 3, "state": 3, "connect": 3, "flow": 4, "cli": 5}

ALLOCATION = "malloc calloc realloc free strdup strndup asprintf vasprintf"
BANNED = (
    "strcpy strcat sprintf vsprintf strncpy strncat strtok atoi atol atoll atof gets scanf sscanf"
    " fscanf strerror localtime gmtime asctime ctime rand srand system alloca tmpnam mktemp"
)


def sources(named: list[str]) -> list[str]:
    """Paths relative to the root of the C files, shell and Python scripts to look at."""
    if named:
        found = [os.path.relpath(name, ROOT) for name in named]
    else:
        out = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"],
            cwd=ROOT, capture_output=True, check=True,
        ).stdout.decode()
        found = [name for name in out.split("\0") if name]
    return sorted(name for name in found if (ROOT / name).is_file())


def is_c(name: str) -> bool:
    return name.endswith((".c", ".h"))


_STRIP = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


def strip(text: str) -> str:
    """The text with comments and literals blanked, lines kept."""

    def blank(match: re.Match) -> str:
        token = match[0]
        if token[0] in "\"'":
            return token[0] + " " * (len(token) - 2) + token[0]
        return re.sub(r"[^\n]", " ", token)

    return _STRIP.sub(blank, text)


def read_list(name: str) -> dict[str, str]:
    """`first word` → rest of the line, of a list in scripts/lint.d."""
    path = LISTS / name
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = (line.split(None, 1) for line in lines if line.strip() and not line.startswith("#"))
    return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs}


# ---------------------------------------------------------------- who includes whom


def area(path: str) -> tuple[str, ...]:
    """core/flow/x.c → ("core", "flow"); plugins/sinks/s3/x.c → ("plugins", "sinks/s3")."""
    parts = path.split("/")
    if parts[0] == "core" and len(parts) > 2:
        return "core", parts[1]
    if parts[0] == "plugins" and len(parts) > 3:
        return "plugins", "/".join(parts[1:3])
    return (parts[0],)


def resolve(include: str, source: str) -> str | None:
    """The file of ours that an #include means; None when it is not ours."""
    here = os.path.dirname(source)
    for folder in (here, "core", "sdk/include", "sdk/src", "plugins", "plugins/common", "."):
        path = os.path.normpath(os.path.join(folder, include))
        if (ROOT / path).is_file():
            return path
    return None


def may_include(source: tuple[str, ...], target: tuple[str, ...]) -> bool:
    if target[0] == "sdk":
        return True
    if source[0] == "sdk":
        return False
    if source[0] == "core":
        if target[0] != "core" or len(source) < 2 or len(target) < 2:
            return False
        mine, other = LAYERS.get(source[1]), LAYERS.get(target[1])
        return source[1] == target[1] or (mine is not None and other is not None and other < mine)
    if source[0] == "plugins":
        return target[0] == "plugins" and (source == target or target[1].startswith("common/"))
    return True


def check_includes(name: str, text: str) -> list[str]:
    source = area(name)
    if source[0] not in ("core", "sdk", "plugins"):
        return []
    # The SDK's own tests and template are users of it, not parts of it.
    if name.startswith(("sdk/template/", "sdk/abi/")) or "/tests/" in name:
        return []
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        match = re.match(r'\s*#\s*include\s*["<]([^">]+)[">]', line)
        target = resolve(match[1], name) if match else None
        if match and target and not may_include(source, area(target)):
            found.append(f"{name}:{number}: {'/'.join(source)} may not include {target}")
    return found


# ---------------------------------------------------------------- banned functions


def _calls(words: str) -> re.Pattern:
    return re.compile(r"(?<![\w.>])(" + "|".join(words.split()) + r")\s*\(")


_BANNED, _ALLOCATION, _GETENV = _calls(BANNED), _calls(ALLOCATION), _calls("getenv secure_getenv setenv putenv")


def check_banned(name: str, text: str, allowed: dict[str, str]) -> list[str]:
    if not is_c(name) or not name.startswith(("core/", "sdk/", "plugins/", "tests/")):
        return []
    patterns = [_BANNED]
    if name.startswith("core/") and not re.match(r"core/base/alloc", name):
        patterns.append(_ALLOCATION)
    credentials = name.startswith("plugins/") and re.search(r"cred|env", os.path.basename(name))
    if not (name.startswith(("core/config/", "core/cli/", "tests/")) or credentials):
        patterns.append(_GETENV)
    found = []
    for number, line in enumerate(strip(text).splitlines(), start=1):
        for pattern in patterns:
            for match in pattern.finditer(line):
                if f"{name}:{match[1]}" not in allowed:
                    found.append(f"{name}:{number}: {match[1]}() is banned here")
    return found


# ---------------------------------------------------------------- lengths


def check_file_length(name: str, text: str) -> list[str]:
    lines = text.count("\n")
    if lines > MAX_FILE_LINES:
        return [f"{name}: {lines} lines, at most {MAX_FILE_LINES}"]
    return []


def functions(text: str) -> list[tuple[str, int, int]]:
    """(name, first line, lines) of each C function; relies on its brace in the first column."""
    lines = strip(text).splitlines()
    found = []
    start = None
    for number, line in enumerate(lines):
        if line.startswith("{") and number > 0 and re.search(r"\)\s*$", lines[number - 1]):
            start = number
        elif line.startswith("}") and start is not None:
            head = start - 1
            while head > 0 and not re.match(r"[A-Za-z_].*\(", lines[head]):
                head -= 1
            match = re.search(r"(\w+)\s*\(", lines[head])
            found.append((match[1] if match else "?", head + 1, number - start + 1))
            start = None
    return found


def check_functions(texts: dict[str, str], whole: bool, shrink: bool) -> list[str]:
    listed = {key: int(value) for key, value in read_list("long-functions.txt").items()}
    found, kept = [], {}
    for name, text in texts.items():
        if not (name.endswith(".c") and name.startswith(("core/", "sdk/", "plugins/"))):
            continue
        for function, line, length in functions(text):
            key = f"{name}:{function}"
            if length <= MAX_FUNCTION_LINES:
                continue
            if length > listed.get(key, 0):
                most = max(MAX_FUNCTION_LINES, listed.get(key, 0))
                found.append(f"{name}:{line}: {function}() has {length} lines, at most {most}")
            else:
                kept[key] = length
    if whole and shrink:
        text = "# Functions over 80 lines. The list may only shrink: scripts/lint --shrink.\n"
        text += "".join(f"{key} {length}\n" for key, length in sorted(kept.items()))
        (LISTS / "long-functions.txt").write_text(text)
    elif whole:
        for key, length in listed.items():
            if kept.get(key, length + 1) < length or (key not in kept and not any(key in f for f in found)):
                found.append(f"scripts/lint.d/long-functions.txt: {key} got shorter: scripts/lint --shrink")
    return found


# ---------------------------------------------------------------- Python and shell


def check_python(name: str, text: str) -> list[str]:
    if not name.endswith(".py"):
        return []
    try:
        compile(text, name, "exec")
    except SyntaxError as error:
        return [f"{name}:{error.lineno}: {error.msg}"]
    long = [n for n, line in enumerate(text.splitlines(), start=1) if len(line) > 120]
    return [f"{name}:{number}: longer than 120 columns" for number in long]


def check_privacy(name: str, text: str) -> list[str]:
    """No path of somebody's machine, no trailing blanks, a newline at the end."""
    if not name.endswith((".c", ".h", ".py", ".sh", ".md", ".yaml", ".yml", ".txt", ".cmake")):
        return []
    found = [
        f"{name}:{number}: blanks at the end of the line"
        for number, line in enumerate(text.split("\n"), start=1)
        if line.endswith((" ", "\t")) and not name.endswith(".md")
    ]
    if text and not text.endswith("\n"):
        found.append(f"{name}: no newline at the end")
    return found


def main() -> int:
    arguments = sys.argv[1:]
    shrink = "--shrink" in arguments
    named = [argument for argument in arguments if not argument.startswith("-")]
    texts = {}
    for name in sources(named):
        if is_c(name) or name.endswith((".py", ".sh", ".md", ".yaml", ".yml", ".txt", ".cmake")):
            texts[name] = (ROOT / name).read_text(encoding="utf-8", errors="replace")
    allowed = read_list("allowed-calls.txt")

    def over_all(check) -> list[str]:
        return [finding for name, text in texts.items() for finding in check(name, text)]

    checks = {
        "include direction": over_all(lambda n, t: check_includes(n, t) if is_c(n) else []),
        "banned functions": over_all(lambda n, t: check_banned(n, t, allowed)),
        "file length": over_all(
            lambda n, t: check_file_length(n, t) if is_c(n) or n.endswith((".py", ".sh")) else []
        ),
        "function length": check_functions(texts, not named, shrink),
        "Python": over_all(check_python),
        "blanks and line ends": over_all(check_privacy),
    }
    for title, findings in checks.items():
        print(f"{'FAIL' if findings else 'ok  '} {title}")
        for finding in findings[:50]:
            print(f"     {finding}")
        if len(findings) > 50:
            print(f"     … and {len(findings) - 50} more")
    failed = sum(1 for findings in checks.values() if findings)
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
