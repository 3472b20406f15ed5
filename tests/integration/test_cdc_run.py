"""Pipelines with changes, from end to end: the modes, how runs end, tables that come and go, policies."""

from __future__ import annotations

import re

import pytest
from support import changes, lake, load, pipe
from support.pipe import file_sink


@pytest.fixture
def shop(db):
    db.execute(
        "CREATE TABLE item (id int PRIMARY KEY, name text, price numeric(10,2))",
        "INSERT INTO item SELECT i, 'item ' || i, i * 1.10 FROM generate_series(1, 200) i",
        "CREATE TABLE sale (item int, at timestamptz, n int)", "ALTER TABLE sale REPLICA IDENTITY FULL",
        "INSERT INTO sale SELECT i % 200, '2026-01-01+00', i FROM generate_series(1, 400) i",
    )
    return db


@pytest.fixture
def make_pipe(engine, db):
    made = []

    def make(sinks=None, **more):
        made.append(pipe.Pipe(engine, db, sinks, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()


BOTH = ["public.item", "public.sale"]


def change(db, at: int = 1000) -> None:
    db.execute(
        f"INSERT INTO item VALUES ({at}, 'new', 1.00)", "UPDATE item SET price = price + 1 WHERE id % 10 = 0",
        f"UPDATE item SET id = {at + 1} WHERE id = (SELECT min(id) FROM item)",
        "DELETE FROM item WHERE id = (SELECT min(id) FROM item)", "UPDATE sale SET n = -n WHERE item = 7",
        f"INSERT INTO sale VALUES ({at}, NULL, 1), ({at}, NULL, 1)", "DELETE FROM sale WHERE item = 9",
    )


def equal(made: pipe.Pipe, streams=BOTH, node=None) -> None:
    assert str(made.compare(streams, node)) == "lost=0 dup=0 diff=0"


@pytest.mark.parametrize("kind", ["file", "s3"])
@pytest.mark.parametrize("fmt", ["jsonl", "csv"])
def test_load_and_changes(make_pipe, shop, bucket, kind, fmt):
    made = make_pipe({"lake": bucket if kind == "s3" else "file"})
    made.sinks["lake"]["config"]["format"] = fmt
    made.write()
    made.once()
    equal(made)
    assert not made.feed().manifests
    change(shop)
    made.once()
    equal(made)
    change(shop, 2000)
    made.once()
    equal(made)
    kinds = {(event.op, stream) for stream in BOTH for event in made.feed().events(stream)}
    assert kinds >= {("I", "public.item"), ("U", "public.item"), ("D", "public.item"), ("D", "public.sale")}
    # Nothing happened: nothing is written.
    before = made.keys()
    made.once()
    made.once()
    assert made.keys() == before


def test_follow_rotates_by_the_clock_without_new_rows(make_pipe, shop):
    made = make_pipe({"lake": "file"})
    run = made.start()
    made.wait_loaded(BOTH, run)
    shop.execute("INSERT INTO item VALUES (900, 'one', 1)")
    before = made.commits()
    made.wait_commits(before + 1, run)
    made.wait_caught_up(run)
    equal(made)
    run.terminate()
    run.wait(30).expect(0)
    assert made.commits() == before + 1


def test_drain_leaves_all_that_was_read(make_pipe, db, workdir):
    load.setup(db, rows=100)
    made = make_pipe({"lake": file_sink(workdir / "lake", interval="1h")})
    with load.Load(db, writers=4, rate=100) as work:
        run = made.start()
        made.wait_loaded(load.STREAMS, run)
        for _ in range(3):
            seen = db.value("SELECT count(*) FROM ledger")
            made.wait_for(lambda seen=seen: db.value("SELECT count(*) FROM ledger") > seen + 30, "transactions", run)
            run.terminate()
            run.wait(60).expect(0)
            run = made.start()
        work.stop()
    run.terminate()
    run.wait(60).expect(0)
    made.once()
    assert len(made.feed().manifests) <= 6, "a drain is one commit"
    equal(made, load.STREAMS)


def test_once_sees_what_was_committed_asynchronously(make_pipe, shop):
    """The server answers COMMIT before its log is on disk: committed before the start is committed."""
    made = make_pipe({"lake": "file"})
    made.once()
    for number in range(5):
        shop.execute("SET synchronous_commit = off", f"INSERT INTO item VALUES ({3000 + number}, 'async', 1)")
        with shop.connect() as conn:
            conn.execute("SET synchronous_commit = off")
            conn.execute(f"INSERT INTO item VALUES ({4000 + number}, 'async', 1)")
        made.once()
        equal(made)


def test_cdc_only_from_now_and_from_a_position(make_pipe, shop, engine):
    now = make_pipe({"lake": "file"}, mode="cdc_only")
    now.once()
    lsn = shop.value("SELECT pg_current_wal_lsn()::text")
    change(shop)
    now.once()
    feed = now.feed()
    assert not feed.lake.runs("public.item") and feed.events("public.item")[0].row["id"] == "\0" + "1000"
    count = feed.count()
    now.once()
    assert now.feed().count() == count
    # Another slot cannot go back before its own making: that is a gap, said so.
    other = make_pipe({"lake": "file"}, mode="cdc_only", name=f"{now.name}_b", source={"start_lsn": lsn})
    result = other.once(rc=None)
    if result.rc == 0:
        assert [(e.op, e.pos, e.seq) for e in other.feed().events("public.item")] == [
            (e.op, e.pos, e.seq) for e in feed.events("public.item")]
    else:
        assert result.rc in (2, 3) and lsn in result.output, result.describe()


def test_cdc_only_from_a_slot_made_before(make_pipe, shop):
    """A slot of the user's own: everything since its making."""
    shop.execute("CREATE PUBLICATION mine FOR TABLE item, sale")
    slot = f"mine_{shop.name}"
    shop.query("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [slot])
    change(shop)
    made = make_pipe({"lake": "file"}, mode="cdc_only",
                     source={"slot": slot, "publication": "mine", "publication_mode": "existing"})
    made.once()
    assert [event.row["id"] for event in made.feed().events("public.item")][:1] == ["\0" + "1000"]


def test_load_beside_a_slot_made_before(make_pipe, shop):
    """The same with a load: changes since the slot's making, a load under a snapshot of its own, none twice."""
    slot = f"mine_{shop.name}"
    shop.query("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [slot])
    change(shop)
    made = make_pipe({"lake": "file"}, source={"slot": slot})
    made.once()
    change(shop, 2000)
    made.once()
    equal(made)


def test_until_a_position(make_pipe, shop):
    made = make_pipe({"lake": "file"})
    made.once()
    shop.execute("INSERT INTO item VALUES (901, 'in', 1)")
    lsn = shop.value("SELECT pg_current_wal_insert_lsn()::text")
    shop.execute("INSERT INTO item VALUES (902, 'out', 1)")
    made.engine.start(*("run", str(made.path), "--until", lsn)).wait(60).expect(0)
    assert [event.row["id"] for event in made.feed().events("public.item")] == ["\0" + "901"]
    made.once()
    equal(made)


def test_until_a_time(make_pipe, shop):
    made = make_pipe({"lake": "file"})
    made.once()
    shop.execute("INSERT INTO item VALUES (901, 'in', 1)", "SELECT pg_sleep(0.05)")
    when = shop.value("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
    shop.execute("SELECT pg_sleep(0.05)", "INSERT INTO item VALUES (902, 'out', 1)")
    made.engine.start("run", str(made.path), "--until", when).wait(60).expect(0)
    assert [event.row["id"] for event in made.feed().events("public.item")] == ["\0" + "901"]
    made.once()
    equal(made)


def test_tables_come_and_go(make_pipe, shop):
    made = make_pipe({"lake": "file"}, tables=["public.item"])
    made.once()
    change(shop)
    made.once()
    made.tables = {"include": ["public.item", "public.sale"]}
    made.write()
    made.once()
    change(shop, 2000)
    made.once()
    equal(made)
    assert len(made.feed().lake.runs("public.item")) == 1, "the other table was loaded again"
    made.tables = {"include": ["public.sale"]}
    made.write()
    made.once()
    seen = len(made.feed().events("public.item"))
    change(shop, 3000)
    made.once()
    assert len(made.feed().events("public.item")) == seen
    equal(made, ["public.sale"])
    # It comes back: what was missed is covered by a load of its own.
    made.tables = {"include": ["public.item", "public.sale"]}
    made.write()
    made.once()
    change(shop, 4000)
    made.once()
    equal(made)
    assert len(made.feed().lake.runs("public.sale")) == 1


def test_tables_come_while_others_are_written(make_pipe, db):
    """Every table joins a feed that never stops; writers never stop either."""
    load.setup(db, rows=150)
    names = sorted(load.STREAMS)
    with load.Load(db, writers=4, rate=80) as work:
        made = make_pipe({"lake": "file"}, tables=names[:4])
        for count in (4, 8, len(names)):
            made.tables = {"include": names[:count]}
            made.write()
            run = made.start()
            made.wait_loaded(names[:count], run)
            made.wait_commits(made.commits() + 1, run)
            run.kill9()
        work.stop()
    made.once()
    equal(made, load.STREAMS)
    changes.check_ledger(made.feed(), db)


@pytest.mark.parametrize("policy", ["apply", "ignore", "fail"])
def test_truncate_policies(make_pipe, shop, policy):
    made = make_pipe({"lake": "file"})
    if policy != "apply":
        made.sinks["lake"]["write"] = {"truncate": policy}
        made.write()
    made.once()
    shop.execute("INSERT INTO item VALUES (900, 'before', 1)", "TRUNCATE item, sale",
                 "INSERT INTO item VALUES (901, 'after', 1)", "INSERT INTO sale VALUES (1, NULL, 1)")
    result = made.once(rc=None)
    if policy == "fail":
        assert result.rc != 0 and "truncated" in result.output and "public.item" in result.output, result.describe()
        assert all(event.row["id"] != "\0" + "901" for event in made.feed().events("public.item") if event.op == "I")
        made.sinks["lake"]["write"] = {"truncate": "apply"}
        made.write()
        made.once()
        equal(made)
        return
    assert result.rc == 0, result.describe()
    ops = [event.op for event in made.feed().events("public.item")]
    if policy == "apply":
        assert ops == ["I", "T", "I"]
        numbers = {stream: next(e for e in made.feed().events(stream) if e.op == "T") for stream in BOTH}
        assert len({(event.pos, event.seq) for event in numbers.values()}) == 1
        equal(made)
    else:
        assert ops == ["I", "I"]
        table = changes.rebuild(made.feed(), "public.item")
        assert len(table) == 202


def test_a_load_is_needed_again_after_reset_of_one_stream(make_pipe, shop):
    made = make_pipe({"lake": "file"})
    made.once()
    change(shop)
    made.once()
    made.engine.cmd("state", "reset", str(made.path), "--stream", "public.item", "--yes").expect(0)
    change(shop, 2000)
    made.once()
    change(shop, 3000)
    made.once()
    equal(made)
    runs = {name: len(made.feed().lake.runs(name)) for name in BOTH}
    assert runs == {"public.item": 2, "public.sale": 1}


def test_without_its_state(make_pipe, shop):
    """The state folder is lost: what the sink holds says how far it was; nothing is missing or twice."""
    made = make_pipe({"lake": "file"})
    made.once()
    change(shop)
    made.once()
    for path in (made.engine.workdir / "state").rglob("*.db*"):
        path.unlink()
    change(shop, 2000)
    made.once()
    change(shop, 3000)
    made.once()
    equal(made)


def test_retire_drops_what_was_made(make_pipe, shop):
    made = make_pipe({"lake": "file"})
    made.once()
    assert made.slot_row() is not None and shop.value("SELECT count(*) FROM pg_publication") == 1
    result = made.engine.cmd("retire", str(made.path), "--yes").expect(0)
    assert made.slot in result.output
    assert made.slot_row() is None and shop.value("SELECT count(*) FROM pg_publication") == 0


def test_retire_leaves_what_is_the_users(make_pipe, shop):
    slot = f"mine_{shop.name}"
    shop.execute("CREATE PUBLICATION mine FOR TABLE item, sale")
    shop.query("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [slot])
    made = make_pipe({"lake": "file"}, source={"slot": slot, "publication": "mine", "publication_mode": "existing"})
    made.once()
    change(shop)
    made.once()
    equal(made)
    made.engine.cmd("retire", str(made.path), "--yes").expect(0)
    assert made.slot_row() is not None and shop.value("SELECT count(*) FROM pg_publication") == 1


def test_publication_with_filter_and_columns(make_pipe, shop):
    """A given publication's row filter and column list hold for the load too."""
    shop.execute("CREATE PUBLICATION mine FOR TABLE item (id, price) WHERE (id < 100)")
    made = make_pipe({"lake": "file"}, tables=["public.item"],
                     source={"publication": "mine", "publication_mode": "existing"})
    made.once()
    shop.execute("INSERT INTO item VALUES (500, 'out', 1), (0, 'in', 2)", "UPDATE item SET id = 600 WHERE id = 50",
                 "UPDATE item SET id = 51 WHERE id = 150 AND false", "DELETE FROM item WHERE id = 60",
                 "UPDATE item SET price = 9 WHERE id IN (70, 170)", "UPDATE item SET id = -1 WHERE id = 180")
    made.once()
    found = changes.compare(made.feed(), shop, "public.item", select="SELECT id, price FROM item WHERE id < 100")
    assert found.ok, str(found)


def test_all_tables_publication_takes_new_tables_in(make_pipe, shop):
    made = make_pipe({"lake": "file"}, source={"publication_mode": "all_tables"})
    made.once()
    assert shop.value("SELECT bool_and(puballtables) FROM pg_publication")
    shop.execute("CREATE TABLE late (id int PRIMARY KEY)", "INSERT INTO late VALUES (1)")
    made.once()
    shop.execute("INSERT INTO late VALUES (2)")
    made.once()
    equal(made, [*BOTH, "public.late"])


def test_logical_messages(make_pipe, shop):
    made = make_pipe({"lake": "file"}, source={"messages": True},
                     tables=["public.item", "pg_logical_message"])
    made.once()
    shop.execute("SELECT pg_logical_emit_message(true, 'note', 'tä')", "INSERT INTO item VALUES (900, 'x', 1)")
    made.once()
    names = [name for name in made.feed().names() if "message" in name]
    assert len(names) == 1, made.feed().names()
    (event,) = made.feed().events(names[0])
    assert event.row["prefix"] == "note"


def test_full_load_only_says_that_changes_are_not_captured(make_pipe, shop):
    made = make_pipe({"lake": "file"}, mode="full_load_only")
    said = made.once()
    assert re.search("changes .*not (be )?captured", said.output) and "full_load_and_cdc" in said.output
    planned = made.engine.cmd("plan", str(made.path)).expect(0)
    assert re.search("changes .*not (be )?captured", planned.output) and "full_load_and_cdc" in planned.output


def test_from_full_load_only_to_changes(make_pipe, shop):
    """The same file with another mode: the next run loads anew and follows."""
    made = make_pipe({"lake": "file"}, mode="full_load_only")
    made.once()
    made.once()
    made.mode = "full_load_and_cdc"
    made.write()
    change(shop)
    made.once()
    change(shop, 2000)
    made.once()
    equal(made)
    assert made.slot_row() is not None


def test_a_transform_masks_changes_as_it_masks_loads(make_pipe, shop):
    made = make_pipe({"lake": "file"})
    made.top["transforms"] = {"hide": {"plugin": "mask", "inputs": ["src"], "config": {
        "columns": ["public.item.name"], "with": "sha256"}}}
    made.sinks["lake"]["inputs"] = ["hide"]
    made.write()
    made.once()
    shop.execute("INSERT INTO item SELECT id + 5000, name, price FROM item WHERE id <= 20")
    made.once()
    text = "".join(made.store().get(key).decode() for key in made.store().keys("public.item"))
    assert '"item ' not in text
    rows = {changes.number(row["id"]): row["name"] for row in changes.rebuild(made.feed(), "public.item").all_rows()}
    assert all(rows[number] == rows[number + 5000] for number in range(1, 21)) and len(rows) == 220


def test_binary_and_text_give_the_same_rows(make_pipe, shop):
    outcomes = []
    for number, binary in enumerate(("off", "on")):
        made = make_pipe({"lake": "file"}, name=f"b{number}_{shop.name}", source={"binary": binary})
        made.once()
        outcomes.append(made)
    change(shop)
    rows = []
    for made in outcomes:
        made.once()
        equal(made)
        rows.append([(e.op, e.pos, e.seq, e.row) for stream in BOTH for e in made.feed().events(stream)])
    assert rows[0] == rows[1]


def test_debezium_shape_names_every_change_once(make_pipe, shop):
    made = make_pipe({"lake": "file"})
    made.sinks["lake"]["config"]["changes"] = "debezium"
    made.write()
    made.once()
    shop.execute("INSERT INTO item VALUES (900, 'a', 1)", "UPDATE item SET name = 'b' WHERE id = 900",
                 "UPDATE item SET id = 901 WHERE id = 900", "DELETE FROM item WHERE id = 901")
    made.once()
    feed = made.feed(shape="debezium")
    assert [event.op for event in feed.events("public.item")] == ["I", "U", "D", "I", "D"]
    assert not feed.twice("public.item")


def test_full_load_in_the_shape_of_changes(make_pipe, shop):
    made = make_pipe({"lake": "file"})
    made.sinks["lake"]["config"]["full"] = "changes"
    made.write()
    made.once()
    change(shop)
    made.once()
    equal(made)
    stream = lake.Lake(made.store()).stream("public.item")
    rows = [changes.decode(line) for line in stream.lines()]
    assert {row["_op"] for row in rows} == {"R"} and {row["_pos"] for row in rows} == {stream.position}
