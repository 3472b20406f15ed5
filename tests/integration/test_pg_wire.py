"""plugins/common/pg against a real server: both forms of values, and the stream of a walsender."""

from __future__ import annotations

import os
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import pg, sluice
from support.faultproxy import TcpProxy

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def wire_binary() -> Path:
    named = os.environ.get("SLUICE_PG_WIRE")
    path = Path(named) if named else ROOT / "build" / "debug" / "bin" / "pg_wire"
    if not path.exists():
        if os.environ.get("CI"):
            raise sluice.BinaryMissing(f"{path} is not there; run scripts/build debug")
        pytest.skip(f"NOT RUN: {path} is not there; run scripts/build debug")
    return path


class Wire:
    def __init__(self, binary: Path, db: pg.PgDatabase):
        self.binary = binary
        self.db = db

    def start(self, mode: str, *args: str, **config) -> subprocess.Popen:
        given = [f"{key}={value}" for key, value in {**self.db.config(), **config}.items()]
        return subprocess.Popen(
            [str(self.binary), mode, *given, *args],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={key: value for key, value in os.environ.items() if not key.startswith("PG")},
        )

    def run(self, mode: str, *args: str, stdin: str = "", **config) -> tuple[int, str, str]:
        child = self.start(mode, *args, **config)
        out, err = child.communicate(stdin, timeout=120)
        assert not sluice.SANITIZER.search(err), err
        return child.returncode, out, err

    def stream(self, *args: str, **config) -> list[list[str]]:
        rc, out, err = self.run("stream", *args, **config)
        assert rc == 0, err
        return [line.split() for line in out.splitlines()]


@pytest.fixture
def wire(wire_binary: Path, db: pg.PgDatabase) -> Wire:
    return Wire(wire_binary, db)


# ---------------------------------------------------------------- values

