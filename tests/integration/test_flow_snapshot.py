"""A snapshot's name is no proof: after a restart of the server, another session's may have the same."""

from __future__ import annotations

import time

from support import lake
from support.pg import PgServer


def export_as(server: PgServer, dbname: str, name: str):
    """A session that exported a snapshot with just that name, or None. Names are made of the number of
    the server's slot and of the transactions seen there since the server started."""
    slot, transaction, _ = (int(part, 16) for part in name.split("-"))
    held = []
    for _ in range(60):
        session = server.connect(dbname, autocommit=True)
        session.prepare_threshold = None  # preparing would be a transaction, too
        held.append(session)
        for _ in range(transaction + 100):
            session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            got = session.execute("SELECT pg_export_snapshot()").fetchone()[0]
            if got == name:
                return held
            session.execute("ROLLBACK")
            if int(got.split("-")[0], 16) != slot or int(got.split("-")[1], 16) >= transaction:
                break
    for session in held:
        session.close()
    return None


def use_slots(server: PgServer, dbname: str) -> None:
    """Many transactions in each of the server's first slots, so that the name which the engine gets has
    a high number: after a restart the server's own processes and probes use up the low ones."""
    sessions = [server.connect(dbname, autocommit=True) for _ in range(12)]
    for session in sessions:
        session.prepare_threshold = None
        for _ in range(150):
            session.execute("SELECT 1")
    for session in sessions:
        session.close()


def taken_by_another(engine, make_pipeline, server: PgServer, db, folder, number: int) -> bool:
    """One try. False: no session got the name of the engine's snapshot in time, so nothing was shown."""
    sink = {"plugin": "file", "config": {"path": str(folder), "format": "jsonl"}}
    document = make_pipeline(db.config(), {"out": sink}, ["public.*"], parallelism=1)
    path = engine.write({**document, "name": f"p{number}"}, f"p{number}.yaml")
    run = engine.start_run(
        path, "--progress", "log", env={"SLUICE_FAILPOINTS": f"flow.before_shard=sleep:{6000 * number}@1"}
    )
    name = run.wait_output(r"snapshot taken snapshot=([0-9A-F-]+)")[1]
    server.restart("immediate")
    db.execute("INSERT INTO t SELECT 100 + max(id) FROM t")
    held = export_as(server, db.name, name)
    if held is None:
        run.kill9()
        return False
    db.execute("INSERT INTO t SELECT 100 + max(id) FROM t")
    time.sleep(0.1)
    result = run.wait().expect(0)
    assert "start anew under a new snapshot" in result.output, result.describe()
    for session in held:
        session.close()
    read = lake.Lake(lake.FileStore(folder))
    assert lake.compare_all(read, db, ["public.t"]) == "lost=0 dup=0 diff=0"
    return True


def test_another_snapshot_of_the_same_name_is_not_read(engine, make_pipeline, workdir):
    server = PgServer.create({"autovacuum": "off"})
    try:
        with server.database() as db:
            db.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 100)",
                       "CHECKPOINT")
            use_slots(server, db.name)
            # Which session gets which number is the server's affair, and the engine may wake up before it is had.
            assert any(taken_by_another(engine, make_pipeline, server, db, workdir / f"lake{number}", number)
                       for number in (1, 2, 3)), "no session got the name in three tries"
    finally:
        server.destroy()
