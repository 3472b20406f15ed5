"""Load W: writers that change twelve kinds of tables in every way, and write down what they committed.

    python -m support.load --conninfo 'host=… dbname=…' --writers 8 --seconds 20 --seed 1

or, from a test, as a process of its own that goes on while the engine or the server is killed:

    load.setup(db, rows=500)
    with load.Load(db, writers=8) as work: ...          # work.stop() → what it did

A transaction is one call of `w_tx` on the server, so that a writer costs little: some statements over
some tables, half inserts, 35 % updates (one in twenty changes the key), 10 % deletes, 1 % truncates,
the rest rolled back to a savepoint. Every transaction moves money between accounts, whose sum never
changes, and adds the one row of `ledger` with its name `{writer}-{number}`: a transaction that was
lost or came twice can be named. The table of what was acknowledged to the writers is the ledger too:
a commit of which the server's answer was lost stands there or does not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

ACCOUNTS = 200
BALANCE = 1000


@dataclass(frozen=True)
class Table:
    """One kind of table: how it is made, and statements for each kind of change.

    In statements {n} is the number of rows wanted and {at} a key to begin the search at. Rows that
    another transaction holds are passed over, so writers rarely wait for each other.
    """

    name: str  # as SQL
    stream: str  # as the lake names it
    ddl: str
    insert: str
    update: str = ""
    rekey: str = ""
    delete: str = ""
    rows: int = 8  # of one statement, at most
    weight: int = 4
    moves: tuple[str, ...] = field(default=())  # other updates


def _some(table: str, key: str, found: str | None = None) -> str:
    """A WHERE for up to {n} rows from {at} on that nobody holds."""
    found = found or key
    return (
        f"{found} = ANY(ARRAY(SELECT {found} FROM {table} WHERE {key} >= {{at}} ORDER BY {key}"
        " LIMIT {n} FOR UPDATE SKIP LOCKED))"
    )


TABLES: tuple[Table, ...] = (
    Table(
        "wide", "public.wide",
        "CREATE TYPE mood AS ENUM ('sad', 'ok', 'very happy');"
        "CREATE TABLE wide (id bigint PRIMARY KEY DEFAULT nextval('w_id'), s smallint, i int, n numeric(20,4),"
        " nn numeric, r real, d double precision, b boolean, t text, v varchar(40), c char(6), y bytea, u uuid,"
        " dt date, ts timestamp, tz timestamptz, tm time, iv interval, j jsonb, js json, a int[], ta text[], m mood,"
        " ip inet, rg numrange, bt bit(5))",
        "INSERT INTO wide (s, i, n, nn, r, d, b, t, v, c, y, u, dt, ts, tz, tm, iv, j, js, a, ta, m, ip, rg, bt)"
        " SELECT (random() * 60000)::int - 30000, (random() * 4e9 - 2e9)::int, random() * 1e9, random() * 1e6,"
        " random(), random() * 1e300, random() < 0.5, CASE WHEN random() < 0.2 THEN NULL ELSE 't ä€😀 \\ \" '"
        " || g || E'\\n\\t' END, md5(random()::text), 'c' || g % 10, decode(md5(random()::text), 'hex'),"
        " md5(random()::text)::uuid, date '2000-01-01' + (random() * 9000)::int,"
        " timestamp '2020-01-01' + random() * interval '900 days', timestamptz '2020-01-01 00:00+00' + random() *"
        " interval '900 days', time '00:00' + random() * interval '23 hours', random() * interval '40 days',"
        " jsonb_build_object('g', g, 'r', random(), 'x', NULL), ('{\"a\":  [' || g || ', 1.10]}')::json,"
        " ARRAY[g, NULL, (random() * 100)::int], ARRAY['a,b', NULL, '\"' || g], CASE g % 3 WHEN 0 THEN 'sad'"
        " WHEN 1 THEN 'ok' END::mood, ('10.0.0.' || g % 250)::inet, numrange(0, (random() * 10)::numeric),"
        " (g % 32)::bit(5) FROM generate_series(1, {n}) g",
        "UPDATE wide SET i = i + 1, n = -n, t = NULL, tz = tz + interval '1 second' WHERE " + _some("wide", "id"),
        "UPDATE wide SET id = nextval('w_id'), s = NULL WHERE " + _some("wide", "id"),
        "DELETE FROM wide WHERE " + _some("wide", "id"),
    ),
    Table(
        "append", "public.append",
        "CREATE TABLE append (k bigint, at timestamptz, what text, n numeric);"
        "ALTER TABLE append REPLICA IDENTITY FULL;"
        "CREATE INDEX append_k ON append (k)",
        # Some rows come twice: without a key that is what the table holds.
        "INSERT INTO append SELECT {at} + g / 2, timestamptz '2024-01-01 00:00+00' + {at} % 1000 * interval"
        " '1 second', 'event', 1.50 FROM generate_series(1, {n}) g",
        "UPDATE append SET n = n + 1, what = CASE WHEN n % 2 = 0 THEN NULL ELSE 'x' END WHERE "
        + _some("append", "k", "ctid"),
        "",
        "DELETE FROM append WHERE " + _some("append", "k", "ctid"),
    ),
    Table(
        "composite", "public.composite",
        "CREATE TABLE composite (a int, b text, c date, v text, PRIMARY KEY (a, b, c))",
        "INSERT INTO composite SELECT nextval('w_id'), 'b' || g, date '2024-01-01' + g, md5(g::text)"
        " FROM generate_series(1, {n}) g",
        "UPDATE composite SET v = v || '.' WHERE " + _some("composite", "a", "ctid"),
        "UPDATE composite SET c = c + 1000, b = b || 'ü' WHERE " + _some("composite", "a", "ctid"),
        "DELETE FROM composite WHERE " + _some("composite", "a", "ctid"),
    ),
    Table(
        "part", "public.part",
        "CREATE TABLE part (id bigint DEFAULT nextval('w_id'), region text, v int, PRIMARY KEY (id, region))"
        " PARTITION BY LIST (region);"
        "CREATE TABLE part_eu PARTITION OF part FOR VALUES IN ('eu');"
        # Another order of columns in this leaf.
        "CREATE TABLE part_us (region text NOT NULL, v int, id bigint NOT NULL DEFAULT nextval('w_id'));"
        "ALTER TABLE part ATTACH PARTITION part_us FOR VALUES IN ('us');"
        "CREATE TABLE part_rest PARTITION OF part DEFAULT",
        "INSERT INTO part (region, v) SELECT (ARRAY['eu', 'us', 'asia'])[1 + g % 3], g FROM generate_series(1, {n}) g",
        "UPDATE part SET v = v + 1 WHERE " + _some("part", "id"),
        # From one partition to another.
        "UPDATE part SET region = CASE region WHEN 'eu' THEN 'us' ELSE 'eu' END WHERE " + _some("part", "id"),
        "DELETE FROM part WHERE " + _some("part", "id"),
        rows=5,
    ),
    Table(
        "toast", "public.toast",
        "CREATE TABLE toast (id bigint PRIMARY KEY DEFAULT nextval('w_id'), n int, body text, more text);"
        "ALTER TABLE toast ALTER body SET STORAGE EXTERNAL, ALTER more SET STORAGE EXTERNAL",
        "INSERT INTO toast (n, body, more) SELECT g, repeat(md5(random()::text), 128 + (power(random(), 60) *"
        " 32000)::int), CASE WHEN random() < 0.3 THEN repeat('é', 3000) END FROM generate_series(1, {n}) g",
        "UPDATE toast SET n = n + 1 WHERE " + _some("toast", "id"),
        "UPDATE toast SET id = nextval('w_id') WHERE " + _some("toast", "id"),
        "DELETE FROM toast WHERE " + _some("toast", "id"),
        rows=2,
        moves=(
            "UPDATE toast SET more = CASE WHEN more IS NULL THEN repeat('n', 2500) END WHERE " + _some("toast", "id"),
        ),
    ),
    Table(
        "toast_full", "public.toast_full",
        "CREATE TABLE toast_full (id bigint PRIMARY KEY DEFAULT nextval('w_id'), n int, body text);"
        "ALTER TABLE toast_full REPLICA IDENTITY FULL, ALTER body SET STORAGE EXTERNAL",
        "INSERT INTO toast_full (n, body) SELECT g, repeat(md5(random()::text), 150) FROM generate_series(1, {n}) g",
        "UPDATE toast_full SET n = n + 1 WHERE " + _some("toast_full", "id"),
        "UPDATE toast_full SET id = nextval('w_id') WHERE " + _some("toast_full", "id"),
        "DELETE FROM toast_full WHERE " + _some("toast_full", "id"),
        rows=2,
    ),
    Table(
        "parent", "public.parent",
        "CREATE TABLE parent (id bigint PRIMARY KEY DEFAULT nextval('w_id'), v text);"
        "CREATE TABLE child (id bigint PRIMARY KEY DEFAULT nextval('w_id'), parent_id bigint REFERENCES parent"
        " ON DELETE CASCADE ON UPDATE CASCADE, v int);"
        "CREATE INDEX child_parent ON child (parent_id)",
        "WITH p AS (INSERT INTO parent (v) SELECT 'p' || g FROM generate_series(1, {n}) g RETURNING id)"
        " INSERT INTO child (parent_id, v) SELECT id, g FROM p, generate_series(1, 2) g",
        "UPDATE parent SET v = v || '+' WHERE " + _some("parent", "id"),
        "UPDATE parent SET id = nextval('w_id') WHERE " + _some("parent", "id"),
        "DELETE FROM parent WHERE " + _some("parent", "id"),
        rows=3,
    ),
    Table(
        "child", "public.child", "",
        "INSERT INTO child (parent_id, v) SELECT id, 7 FROM parent WHERE id >= {at} ORDER BY id LIMIT {n}"
        " FOR KEY SHARE SKIP LOCKED",
        "UPDATE child SET v = v + 1 WHERE " + _some("child", "id"),
        "UPDATE child SET id = nextval('w_id') WHERE " + _some("child", "id"),
        "DELETE FROM child WHERE " + _some("child", "id"),
        rows=4,
    ),
    Table(
        "by_index", "public.by_index",
        "CREATE TABLE by_index (n bigint NOT NULL, code text NOT NULL, v double precision);"
        "CREATE UNIQUE INDEX by_index_code ON by_index (code);"
        "CREATE INDEX by_index_n ON by_index (n);"
        "ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_code",
        "INSERT INTO by_index SELECT id, 'code ' || id, random() FROM (SELECT nextval('w_id') AS id"
        " FROM generate_series(1, {n})) s",
        "UPDATE by_index SET v = random() WHERE " + _some("by_index", "n", "code"),
        "UPDATE by_index SET code = 'new ' || nextval('w_id') WHERE " + _some("by_index", "n", "code"),
        "DELETE FROM by_index WHERE " + _some("by_index", "n", "code"),
    ),
    Table(
        "tiny", "public.tiny",
        "CREATE TABLE tiny (id bigint PRIMARY KEY DEFAULT nextval('w_id'), v text)",
        "INSERT INTO tiny (v) SELECT 'v' || g FROM generate_series(1, {n}) g",
        "UPDATE tiny SET v = v || '!' WHERE " + _some("tiny", "id"),
        "UPDATE tiny SET id = nextval('w_id') WHERE " + _some("tiny", "id"),
        "DELETE FROM tiny WHERE " + _some("tiny", "id"),
    ),
    Table(
        '"Odd Table"', 'public."Odd Table"',
        'CREATE TABLE "Odd Table" ("Id" bigint PRIMARY KEY DEFAULT nextval(\'w_id\'), "a""b" text, "select" int,'
        ' "Ünïcode; drop" numeric)',
        'INSERT INTO "Odd Table" ("a""b", "select", "Ünïcode; drop") SELECT \'x"y\' || g, g, g * 1.10'
        " FROM generate_series(1, {n}) g",
        'UPDATE "Odd Table" SET "select" = "select" + 1, "Ünïcode; drop" = NULL WHERE ' + _some('"Odd Table"', '"Id"'),
        'UPDATE "Odd Table" SET "Id" = nextval(\'w_id\') WHERE ' + _some('"Odd Table"', '"Id"'),
        'DELETE FROM "Odd Table" WHERE ' + _some('"Odd Table"', '"Id"'),
    ),
)

# Two more that every transaction writes: the bank and the ledger.
STREAMS: dict[str, str] = {
    **{table.stream: f"public.{table.name}" for table in TABLES},
    "public.account": "public.account",
    "public.ledger": "public.ledger",
}

_PRELUDE = (
    "CREATE SEQUENCE w_id START 1000",
    "CREATE TABLE account (id bigint PRIMARY KEY, balance bigint NOT NULL, moves int NOT NULL DEFAULT 0)",
    f"INSERT INTO account SELECT g, {BALANCE} FROM generate_series(1, {ACCOUNTS}) g",
    "CREATE TABLE ledger (name text PRIMARY KEY, writer int NOT NULL, number bigint NOT NULL, statements int,"
    " changed int)",
)

_TRUNCATES = (*["TRUNCATE tiny"] * 14, "TRUNCATE tiny, append", "TRUNCATE child, parent")


def _functions() -> list[str]:
    """w_op(table, kind, rows, at) → rows changed, and w_tx(writer, number, seed, big) → the same."""
    branches = []
    for number, table in enumerate(TABLES):
        kinds = [("i", table.insert), ("u", table.update), ("k", table.rekey), ("d", table.delete)]
        kinds += [(f"m{at}", move) for at, move in enumerate(table.moves)]
        for kind, statement in kinds:
            if statement:
                text = statement.replace("{n}", "p_rows").replace("{at}", "p_at")
                branches.append(f"WHEN '{number}{kind}' THEN {text};")
    truncates = "\n".join(f"WHEN 'x{at}' THEN {text};" for at, text in enumerate(_TRUNCATES))
    most = " ".join(f"WHEN {number} THEN {table.rows}" for number, table in enumerate(TABLES))
    op = f"""
