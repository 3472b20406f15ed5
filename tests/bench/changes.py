"""Change loads for B4 and B5: one table, many small transactions, slots that lag behind them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from support import pg

from . import contestants as who
from .measure import Command

TABLE, PUBLICATION, BASE_SLOT = "change_event", "bench", "bench_base"

# What a change table of an application looks like: about 200 bytes a row, jsonb and numeric among them.
DDL = (f"CREATE TABLE {TABLE} (id bigint PRIMARY KEY, tenant int NOT NULL, kind text NOT NULL,"
       " amount numeric(12,2) NOT NULL, body jsonb NOT NULL, note text, updated_at timestamptz NOT NULL)")
_SETUP = [
    DDL,
    # No row of it is published: its commits only move the log on.
    "CREATE TABLE unpublished (at timestamptz)",
    f"CREATE PUBLICATION {PUBLICATION} FOR TABLE {TABLE}",
    f"SELECT pg_create_logical_replication_slot('{BASE_SLOT}', 'pgoutput')",
    # Ten inserts, four or five updates, now and then a delete: a transaction each.
    f"""CREATE PROCEDURE change_load(first int, last int) LANGUAGE plpgsql AS $$
    BEGIN
        FOR i IN first..last LOOP
            INSERT INTO {TABLE}
            SELECT i * 10 + j, i % 100, (ARRAY['created','paid','shipped','returned'])[1 + j % 4],
                   (i * 10 + j) % 100000 / 7.0::numeric,
                   jsonb_build_object('order', i, 'line', j, 'sku', 'sku-' || (i * 7 + j) % 9999, 'tags',
                                      jsonb_build_array('a', 'b', j % 3)),
                   CASE WHEN j % 3 = 0 THEN NULL ELSE repeat(md5(i::text), 1 + j % 2) END,
                   timestamptz '2026-11-23 00:00:00+00' + i * interval '1 ms'
            FROM generate_series(1, 10) j;
            UPDATE {TABLE} SET amount = amount + 1, kind = 'updated',
                   updated_at = timestamptz '2026-11-24 00:00:00+00' + i * interval '1 ms'
            WHERE id BETWEEN i * 10 + 1 AND i * 10 + 4 + i % 2;
            IF i % 2 = 0 THEN
                DELETE FROM {TABLE} WHERE id = i * 10 + 10;
            END IF;
            COMMIT;
        END LOOP;
    END $$""",
]

CHANGES_PER_TRANSACTION = 15  # 10 + 4.5 + 0.5


def setup(db: pg.PgDatabase) -> None:
    db.execute(*_SETUP)


def load(db: pg.PgDatabase, transactions: int) -> dict[str, int]:
    """Makes the changes; how many of each kind there are."""
    db.execute(f"CALL change_load(1, {transactions})")
    return {
        "inserts": 10 * transactions,
        "updates": 4 * transactions + (transactions + 1) // 2,
        "deletes": transactions // 2,
        "commits": transactions,
    }


def log_end(db: pg.PgDatabase) -> str:
    """Where the log ends, flushed, with a commit behind all changes."""
    db.execute("INSERT INTO unpublished VALUES (now())")
    db.execute("CHECKPOINT")
    return str(db.value("SELECT pg_current_wal_flush_lsn()"))


def slot_copy(db: pg.PgDatabase, name: str, base: str = BASE_SLOT) -> None:
    """A slot that lags as far behind as the base."""
    db.value("SELECT pg_copy_logical_replication_slot(%s, %s)::text", [base, name])


def slot_new(db: pg.PgDatabase, name: str) -> None:
    """A slot that begins now."""
    db.value("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')::text", [name])


def slot_drop(db: pg.PgDatabase, name: str) -> None:
    db.execute(f"SELECT pg_drop_replication_slot('{name}')")


# ---------------------------------------------------------------- who reads it


def build_reader(root: Path) -> Path:
    """Compiles walreader.c beside the figures."""
    source = root / "tests" / "bench" / "walreader.c"
    binary = root / "build" / "bench" / "walreader"
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        binary.parent.mkdir(parents=True, exist_ok=True)
        flags = subprocess.run(
            ["pkg-config", "--cflags", "--libs", "libpq"], capture_output=True, text=True, check=True
        ).stdout.split()
        compiler = os.environ.get("CC", "cc")
        subprocess.run(
            [compiler, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-o", str(binary), str(source), *flags], check=True
        )
    return binary


def walreader(bench: who.Bench, reader: Path, slot: str, end: str, how: str) -> Command:
    return Command([str(reader), slot, PUBLICATION, end, how], bench.env())


def recvlogical(bench: who.Bench, slot: str, end: str) -> Command:
    """PostgreSQL's own client, told to throw all away."""
    program = bench.server.bin_dir / "pg_recvlogical"
    script = (
        f"exec {program} -d {bench.db.name} --slot={slot} --start --endpos={end} --no-loop -f - -F 0"
        f" -o proto_version=1 -o publication_names={PUBLICATION} > /dev/null"
    )
    return who.shell(bench, script)


def pipeline(bench: who.Bench, slot: str, sink: dict, name: str) -> dict:
    made = who.sluice_pipeline(bench, TABLE, sink, name)
    made["mode"] = "cdc_only"
    made["sources"]["src"]["config"].update(slot=slot, publication=PUBLICATION, publication_mode="existing")
    return made
