"""A pipeline into a PostgreSQL database under test, and both ends compared row by row.

    replica = Replica(engine, source, target)        # a Pipe whose sink `copy` is the target
    run = replica.start(); …; replica.once()
    score.took(replica.compare_tables(load.STREAMS))

Rows are compared as row_to_json text that both servers print, all columns of the source's table.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import psycopg

from . import load, sluice
from .changes import Totals, shown
from .lake import LakeError
from .pg import PgDatabase
from .pipe import Pipe
from .score import Score


def pg_sink(target: PgDatabase, write: Mapping[str, Any] | None = None, more: Mapping[str, Any] | None = None,
            **config: Any) -> dict[str, Any]:
    """A sink `postgres`; write: its `write:`, more: other keys beside `config`."""
    sink = {"plugin": "postgres", "config": {**target.config(), **config}, **(more or {})}
    if write:
        sink["write"] = dict(write)
    return sink


def columns_of(db: PgDatabase, relation: str) -> list[str]:
    """Names of the columns of a table, quoted."""
    return [name for (name,) in db.query(
        "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
        " AND NOT attisdropped AND attgenerated = '' ORDER BY attnum", [relation])]


def key_of(db: PgDatabase, relation: str) -> list[str]:
    """Columns of the replica identity index, else of the primary key, quoted; none = []."""
    return [name for (name,) in db.query(
        "SELECT quote_ident(a.attname) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid"
        " AND a.attnum = ANY(i.indkey) WHERE i.indexrelid = (SELECT indexrelid FROM pg_index WHERE indrelid ="
        " %s::regclass AND (indisreplident OR indisprimary) ORDER BY indisreplident DESC LIMIT 1)"
        " ORDER BY array_position(i.indkey, a.attnum)", [relation])]


def rows_of(db: PgDatabase, relation: str, columns: Iterable[str], key: Iterable[str],
            where: str = "") -> Counter[tuple[str, str]]:
    """(key, row) as text, with how often each is there. Partitions are read through their root."""
    chosen = ", ".join(columns)
    keys = f"json_build_array({', '.join(key)})::text" if key else "''"
    with db.connect(autocommit=False) as conn, conn.cursor(name="rows") as cursor:
        cursor.itersize = 5000
        cursor.execute(  # type: ignore[call-overload]
            f"SELECT {keys}, row_to_json(_sluice_row)::text FROM (SELECT {chosen} FROM {relation} {where})"
            " _sluice_row")
        return Counter((key_text, row) for key_text, row in cursor)


def compare_table(source: PgDatabase, target: PgDatabase, relation: str, to: str | None = None,
                  where: str = "") -> Totals:
    """lost: at the source alone. dup: at the target more often, or alone. diff: same key, other content.
    Raises with what is wrong unless both agree."""
    columns, key = columns_of(source, relation), key_of(source, relation)
    want = rows_of(source, relation, columns, key)
    have = rows_of(target, to or relation, columns, key, where)
    out = Totals(rows=sum(want.values()))
    missing, more = want - have, have - want
    samples = []
    other = {ident: row for ident, row in more} if key else {}
    for (ident, row), count in missing.items():
        if ident in other and key:
            out.diff += count
            samples.append(f"diff {ident}: source {shown(row)} target {shown(other.pop(ident))}")
        else:
            out.lost += count
            samples.append(f"lost {shown(row)}")
    for (ident, row), count in more.items():
        if not key or ident in other:
            out.dup += count
            samples.append(f"surplus {shown(row)}")
    if not out.ok:
        raise LakeError(f"{relation}: {out} of {out.rows}\n" + "\n".join(samples[:12]))
    return out


def compare_tables(source: PgDatabase, target: PgDatabase, tables: Mapping[str, str] | Iterable[str]) -> Totals:
    """All of them; tables: source relation → target relation, or names that are the same at both."""
    pairs = dict(tables) if isinstance(tables, Mapping) else {name: name for name in tables}
    out, bad = Totals(), []
    for relation, to in pairs.items():
        try:
            one = compare_table(source, target, relation, to)
        except LakeError as error:
            bad.append(str(error))
            continue
        out.rows += one.rows
    if bad:
        raise LakeError("\n".join(bad))
    return out


class Replica(Pipe):
    """Source and target database, joined by a pipeline; other sinks may stand beside `copy`."""

    def __init__(self, engine: sluice.Engine, db: PgDatabase, target: PgDatabase, *,
                 write: Mapping[str, Any] | None = None, sink: Mapping[str, Any] | None = None,
                 more: Mapping[str, Any] | None = None, beside: Mapping[str, Any] | None = None, **top: Any):
        self.target = target
        sinks = {"copy": pg_sink(target, write, more, **(sink or {})), **(beside or {})}
        super().__init__(engine, db, sinks, **top)

    # -- what the target says of the pipeline

    def lane(self) -> dict[str, Any] | None:
        """The row of the lane of changes: epoch, owner, position."""
        try:
            rows = self.target.query(
                "SELECT epoch, owner, encode(position, 'hex') FROM sluice.lanes WHERE pipeline = %s AND sink ="
                " 'copy' AND run IS NULL", [self.name])
        except psycopg.errors.UndefinedTable:
            return None
        return dict(zip(("epoch", "owner", "position"), rows[0], strict=True)) if rows else None

    def epochs(self) -> int:
        """Commits of changes so far."""
        row = self.lane()
        return int(row["epoch"] or 0) if row else 0

    def complete(self, node: str | None = None) -> set[str]:
        """Streams whose load is whole in `copy`, or in another sink."""
        if node not in (None, "copy"):
            return super().complete(node)
        try:
            return {name for (name,) in self.target.query(
                "SELECT stream FROM sluice.streams WHERE pipeline = %s AND sink = 'copy' AND status = 'complete'",
                [self.name])}
        except psycopg.errors.UndefinedTable:
            return set()

    def wait_epochs(self, count: int, run: sluice.Running | None = None, timeout: float = 60) -> None:
        self.wait_for(lambda: self.epochs() >= count, f"{count} epochs", run, timeout)

    # -- the verdict

    def compare_tables(self, tables: Mapping[str, str] | Iterable[str]) -> Totals:
        return compare_tables(self.db, self.target, tables)

    def judge_replica(self, score: Score) -> None:
        """Load W has ended and the pipeline has caught up: every table, the bank, the ledger."""
        score.took(self.compare_tables(list(load.STREAMS.values())))
        assert load.bank(self.db) == load.bank(self.target) == (load.ACCOUNTS, load.ACCOUNTS * load.BALANCE)
        names = [dict(db.query("SELECT name, count(*) FROM ledger GROUP BY 1")) for db in (self.db, self.target)]
        assert names[0] == names[1]


class BankWatch:
    """Reads the bank of load W at the target, snapshot after snapshot, while changes flow: whole source
    transactions alone are to be seen, so that the sum never changes. `seen` snapshots had the table whole."""

    def __init__(self, target: PgDatabase, every: float = 0.005):
        self.target, self.every = target, every
        self.seen = 0
        self.wrong: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _look(self, conn: psycopg.Connection) -> None:
        with conn.transaction():
            conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            row = conn.execute("SELECT count(*), sum(balance)::bigint FROM public.account").fetchone()
        if row is None or row[0] == 0:
            return  # not loaded yet
        self.seen += 1
        if row != (load.ACCOUNTS, load.ACCOUNTS * load.BALANCE) and len(self.wrong) < 10:
            self.wrong.append(f"{row[0]} accounts hold {row[1]}")

    def _watch(self) -> None:
        conn: psycopg.Connection | None = None
        while not self._stop.wait(self.every):
            try:
                conn = conn if conn is not None and not conn.closed else self.target.connect()
                self._look(conn)
            except psycopg.errors.UndefinedTable:
                self._stop.wait(0.05)
            except psycopg.Error:  # the server is down, or the table is being replaced
                if conn is not None:
                    conn.close()
                self._stop.wait(0.05)
        if conn is not None:
            conn.close()

    def __enter__(self) -> BankWatch:
        self._thread.start()
        return self

    def __exit__(self, kind, *_exc) -> None:
        self._stop.set()
        self._thread.join(30)
        if kind is None:
            assert not self.wrong, f"a reader of the target saw half of a transaction: {self.wrong}"
            assert self.seen > 0, "the bank was never seen"