CREATE FUNCTION w_op(p_what text, p_rows int, p_at bigint) RETURNS int LANGUAGE plpgsql AS $body$
DECLARE changed int;
BEGIN
    CASE p_what
    {' '.join(branches)}
    {truncates}
    ELSE RETURN 0;
    END CASE;
    GET DIAGNOSTICS changed = ROW_COUNT;
    RETURN changed;
END $body$"""
    pick = f"""
CREATE FUNCTION w_pick(p_kind text) RETURNS int LANGUAGE plpgsql AS $body$
DECLARE
    which int := floor(random() * {len(TABLES)});
    kind text := p_kind;
    top bigint := (SELECT last_value FROM w_id);
    most int := CASE which {most} END;
BEGIN
    IF kind = 'u' AND random() < 0.05 THEN kind := 'k'; END IF;
    IF kind = 'u' AND which = 4 AND random() < 0.3 THEN kind := 'm0'; END IF;
    RETURN w_op(which || kind, 1 + floor(random() * most)::int, 1000 + floor(random() * (top - 1000))::bigint);
END $body$"""
    tx = f"""
CREATE FUNCTION w_tx(p_writer int, p_number bigint, p_seed float8, p_big int) RETURNS int
LANGUAGE plpgsql AS $body$
DECLARE
    steps int := 1 + floor(random() * 6)::int;
    done int := 0;
    luck float8;
    a bigint;
    b bigint;
    amount int;
