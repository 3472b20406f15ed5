"""Change data capture of the stand-in: change tables filled from PostgreSQL's log by a capture job.

What it imitates (tds.md of Microsoft's documentation in short): operation 1 delete, 2 insert, 3 and 4 update before
and after; one start_lsn a transaction, that of its commit; a change of the key is 1 and 2; a (max) column that did not
change is NULL in 3; text, ntext and image are NULL in 1 and 3; captured later, by a job that can be stopped.
"""

from __future__ import annotations

import datetime
import struct
import threading
import time
from pathlib import Path
from typing import Any

from ..pg import PgDatabase
from ..pgoutput import UNCHANGED, Change, Decoder, Transaction
from .tsql import NotTaken, literal, quoted
from .tsqltypes import SYSTEM_TYPE_IDS, TsqlType

EPOCH = datetime.datetime(2000, 1, 1)
OLD_LOBS = ("text", "ntext", "image")


def lsn_of(position: int) -> bytes:
    """Ten bytes that sort as PostgreSQL's positions do."""
    return struct.pack(">IIH", 0x20 + (position >> 32), position & 0xFFFFFFFF, 1)


class Instance:
    """A capture instance: a change table of some columns of a table."""

    def __init__(self, name: str, stream: str, columns: list[str], types: list[TsqlType], keys: list[str]):
        self.name, self.stream, self.columns, self.types, self.keys = name, stream, columns, types, keys
        self.start = 0


