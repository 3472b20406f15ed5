"""Commands around pipelines with changes: what they say before, while and after; what they refuse."""

from __future__ import annotations

import json
import os
import re
import signal

import pytest
from cli_pipelines import generate
from support import pipe, sluice
from test_cli_terminal import Terminal

SHOP = ["public.item", "public.sale"]


def fill(db):
    db.execute(
        "CREATE TABLE item (id int PRIMARY KEY, name text)",
        "INSERT INTO item SELECT i, 'item ' || i FROM generate_series(1, 200) i",
        "CREATE TABLE sale (id int PRIMARY KEY, n int)",
        "INSERT INTO sale SELECT i, i FROM generate_series(1, 50) i",
    )
    return db


@pytest.fixture
def shop(db):
    return fill(db)


@pytest.fixture
def made(engine, shop):
    return pipe.Pipe(engine, shop)


@pytest.fixture
def alone(engine, own_server):
    """On a server where nobody else writes: a feed is idle once it has read all of the log."""
    return pipe.Pipe(engine, fill(own_server().create_database()))


def change(db, at: int) -> None:
    """4 rows in 2 transactions."""
    db.execute(f"INSERT INTO item VALUES ({at}, 'new'), ({at + 1}, 'new'), ({at + 2}, 'new')",
               f"UPDATE sale SET n = -n WHERE id = {at % 50 + 1}")


def lsn(db) -> str:
    return db.value("SELECT pg_current_wal_insert_lsn()::text")


def slots(db) -> set[str]:
    return {row[0] for row in db.query(
        "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()")}


# ---------------------------------------------------------------- what does not fit


@pytest.mark.parametrize("args, message, hint", [
    (["--follow"], "gen: --follow: mode full_load_only has no changes", "set mode: full_load_and_cdc"),
    (["--until", "0/1"], "gen: --until: mode full_load_only has no changes", "set mode: full_load_and_cdc"),
    (["--once", "--until", "0/1"], "--once and --until exclude each other", "--once ends where"),
    (["--until", "2026-11-23T00:52:34"], "the time zone is missing: Z for UTC, or like +01:00", None),
    (["--until", "soon"], "--until: soon: it wants a position of the source's log like 0/16B3748", None),
])
def test_options_that_say_nothing_are_refused(engine, args, message, hint):
    result = engine.cmd("run", str(engine.write(generate())), *args).expect(2)
    assert message in result.stderr and (hint or "") in result.stderr, result.describe()


@pytest.mark.parametrize("mode", ["full_load_and_cdc", "cdc_only"])
@pytest.mark.parametrize("command", ["run", "plan"])
def test_no_part_of_a_feed(engine, make_pipeline, workdir, mode, command):
    """Refused before anything is connected to."""
    source = {"host": "127.0.0.1", "port": 1, "database": "d", "user": "u"}
    path = engine.write(make_pipeline(source, {"out": {"plugin": "file", "config": {"path": str(workdir / "lake")}}},
                                      mode=mode))
    result = engine.cmd(command, str(path), "--limit", "5").expect(2)
    assert "p: --limit: changes of rows that were not loaded would follow" in result.stderr, result.describe()
    result = engine.cmd(command, str(path), "--tables", "public.a").expect(2)
    assert "p: --tables: a feed is read once for all tables that the file chooses" in result.stderr
    assert "change tables.include in the file" in result.stderr
    assert not (workdir / "lake").exists()


def test_one_that_follows_must_be_the_last(made):
    once = made.engine.write(generate(), "gen.yaml")
    result = made.engine.cmd("run", str(made.path), str(once)).expect(2)
    assert f"{made.name} follows changes until it is stopped: gen would never begin" in result.stderr
    assert not slots(made.db)
    made.engine.cmd("run", str(made.path), str(once), "--once").expect(0)
    result = made.engine.cmd("run", str(once), str(made.path), "--until", "0/1").expect(2)
    assert "gen: --until: mode full_load_only has no changes" in result.stderr


def test_a_condition_is_warned_of(made):
    made.tables = {"include": ["public.*"], "rules": [{"match": "public.item", "where": "id > 5"}]}
    result = made.engine.cmd("validate", str(made.write())).expect(0)
    assert "warning: where holds for the full load alone: changes of all rows follow" in result.stderr
    made.engine.cmd("validate", "--strict", str(made.path)).expect(2)