RANDOM = "setseed(0.25)"
VALUES = [
    "SELECT b FROM (VALUES (true), (false), (NULL)) v(b)",
    "SELECT i::int2 a, i::int4 b, i::int8 c FROM generate_series(-32768, 32767, 13) i",
    "SELECT v::int4 FROM unnest('{-2147483648,2147483647,0,-1,NULL}'::int4[]) v",
    "SELECT v FROM unnest('{-9223372036854775808,9223372036854775807,0,-1,NULL}'::int8[]) v",
    "SELECT v FROM unnest('{0,1,10,4294967295,2147483648,NULL}'::oid[]) v",
    # floats: every power of ten and of two, halves between neighbours, shortest forms of all lengths
    "SELECT v FROM unnest('{0,-0,1,-1,NaN,Infinity,-Infinity,NULL,5e-324,2.2250738585072014e-308,"
    "2.225073858507201e-308,1.7976931348623157e308,-1.7976931348623157e308,0.1,0.3,1e22,1e23,"
    "9007199254740993,9007199254740992,123456789012345680,4.35,8.41e21,9.5367431640625e-07}'::float8[]) v",
    "SELECT ('1e' || i)::float8 a, ('-9.999999999999999e' || i)::float8 b FROM generate_series(-300, 307) i",
    "SELECT ('1e' || i)::float4 a, ('-9.999999e' || i)::float4 b FROM generate_series(-37, 37) i",
    "SELECT v FROM unnest('{0,-0,NaN,Infinity,-Infinity,NULL,1e-45,1.1754944e-38,1.1754942e-38,"
    "3.4028235e38,-3.4028235e38,0.1,16777217,16777216,7.0385307e-26,1.17549435e-38}'::float4[]) v",
    "SELECT 'Infinity'::float8 - 'Infinity'::float8 a, -'NaN'::float8 b, 'Infinity'::float4 - 'Infinity'::float4 c",
    f"SELECT (random() - 0.5) * 10 ^ (random() * 40 - 20) a, (random() * 1000)::float4 b,"
    f" round((random() * 1e6)::numeric, 2)::float8 c, round((random() * 1e6)::numeric, 2)::float4 d,"
    f" ((random() - 0.5) * 10 ^ (random() * 70 - 35))::float4 e,"
    f" (random() - 0.5) * 10 ^ (random() * 600 - 300) f"
    f" FROM (SELECT {RANDOM}) s, generate_series(1, 3000)",
    # numerics: narrow, wide, wider; all scales; edges
    "SELECT v::numeric(12,2) a, v::numeric(18,0) b,"
    " v::numeric(38,10) d, v::numeric(76,38) e, v::numeric(5,-2) f FROM"
    " unnest('{0,1,-1,0.01,-0.01,0.005,99999,-99999,12345.67,NaN,NULL}'::numeric[]) v",
    "SELECT repeat('9', 10)::numeric(12,2) a, ('-' || repeat('9', 38))::numeric(38,0) b,"
    " repeat('9', 76)::numeric(76,0) c, ('0.' || repeat('9', 76))::numeric(76,76) d,"
    " ('-0.' || repeat('0', 17) || '1')::numeric(18,18) e, '0.00012'::numeric(3,5) f,"
    " 'NaN'::numeric(38,0) g, 'NaN'::numeric(76,0) h",
    f"SELECT v::numeric(18,4) a, v::numeric(18,9) b, v::numeric(19,9) c, v::numeric(38,20) d,"
    f" (v * 1000000000000)::numeric(40,3) e, v::numeric(10,0) f FROM (SELECT ((random() - 0.5) *"
    f" 10 ^ (random() * 18 - 9))::numeric v FROM (SELECT {RANDOM}) s, generate_series(1, 3000)) q",
    # dates and times: both ends, BC, leap days, every month, infinities
    "SELECT v FROM unnest('{4714-11-24 BC,0001-12-31 BC,0001-01-01,0005-02-29 BC,0004-02-28 BC,0001-02-29 BC,"
    "1582-10-15,"
    "1899-12-31,1900-02-28,1970-01-01,1999-12-31,2000-01-01,2000-02-29,2024-02-29,9999-12-31,10000-01-01,"
    "294276-12-31,5874897-12-31,infinity,-infinity,NULL}'::date[]) v",
    "SELECT (date '4714-11-24 BC' + i) a FROM generate_series(0, 2147483493 - 2451545, 1717171) i",
    "SELECT date '1999-12-01' + i FROM generate_series(0, 800) i",
    "SELECT v FROM unnest('{00:00:00,00:00:00.000001,12:34:56.7,23:59:59.999999,24:00:00,01:02:03.04,"
    "NULL}'::time[]) v",
    "SELECT v a, v AT TIME ZONE 'UTC' b FROM unnest('{4714-11-24 00:00:00+00 BC,0044-03-15 12:00:00.5+00 BC,"
    "0001-01-01 00:00:00+00,1969-12-31 23:59:59.999999+00,1970-01-01 00:00:00+00,1999-12-31 23:59:59.999999+00,"
    "2000-01-01 00:00:00+00,2038-01-19 03:14:08+00,294246-12-31 23:59:59.999999+00,infinity,-infinity,"
    "NULL}'::timestamptz[]) v",
    f"SELECT t a, t AT TIME ZONE 'UTC' b, (t AT TIME ZONE 'UTC')::time c, t::date d FROM (SELECT timestamptz"
    f" '2000-01-01' + (random() - 0.02) * interval '290000 years' t FROM (SELECT {RANDOM}) s,"
    f" generate_series(1, 3000)) q",
    # bytes and texts
    "SELECT v FROM unnest(ARRAY['', '\\x00', '\\xdeadBEEF', NULL, decode(repeat('00ff7f80', 300), 'hex')]::bytea[]) v",
    "SELECT v a, v::varchar(20) b, v::char(12) c, v::name d"
    " FROM unnest(ARRAY['', 'a', ' ä€😀 ', E'tab\\t\\\\n', NULL]) v",
    "SELECT v::json a, v::jsonb b FROM unnest(ARRAY['{}', '[1, 2.50, \"ä\"]', '{\"a\" : null}', 'null', NULL]) v",
    "SELECT v FROM unnest(ARRAY['00000000-0000-0000-0000-000000000000', NULL,"
    " 'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF', '01234567-89ab-cdef-0123-456789abcdef']::uuid[]) v",
    "SELECT v FROM unnest(ARRAY['a', 'B c', NULL]::public.mood[]) v",
    # no binary form: the select expression against the output function
    "SELECT '1 year 2 mons -3 days 04:05:06.7'::interval a, '10.0.0.1/8'::inet b, '10.0.0.1'::inet c,"
    " '{1,2,NULL}'::int[] d, '[2:3]={a,\"b c\"}'::text[] e, '12:00:00.5+05:30:15'::timetz f,"
    " 12.34::money g, '<a b=\"c\"/>'::xml h, 'a'::\"char\" i, '[1,5)'::int4range j, '(1,2)'::point k,"
    " B'0101' l, 1.50::numeric m, 'Infinity'::numeric n, 'pg_class'::regclass o, '1 2'::int2vector p,"
    " '{1.50,-Infinity}'::float8[] q, ROW(1, 'x y', NULL)::public.pair r, '08:00:2b:01:02:03'::macaddr s",
]


