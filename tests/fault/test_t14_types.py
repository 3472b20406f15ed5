"""T14: every type, as a load and as a change, from a session that tries to spoil it: the same bytes, equal
to what the source says of itself."""

from __future__ import annotations

import pytest
from integration.test_types import PRELUDE, TYPES
from support import changes
from support.pipe import file_sink
from support.score import Score

# Types that have a binary form which the engine reads.
BINARY = ("boolean", "smallint", "integer", "bigint", "oid", "real", "double precision", "numeric(15,2)",
          "numeric(38,10)", "text", "varchar(10)", "bytea", "date", "time", "timestamp", "timestamptz", "uuid", "jsonb")

# What no identity index or update can find again is found by id alone.
NAMES = {"a\"b": '"a""b"', "x]y": '"x]y"', "Ünïcode": '"Ünïcode"', "select; drop": '"select; drop"',
         "x" * 63: '"' + "x" * 63 + '"'}


def create(db, kinds) -> dict[str, str]:
    """One table a type, filled; returns relation → type."""
    statements, relations = list(PRELUDE), {}
    for number, kind in enumerate(kinds):
        relation = f"public.ty_{number:03d}"
        relations[relation] = kind
        rows = [f"({at}, CAST({value} AS {kind}))" for at, value in enumerate([*TYPES[kind], "NULL"])]
        statements += [f"CREATE TABLE {relation} (id int PRIMARY KEY, v {kind})",
                       f"INSERT INTO {relation} VALUES {', '.join(rows)}"]
    db.execute(*statements)
    return relations


def change(db, relations) -> None:
    """The same values again, as inserts, as updates, as old rows under FULL."""
    statements = []
    for relation in relations:
        statements += [
            f"INSERT INTO {relation} SELECT id + 1000, v FROM {relation} WHERE id < 1000 ORDER BY id",
            f"INSERT INTO {relation} SELECT id + 2000, NULL FROM {relation} WHERE id < 1000",
            f"UPDATE {relation} t SET v = s.v FROM {relation} s WHERE t.id = s.id + 2000 AND s.id < 1000",
            f"ALTER TABLE {relation} REPLICA IDENTITY FULL",
            f"UPDATE {relation} SET id = id + 1000 WHERE id >= 2000",
            f"INSERT INTO {relation} SELECT id + 9000, v FROM {relation} WHERE id < 1000",
            f"DELETE FROM {relation} WHERE id >= 9000",
        ]
    db.execute(*statements)


def value_text(line: str) -> str:
    """The bytes of v, the last column."""
    return line[line.index('"v":') + 4 : -1]


@pytest.mark.slow
@pytest.mark.parametrize("fmt, binary", [("jsonl", "auto"), ("jsonl", "off"), ("jsonl", "on"), ("csv", "auto")])
def test_every_type(engine, hostile_db, make_pipe, fmt, binary):
    relations = create(hostile_db, [kind for kind in TYPES if binary != "on" or kind in BINARY])
    sink = file_sink(engine.workdir / "lake", format=fmt)
    pipe = make_pipe({"lake": sink}, on=hostile_db, tables=["public.ty_*"], source={"binary": binary})
    with Score("T14", f"{len(relations)} types, {fmt}, binary {binary}") as score:
        pipe.once()
        change(hostile_db, relations)
        pipe.once(timeout=180)
        score.fault(len(relations))
        feed = pipe.feed()
        bad = []
        found = []
        for relation, kind in relations.items():
            outcome = changes.compare(feed, hostile_db, relation)
            found.append(outcome)
            if not outcome.ok:
                bad.append(f"{kind}: {outcome}")
        assert not bad, "\n".join(bad)
        score.took(changes.totals(found))
        if fmt == "jsonl":
            same_bytes(pipe, relations)
        score.survive(len(relations))


def same_bytes(pipe, relations) -> None:
    """A value has the same bytes in the load, in an insert and in an update."""
    read = pipe.feed().lake
    for relation, kind in relations.items():
        by_id = {}
        stream = read.stream(relation)
        for line in stream.lines():
            by_id[changes.number(changes.decode(line)["id"])] = value_text(line)
        count = len(by_id)
        for file in stream.changes:
            for line in file.lines():
                row = changes.decode(line)
                if row["_op"] in "IU" and changes.number(row["id"]) < 9000:
                    by_id[changes.number(row["id"])] = value_text(line)
        for number in range(count):
            texts = {by_id[number], by_id[number + 1000], by_id[number + 3000]}
            assert len(texts) == 1, f"{kind}: {texts}"


@pytest.mark.slow
def test_names(hostile_db, make_pipe):
    """Names that would be something else unquoted, in tables, columns, schemas, publication and slot."""
    db = hostile_db
    statements = ["CREATE TABLE canary (id int PRIMARY KEY)", "INSERT INTO canary VALUES (1)"]
    relations = {}
    from support.lake import stream_name

    for number, (name, quoted) in enumerate(NAMES.items()):
        schema = '"Other; DROP TABLE canary"' if number % 2 else "public"
        if number == 1:
            statements.append(f"CREATE SCHEMA {schema}")
        statements += [f"CREATE TABLE {schema}.{quoted} ({quoted} int PRIMARY KEY, v text)",
                       f"INSERT INTO {schema}.{quoted} VALUES (1, 'x')"]
        relations[stream_name(schema.strip('"'), name)] = f"{schema}.{quoted}"
    db.execute(*statements)
    pipe = make_pipe({"lake": "file"}, on=db, tables={"include": ["re:.*"]},
                     source={"publication": 'Pub"lication; x'})
    with Score("T14", "names") as score:
        pipe.once()
        for relation in relations.values():
            column = relation.split(".", 1)[1]
            db.execute(f"INSERT INTO {relation} VALUES (2, 'y'), (3, 'z')",
                       f"UPDATE {relation} SET v = 'u' WHERE {column} = 1",
                       f"UPDATE {relation} SET {column} = 9 WHERE {column} = 2",
                       f"DELETE FROM {relation} WHERE {column} = 3")
        pipe.once()
        score.took(pipe.compare({**relations, "public.canary": "canary"}))
        score.fault(len(relations))
        score.survive(len(relations))
        assert db.value("SELECT pubname FROM pg_publication") == 'Pub"lication; x'
