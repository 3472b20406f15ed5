"""T-SQL types: how they are declared, described on the wire, and written as values.

Values come as PostgreSQL's output text, since each column is kept in a type that holds it exactly (see STORAGE).
Byte layouts: MS-TDS 2.2.5.4 and 2.2.5.5.
"""

from __future__ import annotations

import datetime
import re
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass

COLLATION = bytes.fromhex("0904d00034")
# What columns may be declared with beside the database's own: five bytes of the wire (MS-TDS 2.2.5.1.2: LCID, flags,
# version, sort order), Python's codec.
COLLATIONS = {
    "sql_latin1_general_cp1_ci_as": (COLLATION, "cp1252"),
    "latin1_general_100_bin2": (bytes.fromhex("0904002200"), "cp1252"),
    "cyrillic_general_ci_as": (bytes.fromhex("1904d00000"), "cp1251"),
    "japanese_ci_as": (bytes.fromhex("1104d00000"), "cp932"),
    "latin1_general_100_ci_as_sc_utf8": (bytes.fromhex("0904d02400"), "utf-8"),
}
NULL_LENGTHS = {"short": b"\xff\xff", "plp": b"\xff" * 8, "byte": b"\0"}

# T-SQL type -> the type that PostgreSQL keeps it in. Times are texts in one form, since theirs end at microseconds.
STORAGE = {
    "bit": "smallint", "tinyint": "smallint", "smallint": "smallint", "int": "integer", "bigint": "bigint",
    "decimal": "numeric", "numeric": "numeric", "money": "numeric(19,4)", "smallmoney": "numeric(10,4)",
    "real": "real", "float": "double precision", "char": "text", "varchar": "text", "nchar": "text",
    "nvarchar": "text", "text": "text", "ntext": "text", "xml": "text", "sysname": "text", "binary": "bytea",
    "varbinary": "bytea", "image": "bytea", "uniqueidentifier": "uuid", "date": "text", "time": "text",
    "datetime": "text", "smalldatetime": "text", "datetime2": "text", "datetimeoffset": "text",
    "rowversion": "bigint", "timestamp": "bigint", "geography": "bytea",
    "geometry": "bytea", "hierarchyid": "bytea", "sql_variant": "tds.variant",
}
INTEGERS = {"tinyint": 1, "smallint": 2, "int": 4, "bigint": 8}
SYSTEM_TYPE_IDS = {
    "bit": 104, "tinyint": 48, "smallint": 52, "int": 56, "bigint": 127, "decimal": 106, "numeric": 108, "money": 60,
    "smallmoney": 122, "real": 59, "float": 62, "char": 175, "varchar": 167, "nchar": 239, "nvarchar": 231,
    "text": 35, "ntext": 99, "xml": 241, "sysname": 231, "binary": 173, "varbinary": 165, "image": 34,
    "uniqueidentifier": 36, "date": 40, "time": 41, "datetime": 61, "smalldatetime": 58, "datetime2": 42,
    "datetimeoffset": 43, "rowversion": 189, "timestamp": 189, "geography": 240,
    "geometry": 240, "hierarchyid": 240, "sql_variant": 98,
}
# CREATE TYPE … FROM: name → what it stands for, of all databases of this process.
ALIASES: dict[str, TsqlType] = {}


@dataclass(frozen=True)
class TsqlType:
    """length: characters or bytes, -1 = max. precision and scale of decimals, scale of times."""

    name: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    collation: str = ""

    @property
    def codec(self) -> str:
        """Of char, varchar and text."""
        return COLLATIONS.get(self.collation.lower(), (COLLATION, "cp1252"))[1]

    @property
    def collation_bytes(self) -> bytes:
        return COLLATIONS.get(self.collation.lower(), (COLLATION, "cp1252"))[0]

    @property
    def max_length(self) -> int:
        """As sys.columns has it, in bytes."""
        if self.name in ("char", "varchar", "binary", "varbinary"):
            return self.length
        if self.name in ("nchar", "nvarchar", "sysname"):
            return -1 if self.length == -1 else 2 * self.length
        fixed = {"bit": 1, "real": 4, "float": 8, "money": 8, "smallmoney": 4, "uniqueidentifier": 16, "date": 3,
                 "datetime": 8, "smalldatetime": 4, "rowversion": 8, "timestamp": 8, "text": 16, "ntext": 16,
                 "image": 16, "xml": -1, "geography": -1, "geometry": -1, "hierarchyid": 892,
                 "sql_variant": 8016, **INTEGERS}
        if self.name in fixed:
            return fixed[self.name]
        if self.name in ("decimal", "numeric"):
            return decimal_size(self.precision)
        return time_size(self.scale) + {"time": 0, "datetime2": 3, "datetimeoffset": 5}[self.name]

    @property
    def storage(self) -> str:
        if self.name in ("decimal", "numeric"):
            return f"numeric({self.precision},{self.scale})"
        return STORAGE[self.name]


