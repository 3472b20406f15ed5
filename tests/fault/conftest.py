"""Fixtures of the reliability tests: pipelines with changes, and servers that may be broken."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support import pg, pgsink, pipe, s3, sluice


def need(obtain: Callable) -> Any:
    """obtain(), or a skip that says what is missing; in CI that is a failure."""
    try:
        return obtain()
    except (pg.ServerMissing, s3.ServerMissing) as missing:
        if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
            raise
        pytest.skip(f"NOT RUN: {missing}")


@pytest.fixture
def make_pipe(engine: sluice.Engine, db: pg.PgDatabase) -> Iterator[Callable[..., pipe.Pipe]]:
    """make_pipe(sinks, tables=…, …) → a Pipe of this test's database and engine; see support/pipe.py."""
    made: list[pipe.Pipe] = []

    def make(sinks: dict[str, Any] | None = None, *, on: pg.PgDatabase | None = None,
             by: sluice.Engine | None = None, **more: Any) -> pipe.Pipe:
        made.append(pipe.Pipe(by or engine, on or db, sinks, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def make_replica(engine: sluice.Engine, db: pg.PgDatabase,
                 target: pg.PgDatabase) -> Iterator[Callable[..., pgsink.Replica]]:
    """make_replica(write=…, sink={options}, …) → a pipeline from this test's database into `target`."""
    made: list[pgsink.Replica] = []

    def make(*, on: pg.PgDatabase | None = None, to: pg.PgDatabase | None = None,
             by: sluice.Engine | None = None, **more: Any) -> pgsink.Replica:
        made.append(pgsink.Replica(by or engine, on or db, to or target, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def own_bucket() -> Iterator[s3.Bucket]:
    """A bucket on an S3 server of this test alone, to be stopped."""
    server = need(s3.S3Server.create)
    try:
        with server.bucket() as bucket:
            yield bucket
            if not server.pid:
                server.start()
    finally:
        server.destroy()