BEGIN
    PERFORM setseed(p_seed);
    FOR step IN 1..steps LOOP
        luck := random();
        IF luck < 0.50 THEN
            done := done + w_pick('i');
        ELSIF luck < 0.85 THEN
            done := done + w_pick('u');
        ELSIF luck < 0.95 THEN
            done := done + w_pick('d');
        ELSIF luck < 0.96 THEN
            -- Some seconds have none: a table that is truncated all the time can never be loaded.
            CONTINUE WHEN extract(epoch FROM clock_timestamp())::bigint % 3 > 0;
            done := done + w_op('x' || floor(random() * {len(_TRUNCATES)})::int, 0, 0);
        ELSE
            BEGIN  -- a savepoint that is rolled back, with one below it that is kept until then
                done := done + 0 * w_pick('i');
                BEGIN
                    PERFORM w_pick('u');
                    IF random() < 0.5 THEN RAISE EXCEPTION 'inner' USING ERRCODE = 'P0001'; END IF;
                EXCEPTION WHEN SQLSTATE 'P0001' THEN NULL;
                END;
                RAISE EXCEPTION 'outer' USING ERRCODE = 'P0002';
            EXCEPTION WHEN SQLSTATE 'P0002' THEN NULL;
            END;
        END IF;
    END LOOP;
    IF p_big > 0 THEN
        done := done + w_op('9i', p_big, 0);
    END IF;
    -- Money moves; nobody waits for an account.
    SELECT id INTO a FROM account WHERE id >= 1 + floor(random() * {ACCOUNTS}) ORDER BY id LIMIT 1
        FOR UPDATE SKIP LOCKED;
    SELECT id INTO b FROM account WHERE id >= 1 + floor(random() * {ACCOUNTS}) AND id <> a ORDER BY id LIMIT 1
        FOR UPDATE SKIP LOCKED;
    IF a IS NOT NULL AND b IS NOT NULL THEN
        amount := floor(random() * 50);
        UPDATE account SET balance = balance - amount, moves = moves + 1 WHERE id = a;
        UPDATE account SET balance = balance + amount WHERE id = b;
        IF random() < 0.02 THEN
            UPDATE account SET id = (id - 1) % 100000 + 100001 - 100000 * ((id - 1) / 100000) WHERE id = a
                AND NOT EXISTS (SELECT 1 FROM account o WHERE o.id = (a - 1) % 100000 + 100001
                - 100000 * ((a - 1) / 100000));
        END IF;
        done := done + 2;
    END IF;
    IF random() < 0.01 THEN PERFORM pg_sleep(0.05); END IF;
    INSERT INTO ledger VALUES (p_writer || '-' || p_number, p_writer, p_number, steps, done);
    RETURN done + 1;
