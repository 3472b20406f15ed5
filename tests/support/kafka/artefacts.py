"""The jars of Kafka, Connect, Debezium and the registry: fetched once with Maven into the cache, one folder a set.

A set's folder is keyed by its coordinates, so that a new version is a new folder; what is there already is used
without Maven and without a network. `python -m support.kafka.artefacts` fetches all of them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

OLD, NEW = "3.9.2", "4.3.1"
VERSIONS = (OLD, NEW)
DEBEZIUM_POSTGRES = "3.7.0.Final"
DEBEZIUM_SQLSERVER = "3.6.1.Final"
DEBEZIUM_JDBC = "3.5.0.Final"
APICURIO = "2.6.13.Final"


class ServerMissing(RuntimeError):
    """No Java, no Maven, or a download that fails: a skip on a laptop, a failure in CI."""


@dataclass(frozen=True)
class Jars:
    """What one folder holds: group:artifact:version, each with what it needs."""

    name: str
    wanted: tuple[str, ...]
    plugin: bool = False  # a plugin gets from the worker what the worker has
    excluded: tuple[str, ...] = ()  # group:artifact of what no repository serves and nothing here uses

    @property
    def key(self) -> str:
        text = "\n".join((*self.wanted, str(self.plugin), *self.excluded))
        return f"kafka-{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


_LOGGING = {
    OLD: ("org.slf4j:slf4j-reload4j:1.7.36",),
    NEW: ("org.apache.logging.log4j:log4j-slf4j-impl:2.25.1", "org.slf4j:slf4j-api:1.7.36"),
}
SETS = {
    made.name: made
    for made in (
        *(
            Jars(
                f"dist-{version}",
                tuple(
                    f"org.apache.kafka:{part}:{version}"
                    for part in ("kafka_2.13", "kafka-tools", "connect-runtime", "connect-json", "connect-transforms")
                )
                + _LOGGING[version],
            )
            for version in VERSIONS
        ),
        Jars("file", (f"org.apache.kafka:connect-file:{NEW}",), True),
        Jars("debezium-postgres", (f"io.debezium:debezium-connector-postgres:{DEBEZIUM_POSTGRES}",), True),
        Jars("debezium-sqlserver", (f"io.debezium:debezium-connector-sqlserver:{DEBEZIUM_SQLSERVER}",), True),
        Jars(
            "debezium-jdbc",
            (f"io.debezium:debezium-connector-jdbc:{DEBEZIUM_JDBC}", "org.postgresql:postgresql:42.7.13"),
            True,
        ),
        Jars(
            "camel-s3",
            ("org.apache.camel.kafkaconnector:camel-kafka-connector:0.11.0", "org.apache.camel:camel-aws2-s3:3.11.1"),
            True,
        ),
        Jars("apicurio-converter", (f"io.apicurio:apicurio-registry-utils-converter:{APICURIO}",), True),
    )
}
REGISTRY = f"io.apicurio:apicurio-registry-app:{APICURIO}:tar.gz:all"

# The worker brings these; a second copy in a plugin's folder breaks `instanceof` or logs nowhere.
_OF_THE_WORKER = re.compile(
    r"^(kafka-clients|connect-(api|json|runtime|transforms)|slf4j-|log4j-|reload4j|jackson-|logback-)"
)


def cache_dir() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sluice-test"


def java() -> str:
    found = shutil.which("java")
    if not found:
        raise ServerMissing("java not found; scripts/test installs it (Debian: openjdk-17-jre-headless)")
    return found


def jars(name: str) -> Path:
    """The folder of that set, fetched if it is not there."""
    wanted = SETS[name]
    return once(wanted.key, lambda folder: _copy_dependencies(wanted, folder))


def registry() -> Path:
    """The unpacked Apicurio registry."""
    key = hashlib.sha256(REGISTRY.encode()).hexdigest()[:12]
    return once(f"kafka-registry-{key}", _unpack_registry)


def once(name: str, fill: Callable[[Path], None]) -> Path:
    """The cache folder of that name, filled if it is not there; one process at a time fills one."""
    folder = cache_dir() / name
    if (folder / ".complete").exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(cache_dir() / f"{name}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".complete").exists():
            # What an earlier attempt left half done must not end up on a class path.
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            fill(folder)
            (folder / ".complete").touch()
    return folder


def _maven(folder: Path, *arguments: str) -> None:
    program = shutil.which("mvn")
    if not program:
        raise ServerMissing("mvn not found; scripts/test installs it (Debian: maven)")
    done = subprocess.run(
        [program, "-B", "-ntp", "-q", *arguments], cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise ServerMissing(f"mvn {' '.join(arguments)} failed:\n{(done.stdout + done.stderr)[-3000:]}")


def _dependency(coordinates: str, excluded: tuple[str, ...]) -> str:
    group, artifact, version = map(escape, coordinates.split(":"))
    without = "".join(
        "<exclusion><groupId>{}</groupId><artifactId>{}</artifactId></exclusion>".format(*pair.split(":"))
        for pair in excluded
    )
    return (
        f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>"
        f"<exclusions>{without}</exclusions></dependency>"
    )


def _copy_dependencies(wanted: Jars, folder: Path) -> None:
    dependencies = "\n".join(_dependency(each, wanted.excluded) for each in wanted.wanted)
    (folder / "pom.xml").write_text(
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>\n'
        f"<groupId>sluice.test</groupId><artifactId>{wanted.name}</artifactId><version>1</version>"
        f"<packaging>pom</packaging>\n<dependencies>\n{dependencies}\n</dependencies></project>\n"
    )
    _maven(folder, "dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}")
    if wanted.plugin:
        for jar in folder.glob("*.jar"):
            if _OF_THE_WORKER.match(jar.name):
                jar.unlink()


def _unpack_registry(folder: Path) -> None:
    _maven(folder, "dependency:copy", f"-Dartifact={REGISTRY}", f"-DoutputDirectory={folder}")
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder)
    archive.unlink()


if __name__ == "__main__":
    for each in SETS:
        print(jars(each), flush=True)
    print(registry())
