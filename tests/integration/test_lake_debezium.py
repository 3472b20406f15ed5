"""Change files in Debezium's format, against messages that Debezium itself wrote for the same statements.

The messages are in data/debezium (see the README there). What cannot be equal is checked for its form:
positions, transaction ids, times, the names of writer and database.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support import lake, pipe

DATA = Path(__file__).with_name("data") / "debezium"

MODES = {
    "string": {"decimal_handling_mode": "string", "interval_handling_mode": "string"},
    "connect": {"time_precision_mode": "connect"},
    "adaptive": {},
}

OURS = ["_pos", "_seq"]  # in source, behind Debezium's own
MAY_DIFFER = {"version", "name", "db", "ts_ms", "ts_us", "ts_ns", "sequence", "txId", "lsn", "snapshot", *OURS}


def decode(line: str) -> dict:
    """Numbers stay the tokens they are: 1.0E300 is not 1e300."""
    return json.loads(line, parse_int=lambda t: ("#", t), parse_float=lambda t: ("#", t))


def samples(variant: str) -> list[dict]:
    return [decode(line) for line in (DATA / f"{variant}.jsonl").read_text().splitlines()]


def statements(name: str) -> list[str]:
    """The lines, in whole statements."""
    out, part = [], ""
    for line in (DATA / name).read_text().splitlines():
        part += line + "\n"
        if line.rstrip().endswith(";"):
            out.append(part)
            part = ""
    return out


def events(store: lake.Store) -> list[dict]:
    """Every event, in the order of the manifests."""
    out = []
    for manifest in lake.Lake(store).manifests:
        for file in manifest.get("files", []):
            text = lake.decompress(file["key"], store.get(file["key"])).decode()
            lines = text.splitlines()
            assert len(lines) == file["rows"], file
            out += [{**decode(line), "_file": file} for line in lines]
    return out


def identity(event: dict) -> tuple:
    row = event["after"] or event["before"] or {}
    return event["op"], event["source"]["table"], row.get("id"), row.get("big_text"), row.get("v")


def find(found: list[dict], sample: dict) -> dict:
    same = [event for event in found if identity(event)[:3] == identity(sample)[:3]]
    exact = [event for event in same if identity(event) == identity(sample)]
    assert same, f"no event like {identity(sample)[:3]} in {[identity(event)[:3] for event in found]}"
    return (exact or same)[0]


def number(value) -> int:
    assert isinstance(value, tuple) and value[0] == "#" and re.fullmatch(r"-?\d+", value[1]), value
    return int(value[1])


def check_times(where: dict) -> None:
    ms, us, ns = (number(where[key]) for key in ("ts_ms", "ts_us", "ts_ns"))
    assert ms == us // 1000 and ns // 1000 == us


def check_source(ours: dict, sample: dict, database: str, name: str) -> None:
    assert list(ours) == [*sample, *OURS]
    assert {k: v for k, v in ours.items() if k not in MAY_DIFFER} == {
        k: v for k, v in sample.items() if k not in MAY_DIFFER}
    check_times(ours)
    assert ours["version"].startswith("sluice ") and ours["name"] == name and ours["db"] == database
    lsn = number(ours["lsn"])
    assert ours["_pos"] == f"{lsn:016x}" and json.loads(ours["sequence"]) == [None, str(lsn)]
    if sample["snapshot"] == "false":
        assert ours["snapshot"] == "false" and number(ours["txId"]) > 0 and number(ours["_seq"]) > 0
    else:
        assert ours["snapshot"] == "true" and ours["txId"] is None and number(ours["_seq"]) == 0


def check_event(ours: dict, sample: dict, database: str, name: str) -> None:
    assert [key for key in ours if key != "_file"] == list(sample)
    if sample["after"] is not None and sample["after"].get("id") == ("#", "20"):
        # The row has NULL there. The JSON converter puts the column's default in its place.
        assert sample["after"]["qty"] == ("#", "1")
        sample["after"]["qty"] = None
    assert ours["after"] == sample["after"]
    if sample["after"] is not None:
        assert list(ours["after"]) == list(sample["after"])
    if sample["before"] is None or sample["source"]["table"] == "full_tab":
        assert ours["before"] == sample["before"]
    else:  # the key; null where Debezium invents values
        assert list(ours["before"]) == list(sample["before"])
        assert ours["before"]["id"] == sample["before"]["id"]
        assert not any(value is not None for key, value in ours["before"].items() if key != "id")
    assert ours["op"] == sample["op"] and ours["transaction"] is None
    check_source(ours["source"], sample["source"], database, name)
    check_times(ours)


@pytest.fixture
def driven(engine, db):
    """The pipeline has loaded, the statements have run, the pipeline has caught up."""
    made = []

    def drive(**config) -> pipe.Pipe:
        db.execute(*statements("pg-schema.sql"))
        sink = pipe.file_sink(engine.workdir / "lake", changes="debezium", full="changes", **config)
        made.append(pipe.Pipe(engine, db, {"out": sink}))
        made[-1].once()
        db.execute(*statements("drive.sql"))
        made[-1].once()
        return made[-1]

    yield drive
    for each in made:
        each.close()


@pytest.mark.parametrize("variant", MODES)
def test_as_debezium_writes_it(driven, db, variant):
    run = driven(topic_prefix="top", **MODES[variant])
    found = events(run.store())
    for sample in samples(variant):
        check_event(find(found, sample), sample, db.name, "top")


def test_all_events_in_order(driven, db):
    run = driven()
    found = events(run.store())
    got = [(event["op"], event["source"]["table"], (event["after"] or event["before"] or {}).get("id"))
           for event in found if event["op"] != "r"]
    by_table = {table: [(op, id_ and id_[1]) for op, name, id_ in got if name == table]
                for table in ("orders", "full_tab", "hb")}
    assert by_table["orders"] == [("c", "3"), ("u", "1"), ("u", "3"), ("d", "2"), ("c", "20"), ("d", "3"), ("t", None)]
    assert by_table["full_tab"] == [("c", "2"), ("u", "2"), ("u", "2"), ("u", "2"), ("d", "1"), ("t", None)]
    assert by_table["hb"] == []
    assert sorted((event["source"]["table"], event["after"]["id"][1]) for event in found if event["op"] == "r") == [
        ("full_tab", "1"), ("hb", "1"), ("orders", "1"), ("orders", "2")]
    assert all(event["source"]["name"] == run.name for event in found)
    # the two events of a key change, and the tables of one TRUNCATE, share position and number
    def places(*kinds):
        return {(event["source"]["_pos"], event["source"]["_seq"]) for event in found
                if (event["op"], event["source"]["table"], ((event["after"] or event["before"] or {}).get("id")
                                                             or ("#", None))[1]) in kinds}
    assert len(places(("d", "orders", "2"), ("c", "orders", "20"))) == 1
    assert len(places(("t", "orders", None), ("t", "full_tab", None))) == 1
    for file in {event["_file"]["key"]: event["_file"] for event in found}.values():
        inside = [event["source"]["_pos"] for event in found if event["_file"]["key"] == file["key"]]
        if "first_pos" in file:
            assert (file["first_pos"], file["last_pos"]) == (inside[0], inside[-1]) and inside == sorted(inside)
