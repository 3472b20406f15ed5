"""Tables that are odd, that change or vanish while they are read, and servers that go away: one table's
trouble is that table's alone, and the summary says which."""

from __future__ import annotations

import json
import re
import time

import pytest
from support import lake, pg, proc

NO_RETRY = {"on_error": {"retry": {"max": 1, "backoff": "10ms", "cap": "10ms"}}}


def file_sink(workdir, **config):
    return {"plugin": "file", "config": {"path": str(workdir / "lake"), "format": "jsonl", **config}}


def read(workdir) -> lake.Lake:
    return lake.Lake(lake.FileStore(workdir / "lake"))


def failed(result) -> dict[str, str]:
    """The tables that failed, with what was said of each, as the summary has it."""
    return dict(re.findall(r'^failed: ((?:[\w.]|"[^"]*")+): (.+)$', result.stdout, re.M))


# ---------------------------------------------------------------- odd tables


def test_as_many_columns_as_there_may_be(engine, db, make_pipeline, workdir):
    names = [f"c{n}" for n in range(1600)]
    db.execute(
        f"CREATE TABLE wide ({', '.join(f'{name} int' for name in names)})",
        "INSERT INTO wide DEFAULT VALUES",
        f"INSERT INTO wide SELECT {', '.join(str(n) for n in range(1600))} FROM generate_series(1, 20)",
        f"CREATE TABLE texts ({', '.join(f'{name} text' for name in names)})",
        "INSERT INTO texts (c0, c1599) VALUES ('', 'last')",
    )
    for fmt in ("jsonl", "csv"):
        out = workdir / fmt
        pipeline = make_pipeline(db.config(), {"out": file_sink(out, format=fmt)}, name=f"p_{fmt}")
        engine.run(pipeline, "--check-batches").expect(0)
        assert lake.compare_all(read(out), db, ["public.wide", "public.texts"]) == "lost=0 dup=0 diff=0"
        assert len(read(out).stream("public.wide").columns) == 1600
    found = engine.run(pipeline, "--json", "--columns", command="discover").expect(0).json()
    assert [len(stream["columns"]) for stream in found["streams"]] == [1600, 1600]


def test_no_columns_and_no_rows(engine, db, make_pipeline, workdir):
    db.execute("CREATE TABLE nothing ()", "INSERT INTO nothing DEFAULT VALUES", "INSERT INTO nothing DEFAULT VALUES",
               "CREATE TABLE empty (id int PRIMARY KEY, a text)", "CREATE TABLE several AS SELECT 1 AS id")
    engine.run(make_pipeline(db.config(), {"out": file_sink(workdir / "j")})).expect(0)
    found = read(workdir / "j")
    assert found.names() == ["public.empty", "public.nothing", "public.several"]
    assert found.stream("public.nothing").lines() == ["{}", "{}"]
    assert found.stream("public.empty").rows() == []
    # A CSV line of no columns says nothing: that table is refused, the others are written.
    result = engine.run(make_pipeline(db.config(), {"out": file_sink(workdir / "c", format="csv")}, name="q")).expect(1)
    assert "cannot be written as CSV: use format jsonl or exclude it" in failed(result)["public.nothing"]
    assert read(workdir / "c").names() == ["public.empty", "public.several"]
    for command in ("preview", "discover", "plan", "check"):
        engine.run(make_pipeline(db.config(), {"out": file_sink(workdir / "j")}), command=command).expect(0)


HOSTILE = ["ev\x1b[31mil", "c1\u009b31m", "bidi\u202e", "line\nbreak", "car\rriage", "bell\x07", "tab\t",
           "\u2028", "ok äöü 🙂", "x" * 63]


