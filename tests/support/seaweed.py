"""A private SeaweedFS: a real S3 server that installs in seconds. For the demonstration."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from . import proc
from .s3 import ACCESS_KEY, SECRET_KEY, ServerMissing, make_client


def find_weed() -> str:
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    if not found:
        raise ServerMissing("weed (SeaweedFS) not found")
    return found


@dataclass
class SeaweedServer:
    """One process with all its parts, on free ports of the loopback."""

    root: Path
    port: int = 0
    pid: int = 0

    @classmethod
    def create(cls, root: Path) -> SeaweedServer:
        server = cls(root)
        (root / "data").mkdir(parents=True)
        account = {
            "name": "demo",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (root / "s3.json").write_text(json.dumps({"identities": [account]}))
        server.start()
        return server

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        return self.root / "seaweedfs.log"

    def client(self):
        return make_client(self.endpoint)

    def start(self) -> None:
        names = ["master", "volume", "filer", "s3"]
        ports: dict[str, int] = {}
        for name in names:
            ports[name] = proc.free_port()
            ports[f"{name}.grpc"] = proc.free_port()
        options = [f"-{name}.port={ports[name]}" for name in names]
        options += [f"-{name}.port.grpc={ports[f'{name}.grpc']}" for name in names]
        self.port = ports["s3"]
        with open(self.log, "ab") as log:
            child = subprocess.Popen(
                [find_weed(), "server", f"-dir={self.root / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
                + ["-filer", "-s3", f"-s3.config={self.root / 's3.json'}", "-s3.port.iceberg=0"]
                + ["-s3.port.lance=0", "-master.volumeSizeLimitMB=256", "-volume.max=40", *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.root,
                env={**os.environ, "HOME": str(self.root)}, start_new_session=True,
            )
        self.pid = child.pid
        client = self.client()

        def ready() -> bool:
            if child.poll() is not None:
                raise RuntimeError(f"SeaweedFS ended:\n{self.tail()}")
            try:
                client.list_buckets()
                return True
            except Exception:  # not listening yet, or no volume server known yet
                return False

        proc.wait_until(ready, 60, "SeaweedFS start", every=0.1)

    def stop(self) -> None:
        if self.pid:
            proc.stop(self.pid, timeout=2)
            self.pid = 0

    def tail(self, size: int = 3000) -> str:
        try:
            return self.log.read_bytes()[-size:].decode(errors="replace")
        except OSError:
            return ""
