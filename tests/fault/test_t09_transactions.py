"""T9: transactions of every shape: larger than memory, of thousands of subtransactions, many at a time,
empty ones, prepared ones."""

from __future__ import annotations

import pytest
from support import changes, lake
from support.pgoutput import Oracle
from support.pipe import file_sink
from support.score import Score, size


# Savepoints, nested ones too, a part of them rolled back.
MANY = """CREATE PROCEDURE many(n int) LANGUAGE plpgsql AS $$ BEGIN
        FOR i IN 1..n LOOP
            BEGIN
                INSERT INTO t VALUES (i, 'outer');
                BEGIN
                    UPDATE t SET v = 'inner' WHERE id = i;
                    IF i % 5 = 0 THEN RAISE EXCEPTION 'no' USING ERRCODE = 'P0001'; END IF;
                EXCEPTION WHEN SQLSTATE 'P0001' THEN NULL;
                END;
                IF i % 3 = 0 THEN RAISE EXCEPTION 'no' USING ERRCODE = 'P0002'; END IF;
            EXCEPTION WHEN SQLSTATE 'P0002' THEN NULL;
            END;
        END LOOP; END $$"""


@pytest.mark.slow
@pytest.mark.release
@pytest.mark.timeout(size(200, 600))
def test_a_million_rows_in_one_transaction(release_engine, db, make_pipe):
    """It flows through: memory stays bounded, and all of it counts at one position."""
    rows = size(1_000_000, 2_000_000)
    db.execute("CREATE TABLE big (id int PRIMARY KEY, n bigint, v text)", "CREATE TABLE other (id int PRIMARY KEY)")
    pipe = make_pipe({"lake": "file"}, by=release_engine)
    pipe.sinks["lake"]["config"]["compression"] = "zstd"
    pipe.write()
    pipe.once()
    db.execute("INSERT INTO other VALUES (1)",
               f"BEGIN; INSERT INTO big SELECT i, i * 7::bigint, 'value ' || i FROM generate_series(1, {rows}) i;"
               " INSERT INTO other VALUES (2); COMMIT",
               "INSERT INTO other VALUES (3)")
    with Score("T9", f"one transaction of {rows} rows") as score:
        result = pipe.once(timeout=180)
        score.fault()
        score.saw(result.peak_rss_kib)
        assert result.peak_rss_kib < 256 * 1024, f"{result.peak_rss_kib} KiB"
        read = lake.Lake(pipe.store())
        # Not through the rebuilding reader, which would hold all in memory: each line is checked by itself.
        seen, positions, last = bytearray(rows + 1), set(), 0
        manifests = [manifest for manifest in read.manifests if manifest["kind"] == "cdc"]
        for manifest in manifests:
            for entry in manifest["files"]:
                if entry["stream"] != "public.big":
                    continue
                file = read.read_file(manifest, entry, [], read.store.get(entry["key"]))
                for line in file.lines():
                    row = changes.decode(line)
                    number = changes.number(row["id"])
                    assert seen[number] == 0, f"twice: {line}"
                    seen[number] = 1
                    assert row["_op"] == "I" and row["v"] == f"value {number}", line
                    assert changes.number(row["n"]) == number * 7 and changes.number(row["_seq"]) == last + 1, line
                    last += 1
                    positions.add(row["_pos"])
        assert last == rows and sum(seen) == rows and len(positions) == 1, (last, sum(seen), positions)
        owners = {manifest["seq"] for manifest in manifests for file in manifest["files"]
                  if file["stream"] == "public.big"}
        assert len(owners) == 1, f"one transaction in the manifests {owners}"
        feed_events = changes.Feed(_only(read, "public.other")).events("public.other")
        assert [event.row["id"] for event in feed_events] == ["\0" + "1", "\0" + "2", "\0" + "3"]
        assert feed_events[1].pos in positions and feed_events[1].seq == rows + 1
        score.took(changes.Totals(rows=rows))
        score.survive()
        print(f"{result.peak_rss_kib // 1024} MiB, {result.seconds:.1f} s, {result.cpu_seconds:.1f} CPU-s")


def _only(read: lake.Lake, stream: str) -> lake.Lake:
    """The same lake, as if only one stream's files had been written."""
    for manifest in read.manifests:
        if manifest["kind"] == "cdc":
            manifest["files"] = [file for file in manifest["files"] if file["stream"] == stream] or manifest["files"]
    read.manifests = [
        manifest for manifest in read.manifests
        if manifest["kind"] != "cdc" or all(file["stream"] == stream for file in manifest["files"])
    ]
    return read


