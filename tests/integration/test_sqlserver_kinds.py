"""Columns and tables of SQL Server (the stand-in) that are not as others: sql_variant, alias types, sparse columns and
column sets, tables with versions, of a graph, in columns, under Always Encrypted."""

from __future__ import annotations

import json

import pytest
from support.mssql import MsReplica, ToMs, enable, track
from test_sqlserver_source import pipeline, rows_of, to_files

# Base type, what is in it, what is delivered.
VARIANTS = [
    ("int", "-5", "-5"), ("bigint", "9223372036854775807", "9223372036854775807"), ("bit", "1", "1"),
    ("decimal", "12.3400", "12.3400"), ("money", "-922337203685477.5808", "-922337203685477.5808"),
    ("smallmoney", "1.5000", "1.5000"), ("float", "0.1", "1.0000000000000001e-001"),
    ("real", "0.1", "1.00000001e-001"), ("nvarchar", "héé€😀 'x'", "héé€😀 'x'"), ("varchar", "ab" * 4000, "ab" * 4000),
    ("char", "ab   ", "ab   "), ("varbinary", "\\x00ff10", "0x00FF10"), ("binary", "\\x0100", "0x0100"),
    ("datetime", "2024-02-29 12:34:56.997", "2024-02-29 12:34:56.997"),
    ("smalldatetime", "2079-06-06 23:59:00", "2079-06-06 23:59:00"),
    ("datetime2", "0001-01-01 00:00:00.1234567", "0001-01-01 00:00:00.1234567"), ("date", "9999-12-31", "9999-12-31"),
    ("time", "23:59:59.9999999", "23:59:59.9999999"),
    ("datetimeoffset", "2024-02-29 23:59:59.1234567 +05:30", "2024-02-29 23:59:59.1234567 +05:30"),
    ("uniqueidentifier", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
]


def put(ms, table: str, first: int = 0) -> None:
    """Rows of variants: what their base type is only the stand-in's own form can say."""
    with ms.server.connect(ms.name) as conn:
        for number, (kind, value, _want) in enumerate(VARIANTS, first):
            conn.execute(f"INSERT INTO dbo.{table} VALUES (%s, ROW(%s, %s)::tds.variant)", [number, kind, value])
        conn.execute(f"INSERT INTO dbo.{table} VALUES (%s, NULL)", [first + len(VARIANTS)])


def wanted(first: int = 0) -> dict[int, str | None]:
    return {**{first + n: want for n, (_kind, _value, want) in enumerate(VARIANTS)}, first + len(VARIANTS): None}


@pytest.mark.parametrize("way", ["cdc", "change_tracking"])
def test_variants(engine, ms, target, way):
    """The value that is in it, with all its digits, in the load and in changes."""
    ms.execute(f"ALTER DATABASE [{ms.name}] SET ALLOW_SNAPSHOT_ISOLATION ON",
               "CREATE TABLE t (id int NOT NULL PRIMARY KEY, [v ]] '] sql_variant NULL)")
    put(ms, "t")
    enable(ms, "t") if way == "cdc" else track(ms, "t")
    pipe = MsReplica(engine, ms, target, source={"capture": way}, tables=["dbo.t"])
    try:
        pipe.once()
        assert dict(target.query('SELECT id, "v ] \'" FROM dbo.t')) == wanted()
        put(ms, "t", 100)
        with ms.server.connect(ms.name) as conn:
            conn.execute("UPDATE dbo.t SET \"v ] '\" = ROW('date', '2000-01-01')::tds.variant WHERE id = 0")
            conn.execute("DELETE FROM dbo.t WHERE id = 1")
        pipe.once()
        want = {**wanted(), **wanted(100), 0: "2000-01-01"}
        del want[1]
        assert dict(target.query('SELECT id, "v ] \'" FROM dbo.t')) == want
    finally:
        pipe.close()


def test_variants_into_sql_server(engine, mssql_server, ms):
    """There they are texts."""
    other = mssql_server.create_database()
    ms.execute("CREATE TABLE t (id int NOT NULL PRIMARY KEY, v sql_variant NULL)")
    put(ms, "t")
    pipe = ToMs(engine, ms, other, mode="full_load_only")
    pipe.once()
    assert dict(other.query("SELECT id, v FROM dbo.t")) == wanted()
    kind = other.query("SELECT t.name, c.max_length FROM sys.columns c JOIN sys.types t ON t.user_type_id ="
                       " c.user_type_id WHERE c.object_id = OBJECT_ID('dbo.t') AND c.name = 'v'")
    assert kind == [("nvarchar", -1)]


def test_xml(engine, ms, workdir):
    """Decoded by us: what is outside of the first plane, too."""
    text = "<a b=\"é\">" + "😀€ü" * 30000 + "</a>"
    ms.execute("CREATE TABLE t (id int NOT NULL PRIMARY KEY, v xml NULL)",
               f"INSERT INTO t VALUES (1, N'{text}'), (2, NULL), (3, N'')")
    engine.run(pipeline(ms.config(), to_files(workdir))).expect(0)
    assert rows_of(workdir, "dbo.t") == [{"id": 1, "v": text}, {"id": 2, "v": None}, {"id": 3, "v": ""}]


def test_alias_types(engine, ms, target):
    """As their base type."""
    ms.execute("CREATE TYPE dbo.phone_of_test FROM nvarchar(20) NOT NULL",
               "CREATE TYPE dbo.price_of_test FROM decimal(12,3)",
               "CREATE TABLE t (id int NOT NULL PRIMARY KEY, a dbo.phone_of_test NULL, p price_of_test NULL)",
               "INSERT INTO t VALUES (1, N'+49é', 1.125)")
    enable(ms, "t")
    pipe = MsReplica(engine, ms, target, tables=["dbo.t"])
    try:
        pipe.once()
        ms.execute("INSERT INTO t VALUES (2, N'2', -0.5)")
        pipe.once()
        assert target.query("SELECT id, a, p::text FROM dbo.t ORDER BY id") == [
            (1, "+49é", "1.125"), (2, "2", "-0.500")]
        kinds = target.query("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid ="
                             " 'dbo.t'::regclass AND attnum > 0 ORDER BY attnum")
        assert kinds == [("integer",), ("text",), ("numeric(12,3)",)]
    finally:
        pipe.close()


def test_sparse_columns_and_their_set(engine, ms, target):
    """Sparse columns are columns; the set of them, which is the same again as xml, is none."""
    ms.execute("CREATE TABLE t (id int NOT NULL PRIMARY KEY, a int SPARSE NULL, b nvarchar(20) SPARSE NULL,"
               " s xml COLUMN_SET FOR ALL_SPARSE_COLUMNS)", "INSERT INTO t (id, a) VALUES (1, 7)",
               "INSERT INTO t (id, b) VALUES (2, N'x')")
    enable(ms, "t")
    pipe = MsReplica(engine, ms, target, tables=["dbo.t"])
    try:
        pipe.once()
        ms.execute("UPDATE t SET b = N'y' WHERE id = 1", "INSERT INTO t (id) VALUES (3)")
        pipe.once()
        assert target.query("SELECT * FROM dbo.t ORDER BY id") == [(1, 7, "y"), (2, None, "x"), (3, None, None)]
    finally:
        pipe.close()


def test_tables_with_versions(engine, ms, workdir):
    """A temporal table's periods are columns as others, hidden or not; its history is a table as others."""
    period = ("at datetime2(7) GENERATED ALWAYS AS ROW START HIDDEN NOT NULL, until datetime2(7) GENERATED ALWAYS AS"
              " ROW END HIDDEN NOT NULL, PERIOD FOR SYSTEM_TIME (at, until)")
    ms.execute(f"CREATE TABLE t (id int NOT NULL PRIMARY KEY, v int NULL, {period}) WITH (SYSTEM_VERSIONING = ON"
               " (HISTORY_TABLE = dbo.t_history))", "INSERT INTO t (id, v) VALUES (1, 2)",
               "CREATE TABLE t_history (id int NOT NULL, v int NULL, at datetime2(7) NOT NULL, until datetime2(7) NOT"
               " NULL)", "INSERT INTO t_history VALUES (1, 1, '2020-01-01', '2021-01-01')")
    engine.run(pipeline(ms.config(fine_times="text"), to_files(workdir))).expect(0)
    (row,) = rows_of(workdir, "dbo.t")
    assert (row["id"], row["v"], row["until"]) == (1, 2, "9999-12-31T23:59:59.9999999") and row["at"] > "2026"
    assert rows_of(workdir, "dbo.t_history") == [
        {"id": 1, "v": 1, "at": "2020-01-01T00:00:00.0000000", "until": "2021-01-01T00:00:00.0000000"}]


def test_tables_of_a_graph(engine, ms, workdir):
    """Ids that cannot be selected are left out; what the server computes of them is delivered."""
    ms.execute("CREATE TABLE person (id int NOT NULL PRIMARY KEY, name nvarchar(20) NULL) AS NODE",
               "CREATE TABLE likes (since int NULL) AS EDGE", "INSERT INTO person (id, name) VALUES (1, N'Ann')",
               "INSERT INTO likes (since) VALUES (1999)")
    engine.run(pipeline(ms.config(), to_files(workdir))).expect(0)
    (node,), (edge,) = rows_of(workdir, "dbo.person"), rows_of(workdir, "dbo.likes")
    assert list(node) == ["id", "name", "$node_id_PERSON"] and node["name"] == "Ann"
    assert json.loads(node["$node_id_PERSON"])["table"] == "person"
    assert list(edge) == ["since", "$edge_id_LIKES", "$from_id_LIKES", "$to_id_LIKES"] and edge["since"] == 1999


def test_a_table_in_columns(engine, ms, workdir):
    ms.execute("CREATE TABLE t (id int NOT NULL, v nvarchar(20) NULL, INDEX cci CLUSTERED COLUMNSTORE)",
               "INSERT INTO t VALUES (1, N'a'), (2, N'b')")
    engine.run(pipeline(ms.config(), to_files(workdir))).expect(0)
    assert rows_of(workdir, "dbo.t") == [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}]


def test_always_encrypted(engine, ms, workdir):
    """Ciphertext is never taken for data: the table is refused by the column's name until that is left out."""
    ms.execute("CREATE TABLE t (id int NOT NULL PRIMARY KEY, ssn varbinary(20) ENCRYPTED WITH (ENCRYPTION_TYPE ="
               " RANDOMIZED) NULL)", "INSERT INTO t VALUES (1, 0x0102)", "CREATE TABLE u (id int)",
               "INSERT INTO u VALUES (2)")
    document = pipeline(ms.config(), to_files(workdir))
    failed = engine.run(document).expect(1)
    assert "dbo.t" in failed.stderr and "column ssn is under Always Encrypted" in failed.stderr, failed.describe()
    checked = engine.cmd("check", str(engine.write(document)))
    assert checked.rc != 0 and "dbo.t: column ssn is under Always Encrypted" in checked.output, checked.describe()
    document["sources"]["src"]["tables"]["rules"] = [{"match": "dbo.t", "columns": {"exclude": ["ssn"]}}]
    engine.run(document).expect(0)
    assert rows_of(workdir, "dbo.t") == [{"id": 1}] and rows_of(workdir, "dbo.u") == [{"id": 2}]
