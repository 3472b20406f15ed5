"""One client: its login, its batches, its transaction."""

from __future__ import annotations

import struct
import threading
from typing import TYPE_CHECKING

import psycopg

from . import bulk, rpc, tokens, tsql, wire
from .tokens import Column
from .tsqltypes import TsqlType

if TYPE_CHECKING:
    from .server import MssqlServer

# SQLSTATE -> number and severity of SQL Server's error
NUMBERS = {
    "23505": (2627, 14), "23503": (547, 16), "23514": (547, 16), "23502": (515, 16), "40P01": (1205, 13),
    "40001": (3960, 16), "55P03": (1222, 16), "22012": (8134, 16), "22001": (2628, 16), "22003": (8115, 16),
    "22P02": (245, 16), "22007": (241, 16), "22008": (242, 16), "42P01": (208, 16), "42703": (207, 16),
    "42601": (102, 15), "42883": (195, 15), "42P07": (2714, 16), "42501": (229, 14), "53100": (1105, 17),
}
BY_OID = {
    16: TsqlType("bit"), 21: TsqlType("smallint"), 23: TsqlType("int"), 20: TsqlType("bigint"),
    700: TsqlType("real"), 701: TsqlType("float"), 17: TsqlType("varbinary", -1), 2950: TsqlType("uniqueidentifier"),
    1700: TsqlType("decimal", precision=38, scale=6),
}
SEND_EVERY = 64 * 1024


