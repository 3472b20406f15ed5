"""Transforms between a feed of changes and its sinks: what they make of loads and changes fits together."""

from __future__ import annotations

from typing import Any

import pytest
from support import changes, lake, pipe

SALT = "pepper"


def hashed(column: str) -> str:
    return f"encode(sha256(convert_to('{SALT}' || {column}::text, 'UTF8')), 'hex') AS {column}"


def masked_pipe(engine, db, transforms: dict[str, Any], last: str, **more: Any) -> pipe.Pipe:
    folder = engine.workdir / "masked"
    sink = ({**pipe.file_sink(folder), "inputs": [last]}, lake.FileStore(folder))
    return pipe.Pipe(engine, db, sinks={"out": sink}, transforms=transforms, **more)


@pytest.fixture
def person(db):
    db.execute(
        "CREATE TABLE person (id int PRIMARY KEY, ssn text, email text, body text, level int)",
        "ALTER TABLE person ALTER body SET STORAGE EXTERNAL",
        "INSERT INTO person SELECT i, 'ssn-' || i, 'p' || i || '@example.org', repeat(md5(i::text), 200), i"
        " FROM generate_series(1, 200) i",
        "CREATE TABLE visit (at int, place text, note text)",
        "ALTER TABLE visit REPLICA IDENTITY FULL",
        "INSERT INTO visit SELECT i, 'place ' || i % 7, NULL FROM generate_series(1, 50) i",
    )
    return db


HIDE = {"hide": {"plugin": "mask", "inputs": ["src"],
                 "config": {"columns": ["public.person.id", "*.ssn*", "place"], "with": "sha256", "salt": SALT}}}
PERSON = f"SELECT {hashed('id')}, {hashed('ssn')}, email, body, level FROM person"
VISIT = f"SELECT at, {hashed('place')}, note FROM visit"


def test_masked_keys_and_values_in_loads_and_changes(engine, person):
    made = masked_pipe(engine, person, HIDE, "hide")
    made.once()
    person.execute(
        "UPDATE person SET level = level + 1 WHERE id <= 50",  # body is not sent
        "UPDATE person SET id = id + 1000, ssn = 'new ' || ssn WHERE id BETWEEN 10 AND 20",
        "DELETE FROM person WHERE id BETWEEN 30 AND 40",
        "INSERT INTO person VALUES (500, NULL, NULL, repeat('x', 9000), 0)",
        "UPDATE visit SET note = 'seen' WHERE at % 2 = 0",
        "DELETE FROM visit WHERE at % 5 = 0",
        "TRUNCATE visit",
        "INSERT INTO visit VALUES (99, 'again', '')",
    )
    made.once()
    feed = made.feed()
    assert changes.compare(feed, person, "public.person", select=PERSON).ok
    assert changes.compare(feed, person, "public.visit", select=VISIT).ok
    events = feed.events("public.person")
    assert any("body" in event.unchanged for event in events)
    secrets = {row[0] for row in person.query("SELECT ssn FROM person WHERE ssn IS NOT NULL")}
    for name in feed.names():
        for event in feed.events(name):
            assert not secrets & {value for value in event.row.values() if isinstance(value, str)}


def test_new_columns_are_masked_by_the_same_patterns(engine, person):
    made = masked_pipe(engine, person, HIDE, "hide")
    made.once()
    person.execute(
        "INSERT INTO person VALUES (600, 'before', 'x', 'y', 1)",
        "ALTER TABLE person ADD COLUMN ssn_old text",
        "UPDATE person SET ssn_old = 'older ' || id WHERE id < 100",
        "ALTER TABLE person DROP COLUMN email",
        "INSERT INTO person VALUES (601, 'after', 'y', 2, 'z')",
        "UPDATE person SET ssn_old = 'all' WHERE ssn_old IS NULL",
    )
    made.once()
    select = f"SELECT {hashed('id')}, {hashed('ssn')}, body, level, {hashed('ssn_old')} FROM person"
    feed = made.feed()
    newest = max(key for key in feed.columns if key[0] == "public.person")
    names = [column["name"] for column in feed.columns[newest]]
    assert names == ["id", "ssn", "body", "level", "ssn_old"]
    # Rows of the load still have the column that was dropped.
    outcome = changes.compare_rows(
        changes.rebuild(feed, "public.person"), changes.source_rows(person, "public.person", select=select),
        lambda row: {name: row.get(name) for name in names})
    assert outcome.ok, outcome


def test_a_column_renamed_away_from_its_mask_is_warned_of(engine, person):
    transforms = {"hide": {"plugin": "mask", "inputs": ["src"],
                           "config": {"columns": ["public.person.ssn"], "with": "redact"}}}
    made = masked_pipe(engine, person, transforms, "hide", tables=["public.person"])
    run = made.start()
    made.wait_loaded(["public.person"], run)
    person.execute("INSERT INTO person VALUES (699, 'n', 'e', 'b', 1)")
    made.wait_caught_up(run)
    person.execute("ALTER TABLE person RENAME ssn TO number", "INSERT INTO person VALUES (700, 'n', 'e', 'b', 1)")
    made.wait_caught_up(run)
    run.terminate()
    result = run.wait().expect(0)
    assert "passes unmasked" in result.stderr and "public.person.ssn" in result.stderr


def test_project_in_changes(engine, person):
    transforms = {"shape": {"plugin": "project", "inputs": ["src"],
                            "config": {"exclude": ["public.person.ssn", "public.person.email"],
                                       "rename": {"public.person.level": "rank"}, "order": ["rank"],
                                       "constants": {"region": "eu"}}}}
    made = masked_pipe(engine, person, transforms, "shape")
    made.once()
    person.execute(
        "UPDATE person SET level = level + 1 WHERE id <= 50",
        "UPDATE person SET id = id + 1000 WHERE id BETWEEN 10 AND 20",
        "DELETE FROM person WHERE id BETWEEN 30 AND 40",
        "UPDATE person SET email = 'unseen' WHERE id = 60",  # nothing of it comes out but the row
        "UPDATE visit SET note = 'seen' WHERE at % 2 = 0",
        "DELETE FROM visit WHERE at % 5 = 0",
    )
    made.once()
    feed = made.feed()
    select = "SELECT level AS rank, id, body, 'eu'::text AS region FROM person"
    assert changes.compare(feed, person, "public.person", select=select).ok
    select = "SELECT at, place, note, 'eu'::text AS region FROM visit"
    assert changes.compare(feed, person, "public.visit", select=select).ok


def test_a_key_that_is_left_out_is_refused_before_rows_flow(engine, person):
    config: dict[str, Any] = {"exclude": ["public.person.id"]}
    transforms = {"shape": {"plugin": "project", "inputs": ["src"], "config": config}}
    made = masked_pipe(engine, person, transforms, "shape", tables=["public.person"])
    result = made.once(rc=None)
    assert result.rc == 2 and "drop_keys" in result.output and "public.person" in result.output
    assert made.keys() == []
    # Who asks for it gets the rows, without a key to tell them apart by.
    config["drop_keys"] = True
    made.write()
    made.once()
    person.execute("INSERT INTO person VALUES (800, 's', 'e', 'b', 1)")
    made.once()
    feed = made.feed()
    assert [event.row for event in feed.events("public.person")] == [
        {"ssn": "s", "email": "e", "body": "b", "level": "\0" + "1"}]
    assert not any(column.get("key") for columns in feed.columns.values() for column in columns)