def decimal_size(precision: int) -> int:
    return 5 if precision <= 9 else 9 if precision <= 19 else 13 if precision <= 28 else 17


def time_size(scale: int) -> int:
    return 3 if scale <= 2 else 4 if scale <= 4 else 5


def parse_type(text: str) -> TsqlType:
    """Of a declaration such as nvarchar(max) or decimal(12, 2)."""
    match = re.fullmatch(r"\s*\[?(\w+)\]?\s*(?:\(\s*(\w+)\s*(?:,\s*(\d+)\s*)?\))?\s*", text)
    name = match[1].lower().removeprefix("tds_") if match is not None else ""
    name = "int" if name == "integer" else name
    if name in ALIASES:
        return ALIASES[name]
    if match is None or name not in STORAGE:
        raise ValueError(f"type {text}")
    first, second = match[2], match[3]
    if name in ("decimal", "numeric"):
        return TsqlType(name, precision=int(first or 18), scale=int(second or 0))
    if name in ("time", "datetime2", "datetimeoffset"):
        return TsqlType(name, scale=int(first) if first is not None else 7)
    if name == "sysname":
        return TsqlType("nvarchar", 128)
    if name in ("char", "varchar", "nchar", "nvarchar", "binary", "varbinary"):
        return TsqlType(name, -1 if (first or "").lower() == "max" else int(first or 1))
    if name == "float" and first is not None and int(first) <= 24:
        return TsqlType("real")
    return TsqlType(name)


# ---- on the wire


def type_info(t: TsqlType) -> bytes:
    n = t.name
    if n in INTEGERS:
        return bytes([0x26, INTEGERS[n]])
    if n == "bit":
        return b"\x68\x01"
    if n in ("real", "float"):
        return bytes([0x6D, 4 if n == "real" else 8])
    if n in ("money", "smallmoney"):
        return bytes([0x6E, 8 if n == "money" else 4])
    if n in ("decimal", "numeric"):
        return bytes([0x6A if n == "decimal" else 0x6C, decimal_size(t.precision), t.precision, t.scale])
    if n in ("datetime", "smalldatetime"):
        return bytes([0x6F, 8 if n == "datetime" else 4])
    if n == "date":
        return b"\x28"
    if n in ("time", "datetime2", "datetimeoffset"):
        return bytes([{"time": 0x29, "datetime2": 0x2A, "datetimeoffset": 0x2B}[n], t.scale])
    if n == "uniqueidentifier":
        return b"\x24\x10"
    if n == "xml":
        return b"\xf1\x00"
    if n == "utf16":
        return b"\xa5\xff\xff"
    if n in ("text", "ntext"):
        return bytes([0x23 if n == "text" else 0x63]) + struct.pack("<I", 0x7FFFFFFF) + t.collation_bytes
    if n == "image":
        return b"\x22" + struct.pack("<I", 0x7FFFFFFF)
    if n in ("binary", "varbinary", "rowversion", "timestamp"):
        size = 8 if n in ("rowversion", "timestamp") else t.length
        return bytes([0xA5 if n == "varbinary" else 0xAD]) + struct.pack("<H", size & 0xFFFF)
    wide = n in ("nchar", "nvarchar", "sysname")
    code = {"char": 0xAF, "varchar": 0xA7, "nchar": 0xEF, "nvarchar": 0xE7, "sysname": 0xE7}[n]
    size = 0xFFFF if t.length == -1 else t.length * (2 if wide else 1)
    return bytes([code]) + struct.pack("<H", size) + t.collation_bytes


def is_plp(t: TsqlType) -> bool:
    return t.length == -1 or t.name == "xml"


def null_value(t: TsqlType) -> bytes:
    if is_plp(t):
        return NULL_LENGTHS["plp"]
    if t.name in ("char", "varchar", "nchar", "nvarchar", "sysname", "binary", "varbinary", "rowversion", "timestamp"):
        return NULL_LENGTHS["short"]
    return NULL_LENGTHS["byte"]


def ticks_of(text: str, scale: int) -> int:
    """HH:MM:SS[.fffffff] in units of 10^-scale seconds."""
    clock, _, fraction = text.partition(".")
    hours, minutes, seconds = (int(part) for part in clock.split(":"))
    units = (hours * 60 + minutes) * 60 + seconds
    return units * 10**scale + int((fraction + "0000000")[:scale] or 0)


