"""Full loads of SQL Server, from the stand-in (tests/support/tds), into files and into PostgreSQL, value by value.
Nobody has run them against a real server yet; SLUICE_TEST_MSSQL names one."""

from __future__ import annotations

import json
import threading
import time
from decimal import Decimal
from pathlib import Path

import pytest
from support import proc, tls
from support.tds.server import PASSWORD


def pipeline(config, sink, include=("dbo.*",), **more):
    return {"version": 1, "name": "ms", "mode": "full_load_only",
            "sources": {"src": {"plugin": "sqlserver", "config": {"encrypt": "off", **config},
                                "tables": {"include": list(include)}}},
            "sinks": {"out": {"inputs": ["src"], **sink}}, **more}


def to_files(workdir: Path, **config):
    return {"plugin": "file", "config": {"path": str(workdir / "lake"), "compression": "none", **config}}


def rows_of(workdir: Path, table: str) -> list[dict]:
    """Of the newest complete load."""
    lake = workdir / "lake"
    manifests = [json.loads(path.read_text()) for path in sorted(lake.glob("_sluice/ms/out/commits/*.json"))]
    run = [s["run"] for m in manifests if m["kind"] == "complete" for s in m["streams"] if s["name"] == table][-1]
    files = [f["key"] for m in manifests if m["kind"] == "full" and m["run"] == run for f in m["files"]
             if f["stream"] == table]
    return [json.loads(line, parse_float=Decimal) for key in files for line in (lake / key).read_text().splitlines()]


