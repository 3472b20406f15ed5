"""Writers that change the tables of a SQL Server database under test, from several sessions at once.

They go straight to the stand-in's PostgreSQL, as its own clients do behind the translation: thousands of statements a
second are not to be parsed. Every statement keeps what T-SQL tables promise (keys, foreign keys, declared forms).
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter

import psycopg

from .mssql import enable
from .tds.server import MssqlDatabase

# Table → its columns, the key first.
COLUMNS = {
    "account": ("id", "balance", "name"),
    "transfer": ("id", "account_id", "amount", "at"),
    "doc": ("id", "title", "body", "n"),
    "x]y'z": ("k]1", "v"),
}
TABLES = (
    "CREATE TABLE dbo.account (id int NOT NULL PRIMARY KEY, balance decimal(18,4) NOT NULL, name nvarchar(40) NULL)",
    "CREATE TABLE dbo.transfer (id bigint NOT NULL PRIMARY KEY, account_id int NOT NULL, amount decimal(18,4) NOT NULL,"
    " at datetime2(3) NOT NULL)",
    "CREATE TABLE dbo.doc (id int NOT NULL PRIMARY KEY, title nvarchar(200) NULL, body nvarchar(max) NULL,"
    " n int NOT NULL)",
    "CREATE TABLE dbo.[x]]y'z] ([k]]1] int NOT NULL PRIMARY KEY, v varchar(50) NULL)",
)


def setup(db: MssqlDatabase, rows: int = 300, captured: bool = True) -> None:
    db.execute(*TABLES)
    with db.server.connect(db.name) as conn, conn.transaction():
        conn.execute("INSERT INTO dbo.account SELECT i, 1000, 'a' || i FROM generate_series(1, 50) i")
        conn.execute("INSERT INTO dbo.doc SELECT i, 't' || i, repeat(md5(i::text), 100), 0 FROM"
                     " generate_series(1, %s) i", [rows])
        conn.execute("""INSERT INTO dbo."x]y'z" SELECT i, 'v' || i FROM generate_series(1, %s) i""", [rows])
    if captured:
        enable(db, *COLUMNS)


class Writer(threading.Thread):
    """Transactions of its own keys: inserts, updates, deletes, changes of keys; one in eight is rolled back."""

    def __init__(self, load: MsLoad, number: int):
        super().__init__(daemon=True)
        self.load, self.number = load, number
        self.random = random.Random(load.seed * 1000 + number)
        self.next = 1_000_000 * (number + 1)
        self.mine: list[int] = []

    def run(self) -> None:
        while not self.load.stopped.is_set():
            try:
                with self.load.db.server.connect(self.load.db.name) as conn:
                    while not self.load.stopped.is_set():
                        self.transaction(conn)
                        time.sleep(self.random.expovariate(self.load.rate / self.load.writers))
            except psycopg.Error:  # a deadlock, a server that was killed
                self.load.count("begun again")
                time.sleep(0.1)

    def transaction(self, conn: psycopg.Connection) -> None:
        chance = self.random
        with conn.transaction() as tx:
            for _ in range(chance.choice((1, 1, 2, 3, 8))):
                getattr(self, chance.choice(("move", "move", "write", "change", "change", "remove", "rename")))(conn)
            if chance.random() < 0.125:
                self.load.count("rolled back")
                raise psycopg.Rollback(tx)
        self.load.count("transactions")

    def move(self, conn) -> None:
        one, other = self.random.sample(range(1, 51), 2)
        amount = self.random.randint(1, 99999) / 10000
        for account, sign in sorted([(one, -1), (other, 1)]):
            self.next += 1
            conn.execute("UPDATE dbo.account SET balance = balance + %s WHERE id = %s", [sign * amount, account])
            conn.execute("INSERT INTO dbo.transfer VALUES (%s, %s, %s, to_char(now(), 'YYYY-MM-DD HH24:MI:SS.MS'))",
                         [self.next, account, sign * amount])

    def write(self, conn) -> None:
        self.next += 1
        self.mine.append(self.next)
        body = None if self.random.random() < 0.2 else "é€" * self.random.choice((0, 3, 5000))
        conn.execute("INSERT INTO dbo.doc VALUES (%s, %s, %s, 0)", [self.next, f"né {self.next}", body])
        conn.execute("""INSERT INTO dbo."x]y'z" VALUES (%s, %s)""", [self.next, "it's"])

    def change(self, conn) -> None:
        if self.mine:
            conn.execute("UPDATE dbo.doc SET n = n + 1 WHERE id = %s", [self.random.choice(self.mine)])
        if self.mine and self.random.random() < 0.3:
            conn.execute("UPDATE dbo.doc SET body = title || n::text, title = NULL WHERE id = %s",
                         [self.random.choice(self.mine)])

    def remove(self, conn) -> None:
        if len(self.mine) > 5:
            gone = self.mine.pop(self.random.randrange(len(self.mine)))
            conn.execute("DELETE FROM dbo.doc WHERE id = %s", [gone])
            conn.execute("""DELETE FROM dbo."x]y'z" WHERE "k]1" = %s""", [gone])

    def rename(self, conn) -> None:
        """Another key for a row."""
        if self.mine:
            at = self.random.randrange(len(self.mine))
            self.next += 1
            conn.execute("UPDATE dbo.doc SET id = %s WHERE id = %s", [self.next, self.mine[at]])
            self.mine[at] = self.next


class MsLoad:
    """with MsLoad(db, writers=4, seed=1, rate=100) as load: …; `rate` transactions a second of all writers."""

    def __init__(self, db: MssqlDatabase, writers: int = 4, seed: int = 1, rate: float = 100):
        self.db, self.writers, self.seed, self.rate = db, writers, seed, rate
        self.stopped = threading.Event()
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._threads = [Writer(self, number) for number in range(writers)]

    def count(self, what: str) -> None:
        with self._lock:
            self.counts[what] += 1

    @property
    def running(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    def __enter__(self) -> MsLoad:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exc) -> None:
        self.stopped.set()
        for thread in self._threads:
            thread.join(30)
