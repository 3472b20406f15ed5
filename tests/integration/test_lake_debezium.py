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
    assert by_table["orders"] == [
        ("c", "3"), ("u", "1"), ("u", "3"), ("d", "2"), ("c", "20"), ("d", "3"), ("t", None)]
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


# ---------------------------------------------------------------- every type


COLUMNS = {
    "b": "boolean", "i2": "smallint", "i4": "integer", "i8": "bigint", "f4": "real", "f8": "double precision",
    "n": "numeric(12,3)", "n60": "numeric(60,5)", "n100": "numeric(100,2)", "nn": "numeric", "mon": "money",
    "d": "date", "t": "time", "t0": "time(0)", "t3": "time(3)", "ttz": "timetz", "ts": "timestamp",
    "ts0": "timestamp(0)",
    "ts3": "timestamp(3)", "tz": "timestamptz", "tz3": "timestamptz(3)", "iv": "interval",
    "iv2": "interval day to second(2)",
    "by": "bytea", "u": "uuid", "js": "json", "jb": "jsonb", "x": "xml", "c": "char(5)", "vc": "varchar(9)",
    "h": "hstore", "lt": "ltree", "ci": "citext", "m": "mood", "dom": "amount", "o": "oid", "nm": "name",
    "b1": "bit", "b9": "bit(9)", "vb": "varbit", "vb1": "varbit(1)", "ip": "inet", "ci4": "cidr", "mac": "macaddr",
    "pt": "point", "bx": "box", "ls": "lseg", "pa": "path", "pg": "polygon", "ci2": "circle", "li": "line",
    "r4": "int4range", "rts": "tsrange", "tsv": "tsvector", "pair": "pair",
    "ai": "int[]", "at": "text[]", "an": "numeric(8,2)[]", "ann": "numeric[]", "af": "float8[]", "ab": "boolean[]",
    "ad": "date[]", "ats": "timestamp(3)[]", "atz": "timestamptz[]", "attz": "timetz[]", "aby": "bytea[]",
    "ajb": "jsonb[]",
    "am": "mood[]", "au": "uuid[]", "a2": "int[]", "abx": "box[]", "ah": "hstore[]",
}

# What the feed takes in binary form.
IN_BINARY = "b i2 i4 i8 f4 f8 n n60 d t t0 t3 ts ts0 ts3 tz tz3 by u js jb c vc ci m o nm".split()

