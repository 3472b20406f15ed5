"""One private Kafka broker that is its own controller (KRaft): a folder, free ports, ended by pid.

Listeners: PLAINTEXT always; SSL and SASL_PLAINTEXT on request; and one whose advertised address is a fault proxy's,
for clients that must meet a bad link: a client goes where the metadata sends it, not where it first connected.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from .. import proc
from ..faultproxy import TcpProxy
from ..tls import Authority
from . import artefacts, jvm

CLUSTER_ID = "c2x1aWNlLXRlc3QtYmVkMQ"
# Each user exists for both mechanisms, with the same password.
USERS = {"reader": "r3ad secret", "writer": "wr1te-secret"}

_BASE = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
    "log.retention.check.interval.ms": "1000",
    "group.min.session.timeout.ms": "1000",
    # One killed is taken for alive until its session ends, and its successor waits for that: nine seconds otherwise.
    "broker.session.timeout.ms": "1500",
    "broker.heartbeat.interval.ms": "300",
}


def _formatted(version: str) -> Path:
    """A data folder as the storage tool leaves it. Copying one costs nothing, the tool three seconds."""

    def fill(folder: Path) -> None:
        settings = folder / "format.properties"
        data = folder / "data"
        settings.write_text(_properties(_BASE | _addresses({"CONTROLLER": 19093, "PLAINTEXT": 19092}, data)))
        command = ["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(settings)]
        for user, password in USERS.items():
            command += ["--add-scram", f'SCRAM-SHA-256=[name="{user}",password="{password}"]']
        libs = jvm.class_path(artefacts.jars(f"dist-{version}"))
        proc.run([artefacts.java(), "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", libs, *command])

    libs = artefacts.jars(f"dist-{version}")
    return artefacts.once(f"{libs.name}-formatted-1", fill) / "data"


def _properties(settings: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _addresses(ports: dict[str, int], data: Path) -> dict[str, str]:
    return {
        "log.dirs": str(data),
        "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in ports.items()),
        "controller.quorum.voters": f"1@127.0.0.1:{ports['CONTROLLER']}",
        "listener.security.protocol.map": (
            "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,SASL:SASL_PLAINTEXT,SSL:SSL"
        ),
    }


@dataclass
class Broker:
    """Create with Broker.create(); end with destroy()."""

    root: Path
    version: str
    ports: dict[str, int] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)
    pid: int = 0
    start_seconds: float = 0.0
    authority: Authority | None = None
    proxy: TcpProxy | None = None

    @classmethod
    def create(
        cls,
        version: str = artefacts.NEW,
        *,
        sasl: bool = False,
        ssl: bool = False,
        client_certificates: bool = False,
        proxied: bool = False,
        settings: dict[str, str] | None = None,
    ) -> Broker:
        """client_certificates: the SSL listener wants one that `authority` signed. proxied: `proxy` stands before
        an own listener. settings go to the broker's properties."""
        data = _formatted(version)
        broker = cls(proc.temp_dir("sluice-kafka-"), version, extra=dict(settings or {}))
        shutil.copytree(data, broker.data)
        names = ["CONTROLLER", "PLAINTEXT"]
        names += [name for name, wanted in (("SASL", sasl), ("SSL", ssl), ("PROXIED", proxied)) if wanted]
        broker.ports = dict.fromkeys(names, 0)
        if ssl:
            broker._issue(client_certificates)
        broker.start()
        return broker

    @classmethod
    def attach(cls, info: dict[str, Any]) -> Broker:
        return cls(Path(info["root"]), info["version"], info["ports"], pid=info["pid"], start_seconds=info["seconds"])

    def info(self) -> dict[str, Any]:
        """What another process needs to use and to end it; a broker with SSL or a proxy is its maker's alone."""
        return {
            "root": str(self.root),
            "version": self.version,
            "ports": self.ports,
            "pid": self.pid,
            "seconds": self.start_seconds,
        }

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def log(self) -> Path:
        return self.root / "broker.log"

    @property
    def bootstrap(self) -> str:
        return self.address("PLAINTEXT")

    def address(self, listener: str) -> str:
        """host:port of PLAINTEXT, SASL, SSL; PROXIED is the proxy's."""
        if listener == "PROXIED":
            assert self.proxy is not None
            return f"{self.proxy.host}:{self.proxy.port}"
        return f"127.0.0.1:{self.ports[listener]}"

    def sasl(self, user: str = "reader", mechanism: str = "SCRAM-SHA-256") -> dict[str, str]:
        """librdkafka's settings for the SASL listener."""
        return {
            "bootstrap.servers": self.address("SASL"),
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": mechanism,
            "sasl.username": user,
            "sasl.password": USERS[user],
        }

    def ssl(self, certificate: tuple[Path, Path] | None = None) -> dict[str, str]:
        """librdkafka's settings for the SSL listener; certificate: (certificate, key) of the client."""
        assert self.authority is not None
        settings = {
            "bootstrap.servers": self.address("SSL"),
            "security.protocol": "SSL",
            "ssl.ca.location": str(self.authority.ca_file),
        }
        if certificate:
            settings |= {"ssl.certificate.location": str(certificate[0]), "ssl.key.location": str(certificate[1])}
        return settings

    def _issue(self, client_certificates: bool) -> None:
        self.authority = Authority.create(self.root / "tls")
        certificate, key = self.authority.issue("broker")
        store = self.root / "tls" / "broker.pem"
        store.write_text(key.read_text() + certificate.read_text())
        self.extra |= {
            "listener.name.ssl.ssl.keystore.type": "PEM",
            "listener.name.ssl.ssl.keystore.location": str(store),
            "listener.name.ssl.ssl.truststore.type": "PEM",
            "listener.name.ssl.ssl.truststore.location": str(self.authority.ca_file),
            "listener.name.ssl.ssl.client.auth": "required" if client_certificates else "none",
        }

    def _settings(self) -> dict[str, str]:
        settings = _BASE | _addresses(self.ports, self.data)
        open_to_clients = [name for name in self.ports if name != "CONTROLLER"]
        settings["advertised.listeners"] = ",".join(f"{name}://{self.address(name)}" for name in open_to_clients)
        if "SASL" in self.ports:
            plain = " ".join(f'user_{user}="{password}"' for user, password in USERS.items())
            module = "org.apache.kafka.common.security"
            settings |= {
                "listener.name.sasl.sasl.enabled.mechanisms": "SCRAM-SHA-256,PLAIN",
                "listener.name.sasl.plain.sasl.jaas.config": f"{module}.plain.PlainLoginModule required {plain};",
                "listener.name.sasl.scram-sha-256.sasl.jaas.config": f"{module}.scram.ScramLoginModule required;",
            }
        return settings | self.extra

    def start(self) -> None:
        """Starts, or starts again on the same ports and data."""
        fresh = not any(self.ports.values())
        for attempt in range(3):
            if fresh:
                self.ports = {name: proc.free_port() for name in self.ports}
            if "PROXIED" in self.ports and self.proxy is None:
                self.proxy = TcpProxy(("127.0.0.1", self.ports["PROXIED"])).__enter__()
            if self.proxy is not None:
                self.proxy.upstream = ("127.0.0.1", self.ports["PROXIED"])
            try:
                self._launch()
                return
            except RuntimeError as failed:
                # Another process may have taken a port that was free a moment ago.
                if not fresh or attempt == 2 or "Address already in use" not in str(failed):
                    raise

    def _launch(self) -> None:
        properties = self.root / "broker.properties"
        properties.write_text(_properties(self._settings()))
        libs = artefacts.jars(f"dist-{self.version}")
        child = jvm.start(
            [jvm.log_settings(self.root, self.version), "-cp", jvm.class_path(libs), "kafka.Kafka", str(properties)],
            256,
            self.log,
        )
        self.pid = child.pid
        what = f"Kafka {self.version} at {self.bootstrap}"
        self.start_seconds = jvm.await_answer(child, self.answers, 60, what, self.log)

    def answers(self) -> bool:
        """Whether it tells a client its metadata with itself in it: an open port is not yet a broker."""
        if not proc.port_open(self.ports["PLAINTEXT"]):
            return False
        # The time-out of the client must outlive its back-off; a client is made anew for each question.
        client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        try:
            return bool(client.list_topics(timeout=2).brokers)
        except KafkaException:
            return False

    def kill(self) -> None:
        """kill -9."""
        self.stop(kill=True)

    def stop(self, kill: bool = False) -> None:
        if self.pid:
            proc.stop(self.pid, 9 if kill else 15, 20)
            self.pid = 0

    def rss_mib(self) -> int:
        return proc.rss_kib(self.pid)[0] // 1024

    def destroy(self) -> None:
        self.stop(kill=True)
        if self.proxy is not None:
            self.proxy.__exit__()
            self.proxy = None
        proc.remove_tree(self.root)
