"""`sluice connect`: a real Kafka Connect is looked at and changed; what stands where one should be is told apart."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import threading

import pytest
from support import tls
from support.kafka.topics import fresh

FILE_SINK = "org.apache.kafka.connect.file.FileStreamSinkConnector"
FILE_SOURCE = "org.apache.kafka.connect.file.FileStreamSourceConnector"


@pytest.fixture
def connect(engine, kafka_connect, workdir):
    """connect("list", …) against the worker, and names that are deleted in the end."""
    made: list[str] = []

    def run(*args: str, rc: int | None = 0):
        result = engine.cmd("connect", *args, "--connect", kafka_connect.url, timeout=100)
        assert rc is None or result.rc == rc, result.describe()
        return result

    def write(config: dict, name: str = "config.json") -> str:
        path = workdir / name
        path.write_text(json.dumps(config))
        return str(path)

    def named() -> str:
        made.append(fresh("c ü"))
        return made[-1]

    run.write, run.named, run.rest = write, named, kafka_connect  # type: ignore[attr-defined]
    yield run
    for name in made:
        if name in kafka_connect.names():
            kafka_connect.delete_connector(name.replace(" ", "%20").replace("ü", "%C3%BC"))


def source(workdir, **more) -> dict:
    (workdir / "in.txt").write_text("one\ntwo\n")
    return {"connector.class": FILE_SOURCE, "tasks.max": 1, "file": str(workdir / "in.txt"), "topic": fresh("t"),
            "topic.creation.default.partitions": 1, "topic.creation.default.replication.factor": "1", **more}


def test_a_connector_lives(connect, kafka, workdir):
    """Made, shown, given other options, paused, stopped, its offsets changed, and deleted."""
    name, config = connect.named(), source(workdir, **{"some.password": "geheim"})
    made = connect("create", name, connect.write({"name": "ignored", "config": config}))
    assert "RUNNING" in made.stdout and name in made.stdout
    listed = {c["name"]: c for c in json.loads(connect("list", "--json", rc=None).stdout)["connectors"]}
    assert listed[name] == {"name": name, "type": "source", "state": "RUNNING", "tasks": 1, "tasks_failed": 0,
                            "class": FILE_SOURCE, "cause": None}
    assert "already exists" in connect("create", name, connect.write(config), rc=3).stderr
    assert "nothing differs" in connect("update", name, connect.write(config)).stdout
    changed = connect("update", name, connect.write({**config, "batch.size": 7, "some.password": "neu"}))
    assert "+ batch.size = 7" in changed.stdout and "+ some.password = ***" in changed.stdout
    assert "geheim" not in changed.output and "neu" not in changed.output
    assert "PAUSED" in connect("pause", name).stdout
    other = connect("update", name, connect.write({**config, "batch.size": "9"}))
    assert "PAUSED" in other.stdout, other.describe()  # and is not let go on
    assert "RUNNING" in connect("resume", name).stdout
    assert "RUNNING" in connect("restart", name).stdout
    refused = connect("offsets", "reset", name, "--yes", rc=3)
    assert "while it is stopped" in refused.stderr and f"sluice connect stop {name}" in refused.stderr
    assert "STOPPED" in connect("stop", name).stdout
    offsets = json.loads(connect("offsets", "show", name, "--json").stdout)["offsets"]
    assert [o["partition"]["filename"] for o in offsets] == [str(workdir / "in.txt")]
    offsets[0]["offset"]["position"] = 4
    set_to = connect("offsets", "set", name, connect.write({"offsets": offsets}, "offsets.json"))
    assert '"position":4' in set_to.stdout
    assert "no offsets" in connect("offsets", "reset", name, "--yes").stdout
    assert connect("delete", name, rc=2).stderr.count("--yes") == 1
    connect("delete", name, "--yes")
    assert name not in connect.rest.names()
    assert "404" in connect("status", name, rc=3).stderr


def test_a_task_that_failed(connect, kafka, workdir):
    """Its trace is a line and a remedy; all that waits for it says so, and ends with 1."""
    name, topic = connect.named(), fresh("t")
    from support.kafka.topics import Record, Topics

    Topics.of(kafka.bootstrap).create(topic)
    Topics.of(kafka.bootstrap).produce(topic, [Record(None, b"no json")])
    config = {"connector.class": FILE_SINK, "topics": topic, "file": str(workdir / "out.txt"),
              "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": True,
              "consumer.override.auto.offset.reset": "earliest"}
    made = connect("create", name, connect.write(config), rc=None)
    if made.rc == 0:  # it ran for a moment
        import time

        deadline = time.monotonic() + 30
        while connect("status", name, rc=None).rc == 0:
            assert time.monotonic() < deadline
            time.sleep(0.3)
    shown = connect("status", name, rc=1)
    assert "FAILED" in shown.stdout and "\tat " not in shown.output, shown.describe()
    assert "task 0: " in shown.stdout and "hint: the converter must be" in shown.stdout, shown.describe()
    parts = json.loads(connect("status", name, "--json", rc=1).stdout)["connector"]["parts"]
    assert [p["state"] for p in parts] == ["RUNNING", "FAILED"] and "converter" in parts[1]["remedy"]
    row = next(line for line in connect("list", rc=1).stdout.splitlines() if line.startswith(name))
    assert "0/1, 1 failed" in row
    restarted = connect("restart", name, "--failed", rc=None)
    assert restarted.rc == 1 or connect("status", name, rc=None).rc in (0, 1)


def test_options_that_are_refused(connect, workdir):
    """By the plugin, before anything is made."""
    name = connect.named()
    no_topic = source(workdir)
    del no_topic["topic"]
    refused = connect("create", name, connect.write(no_topic), rc=2)
    assert "option topic:" in refused.stderr, refused.describe()
    no_class = connect("create", name, connect.write({"connector.class": "no.such.Class"}), rc=3)
    assert "no.such.Class" in no_class.stderr and "plugin.path" in no_class.stderr
    assert "available connectors" not in no_class.stderr
    assert "connector.class is missing" in connect("create", name, connect.write({"a": "b"}), rc=2).stderr
    assert "is no text" in connect("create", name, connect.write({"connector.class": "X", "a": []}), rc=2).stderr
    (workdir / "bad.json").write_text('{"a": 1,\n')
    assert "bad.json:2" in connect("create", name, str(workdir / "bad.json"), rc=2).stderr
    assert "No such file" in connect("create", name, str(workdir / "none.json"), rc=2).stderr
    assert "could be asked for" in connect("create", "a/b", connect.write(source(workdir)), rc=2).stderr
    assert name not in connect.rest.names()


def test_what_is_installed(connect):
    classes = {p["class"]: p for p in json.loads(connect("plugins", "--json").stdout)["plugins"]}
    assert classes["io.debezium.connector.postgresql.PostgresConnector"]["type"] == "source"
    assert "org.apache.kafka.connect.json.JsonConverter" not in classes
    assert "org.apache.kafka.connect.json.JsonConverter" in connect("plugins", "--all").stdout
    assert "root" in connect("logs", "level").stdout
    assert "is set to WARN" in connect("logs", "level", "org.apache.kafka.connect.file", "WARN").stdout
    assert connect("logs", "level", "a/b", "WARN", rc=2).stderr


class Answers:
    """A server that answers what it is told, one after the other; the last for ever."""

    def __init__(self, *answers: tuple[int, str], context: ssl.SSLContext | None = None):
        self.answers, self.asked = list(answers), []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.path, self.headers.get("Authorization")))
                status, body = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_args) -> None:
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        if context is not None:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> Answers:
        return self

    def __exit__(self, *_args) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.mark.parametrize("answer, rc, words", [
    ((200, "<html>hello</html>"), 1, "no JSON"), ((404, "<html>"), 3, "REST interface"),
    ((401, ""), 3, "SLUICE_CONNECT_USER"), ((503, "busy"), 3, "HTTP 503"),
    ((500, '{"error_code":500,"message":"java.lang.OutOfMemoryError: Java heap space"}'), 1, "KAFKA_HEAP_OPTS"),
    ((200, "[" * 100000), 1, "no JSON"), ((200, '{"a": {"status": 7, "info": []}}'), 0, "")])
def test_what_is_no_connect(engine, answer, rc, words):
    with Answers(answer) as server:
        result = engine.cmd("connect", "list", "--connect", f"http://127.0.0.1:{server.port}")
        assert result.rc == rc and words in result.stderr, result.describe()


def test_a_rebalance_is_waited_for(engine):
    busy = (409, '{"error_code":409,"message":"Cannot complete request momentarily due to stale configuration"}')
    with Answers(busy, busy, (200, "{}")) as server:
        result = engine.cmd("connect", "list", "--connect", f"http://127.0.0.1:{server.port}/").expect(0)
        assert "no connectors" in result.stdout and len(server.asked) == 3


def test_who_one_is(engine):
    """By the environment, never in the URL or an argument."""
    with Answers((200, "{}")) as server:
        url = f"http://127.0.0.1:{server.port}"
        engine.cmd("connect", "list", env={"SLUICE_CONNECT_URL": url, "SLUICE_CONNECT_USER": "ann",
                                           "SLUICE_CONNECT_PASSWORD": "geheim"}).expect(0)
        assert server.asked[0][1] == "Basic YW5uOmdlaGVpbQ=="
        in_url = engine.cmd("connect", "list", "--connect", f"http://ann:geheim@127.0.0.1:{server.port}")
        assert in_url.rc == 2 and "geheim" not in in_url.output and "SLUICE_CONNECT_PASSWORD" in in_url.stderr
        assert len(server.asked) == 1
    nowhere = engine.cmd("connect", "list").expect(2)
    assert "SLUICE_CONNECT_URL" in nowhere.stderr


def test_nobody_there(engine, tmp_path):
    """DNS, port and TLS told apart."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        refused = engine.cmd("connect", "list", "--connect", f"http://127.0.0.1:{port}").expect(3)
        assert "nobody listens there" in refused.stderr
    unknown = engine.cmd("connect", "list", "--connect", "http://no-such-host.invalid:8083").expect(3)
    assert "no such host is known" in unknown.stderr
    authority = tls.Authority.create(tmp_path / "one")
    certificate, key = authority.issue("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Answers((200, "{}"), context=context) as server:
        url = f"https://localhost:{server.port}"
        assert "not trusted" in engine.cmd("connect", "list", "--connect", url).expect(3).stderr
        engine.cmd("connect", "list", "--connect", url, "--ca", str(authority.ca_file)).expect(0)
        assert engine.cmd("connect", "list", "--connect", url.replace("https", "http")).rc == 3
    certificate, key = authority.issue("other", ("DNS:other.example.org",))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Answers((200, "{}"), context=context) as server:
        url = f"https://localhost:{server.port}"
        wrong = engine.cmd("connect", "list", "--connect", url, "--ca", str(authority.ca_file)).expect(3)
        assert "of another host" in wrong.stderr
    with Answers((200, "{}")) as server:
        plain = engine.cmd("connect", "list", "--connect", f"https://127.0.0.1:{server.port}").expect(3)
        assert "no TLS is spoken there" in plain.stderr or "http://" in plain.stderr
