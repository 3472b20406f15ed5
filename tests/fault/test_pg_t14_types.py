"""T14 into tables: every type, loaded, inserted, updated and deleted, from a session that tries to spoil it
into tables that are made for it; EXCEPT ALL is empty both ways."""

from __future__ import annotations

import pytest
from integration.test_types import TYPES
from support import pgsink
from support.score import Score

from fault.test_t14_types import NAMES, change, create


def except_all(source, target, relations) -> list[str]:
    """By a foreign key of text: both sides as text, since the databases are two."""
    bad = []
    for relation, kind in relations.items():
        query = f"SELECT id, v::text FROM {relation} ORDER BY 1"
        want, have = source.query(query), target.query(query)
        if want != have:
            lost = [row for row in want if row not in have][:2]
            more = [row for row in have if row not in want][:2]
            bad.append(f"{kind}: lost {lost} surplus {more}")
    return bad


@pytest.mark.slow
@pytest.mark.parametrize("binary, small_rows", [("auto", 64), ("off", 0), ("on", 0)])
def test_every_type(hostile_db, target, make_replica, binary, small_rows):
    from fault.test_t14_types import BINARY

    relations = create(hostile_db, [kind for kind in TYPES if binary != "on" or kind in BINARY])
    replica = make_replica(on=hostile_db, tables=["public.ty_*"], source={"binary": binary},
                           sink={"small_rows": small_rows})
    with Score("T14", f"into tables, {len(relations)} types, binary {binary}, small_rows {small_rows}") as score:
        replica.once(timeout=180)
        bad = except_all(hostile_db, target, relations)
        assert not bad, "the load:\n" + "\n".join(bad)
        change(hostile_db, relations)
        replica.once(timeout=180)
        score.fault(len(relations))
        bad = except_all(hostile_db, target, relations)
        assert not bad, "\n".join(bad)
        types = ("SELECT format_type(atttypid, atttypmod) FROM pg_attribute"
                 " WHERE attrelid = '{}'::regclass AND attname = 'v'")
        other = {}
        for relation, kind in relations.items():
            here, there = hostile_db.value(types.format(relation)), target.value(types.format(relation))
            if here != there:
                other[kind] = f"{here} became {there}"
        print(f"types that are not the same: {other}")
        for relation in relations:
            score.rows += target.value(f"SELECT count(*) FROM {relation}")
        score.survive(len(relations))


@pytest.mark.slow
def test_names(hostile_db, target, make_replica):
    db = hostile_db
    relations = []
    statements = ["CREATE TABLE canary (id int PRIMARY KEY)", "INSERT INTO canary VALUES (1)"]
    for number, (_name, quoted) in enumerate(NAMES.items()):
        schema = '"Other; DROP TABLE canary"' if number % 2 else "public"
        if number == 1:
            statements.append(f"CREATE SCHEMA {schema}")
        statements += [f"CREATE TABLE {schema}.{quoted} ({quoted} int PRIMARY KEY, v text)",
                       f"INSERT INTO {schema}.{quoted} VALUES (1, 'x')"]
        relations.append(f"{schema}.{quoted}")
    db.execute(*statements)
    replica = make_replica(on=db, tables={"include": ["re:.*"]})
    with Score("T14", "into tables, names") as score:
        replica.once()
        for relation in relations:
            column = relation.split(".", 1)[1]
            db.execute(f"INSERT INTO {relation} VALUES (2, 'y'), (3, 'z')",
                       f"UPDATE {relation} SET v = 'u' WHERE {column} = 1",
                       f"UPDATE {relation} SET {column} = 9 WHERE {column} = 2",
                       f"DELETE FROM {relation} WHERE {column} = 3")
        replica.once()
        score.took(pgsink.compare_tables(db, target, [*relations, "public.canary"]))
        score.fault(len(relations))
        score.survive(len(relations))