@pytest.mark.slow
@pytest.mark.timeout(size(150, 600))
def test_killed_inside_a_large_transaction(make_pipe, db, workdir):
    """What was handed over of it counts nowhere until its commit does."""
    db.execute("CREATE TABLE big (id int PRIMARY KEY, v text)")
    pipe = make_pipe({"lake": file_sink(workdir / "lake", batch={"rows": 20000})})
    pipe.once()
    rows = size(150_000, 600_000)
    db.execute(f"INSERT INTO big SELECT i, repeat('x', 100) FROM generate_series(1, {rows}) i",
               "UPDATE big SET v = 'y' WHERE id % 10 = 0")
    with Score("T9", "killed inside a large transaction") as score:
        done = pipe.commits()
        for _ in range(4):
            run = pipe.start()
            objects = len(pipe.keys())
            pipe.wait_for(lambda objects=objects: len(pipe.keys()) > objects or run.poll() is not None, "a file")
            if run.poll() is None:
                run.kill9()
                score.fault()
                score.survive()
        assert pipe.commits() <= done + 2
        pipe.once()
        score.took(pipe.compare(["public.big"]))
        feed = pipe.feed()
        assert len({event.pos for event in feed.events("public.big")}) == 2
    assert score.faults >= 1


@pytest.mark.slow
def test_subtransactions_with_aborts(make_pipe, db):
    """Two thousand savepoints, every third rolled back, nested ones too."""
    count = size(2000, 5000)
    db.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text)",
        MANY,
    )
    pipe = make_pipe({"lake": "file"})
    pipe.once()
    with Score("T9", f"{count} subtransactions, a third rolled back") as score:
        score.fault(count)
        db.execute(f"CALL many({count})", "BEGIN; INSERT INTO t VALUES (-1, 'gone'); ROLLBACK", "CALL many(0)")
        pipe.once()
        score.took(pipe.compare(["public.t"]))
        events = pipe.feed().events("public.t")
        kept = [number for number in range(1, count + 1) if number % 3]
        expected = []
        for number in kept:
            expected.append(("I", str(number), "outer"))
            if number % 5:
                expected.append(("U", str(number), "inner"))
        assert [(event.op, event.row["id"][1:], event.row["v"]) for event in events] == expected
        assert [event.seq for event in events] == list(range(1, len(expected) + 1))
        assert len({event.pos for event in events}) == 1
        score.survive(count)


@pytest.mark.slow
def test_fifty_interleaved_transactions(make_pipe, db):
    """Open at once, row after row in turn, committed in another order, every fourth rolled back; and
    transactions without rows, prepared ones, and one whose tables are not ours."""
    db.execute("CREATE TABLE t (tx int, n int, v text, PRIMARY KEY (tx, n))",
               "CREATE TABLE not_ours (id int)", "CREATE PUBLICATION o FOR TABLE t")
    oracle = Oracle(db, "o")
    pipe = make_pipe({"lake": "file"}, tables=["public.t"])
    pipe.once()
    with Score("T9", "50 interleaved transactions") as score:
        sessions = [db.connect(autocommit=False) for _ in range(50)]
        for number in range(20):
            for which, session in enumerate(sessions):
                session.execute("INSERT INTO t VALUES (%s, %s, %s)", [which, number, "x" * which])
                if number % 4 == 3:
                    session.execute("UPDATE t SET v = 'u' WHERE tx = %s AND n = %s", [which, number - 1])
        order = [which for at in range(7) for which in range(at, 50, 7)]
        for which in order:
            score.fault()
            if which % 4 == 0:
                sessions[which].rollback()
            else:
                sessions[which].commit()
            db.execute("BEGIN; COMMIT", "INSERT INTO not_ours VALUES (1)", "SELECT txid_current()")
        for session in sessions:
            session.close()
        pipe.once()
        score.took(pipe.compare(["public.t"]))
        events = pipe.feed().events("public.t")
        expected = [
            (tx.pos, change.seq, change.op, change.new[0], change.new[1])
            for tx in oracle.transactions() for change in tx.changes
        ]
        oracle.drop()
        got = [(event.pos, event.seq, event.op, event.row["tx"][1:], event.row["n"][1:]) for event in events]
        assert got == expected and len({event.pos for event in events}) == sum(1 for which in order if which % 4)
        score.survive(50)
