"""Texts in code pages other than 1252, out of SQL Server and into it, against the stand-in (tests/support/tds)."""

from __future__ import annotations

import pytest
from integration.test_mssink_load import pipeline as into
from integration.test_sqlserver_source import pipeline, rows_of, to_files
from support.mssql import MsReplica, enable

# collation → what its code page has
PAGES = {
    "Cyrillic_General_CI_AS": "Привет, ёж №1",
    "Japanese_CI_AS": "日本語ｶﾅ表予",
    "Latin1_General_100_CI_AS_SC_UTF8": "ü€日本😀",
    "SQL_Latin1_General_CP1_CI_AS": "äöü€Ž",
}


@pytest.mark.parametrize("collation", PAGES)
def test_a_load_has_each_code_page(engine, ms, workdir, collation):
    text = PAGES[collation]
    kinds = {"v": "varchar(60)", "w": "varchar(5000)", "m": "varchar(max)", "t": "text", "c": "char(60)"}
    listed = ", ".join(f"{name} {kind} COLLATE {collation} NULL" for name, kind in kinds.items())
    ms.execute(f"CREATE TABLE t (id int PRIMARY KEY, {listed})",
               f"INSERT INTO t VALUES (1, N'{text}', N'{text * 90}', N'{text * 900}', N'{text}', N'{text}')",
               "INSERT INTO t VALUES (2, '', '', '', '', '')",
               "INSERT INTO t (id) VALUES (3)")
    engine.run(pipeline(ms.config(), to_files(workdir))).expect(0)
    first, second, third = sorted(rows_of(workdir, "dbo.t"), key=lambda row: row["id"])
    assert (first["v"], first["w"], first["m"], first["t"]) == (text, text * 90, text * 900, text)
    assert first["c"].rstrip(" ") == text
    assert (second["v"], second["w"], second["m"], second["t"], second["c"].strip()) == ("", "", "", "", "")
    assert set(third.values()) == {3, None}


# python-tds does not know the flag of UTF-8.
@pytest.mark.parametrize("collation", [name for name in PAGES if "UTF8" not in name])
def test_the_server_sends_bytes_of_the_code_page(ms, collation):
    ms.execute(f"CREATE TABLE t (id int PRIMARY KEY, v varchar(60) COLLATE {collation})",
               f"INSERT INTO t VALUES (1, N'{PAGES[collation]}')")
    assert ms.rows("SELECT v FROM t") == [(PAGES[collation],)]
    assert ms.query("SELECT collation_name FROM sys.columns WHERE name = 'v'") == [(collation,)]


@pytest.mark.parametrize("collation", ["Cyrillic_General_CI_AS", "Latin1_General_100_CI_AS_SC_UTF8"])
def test_changes_have_each_code_page(engine, ms, target, collation):
    text = PAGES[collation]
    ms.execute(f"CREATE TABLE dbo.t (id int NOT NULL PRIMARY KEY, v varchar(60) COLLATE {collation} NULL)",
               f"INSERT INTO dbo.t VALUES (1, N'{text}')")
    enable(ms, "t")
    copy = MsReplica(engine, ms, target)
    try:
        copy.once()
        ms.execute(f"INSERT INTO dbo.t VALUES (2, N'{text}2')", f"UPDATE dbo.t SET v = N'{text}1' WHERE id = 1")
        copy.once()
    finally:
        copy.close()
    assert target.query("SELECT id, v FROM dbo.t ORDER BY id") == [(1, text + "1"), (2, text + "2")]


@pytest.mark.parametrize("collation", PAGES)
def test_into_columns_of_each_code_page(engine, db, ms, collation):
    db.execute("CREATE SCHEMA app", "CREATE TABLE app.t (id int PRIMARY KEY, v text)",
               f"INSERT INTO app.t VALUES (1, '{PAGES[collation]}'), (2, ''), (3, NULL)")
    ms.execute("CREATE SCHEMA app",
               f"CREATE TABLE [app].[t] (id int NOT NULL PRIMARY KEY, v varchar(60) COLLATE {collation} NULL)")
    engine.run({**into(db, ms), "schema": "freeze"}).expect(0)
    with ms.server.connect(ms.name) as conn:
        assert conn.execute("SELECT id, v FROM app.t ORDER BY id").fetchall() == [
            (1, PAGES[collation]), (2, ""), (3, None)]
        assert conn.execute("SELECT type FROM tds.columns WHERE name = 'v'").fetchall() == [("varchar",)]


def test_what_a_code_page_has_not_is_refused(engine, db, ms):
    db.execute("CREATE SCHEMA app", "CREATE TABLE app.t (id int PRIMARY KEY, v text)",
               "INSERT INTO app.t VALUES (1, '日本')")
    ms.execute("CREATE SCHEMA app",
               "CREATE TABLE [app].[t] (id int NOT NULL PRIMARY KEY, v varchar(60) COLLATE Cyrillic_General_CI_AS)")
    failed = engine.run({**into(db, ms), "schema": "freeze"}).expect(1)
    assert "column v" in failed.stderr, failed.describe()
    with ms.server.connect(ms.name) as conn:
        assert conn.execute("SELECT count(*) FROM app.t").fetchall() == [(0,)]
