"""Tokens of a reply (MS-TDS 2.2.7)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .tsqltypes import COLLATION, TsqlType, encode, type_info

MORE, ERROR, IN_TRANSACTION, COUNT, ATTENTION = 1, 2, 4, 0x10, 0x20
SERVER = "STANDIN"


@dataclass(frozen=True)
class Column:
    name: str
    type: TsqlType
    nullable: bool = True
    identity: bool = False
    computed: bool = False


def b_varchar(text: str) -> bytes:
    return bytes([len(text.encode("utf-16-le")) // 2]) + text.encode("utf-16-le")


def us_varchar(text: str) -> bytes:
    data = text.encode("utf-16-le")
    return struct.pack("<H", len(data) // 2) + data


def done(status: int = 0, rows: int = 0, command: int = 0xC1, token: int = 0xFD) -> bytes:
    return struct.pack("<BHHQ", token, status, command, rows)


def message(number: int, text: str, severity: int, state: int = 1, line: int = 1) -> bytes:
    """ERROR, or INFO up to severity 10."""
    body = (
        struct.pack("<iBB", number, state, severity)
        + us_varchar(text)
        + b_varchar(SERVER)
        + b_varchar("")
        + struct.pack("<i", line)
    )
    return struct.pack("<BH", 0xAA if severity > 10 else 0xAB, len(body)) + body


def env_change(kind: int, new: bytes, old: bytes) -> bytes:
    body = bytes([kind]) + new + old
    return struct.pack("<BH", 0xE3, len(body)) + body


def env_text(kind: int, new: str, old: str = "") -> bytes:
    return env_change(kind, b_varchar(new), b_varchar(old))


def login_reply(database: str, packet_size: int, version: str = "74000004") -> bytes:
    """version: of TDS, as LOGINACK has it."""
    name = "Microsoft SQL Server (stand-in)"
    ack = struct.pack("<B", 1) + bytes.fromhex(version) + b_varchar(name) + bytes([16, 0, 3, 232])
    return (
        env_text(1, database, "master")
        + message(5701, f"Changed database context to '{database}'.", 0, 2)
        + env_change(7, bytes([len(COLLATION)]) + COLLATION, b"\0")
        + env_text(2, "us_english")
        + message(5703, "Changed language setting to us_english.", 0)
        + struct.pack("<BH", 0xAD, len(ack))
        + ack
        + env_text(4, str(packet_size), "4096")
        + done()
    )


def column_metadata(columns: list[Column]) -> bytes:
    out = struct.pack("<BH", 0x81, len(columns))
    for column in columns:
        usertype = 80 if column.type.name in ("rowversion", "timestamp") else 0
        flags = (1 if column.nullable else 0) | (0x10 if column.identity else 0x20 if column.computed else 8)
        out += struct.pack("<IH", usertype, flags) + type_info(column.type)
        if column.type.name in ("text", "ntext", "image"):
            out += b"\x01" + us_varchar("t")
        out += b_varchar(column.name)
    return out


def null_row(encoders: list[Callable[[str], bytes]], values: Sequence[bytes | None]) -> bytes:
    """NBCROW: a row of which many values are NULL."""
    bitmap = bytearray((len(values) + 7) // 8)
    for i, value in enumerate(values):
        if value is None:
            bitmap[i >> 3] |= 1 << (i & 7)
    return (
        b"\xd2"
        + bytes(bitmap)
        + b"".join(encoders[i](value.decode()) for i, value in enumerate(values) if value is not None)
    )


def return_value(ordinal: int, name: str, t: TsqlType, text: str | None) -> bytes:
    """An OUTPUT parameter."""
    if t.name in ("text", "ntext", "image"):
        t = TsqlType({"text": "varchar", "ntext": "nvarchar", "image": "varbinary"}[t.name], -1)
    named = b_varchar("@" + name if name else "")
    return (
        struct.pack("<BH", 0xAC, ordinal) + named + b"\x01" + struct.pack("<IH", 0, 9) + type_info(t) + encode(t, text)
    )
