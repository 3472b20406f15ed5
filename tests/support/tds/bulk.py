"""Bulk load: COLMETADATA and ROW tokens of a client, as texts that PostgreSQL takes (MS-TDS 2.2.6.1)."""

from __future__ import annotations

import datetime
import select
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from psycopg import pq

from .errors import ServerError
from .tsqltypes import TsqlType, time_size

if TYPE_CHECKING:
    from .ddl import Table
    from .engine import Engine

Take = Callable[[bytes, int], tuple["str | None", int]]

INT_NAMES = {1: "tinyint", 2: "smallint", 4: "int", 8: "bigint"}


class Cursor:
    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        out = self.data[self.at : self.at + size]
        if len(out) != size:
            raise ValueError("the stream ends within a value")
        self.at += size
        return out

    def number(self, form: str) -> int:
        return struct.unpack("<" + form, self.take(struct.calcsize(form)))[0]

    @property
    def ended(self) -> bool:
        return self.at >= len(self.data)


@dataclass
class BulkColumn:
    name: str
    type: TsqlType
    code: int
    size: int


def read_columns(cursor: Cursor) -> list[BulkColumn]:
    if cursor.number("B") != 0x81:
        raise ValueError("no column metadata")
    out = []
    for _ in range(cursor.number("H")):
        cursor.take(6)  # user type, flags
        kind, code, size = read_type(cursor)
        if code in (0x22, 0x23, 0x63):
            cursor.take(2 * cursor.number("H"))  # the table's name
        name = cursor.take(2 * cursor.number("B")).decode("utf-16-le")
        out.append(BulkColumn(name, kind, code, size))
    return out