def test_names_cannot_reach_the_terminal(engine, db, make_pipeline, workdir):
    """Neither as names of tables, nor of columns, nor out of the server's messages, at any level of the log."""
    with db.connect() as conn:
        for name in HOSTILE:
            conn.execute(f'CREATE TABLE "{name}" ("{name}" int)')  # type: ignore[arg-type]
            conn.execute(f'INSERT INTO "{name}" VALUES (1)')  # type: ignore[arg-type]
    tables = {"include": ["public.*"], "rules": [{"match": "public.*bell*", "where": '"no\x1bsuch" = 1'}]}
    pipeline = make_pipeline(db.config(), {"out": file_sink(workdir)}, tables, **NO_RETRY)
    path = engine.workdir / "p.json"
    path.write_text(json.dumps(pipeline))
    for args in (["validate"], ["check"], ["discover", "--columns"], ["plan", "--columns"], ["preview", "--limit", "1"],
                 ["run"], ["run", "--progress", "json"], ["run", "--log-format", "json"], ["state", "show"]):
        for flags in ([], ["--json"]):
            result = engine.cmd(*args, str(path), *flags, "--log-level", "trace")
            assert result.rc in (0, 1, 3), result.describe()
            raw = re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202e]", result.output)
            assert not raw, (args, flags, raw, result.describe())
    assert len(read(workdir).names()) == len(HOSTILE) - 1
    outside = [found for found in workdir.rglob("*") if found.suffix in (".zst", ".jsonl")
               and workdir / "lake" not in found.parents]
    assert not outside


@pytest.mark.release
@pytest.mark.slow
def test_value_of_one_gigabyte(release_engine, db, make_pipeline, workdir):
    """A clear error of one table; not a crash, nor a file with half of it. (libpq holds the row twice.)"""
    db.execute("CREATE TABLE small AS SELECT 1 AS id", "CREATE TABLE huge (id int, body text)",
               "INSERT INTO huge VALUES (1, 'first'), (2, repeat('x', 1000000000))")
    pipeline = make_pipeline(db.config(), {"out": file_sink(workdir)}, **NO_RETRY)
    result = release_engine.run(pipeline, timeout=200).expect(1)
    told = failed(result)["public.huge"]
    assert re.search(r"has \d+\.\d MiB or more, and option max_row_bytes allows 256\.0", told), result.describe()
    assert "hint: raise max_row_bytes" in result.stdout
    assert result.peak_rss_kib < 2300 * 1024, f"{result.peak_rss_kib >> 10} MiB"
    assert read(workdir).names() == ["public.small"]


# ---------------------------------------------------------------- change while it is read