def days_of(text: str) -> int:
    return datetime.date.fromisoformat(text).toordinal() - 1


def units_of(text: str, scale: int) -> int:
    """A decimal number in units of 10^-scale, whatever its digits."""
    whole, _, fraction = text.lstrip("-").partition(".")
    units = int(whole + (fraction + "0" * scale)[:scale])
    return -units if text.startswith("-") else units


def encode_time(t: TsqlType, text: str) -> bytes:
    if t.name == "date":
        return days_of(text).to_bytes(3, "little")
    if t.name == "time":
        return ticks_of(text, t.scale).to_bytes(time_size(t.scale), "little")
    day, clock, *rest = text.split(" ")
    if t.name == "datetime2":
        return ticks_of(clock, t.scale).to_bytes(time_size(t.scale), "little") + days_of(day).to_bytes(3, "little")
    if t.name == "datetimeoffset":
        sign = -1 if rest[0][0] == "-" else 1
        offset = sign * (int(rest[0][1:3]) * 60 + int(rest[0][4:6]))
        whole = days_of(day) * 86400 * 10**t.scale + ticks_of(clock, t.scale) - offset * 60 * 10**t.scale
        days, ticks = divmod(whole, 86400 * 10**t.scale)
        return (ticks.to_bytes(time_size(t.scale), "little") + days.to_bytes(3, "little")
                + struct.pack("<h", offset))
    days = days_of(day) - days_of("1900-01-01")
    if t.name == "smalldatetime":
        return struct.pack("<HH", days, ticks_of(clock, 0) // 60)
    return struct.pack("<iI", days, (ticks_of(clock, 3) * 300 + 500) // 1000)


def encode_bytes(t: TsqlType, text: str) -> bytes:
    """Of strings and binaries: what goes behind the length."""
    if t.name in ("binary", "varbinary", "image"):
        return bytes.fromhex(text[2:])
    if t.name in ("rowversion", "timestamp"):
        return int(text).to_bytes(8, "big")
    if t.name in ("char", "varchar", "text"):
        return text.encode(t.codec, "replace")
    return text.encode("utf-16-le", "surrogatepass")


def encode(t: TsqlType, text: str | None) -> bytes:
    """A value with its length, as ROW has it."""
    n = t.name
    if text is None:
        return null_value(t)
    if n in INTEGERS or n == "bit":
        size = INTEGERS.get(n, 1)
        return bytes([size]) + int(text).to_bytes(size, "little", signed=n not in ("tinyint", "bit"))
    if n in ("real", "float"):
        return struct.pack("<Bf" if n == "real" else "<Bd", 4 if n == "real" else 8, float(text))
    if n in ("money", "smallmoney"):
        units = units_of(text, 4)
        if n == "smallmoney":
            return struct.pack("<Bi", 4, units)
        return struct.pack("<BiI", 8, units >> 32, units & 0xFFFFFFFF)
    if n in ("decimal", "numeric"):
        units = units_of(text, t.scale)
        size = decimal_size(t.precision)
        return bytes([size, units >= 0]) + abs(units).to_bytes(size - 1, "little")
    if n == "uniqueidentifier":
        return b"\x10" + uuid.UUID(text).bytes_le
    if n in ("date", "time", "datetime2", "datetimeoffset", "datetime", "smalldatetime"):
        data = encode_time(t, text)
        return bytes([len(data)]) + data
    data = encode_bytes(t, text)
    if n in ("text", "ntext", "image"):
        return b"\x10" + b"\1" * 16 + b"\0" * 8 + struct.pack("<I", len(data)) + data
    if is_plp(t):
        chunks = b"".join(struct.pack("<I", len(data[i : i + 8000])) + data[i : i + 8000]
                          for i in range(0, len(data), 8000))
        return struct.pack("<Q", len(data)) + chunks + b"\0\0\0\0"
    return struct.pack("<H", len(data)) + data


def encoder(t: TsqlType) -> Callable[[str], bytes]:
    """encode() of one type, for many rows."""
    if t.name in ("smallint", "int", "bigint"):
        size = INTEGERS[t.name]
        head = bytes([size])
        return lambda text: head + int(text).to_bytes(size, "little", signed=True)
    if t.name in ("nvarchar", "varchar") and t.length >= 0:
        codec = "utf-16-le" if t.name == "nvarchar" else t.codec

        def string(text: str) -> bytes:
            data = text.encode(codec, "surrogatepass" if codec == "utf-16-le" else "replace")
            return len(data).to_bytes(2, "little") + data

        return string
    return lambda text: encode(t, text)
