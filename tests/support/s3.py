"""A private S3 server (versitygw: strict signatures, conditional writes) and a client to check with."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from . import proc
from .tls import Authority

ACCESS_KEY = "sluicetestkey"
SECRET_KEY = "sluice/test+secret=key"
REGION = "us-east-1"


class ServerMissing(RuntimeError):
    """No S3 server here: a skip on a laptop, a failure in CI."""


def find_versitygw() -> Path:
    named = os.environ.get("SLUICE_VERSITYGW")
    if named:
        return Path(named)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sluice-test"
    found = sorted(cache.glob("versitygw-*/bin/versitygw"))
    if found:
        return found[-1]
    on_path = shutil.which("versitygw")
    if on_path:
        return Path(on_path)
    raise ServerMissing("versitygw not found; scripts/test builds it")


def make_client(endpoint: str, ca_file: str | Path | None = None, **more: Any):
    """A boto3 client for the endpoint; retries are off, so that a test sees what the server said."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=more.pop("access_key", ACCESS_KEY),
        aws_secret_access_key=more.pop("secret_key", SECRET_KEY),
        verify=str(ca_file) if ca_file else None,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=5,
            read_timeout=60,
        ),
        **more,
    )


@dataclass
class S3Server:
    """One running versitygw over a folder. Create with S3Server.create(); end with destroy()."""

    root: Path
    port: int = 0
    pid: int = 0
    ca_file: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    host: str = "127.0.0.1"

    @classmethod
    def create(cls, tls: bool = False, root: Path | None = None) -> S3Server:
        find_versitygw()
        server = cls(root=root or proc.temp_dir("sluice-s3-"))
        for name in ("data", "iam"):
            (server.root / name).mkdir(parents=True, exist_ok=True)
        if tls:
            authority = Authority.create(server.root / "tls")
            server.cert, server.key = authority.issue("s3", ("DNS:localhost", "DNS:*.localhost", "IP:127.0.0.1"))
            server.ca_file = authority.ca_file
        server.start()
        return server

    @classmethod
    def attach(cls, info: dict[str, Any]) -> S3Server:
        paths = {name: Path(info[name]) if info[name] else None for name in ("ca_file", "cert", "key")}
        return cls(root=Path(info["root"]), port=info["port"], pid=info["pid"], **paths)

    def info(self) -> dict[str, Any]:
        paths = {name: str(getattr(self, name) or "") for name in ("ca_file", "cert", "key")}
        return {"root": str(self.root), "port": self.port, "pid": self.pid, **paths}

    @property
    def log(self) -> Path:
        return self.root / "versitygw.log"

    @property
    def endpoint(self) -> str:
        scheme = "https" if self.cert else "http"
        return f"{scheme}://{self.host}:{self.port}"

    def start(self) -> None:
        for _ in range(5):
            self.port = self.port or proc.free_port()
            command = [
                str(find_versitygw()),
                *("--port", f"{self.host}:{self.port}", "--region", REGION, "--quiet"),
                *("--virtual-domain", f"localhost:{self.port}", "--iam-dir", str(self.root / "iam")),
            ]
            if self.cert:
                command += ["--cert", str(self.cert), "--key", str(self.key)]
            else:
                command += ["--keep-alive"]
            with open(self.log, "ab") as log:
                child = subprocess.Popen(
                    [*command, "posix", str(self.root / "data")],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={
                        "PATH": os.environ.get("PATH", ""),
                        "ROOT_ACCESS_KEY": ACCESS_KEY,
                        "ROOT_SECRET_KEY": SECRET_KEY,
                    },
                    start_new_session=True,
                )
            self.pid = child.pid
            try:
                proc.wait_until(
                    lambda: child.poll() is not None or proc.port_open(self.port), 20, "versitygw start"
                )
            except TimeoutError:
                proc.stop(child.pid)
            if child.poll() is None:
                return
            self.port = 0
        raise RuntimeError(f"versitygw does not start:\n{self.tail()}")

    def stop(self, kill: bool = False) -> None:
        if self.pid:
            proc.stop(self.pid, 9 if kill else 15)
            self.pid = 0

    def destroy(self) -> None:
        self.stop(kill=True)
        proc.remove_tree(self.root)

    def tail(self, size: int = 4000) -> str:
        try:
            return self.log.read_bytes()[-size:].decode(errors="replace")
        except OSError:
            return ""

    def client(self, endpoint: str | None = None, **more: Any):
        return make_client(endpoint or self.endpoint, self.ca_file, **more)

    @contextmanager
    def bucket(self, prefix: str = "t") -> Iterator[Bucket]:
        """A new bucket, emptied and removed afterwards."""
        bucket = Bucket(self, f"{prefix}-{secrets.token_hex(6)}")
        client = self.client()
        client.create_bucket(Bucket=bucket.name)
        try:
            yield bucket
        finally:
            bucket.remove()


@dataclass
class Bucket:
    """One bucket of a server, made for one test."""

    server: S3Server
    name: str

    @property
    def client(self):
        if not hasattr(self, "_client"):
            self._client = self.server.client()
        return self._client

    def config(self, **more: Any) -> dict[str, Any]:
        """The `config:` of an `s3` sink that writes here."""
        config = {
            "bucket": self.name,
            "endpoint": self.server.endpoint,
            "region": REGION,
            "path_style": True,
            "access_key_id": ACCESS_KEY,
            "secret_access_key": SECRET_KEY,
        }
        if self.server.ca_file:
            config["ca_file"] = str(self.server.ca_file)
        return {**config, **more}

    def env(self) -> dict[str, str]:
        """The same as variables, for the examples."""
        return {
            "S3_BUCKET": self.name,
            "S3_ENDPOINT": self.server.endpoint,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }

    def keys(self, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def get(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def put(self, key: str, body: bytes, **more: Any) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=body, **more)

    def uploads(self) -> list[dict[str, Any]]:
        """Multipart uploads that were begun and neither completed nor aborted."""
        return self.client.list_multipart_uploads(Bucket=self.name).get("Uploads") or []

    def remove(self) -> None:
        for upload in self.uploads():
            self.client.abort_multipart_upload(
                Bucket=self.name, Key=upload["Key"], UploadId=upload["UploadId"]
            )
        keys = self.keys()
        for start in range(0, len(keys), 1000):
            self.client.delete_objects(
                Bucket=self.name,
                Delete={"Objects": [{"Key": key} for key in keys[start : start + 1000]], "Quiet": True},
            )
        self.client.delete_bucket(Bucket=self.name)
