"""A SQL Server that costs nothing: the stand-in answers what is small, and one table's rows come from memory, encoded
before the clock runs; what is bulk loaded is read and thrown away. So the client alone is measured."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from support.tds import MssqlServer, tokens, wire
from support.tds.server import MssqlDatabase
from support.tds.session import Session
from support.tds.tokens import Column
from support.tds.tsqltypes import TsqlType, encode

_READS = re.compile(r"\s*select\s+(.*?)\s+from\s+(?:\[?dbo\]?\.)?\[?replayed\]?\s*$", re.I | re.S)
_RAW = re.compile(r"CAST\((?:CAST\()?\[(\w+)\](?: AS nvarchar\((?:max|\d+)\)\))? AS varbinary\((max|\d+)\)\)", re.I)
KEPT_BULK = 1 << 20


@dataclass
class Replay:
    """The rows of one table, `repeats` times over, for each way in which they are asked for."""

    columns: list[Column]
    rows: list[list[str | None]]
    repeats: int
    streams: dict[tuple[frozenset[str], int], bytes] = field(default_factory=dict)

    def stream(self, select: str, packet_size: int) -> bytes:
        """All packets of the answer; columns that are cast to varbinary come as the bytes of their UTF-16."""
        raw = frozenset(name for name, _size in _RAW.findall(select))
        key = (raw, packet_size)
        if key not in self.streams:
            self.streams[key] = self.encode(raw, packet_size)
        return self.streams[key]

    def encode(self, raw: frozenset[str], packet_size: int) -> bytes:
        columns, rows = [], [list(row) for row in self.rows]
        for at, column in enumerate(self.columns):
            if column.name not in raw:
                columns.append(column)
                continue
            length = -1 if column.type.length == -1 else 8000
            columns.append(Column(column.name, TsqlType("varbinary", length), column.nullable))
            for row in rows:
                text = row[at]
                row[at] = None if text is None else "\\x" + text.encode("utf-16-le").hex()
        block = b"".join(b"\xd1" + b"".join(encode(c.type, v) for c, v in zip(columns, row)) for row in rows)
        count = len(rows) * self.repeats
        body = memoryview(tokens.column_metadata(columns) + block * self.repeats + tokens.done(tokens.COUNT, count))
        room = packet_size - 8
        out = bytearray()
        for at in range(0, len(body), room):
            piece = body[at : at + room]
            out += struct.pack(">BBHHBB", wire.REPLY, int(at + room >= len(body)), len(piece) + 8, 51, 1, 0)
            out += piece
        return bytes(out)


class CannedLink(wire.Link):
    """Answers what is canned before the session sees it; a bulk load is read away, but for its beginning."""

    def __init__(self, server: CannedServer, sock):
        super().__init__(sock)
        self.server = server

    def read_message(self) -> tuple[int, bytes]:
        while True:
            head = self._take(8)
            if head[0] == wire.BULK:
                self.swallow(head)
                self.send_message(tokens.done(tokens.COUNT, self.server.bulk_rows, 0xC3))
                continue
            self._buffer[:0] = head
            kind, data = super().read_message()
            select = self.replayed(data) if kind == wire.BATCH else None
            if select is None or self.server.replay is None:
                return kind, data
            self.send_raw(self.server.replay.stream(select, self.packet_size))

    def replayed(self, data: bytes) -> str | None:
        text = data[struct.unpack("<I", data[:4])[0] :].decode("utf-16-le", "surrogatepass")
        match = _READS.fullmatch(text)
        return match[1] if match is not None else None

    def swallow(self, head: bytes) -> None:
        kept = bytearray()
        while True:
            _kind, status, length = struct.unpack(">BBH", head[:4])
            left = length - 8
            while left > 0:
                if not self._buffer:
                    self._fill()
                taken = min(left, len(self._buffer))
                if len(kept) < KEPT_BULK:
                    kept += self._buffer[:taken]
                del self._buffer[:taken]
                left -= taken
            if status & 1:
                self.server.kept_bulk = self.server.kept_bulk or bytes(kept)
                return
            head = self._take(8)


class CannedSession(Session):
    def __init__(self, server: CannedServer, sock):
        super().__init__(server, sock)
        self.link = CannedLink(server, sock)


class CannedServer(MssqlServer):
    replay: Replay | None = None
    kept_bulk = b""  # of the first bulk load since it was emptied
    bulk_rows = 0
    session_class = CannedSession

    def make_replay(self, database: MssqlDatabase, repeats: int) -> None:
        """Of the rows that table `replayed` has now."""
        with self.connect(database.name) as conn:
            cursor = conn.execute("SELECT * FROM dbo.replayed")
            result = cursor.pgresult
            assert result is not None
            rows = [[None if (v := result.get_value(i, k)) is None else v.decode() for k in range(result.nfields)]
                    for i in range(result.ntuples)]
            kept = conn.execute("SELECT name, type, length, precision, scale, is_nullable FROM tds.columns WHERE"
                " relid ="
                                " 'dbo.replayed'::regclass ORDER BY attnum").fetchall()
        self.replay = Replay([Column(name, TsqlType(*kind), nullable) for name, *kind, nullable in kept], rows, repeats)
