"""A private Avro registry: Apicurio, spoken to through the interface of Confluent's (ccompat v7)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import proc
from . import artefacts, jvm, rest

_CONTENT = "application/vnd.schemaregistry.v1+json"


@dataclass
class Registry:
    """Create with Registry.create(); end with destroy(). What it knows is in its memory."""

    root: Path
    port: int = 0
    pid: int = 0
    start_seconds: float = 0.0

    @classmethod
    def create(cls) -> Registry:
        made = cls(proc.temp_dir("sluice-registry-"))
        made.start()
        return made

    @classmethod
    def attach(cls, info: dict[str, Any]) -> Registry:
        return cls(**(info | {"root": Path(info["root"])}))

    def info(self) -> dict[str, Any]:
        return dict(vars(self)) | {"root": str(self.root)}

    @property
    def log(self) -> Path:
        return self.root / "registry.log"

    @property
    def url(self) -> str:
        """What a client of Confluent's registry is given."""
        return f"http://127.0.0.1:{self.port}/apis/ccompat/v7"

    def start(self) -> None:
        home = artefacts.registry()
        (program,) = home.glob("*-runner.jar")
        self.port = self.port or proc.free_port()
        flags = [f"-Dquarkus.http.port={self.port}", "-Dquarkus.http.host=127.0.0.1"]
        child = jvm.start([*flags, "-jar", str(program)], 256, self.log)
        self.pid = child.pid
        self.start_seconds = jvm.await_answer(child, self.answers, 90, f"registry at {self.url}", self.log)

    def answers(self) -> bool:
        try:
            return isinstance(rest.call("GET", f"{self.url}/subjects", timeout=2), list)
        except (rest.Refused, OSError, ValueError):
            return False

    def call(self, method: str, path: str, body: Any = None) -> Any:
        return rest.call(method, self.url + path, body, content=_CONTENT)

    def register(self, subject: str, schema: str) -> int:
        """The id of the schema (Avro, as JSON text) under the subject."""
        return self.call("POST", f"/subjects/{subject}/versions", {"schema": schema, "schemaType": "AVRO"})["id"]

    def schema(self, number: int) -> str:
        return self.call("GET", f"/schemas/ids/{number}")["schema"]

    def rss_mib(self) -> int:
        return proc.rss_kib(self.pid)[0] // 1024

    def stop(self, kill: bool = False) -> None:
        if self.pid:
            proc.stop(self.pid, 9 if kill else 15, 20)
            self.pid = 0

    def destroy(self) -> None:
        self.stop(kill=True)
        proc.remove_tree(self.root)
