"""The stand-in for SQL Server, asked by clients that share no code with it: python-tds, and FreeTDS's tsql."""

from __future__ import annotations

import datetime
import struct
import subprocess
import uuid
from decimal import Decimal

import pytds
import pytest
from support.tds import MssqlServer, tokens, wire
from support.tds.server import PASSWORD, USER
from support.tds.tsqltypes import TsqlType, encode, parse_type, type_info


@pytest.fixture
def own_mssql():
    server = MssqlServer.create()
    yield server
    server.destroy()


def client(ms, **more):
    options = {"port": ms.server.port, "database": ms.name, "user": USER, "password": PASSWORD, "autocommit": True}
    return pytds.connect("127.0.0.1", **{**options, **more})


VALUES = {
    "bit": ("1", True), "tinyint": ("255", 255), "smallint": ("-32768", -32768), "int": ("-2147483648", -2147483648),
    "bigint": ("9223372036854775807", 9223372036854775807), "real": ("0.5", 0.5), "float": ("1e300", 1e300),
    "money": ("-922337203685477.5808", Decimal("-922337203685477.5808")),
    "smallmoney": ("214748.3647", Decimal("214748.3647")),
    "decimal(38,10)": ("-1234567890123456789012345678.0123456789",
                       Decimal("-1234567890123456789012345678.0123456789")),
    "decimal(5,0)": ("12345", Decimal(12345)), "char(5)": ("'ab'", "ab   "), "varchar(20)": ("'äö'", "äö"),
    "nvarchar(20)": ("N'héé€😀'", "héé€😀"), "nvarchar(max)": (f"N'{'ü' * 9000}'", "ü" * 9000),
    "varchar(max)": ("''", ""), "binary(4)": ("0x01", b"\1\0\0\0"), "varbinary(10)": ("0x00ff", b"\0\xff"),
    "varbinary(max)": ("0x", b""), "uniqueidentifier": ("'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
                                                        uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
    "date": ("'0001-01-01'", datetime.date(1, 1, 1)),
    "time(6)": ("'23:59:59.999999'", datetime.time(23, 59, 59, 999999)),
    "datetime2(6)": ("'9999-12-31 23:59:59.999999'", datetime.datetime(9999, 12, 31, 23, 59, 59, 999999)),
    "datetime": ("'2024-02-29 12:34:56.789'", datetime.datetime(2024, 2, 29, 12, 34, 56, 790000)),
    "smalldatetime": ("'2024-02-29 12:34:29'", datetime.datetime(2024, 2, 29, 12, 34)),
    "xml": ("'<a>ü</a>'", "<a>ü</a>"), "text": ("'long'", "long"), "ntext": ("N'ü'", "ü"), "image": ("0x0102", b"\1\2"),
}


def test_every_type(ms):
    for number, (kind, (text, want)) in enumerate(VALUES.items()):
        ms.execute(f"CREATE TABLE t{number} (v {kind})", f"INSERT INTO t{number} VALUES ({text})",
                   f"INSERT INTO t{number} VALUES (NULL)")
    with client(ms) as conn:
        for number, (kind, (_text, want)) in enumerate(VALUES.items()):
            cursor = conn.cursor()
            cursor.execute(f"SELECT v FROM t{number}")
            assert [row[0] for row in cursor.fetchall()] == [want, None], kind


def test_errors_transactions_and_counts(ms):
    ms.execute("CREATE TABLE t (id int PRIMARY KEY, v nvarchar(3) NOT NULL)")
    with client(ms) as conn:
        cursor = conn.cursor()
        cursor.execute("INSERT INTO t VALUES (1, N'a'), (2, N'b')")
        assert cursor.rowcount == 2
        for text, number in (("INSERT INTO t VALUES (1, N'x')", 2627), ("INSERT INTO t VALUES (3, NULL)", 515),
                             ("INSERT INTO t VALUES (3, N'long')", 2628), ("SELECT * FROM nope", 208),
                             ("SELECT 1 / 0", 8134)):
            with pytest.raises(pytds.Error) as failed:
                cursor.execute(text)
            assert failed.value.msg_no == number, text
        cursor.execute("BEGIN TRANSACTION")
        cursor.execute("INSERT INTO t VALUES (4, N'd')")
        with pytest.raises(pytds.Error):
            cursor.execute("INSERT INTO t VALUES (4, N'e')")
        cursor.execute("SELECT @@TRANCOUNT")  # an error ends the statement, not the transaction
        assert cursor.fetchall() == [(1,)]
        cursor.execute("COMMIT")
        cursor.execute("SELECT id FROM t ORDER BY id")
        assert cursor.fetchall() == [(1,), (2,), (4,)]


def test_logins(ms):
    with pytest.raises(pytds.Error, match="Login failed"):
        client(ms, password="wrong")
    with pytest.raises((pytds.Error, TimeoutError)):  # it tries again until its login_timeout
        client(ms, database="nope", login_timeout=1)


def test_freetds(ms):
    ms.execute("CREATE TABLE t (id int, v nvarchar(20))", "INSERT INTO t VALUES (1, N'héé'), (2, NULL)")
    done = subprocess.run(
        ["tsql", "-H", "127.0.0.1", "-p", str(ms.server.port), "-U", USER, "-P", PASSWORD, "-D", ms.name, "-o", "q"],
        input="SELECT * FROM t ORDER BY id\ngo\nexit\n", capture_output=True, text=True, timeout=30)
    assert "1\théé" in done.stdout and "2\tNULL" in done.stdout, done.stdout + done.stderr


def changes(cursor, instance: str, columns: str) -> list[tuple]:
    cursor.execute(f"SELECT [__$operation], [__$update_mask], {columns} FROM cdc.[{instance}_CT]"
                   " ORDER BY [__$start_lsn], [__$command_id], [__$seqval], [__$operation]")
    return cursor.fetchall()


def test_change_data_capture(own_mssql):
    """Operations, masks, keys, large values; nothing of what was rolled back; the minimum moves with the cleanup."""
    ms = own_mssql.create_database()
    ms.execute("CREATE TABLE t (id int PRIMARY KEY, v nvarchar(20), big nvarchar(max))",
               "INSERT INTO t VALUES (1, N'old', N'b')",
               "EXEC sys.sp_cdc_enable_db",
               "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N't', @role_name = NULL")
    capture = own_mssql.captures[ms.name]
    with client(ms) as conn:
        cursor = conn.cursor()
        cursor.execute("SELECT is_cdc_enabled FROM sys.databases WHERE name = DB_NAME()")
        assert cursor.fetchall() == [(1,)]
        for text in ("INSERT INTO t VALUES (2, N'two', N'large')", "UPDATE t SET v = N'new' WHERE id = 1",
                     "UPDATE t SET big = NULL WHERE id = 2", "UPDATE t SET id = 20 WHERE id = 2",
                     "DELETE FROM t WHERE id = 1",
                     "BEGIN TRAN", "INSERT INTO t VALUES (9, N'no', NULL)", "ROLLBACK"):
            cursor.execute(text)
        capture.scan()
        assert changes(cursor, "dbo_t", "id, v, big") == [
            (2, b"\7", 2, "two", "large"),
            (3, b"\2", 1, "old", None), (4, b"\2", 1, "new", "b"),  # big did not change: NULL before, there after
            (3, b"\4", 2, "two", "large"), (4, b"\4", 2, "two", None),
            (1, b"\7", 2, "two", None), (2, b"\7", 20, "two", None),  # a key that changes: deleted, inserted
            (1, b"\7", 1, "new", "b")]
        cursor.execute("SELECT DISTINCT [__$start_lsn] FROM cdc.dbo_t_CT ORDER BY [__$start_lsn]")
        lsns = [lsn for (lsn,) in cursor.fetchall()]
        assert len(lsns) == 5 and all(len(lsn) == 10 for lsn in lsns)
        cursor.execute("SELECT sys.fn_cdc_get_max_lsn(), sys.fn_cdc_get_min_lsn('dbo_t'),"
                       " sys.fn_cdc_get_min_lsn('none')")
        ((highest, lowest, none),) = cursor.fetchall()
        assert highest >= lsns[-1] and lowest < lsns[0] and none == bytes(10)
        capture.cleanup("dbo_t", lsns[2])
        cursor.execute("SELECT sys.fn_cdc_get_min_lsn('dbo_t'),"
                       " sys.fn_cdc_increment_lsn(sys.fn_cdc_get_min_lsn('dbo_t'))")
        assert cursor.fetchall() == [(lsns[2], lsns[2][:-1] + bytes([lsns[2][-1] + 1]))]
        assert len(changes(cursor, "dbo_t", "id")) == 5
        capture.stopped.set()
        cursor.execute("EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N't', @role_name = NULL,"
                       " @capture_instance = N'second', @captured_column_list = N'id, v'")
        with pytest.raises(pytds.Error) as failed:
            cursor.execute("EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N't',"
                           " @role_name = NULL, @capture_instance = N'third'")
        assert failed.value.msg_no == 22926
        cursor.execute("INSERT INTO t VALUES (30, N'x', N'y')")
        assert changes(cursor, "second", "id, v") == []  # the job stands still
        capture.stopped.clear()
        capture.scan()
        assert changes(cursor, "second", "id, v") == [(2, b"\3", 30, "x")]


def test_parameters(ms):
    """Sent by RPC, typed, as drivers do it."""
    ms.execute("CREATE TABLE t (id int PRIMARY KEY, v nvarchar(50), d decimal(10,2), b varbinary(9), at datetime2(6))")
    moment = datetime.datetime(2024, 2, 29, 1, 2, 3, 456789)
    rows = [(1, "it's @id [x]", Decimal("-1.50"), b"\0\xff", moment), (2, "", None, None, None)]
    with client(ms) as conn:
        cursor = conn.cursor()
        for row in rows:
            sent = tuple(pytds.Binary(value) if isinstance(value, bytes) else value for value in row)
            cursor.execute("INSERT INTO t VALUES (%s, %s, %s, %s, %s)", sent)
        cursor.execute("SELECT id, v, d, b, at FROM t WHERE id >= %s ORDER BY id", (1,))
        assert cursor.fetchall() == rows
        with pytest.raises(pytds.Error) as failed:
            cursor.execute("INSERT INTO t (id) VALUES (%s)", (1,))
        assert failed.value.msg_no == 2627
        cursor.execute("SELECT count(*) FROM t")
        assert cursor.fetchall() == [(2,)]


def test_bulk_load(ms, tmp_path):
    """FreeTDS's freebcp, out of a table and into another; a row that is refused keeps out its batch."""
    columns = ("id int PRIMARY KEY, v nvarchar(30), m money, d decimal(20,4), t datetime2(7), b varbinary(10),"
               " g uniqueidentifier, big varchar(max), f float, k bit")
    ms.execute(f"CREATE TABLE a ({columns})", f"CREATE TABLE b ({columns})",
               "INSERT INTO a VALUES (1, N'hé', -1.5, 12345.6789, '2024-02-29 12:34:56.123', 0x00ff,"
               " 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'long', 1.5, 1),"
               " (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)")
    conf = tmp_path / "freetds.conf"
    conf.write_text(f"[standin]\nhost = 127.0.0.1\nport = {ms.server.port}\ntds version = 7.4\n"
                    "client charset = UTF-8\n")

    def freebcp(table: str, direction: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["freebcp", f"{ms.name}.dbo.{table}", direction, str(tmp_path / "rows"), "-c", "-S", "standin", "-U", USER,
             "-P", PASSWORD, "-D", ms.name], env={"FREETDSCONF": str(conf), "PATH": "/usr/bin"}, capture_output=True,
            text=True, timeout=60)

    out = freebcp("a", "out")
    assert "2 rows copied" in out.stdout, out.stdout + out.stderr
    back = freebcp("b", "in")
    assert "2 rows copied" in back.stdout, back.stdout + back.stderr
    assert ms.query("SELECT id, v, m, d, b, g, big, f, k FROM b ORDER BY id") == ms.query(
        "SELECT id, v, m, d, b, g, big, f, k FROM a ORDER BY id")
    again = freebcp("b", "in")
    assert "2627" in again.stderr + again.stdout and len(ms.query("SELECT id FROM b")) == 2


def test_vectors():
    """Bytes as MS-TDS 2.2.5 has them, worked out by hand."""
    assert type_info(parse_type("decimal(38,10)")) == bytes.fromhex("6a11260a") and type_info(
        parse_type("nvarchar(20)")) == bytes.fromhex("e728000904d00034")
    assert encode(parse_type("int"), "-2") == bytes.fromhex("04feffffff")
    assert encode(parse_type("money"), "1.5") == struct.pack("<BiI", 8, 0, 15000)
    assert encode(parse_type("decimal(5,2)"), "-1.50") == bytes.fromhex("050096000000")
    assert encode(parse_type("date"), "2000-01-01") == bytes.fromhex("03") + (730119).to_bytes(3, "little")
    assert encode(parse_type("time(7)"), "00:00:00.0000001") == bytes.fromhex("050100000000")
    assert encode(TsqlType("datetimeoffset", scale=0), "2000-01-01 05:30:00 +05:30") == (
        b"\x08" + (0).to_bytes(3, "little") + (730119).to_bytes(3, "little") + struct.pack("<h", 330))
    assert encode(parse_type("uniqueidentifier"), "00112233-4455-6677-8899-aabbccddeeff") == bytes.fromhex(
        "1033221100554477668899aabbccddeeff")
    assert encode(parse_type("varchar(max)"), "ab") == struct.pack("<QI", 2, 2) + b"ab\0\0\0\0"
    assert tokens.done(tokens.COUNT, 3) == bytes.fromhex("fd1000c1000300000000000000")
    login = wire.parse_login7(bytes(36) + struct.pack("<" + "HH" * 9, *(94, 0) * 9))
    assert login["user"] == "" and login["database"] == ""