# type → value as T-SQL, as JSON
TYPES = [
    ("bit", "1", True), ("bit", "0", False), ("tinyint", "255", 255), ("smallint", "-32768", -32768),
    ("int", "-2147483648", -2147483648), ("bigint", "-9223372036854775808", -9223372036854775808),
    ("real", "0.1", Decimal("0.1")), ("float", "1e300", Decimal("1e+300")),
    ("money", "-922337203685477.5808", Decimal("-922337203685477.5808")), ("money", "0", Decimal("0.0000")),
    ("smallmoney", "-214748.3648", Decimal("-214748.3648")),
    ("decimal(38,0)", "-99999999999999999999999999999999999999", -99999999999999999999999999999999999999),
    ("decimal(38,38)", "0.00000000000000000000000000000000000001", Decimal("1E-38")),
    ("decimal(1,0)", "7", 7), ("decimal(10,3)", "-1234567.891", Decimal("-1234567.891")),
    ("decimal(20,10)", "1234567890.0123456789", Decimal("1234567890.0123456789")),
    ("char(5)", "'ab'", "ab   "), ("varchar(20)", "'äöü'", "äöü"), ("varchar(20)", "''", ""),
    ("nvarchar(20)", "N'héé€😀'", "héé€😀"), ("nvarchar(max)", f"N'{'ü' * 20000}'", "ü" * 20000),
    ("nchar(3)", "N'é'", "é  "), ("text", "'long'", "long"), ("ntext", "N'ü'", "ü"), ("xml", "'<a>ü</a>'", "<a>ü</a>"),
    ("binary(4)", "0x01", "AQAAAA=="), ("varbinary(10)", "0x00ff", "AP8="), ("varbinary(max)", "0x", ""),
    ("image", "0x0102", "AQI="),
    ("uniqueidentifier", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("date", "'0001-01-01'", "0001-01-01"), ("date", "'9999-12-31'", "9999-12-31"),
    ("time(0)", "'23:59:59'", "23:59:59"), ("time(6)", "'00:00:00.000001'", "00:00:00.000001"),
    ("datetime2(6)", "'0001-01-01 00:00:00.000001'", "0001-01-01T00:00:00.000001"),
    ("datetime2(7)", "'9999-12-31 23:59:59.9999990'", "9999-12-31T23:59:59.999999"),
    ("datetime", "'1753-01-01'", "1753-01-01T00:00:00"),
    ("datetime", "'2024-02-29 12:34:56.003'", "2024-02-29T12:34:56.003"),
    ("datetime", "'2024-02-29 12:34:56.998'", "2024-02-29T12:34:56.997"),
    ("smalldatetime", "'2079-06-06 23:59'", "2079-06-06T23:59:00"),
    ("datetimeoffset(7)", "'2024-02-29 23:59:59.1234567 +05:30'", "2024-02-29T23:59:59.1234567+05:30"),
    ("datetimeoffset(0)", "'0001-01-01 12:00:00 -14:00'", "0001-01-01T12:00:00-14:00"),
]


def test_every_type(engine, ms, workdir):
    for number, (kind, text, _want) in enumerate(TYPES):
        ms.execute(f"CREATE TABLE t{number:02} (id int PRIMARY KEY, v {kind})",
                   f"INSERT INTO t{number:02} VALUES (1, {text}), (2, NULL)")
    engine.run(pipeline(ms.config(), to_files(workdir))).expect(0)
    for number, (kind, _text, want) in enumerate(TYPES):
        assert rows_of(workdir, f"dbo.t{number:02}") == [{"id": 1, "v": want}, {"id": 2, "v": None}], kind


def test_into_postgresql(engine, ms, target, workdir):
    """Types follow the published mapping; values are the same."""
    ms.execute("CREATE TABLE item (id int PRIMARY KEY, name nvarchar(40) NOT NULL, price money, d decimal(12,3),"
               " at datetime2(3), g uniqueidentifier, b varbinary(20), ok bit, tiny tinyint)",
               "INSERT INTO item VALUES (1, N'é', 1.5, -2.125, '2024-02-29 01:02:03.004',"
               " 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 0x00ff, 1, 200),"
               " (2, N'', NULL, NULL, NULL, NULL, NULL, NULL, NULL)")
    config = pipeline(ms.config(), {"plugin": "postgres", "config": target.config()})
    engine.run(config).expect(0)
    assert target.query("SELECT id, name, price, d, at::text, g::text, b, ok, tiny FROM dbo.item ORDER BY id") == [
        (1, "é", Decimal("1.5000"), Decimal("-2.125"), "2024-02-29 01:02:03.004",
         "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", b"\0\xff", True, 200),
        (2, "", None, None, None, None, None, None, None)]
    types = dict(target.query("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid ="
                              " 'dbo.item'::regclass AND attnum > 0"))
    assert types["price"] == "numeric(19,4)" and types["d"] == "numeric(12,3)" and types["name"] == "text"
    assert types["at"].startswith("timestamp") and types["g"] == "uuid" and types["ok"] == "boolean"


def test_names_and_columns(engine, ms, workdir):
    ms.execute("CREATE TABLE [x]]y'] ([a]]b] int PRIMARY KEY, [select] int, [\"q\"] nvarchar(5))",
               "INSERT INTO [x]]y'] VALUES (1, 2, N'z')",
               f"CREATE TABLE wide (id int PRIMARY KEY, {', '.join(f'c{i} int' for i in range(300))})",
               "INSERT INTO wide (id, c299) VALUES (1, 7)", "CREATE TABLE empty (id int)")
    document = pipeline(ms.config(), to_files(workdir))
    document["sources"]["src"]["tables"]["rules"] = [{"match": "dbo.wide", "columns": {"include": ["id", "c299"]}}]
    engine.run(document).expect(0)
    assert rows_of(workdir, "dbo.\"x]y'\"") == [{"a]b": 1, "select": 2, '"q"': "z"}]
    assert rows_of(workdir, "dbo.wide") == [{"id": 1, "c299": 7}] and rows_of(workdir, "dbo.empty") == []


def test_types_that_are_not_read(engine, ms, workdir):
    """A column is never left out in silence."""
    ms.execute("CREATE TABLE t (id int PRIMARY KEY, place geography)", "INSERT INTO t (id) VALUES (1)",
               "CREATE TABLE u (id int)", "INSERT INTO u VALUES (2)")
    document = pipeline(ms.config(clr_types="fail"), to_files(workdir))
    failed = engine.run(document).expect(1)
    assert "dbo.t" in failed.stderr and "type geography is not read" in failed.stderr, failed.describe()
    assert rows_of(workdir, "dbo.u") == [{"id": 2}]
    document["sources"]["src"]["tables"]["rules"] = [{"match": "dbo.t", "columns": {"exclude": ["place"]}}]
    engine.run(document).expect(0)
    assert rows_of(workdir, "dbo.t") == [{"id": 1}]


def test_types_of_the_clr(engine, ms, workdir):
    """As bytes, or as the text that the server prints; names are quoted there too."""
    ms.execute("CREATE TABLE t (id int PRIMARY KEY, [n]]o] hierarchyid, place geography)",
               "INSERT INTO t VALUES (1, 0x5AC0, 0xE6100000), (2, 0x58, NULL), (3, NULL, 0x01)")
    engine.run(pipeline(ms.config(), to_files(workdir))).expect(0)
    assert rows_of(workdir, "dbo.t") == [{"id": 1, "n]o": "WsA=", "place": "5hAAAA=="},
                                         {"id": 2, "n]o": "WA==", "place": None}, {"id": 3, "n]o": None,
                                             "place": "AQ=="}]
    document = pipeline(ms.config(clr_types="text"), to_files(workdir))
    document["sources"]["src"]["tables"]["rules"] = [{"match": "dbo.t", "columns": {"exclude": ["place"]}}]
    engine.run(document).expect(0)
    assert rows_of(workdir, "dbo.t") == [{"id": 1, "n]o": "/1/1/"}, {"id": 2, "n]o": "/1/"}, {"id": 3, "n]o": None}]


def padded(text: str) -> str:
    """To eight units of UTF-16."""
    return text + " " * (8 - len(text.encode("utf-16-le")) // 2)


def test_texts_in_utf16(engine, ms, workdir):
    """nvarchar comes as its bytes and is decoded here: every plane, every width, next to each other and alone."""
    texts = ["", "a", "abc", "abcd", "abcde" * 700, "é", "abcé", "abcdé", "éabcd€efgh😀ijkl",
        "\U0010ffff\uffff\ud7ff\ue000",
             "\x7f\x80\u07ff\u0800", "日本語" * 1000, " trailing  "]
    ms.execute("CREATE TABLE t (id int PRIMARY KEY, v nvarchar(max), w nvarchar(4000), c nchar(8))")
    with ms.server.connect(ms.name) as conn:
        for number, text in enumerate(texts):
            conn.execute("INSERT INTO dbo.t VALUES (%s, %s, %s, %s)", [number, text, text, text[:3]])
    engine.run(pipeline(ms.config(), to_files(workdir))).expect(0)
    want = [{"id": n, "v": text, "w": text, "c": padded(text[:3])} for n, text in enumerate(texts)]
    assert rows_of(workdir, "dbo.t") == want


def test_fine_times(engine, ms, workdir):
    """A seventh digit is never lost in silence."""
    ms.execute("CREATE TABLE t (id int PRIMARY KEY, d datetime2, t time)",
               "INSERT INTO t VALUES (1, '2024-02-29 12:34:56.1234567', '00:00:00.0000001')")
    failed = engine.run(pipeline(ms.config(), to_files(workdir))).expect(1)
    assert "dbo.t" in failed.stderr and "finer than a microsecond" in failed.stderr and "fine_times" in failed.stderr
    engine.run(pipeline(ms.config(fine_times="text"), to_files(workdir))).expect(0)
    assert rows_of(workdir, "dbo.t") == [{"id": 1, "d": "2024-02-29T12:34:56.1234567", "t": "00:00:00.0000001"}]
    engine.run(pipeline(ms.config(fine_times="truncate"), to_files(workdir), name="ms")).expect(0)


def test_many_rows_in_batches(engine, ms, workdir):
    ms.execute("CREATE TABLE t (id int PRIMARY KEY, v nvarchar(30))")
    with ms.server.connect(ms.name) as conn:
        conn.execute("INSERT INTO t SELECT i, 'v' || i FROM generate_series(1, 30000) i")
    engine.run(pipeline(ms.config(batch_rows=1000, packet_size=4096), to_files(workdir))).expect(0)
    rows = rows_of(workdir, "dbo.t")
    assert sorted(r["id"] for r in rows) == list(range(1, 30001)) and all(r["v"] == f"v{r['id']}" for r in rows)
    assert any("ISOLATION LEVEL SNAPSHOT" in text for text in ms.server.batches)
    assert not any("NOLOCK" in text.upper() for text in ms.server.batches)


PIECES = [
    ("int", "i"), ("bigint", "i::bigint * 4000000000 - 9000000000000"), ("decimal(20,4)", "i / 7.0"),
    ("money", "-i / 4.0"), ("uniqueidentifier", "md5(i::text)::uuid"), ("nvarchar(40)", "'ü''' || i % 977 || 'x' || i"),
    ("varchar(40)", "chr(65 + i % 50) || i"), ("date", "DATE '0001-01-01' + i"),
    ("datetime", "TIMESTAMP '1753-01-01' + i * INTERVAL '37 s'"),
    ("datetime2(7)", "TIMESTAMP '2024-01-01' + i * INTERVAL '1 us'"), ("smallint", "i - 4000"),
]


def fill_pieces(ms, table: str, kind: str, value: str, rows: int) -> None:
    ms.execute(f"CREATE TABLE {table} (k {kind} PRIMARY KEY, n int NOT NULL, v nvarchar(100))")
    with ms.server.connect(ms.name) as conn:
        conn.execute(f"INSERT INTO {table} SELECT {value}, i, repeat('v', 60) || i FROM generate_series(1, {rows}) i")


@pytest.mark.parametrize("kind, value", PIECES)
def test_pieces(engine, ms, workdir, kind, value):
    """Every row once, whatever the type of the clustered key; the pieces are several and none is nearly all."""
    fill_pieces(ms, "t", kind, value, 8000)
    config = ms.config(pieces="many", split_bytes="128KiB")
    began = len(ms.server.batches)
    engine.run(pipeline(config, to_files(workdir), parallelism=3)).expect(0)
    rows = rows_of(workdir, "dbo.t")
    assert sorted(r["n"] for r in rows) == list(range(1, 8001)) and all(r["v"] == "v" * 60 + str(r["n"]) for r in rows)
    reads = [text for text in ms.server.batches[began:] if "FROM [dbo].[t] WHERE (" in text]
    assert len(reads) >= 6 and all(" WHERE ([k] " in text for text in reads), reads
    sizes = [len(ms.query(text)) for text in reads]
    assert sum(sizes) == 8000 and max(sizes) < 8000 // 3, sizes


def test_pieces_of_a_key_with_null(engine, ms, workdir):
    """A clustered index need not be unique, nor not null."""
    ms.execute("CREATE TABLE t (n int, k int NULL, v nvarchar(100))", "CREATE CLUSTERED INDEX c ON t (k, n)")
    with ms.server.connect(ms.name) as conn:
        conn.execute("INSERT INTO t SELECT i, NULLIF(i % 50, 0), repeat('v', 90) FROM generate_series(1, 8000) i")
    began = len(ms.server.batches)
    engine.run(pipeline(ms.config(pieces="many", split_bytes="128KiB"), to_files(workdir))).expect(0)
    want = sorted((i, i % 50 or None) for i in range(1, 8001))
    assert sorted((r["n"], r["k"]) for r in rows_of(workdir, "dbo.t")) == want
    assert sum("FROM [dbo].[t] WHERE (" in text for text in ms.server.batches[began:]) >= 4


def test_pieces_with_a_condition_and_without_a_range(engine, ms, workdir):
    """`where` holds for each piece; a heap and a float key are read as one."""
    fill_pieces(ms, "t", "int", "i", 8000)
    fill_pieces(ms, "f", "float", "i / 3.0", 8000)
    ms.execute("CREATE TABLE heap (n int, v nvarchar(100))")
    with ms.server.connect(ms.name) as conn:
        conn.execute("INSERT INTO heap SELECT i, repeat('v', 90) FROM generate_series(1, 8000) i")
    document = pipeline(ms.config(pieces="many", split_bytes="128KiB"), to_files(workdir))
    document["sources"]["src"]["tables"]["rules"] = [
        {"match": "dbo.t", "where": "n % 3 = 0 OR n = 1 -- not all", "columns": {"exclude": ["k"]}}]
    began = len(ms.server.batches)
    engine.run(document).expect(0)
    assert sorted(r["n"] for r in rows_of(workdir, "dbo.t")) == [1, *range(3, 8001, 3)]
    for table in ("f", "heap"):
        assert sorted(r["n"] for r in rows_of(workdir, f"dbo.{table}")) == list(range(1, 8001))
        reads = [text for text in ms.server.batches[began:] if f" FROM [dbo].[{table}]" in text]
        assert len(reads) == 1, reads


def test_one_piece_by_default(engine, ms, workdir):
    """Pieces are of different moments: without changes only where nobody writes, or who asks."""
    fill_pieces(ms, "t", "int", "i", 8000)
    for read_only, least, most in ((0, 1, 1), (1, 4, 100)):
        with ms.server.connect(ms.name) as conn:
            conn.execute("UPDATE tds.settings SET value = %s WHERE name = 'is_read_only'", [str(read_only)])
        began = len(ms.server.batches)
        engine.run(pipeline(ms.config(split_bytes="128KiB"), to_files(workdir))).expect(0)
        asked = ms.server.batches[began:]
        assert least <= sum(" FROM [dbo].[t]" in text and "ROW_NUMBER" not in text for text in asked) <= most
        assert sorted(r["n"] for r in rows_of(workdir, "dbo.t")) == list(range(1, 8001))


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize("config, rc, words", [
    ({"password": "wrong"}, 3, ["18456", "Login failed", "check user and password"]),
    ({"database": "nope"}, 3, ["4060", "check option database"]),
    ({"port": 1}, 3, ["connect to 127.0.0.1", "check options host, port"]),
    ({"encrypt": "require"}, 3, ["connect to 127.0.0.1", "encrypt"]),
    ({"host": "a\nb"}, 3, ["host has a character"]),
    ({"isolation": "sometimes"}, 2, ["isolation", "auto", "snapshot"]),
])
def test_bad_settings(engine, ms, workdir, config, rc, words):
    failed = engine.cmd("check", str(engine.write(pipeline(ms.config(**config), to_files(workdir)))))
    assert failed.rc == rc, failed.describe()
    for word in words:
        assert word in failed.output, failed.describe()
    assert PASSWORD not in failed.output


def test_tls(engine, own_ms, workdir, tmp_path):
    """Required and verified by default; the login is never sent in the clear."""
    authority = tls.Authority.create(tmp_path / "one")
    certificate, key = authority.issue("localhost")
    own_ms.use_tls(certificate, key)
    ms = own_ms.create_database()
    ms.execute("CREATE TABLE t (id int)", "INSERT INTO t VALUES (1)")
    good = ms.config(encrypt="require", ca_file=str(authority.ca_file), host="localhost")
    engine.run(pipeline(good, to_files(workdir))).expect(0)
    assert rows_of(workdir, "dbo.t") == [{"id": 1}]
    stranger = tls.Authority.create(tmp_path / "other")
    other = pipeline({**good, "ca_file": str(stranger.ca_file)}, to_files(workdir))
    bad = engine.cmd("check", str(engine.write(other)))
    assert bad.rc == 3, bad.describe()


def test_server_that_hangs(engine, own_ms, workdir):
    """In the login and between rows: deadlines fire, and the first signal ends a run that waits."""
    ms = own_ms.create_database()
    ms.execute("CREATE TABLE t (id int PRIMARY KEY, v nvarchar(max))")
    with own_ms.connect(ms.name) as conn:
        conn.execute("INSERT INTO t SELECT i, repeat('x', 2000) FROM generate_series(1, 500) i")
    own_ms.holds["login"] = threading.Event()
    began = time.monotonic()
    failed = engine.cmd("check", str(engine.write(pipeline(ms.config(login_timeout="2s"), to_files(workdir)))))
    assert failed.rc == 3 and time.monotonic() - began < 20, failed.describe()
    own_ms.holds.pop("login").set()
    stuck = threading.Event()

    def hang(_session, row: int) -> None:
        if row == 300:
            stuck.wait(60)

    own_ms.on_row = hang
    retry = {"on_error": {"retry": {"max": 0}}}
    began = time.monotonic()
    failed = engine.run(pipeline(ms.config(query_timeout="2s"), to_files(workdir), **retry))
    stuck.set()
    assert failed.rc in (1, 3) and time.monotonic() - began < 40, failed.describe()
    assert "silent for too long" in failed.stderr or "timed out" in failed.stderr, failed.describe()
    own_ms.on_row = None
    engine.run(pipeline(ms.config(), to_files(workdir))).expect(0)
    assert len(rows_of(workdir, "dbo.t")) == 500


def test_slow_server_is_waited_for(engine, own_ms, workdir):
    """Silence of some seconds is no loss: db-lib by itself ends a connection at the second timeout."""
    ms = own_ms.create_database()
    ms.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1), (2), (3)")
    own_ms.on_row = lambda _session, row: time.sleep(5) if row == 1 else None
    retry = {"on_error": {"retry": {"max": 0}}}
    engine.run(pipeline(ms.config(), to_files(workdir), **retry)).expect(0)
    assert [row["id"] for row in rows_of(workdir, "dbo.t")] == [1, 2, 3]


def test_server_is_killed(engine, own_ms, workdir):
    """In the middle of a table: tried again, and whole at the end."""
    ms = own_ms.create_database()
    ms.execute("CREATE TABLE t (id int PRIMARY KEY, v nvarchar(max))")
    with own_ms.connect(ms.name) as conn:
        conn.execute("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 2000) i")
    cut = []

    def kill(_session, row: int) -> None:
        if row == 1500 and not cut:
            cut.append(row)
            threading.Thread(target=lambda: (own_ms.kill9(), own_ms.start())).start()
            time.sleep(0.5)

    own_ms.on_row = kill
    retry = {"on_error": {"retry": {"max": 20, "backoff": "100ms", "cap": "500ms"}}}
    engine.run(pipeline(ms.config(), to_files(workdir), **retry)).expect(0)
    assert cut and sorted(r["id"] for r in rows_of(workdir, "dbo.t")) == list(range(1, 2001))


def test_failover_partner(engine, ms, workdir):
    """Nobody is at `host`; the partner is asked, and when nobody is there either both are named."""
    ms.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)")
    config = ms.config()
    away = {**config, "port": proc.free_port(), "application_intent": "read_only"}
    partner = f"{config['host']},{config['port']}"
    engine.run(pipeline({**away, "failover_partner": partner}, to_files(workdir))).expect(0)
    assert rows_of(workdir, "dbo.t") == [{"id": 1}, {"id": 2}]
    nobody = f"127.0.0.1,{proc.free_port()}"
    bad = engine.cmd("check", str(engine.write(pipeline({**away, "failover_partner": nobody}, to_files(workdir)))))
    assert bad.rc != 0 and "failover_partner 127.0.0.1 neither" in bad.output, bad.describe()
