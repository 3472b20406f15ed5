"""T10 with a SQL Server (the stand-in) at either end: every kind of change of every kind of column, one by one and as
sets. What was not sent stays what it is."""

from __future__ import annotations

import pytest
from support.mssql import MsReplica, ToMs, enable
from support.score import Score

from fault.test_t10_identity import BIG, IDENTITIES, changes_of, make


# A key of 2,000 characters does not fit into SQL Server's 900 bytes: test_key_too_long.
@pytest.mark.slow
@pytest.mark.parametrize("identity", [name for name in IDENTITIES if name != "fat_key"])
@pytest.mark.parametrize("small_rows", [0, 64], ids=["sets", "ordered"])
def test_into_sql_server(release_engine, db, ms, identity, small_rows):
    make(db, identity)
    steps = list(changes_of(identity).values())
    for number in range(1, 15):
        db.execute(f"INSERT INTO t VALUES ({number}, {number}, 's', {BIG}, decode(repeat('ab', 4000), 'hex'),"
                   f" jsonb_build_object('v', {BIG}))")
    pipe = ToMs(release_engine, db, ms, tables=["public.t"], sink={"small_rows": small_rows})
    try:
        pipe.once()
        with Score("T10", f"pg -> sqlserver, identity {identity}, small_rows {small_rows}") as score:
            for number, statements in enumerate(steps):
                db.execute("BEGIN; " + "; ".join(statements) + "; COMMIT")
                score.fault()
                if number < 5:  # each in an epoch of its own, the rest in one
                    pipe.once()
            pipe.once()
            score.took(pipe.compare_tables(["public.t"]))
            score.survive(len(steps))
    finally:
        pipe.close()


def test_key_too_long(release_engine, db, ms):
    """SQL Server has no place for such a key: the load says so, and leaves no row."""
    db.execute("CREATE TABLE t (id text PRIMARY KEY, v int)",
               "INSERT INTO t VALUES ('short', 1), (repeat('k', 500), 2)")
    pipe = ToMs(release_engine, db, ms, tables=["public.t"])
    result = pipe.once(rc=1)
    assert "id" in result.stderr and "450" in result.stderr, result.describe()
    assert ms.query("SELECT COUNT(*) FROM [public].[t]") == [(0,)]


TABLE = ("CREATE TABLE dbo.[t'o]]] (a int NOT NULL, [b c] nvarchar(20) NOT NULL, n int NULL, small varchar(20) NULL,"
         " big nvarchar(max) NULL, bin varbinary(max) NULL, doc xml NULL, PRIMARY KEY (a, [b c]))")
T = "dbo.[t'o]]]"
COLUMNS = ("a", "b c", "n", "small", "big", "bin")
LONG, OTHER = "N'" + "lång " * 3000 + "'", "N'" + "other " * 3000 + "'"


def row(number: int, big: str = LONG) -> str:
    return (f"INSERT INTO {T} VALUES ({number}, N'k {number}', {number}, 's', {big}, 0x{'ab' * 9000},"
            f" N'<v>{number}</v>')")


def at(number: int) -> str:
    return f"WHERE a = {number} AND [b c] = N'k {number}'"


CHANGES = {
    "a small column": [f"UPDATE {T} SET n = n + 1 {at(1)}"],
    "a large column": [f"UPDATE {T} SET big = {OTHER} {at(2)}"],
    "a large column to null": [f"UPDATE {T} SET big = NULL, bin = NULL {at(3)}"],
    "a large column to a short one": [f"UPDATE {T} SET big = N'short', bin = 0x01 {at(4)}"],
    "a large column to nothing": [f"UPDATE {T} SET big = N'' {at(5)}"],
    "one of the key's columns": [f"UPDATE {T} SET a = 106 {at(6)}"],
    "the key and a large column": [f"UPDATE {T} SET [b c] = N'other', big = {OTHER} {at(7)}"],
    "nothing": [f"UPDATE {T} SET n = n {at(8)}"],
    "a delete": [f"DELETE FROM {T} {at(9)}"],
    "insert and update at once": [row(20), f"UPDATE {T} SET n = 0 {at(20)}", f"UPDATE {T} SET small = 'z' {at(20)}"],
    "insert, change of key, delete": [row(21), f"UPDATE {T} SET a = 121 {at(21)}", f"DELETE FROM {T} WHERE a = 121"],
    "delete and insert again": [f"DELETE FROM {T} {at(10)}", row(10, OTHER)],
    "two keys swap": [f"UPDATE {T} SET a = 999 {at(11)}", f"UPDATE {T} SET a = 11, [b c] = N'k 11' {at(12)}",
                      f"UPDATE {T} SET a = 12, [b c] = N'k 12' WHERE a = 999"],
    "unchanged, twice in a row": [f"UPDATE {T} SET n = 1 {at(13)}", f"UPDATE {T} SET n = 2 {at(13)}",
                                  f"UPDATE {T} SET small = NULL {at(13)}"],
    "changed, then unchanged": [f"UPDATE {T} SET big = {OTHER} {at(14)}", f"UPDATE {T} SET n = 9 {at(14)}"],
    "many at once": [f"UPDATE {T} SET small = small + '!'"],
}


@pytest.mark.slow
@pytest.mark.parametrize("before_image", ["key", "full"])
@pytest.mark.parametrize("small_rows", [0, 64], ids=["sets", "ordered"])
def test_out_of_sql_server(release_engine, ms, target, small_rows, before_image):
    ms.execute(TABLE, *(row(number) for number in range(1, 15)))
    enable(ms, "t'o]")
    # As a server that has NULL for a large value that an update left alone in its change table.
    ms.server.captures[ms.name].keeps_lobs = False
    pipe = MsReplica(release_engine, ms, target, sink={"small_rows": small_rows}, source={"before_image": before_image})
    try:
        pipe.once()
        with Score("T10", f"sqlserver -> pg, before_image {before_image}, small_rows {small_rows}") as score:
            for number, statements in enumerate(CHANGES.values()):
                ms.execute("BEGIN TRANSACTION; " + "; ".join(statements) + "; COMMIT")
                score.fault()
                if number < 5:
                    pipe.once()
            pipe.once()
            score.took(pipe.compare_to("t'o]", COLUMNS, keys=2))
            score.survive(len(CHANGES))
    finally:
        pipe.close()
