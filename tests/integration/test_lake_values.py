"""What the lake library renders, against what PostgreSQL says to the same values.

The tool lake_render (tests/unit/lake/tools) feeds raw bits or PostgreSQL's own output text to the
library. SLUICE_LAKE_VALUES sets how many random values each test takes.
"""

from __future__ import annotations

import os
import random
import struct
import subprocess
from decimal import Decimal, localcontext
from pathlib import Path

import pytest
from support import sluice
from support.pg import PgDatabase

COUNT = int(os.environ.get("SLUICE_LAKE_VALUES", "100000"))

ALPHABET = (
    list(' abcXYZ019,;:."\'\\/{}()[]<>=-+%&NULnul\t\n\r\x01\x08\x0c\x1f\x7f')
    + ["é", "€", "😀", "NULL", "\\.", '""', "\\\\", "infinity", "t", "f"]
)


@pytest.fixture(scope="module")
def render() -> Path:
    try:
        tool = sluice.find_binary().with_name("lake_render")
        if not tool.exists():
            raise sluice.BinaryMissing(f"{tool} is not there; run scripts/build debug")
    except sluice.BinaryMissing as missing:
        if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
            raise
        pytest.skip(f"NOT RUN: {missing}")
    return tool


def run(tool: Path, data: bytes, *args: str) -> bytes:
    done = subprocess.run([str(tool), *args], input=data, capture_output=True, timeout=240)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


def render_bits(tool: Path, lines: list[str]) -> list[str]:
    return run(tool, "".join(lines).encode()).decode().splitlines()


def render_texts(tool: Path, cls: str, values: list[str | None], form: str = "jsonl") -> bytes:
    data = bytearray()
    for value in values:
        if value is None:
            data += b"\xff\xff\xff\xff"
            continue
        raw = value.encode()
        data += struct.pack(">I", len(raw)) + raw
    return run(tool, bytes(data), cls, form)


def copy_binary(db: PgDatabase, type_name: str, values: list[bytes], select: str) -> list[str]:
    """Sends binary values of a type to PostgreSQL and returns `select` of each, in order."""
    with db.connect() as conn:
        conn.execute(f"CREATE TEMP TABLE v (id int, v {type_name})")
        with conn.cursor() as cur, cur.copy("COPY v FROM STDIN (FORMAT binary)") as copy:
            copy.write(b"PGCOPY\n\xff\r\n\x00" + bytes(8))
            for start in range(0, len(values), 10000):
                copy.write(
                    b"".join(
                        struct.pack(">hii", 2, 4, start + i)
                        + struct.pack(">i", len(value))
                        + value
                        for i, value in enumerate(values[start : start + 10000])
                    )
                )
            copy.write(b"\xff\xff")
        rows = conn.execute(f"SELECT {select} FROM v ORDER BY id").fetchall()
    return [row[0] for row in rows]


def assert_same(got: list[str], want: list[str], given: list) -> None:
    assert len(got) == len(want)
    for left, right, value in zip(got, want, given):
        assert left == right, f"{value!r}: we say {left}, PostgreSQL says {right}"