class Capture:
    """The log reader of one database."""

    def __init__(self, db: PgDatabase, interval: float = 0.05):
        self.db = db
        self.interval = interval
        self.instances: list[Instance] = []
        self.stopped = threading.Event()
        self.ended = threading.Event()
        self._lock = threading.Lock()
        self._noted = 0.0
        self.keeps_lobs = True  # False: a (max) value that an update left alone is NULL in 4, too
        db.execute((Path(__file__).parent / "cdc.sql").read_text(), "CREATE PUBLICATION tds_cdc")
        self.slot = f"tds_{db.name[-12:]}"
        self.decoder = Decoder()
        db.query("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [self.slot])
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while not self.ended.wait(self.interval):
            if not self.stopped.is_set():
                self.scan()

    def end(self) -> None:
        self.ended.set()
        with self._lock:
            self.db.query("SELECT pg_drop_replication_slot(%s)", [self.slot])

    def disable_database(self) -> None:
        """As sys.sp_cdc_disable_db: schema cdc goes with all that is in it."""
        self.end()
        functions = ("fn_cdc_get_max_lsn()", "fn_cdc_get_min_lsn(text)", "fn_cdc_increment_lsn(bytea)",
                     "fn_cdc_decrement_lsn(bytea)", "fn_cdc_map_lsn_to_time(bytea)", "sysdatetimeoffset()")
        self.db.execute(
            "DELETE FROM tds.columns WHERE relid IN (SELECT oid FROM pg_class WHERE relnamespace = 'cdc'::regnamespace)"
            " OR relid = 'sys.dm_cdc_log_scan_sessions'::regclass",
            "DROP PUBLICATION tds_cdc", "DROP SCHEMA cdc CASCADE",
            "DROP VIEW sys.dm_cdc_log_scan_sessions, sys.cdc_jobs",
            "DROP TABLE tds.scans", *(f"DROP FUNCTION sys.{name} CASCADE" for name in functions),
            "DROP FUNCTION tds.lsn_add(bytea, int)", "DELETE FROM tds.settings WHERE name = 'cleanup_minutes'",
            "UPDATE tds.settings SET value = '0' WHERE name = 'is_cdc_enabled'")

    # -- instances

    def enable(self, schema: str, table: str, name: str = "", columns: str = "") -> None:
        relation = f"{quoted(schema)}.{quoted(table)}"
        name = name or f"{schema}_{table}"
        stream_instances = [one for one in self.instances if one.stream == relation]
        if len(stream_instances) == 2:
            raise NotTaken("A source table can have at most two capture instances.", 22926)
        chosen = [part.strip().strip("[]") for part in columns.split(",") if part.strip()]
        kept = self.db.query("SELECT name, type, length, precision, scale, coalesce(collated, '') FROM tds.columns"
                             " WHERE relid = %s::regclass AND tds.flag(relid, attnum, 'is_column_set') IS NULL ORDER BY"
                             " attnum", [relation])
        if not kept:
            raise NotTaken(f"Source table '{schema}.{table}' does not exist.", 22931)
        kept = [row for row in kept if not chosen or row[0] in chosen]
        keys = [key for (key,) in self.db.query(
            "SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid"
            " AND a.attnum = ANY(i.indkey) WHERE i.indrelid = %s::regclass AND i.indisprimary", [relation])]
        made = Instance(name, relation, [row[0] for row in kept], [TsqlType(*row[1:]) for row in kept], keys)
        listed = self.db.value("SELECT count(*) FROM pg_publication_tables WHERE pubname = 'tds_cdc' AND"
                               " format('\"%%s\".\"%%s\"', schemaname, tablename) = %s", [relation])
        definitions = ", ".join(f"{quoted(c)} {t.storage}" for c, t in zip(made.columns, made.types, strict=True))
        self.db.execute(
            f"ALTER TABLE {relation} REPLICA IDENTITY FULL",
            *([] if listed else [f"ALTER PUBLICATION tds_cdc ADD TABLE {relation}"]),
            f'CREATE TABLE cdc.{quoted(name + "_CT")} ("__$start_lsn" bytea NOT NULL, "__$end_lsn" bytea, "__$seqval"'
            f' bytea NOT NULL, "__$operation" int NOT NULL, "__$update_mask" bytea, {definitions},'
            ' "__$command_id" int)')
        with self._lock:  # what is committed behind the start is taken by a scan that knows the instance
            # Of no commit: one that was the last thing in the log ends right there.
            made.start = int(self.db.value("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")) + 1
            self._note(made, relation)
            self.instances.append(made)

    def _note(self, made: Instance, relation: str) -> None:
        table = literal(f"cdc.{quoted(made.name + '_CT')}") + "::regclass"
        types = [("__$start_lsn", TsqlType("binary", 10)), ("__$end_lsn", TsqlType("binary", 10)),
                 ("__$seqval", TsqlType("binary", 10)), ("__$operation", TsqlType("int")),
                 ("__$update_mask", TsqlType("varbinary", 128)), *zip(made.columns, made.types, strict=True),
                 ("__$command_id", TsqlType("int"))]
        statements = [
            f"INSERT INTO tds.columns SELECT attrelid, attnum, attname, {literal(t.name)}, {t.length}, {t.precision},"
            f" {t.scale}, {t.max_length}, {SYSTEM_TYPE_IDS[t.name]}, true, false, false, NULL, NULL, NULL,"
            f" {literal(t.collation)} FROM pg_attribute"
            f" WHERE attrelid = {table} AND attname = {literal(name)}" for name, t in types]
        statements += [
            f"INSERT INTO cdc.captured_columns VALUES ({table}::oid::int, {literal(c)}, {i + 1}, {literal(t.name)},"
            f" {i + 1})"
            for i, (c, t) in enumerate(zip(made.columns, made.types, strict=True))]
        statements += [
            f"INSERT INTO cdc.index_columns VALUES ({table}::oid::int, {literal(key)}, {i + 1}, {i + 1})"
            for i, key in enumerate(made.keys)]
        start = lsn_of(made.start).hex()
        self.db.execute(
            "INSERT INTO cdc.change_tables (object_id, source_object_id, capture_instance, start_lsn, create_date)"
            f" VALUES ({table}::oid::int, {literal(relation)}::regclass::oid::int, {literal(made.name)}, '\\x{start}',"
            " to_char(now(), 'YYYY-MM-DD HH24:MI:SS.MS'))", *statements)

    def disable(self, name: str) -> None:
        with self._lock:
            self.instances = [one for one in self.instances if one.name != name]
        self.db.execute(f"DELETE FROM cdc.change_tables WHERE capture_instance = {literal(name)}",
                        f"DROP TABLE cdc.{quoted(name + '_CT')}")

    def cleanup(self, name: str, low_water: bytes) -> None:
        """As the cleanup job: the minimum moves first, then what is below goes."""
        mark = f"'\\x{low_water.hex()}'"
        self.db.execute(f"UPDATE cdc.change_tables SET start_lsn = {mark} WHERE capture_instance = {literal(name)}"
                        f" AND start_lsn < {mark}",
                        f'DELETE FROM cdc.{quoted(name + "_CT")} WHERE "__$start_lsn" < {mark}')

    # -- the job

    def scan(self) -> None:
        """Takes all that was committed since."""
        with self._lock:
            if self.ended.is_set():
                return
            began = self._clock()
            found = self._scan()
            if found or time.monotonic() - self._noted > 0.2:  # an empty scan is not worth a row each time
                self._noted = time.monotonic()
                self.db.execute("INSERT INTO tds.scans VALUES (1, "
                                f"'{began}', '{self._clock()}', 0) ON CONFLICT (session_id) DO UPDATE SET start_time ="
                                " excluded.start_time, end_time = excluded.end_time")

    def _clock(self) -> str:
        return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]

    def _scan(self) -> int:
        found = 0
        with self.db.connect() as conn, conn.cursor() as cursor:
            cursor.execute("SELECT data FROM pg_logical_slot_get_binary_changes(%s, NULL, NULL, 'proto_version',"
                           " '1', 'publication_names', 'tds_cdc')", [self.slot], binary=True)
            for (data,) in cursor:
                done = self.decoder.feed(bytes(data))
                if done is not None:
                    self._take(done)
                    found += 1
        return found

    def _take(self, tx: Transaction) -> None:
        end = EPOCH + datetime.timedelta(microseconds=tx.time_us)
        start_lsn = lsn_of(tx.end_lsn)
        with self.db.connect(autocommit=False) as conn:
            for number, change in enumerate(tx.changes, 1):
                for instance in self.instances:
                    if instance.stream == _relation(change) and tx.end_lsn > instance.start and change.op in "IUD":
                        sequence = (tx.end_lsn << 16) - len(tx.changes) + number
                        self._write(conn, instance, change, start_lsn, sequence, number)
            stamp = end.strftime("%Y-%m-%d %H:%M:%S.") + f"{end.microsecond // 1000:03d}"
            conn.execute("INSERT INTO cdc.lsn_time_mapping VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                         [start_lsn, stamp, stamp, struct.pack(">HQ", 0, tx.xid)])

    def newest(self) -> bytes:
        """How far the job is."""
        return bytes(self.db.value("SELECT sys.fn_cdc_get_max_lsn()"))

    def heartbeat(self) -> None:
        """A row without changes, as the job writes now and then."""
        position = int(self.db.value("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))
        self.db.execute(f"INSERT INTO cdc.lsn_time_mapping VALUES ('\\x{lsn_of(position).hex()}', to_char(now(),"
                        " 'YYYY-MM-DD HH24:MI:SS.MS'), to_char(now(), 'YYYY-MM-DD HH24:MI:SS.MS'), '\\x00')"
                        " ON CONFLICT DO NOTHING")

    def _write(self, conn: Any, one: Instance, change: Change, start_lsn: bytes, sequence: int, command: int) -> None:
        old = dict(zip(change.relation.columns, change.old or [], strict=False))
        new = dict(zip(change.relation.columns, change.new or [], strict=False))
        new = {name: old.get(name) if value is UNCHANGED else value for name, value in new.items()}
        changed = [name for name in one.columns if old.get(name) != new.get(name)]
        seqval = ((0x20 << 48) * (1 << 16) + sequence).to_bytes(10, "big")
        if change.op == "U" and any(old.get(key) != new.get(key) for key in one.keys):
            rows = [(1, old, None), (2, new, None)]
        elif change.op == "U":
            rows = [(3, old, changed), (4, new, changed)]
        else:
            rows = [(2, new, None)] if change.op == "I" else [(1, old, None)]
        for operation, row, mask in rows:
            values = [self._captured(t, row.get(c), operation, c in changed)
                      for c, t in zip(one.columns, one.types, strict=True)]
            marks = ", ".join(["%s"] * (len(values) + 6))
            conn.execute(f'INSERT INTO cdc.{quoted(one.name + "_CT")} VALUES ({marks})',
                         [start_lsn, None, seqval, operation, _mask(one.columns, mask), *values, command])

    def _captured(self, t: TsqlType, value: Any, operation: int, changed: bool) -> Any:
        if operation in ((3,) if self.keeps_lobs else (3, 4)) and t.length == -1 and not changed:
            return None
        if operation in (1, 3) and t.name in OLD_LOBS:
            return None
        return value


def _relation(change: Change) -> str:
    """The quoted name of the change's table; streams are quoted where they must be."""
    parts, current, inside = [], "", False
    for ch in change.relation.stream:
        if ch == '"':
            inside = not inside
        elif ch == "." and not inside:
            parts.append(current)
            current = ""
            continue
        current += ch
    parts.append(current)
    return ".".join(part if part.startswith('"') else quoted(part) for part in parts)


def _mask(columns: list[str], changed: list[str] | None) -> bytes:
    """One bit a column, the first in the lowest bit of the last byte."""
    bits = sum(1 << i for i, name in enumerate(columns) if changed is None or name in changed)
    return bits.to_bytes((len(columns) + 7) // 8, "big")