def test_text_and_binary_make_the_same_cells(wire: Wire):
    """Every kind of value: the text decoder's buffers equal the binary decoder's, byte for byte."""
    wire.db.execute(
        "CREATE TYPE public.mood AS ENUM ('a', 'B c')", "CREATE TYPE public.pair AS (i int, t text, n numeric)"
    )
    rc, out, err = wire.run("values", stdin="\n".join(VALUES) + "\n")
    assert rc == 0, err
    lines = out.splitlines()
    assert len(lines) == 2 * len(VALUES) and all(line.startswith("same ") for line in lines)
    assert sum(line.endswith(" binary") for line in lines) >= len(VALUES) - 1


def test_values_of_a_hostile_database(wire_binary: Path, pg_server: pg.PgServer):
    """The session's forced settings decide how values are printed, not the database's."""
    with pg_server.database(hostile=True) as db:
        db.execute("CREATE TYPE public.mood AS ENUM ('a', 'B c')",
                   "CREATE TYPE public.pair AS (i int, t text, n numeric)")
        rc, out, err = Wire(wire_binary, db).run("values", stdin="\n".join(VALUES) + "\n")
        assert rc == 0, err


# ---------------------------------------------------------------- streams


def kinds(lines: list[list[str]]) -> str:
    """The types of the messages, in order, without keepalives."""
    return "".join(chr(int(line[2][:2], 16)) for line in lines if line[0] == "w")


def texts(message: str) -> list[str | None]:
    """The values of an insert in text form."""
    data = bytes.fromhex(message)
    assert data[:1] == b"I" and data[5:6] == b"N"
    (count,) = struct.unpack_from(">H", data, 6)
    at, out = 8, []
    for _ in range(count):
        kind = data[at : at + 1]
        at += 1
        if kind == b"t":
            (size,) = struct.unpack_from(">I", data, at)
            out.append(data[at + 4 : at + 4 + size].decode())
            at += 4 + size
        else:
            out.append(None)
    assert at == len(data)
    return out


@pytest.fixture
def slot(wire: Wire) -> str:
    """A table, a publication of it, and a slot from before anything was written."""
    wire.db.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v text)",
        "CREATE PUBLICATION p FOR ALL TABLES",
        "SELECT pg_create_logical_replication_slot(current_database() || '_s', 'pgoutput')",
    )
    return f"{wire.db.name}_s"


PUBLICATIONS = 'publications="p"'


def test_stream_and_acknowledge(wire: Wire, slot: str):
    """What was acknowledged does not come again; what was not does."""
    wire.db.execute("INSERT INTO t VALUES (1, 'one'), (2, NULL)", "UPDATE t SET v = 'x' WHERE id = 2",
                    "DELETE FROM t WHERE id = 1", "TRUNCATE t")
    first = wire.stream(f"slot={slot}", PUBLICATIONS)
    assert kinds(first) == "BRIICBUCBDCBRTC"
    again = wire.stream(f"slot={slot}", PUBLICATIONS, "ack=1")
    assert [line[2] for line in first if line[0] == "w"] == [line[2] for line in again if line[0] == "w"]
    assert kinds(wire.stream(f"slot={slot}", PUBLICATIONS)) == ""
    wire.db.execute("INSERT INTO t VALUES (3, 'three')")
    assert kinds(wire.stream(f"slot={slot}", PUBLICATIONS, "ack=1")) == "BRIC"
    ends = [int(line[2][20:36], 16) for line in again if line[0] == "w" and line[2].startswith("43")]
    assert ends == sorted(ends)


