"""Secrets at every place where one may stand, all commands at the level trace: they are nowhere to be found."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from support import faultproxy as fp
from support import pg, s3

PASSWORD = 'pl4nt3d "päss" \\word%&@/'
SALT = "s4lty-pl4nt3d-valu3"
TOKEN = "t0k3n-pl4nt3d-valu3+/="
ROLE = "sluice_secretive"


def forms(secret: str) -> set[str]:
    """As it is, and as URLs, JSON, base64 and Python-like dumps show it."""
    return {
        secret, quote(secret, safe=""), quote(secret, safe="/"), json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1], base64.b64encode(secret.encode()).decode().rstrip("="),
        secret.encode().hex(), secret.replace("'", "''"),
    }


NEEDLES = {needle for secret in (PASSWORD, SALT, TOKEN, s3.SECRET_KEY) for needle in forms(secret)}
# Parts that a cut or an escape would leave.
NEEDLES |= {"pl4nt3d"}


def expect_none(what: str, text: str) -> None:
    for needle in NEEDLES:
        assert needle not in text, f"{needle!r} in {what}:\n{text[-20000:]}"


def expect_none_in_files(folder: Path, but: set[Path]) -> int:
    """Data, manifests, state with its journals: all of it, as bytes."""
    seen = 0
    for path in folder.rglob("*"):
        if path.is_file() and path not in but:
            seen += 1
            expect_none(str(path), path.read_bytes().decode("latin-1"))
    return seen


@pytest.fixture
def secretive_db(db: pg.PgDatabase) -> Iterator[pg.PgDatabase]:
    doubled = PASSWORD.replace("'", "''")
    db.execute(
        f"DROP ROLE IF EXISTS {ROLE}",
        f"CREATE ROLE {ROLE} LOGIN PASSWORD '{doubled}'",
        "CREATE TABLE t (id int PRIMARY KEY, name text)",
        "INSERT INTO t SELECT i, 'name ' || i FROM generate_series(1, 100) i",
        "CREATE TABLE denied (id int)",
        f"GRANT SELECT ON t TO {ROLE}",
    )
    try:
        yield db
    finally:
        db.execute(f"DROP OWNED BY {ROLE}", f"DROP ROLE {ROLE}")


def source_of(db, form: str, workdir: Path) -> tuple[dict, dict[str, str]]:
    """(config, variables) with the password given in one of the ways there are."""
    config = {**db.config(), "user": ROLE, "password": PASSWORD}
    if form == "env":
        return {**config, "password": "${env:PLANTED}"}, {"PLANTED": PASSWORD}
    if form == "file":
        path = workdir / "secret"
        path.write_text(PASSWORD + "\n")
        path.chmod(0o600)
        return {**config, "password": "${file:%s}" % path}, {}
    if form == "uri":
        uri = f"postgresql://{ROLE}:{quote(PASSWORD, safe='')}@127.0.0.1:{db.server.port}/{db.name}"
        return {"uri": uri}, {}
    if form == "dsn":
        escaped = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
        text = f"host=127.0.0.1 port={db.server.port} dbname={db.name} user={ROLE} password='{escaped}'"
        return {"uri": text}, {}
    if form == "PGPASSWORD":
        del config["password"]
        return {**config, "password": "${env:PGPASSWORD}"}, {"PGPASSWORD": PASSWORD}
    return config, {}


COMMANDS = [
    ["validate"], ["check"], ["plan", "--columns"], ["discover", "--columns"], ["preview"], ["run"],
    ["run", "--progress", "json"], ["run", "--log-format", "json"], ["state", "show"],
]


FEW = [["validate"], ["check"], ["plan"], ["run"], ["state", "show"]]


def look_everywhere(engine, pipeline, env, but: set[Path], commands=COMMANDS) -> None:
    path = engine.write(pipeline)
    for command in commands:
        for flags in ([], ["--json"]):
            result = engine.cmd(*command, str(path), *flags, "--log-level", "trace", env=env)
            assert result.rc in (0, 1, 2, 3), result.describe()
            expect_none(" ".join(command + flags), result.output)
    expect_none("state list", engine.cmd("state", "list", "--json").output)
    assert expect_none_in_files(engine.workdir, {path, *but}) > 5


@pytest.mark.parametrize("form", ["plain", "env", "file", "uri", "dsn", "PGPASSWORD"])
def test_planted(engine, secretive_db, make_pipeline, bucket, workdir, form):
    """A load in which one table is denied, salted, into files and a bucket."""
    source, env = source_of(secretive_db, form, workdir)
    store = bucket.config(prefix="p", format="jsonl", compression="none", session_token=TOKEN)
    with fp.HttpProxy(("127.0.0.1", bucket.server.port)) as link:
        # Errors of the server come back with what was sent to it.
        link.rule(fp.answer(500, "InternalError", f"token {TOKEN} of {s3.SECRET_KEY}"), times=3)
        store["endpoint"] = link.endpoint
        pipeline = make_pipeline(
            source,
            {"bucket": {"inputs": ["hide"], "plugin": "s3", "config": store},
             "files": {"inputs": ["hide"], "plugin": "file",
                       "config": {"path": str(workdir / "lake"), "format": "jsonl", "compression": "none"}}},
            transforms={"hide": {"plugin": "mask", "inputs": ["src"],
                                 "config": {"columns": ["public.t.name"], "with": "sha256", "salt": SALT}}},
            on_error={"retry": {"max": 3, "backoff": "10ms"}},
        )
        look_everywhere(engine, pipeline, env, {workdir / "secret"})
        assert link.count("InternalError") > 0
    for key in bucket.keys():
        expect_none(key, bucket.get(key).decode("latin-1"))


@pytest.mark.parametrize("change", [
    {"port": 9}, {"user": "nobody_there"}, {"database": "nowhere"}, {"sslmode": "require"},
    {"sslmode": "verify-full", "sslpassword": "${env:SSLPW}", "sslcert": "/no/such.crt", "sslkey": "/no/such.key"},
    {"uri": f"postgresql://u:{quote(PASSWORD, safe='')}@127.0.0.1:9/d"},
    {"uri": f"postgresql://u:{quote(PASSWORD, safe='')}@127.0.0.1:nine/d"},
    {"uri": f"postgresql://u:{PASSWORD}@127.0.0.1/d?nonsense=1"},
    {"uri": f"password='{PASSWORD} host=x"},
    {"password": PASSWORD[::-1] + PASSWORD},
], ids=str)
def test_planted_and_refused(engine, secretive_db, make_pipeline, workdir, change):
    source = {**secretive_db.config(), "user": ROLE, "password": PASSWORD, **change}
    if "uri" in change:
        source = change
    sink = {"plugin": "file", "config": {"path": str(workdir / "lake"), "format": "jsonl"}}
    pipeline = make_pipeline(source, {"out": sink}, on_error={"retry": {"max": 1, "backoff": "10ms"}})
    look_everywhere(engine, pipeline, {"SSLPW": "ssl-pl4nt3d-word"}, set(), FEW)


@pytest.mark.parametrize("kind", ["wrong key", "refused token", "proxy", "endpoint", "unreachable"])
def test_planted_in_the_bucket(engine, bucket, make_pipeline, workdir, kind):
    key = "k3y-pl4nt3d-" + "x" * 28
    config = bucket.config(prefix="p", format="jsonl", secret_access_key=key, session_token=TOKEN)
    with fp.HttpProxy(("127.0.0.1", bucket.server.port)) as link:
        if kind == "refused token":
            config["endpoint"] = link.endpoint
            link.rule(fp.answer(403, "InvalidToken", f"The provided token {TOKEN} is malformed."))
        elif kind == "proxy":
            config["proxy"] = "http://user:pl4nt3d-word@127.0.0.1:9"
        elif kind == "endpoint":
            config["endpoint"] = "https://user:pl4nt3d-word@127.0.0.1:9"
        elif kind == "unreachable":
            config["endpoint"] = "http://127.0.0.1:9"
        pipeline = {
            "version": 1, "name": "p", "mode": "full_load_only",
            "sources": {"src": {"plugin": "generate", "config": {"rows": 10}}},
            "sinks": {"out": {"plugin": "s3", "inputs": ["src"], "config": config}},
            "on_error": {"retry": {"max": 1, "backoff": "10ms"}},
        }
        look_everywhere(engine, pipeline, {}, set(), FEW)


def test_credentials_of_the_environment(engine, bucket, workdir):
    """Those that sluice was not told of as options, but found."""
    folder = workdir / ".aws"
    folder.mkdir()
    (folder / "credentials").write_text(
        f"[other]\naws_access_key_id = {s3.ACCESS_KEY}\naws_secret_access_key = {s3.SECRET_KEY}\n"
        f"aws_session_token = {TOKEN}\n")
    config = bucket.config(prefix="p", format="jsonl")
    for name in ("access_key_id", "secret_access_key"):
        del config[name]
    pipeline = {
        "version": 1, "name": "p", "mode": "full_load_only",
        "sources": {"src": {"plugin": "generate", "config": {"rows": 10}}},
        "sinks": {"out": {"plugin": "s3", "inputs": ["src"], "config": config}},
        "on_error": {"retry": {"max": 1, "backoff": "10ms"}},
    }
    variables = {"AWS_ACCESS_KEY_ID": s3.ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": s3.SECRET_KEY, "AWS_SESSION_TOKEN": TOKEN}
    look_everywhere(engine, pipeline, variables, {folder / "credentials"}, FEW)
    with fp.HttpProxy(("127.0.0.1", bucket.server.port)) as link:
        pipeline["sinks"]["out"]["config"]["endpoint"] = link.endpoint
        link.rule(fp.answer(400, "Bad", f"{TOKEN} {s3.SECRET_KEY}"), times=4)
        look_everywhere(engine, pipeline, variables, {folder / "credentials"})
    pipeline["sinks"]["out"]["config"]["profile"] = "other"
    look_everywhere(engine, pipeline, {"AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials")},
                    {folder / "credentials"})


def test_not_in_what_other_users_can_see(engine, secretive_db, make_pipeline, workdir):
    """Neither in the arguments of the process nor in what it says of itself to the server."""
    source, env = source_of(secretive_db, "env", workdir)
    sink = {"plugin": "file", "config": {"path": str(workdir / "lake"), "format": "jsonl"}}
    secretive_db.execute("CREATE VIEW slow AS SELECT pg_sleep(60)::text AS s", f"GRANT SELECT ON slow TO {ROLE}")
    run = engine.start_run(make_pipeline(source, {"out": sink}, ["public.slow"]), env=env)
    run.wait_output("source opened")
    expect_none("cmdline", Path(f"/proc/{run.pid}/cmdline").read_bytes().decode("latin-1"))
    told = secretive_db.query(f"SELECT application_name, query FROM pg_stat_activity WHERE usename = '{ROLE}'")
    assert told
    expect_none("pg_stat_activity", repr(told))
    run.interrupt()
    run.wait(30).expect(0)