def test_failpoints_are_listed(engine):
    names = engine.cmd("failpoints").expect(0).stdout.split()
    listed = re.findall(r'X\(\s*"([^"]+)"', (sluice.ROOT / "core/base/failpoint_names.h").read_text())
    assert names and set(names) <= set(listed)
    found = engine.cmd("failpoints", "--json").expect(0).json()["failpoints"]
    assert [point["name"] for point in found] == names
    assert {point["kind"] for point in found} <= {"stops", "fails", "tears"}
    assert "failpoints" not in engine.cmd("help").stdout


# ---------------------------------------------------------------- plan, check


def test_plan_tells_loads_from_changes(made, shop):
    def actions() -> dict[str, str]:
        streams = made.engine.cmd("plan", "--json", str(made.path)).expect(0).json()["streams"]
        return {s["stream"]: s["action"] for s in streams}

    assert actions() == dict.fromkeys(SHOP, "load, changes")
    made.once()
    assert actions() == dict.fromkeys(SHOP, "changes only")
    shop.execute("CREATE TABLE late (id int PRIMARY KEY)")
    assert actions() == {"public.item": "changes only", "public.sale": "changes only",
                         "public.late": "load anew, changes"}
    text = made.engine.cmd("plan", str(made.path)).expect(0).stdout
    assert re.search(rf"made at src: .*{made.name}", text), text
    assert "exactly once" in text and "not captured" not in text
    # The slot stands for nothing else than it did.
    assert len(slots(shop)) == 1


def test_plan_of_a_load_says_that_changes_are_not_captured(made):
    text = made.engine.cmd("plan", str(made.path), "--set", "mode=full_load_only").expect(0).stdout
    assert "changes are not captured; set mode: full_load_and_cdc to follow them after the load" in text
    document = made.engine.cmd("plan", "--json", str(made.path), "--set", "mode=full_load_only").expect(0).json()
    assert "changes are not captured" in document["note"]
    assert made.engine.cmd("plan", "--json", str(made.path)).expect(0).json()["note"] is None
    # Nothing to say where the source has no changes.
    path = made.engine.write(generate(), "gen.yaml")
    assert "not captured" not in made.engine.cmd("plan", str(path)).expect(0).stdout
    assert not slots(made.db)


def test_plan_of_what_cannot_be_followed(made, shop):
    shop.execute("CREATE VIEW sold AS SELECT * FROM sale")
    made.tables = {"include": ["public.sold", "public.item"]}
    made.top["transforms"] = {"slim": {"plugin": "project", "inputs": ["src"], "config": {"exclude": ["*.name"]}}}
    made.sinks["out"]["inputs"] = ["slim"]
    result = made.engine.cmd("plan", str(made.write())).expect(0)
    assert re.search(r"^public\.sold +src +out +left out .* the source has no changes of it", result.stdout, re.M)
    assert re.search(r"^public\.item +src +out +load, changes ", result.stdout, re.M), result.describe()
    assert "'sluice check' says whether changes can be captured here" in result.stdout
    result = made.once()
    assert "left out" in result.stderr and "public.sold" not in result.stdout, result.describe()
    made.tables = {"include": ["public.sold"]}
    made.write()
    result = made.once(rc=2)
    assert "none of the 1 chosen tables has changes to follow" in result.stderr, result.describe()


def test_plan_of_cdc_only(made):
    made.mode = "cdc_only"
    streams = made.engine.cmd("plan", "--json", str(made.write())).expect(0).json()["streams"]
    assert {s["action"] for s in streams} == {"changes only"}
    assert {s["reason"] for s in streams} == {"mode cdc_only loads nothing"}


def test_check_says_what_stands_in_the_way(made, shop):
    """Where changes are wanted, a table without a key is an error; where not, it is none."""
    shop.execute("CREATE TABLE keyless (a int)")
    result = made.engine.cmd("check", str(made.path)).expect(3)
    assert "public.keyless" in result.stdout and "REPLICA IDENTITY" in result.stdout, result.describe()
    made.engine.cmd("check", str(made.path), "--set", "mode=full_load_only").expect(0)
    assert not slots(shop)


