"""T13 into SQL Server (the stand-in): rows that the target refuses, in a load and in changes, with kills in between.
What is stored and what is kept as a letter is all that was read, each once; once the target is mended, both ends are
equal."""

from __future__ import annotations

import json
import random

import pytest
from support.mssql import ToMs
from support.pipe import sleep_or_end
from support.score import Score, size

SEED = 61313
ROWS = size(3000, 30000)

TARGET = ("CREATE TABLE [public].[known] (id int NOT NULL PRIMARY KEY)",
          "INSERT INTO [public].[known] VALUES (0), (1), (2), (3), (4)",
          "CREATE TABLE [public].[t] (id int NOT NULL PRIMARY KEY, n decimal(6,2) NULL, v varchar(12) NULL, must"
          " nvarchar(9) NOT NULL, c int NULL CONSTRAINT ck CHECK (c >= 0), u int NULL CONSTRAINT fk REFERENCES"
          " [public].[known] (id))")
MEND = ("ALTER TABLE [public].[t] ALTER COLUMN n decimal(12,2) NULL", "ALTER TABLE [public].[t] DROP CONSTRAINT ck",
        "ALTER TABLE [public].[t] ALTER COLUMN v nvarchar(max) NULL", "ALTER TABLE [public].[t] DROP CONSTRAINT fk",
        "ALTER TABLE [public].[t] ALTER COLUMN must nvarchar(9) NULL")
# One row in a hundred, in one of five ways.
ROW = ("SELECT i, CASE p WHEN 0 THEN 123456.78 ELSE i % 1000 END, CASE p WHEN 1 THEN 'far too long a text' ELSE 'v' ||"
       " i % 1000 END, CASE p WHEN 2 THEN NULL ELSE 'm' END, CASE p WHEN 3 THEN -1 ELSE i END, CASE p WHEN 4 THEN 99"
       " ELSE i % 5 END FROM generate_series({a}, {b}) i, LATERAL (SELECT CASE WHEN i % 100 = 37 THEN (i / 100) % 5"
       " ELSE -1 END AS p) s")


def letters(ms) -> list[int]:
    return [json.loads(row)["id"] for (row,) in ms.query("SELECT [row] FROM [sluice].[letters] WHERE replayed_at IS"
                                                         " NULL")]


@pytest.mark.slow
@pytest.mark.timeout(size(240, 900))
def test_load_and_changes(release_engine, db, mssql_server):
    chance = random.Random(SEED)
    ms = mssql_server.create_database()
    db.execute("CREATE TABLE t (id int PRIMARY KEY, n numeric(12,2), v text, must text, c int, u int)",
               "INSERT INTO t " + ROW.format(a=1, b=ROWS))
    ms.execute(*TARGET)
    poison = {i for i in range(1, ROWS + 1) if i % 100 == 37}
    pipe = ToMs(release_engine, db, ms, tables=["public.t"], schema="freeze", sink={"load_into": "truncate"},
                more={"on_error": {"rows": "dlq"}})

    def killed(times: int, score: Score) -> None:
        for _ in range(times):
            run = pipe.start()
            sleep_or_end(run, chance.uniform(0.2, 1.2))
            run.kill9()
            score.fault()

    try:
        with Score("T13", f"pg -> sqlserver, {len(poison)} rows of {ROWS} are poison, killed") as score:
            killed(3, score)
            result = pipe.once(timeout=120, rc=None)
            assert result.rc == 4 and "sluice dlq list" in result.stderr, result.describe()
            assert sorted(letters(ms)) == sorted(poison)
            assert {i for (i,) in ms.query("SELECT id FROM [public].[t]")} == set(range(1, ROWS + 1)) - poison
            db.execute("INSERT INTO t " + ROW.format(a=ROWS + 1, b=ROWS + 600), "DELETE FROM t WHERE id % 100 = 11",
                       "UPDATE t SET c = CASE WHEN id % 100 = 50 THEN -id ELSE c END WHERE id % 10 = 0")
            killed(3, score)
            pipe.once(timeout=120, rc=None)
            ms.execute(*MEND)
            pipe.engine.cmd("dlq", "replay", str(pipe.path), "--all", timeout=120).expect(0)
            score.took(pipe.compare_tables(["public.t"]))
            score.survive(score.faults)
    finally:
        pipe.close()
