"""T14 with SQL Server (the stand-in): every type there and back, from PostgreSQL through SQL Server into PostgreSQL,
and from SQL Server into SQL Server; what no type holds is refused row by row, and nothing else is other."""

from __future__ import annotations

import base64
import json

import pyarrow.csv
import pytest
from integration import test_sqlserver_source, test_types
from support.mssql import MsReplica, ToMs, enable
from support.score import Score

from fault.test_t14_types import create

# What the mapping page says of these: no NaN, no infinity, times of the years 1 to 9999 and within a day.
REFUSED = {"real": 3, "double precision": 3, "date": 5, "time": 1, "timestamp": 5, "timestamptz": 4,
           "numeric(15,2)": 1}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_there_and_back(release_engine, db, ms, target):
    """Loads by bulk insert, then the same values as changes; and back by a load. Each value casts to what it was."""
    relations = create(db, test_types.TYPES)
    there = ToMs(release_engine, db, ms, tables=["public.ty_*"], more={"on_error": {"rows": "dlq"}})
    back = MsReplica(release_engine, ms, target, tables=["public.ty_*"], mode="full_load_only",
                     name=f"b_{db.name[-9:]}")
    target.execute(*test_types.PRELUDE)
    try:
        with Score("T14", f"pg -> sqlserver -> pg, {len(relations)} types") as score:
            there.once(timeout=180, rc=None)
            db.execute(*(f"INSERT INTO {name} SELECT id + 1000, v FROM {name} WHERE id < 1000" for name in relations))
            there.once(timeout=180, rc=4)
            back.once(timeout=180)
            score.fault(len(relations))
            refused: dict[str, set[int]] = {}
            for stream, row in ms.query("SELECT stream, [row] FROM [sluice].[letters]"):
                refused.setdefault(stream, set()).add(json.loads(row)["id"])
            bad = []
            for name, kind in relations.items():
                gone = refused.get(name, set())
                want = [row for row in db.query(f"SELECT id, v::text FROM {name} ORDER BY 1") if row[0] not in gone]
                have = target.query(f"SELECT id, v::{kind}::text FROM {name} ORDER BY 1")
                score.rows += len(want)
                if want != have:
                    bad.append(f"{kind}: {[p for p in zip(want, have) if p[0] != p[1]][:3]} {len(want)} {len(have)}")
                if len(gone) != 2 * REFUSED.get(kind, 0):
                    bad.append(f"{kind}: refused {sorted(gone)}")
            assert not bad, "\n".join(bad)
            score.survive(len(relations))
    finally:
        there.close()
        back.close()


ODD = "odd ]name' \"of\" a.column"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_sql_server_to_sql_server(release_engine, mssql_server):
    """Every type with its edges, under names that must be quoted: the load, then the same as changes."""
    source, target = mssql_server.create_database(), mssql_server.create_database()
    column, names = "[" + ODD.replace("]", "]]") + "]", {}
    for number, (kind, text, _want) in enumerate(test_sqlserver_source.TYPES):
        names[f"[ty ]]{number:02}']"] = kind
        table = f"dbo.[ty ]]{number:02}']"
        source.execute(f"CREATE TABLE {table} (id int NOT NULL PRIMARY KEY, {column} {kind} NULL)",
                       f"INSERT INTO {table} VALUES (1, {text}), (2, NULL)")
    enable(source, *(name[1:-1].replace("]]", "]") for name in names))
    pipe = ToMs(release_engine, source, target, source={"fine_times": "text"})
    try:
        with Score("T14", f"sqlserver -> sqlserver, {len(names)} types") as score:
            pipe.once(timeout=180)
            for name, (kind, text, _want) in zip(names, test_sqlserver_source.TYPES, strict=True):
                source.execute(f"INSERT INTO dbo.{name} VALUES (3, {text}), (4, NULL)",
                               f"UPDATE dbo.{name} SET {column} = {text} WHERE id = 2",
                               f"DELETE FROM dbo.{name} WHERE id = 4")
            pipe.once(timeout=180)
            score.fault(len(names))
            bad = []
            for name, kind in names.items():
                query = f"SELECT id, {column} FROM dbo.{name} ORDER BY id"
                want, have = source.query(query), target.query(query)
                score.rows += len(want)
                if want != have:
                    bad.append(f"{kind}: {want} {have}")
            assert not bad, "\n".join(bad)
            score.survive(len(names))
    finally:
        pipe.close()