CHANGES = {
    "ALTER TABLE b DROP COLUMN i": "the table was changed",
    "ALTER TABLE b RENAME COLUMN i TO j": "the table was changed",
    "ALTER TABLE b ALTER i TYPE text": "it was truncated or rewritten",
    "ALTER TABLE b RENAME TO c": "the table was changed",
    "DROP TABLE b": "the table was changed",
    "DROP TABLE b; CREATE TABLE b AS SELECT 1 AS i": "dropped and made anew",
    "TRUNCATE b": "it was truncated or rewritten",
    "ALTER TABLE b ADD COLUMN more int": None,
    "INSERT INTO b VALUES (11)": None,
    "DELETE FROM b": None,
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_between_listing_and_reading(engine, db, make_pipeline, workdir, change):
    """Table a is read, largest first, when b changes. What b was under the snapshot, or a clear failure of b alone."""
    db.execute("CREATE TABLE a AS SELECT generate_series(1, 5000) AS i",
               "CREATE TABLE b AS SELECT generate_series(1, 10) AS i", "ANALYZE")
    path = engine.write(make_pipeline(db.config(), {"out": file_sink(workdir)}, parallelism=1))
    run = engine.start("run", str(path), "--once", env={"SLUICE_FAILPOINTS": "flow.after_batch=sleep:1500"})
    run.wait_output("source opened")
    assert "stream complete" not in run.stderr
    db.execute(*change.split("; "))
    result = run.wait()
    if CHANGES[change] is None:
        result.expect(0)
        assert [str(row["i"]) for row in read(workdir).stream("public.b").rows()] == [str(n) for n in range(1, 11)]
        return
    result.expect(1)
    assert list(failed(result)) == ["public.b"] and CHANGES[change] in result.stdout, result.describe()
    assert "1 of 2 tables failed" in result.stderr
    assert read(workdir).names() == ["public.a"] and len(read(workdir).stream("public.a").rows()) == 5000


def test_timeouts_are_their_tables_alone(engine, db, make_pipeline, workdir):
    db.execute("CREATE TABLE a AS SELECT 1 AS i", "CREATE TABLE locked AS SELECT 1 AS i",
               "CREATE VIEW slow AS SELECT pg_sleep(100)::text AS s")
    source = db.config(statement_timeout="500ms", lock_timeout="200ms")
    with db.connect(autocommit=False) as other:
        other.execute("LOCK TABLE locked")
        result = engine.run(make_pipeline(source, {"out": file_sink(workdir)}, **NO_RETRY)).expect(1)
    assert set(failed(result)) == {"public.locked", "public.slow"}, result.describe()
    assert "option statement_timeout is too small" in result.stdout
    assert "another session holds a lock on the table" in result.stdout
    assert read(workdir).names() == ["public.a"]


def test_rights_that_lack_are_told_with_what_gives_them(engine, db, make_pipeline, workdir):
    role = f"reader_{db.name}"
    db.execute(
        f"CREATE ROLE {role} LOGIN PASSWORD 'Xy7-r3ad'", 'CREATE TABLE fine AS SELECT 1 AS i',
        'CREATE TABLE "Closed One" AS SELECT 1 AS i', "CREATE TABLE part (i int, salary int)",
        "CREATE SCHEMA hidden", "CREATE TABLE hidden.x (i int)", "ANALYZE",
        f"GRANT SELECT ON fine TO {role}", f"GRANT SELECT (i) ON part TO {role}",
    )
    source = {**db.config(), "user": role, "password": "Xy7-r3ad"}
    pipeline = make_pipeline(source, {"out": file_sink(workdir)}, ["*", "public.mistyped"], **NO_RETRY)
    try:
        result = engine.run(pipeline, command="check").expect(3)
        for subject, what, mend in (
            ('public."Closed One"', "no right to read it", f'GRANT SELECT ON public."Closed One" TO {role}'),
            ("public.part", 'no right to read column "salary"', f"GRANT SELECT ON public.part TO {role}"),
            ("hidden.x", "no right to use its schema", f"GRANT USAGE ON SCHEMA hidden TO {role}"),
        ):
            assert result.stdout.count(f"error    {subject}: {what}\n") == 1, result.describe()
            assert f"mend: {mend}\n" in result.stdout, result.describe()
        assert "no table matches the pattern public.mistyped" in result.stdout
        assert "3 errors, " in result.stdout
        told = failed(engine.run(pipeline).expect(1))
        assert told["hidden.x"] == "no right to use its schema" and len(told) == 3
        # What was said, done: all can be read then.
        db.execute(*re.findall(r"mend: (GRANT .*)", result.stdout), f"GRANT SELECT ON hidden.x TO {role}")
        assert "error    " not in engine.run(pipeline, command="check").expect(0).stdout
        engine.run(pipeline).expect(0)
        assert len(read(workdir).names()) == 4
    finally:
        db.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


# ---------------------------------------------------------------- the server goes away


@pytest.fixture
def own_server():
    server = pg.PgServer.create()
    try:
        yield server
    finally:
        server.destroy()


def copying(db: pg.PgDatabase) -> bool:
    return bool(db.query("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'COPY%' AND state = 'active'"))


@pytest.mark.parametrize("mode", ["immediate", "kill"])
def test_server_dies_in_the_middle(engine, own_server, make_pipeline, workdir, mode):
    """The load waits, begins anew under a new snapshot when the server is back, and keeps what was complete."""
    db = pg.PgDatabase(own_server, "postgres")
    db.execute("CREATE TABLE a AS SELECT generate_series(1, 1000) AS i",
               "CREATE TABLE b AS SELECT i, CASE WHEN i > 900 THEN 0.02 ELSE 0 END AS wait"
               " FROM generate_series(1, 1000) i",
               "CREATE VIEW slow AS SELECT i FROM b WHERE pg_sleep(wait) IS NOT NULL", "CHECKPOINT")
    retry = {"on_error": {"retry": {"max": 50, "backoff": "100ms", "cap": "500ms"}}}
    pipeline = make_pipeline(db.config(), {"out": file_sink(workdir)}, ["public.a", "public.slow"], **retry)
    run = engine.start_run(pipeline)
    run.wait_output("stream complete stream=public.a")
    proc.wait_until(lambda: copying(db), 10, "COPY running")
    own_server.stop(mode)
    run.wait_output("again")
    time.sleep(0.5)
    assert run.poll() is None
    own_server.start()
    run.wait(60).expect(0)
    assert lake.compare_all(read(workdir), db, ["public.a", "public.slow"]) == "lost=0 dup=0 diff=0"
    assert len(read(workdir).runs("public.a")) == 1


def test_server_dies_for_good(engine, own_server, make_pipeline, workdir):
    db = pg.PgDatabase(own_server, "postgres")
    db.execute("CREATE TABLE a AS SELECT 1 AS i", "CREATE VIEW slow AS SELECT pg_sleep(100)::text AS s",
               "CHECKPOINT")  # so that they outlive the server's crash
    # Longer than a server takes to end, which answers that it shuts down while it does.
    retry = {"on_error": {"retry": {"max": 5, "backoff": "200ms", "cap": "1s"}}}
    pipeline = make_pipeline(db.config(), {"out": file_sink(workdir)}, ["public.a", "public.slow"], **retry)
    run = engine.start_run(pipeline)
    run.wait_output("stream complete stream=public.a")
    proc.wait_until(lambda: copying(db), 10, "COPY running")
    own_server.stop("immediate")
    result = run.wait(30).expect(3)
    assert "refused" in result.stderr and "check options host and port" in result.stderr, result.describe()
    # What was whole stays, and the next run goes on with the rest.
    assert read(workdir).names() == ["public.a"]
    own_server.start()
    db.execute("CREATE OR REPLACE VIEW slow AS SELECT 'now'::text AS s")
    streams = engine.run(pipeline, "--json", "-q").expect(0).json()["pipelines"][0]["streams"]
    assert {stream["name"]: stream["status"] for stream in streams} == {
        "public.a": "skipped", "public.slow": "complete"}


def test_another_database_in_the_middle_of_a_load(engine, pg_server, make_pipeline, workdir):
    """Parts of one database and of another must never be taken for one load."""
    with pg_server.database() as one, pg_server.database() as two:
        for number, db in enumerate((one, two)):
            db.execute(f"CREATE TABLE a AS SELECT {number} AS i", f"CREATE TABLE b AS SELECT {number} AS i")
        pipeline = make_pipeline(one.config(), {"out": file_sink(workdir)}, parallelism=1)
        run = engine.start("run", str(engine.write(pipeline)), env={"SLUICE_FAILPOINTS": "flow.after_batch=sleep:800"})
        run.wait_output("source opened")
        run.interrupt()
        run.wait().expect(0)
        path = engine.write({**pipeline, "sources": {"src": {"plugin": "postgres", "config": two.config()}}})
        result = engine.cmd("run", str(path)).expect(3)
        assert "p: source src: this is another database or timeline (" in result.stderr, result.describe()
        assert f"  hint: point the pipeline back at that one, or begin anew: sluice state reset {path}" in result.stderr
        engine.cmd("state", "reset", str(path), "--yes").expect(0)
        engine.cmd("run", str(path)).expect(0)
        assert lake.compare_all(read(workdir), two, ["public.a", "public.b"]) == "lost=0 dup=0 diff=0"
