#!/usr/bin/env python3
"""The binary interface as text: every struct, member, offset, size, name, type and constant.

    golden.py --check          compares the header with the golden file (default; used by the tests)
    golden.py --write          writes abi-<major>.golden and abi_layout.c anew
    golden.py --append A B     fails unless golden text B only appends to A, struct by struct

The header is read as text, the numbers come from the compiler, so that names (which a layout check
does not see) and values (which debug information does not hold) are covered alike.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ABI = Path(__file__).resolve().parent
HEADER = ABI.parent / "include" / "sluice" / "abi.h"
# Structs that others define (Arrow) or that plugins define for themselves (handles) are not ours.
STRUCT = re.compile(r"^struct (\w+) \{\n(.*?)^\};", re.M | re.S)
ENUM = re.compile(r"enum\s*\{(.*?)\};", re.S)
DEFINE = re.compile(r"^#define (SLUICE_\w+) +(\S+)", re.M)
TYPEDEF = re.compile(r"^typedef (.*?);", re.M | re.S)


def strip_comments(text: str) -> str:
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.S)


def flat(text: str) -> str:
    text = re.sub(r"\s+", " ", text).strip()
    return re.sub(r"\s*([(),*])\s*", r"\1", text)


def members(body: str) -> list[tuple[str, str]]:
    """(name, type text) of each member, in order."""
    found = []
    for part in body.split(";"):
        part = flat(part)
        if not part:
            continue
        pointer = re.search(r"\(\*(\w+)\)\(", part)
        if pointer:
            found.append((pointer.group(1), part.replace(pointer.group(1), "", 1)))
            continue
        plain = re.fullmatch(r"(.*?)(\w+)((?:\[\w+\])*)", part)
        assert plain, f"cannot read member: {part}"
        found.append((plain.group(2), flat(plain.group(1) + plain.group(3))))
    return found


def constants(text: str) -> list[str]:
    names = []
    for body in ENUM.findall(text):
        for item in body.split(","):
            name = item.split("=")[0].strip()
            if name:
                names.append(name)
    return names


def probe(program: str, header_dir: Path) -> str:
    cc = os.environ.get("CC", "cc")
    with tempfile.TemporaryDirectory() as tmp:
        source, binary = Path(tmp) / "probe.c", Path(tmp) / "probe"
        source.write_text(program)
        subprocess.run(
            [cc, "-std=c11", f"-I{header_dir}", "-o", str(binary), str(source)], check=True
        )
        return subprocess.run([str(binary)], check=True, capture_output=True, text=True).stdout


def describe(header: Path) -> str:
    """The golden text of a header."""
    host = (header.parent / "abi_host.h").read_text()
    text = strip_comments(header.read_text().replace('#include "sluice/abi_host.h"\n', host))
    lines = ["#include <stddef.h>", "#include <stdio.h>", '#include "sluice/abi.h"', "int main(void)", "{"]

    def say(fmt: str, *args: str) -> None:
        joined = "".join(f", {a}" for a in args)
        lines.append(f'    printf("{fmt}\\n"{joined});')

    say("pointer %zu", "sizeof(void *)")
    for name, value in DEFINE.findall(text):
        if value.startswith('"'):
            say(f"define {name} %s", name)
        elif not name.endswith("_H"):
            say(f"define {name} %lld", f"(long long){name}")
    for name in constants(text):
        say(f"constant {name} %lld", f"(long long){name}")
    for body in TYPEDEF.findall(text):
        say("typedef " + flat(body).replace("%", "%%"))
    for name, body in STRUCT.findall(text):
        say(f"struct {name} size %zu align %zu", f"sizeof(struct {name})", f"_Alignof(struct {name})")
        for member, kind in members(body):
            say(
                f"member {name}.{member} offset %zu size %zu type {kind}",
                f"offsetof(struct {name}, {member})",
                f"sizeof(((struct {name} *)0)->{member})",
            )
    lines += ["    return 0;", "}"]
    return probe("\n".join(lines) + "\n", header.parent.parent)


def layout(golden: str) -> str:
    """A C file that does not compile when the layout is another."""
    out = [
        "/*",
        " * The layout of the binary interface, as assertions: written by golden.py, not by hand.",
        " * 64-bit little-endian targets alone until another one is listed here.",
        " */",
        "/* clang-format off */",
        "#include <stddef.h>",
        "",
        '#include "sluice/abi.h"',
        "",
        "#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__",
        '#error "the layout of the interface is not stated for this target"',
        "#endif",
        "",
        "#define SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type)",
        "#define AT(type, member, at, size)                                                        \\",
        "    _Static_assert(offsetof(struct type, member) == (at) &&                               \\",
        "                       sizeof(((struct type *)0)->member) == (size),                      \\",
        '                   #type "." #member)',
        "#define VALUE(name, value) _Static_assert((long long)(name) == (value), #name)",
        "",
        '_Static_assert(sizeof(void *) == 8, "64-bit pointers");',
    ]
    for line in golden.splitlines():
        word = line.split()
        if word[0] == "struct":
            out += ["", f"SIZE({word[1]}, {word[3]});"]
        elif word[0] == "member":
            struct, member = word[1].split(".")
            out.append(f"AT({struct}, {member}, {word[3]}, {word[5]});")
        elif word[0] in ("constant", "define") and re.fullmatch(r"-?\d+", word[-1]):
            out.append(f"VALUE({word[1]}, {word[2]});")
    return "\n".join(out) + "\n"


def breaks(old: str, new: str) -> list[str]:
    """What a build against the old text would not survive: anything but appending.

    Appended members lie behind the old end of their struct. Frozen structs do not grow at all.
    """
    frozen = {"sluice_bytes", "sluice_pair", "sluice_error"}
    said, size = {}, {}
    for line in new.splitlines():
        word = line.split()
        said[" ".join(word[:2])] = line
        if word[0] == "struct":
            size[word[1]] = line
    old_size, found = {}, []
    for line in old.splitlines():
        word = line.split()
        key = " ".join(word[:2])
        if word[0] == "struct":
            old_size[word[1]] = int(word[3])
            now = said.get(key, "").split()
            if not now or int(now[3]) < int(word[3]) or (word[1] in frozen and now != word):
                found.append(f"- {line}")
        elif word[0] == "define" and word[1] == "SLUICE_ABI_MINOR":
            continue
        elif said.get(key) != line:
            found.append(f"- {line}")
    old_members = {line.split()[1] for line in old.splitlines() if line.startswith("member ")}
    for line in new.splitlines():
        word = line.split()
        if word[0] == "member" and word[1] not in old_members:
            struct = word[1].split(".")[0]
            if struct in old_size and int(word[3]) < old_size[struct]:
                found.append(f"+ {line} (inside the old struct)")
    return found


def major(golden: str) -> str:
    return re.search(r"^define SLUICE_ABI_MAJOR (\d+)$", golden, re.M).group(1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--append", nargs=2, metavar=("OLD", "NEW"), type=Path)
    args = parser.parse_args()
    if args.append:
        found = breaks(args.append[0].read_text(), args.append[1].read_text())
        print("\n".join(found) if found else "appends only")
        return 1 if found else 0
    now = describe(HEADER)
    golden_file = ABI / f"abi-{major(now)}.golden"
    layout_file = ABI / "abi_layout.c"
    if args.write:
        golden_file.write_text(now)
        layout_file.write_text(layout(now))
        return 0
    old = golden_file.read_text() if golden_file.exists() else ""
    if old == now and layout_file.read_text() == layout(now):
        print(f"{golden_file.name}: {len(now.splitlines())} lines, as they were")
        return 0
    sys.stdout.writelines(
        difflib.unified_diff(old.splitlines(True), now.splitlines(True), golden_file.name, "abi.h")
    )
    found = breaks(old, now)
    print("\nThe interface changed.", end=" ")
    if found:
        print("These are breaks, not appends; each needs an entry in LEDGER.md:")
        print("\n".join(found))
    else:
        print("It only grew. Raise SLUICE_ABI_MINOR if a release has the old one, then:")
    print("run sdk/abi/golden.py --write and commit the result.")
    return 1


if __name__ == "__main__":
    sys.exit(main())
