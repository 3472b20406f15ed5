"""pgoutput (protocol 1) taken apart in Python: what a second slot saw, to compare with.

    oracle = Oracle(db); …; for tx in oracle.transactions(): …

Written from the message formats of PostgreSQL's documentation; shares nothing with the engine.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from .lake import stream_name
from .pg import PgDatabase

UNCHANGED = object()


@dataclass
class Relation:
    oid: int
    stream: str
    identity: str
    columns: list[str]
    keys: list[bool]


@dataclass
class Change:
    """One row of the tuple stream; cells are text, None for NULL, UNCHANGED."""

    op: str  # I U D T
    seq: int
    relation: Relation
    old_kind: str = ""  # K O or nothing
    old: list | None = None
    new: list | None = None


@dataclass
class Transaction:
    xid: int
    commit_lsn: int = 0
    end_lsn: int = 0
    time_us: int = 0  # since 2000-01-01
    changes: list[Change] = field(default_factory=list)

    @property
    def pos(self) -> str:
        return f"{self.end_lsn:016x}"

    @property
    def early_pos(self) -> str:
        """The position of rows that were handed over before their commit was known."""
        return f"{self.commit_lsn + 1:016x}"


class _Cursor:
    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, form: str) -> tuple:
        out = struct.unpack_from("!" + form, self.data, self.at)
        self.at += struct.calcsize("!" + form)
        return out

    def char(self) -> str:
        return chr(self.take("B")[0])

    def text(self) -> str:
        end = self.data.index(b"\0", self.at)
        out = self.data[self.at : end].decode()
        self.at = end + 1
        return out

    def row(self) -> list:
        out: list = []
        for _ in range(self.take("h")[0]):
            kind = self.char()
            if kind == "n":
                out.append(None)
            elif kind == "u":
                out.append(UNCHANGED)
            elif kind == "t":
                size = self.take("i")[0]
                out.append(self.data[self.at : self.at + size].decode())
                self.at += size
            else:
                raise AssertionError(f"kind {kind!r}")
        return out


class Decoder:
    """Messages in, whole transactions out."""

    def __init__(self) -> None:
        self.relations: dict[int, Relation] = {}
        self._open: Transaction | None = None

    def feed(self, data: bytes) -> Transaction | None:
        cursor = _Cursor(data)
        kind = cursor.char()
        if kind == "B":
            _lsn, _time, xid = cursor.take("qqi")
            self._open = Transaction(xid)
        elif kind == "C":
            done, self._open = self._open, None
            assert done is not None
            _flags, done.commit_lsn, done.end_lsn, done.time_us = cursor.take("Bqqq")
            return done
        elif kind == "R":
            self._relation(cursor)
        elif kind in "IUD":
            self._change(kind, cursor)
        elif kind == "T":
            count, _options = cursor.take("iB")
            assert self._open is not None
            seq = len({change.seq for change in self._open.changes}) + 1
            for oid in cursor.take(f"{count}I"):
                self._open.changes.append(Change("T", seq, self.relations[oid]))
        elif kind not in "YOM":
            raise AssertionError(f"message {kind!r}")
        return None

    def _relation(self, cursor: _Cursor) -> None:
        (oid,) = cursor.take("I")
        schema, name, identity = cursor.text(), cursor.text(), cursor.char()
        columns, keys = [], []
        for _ in range(cursor.take("h")[0]):
            keys.append(bool(cursor.take("B")[0]))
            columns.append(cursor.text())
            cursor.take("Ii")
        self.relations[oid] = Relation(oid, stream_name(schema, name), identity, columns, keys)

    def _change(self, kind: str, cursor: _Cursor) -> None:
        assert self._open is not None
        relation = self.relations[cursor.take("I")[0]]
        seq = len({change.seq for change in self._open.changes}) + 1
        change = Change(kind, seq, relation)
        mark = cursor.char()
        if mark in "KO":
            change.old_kind, change.old = mark, cursor.row()
            mark = cursor.char() if kind == "U" else ""
        if mark == "N":
            change.new = cursor.row()
        self._open.changes.append(change)


class Oracle:
    """A slot of its own beside the engine's, read by SQL."""

    def __init__(self, db: PgDatabase, publication: str, slot: str = "", create: bool = True):
        self.db, self.publication, self.slot = db, publication, slot or f"oracle_{db.name}"
        self.decoder = Decoder()
        if create:
            db.query("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [self.slot])

    def transactions(self) -> Iterator[Transaction]:
        """All that was committed since the last call."""
        with self.db.connect() as conn, conn.cursor() as cursor:
            conn.execute("SELECT pg_switch_wal()")  # flushes what synchronous_commit=off has left
            cursor.execute(
                "SELECT data FROM pg_logical_slot_get_binary_changes(%s, NULL, NULL, 'proto_version', '1',"
                " 'publication_names', %s)", [self.slot, f'"{self.publication}"'], binary=True,
            )
            for (data,) in cursor:
                done = self.decoder.feed(bytes(data))
                if done is not None:
                    yield done

    def drop(self) -> None:
        self.db.query("SELECT pg_drop_replication_slot(%s)", [self.slot])