def test_commands_on_a_replication_connection(wire: Wire):
    """Replication commands and plain SQL both work before a stream."""
    name = f"{wire.db.name}_c"
    lines = wire.stream(
        "do=IDENTIFY_SYSTEM",
        "do=SELECT current_setting('lock_timeout'), current_setting('DateStyle'), current_setting('search_path')",
        f"do=CREATE_REPLICATION_SLOT {name} TEMPORARY LOGICAL pgoutput NOEXPORT_SNAPSHOT",
    )
    assert lines[0][3] == wire.db.name
    assert lines[1] == ["0", "ISO,", "MDY", "pg_catalog"]
    assert lines[2][0] == name and "/" in lines[2][1]


def test_slot_creation_outlives_lock_timeout(wire: Wire):
    """It waits for running transactions, however short lock_timeout is."""
    wire.db.execute("CREATE TABLE w (i int)")
    with wire.db.connect(autocommit=False) as writer:
        writer.execute("INSERT INTO w VALUES (1)")
        child = wire.start(
            "stream", f"do=CREATE_REPLICATION_SLOT {wire.db.name}_w TEMPORARY LOGICAL pgoutput",
            lock_timeout_ms=200,
        )
        time.sleep(1)
        assert child.poll() is None
        writer.commit()
    out, err = child.communicate(timeout=30)
    assert child.returncode == 0, err
    assert out.startswith(f"{wire.db.name}_w")


def test_values_in_the_stream_have_forced_formats(wire_binary: Path, pg_server: pg.PgServer):
    with pg_server.database(hostile=True) as db:
        wire = Wire(wire_binary, db)
        db.execute(
            "CREATE TABLE public.h (a timestamptz, b date, c bytea, d float8, e interval, f regclass, g timetz)",
            "CREATE PUBLICATION p FOR ALL TABLES",
            f"SELECT pg_create_logical_replication_slot('{db.name}_s', 'pgoutput')",
            "INSERT INTO public.h VALUES ('2024-01-02 03:04:05.6+05:30', '2024-02-01', '\\x00ff', 0.1::float8 + 0.2,"
            " '1 year -3 days 4 hours', 'public.h', '12:00:00+05:30')",
        )
        found = [line[2] for line in wire.stream(f"slot={db.name}_s", PUBLICATIONS) if line[2:] and line[2][:2] == "49"]
        assert texts(found[0]) == [
            "2024-01-01 21:34:05.6+00", "2024-02-01", "\\x00ff", "0.30000000000000004",
            "1 year -3 days +04:00:00", "public.h", "12:00:00+05:30",
        ]


def expect_error(wire: Wire, *args: str, **config) -> str:
    rc, _, err = wire.run("stream", *args, **config)
    assert rc == 1, err
    return err


