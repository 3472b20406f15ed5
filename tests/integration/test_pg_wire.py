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
    "SELECT v FROM unnest('{4714-11-24 BC,0001-12-31 BC,0001-01-01,0005-02-29 BC,0004-02-28 BC,0001-02-29 BC,1582-10-15,"
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
    "SELECT v a, v::varchar(20) b, v::char(12) c, v::name d FROM unnest(ARRAY['', 'a', ' ä€😀 ', E'tab\\t\\\\n', NULL]) v",
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
        db.execute("CREATE TYPE public.mood AS ENUM ('a', 'B c')", "CREATE TYPE public.pair AS (i int, t text, n numeric)")
        rc, out, err = Wire(wire_binary, db).run("values", stdin="\n".join(VALUES) + "\n")
        assert rc == 0, err
