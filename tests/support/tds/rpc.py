"""RPC requests (MS-TDS 2.2.6.6): which procedure, and its parameters as T-SQL literals."""

from __future__ import annotations

import re
from dataclasses import dataclass

from . import bulk
from .tsql import NotTaken, literal

PROCEDURES = {10: "sp_executesql", 11: "sp_prepare", 12: "sp_execute", 13: "sp_prepexec", 15: "sp_unprepare"}


@dataclass
class Parameter:
    name: str
    output: bool
    text: str | None  # as PostgreSQL takes it
    literal: str  # as T-SQL


@dataclass
class Request:
    name: str
    parameters: list[Parameter]


def read(data: bytes) -> Request:
    cursor = bulk.Cursor(data)
    size = cursor.number("H")
    if size == 0xFFFF:
        number = cursor.number("H")
        name = PROCEDURES.get(number, f"procedure {number}")
    else:
        name = cursor.take(2 * size).decode("utf-16-le")
    cursor.take(2)  # options
    parameters = []
    while not cursor.ended and cursor.data[cursor.at] < 0x80:
        own = cursor.take(2 * cursor.number("B")).decode("utf-16-le")
        output = bool(cursor.number("B") & 1)
        kind, code, length = bulk.read_type(cursor)
        if code == 0x63:  # a parameter of ntext has no text pointer
            size = cursor.number("I")
            raw = None if size == 0xFFFFFFFF else cursor.take(size)
        else:
            raw = bulk.read_bytes(cursor, bulk.BulkColumn(own, kind, code, length))
        text = None if raw is None else bulk.text_of(kind, raw)
        parameters.append(Parameter(own, output, text, _literal(kind.name, text)))
    return Request(name.removeprefix("sys.").lower(), parameters)


def _literal(kind: str, text: str | None) -> str:
    if text is None:
        return "NULL"
    if kind in ("binary", "varbinary", "image"):
        return "0x" + text.removeprefix("\\x")
    if kind in ("bit", "tinyint", "smallint", "int", "bigint", "decimal", "money", "smallmoney", "real", "float"):
        return text
    return ("N" if kind.startswith("n") else "") + literal(text)


def statement(request: Request) -> str:
    """The batch that sp_executesql stands for, its parameters put in."""
    if request.name != "sp_executesql" or not request.parameters:
        raise NotTaken(f"Could not find stored procedure '{request.name}'.", 2812)
    sql, declared = request.parameters[0].text or "", ""
    if len(request.parameters) > 1:
        declared = request.parameters[1].text or ""
    names = re.findall(r"@(\w+)\s", declared + " ")
    values = {}
    for number, parameter in enumerate(request.parameters[2:]):
        name = parameter.name.lstrip("@") or (names[number] if number < len(names) else "")
        values[name.lower()] = parameter.literal
    return re.sub(r"@(\w+)", lambda match: values.get(match[1].lower(), match[0]), sql)
