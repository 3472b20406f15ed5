"""RPC requests (MS-TDS 2.2.6.6): which procedures, and their parameters as values with types."""

from __future__ import annotations

from dataclasses import dataclass, field

from . import bulk
from .procedures import Argument

PROCEDURES = {10: "sp_executesql", 11: "sp_prepare", 12: "sp_execute", 13: "sp_prepexec", 15: "sp_unprepare"}


@dataclass
class Request:
    name: str
    parameters: list[Argument] = field(default_factory=list)
    outputs: list[bool] = field(default_factory=list)


def read(data: bytes) -> list[Request]:
    cursor = bulk.Cursor(data)
    out = []
    while not cursor.ended:
        out.append(_request(cursor))
        if not cursor.ended:
            cursor.take(1)  # what parts requests
    return out


def _request(cursor: bulk.Cursor) -> Request:
    size = cursor.number("H")
    if size == 0xFFFF:
        number = cursor.number("H")
        name = PROCEDURES.get(number, f"procedure {number}")
    else:
        name = cursor.take(2 * size).decode("utf-16-le")
    cursor.take(2)  # options
    request = Request(name.replace("[", "").replace("]", "").rpartition(".")[2].lower())
    while not cursor.ended and cursor.data[cursor.at] not in (0x80, 0xFF, 0xFE):
        own = cursor.take(2 * cursor.number("B")).decode("utf-16-le")
        request.outputs.append(bool(cursor.number("B") & 1))
        kind, code, length = bulk.read_type(cursor)
        if code in (0x22, 0x23, 0x63):  # a parameter of these has no text pointer
            size = cursor.number("I")
            raw = None if size == 0xFFFFFFFF else cursor.take(size)
        else:
            raw = bulk.read_bytes(cursor, bulk.BulkColumn(own, kind, code, length))
        text = None if raw is None else bulk.text_of(kind, raw)
        request.parameters.append(Argument(own.lstrip("@").lower(), text, kind))
    return request