def read_type(cursor: Cursor) -> tuple[TsqlType, int, int]:
    code = cursor.number("B")
    fixed = {
        0x30: ("tinyint", 1),
        0x32: ("bit", 1),
        0x34: ("smallint", 2),
        0x38: ("int", 4),
        0x7F: ("bigint", 8),
        0x3B: ("real", 4),
        0x3E: ("float", 8),
        0x3C: ("money", 8),
        0x7A: ("smallmoney", 4),
        0x3D: ("datetime", 8),
        0x3A: ("smalldatetime", 4),
    }
    if code in fixed:
        name, size = fixed[code]
        return TsqlType(name), code, size
    if code in (0x26, 0x68, 0x6D, 0x6E, 0x6F, 0x24):
        size = cursor.number("B")
        name = {
            0x26: INT_NAMES.get(size, "int"),
            0x68: "bit",
            0x6D: "real" if size == 4 else "float",
            0x6E: "money" if size == 8 else "smallmoney",
            0x6F: "datetime" if size == 8 else "smalldatetime",
            0x24: "uniqueidentifier",
        }[code]
        return TsqlType(name), code, size
    if code in (0x6A, 0x6C):
        size = cursor.number("B")
        precision, scale = cursor.number("B"), cursor.number("B")
        return TsqlType("decimal", precision=precision, scale=scale), code, size
    if code == 0x28:
        return TsqlType("date"), code, 3
    if code in (0x29, 0x2A, 0x2B):
        scale = cursor.number("B")
        return TsqlType({0x29: "time", 0x2A: "datetime2", 0x2B: "datetimeoffset"}[code], scale=scale), code, 0
    if code in (0x22, 0x23, 0x63):
        size = cursor.number("I")
        if code != 0x22:
            cursor.take(5)
        return TsqlType({0x22: "image", 0x23: "text", 0x63: "ntext"}[code]), code, size
    if code in (0xAF, 0xA7, 0xEF, 0xE7, 0xAD, 0xA5):
        size = cursor.number("H")
        if code not in (0xAD, 0xA5):
            cursor.take(5)
        name = {0xAF: "char", 0xA7: "varchar", 0xEF: "nchar", 0xE7: "nvarchar", 0xAD: "binary", 0xA5: "varbinary"}[
            code
        ]
        return TsqlType(name, -1 if size == 0xFFFF else size // (2 if name[0] == "n" else 1)), code, size
    raise ValueError(f"type 0x{code:02x} is not taken")


def read_bytes(cursor: Cursor, column: BulkColumn) -> bytes | None:
    code = column.code
    if code in (0x30, 0x32, 0x34, 0x38, 0x7F, 0x3B, 0x3E, 0x3C, 0x7A, 0x3D, 0x3A):
        return cursor.take(column.size)
    if code in (0x22, 0x23, 0x63):
        pointer = cursor.number("B")
        if pointer == 0:
            return None
        cursor.take(pointer + 8)
        return cursor.take(cursor.number("I"))
    if code in (0xAF, 0xA7, 0xEF, 0xE7, 0xAD, 0xA5):
        if column.size == 0xFFFF:
            if cursor.number("Q") == 0xFFFFFFFFFFFFFFFF:
                return None
            out = b""
            while size := cursor.number("I"):
                out += cursor.take(size)
            return out
        size = cursor.number("H")
        return None if size == 0xFFFF else cursor.take(size)
    size = cursor.number("B")
    return None if size == 0 else cursor.take(size)


def clock(units: int, scale: int) -> str:
    seconds, fraction = divmod(units, 10**scale)
    text = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return text + (f".{fraction:0{scale}d}" if scale else "")


def day(days: int) -> str:
    return datetime.date.fromordinal(days + 1).isoformat()


def text_of(t: TsqlType, data: bytes) -> str:
    n = t.name
    if n in INT_NAMES.values() or n == "bit":
        return str(int.from_bytes(data, "little", signed=n not in ("tinyint", "bit")))
    if n in ("real", "float"):
        return repr(struct.unpack("<f" if n == "real" else "<d", data)[0])
    if n in ("money", "smallmoney"):
        units = (
            struct.unpack("<i", data)[0]
            if n == "smallmoney"
            else (struct.unpack("<i", data[:4])[0] << 32 | struct.unpack("<I", data[4:])[0])
        )
        return f"{'-' if units < 0 else ''}{abs(units) // 10000}.{abs(units) % 10000:04d}"
    if n == "decimal":
        units = str(int.from_bytes(data[1:], "little")).rjust(t.scale + 1, "0")
        whole = units[: len(units) - t.scale] + ("." + units[len(units) - t.scale :] if t.scale else "")
        return ("" if data[0] else "-") + whole
    if n == "uniqueidentifier":
        return str(uuid.UUID(bytes_le=data))
    if n == "date":
        return day(int.from_bytes(data, "little"))
    if n == "time":
        return clock(int.from_bytes(data, "little"), t.scale)
    if n == "datetime2":
        return day(int.from_bytes(data[-3:], "little")) + " " + clock(int.from_bytes(data[:-3], "little"), t.scale)
    if n == "datetimeoffset":
        offset = struct.unpack("<h", data[-2:])[0]
        units = (int.from_bytes(data[-5:-2], "little") * 86400 + offset * 60) * 10**t.scale
        days, rest = divmod(units + int.from_bytes(data[:-5], "little"), 86400 * 10**t.scale)
        zone = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"
        return f"{day(days)} {clock(rest, t.scale)} {zone}"
    if n == "datetime":
        days, parts = struct.unpack("<iI", data)
        return day(days + 693595) + " " + clock((parts * 10 + 1) // 3, 3)
    if n == "smalldatetime":
        days, minutes = struct.unpack("<HH", data)
        return day(days + 693595) + " " + clock(minutes * 60, 0)
    if n in ("binary", "varbinary", "image"):
        return "\\x" + data.hex()
    return data.decode(t.codec if n in ("char", "varchar", "text") else "utf-16-le")


# ---- rows


def taker(column: BulkColumn, scale: int | None) -> Take:
    """Reads one value at a place of the stream: its text and the place behind it. Rows are many: the usual types have
    readers of their own. scale: what the table keeps of a time."""
    code, name = column.code, column.type.name
    if name in INT_NAMES.values() and code == 0x26:
        signed = name != "tinyint"

        def integer(data: bytes, at: int) -> tuple[str | None, int]:
            size = data[at]
            end = at + 1 + size
            return (str(int.from_bytes(data[at + 1 : end], "little", signed=signed)) if size else None), end

        return integer
    if code in (0xE7, 0xEF, 0xA7, 0xAF) and column.size != 0xFFFF:
        codec = "utf-16-le" if code in (0xE7, 0xEF) else column.type.codec

        def text(data: bytes, at: int) -> tuple[str | None, int]:
            size = data[at] | data[at + 1] << 8
            if size == 0xFFFF:
                return None, at + 2
            end = at + 2 + size
            if end > len(data):
                raise ValueError("the stream ends within a value")
            return escaped(data[at + 2 : end].decode(codec)), end

        return text
    kind = column.type

    def any_other(data: bytes, at: int) -> tuple[str | None, int]:
        cursor = Cursor(data)
        cursor.at = at
        raw = read_bytes(cursor, column)
        if raw is None:
            return None, cursor.at
        if scale is not None and scale < kind.scale and name in ("time", "datetime2", "datetimeoffset"):
            raw = rounded(kind, raw, scale)
            return text_of(TsqlType(name, scale=scale), raw), cursor.at
        return escaped(text_of(kind, raw)), cursor.at

    return any_other


def rounded(t: TsqlType, raw: bytes, scale: int) -> bytes:
    """A time in fewer digits, half up; a day more where it must be."""
    tail = {"time": 0, "datetime2": 3, "datetimeoffset": 5}[t.name]
    units = int.from_bytes(raw[: len(raw) - tail], "little")
    step = 10 ** (t.scale - scale)
    units = (units + step // 2) // step
    rest = raw[len(raw) - tail :]
    if units >= 86400 * 10**scale:
        if t.name == "time":
            units = 0
        else:
            units -= 86400 * 10**scale
            rest = (int.from_bytes(rest[:3], "little") + 1).to_bytes(3, "little") + rest[3:]
    return units.to_bytes(time_size(scale), "little") + rest


def escaped(text: str) -> str:
    """As COPY has it."""
    if "\\" in text or "\n" in text or "\t" in text or "\r" in text:
        return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return text


def read_rows(cursor: Cursor, takers: list[Take]) -> list[list[str | None]]:
    data, at, end = cursor.data, cursor.at, len(cursor.data)
    rows = []
    while at < end:
        token = data[at]
        at += 1
        if token == 0xD1:
            row = []
            for take in takers:
                value, at = take(data, at)
                row.append(value)
            if at > end:
                raise ValueError("the stream ends within a row")
            rows.append(row)
        elif token == 0xFD:  # DONE, which not all clients send
            break
        else:
            raise ValueError(f"token 0x{token:02x} in a bulk load")
    return rows


def load(engine: Engine, target: tuple[Table, list[str], set[str]], data: bytes) -> int:
    """All rows of the message or none of them; in the transaction that is open, or in one of its own."""
    table, names, options = target
    cursor = Cursor(data)
    columns = read_columns(cursor)
    kept = {
        row[0]: row
        for row in engine.values(
            "SELECT c.name, c.type, c.scale, c.is_identity, pg_get_expr(d.adbin, d.adrelid), c.collated FROM"
            " tds.columns c LEFT JOIN pg_attrdef d"
            " ON d.adrelid = c.relid AND d.adnum = c.attnum AND NOT c.is_computed AND c.default_definition IS NOT NULL"
            " WHERE c.relid = to_regclass($1)",
            [table.sql],
        )
    }
    for column in columns:
        if column.name not in kept:
            raise ServerError(f"Invalid column name '{column.name}'.", 207, 16, 1)
        if kept[column.name][3] == "t" and engine.identity_insert != table:
            raise ServerError(
                f"Cannot insert explicit value for identity column in table '{table.name}' when IDENTITY_INSERT is"
                " set to OFF.",
                544,
                16,
                1,
                "",
            )
        column.type = replace(column.type, collation=kept[column.name][5] or "")
    rows = read_rows(cursor, [taker(c, int(kept[c.name][2] or 0)) for c in columns])
    if "KEEP_NULLS" not in options:
        for place, column in enumerate(columns):
            if kept[column.name][4] is not None:
                _defaults(engine, rows, place, kept[column.name][4] or "")
    listed = ", ".join('"' + column.name.replace('"', '""') + '"' for column in columns)
    loose = "CHECK_CONSTRAINTS" not in options

    def work() -> None:
        if loose:
            engine.ask("SET LOCAL session_replication_role = replica; SET LOCAL tds.unchecked = '1'")
        engine.ask(f"COPY {table.sql} ({listed}) FROM STDIN", verb="INSERT")
        _copy(engine, rows)
        if loose:
            engine.ask("SET LOCAL session_replication_role = origin; SET LOCAL tds.unchecked = '0'")

    engine.all_of(work)
    return len(rows)


def _defaults(engine: Engine, rows: list[list[str | None]], place: int, default: str) -> None:
    without = [row for row in rows if row[place] is None]
    if without:
        made = engine.values(f"SELECT {default} FROM generate_series(1, {len(without)})")
        for row, (value,) in zip(without, made, strict=True):
            row[place] = None if value is None else escaped(value)


def _copy(engine: Engine, rows: list[list[str | None]]) -> None:
    conn = engine.pg.pgconn
    for begun in range(0, len(rows), 2000):
        text = "".join(
            "\t".join(["\\N" if v is None else v for v in row]) + "\n" for row in rows[begun : begun + 2000]
        )
        while not conn.put_copy_data(text.encode()):
            _drain(conn)
        while conn.flush():
            _drain(conn)
    while not conn.put_copy_end():
        _drain(conn)
    result = engine.wait()
    if result is not None and result.status == pq.ExecStatus.FATAL_ERROR:
        raise engine.failure(result, "INSERT")


def _drain(conn: pq.abc.PGconn) -> None:
    if conn.socket in select.select([conn.socket], [conn.socket], [])[0]:
        conn.consume_input()