VALUES = [
    {  # what one would write
        "b": "true", "i2": "-7", "i4": "42", "i8": "9007199254740993", "f4": "3.4028235e38", "f8": "0.00012345",
        "n": "123.450", "n60": "1234567890123456789012345678901234567890.5", "n100": "-0.05", "nn": "123.4500",
        "mon": "-1234.5",
        "d": "2024-02-29", "t": "13:14:15.1234", "t0": "23:59:59", "t3": "13:14:15.12", "ttz": "13:14:15.5+05:30",
        "ts": "2024-02-29 13:14:15.000001", "ts0": "2024-02-29 13:14:15", "ts3": "1969-12-31 23:59:59.999",
        "tz": "2024-02-29 13:14:15.5+02", "tz3": "2024-02-29 13:14:15.5-08",
        "iv": "-1 year -2 mons 3 days -04:05:06.789",
        "iv2": "100:00:00.25", "by": r"\xfbfffe", "u": "6f1b2c3d-0000-4000-8000-0123456789ab", "js": '{"a" : 1.10}',
        "jb": '{"a": [1.10, null]}', "x": "<a>é</a>", "c": "ab", "vc": 'q"\\', "h": 'a=>1, "b c"=>NULL', "lt": "a.b.c",
        "ci": "MiXed", "m": "ok", "dom": "1.50", "o": "4000000000", "nm": "name", "b1": "1", "b9": "100000001",
        "vb": "0011",
        "vb1": "0", "ip": "10.0.0.1/8", "ci4": "10.0.0.0/8", "mac": "08:00:2b:01:02:03", "pt": "(1,-2.5)",
        "bx": "(2,2),(1,1)",
        "ls": "[(0,0),(1,1)]", "pa": "[(0,0),(1,1),(2,0)]", "pg": "((0,0),(1,0),(0,1))", "ci2": "<(1,2),3>",
        "li": "{1,-1,0}",
        "r4": "[1,5)", "rts": "[2024-01-01,)", "tsv": "a:1 b:2", "pair": '(1,"x,y")', "ai": "{1,NULL}",
        "at": '{"a,b",NULL,"q\\"z"}',
        "an": "{1.10,-2.20}", "ann": "{1.50}", "af": "{1,1e300,NaN}", "ab": "{t,f}", "ad": "{2024-02-29}",
        "ats": "{2024-02-29 13:14:15.123}", "atz": "{2024-02-29 13:14:15+02}", "attz": "{13:00:00+02}",
        "aby": r'{"\\xdead"}',
        "ajb": '{"{\\"a\\": 1}"}', "am": "{ok,sad}", "au": "{6f1b2c3d-0000-4000-8000-0123456789ab}",
        "a2": "{{1,2},{3,4}}",
        "abx": "{(2,2),(1,1);(4,4),(3,3)}", "ah": '{"a=>1"}',
    },
    {  # the ends
        "i8": "-9223372036854775808", "f4": "NaN", "f8": "-Infinity", "n": "-999999999.999", "nn": "1e100",
        "mon": "-92233720368547758.08",
        "d": "infinity", "t": "24:00:00", "ttz": "24:00:00+00", "ts": "infinity", "ts3": "-infinity",
        "tz": "infinity", "tz3": "-infinity",
        "iv": "0", "by": "", "h": "", "vb": "", "at": "{}", "c": "", "jb": "null", "ad": "{infinity,-infinity}",
        "ats": "{infinity}",
    },
    {"d": "0044-03-15 BC", "ts": "0044-03-15 00:00:00 BC", "tz": "0044-03-15 00:00:00+00 BC", "nn": "-0.000",
    "t": "00:00:00"},
    {"d": "5874897-12-31", "ts": "294246-12-31 23:59:59.999999", "tz": "294246-12-31 23:59:59.999999+00"},
    {},
]


def insert_all(db, first: int, columns) -> None:
    with db.connect() as conn:
        for i, values in enumerate(VALUES):
            row = {name: value for name, value in values.items() if name in columns}
            names = ", ".join(["id", *row])
            places = ", ".join(["%s", *(f"(%s::text)::{COLUMNS[name]}" for name in row)])
            conn.execute(f"INSERT INTO wide ({names}) VALUES ({places})", [first + i, *row.values()])


@pytest.mark.parametrize("binary", ["off", "on"])
@pytest.mark.parametrize("options", [
    {}, {"decimal_handling_mode": "string", "time_precision_mode": "isostring", "binary_handling_mode": "hex"},
    {"decimal_handling_mode": "double", "time_precision_mode": "connect", "binary_handling_mode": "base64-url-safe",
     "interval_handling_mode": "string", "hstore_handling_mode": "map"},
])
def test_load_and_changes_agree(engine, db, binary, options):
    """The same values have the same encoding in the load (COPY) and in the feed, in text and in binary."""
    columns = IN_BINARY if binary == "on" else list(COLUMNS)
    db.execute(
        "CREATE EXTENSION hstore", "CREATE EXTENSION ltree", "CREATE EXTENSION citext",
        "CREATE TYPE mood AS ENUM ('sad', 'ok')",
        "CREATE DOMAIN amount AS numeric", "CREATE TYPE pair AS (a int, b text)",
        "CREATE TABLE wide (id int PRIMARY KEY, " + ", ".join(f"{name} {COLUMNS[name]}" for name in columns) + ")")
    insert_all(db, 100, columns)
    sink = pipe.file_sink(engine.workdir / "lake", changes="debezium", full="changes", **options)
    run = pipe.Pipe(engine, db, {"out": sink}, source={"binary": binary})
    run.once()
    insert_all(db, 200, columns)
    run.once()
    found = {(event["op"], number(event["after"]["id"])): event["after"] for event in events(run.store())}
    assert sorted(found) == [(op, first + i) for op, first in (("c", 200), ("r", 100)) for i in range(len(VALUES))]
    for i in range(len(VALUES)):
        loaded, changed = found["r", 100 + i], found["c", 200 + i]
        assert {**loaded, "id": None} == {**changed, "id": None}
        for name in columns:
            assert (loaded[name] is None) == (name not in VALUES[i]), name
    if binary == "on":
        return
    shown = found["c", 200]
    assert shown["pair"] == '(1,"x,y")' and shown["a2"] == [[("#", "1"), ("#", "2")], [("#", "3"), ("#", "4")]]


