"""A private Kafka Connect worker in distributed mode, with chosen plugins, and its REST interface."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import proc
from . import artefacts, jvm, rest

# These carry no service files, so that the worker must scan the classes, which takes it half a minute.
_WITHOUT_SERVICES = {"camel-s3"}


@dataclass
class Connect:
    """Create with Connect.create(); end with destroy()."""

    root: Path
    bootstrap: str
    version: str
    plugins: list[str] = field(default_factory=list)
    port: int = 0
    pid: int = 0
    start_seconds: float = 0.0

    @classmethod
    def create(cls, bootstrap: str, plugins: tuple[str, ...], version: str = artefacts.NEW) -> Connect:
        """plugins: names of sets in artefacts.py: debezium-postgres, debezium-sqlserver, debezium-jdbc, camel-s3,
        file, apicurio-converter."""
        worker = cls(proc.temp_dir("sluice-connect-"), bootstrap, version, list(plugins))
        (worker.root / "plugins").mkdir()
        for name in plugins:
            (worker.root / "plugins" / name).symlink_to(artefacts.jars(name))
        worker.start()
        return worker

    @classmethod
    def attach(cls, info: dict[str, Any]) -> Connect:
        return cls(**(info | {"root": Path(info["root"])}))

    def info(self) -> dict[str, Any]:
        return dict(vars(self)) | {"root": str(self.root)}

    @property
    def log(self) -> Path:
        return self.root / "connect.log"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _settings(self) -> dict[str, str]:
        converter = "org.apache.kafka.connect.json.JsonConverter"
        name = self.root.name
        scan = _WITHOUT_SERVICES & set(self.plugins)
        return {
            "bootstrap.servers": self.bootstrap,
            "group.id": name,
            "listeners": self.url,
            "rest.advertised.host.name": "127.0.0.1",
            "plugin.path": str(self.root / "plugins"),
            "plugin.discovery": "hybrid_warn" if scan else "service_load",
            "key.converter": converter,
            "value.converter": converter,
            **{f"{kind}.storage.topic": f"{name}-{kind}" for kind in ("config", "offset", "status")},
            **{f"{kind}.storage.replication.factor": "1" for kind in ("config", "offset", "status")},
            "offset.storage.partitions": "1",
            "status.storage.partitions": "1",
            "offset.flush.interval.ms": "1000",
            "scheduled.rebalance.max.delay.ms": "0",
            # Without it a connector whose settings name one cannot choose its client's own.
            "connector.client.config.override.policy": "All",
        }

    def start(self) -> None:
        """Starts, or starts again on the same port; connectors and offsets are in the broker."""
        self.port = self.port or proc.free_port()
        properties = self.root / "connect.properties"
        properties.write_text("".join(f"{name}={value}\n" for name, value in self._settings().items()))
        command = [jvm.log_settings(self.root, self.version), "-cp"]
        command += [jvm.class_path(artefacts.jars(f"dist-{self.version}"))]
        command += ["org.apache.kafka.connect.cli.ConnectDistributed", str(properties)]
        child = jvm.start(command, 384, self.log)
        self.pid = child.pid
        what = f"Kafka Connect {self.version} at {self.url}"
        self.start_seconds = jvm.await_answer(child, self.answers, 120, what, self.log)

    def answers(self) -> bool:
        """Whether it has joined its group: before that the port is open and the list of connectors is refused."""
        try:
            return rest.call("GET", f"{self.url}/connectors", timeout=2) is not None
        except (rest.Refused, OSError):
            return False

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """A call that is tried again while the workers rebalance (409) or the REST server waits for them (500/503)."""
        deadline = time.monotonic() + 30
        while True:
            try:
                return rest.call(method, self.url + path, body)
            except rest.Refused as refused:
                passing = refused.status in (409, 503) or "Request timed out" in refused.text
                if not passing or time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def plugin_classes(self) -> dict[str, str]:
        """Class → version of every plugin, converters and transforms too."""
        found = self.call("GET", "/connector-plugins?connectorsOnly=false")
        return {plugin["class"]: plugin.get("version", "") for plugin in found}

    def create_connector(self, name: str, config: dict[str, str], timeout: float = 40) -> None:
        """PUT, which creates or changes it, and wait until it and its tasks run."""
        self.call("PUT", f"/connectors/{name}/config", config)
        self.await_running(name, timeout)

    def names(self) -> list[str]:
        return self.call("GET", "/connectors")

    def status(self, name: str) -> dict[str, Any]:
        return self.call("GET", f"/connectors/{name}/status")

    def await_running(self, name: str, timeout: float = 40) -> None:
        """Until the connector and at least one task run. A task that failed is an error with its trace."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                status = self.status(name)
            except rest.Refused as refused:
                if refused.status != 404:  # created, and not yet started by the worker
                    raise
                status = {"connector": {"state": "UNASSIGNED"}, "tasks": []}
            parts = [status["connector"], *status["tasks"]]
            states = [part["state"] for part in parts]
            if "FAILED" in states:
                raise RuntimeError(f"connector {name}: " + "\n".join(part.get("trace", "") for part in parts))
            if len(states) > 1 and set(states) == {"RUNNING"}:
                return
            if time.monotonic() > deadline:
                raise TimeoutError(f"connector {name}: {states}\n{jvm.tail(self.log)}")
            time.sleep(0.1)

    def offsets(self, name: str) -> list[dict[str, Any]]:
        return self.call("GET", f"/connectors/{name}/offsets")["offsets"]

    def stop_connector(self, name: str, timeout: float = 30) -> None:
        """STOPPED: no task is left, offsets may be changed. The answer comes before the state does."""
        self.call("PUT", f"/connectors/{name}/stop")

        def stopped() -> bool:
            status = self.status(name)
            return status["connector"]["state"] == "STOPPED" and not status["tasks"]

        proc.wait_until(stopped, timeout, f"connector {name} stopped", 0.1)

    def delete_connector(self, name: str) -> None:
        self.call("DELETE", f"/connectors/{name}")
        proc.wait_until(lambda: name not in self.names(), 30, f"connector {name} deleted", 0.1)

    def stop(self, kill: bool = False) -> None:
        if self.pid:
            proc.stop(self.pid, 9 if kill else 15, 20)
            self.pid = 0

    def rss_mib(self) -> int:
        return proc.rss_kib(self.pid)[0] // 1024

    def destroy(self) -> None:
        self.stop(kill=True)
        proc.remove_tree(self.root)