# As docs/type-mapping.md has it, by the base type: what a file's values are put into to be read again.
BETWEEN = {"bit": "boolean", "tinyint": "smallint", "smallint": "smallint", "int": "integer", "bigint": "bigint",
           "real": "real", "float": "double precision", "money": "numeric(19,4)", "smallmoney": "numeric(10,4)",
           "binary": "bytea", "varbinary": "bytea", "image": "bytea", "uniqueidentifier": "uuid", "date": "date",
           "datetime": "timestamp", "smalldatetime": "timestamp"}


def between(kind: str) -> str:
    name, _, digits = kind.partition("(")
    if name == "decimal":
        return f"numeric({digits}"
    if name in ("time", "datetime2"):  # fine_times: text
        return "text" if digits == "7)" else {"time": "time", "datetime2": "timestamp"}[name]
    return BETWEEN.get(name, "text")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("format", ["jsonl", "csv"])
def test_by_way_of_files(release_engine, mssql_server, db, workdir, format):
    """SQL Server into files; read by a reader of the test's own; and back: the files have all that there was."""
    source, target = mssql_server.create_database(), mssql_server.create_database()
    kinds = [kind for kind, _text, _want in test_sqlserver_source.TYPES]
    for number, (kind, text, _want) in enumerate(test_sqlserver_source.TYPES):
        statement = f"CREATE TABLE dbo.t{number:02} (id int NOT NULL PRIMARY KEY, v {kind} NULL)"
        source.execute(statement, f"INSERT INTO dbo.t{number:02} VALUES (1, {text}), (2, NULL), (3, {text})")
        target.execute(statement)
    release_engine.run(test_sqlserver_source.pipeline(
        source.config(fine_times="text"), test_sqlserver_source.to_files(workdir, format=format))).expect(0)
    db.execute("CREATE SCHEMA dbo")
    with db.connect() as conn:
        for number, kind in enumerate(kinds):
            to = between(kind)
            conn.execute(f"CREATE TABLE dbo.t{number:02} (id int PRIMARY KEY, v {to})")
            for row in values_in_files(workdir, f"dbo.t{number:02}", format):
                value: str | bytes | None = row[1]
                if row[1] is not None and to == "bytea" and format == "jsonl":
                    value = base64.b64decode(row[1])
                conn.execute(f"INSERT INTO dbo.t{number:02} VALUES (%s::text::int, CAST(%s AS {to}))", [row[0], value])
    back = ToMs(release_engine, db, target, mode="full_load_only", schema="freeze", tables=["dbo.*"])
    with Score("T14", f"sqlserver -> {format} files -> sqlserver, {len(kinds)} types") as score:
        back.once(timeout=180)
        score.fault(len(kinds))
        bad = []
        for number, kind in enumerate(kinds):
            query = f"SELECT id, v FROM dbo.t{number:02} ORDER BY id"
            want, have = source.query(query), target.query(query)
            score.rows += len(want)
            if want != have or len(want) != 3:
                bad.append(f"{kind}: {want} {have}")
        assert not bad, "\n".join(bad)
        score.survive(len(kinds))


def values_in_files(workdir, stream: str, format: str) -> list[list[str | None]]:
    """(id, v) of the newest load, each as the text that stands there."""
    lake = workdir / "lake"
    manifests = [json.loads(path.read_text()) for path in sorted(lake.glob("_sluice/ms/out/commits/*.json"))]
    paths = [lake / file["key"] for m in manifests if m["kind"] == "full" for file in m["files"]
             if file["stream"] == stream]
    out: list[list[str | None]] = []
    for path in paths:
        if format == "jsonl":
            for line in path.read_text().splitlines():
                row = json.loads(line, parse_float=str, parse_int=str)
                out.append([row["id"], {True: "t", False: "f"}[row["v"]] if isinstance(row["v"], bool) else row["v"]])
        else:
            # NULL is nothing, an empty text is two quotes, which Python's reader does not tell apart.
            table = pyarrow.csv.read_csv(path, parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
                                         convert_options=pyarrow.csv.ConvertOptions(
                                             column_types={"id": "string", "v": "string"}, strings_can_be_null=True,
                                             quoted_strings_can_be_null=False, null_values=[""]))
            out += [list(row) for row in zip(*(column.to_pylist() for column in table.columns), strict=True)]
    return out