class Session(threading.Thread):
    """Runs until the client goes."""

    def __init__(self, server: MssqlServer, sock):
        super().__init__(daemon=True)
        self.server = server
        self.link = wire.Link(sock)
        self.pg: psycopg.Connection | None = None
        self.database = ""
        self.bulk_table = ""
        self.trancount = 0
        self.descriptor = 0

    def run(self) -> None:
        try:
            if self.login():
                self.serve()
        except (wire.Closed, OSError, IndexError, struct.error):
            pass
        finally:
            self.close()

    def close(self) -> None:
        self.link.sock.close()
        if self.pg is not None:
            self.pg.close()
        self.server.forget(self)

    # -- login

    def login(self) -> bool:
        kind, data = self.link.read_message()
        if kind != wire.PRELOGIN:
            return False
        wanted = wire.parse_prelogin(data).get(1, b"\2")[0]
        answer = self.server.encryption(wanted)
        self.link.send_message(wire.prelogin_reply(answer))
        if answer in (0, 1, 3):
            self.link.handshake(self.server.tls)
        kind, data = self.link.read_message()
        if answer == 0:
            self.link.tls = None  # the login alone was encrypted
        if kind != wire.LOGIN7:
            return False
        self.server.hold("login")
        asked = wire.parse_login7(data)
        if self.server.users.get(asked["user"]) != asked["password"]:
            return self.refuse(18456, f"Login failed for user '{asked['user']}'.", 14)
        database = asked["database"] or "master"
        if database not in self.server.databases:
            return self.refuse(4060, f'Cannot open database "{database}" requested by the login. The login failed.', 11)
        self.database = database
        self.pg = self.server.connect(database)
        size = int(asked["packet_size"]) or 4096
        self.link.send_message(tokens.login_reply(database, size))
        self.link.packet_size = size
        return True

    def refuse(self, number: int, text: str, severity: int) -> bool:
        self.link.send_message(tokens.message(number, text, severity) + tokens.done(tokens.ERROR))
        return False

    # -- requests

    def serve(self) -> None:
        while True:
            kind, data = self.link.read_message()
            if kind == wire.ATTENTION:
                self.link.send_message(tokens.done(tokens.ATTENTION))
            elif kind == wire.BATCH:
                headers = struct.unpack("<I", data[:4])[0]
                self.batch(data[headers:].decode("utf-16-le", "surrogatepass"))
            elif kind == wire.RPC:
                self.rpc(data[struct.unpack("<I", data[:4])[0] :])
            elif kind == wire.BULK and self.bulk_table:
                self.bulk(data)
            else:
                self.link.send_message(tokens.message(2812, "The stand-in does not take such a request.", 16)
                                       + tokens.done(tokens.ERROR))

    def rpc(self, data: bytes) -> None:
        """sp_executesql; its reply ends as that of a procedure does."""
        try:
            text = rpc.statement(rpc.read(data))
        except (tsql.NotTaken, ValueError) as error:
            number = error.number if isinstance(error, tsql.NotTaken) else 8009
            self.link.send_message(tokens.message(number, str(error), 16)
                                   + tokens.done(tokens.ERROR, command=0xE0, token=0xFE))
            return
        self.batch(text, procedure=True)

    def batch(self, text: str, procedure: bool = False) -> None:
        self.server.note(text)
        out = bytearray()
        failed = tokens.ERROR | (tokens.MORE if procedure else 0)
        parts = tsql.split(text)
        for number, part in enumerate(parts):
            more = tokens.MORE if procedure or number < len(parts) - 1 else 0
            try:
                stopped = self.statement(part, more, out)
            except psycopg.Error as error:
                if self.pg is None or self.pg.closed:
                    raise wire.Closed from None
                state = error.sqlstate or "XX000"
                named, severity = NUMBERS.get(state, (50000, 16))
                first = str(error).splitlines()[0]
                out += tokens.message(named, first, severity) + tokens.done(failed)
                break
            except tsql.NotTaken as error:
                out += tokens.message(error.number, str(error), 15) + tokens.done(failed)
                break
            if stopped:
                self.link.send_message(bytes(tokens.done(tokens.ATTENTION)))
                return
        if not parts and not procedure:
            out += tokens.done()
        if procedure:  # DONE tokens before it would do as well as DONEINPROC: both say that more comes
            out += struct.pack("<Bi", 0x79, 0) + tokens.done(command=0xE0, token=0xFE)
        self.link.send_message(bytes(out))

    def bulk(self, data: bytes) -> None:
        """All rows of the message or none of them."""
        assert self.pg is not None
        cursor = bulk.Cursor(data)
        columns = bulk.read_columns(cursor)
        rows = bulk.read_rows(cursor, columns)
        names = ", ".join(tsql.quoted(column.name) for column in columns)
        marks = ", ".join(f"%s::{column.type.storage}" for column in columns)
        sql = f"INSERT INTO {self.bulk_table} ({names}) VALUES ({marks})"
        try:
            with self.pg.transaction():
                self.pg.cursor().executemany(sql, rows)  # type: ignore[arg-type]
        except psycopg.Error as error:
            number, severity = NUMBERS.get(error.sqlstate or "", (50000, 16))
            self.link.send_message(tokens.message(number, str(error).splitlines()[0], severity)
                                   + tokens.message(3621, "The statement has been terminated.", 0)
                                   + tokens.done(tokens.ERROR))
            return
        self.link.send_message(tokens.done(tokens.COUNT, len(rows), 0xC3))

    def statement(self, text: str, more: int, out: bytearray) -> bool:
        """Appends what it answers; 1 = attention came."""
        assert self.pg is not None
        made = tsql.translate(text, self.trancount)
        if made.kind == "begin":
            self.begin(out)
        elif made.kind in ("commit", "rollback"):
            self.end(made.kind, out)
        elif made.kind == "procedure":
            self.server.procedure(self.database, made.sql[0], made.arguments)
            out += struct.pack("<Bi", 0x79, 0)  # RETURNSTATUS
        elif made.kind == "describe":
            cursor = self.pg.execute(f"SELECT * FROM ({made.sql[0]}) described LIMIT 0")  # type: ignore[call-overload]
            out += tokens.column_metadata(self.columns(cursor))
        elif made.kind == "bulk":
            self.bulk_table = made.sql[0]
        elif made.kind == "query":
            return self.query(made, more, out)
        out += tokens.done(more, command=made.command)
        return False

    def begin(self, out: bytearray) -> None:
        assert self.pg is not None
        if self.trancount == 0:
            self.pg.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            self.descriptor = self.server.number()
            out += tokens.env_change(8, b"\x08" + struct.pack("<Q", self.descriptor), b"\0")
        self.trancount += 1

    def end(self, how: str, out: bytearray) -> None:
        assert self.pg is not None
        if self.trancount == 0:
            raise tsql.NotTaken(f"The {how.upper()} TRANSACTION request has no corresponding BEGIN TRANSACTION.", 3902)
        self.trancount = self.trancount - 1 if how == "commit" else 0
        if self.trancount == 0:
            self.pg.execute(how)
            out += tokens.env_change(9 if how == "commit" else 10, b"\0", b"\x08" + struct.pack("<Q", self.descriptor))
            self.server.hold(how)

    def query(self, made: tsql.Statement, more: int, out: bytearray) -> bool:
        pg = self.pg
        assert pg is not None
        if self.trancount:
            pg.execute("SAVEPOINT tds")  # an error ends the statement, not the transaction
        try:
            for sql in made.sql[:-1]:
                pg.execute(sql)  # type: ignore[arg-type]
            cursor = self.run_cancellable(made.sql[-1])
        except psycopg.Error:
            if self.trancount and not pg.closed:
                pg.execute("ROLLBACK TO tds")
            raise
        if cursor is None:
            if self.trancount:
                pg.execute("ROLLBACK TO tds")
            return True
        if cursor.description is None:
            rows = max(cursor.rowcount, 0)
            out += tokens.done(more | tokens.COUNT, rows, made.command)
            return False
        columns = self.columns(cursor)
        out += tokens.column_metadata(columns)
        result = cursor.pgresult
        assert result is not None
        for i in range(result.ntuples):
            values = [result.get_value(i, k) for k in range(result.nfields)]
            out += tokens.row(columns, [None if v is None else v.decode() for v in values])
            self.server.after_row(self, i)
            if len(out) > SEND_EVERY:
                whole = len(out) - len(out) % (self.link.packet_size - 8)
                if self.link.attention_waits():
                    self.link.read_message()
                    return True
                self.link.send_message(bytes(out[:whole]), last=False)
                del out[:whole]
        out += tokens.done(more | tokens.COUNT, result.ntuples, made.command)
        return False

    def run_cancellable(self, sql: str) -> psycopg.Cursor | None:
        """Runs while the client is listened to: attention cancels it."""
        pg = self.pg
        assert pg is not None
        answer: list = []

        def work() -> None:
            try:
                answer.append(pg.execute(sql))  # type: ignore[arg-type]
            except psycopg.Error as error:
                answer.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(0.005)
        while thread.is_alive():
            if self.link.attention_waits():
                self.link.read_message()
                pg.cancel()
                thread.join()
                return None
            thread.join(0.02)
        if isinstance(answer[0], psycopg.Error):
            raise answer[0]
        return answer[0]

    def columns(self, cursor: psycopg.Cursor) -> list[Column]:
        """What the result has, by the declared types of the tables that it comes from."""
        pg, result = self.pg, cursor.pgresult
        assert pg is not None and result is not None
        out = []
        for k in range(result.nfields):
            name = (result.fname(k) or b"").decode()
            kept = pg.execute("SELECT type, length, precision, scale, is_nullable, is_identity FROM tds.columns"
                              " WHERE relid = %s AND attnum = %s", [result.ftable(k), result.ftablecol(k)]).fetchone()
            if kept is not None:
                out.append(Column(name, TsqlType(*kept[:4]), kept[4], kept[5]))
            elif result.ftype(k) == 1700:
                texts = [(result.get_value(i, k) or b"").decode() for i in range(result.ntuples)]
                digits = [len(text.partition(".")[2]) for text in texts]
                out.append(Column(name, TsqlType("decimal", precision=38, scale=max(digits, default=0))))
            else:
                out.append(Column(name, BY_OID.get(result.ftype(k), TsqlType("nvarchar", -1))))
        return out