# ---------------------------------------------------------------- run


def test_preview_makes_nothing(made, shop):
    for mode in ("full_load_and_cdc", "cdc_only"):
        result = made.engine.cmd("preview", str(made.path), "--json", "--limit", "3", "--tables", "public.item",
                                 "--set", f"mode={mode}").expect(0)
        assert len(result.json_lines()) == 3, result.describe()
    assert not slots(shop) and not shop.query("SELECT pubname FROM pg_publication")


def summary(result: sluice.Result) -> dict:
    return result.json()["pipelines"][0]


def test_run_until_a_position(made, shop):
    made.once()
    change(shop, 1000)
    here = lsn(shop)
    change(shop, 2000)
    found = summary(made.engine.cmd("run", str(made.path), "--until", here, "--json").expect(0))
    assert found["outcome"] == "ok" and sum(s["changes"] for s in found["streams"]) == 4, found
    assert {s["name"]: s["changes"] for s in found["streams"]} == {"public.item": 3, "public.sale": 1}
    assert found["feeds"][0]["status"] == "ended"
    found = summary(made.once("--json"))
    assert sum(s["changes"] for s in found["streams"]) == 4


def test_run_until_a_time(made, shop):
    made.once()
    change(shop, 1000)
    until = shop.value("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC' + interval '1 ms',"
                       " 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
    shop.execute("SELECT pg_sleep(0.2)")
    change(shop, 2000)
    found = summary(made.engine.cmd("run", str(made.path), "--until", until, "--json").expect(0))
    assert sum(s["changes"] for s in found["streams"]) == 4, found


def test_follow_is_stopped_by_a_signal(made, shop):
    run = made.start()
    made.wait_loaded(SHOP, run)
    change(shop, 1000)
    made.wait_caught_up(run)
    made.wait_for(lambda: "source=src feed=" in run.stderr, "a line of the feed", run)
    run.terminate()
    result = run.wait().expect(0)
    line = re.search(r"source=src feed=(following|idle) changes=\d+ transactions=\d+.* retained_bytes=\d+.*"
                     r" out=[0-9a-f]{16} out_behind_s=[\d.]+ out_queued=\d+", result.stderr)
    assert line, result.describe()
    assert f"{made.name}: stopped by SIGTERM; the next run goes on from here" in result.stderr
    table, *rows = result.stdout.splitlines()
    assert table.split() == ["table", "rows", "time", "rate", "changes", "status"]
    assert re.fullmatch(r"public\.item +200 .* 3  complete", rows[0]) and re.search(r" 4  2 complete$", rows[2])
    assert re.fullmatch(r"src: 4 changes in 2 transactions \(3 inserts, 1 updates, 0 deletes\); out at [0-9a-f]{16}",
                        rows[3]), result.describe()
    assert made.engine.cmd("state", "show", "--json", str(made.path)).json()["runs"][0]["outcome"] == "stopped"


def test_follow_as_json(alone):
    made, shop = alone, alone.db
    made.once()
    run = made.engine.start("run", str(made.path), "--progress", "json")

    def events() -> list[dict]:
        return [json.loads(line) for line in run.stdout.splitlines() if line.endswith("}")]

    made.wait_for(lambda: any(e["event"] == "feed" and e["status"] in ("following", "idle") for e in events()),
                  "the feed", run)
    change(shop, 1000)
    made.wait_for(lambda: any(e["event"] == "progress" and e["feeds"] and e["feeds"][0]["changes"] == 4
                              for e in events()), "the changes", run)
    made.wait_for(lambda: any(e["event"] == "feed" and e["status"] == "idle" for e in events()), "idle", run)
    run.interrupt()
    run.wait().expect(0)
    last = events()[-1]
    assert last["event"] == "summary" and last["outcome"] == "stopped"
    feed = last["feeds"][0]
    assert (feed["source"], feed["inserts"], feed["updates"], feed["deletes"]) == ("src", 3, 1, 0)
    assert feed["sinks"][0]["sink"] == "out" and re.fullmatch("[0-9a-f]{16}", feed["sinks"][0]["position"])
    assert feed["retained_bytes"] is not None and feed["last_commit"].endswith("Z")


def test_the_live_view_of_a_feed(alone):
    made, shop = alone, alone.db
    made.once()
    terminal = Terminal(made.engine, "run", str(made.path), columns=140)
    terminal.until(r"following  2/2 tables")
    terminal.until(r"  src  (following|idle)  +lag \d")
    change(shop, 1000)
    terminal.until(r"  public\.item  3 changes")
    terminal.until(r"  public\.sale +1 change ")
    terminal.until(r"  src  idle  .*log kept [\d.]+ \w+ +\d+/s  4 changes")
    assert re.search(r"    out  at [0-9a-f]{16}  lag ", terminal.screen.text()), terminal.screen.text()
    os.kill(terminal.pid, signal.SIGINT)
    assert terminal.finish() == 0
    # Nothing of the block stays behind.
    last = [line for line in terminal.screen.text().splitlines() if line.strip() and "WARN" not in line]
    assert last[0].split() == ["table", "rows", "time", "rate", "changes", "status"], terminal.screen.text()
    assert "log kept" not in terminal.screen.text() and terminal.screen.wrapped == 0


def test_the_log_that_is_held_is_shown_while_loading(made, shop):
    shop.execute("INSERT INTO item SELECT i, repeat('x', 100) FROM generate_series(1000, 60000) i")
    terminal = Terminal(made.engine, "run", str(made.path), "--once", "--set", "parallelism=1", columns=140,
                        env={"SLUICE_FAILPOINTS": "flow.after_batch=sleep:700"})
    terminal.until(r"loading .*\n  src  waiting .*log kept ")
    assert terminal.finish() == 0


# ---------------------------------------------------------------- state


def show(made: pipe.Pipe, *args: str) -> dict:
    return made.engine.cmd("state", "show", "--json", str(made.path), *args).expect(0).json()


def test_state_show(made, shop):
    made.once()
    change(shop, 1000)
    found = show(made)
    assert found["load"]["mode"] == "full_load_and_cdc" and found["load"]["finished"] is None
    assert {s["stream"] for s in found["streams"]} == set(SHOP)
    assert all(re.fullmatch("[0-9a-f]{16}", s["load_position"]) for s in found["streams"])
    [feed] = found["feeds"]
    assert (feed["source"], feed["shard"], feed["sink"], feed["changes"]) == ("src", "src/changes", "out", 0)
    [lag] = found["lag"]
    assert lag["behind_bytes"] > 0 and lag["retained_bytes"] > 0 and lag["error"] is None
    assert lag["position"] == re.sub(r"^0*([0-9a-f]+)([0-9a-f]{8})$", lambda m: f"{int(m[1], 16):X}/"
                                     f"{int(m[2], 16):X}", feed["position"])
    assert made.name in found["created"]["src"]
    made.once()
    found = show(made)
    assert found["feeds"][0]["changes"] == 4 and found["feeds"][0]["epoch"] == 1
    text = made.engine.cmd("state", "show", str(made.path)).expect(0).stdout
    assert re.search(r"^src: .*; the source retains [\d.]+ \w+ of its log for us", text, re.M), text
    assert re.search(r"^feed +sink +position +epoch +changes +transactions +updated\nsrc/changes +out +[0-9a-f]{16} ",
                     text, re.M), text
    # Without the file nobody is asked.
    folder = made.engine.env["XDG_STATE_HOME"] + "/sluice"
    found = made.engine.cmd("state", "show", "--json", "--state", folder, made.name).expect(0).json()
    assert found["feeds"][0]["changes"] == 4 and found["lag"] == []


def test_state_show_of_a_source_that_is_away(made):
    made.once()
    result = made.engine.cmd("state", "show", str(made.path), "--set", "sources.src.config.port=1").expect(0)
    assert "warning: source src cannot be asked how far it is:" in result.stderr, result.describe()
    assert "src/changes" in result.stdout and "public.item" in result.stdout
    found = show(made, "--set", "sources.src.config.port=1")
    assert found["lag"][0]["error"] and found["feeds"]


def test_one_table_is_loaded_anew(made, shop):
    made.once()
    change(shop, 1000)
    engine, path = made.engine, str(made.path)
    result = engine.cmd("state", "resync", path).expect(2)
    assert "state resync needs the table: --stream NAME" in result.stderr
    result = engine.cmd("state", "resync", path, "--stream", "public.none", "--yes").expect(2)
    assert "knows no table public.none" in result.stderr
    engine.cmd("state", "resync", path, "--stream", "public.sale").expect(2)  # nobody is there to ask
    assert len(show(made)["streams"]) == 2
    result = engine.cmd("state", "resync", path, "--stream", "public.sale", "--yes").expect(0)
    assert "loaded anew as a whole, at a position of its own; the feed of changes goes on" in result.stdout
    found = summary(made.once("--json"))
    assert {s["name"]: s["status"] for s in found["streams"]} == {"public.item": "skipped", "public.sale": "complete"}
    assert {s["name"]: s["rows"] for s in found["streams"]} == {"public.item": 0, "public.sale": 50}
    assert str(made.compare(SHOP)) == "lost=0 dup=0 diff=0"


def test_all_is_loaded_anew(made, shop):
    made.once()
    change(shop, 1000)
    made.once()
    result = made.engine.cmd("state", "reset", str(made.path), "--yes").expect(0)
    assert "every table is loaded anew, and the feed of changes begins anew with that load" in result.stdout
    assert "what was made at the sources stays and is used again" in result.stdout
    found = show(made)
    assert found["load"] is None and found["feeds"][0]["position"] is None and found["feeds"][0]["epoch"] == 1
    assert "begins anew" in made.engine.cmd("state", "show", str(made.path)).expect(0).stdout
    change(shop, 2000)
    made.once()
    change(shop, 3000)
    made.once()
    assert str(made.compare(SHOP)) == "lost=0 dup=0 diff=0"
    assert show(made)["feeds"][0]["epoch"] == 2 and len(slots(shop)) == 1


def test_reset_of_cdc_only_tells_of_the_gap(made):
    made.mode = "cdc_only"
    made.write()
    made.once()
    result = made.engine.cmd("state", "reset", str(made.path), "--yes").expect(0)
    assert "changes are followed from where the source stands then" in result.stdout, result.describe()


# ---------------------------------------------------------------- retire


def test_retire(made, shop):
    engine, path = made.engine, str(made.path)
    made.once()
    assert slots(shop)
    result = engine.cmd("retire", path).expect(2)
    assert "nobody is there to ask" in result.stderr and re.search(rf"made at src: .*{made.name}", result.stdout)
    assert slots(shop)
    run = made.start()
    made.wait_for(lambda: "following" in run.stderr, "the feed", run)
    assert "is already being run" in engine.cmd("retire", path, "--yes").expect(3).stderr
    run.terminate()
    run.wait().expect(0)
    result = engine.cmd("retire", path, "--yes").expect(0)
    assert "dropped" in result.stdout and "begin anew: sluice state reset" in result.stdout, result.describe()
    assert not slots(shop) and not shop.query("SELECT pubname FROM pg_publication")
    assert show(made)["created"] == {}
    engine.cmd("retire", path, "--yes").expect(0)
    # What was dropped is missed, by name, and how to go on is said.
    result = engine.cmd("run", path, "--once").expect(3)
    assert "sluice state reset" in result.stderr, result.describe()
    engine.cmd("state", "reset", path, "--yes").expect(0)
    change(shop, 1000)
    made.once()
    assert str(made.compare(SHOP)) == "lost=0 dup=0 diff=0"


def test_retire_of_what_never_ran(made, shop, workdir):
    """Nothing is made by it, a state neither."""
    made.engine.cmd("retire", str(made.path), "--yes").expect(0)
    assert not list(workdir.rglob("*.sluice.db"))
    path = made.engine.write(generate(), "gen.yaml")
    result = made.engine.cmd("retire", str(path), "--yes").expect(0)
    assert result.stdout == "the sources of this pipeline leave nothing behind\n"
    result = made.engine.cmd("retire", str(made.path), "--yes", "--set", "sources.src.config.port=1").expect(3)
    assert "1 error: run it again when they are mended" in result.stderr, result.describe()