END $body$"""
    return [op, pick, tx]


def setup(db, rows: int = 300) -> dict[str, str]:
    """Creates the tables with about so many rows each; returns stream → relation."""
    statements = list(_PRELUDE)
    for table in TABLES:
        # A name has a semicolon: that one is a single statement.
        statements += [table.ddl] if "; drop" in table.ddl else [part for part in table.ddl.split(";") if part.strip()]
    statements += _functions()
    for number in range(len(TABLES)):
        share = max(1, rows // 4) if TABLES[number].rows <= 3 else rows
        statements.append(f"SELECT w_op('{number}i', {share}, 1000)")
    statements += ["ANALYZE"]
    db.execute(*statements)
    return dict(STREAMS)


# ---------------------------------------------------------------- the writers


class Writers:
    """Threads, one connection each; they reconnect when the server goes away."""

    def __init__(self, conninfo: str, writers: int, seed: int, first: int, rate: float, big: float):
        self.conninfo, self.writers, self.seed, self.first = conninfo, writers, seed, first
        self.rate, self.big = rate, big
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.threads = [
            threading.Thread(target=self._loop, args=(number,), daemon=True) for number in range(writers)
        ]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def join(self) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(60)

    def _connect(self) -> psycopg.Connection | None:
        while not self.stop.is_set():
            try:
                return psycopg.connect(self.conninfo, autocommit=True, connect_timeout=5)
            except psycopg.OperationalError:
                self.count("connect_failures")
                self.stop.wait(0.1)
        return None

    def count(self, name: str, by: int = 1) -> None:
        with self.lock:
            self.counts[name] += by

    def _loop(self, writer: int) -> None:
        chance = random.Random(f"{self.seed}/{writer}")
        conn: psycopg.Connection | None = None
        number = self.first
        due = time.monotonic()
        while not self.stop.is_set():
            if conn is None or conn.closed:
                conn = self._connect()
                if conn is None:
                    return
            number += 1
            big = 500 if chance.random() < self.big else 0
            try:
                changed = conn.execute(
                    "SELECT w_tx(%s, %s, %s, %s)", [writer, number, chance.random() * 2 - 1, big]
                ).fetchone()
                self.count("transactions")
                self.count("changes", changed[0] if changed else 0)
            except (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable):
                self.count("rolled_back")
            except psycopg.errors.UniqueViolation:
                self.count("rolled_back")
            except psycopg.OperationalError:
                self.count("connections_lost")
                conn.close()
            except psycopg.Error as error:
                # Never because of who reads the changes: the source's own work must not fail.
                self.count("errors")
                print(json.dumps({"error": str(error), "sqlstate": error.sqlstate}), flush=True)
            if self.rate > 0:
                due = max(due + self.writers / self.rate, time.monotonic() - 1)
                wait = due - time.monotonic()
                if wait > 0:
                    self.stop.wait(wait)
        if conn is not None:
            conn.close()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conninfo", default=os.environ.get("W_CONNINFO", ""))
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first transaction, less one")
    parser.add_argument("--seconds", type=float, default=0, help="0: until SIGTERM")
    parser.add_argument("--changes", type=int, default=0, help="end after so many rows; 0: never")
    parser.add_argument("--rate", type=float, default=0, help="transactions a second in all; 0: as fast as it goes")
    parser.add_argument("--big", type=float, default=0.002, help="share of transactions with 500 more rows")
    given = parser.parse_args(arguments)
    work = Writers(given.conninfo, given.writers, given.seed, given.first, given.rate, given.big)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: work.stop.set())
    print(json.dumps({"seed": given.seed, "writers": given.writers}), flush=True)
    begun = time.monotonic()
    work.start()
    while not work.stop.wait(0.1):
        if given.seconds and time.monotonic() - begun >= given.seconds:
            break
        if given.changes and work.counts["changes"] >= given.changes:
            break
    work.join()
    print(json.dumps({"seconds": round(time.monotonic() - begun, 2), **work.counts}), flush=True)
    return 1 if work.counts["errors"] else 0


# ---------------------------------------------------------------- from tests


class Load:
    """The program as a process. It survives what happens to the engine and to the server."""

    def __init__(self, db, writers: int = 8, seed: int = 1, rate: float = 0, **more: Any):
        self.db, self.seed = db, seed
        self.arguments = ["--writers", writers, "--seed", seed, "--rate", rate]
        for key, value in more.items():
            self.arguments += [f"--{key}", value]
        self.result: dict[str, Any] = {}
        self._child: subprocess.Popen | None = None
        self._output: list[str] = []
        self._first = 0

    def start(self) -> Load:
        # Names of transactions are never given twice, also not by a second Load of the same database.
        self._first = self.db.value("SELECT coalesce(max(number), 0) FROM ledger")
        options = (
            "-c deadlock_timeout=50ms -c search_path=public -c lock_timeout=20s -c statement_timeout=0"
            " -c idle_in_transaction_session_timeout=0 -c plpgsql.variable_conflict=use_column"
        )
        info = self.db.server.conninfo(self.db.name)
        text = psycopg.conninfo.make_conninfo(**info, options=options, application_name="load W")
        root = Path(__file__).resolve().parents[1]
        self._child = subprocess.Popen(
            [sys.executable, "-m", "support.load", *map(str, self.arguments), "--first", str(self._first)],
            cwd=root, env={**os.environ, "W_CONNINFO": text, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )
        threading.Thread(target=self._drain, daemon=True).start()
        return self

    def _drain(self) -> None:
        assert self._child is not None and self._child.stdout is not None
        for line in self._child.stdout:
            self._output.append(line)

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def wait(self, timeout: float = 300) -> dict[str, Any]:
        """Until it ended by itself (seconds, changes)."""
        assert self._child is not None and self._child.stdout is not None
        try:
            rc = self._child.wait(timeout)
        except subprocess.TimeoutExpired:
            self._child.kill()
            raise AssertionError("load W does not end:\n" + "".join(self._output[-20:])) from None
        deadline = time.monotonic() + 5
        while not any('"seconds"' in line for line in self._output) and time.monotonic() < deadline:
            time.sleep(0.01)
        text = "".join(self._output)
        assert rc == 0, f"load W met errors (seed {self.seed}):\n{text[-4000:]}"
        self.result = json.loads(text.splitlines()[-1])
        return self.result

    def stop(self) -> dict[str, Any]:
        """Lets the transactions that are going on end; returns what was done in all."""
        if self.result:
            return self.result
        assert self._child is not None
        self._child.send_signal(signal.SIGTERM)
        return self.wait(90)

    def __enter__(self) -> Load:
        return self.start()

    def __exit__(self, kind, *_exc) -> None:
        if self._child is not None and self._child.poll() is None:
            if kind is None:
                self.stop()
            else:
                self._child.kill()
                self._child.wait()


def ledger_names(rows: Iterable[dict[str, Any]]) -> Counter[str]:
    """How often each transaction's row is there."""
    return Counter(str(row["name"]) for row in rows)


def bank(db) -> tuple[int, int]:
    """(accounts, sum of balances) at the source."""
    return tuple(db.query("SELECT count(*), sum(balance)::bigint FROM account")[0])  # type: ignore[return-value]


if __name__ == "__main__":
    sys.exit(main())
