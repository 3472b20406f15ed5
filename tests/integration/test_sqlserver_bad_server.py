"""A SQL Server (the stand-in) that is not as it should be while tables are read and written: full, busy, without Agent,
of an old version, or not telling all to everybody. The error names object and remedy, the exit code is that of
docs/operations.md, and nothing is half-applied."""

from __future__ import annotations

import pytest
from support.mssql import MsReplica, ToMs, enable
from test_sqlserver_source import pipeline, rows_of, to_files

RETRY = {"on_error": {"retry": {"max": 3, "backoff": "10ms", "cap": "20ms"}}}


def filled(ms, *tables: str) -> None:
    for table in tables:
        ms.execute(f"CREATE TABLE {table} (id int NOT NULL PRIMARY KEY, v nvarchar(20) NULL)",
                   *(f"INSERT INTO {table} VALUES ({i}, N'v{i}')" for i in range(1, 20)))


# number, whether another try may mend it, part of the remedy
TROUBLE = [(1205, True, ""), (3960, True, ""), (1222, True, ""), (40613, True, ""), (1105, True, "add a file"),
           (1101, True, "add a file"), (9002, True, "log_reuse_wait_desc"), (823, False, ""), (8134, False, "")]


@pytest.mark.parametrize("number, passes, remedy", TROUBLE)
def test_while_a_table_is_read(engine, own_ms, workdir, number, passes, remedy):
    """Once, and then without end."""
    ms = own_ms.create_database()
    filled(ms, "t", "u")
    document = {**pipeline(ms.config(), to_files(workdir)), **RETRY}
    own_ms.fail_on(r"FROM \[dbo\]\.\[t\]", number)
    first = engine.run(document)
    assert (first.rc == 0) == passes, first.describe()
    if passes:
        assert len(rows_of(workdir, "dbo.t")) == 19
    else:
        assert f"error {number}" in first.stderr and "dbo.t" in first.stderr, first.describe()
        if number == 8134:  # the table's own fault: the other is whole
            assert len(rows_of(workdir, "dbo.u")) == 19
    own_ms.faults.clear()
    own_ms.fail_on(r"FROM \[dbo\]\.\[t\]", number, times=1000)
    document = {**pipeline(ms.config(), to_files(workdir / "again")), **RETRY}
    failed = engine.run(document)
    assert failed.rc in (1, 3) and f"error {number}" in failed.stderr, failed.describe()
    assert "dbo.t" in failed.stderr and remedy in failed.stderr, failed.describe()
    own_ms.faults.clear()
    engine.run(document).expect(0)
    assert len(rows_of(workdir / "again", "dbo.t")) == 19


@pytest.mark.parametrize("number, passes, remedy", TROUBLE)
def test_while_a_table_is_loaded(engine, db, own_ms, number, passes, remedy):
    """In the middle of a bulk load: all of it, or nothing and another try."""
    ms = own_ms.create_database()
    db.execute("CREATE TABLE t (id int PRIMARY KEY, v text)",
               "INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 500) i")
    pipe = ToMs(engine, db, ms, mode="full_load_only", tables=["public.t"], **RETRY)
    own_ms.fail_on(r"^BULK", number)
    first = pipe.once(rc=None)
    assert (first.rc == 0) == passes, first.describe()
    if not passes:
        assert f"error {number}" in first.stderr and "public.t" in first.stderr, first.describe()
        own_ms.faults.clear()
        pipe.once()
    assert pipe.compare_pg("public.t").rows == 500


def test_one_table_that_may_not_be_read(engine, own_ms, workdir):
    """The others are loaded; this one is named, with what grants it."""
    ms = own_ms.create_database()
    filled(ms, "t", "secret", "u")
    own_ms.users["reader"] = "r-Password1"
    ms.execute("DENY SELECT ON dbo.secret TO reader")
    document = pipeline({**ms.config(), "user": "reader", "password": "r-Password1"}, to_files(workdir))
    failed = engine.run(document).expect(1)
    assert "object 'secret'" in failed.output and "229" in failed.output and "GRANT" in failed.output, failed.describe()
    assert len(rows_of(workdir, "dbo.t")) == len(rows_of(workdir, "dbo.u")) == 19
    document["sources"]["src"]["tables"]["exclude"] = ["dbo.secret"]
    engine.run(document).expect(0)


def test_without_agent(engine, own_ms, target):
    """`check` says so; what was captured before is delivered, and nothing is lost when it runs again."""
    ms = own_ms.create_database()
    filled(ms, "t")
    enable(ms, "t")
    pipe = MsReplica(engine, ms, target, tables=["dbo.t"])
    try:
        pipe.once()
        own_ms.captures[ms.name].stopped.set()
        with own_ms.connect(ms.name) as conn:
            conn.execute("INSERT INTO tds.settings VALUES ('agent', '0')")
        ms.execute("INSERT INTO t VALUES (100, N'unseen')")
        checked = engine.cmd("check", str(pipe.path))
        assert checked.rc == 3 and "SQL Server Agent: it is not running" in checked.output, checked.describe()
        assert "sp_cdc_start_job" in checked.output
        waited = pipe.once(rc=3)  # does not wait for ever
        assert "SQL Server Agent is not running" in waited.stderr, waited.describe()
        own_ms.captures[ms.name].stopped.clear()
        with own_ms.connect(ms.name) as conn:
            conn.execute("DELETE FROM tds.settings WHERE name = 'agent'")
        pipe.once()
        assert pipe.compare_to("t", ("id", "v")).rows == 20
        assert engine.cmd("check", str(pipe.path)).rc == 0
    finally:
        pipe.close()


def test_a_capture_job_that_never_ran(engine, own_ms, target):
    """There is no LSN yet: the load begins, its feed waits, and has all when the job comes."""
    ms = own_ms.create_database()
    filled(ms, "t")
    enable(ms, "t")
    own_ms.captures[ms.name].stopped.set()
    with own_ms.connect(ms.name) as conn:
        conn.execute("DELETE FROM cdc.lsn_time_mapping")
        conn.execute("DELETE FROM tds.scans")
    assert ms.query("SELECT sys.fn_cdc_get_max_lsn() AS lsn") == [(None,)]
    pipe = MsReplica(engine, ms, target, tables=["dbo.t"])
    try:
        checked = engine.cmd("check", str(pipe.path))
        assert "nothing was captured yet" in checked.output, checked.describe()
        run = pipe.start()
        pipe.wait_loaded(["dbo.t"], run)
        ms.execute("INSERT INTO t VALUES (200, N'early')", "UPDATE t SET v = N'changed' WHERE id = 1")
        own_ms.captures[ms.name].stopped.clear()
        pipe.wait_for(lambda: target.value("SELECT count(*) FROM dbo.t WHERE id = 200 OR v = 'changed'") == 2,
                      "what was captured late", run)
        run.interrupt()
        run.wait().expect(0)
        assert pipe.compare_to("t", ("id", "v")).rows == 20
    finally:
        pipe.close()


def test_an_old_version_of_the_protocol(engine, own_ms, workdir):
    """Before 7.3 times come as texts: what cannot be read exactly is not read."""
    ms = own_ms.create_database()
    filled(ms, "t")
    own_ms.tds_version = "72090002"
    failed = engine.run(pipeline(ms.config(), to_files(workdir)))
    assert failed.rc in (1, 2, 3) and "TDS version older than 7.3" in failed.stderr, failed.describe()
    own_ms.tds_version = "730b0003"
    engine.run(pipeline(ms.config(), to_files(workdir))).expect(0)
    assert len(rows_of(workdir, "dbo.t")) == 19