def test_values_that_were_not_sent(engine, db):
    """Large values stored out of line and not touched by an update."""
    db.execute(
        "CREATE TABLE far (id int PRIMARY KEY, n int, t text, b bytea, ta text[], ia int[], ua uuid[], j jsonb)",
        *(f"ALTER TABLE far ALTER COLUMN {name} SET STORAGE EXTERNAL" for name in ("t", "b", "ta", "ia", "ua", "j")),
        "INSERT INTO far SELECT 1, 1, repeat('x', 9000), convert_to(repeat('y', 9000), 'UTF8'),"
        " array_agg('value ' || i), array_agg(i), array_agg(md5(i::text)::uuid), to_jsonb(array_agg(i))"
        " FROM generate_series(1, 3000) i")
    sink = pipe.file_sink(engine.workdir / "lake", changes="debezium")
    run = pipe.Pipe(engine, db, {"out": sink})
    run.once()
    db.execute("UPDATE far SET n = 2", "UPDATE far SET id = 5")
    run.once()
    update, delete, create = [event for event in events(run.store()) if "op" in event]
    text = "__debezium_unavailable_value"
    codes = [("#", str(code)) for code in text.encode()]
    want = {"n": ("#", "2"), "t": text, "b": "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==", "ta": [text], "ia": codes,
            "ua": ["b68a35a7-17ad-35b3-af2a-ae46edb4545a"], "j": text}
    assert update["after"] == {"id": ("#", "1"), **want} and update["before"] is None
    assert delete["op"] == "d" and create["op"] == "c" and create["before"] is None
    assert delete["before"] == {"id": ("#", "1"), **dict.fromkeys(want)}
    assert create["after"] == {"id": ("#", "5"), **want}


@pytest.mark.parametrize("value, mode, word", [
    ("n = 'NaN'", "decimal_handling_mode: precise", "decimal_handling_mode"),
    ("ts = '2300-01-01'", "time_precision_mode: nanoseconds", "nanoseconds"),
])
def test_values_without_a_form_stop_the_pipeline(engine, db, value, mode, word):
    db.execute("CREATE TABLE odd (id int PRIMARY KEY, n numeric(5,2), ts timestamp)",
    "INSERT INTO odd VALUES (1, 1, '2000-01-01')")
    key, choice = mode.split(": ")
    sink = pipe.file_sink(engine.workdir / "lake", changes="debezium", **{key: choice})
    run = pipe.Pipe(engine, db, {"out": sink}, on_error={"retry": {"max": 2, "backoff": "10ms"}})
    run.once()
    db.execute(f"UPDATE odd SET {value}")
    result = run.once(rc=1)
    assert word in result.output and "odd" in result.output, result.describe()
    # with another choice it goes on where it was
    run.sinks["out"]["config"][key] = {"decimal_handling_mode": "string", "time_precision_mode": "microseconds"}[key]
    run.write()
    run.once()
    (event,) = [event for event in events(run.store()) if "op" in event]
    assert event["op"] == "u" and (event["after"]["n"], event["after"]["ts"]) in [
        ("NAN", ("#", "946684800000000")), ("ZA==", ("#", "10413792000000000"))]
