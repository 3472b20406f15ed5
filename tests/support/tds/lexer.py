"""Words of T-SQL."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"(?P<space>\s+|--[^\n]*|/\*.*?\*/)"
    r"|(?P<string>[Nn]?'(?:[^']|'')*')"
    r"|(?P<name>\[(?:[^\]]|\]\])*\]|\"(?:[^\"]|\"\")*\"|\#{1,2}[\w$#@]+)"
    r"|(?P<hex>0[xX][0-9a-fA-F]*)"
    r"|(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|(?P<variable>@{1,2}[\w$#@]+)"
    r"|(?P<word>[^\W\d][\w$#@]*)"
    r"|(?P<sign><>|<=|>=|!=|!<|!>|[-+*/%&|^]=|::|.)", re.S)


@dataclass(frozen=True)
class Token:
    """kind: string, name (quoted, or of a temporary table), hex, number, variable, word, sign."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def upper(self) -> str:
        """Of words and signs; of others nothing that a keyword is."""
        return self.text.upper() if self.kind in ("word", "sign", "variable") else ""

    @property
    def value(self) -> str:
        """What a name names, what a string says."""
        if self.kind == "string":
            return self.text[self.text.index("'") + 1 : -1].replace("''", "'")
        if self.kind == "name" and self.text[0] == "[":
            return self.text[1:-1].replace("]]", "]")
        if self.kind == "name" and self.text[0] == '"':
            return self.text[1:-1].replace('""', '"')
        return self.text


def lex(text: str) -> list[Token]:
    out = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        assert kind is not None
        if kind != "space":
            out.append(Token(kind, match[0], match.start(), match.end()))
    return out
