"""SQL Server's tables of docs/type-mapping.md are what `sluice plan` says; SLUICE_WRITE_DOCS=1 writes them."""

from __future__ import annotations

import os
import re

from support.mssql import ms_sink
from support.pgsink import pg_sink
from support.sluice import ROOT

DOC = ROOT / "docs" / "type-mapping.md"

SQL_SERVER = (
    "bit", "tinyint", "smallint", "int", "bigint", "decimal(12,3)", "numeric(38,10)", "money", "smallmoney", "real",
    "float", "char(5)", "varchar(20)", "varchar(max)", "nchar(5)", "nvarchar(20)", "nvarchar(max)", "text", "ntext",
    "xml", "binary(4)", "varbinary(10)", "varbinary(max)", "image", "rowversion", "uniqueidentifier", "date", "time(3)",
    "time(7)", "datetime", "smalldatetime", "datetime2(3)", "datetime2(7)", "datetimeoffset(3)", "hierarchyid",
    "geography", "sql_variant",
)
POSTGRESQL = (
    "boolean", "smallint", "integer", "bigint", "numeric(12,3)", "numeric(38,10)", "numeric(60,5)", "numeric", "real",
    "double precision", "money", "text", "varchar(20)", "char(5)", "bytea", "uuid", "date", "time", "timetz",
    "timestamp", "timestamptz", "interval", "json", "jsonb", "xml", "inet", "bit(5)", "integer[]", "point", "tsvector",
)


COLUMN = re.compile(r'["\[](c\d\d)["\]] ([a-z][a-z0-9 ]*?(?:\([a-z0-9,]+\))?(?: with(?:out)? time zone)?)'
                    r'(?= COLLATE| NOT NULL| NULL|,|\)$)')


def made(statements: list[str]) -> dict[str, str]:
    """Column → type of a CREATE TABLE of either dialect."""
    return {name: kind for statement in statements for name, kind in COLUMN.findall(statement)}


def table(head: str, kinds: tuple[str, ...], streams: list[dict]) -> str:
    """One row a type: how it is delivered, and what each sink makes of it."""
    columns = {column["name"]: column["type"] for column in streams[0]["columns"]}
    targets = [made(stream["statements"]) for stream in streams]
    lines = [head, "|---" * (2 + len(targets)) + "|"]
    for number, kind in enumerate(kinds):
        name = f"c{number:02}"
        lines.append("| " + " | ".join([kind, columns[name], *(target[name] for target in targets)]) + " |")
    return "\n".join(lines)


def check(marker: str, want: str) -> None:
    begin, end = f"<!-- {marker} -->\n", f"\n<!-- end of {marker} -->"
    text = DOC.read_text()
    at = text.index(begin) + len(begin)
    to = text.index(end, at)
    if os.environ.get("SLUICE_WRITE_DOCS"):
        DOC.write_text(text[:at] + want + text[to:])
        return
    assert text[at:to] == want, f"{DOC} is stale: SLUICE_WRITE_DOCS=1 scripts/test integration -k mapping"


def plan(engine, document) -> list[dict]:
    return engine.cmd("plan", "--json", str(engine.write(document, "mapping.yaml"))).expect(0).json()["streams"]


def test_from_sql_server(engine, mssql_server, ms, target):
    columns = ", ".join(f"c{number:02} {kind}" for number, kind in enumerate(SQL_SERVER))
    ms.execute(f"CREATE TABLE dbo.t ({columns})")
    source = {"plugin": "sqlserver", "config": ms.config(encrypt="off"), "tables": {"include": ["dbo.t"]}}
    sinks = {"a": pg_sink(target), "b": ms_sink(mssql_server.create_database())}
    streams = plan(engine, {"version": 1, "name": "mapping", "mode": "full_load_only", "sources": {"src": source},
                            "sinks": {name: {"inputs": ["src"], **sink} for name, sink in sinks.items()}})
    check("from SQL Server", table("| SQL Server | delivered as | in PostgreSQL | in SQL Server |", SQL_SERVER,
                                   sorted(streams, key=lambda stream: stream["sink"])))


def test_into_sql_server(engine, db, ms):
    columns = ", ".join(f"c{number:02} {kind}" for number, kind in enumerate(POSTGRESQL))
    db.execute(f"CREATE TABLE t ({columns})")
    source = {"plugin": "postgres", "config": db.config(), "tables": {"include": ["public.t"]}}
    streams = plan(engine, {"version": 1, "name": "mapping", "mode": "full_load_only", "sources": {"src": source},
                            "sinks": {"a": {"inputs": ["src"], **ms_sink(ms)}}})
    check("into SQL Server", table("| PostgreSQL | delivered as | in SQL Server |", POSTGRESQL, streams))