def interesting_f64(rng: random.Random) -> list[int]:
    bits = [rng.getrandbits(64) for _ in range(COUNT)]
    for exponent in range(-330, 310):  # powers of ten and their neighbours
        value = struct.unpack(">Q", struct.pack(">d", float(f"1e{exponent}")))[0]
        bits += [value, value + 1, max(value - 1, 0)]
    bits += [exponent << 52 for exponent in range(2047)]  # where the interval is lopsided
    bits += [(exponent << 52) + 1 for exponent in range(0, 2047, 3)]
    bits += list(range(1, 2000))  # subnormal
    for _ in range(COUNT // 2):  # what people store: few digits
        digits = rng.randint(1, 10 ** rng.randint(1, 17))
        value = float(f"{digits}e{rng.randint(-20, 20)}")
        bits.append(struct.unpack(">Q", struct.pack(">d", value))[0])
    bits += [struct.unpack(">Q", struct.pack(">d", float(n)))[0] for n in range(2**53 - 50, 2**53)]
    return bits


def test_float8(db: PgDatabase, render: Path) -> None:
    bits = interesting_f64(random.Random(8))
    want = copy_binary(db, "float8", [struct.pack(">Q", b) for b in bits], "v::text")
    got = render_bits(render, [f"f8 {b:016x}\n" for b in bits])
    assert_same(got, want, bits)


def test_float4(db: PgDatabase, render: Path) -> None:
    rng = random.Random(4)
    bits = [rng.getrandbits(32) for _ in range(COUNT)]
    bits += [exponent << 23 for exponent in range(255)]
    bits += [(exponent << 23) + d for exponent in range(255) for d in (1, 2, 0x7FFFFF)]
    bits += list(range(1, 2000))
    for _ in range(COUNT // 2):
        value = float(f"{rng.randint(1, 10 ** rng.randint(1, 8))}e{rng.randint(-12, 12)}")
        bits.append(struct.unpack(">I", struct.pack(">f", value))[0])
    want = copy_binary(db, "float4", [struct.pack(">I", b) for b in bits], "v::text")
    got = render_bits(render, [f"f4 {b:08x}\n" for b in bits])
    assert_same(got, want, bits)


def test_decimals(db: PgDatabase, render: Path) -> None:
    rng = random.Random(38)
    cases = []
    for _ in range(COUNT // 4):
        scale = rng.randint(0, 38)
        cases.append((rng.randint(0, 10 ** rng.randint(1, 38) - 1) * rng.choice((1, -1)), scale))
    cases += [(value, scale) for value in (0, 1, -1, 10**18, -(2**63), 2**63) for scale in range(20)]
    lines = [f"num{scale} {value & (2**128 - 1):032x}\n" for value, scale in cases]
    with db.connect() as conn, localcontext() as context:
        context.prec = 80
        conn.execute("CREATE TEMP TABLE v (id int, v numeric)")
        with conn.cursor() as cur, cur.copy("COPY v FROM STDIN") as copy:
            for i, (value, scale) in enumerate(cases):
                copy.write_row((i, f"{Decimal(value).scaleb(-scale):f}"))
        want = [row[0] for row in conn.execute("SELECT v::text FROM v ORDER BY id").fetchall()]
    assert_same(render_bits(render, lines), want, cases)


def test_dates(db: PgDatabase, render: Path) -> None:
    rng = random.Random(1)
    days = [rng.randint(-2440588 + 1, 2145042905) for _ in range(COUNT // 4)]
    days += [rng.randint(-800000, 100000) for _ in range(COUNT // 4)] + list(range(-400, 400))
    epoch = 10957  # days from 1970 to 2000
    want = copy_binary(db, "date", [struct.pack(">i", d - epoch) for d in days], "v::text")
    got = render_bits(render, [f"date {d & 0xFFFFFFFF:08x}\n" for d in days])
    assert_same(got, want, days)


@pytest.mark.parametrize("kind, type_name", [("ts", "timestamp"), ("tz", "timestamptz")])
def test_timestamps(db: PgDatabase, render: Path, kind: str, type_name: str) -> None:
    rng = random.Random(2)
    low, high = -210866803200000000, 2**63 - 1  # 4714-11-24 BC, and what microseconds can hold
    values = [rng.randint(low, high) for _ in range(COUNT // 4)]
    values += [rng.randint(-(10**15), 3 * 10**15) for _ in range(COUNT // 4)]
    values += [rng.randint(-(10**9), 10**9) * 10 ** rng.randint(0, 6) for _ in range(COUNT // 4)]
    values += [low, -1, 0, 1]
    epoch = 946684800000000
    want = copy_binary(
        db, type_name, [struct.pack(">q", v - epoch) for v in values], "trim(to_json(v)::text, '\"')"
    )
    got = render_bits(render, [f"{kind} {v & (2**64 - 1):016x}\n" for v in values])
    assert_same(got, want, values)


def random_text(rng: random.Random) -> str:
    return "".join(rng.choice(ALPHABET) for _ in range(rng.choice((0, 1, 2, 5, 15, 16, 17, 40))))


def compare_json(db: PgDatabase, render: Path, cls: str, type_name: str, values: list) -> None:
    """`values` are parameters for psycopg, cast to the type."""
    with db.connect() as conn:
        conn.execute(f"CREATE TEMP TABLE v (id int, v {type_name})")
        with conn.cursor() as cur:
            cur.executemany(
                f"INSERT INTO v VALUES (%s, %s::{type_name})", list(enumerate(values))
            )
        rows = conn.execute("SELECT v::text, to_json(v)::text FROM v ORDER BY id").fetchall()
    texts = [row[0] for row in rows]
    want = ["{\"v\":%s}" % ("null" if row[1] is None else row[1]) for row in rows]
    got = render_texts(render, cls, texts).decode().splitlines()
    assert_same(got, want, texts)


def test_text_escapes(db: PgDatabase, render: Path) -> None:
    rng = random.Random(3)
    compare_json(db, render, "s", "text", [random_text(rng) for _ in range(3000)] + [None])


def test_arrays(db: PgDatabase, render: Path) -> None:
    rng = random.Random(5)
    texts = [
        [rng.choice((None, random_text(rng))) for _ in range(rng.randint(0, 6))] for _ in range(2000)
    ]
    texts += [[[random_text(rng), None], [random_text(rng), "x"]] for _ in range(200)]
    compare_json(db, render, "[s,]", "text[]", texts)
    numbers = [
        [rng.choice((None, "NaN", "1.10", str(rng.randint(-(10**30), 10**30)))) for _ in range(4)]
        for _ in range(300)
    ]
    compare_json(db, render, "[n,]", "numeric[]", numbers + ["[0:1]={1,2}", "[2:3][-1:0]={{1,2},{3,4}}", "{}"])
    compare_json(db, render, "[n,]", "float8[]", [[1e15, 0.1, float("inf"), float("nan"), -0.0]])
    compare_json(db, render, "[b,]", "boolean[]", [[True, False, None], []])
    compare_json(db, render, "[j,]", "jsonb[]", ['{"{\\"a\\": [1, 1.10, null, \\"x\\\\\\\\y\\"]}",NULL,"null"}'])
    compare_json(db, render, "[t,]", "timestamp[]", ["{2024-01-02 03:04:05.6,infinity,0044-03-15 BC}"])
    compare_json(
        db, render, "[z,]", "timestamptz[]",
        ['{"2024-01-02 03:04:05+02",-infinity,"0044-03-15 00:00:00+00 BC"}'],
    )
    compare_json(db, render, "[d,]", "date[]", ['{2024-01-02,infinity,"0044-03-15 BC"}'])
    compare_json(db, render, "[s;]", "box[]", ["{(1,2),(3,4);(5,6),(7,8)}"])
    compare_json(db, render, "[n ]", "int2vector", ["1 2 3", "7", ""])


def test_composites(db: PgDatabase, render: Path) -> None:
    rng = random.Random(6)
    db.execute(
        "CREATE TYPE inner_t AS (\"a \"\"q\"\"\" text, n numeric, z timestamptz)",
        "CREATE TYPE outer_t AS (t text, i inner_t, l text[], il inner_t[], b boolean, j jsonb)",
    )
    inner = '{"a \\"q\\"":s,"n":n,"z":z}'
    cls = '{"t":s,"i":%s,"l":[s,],"il":[%s,],"b":b,"j":j}' % (inner, inner)
    with db.connect() as conn:
        conn.execute("CREATE TABLE v (id int, v outer_t)")
        for i in range(1500):
            text = [rng.choice((None, random_text(rng))) for _ in range(8)]
            conn.execute(
                "INSERT INTO v VALUES (%s, ROW(%s, ROW(%s, %s, %s)::inner_t, %s, %s, %s, %s)::outer_t)",
                (
                    i, text[0], text[1], rng.choice((None, Decimal("1.50"), Decimal("NaN"))),
                    rng.choice((None, "2024-01-02 03:04:05.678+01", "infinity")),
                    rng.choice((None, [], text[2:5])), None, rng.choice((None, True, False)),
                    rng.choice((None, '{"a": "q\\"\\\\x", "b": [1, 2.50]}')),
                ),
            )
        conn.execute(
            "UPDATE v SET v.il = ARRAY[ROW((v).t, 1.0, NULL)::inner_t, NULL, (v).i] WHERE id % 3 > 0"
        )
        conn.execute("INSERT INTO v VALUES (99998, NULL), (99999, ROW(NULL, NULL, NULL, NULL, NULL, NULL))")
        rows = conn.execute("SELECT v::text, to_json(v)::text FROM v ORDER BY id").fetchall()
    want = ["{\"v\":%s}" % ("null" if row[1] is None else row[1]) for row in rows]
    got = render_texts(render, cls, [row[0] for row in rows]).decode().splitlines()
    assert_same(got, want, [row[0] for row in rows])


def test_binary_in_arrays(db: PgDatabase, render: Path) -> None:
    rng = random.Random(7)
    with db.connect() as conn:
        conn.execute("CREATE TABLE v (id int, v bytea[])")
        for i in range(300):
            values = [rng.randbytes(rng.randint(0, 100)) for _ in range(rng.randint(0, 4))]
            conn.execute("INSERT INTO v VALUES (%s, %s)", (i, values))
        rows = conn.execute(
            "SELECT v::text, (SELECT coalesce(json_agg(translate(encode(x, 'base64'), E'\\n', '')), '[]')"
            " FROM unnest(v) x)::text FROM v ORDER BY id"
        ).fetchall()
    want = ["{\"v\":%s}" % row[1].replace(", ", ",") for row in rows]
    got = render_texts(render, "[x,]", [row[0] for row in rows]).decode().splitlines()
    assert_same(got, want, [row[0] for row in rows])


def test_csv(db: PgDatabase, render: Path) -> None:
    rng = random.Random(9)
    values = [random_text(rng) for _ in range(5000)] + [None, "", "\\.", '"', "NULL", " ", "a,b"]
    with db.connect() as conn:
        conn.execute("CREATE TABLE v (id int, v text)")
        with conn.cursor() as cur:
            cur.executemany("INSERT INTO v VALUES (%s, %s)", list(enumerate(values)))
        with conn.cursor() as cur, cur.copy(
            "COPY (SELECT v FROM v ORDER BY id) TO STDOUT (FORMAT csv)"
        ) as copy:
            want = b"".join(bytes(block) for block in copy)
    assert render_texts(render, "s", values, "csv") == want
