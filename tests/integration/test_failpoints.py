"""Every named failpoint of the engine: death, errors and delays there lose no row and double none.

The names are read from the sources, so that a new one is swept without being listed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import lake, sluice

KILLED = 128 + 9
RUNS_MAX = 12

# What can answer an error; the others only die and wait.
CAN_FAIL = ("sluice_failpoint_error", "sluice_failpoint")
# Nothing goes on without the state: the next run does.
FAILS_THE_RUN = {"state.write", "state.commit"}


def failpoints() -> dict[str, str]:
    """name → the macro it is called by."""
    call = re.compile(r"\b(SLUICE_FAILPOINT|sluice_failpoint(?:_error)?)\(\s*\"([^\"]+)\"")
    found: dict[str, str] = {}
    for path in sorted((sluice.ROOT / "core").rglob("*.c")):
        for macro, name in call.findall(path.read_text()):
            found[name] = macro
    return found


# Those of feeds are swept by tests/fault/test_t02_failpoints.py: a load does not come by there.
ALL = {name: macro for name, macro in failpoints().items() if not name.startswith("flow.feed_")}
FAILING = sorted(name for name, macro in ALL.items() if macro in CAN_FAIL)


class Sweep:
    """One database and many small loads of it, each to folders of its own."""

    def __init__(self, engine: sluice.Engine, db, make_pipeline, workdir: Path):
        self.engine, self.db, self.workdir = engine, db, workdir
        self.make_pipeline = make_pipeline
        self.names = []
        for number in range(20):
            name = f"public.t{number:02d}"
            self.names.append(name)
            rows = 12000 if number == 7 else number * 10  # one of several parts, and an empty one
            db.execute(
                f"CREATE TABLE {name} (id bigint PRIMARY KEY, body text)",
                f"INSERT INTO {name} SELECT i, repeat(md5(i::text), 3) FROM generate_series(1, {rows}) i",
            )
        db.execute("ANALYZE")
        self.expected = {
            name: [row[0] for row in db.query(f"SELECT row_to_json(t)::text FROM {name} t")] for name in self.names
        }
        self.cases = 0

    def case(self, failpoint: str) -> Case:
        self.cases += 1
        return Case(self, f"case{self.cases}", failpoint)


class Case:
    def __init__(self, sweep: Sweep, name: str, failpoint: str):
        self.sweep, self.failpoint = sweep, failpoint
        self.folder = sweep.workdir / name
        source = sweep.db.config(split_bytes="1MiB")
        sinks = {
            node: {
                "plugin": "file",
                "config": {"path": str(self.folder / node), "format": "jsonl", "compression": "none"},
            }
            for node in ("a", "b")
        }
        pipeline = sweep.make_pipeline(
            source, sinks, ["public.*"], name=name, parallelism=2,
            on_error={"retry": {"max": 5, "backoff": "1ms", "cap": "10ms"}},
        )
        self.path = sweep.engine.write(pipeline, f"{name}.yaml")
        self.codes: list[int] = []

    def run(self, action: str | None) -> sluice.Result:
        env = {"SLUICE_FAILPOINTS": f"{self.failpoint}={action}"} if action else None
        result = self.sweep.engine.run(self.path, env=env)
        self.codes.append(result.rc)
        return result

    def run_until_done(self, *actions: str) -> None:
        """Runs with one action after the other, then without any, until a run succeeds."""
        left = list(actions)
        while True:
            result = self.run(left.pop(0) if left else None)
            if result.rc == 0:
                return
            assert len(self.codes) < RUNS_MAX, f"{self.failpoint}: {self.codes}\n{result.describe()}"

    def check(self) -> None:
        for node in ("a", "b"):
            read = lake.Lake(lake.FileStore(self.folder / node))
            assert read.names() == self.sweep.names
            for name in self.sweep.names:
                found = lake.compare_lines(name, self.sweep.expected[name], read.stream(name).lines(), ["id"])
                assert found.ok and found.lost == found.dup == found.diff == 0, (
                    f"{self.failpoint} {self.codes}: {node}: {found}"
                )


@pytest.fixture
def sweep(engine, db, make_pipeline, workdir) -> Iterator[Sweep]:
    yield Sweep(engine, db, make_pipeline, workdir)


def test_the_sources_have_failpoints():
    assert len(ALL) >= 12 and len(FAILING) >= 6, ALL


@pytest.mark.timeout(300)
def test_death_at_every_failpoint(sweep):
    """At its first passage, then again and again at a later one, in several processes of one load."""
    late = 0
    for name in sorted(ALL):
        case = sweep.case(name)
        case.run_until_done("crash@1", "crash@6", "crash@9")
        assert case.codes[0] == KILLED, f"{name} was not reached: {case.codes}"
        late += case.codes[1] == KILLED
        case.check()
    assert late >= 6


@pytest.mark.timeout(300)
def test_an_error_at_every_failpoint(sweep):
    """A lost reply, a failed write: retried in the run or by the next one; then one that is not retried."""
    for name in FAILING:
        case = sweep.case(name)
        result = case.run("error@1")
        assert (result.rc != 0) == (name in FAILS_THE_RUN), result.describe()
        assert f"failpoint {name}: asked to fail here" in result.output, result.describe()
        case.run_until_done("fatal@4")
        case.check()


@pytest.mark.timeout(300)
def test_delays_everywhere(sweep):
    """Other interleavings of workers, lanes and controller, and a retry among them."""
    case = sweep.case(f"{','.join(f'{name}=sleep:2' for name in sorted(ALL))},flow.after_batch")
    case.run("error@5").expect(0)
    case.check()