def test_errors_of_starting(wire: Wire, slot: str):
    err = expect_error(wire, "slot=no_such_slot", PUBLICATIONS)
    assert 'replication slot "no_such_slot" does not exist' in err and "[42704]" in err and "options slot" in err
    err = expect_error(wire, f"slot={slot}", 'publications="q"', "options=x 'y'")
    assert "unrecognized pgoutput option" in err
    holder = wire.start("stream", f"slot={slot}", PUBLICATIONS, "idle_ms=20000")
    try:
        deadline = time.monotonic() + 10
        while not wire.db.value(f"SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        err = expect_error(wire, f"slot={slot}", PUBLICATIONS)
        assert "UNAVAILABLE (retryable)" in err and "is active for PID" in err and "[55006]" in err
    finally:
        holder.terminate()
        holder.communicate(timeout=10)


def test_role_without_the_right_to_replicate(wire: Wire):
    role = f"r_{wire.db.name}"
    wire.db.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'r'")
    try:
        err = expect_error(wire, user=role, password="r")
        assert "PERMISSION" in err and "ALTER ROLE … REPLICATION" in err and "[42501]" in err
    finally:
        wire.db.execute(f"DROP ROLE {role}")


def test_missing_publication_is_the_streams_error(wire: Wire, slot: str):
    """The server notices at the first change; the reason must not be lost."""
    wire.db.execute("INSERT INTO t VALUES (1, 'one')")
    err = expect_error(wire, f"slot={slot}", 'publications="q"')
    assert 'publication "q" does not exist' in err


def wait_streaming(wire: Wire, slot: str) -> int:
    """The pid of the walsender, once it has sent all there is."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        rows = wire.db.query(
            "SELECT r.pid FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid"
            " WHERE r.state = 'streaming' AND s.slot_name = %s", [slot]
        )
        if rows:
            return rows[0][0]
        time.sleep(0.05)
    raise AssertionError("no walsender")


def test_killed_walsender(wire: Wire, slot: str):
    child = wire.start("stream", f"slot={slot}", PUBLICATIONS, "idle_ms=20000")
    pid = wait_streaming(wire, slot)
    wire.db.execute(f"SELECT pg_terminate_backend({pid})")
    _, err = child.communicate(timeout=15)
    assert child.returncode == 1
    assert "IO (retryable)" in err and "terminating connection due to administrator command" in err


def test_server_that_shuts_down(wire_binary: Path):
    server = pg.PgServer.create()
    try:
        wire = Wire(wire_binary, server.create_database())
        wire.db.execute(
            "CREATE PUBLICATION p FOR ALL TABLES", "SELECT pg_create_logical_replication_slot('s', 'pgoutput')"
        )
        child = wire.start("stream", "slot=s", PUBLICATIONS, "idle_ms=20000", "ack=1")
        wait_streaming(wire, "s")
        server.stop("fast")
        out, err = child.communicate(timeout=15)
        assert child.returncode == 0, err
        assert out.splitlines()[-1] == "end"
    finally:
        server.destroy()


def test_keepalives_are_answered(wire: Wire, slot: str):
    """A walsender that gives up after a second is kept alive for longer."""
    wire.db.execute(f"ALTER DATABASE {wire.db.name} SET wal_sender_timeout = '1s'")
    lines = wire.stream(f"slot={slot}", PUBLICATIONS, "idle_ms=4000")
    assert sum(line[0] == "k" and line[2] == "1" for line in lines) >= 3


@pytest.fixture
def link(wire: Wire) -> Iterator[TcpProxy]:
    with TcpProxy((wire.db.server.host, wire.db.server.port)) as proxy:
        yield proxy


def test_torn_messages(wire: Wire, slot: str, link: TcpProxy):
    """Every message arrives in pieces of three bytes."""
    wire.db.execute("INSERT INTO t SELECT i, repeat('x', i * 10) FROM generate_series(1, 20) i")
    whole = wire.stream(f"slot={slot}", PUBLICATIONS)
    link.set(slice_bytes=3)
    torn = wire.stream(f"slot={slot}", PUBLICATIONS, port=link.port)
    assert [line for line in torn if line[0] == "w"] == [line for line in whole if line[0] == "w"]


@pytest.mark.parametrize("fault", ["reset_after", "close_after"])
def test_broken_connection(wire: Wire, slot: str, link: TcpProxy, fault: str):
    wire.db.execute("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 2000) i")
    link.set(**{fault: 400_000})
    err = expect_error(wire, f"slot={slot}", PUBLICATIONS, "quiet=1", port=link.port)
    assert "IO (retryable)" in err


def test_silent_connection(wire: Wire, slot: str, link: TcpProxy):
    """Nothing comes and nothing is taken: waits end all the same."""
    child = wire.start("stream", f"slot={slot}", PUBLICATIONS, "idle_ms=2000", port=link.port)
    wait_streaming(wire, slot)
    link.set(blackhole=True)
    began = time.monotonic()
    threading.Timer(0.2, lambda: wire.db.execute("INSERT INTO t VALUES (1, 'lost')")).start()
    child.communicate(timeout=20)
    assert child.returncode == 0 and time.monotonic() - began < 10
    link.set()


def test_coalesced_reads_lose_nothing(wire: Wire, slot: str):
    wire.db.execute("INSERT INTO t SELECT i, repeat('x', i % 500) FROM generate_series(1, 20000) i")
    plain = wire.stream(f"slot={slot}", PUBLICATIONS)
    coalesced = wire.stream(f"slot={slot}", PUBLICATIONS, "coalesce=1")
    assert [line for line in plain if line[0] == "w"] == [line for line in coalesced if line[0] == "w"]
