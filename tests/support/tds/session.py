"""One client: its login, its requests, its replies."""

from __future__ import annotations

import struct
import threading
from typing import TYPE_CHECKING

import psycopg
from psycopg import pq

from . import bulk, ntlm, procedures, rpc, tokens, wire
from .engine import Engine
from .errors import TERMINATED, Attention, ServerError
from .tokens import Column
from .tsqltypes import encoder, null_value

if TYPE_CHECKING:
    from .server import MssqlServer

SEND_EVERY = 64 * 1024


class Session(threading.Thread):
    """Runs until the client goes."""

    def __init__(self, server: MssqlServer, sock):
        super().__init__(daemon=True)
        self.server = server
        self.link = wire.Link(sock)
        self.engine: Engine | None = None
        self.number = 50 + server.number()

    def run(self) -> None:
        try:
            if self.login():
                self.serve()
        except (wire.Closed, OSError, IndexError, struct.error, psycopg.Error):
            pass
        finally:
            self.close()

    def close(self) -> None:
        self.link.sock.close()
        if self.engine is not None:
            self.engine.close()
        self.server.forget(self)

    # -- login

    def login(self) -> bool:
        kind, data = self.link.read_message()
        if kind != wire.PRELOGIN:
            return False
        wanted = wire.parse_prelogin(data).get(1, b"\2")[0]
        answer = self.server.encryption(wanted)
        self.link.send_message(wire.prelogin_reply(answer))
        if answer in (0, 1, 3) and wanted != 2:
            self.link.handshake(self.server.tls)
        kind, data = self.link.read_message()
        if answer == 0:
            self.link.tls = None  # the login alone was encrypted
        if kind != wire.LOGIN7:
            return False
        self.server.hold("login")
        asked = wire.parse_login7(data)
        if self.server.login_error is not None:
            number, text = self.server.login_error
            return self.refuse(number, text, 17)
        if "sspi" in asked:
            asked["user"] = self.prove(bytes.fromhex(asked["sspi"]))
            if not asked["user"]:
                return self.refuse(18452, "Login failed. The login is from an untrusted domain and cannot be used with"
                                   " Integrated authentication.", 14)
        elif self.server.users.get(asked["user"]) != asked["password"]:
            return self.refuse(18456, f"Login failed for user '{asked['user']}'.", 14)
        database = asked["database"] or "master"
        if database == "master" and database not in self.server.databases:
            self.server.create_database(database)
        if database not in self.server.databases:
            return self.refuse(
                4060, f'Cannot open database "{database}" requested by the login. The login failed.', 11
            )
        self.engine = Engine(self.server, database, asked["user"], self.number)
        self.engine.client, self.engine.client_socket = self.asks_to_stop, self.link.sock
        size = int(asked["packet_size"]) or 4096
        self.link.send_message(tokens.login_reply(database, size, self.server.tds_version))
        self.link.packet_size = size
        return True

    def prove(self, negotiate: bytes) -> str:
        """A Windows login: who has answered the challenge, "" = nobody who may."""
        message, secret = ntlm.challenge(negotiate, "STANDIN")
        self.link.send_message(b"\xed" + struct.pack("<H", len(message)) + message)
        kind, data = self.link.read_message()
        return ntlm.proves(data, secret, self.server.windows_users) if kind == wire.SSPI else ""

    def refuse(self, number: int, text: str, severity: int) -> bool:
        self.link.send_message(tokens.message(number, text, severity) + tokens.done(tokens.ERROR))
        return False

    def asks_to_stop(self) -> bool:
        """Whether attention came; whoever went is gone."""
        return self.link.attention_waits() and self.link.read_message()[0] == wire.ATTENTION

    # -- requests

    def serve(self) -> None:
        assert self.engine is not None
        while True:
            kind, data = self.link.read_message()
            reply = WireReply(self)
            try:
                if kind == wire.ATTENTION:
                    raise Attention
                if kind == wire.BATCH:
                    text = data[struct.unpack("<I", data[:4])[0] :].decode("utf-16-le", "surrogatepass")
                    self.server.note(text)
                    self.engine.run(text, reply)
                elif kind == wire.RPC:
                    self.rpc(data[struct.unpack("<I", data[:4])[0] :], reply)
                elif kind == wire.TRANSACTION:
                    self.transaction(data[struct.unpack("<I", data[:4])[0] :], reply)
                elif kind == wire.BULK and self.engine.bulk is not None:
                    self.bulk(data, reply)
                else:
                    reply.message(4002, "The incoming tabular data stream (TDS) protocol stream is incorrect.", 16, 1)
                    reply.done(0xFD, failed=True)
                reply.flush()
                if self.engine.lost:
                    return
            except Attention:
                if kind != wire.ATTENTION:  # the reply ends first, as one that had ended before attention came
                    self.link.send_message(bytes(reply.out) + tokens.done(tokens.ERROR))
                self.link.send_message(tokens.done(tokens.ATTENTION))

    def rpc(self, data: bytes, reply: WireReply) -> None:
        """Procedures, one or several; each ends with what it returned."""
        assert self.engine is not None
        for request in rpc.read(data):
            texts = [p.value or "" for p in request.parameters[:3] if p.type.name in ("nvarchar", "ntext", "varchar")]
            self.server.note(
                texts[0] if request.name == "sp_executesql" and texts else " ".join([request.name, *texts])
            )
            reply.inside = True
            try:
                status = procedures.call(self.engine, reply, request.name, request.parameters)
            except ServerError as error:
                self.engine.tell(error, reply)
                reply.inside = False
                if error.ends == "connection":
                    reply.done(0xE0, failed=True, token=0xFE)
                    reply.flush()
                    raise wire.Closed from None
                reply.done(0xE0, failed=True, token=0xFE)
                continue
            reply.inside = False
            reply.status(status)
            for place, (argument, output) in enumerate(zip(request.parameters, request.outputs, strict=True)):
                if output:
                    reply.add(tokens.return_value(place, argument.name, argument.type, argument.value))
            reply.done(0xE0, token=0xFE)

    def transaction(self, data: bytes, reply: WireReply) -> None:
        """Requests of the transaction manager: MS-TDS 2.2.6.9."""
        assert self.engine is not None
        kind = struct.unpack("<H", data[:2])[0]
        levels = {1: "READ UNCOMMITTED", 2: "READ COMMITTED", 3: "REPEATABLE READ", 4: "SERIALIZABLE", 5: "SNAPSHOT"}
        try:
            if kind == 5:
                self.engine.isolation = levels.get(data[2], self.engine.isolation)
                self.server.note("BEGIN TRANSACTION")
                self.engine.begin(reply)
            elif kind in (7, 8):
                how = "commit" if kind == 7 else "rollback"
                self.server.note(how.upper() + " TRANSACTION")
                size = data[2] if len(data) > 2 else 0
                name = data[3 : 3 + size].decode("utf-16-le")
                if kind == 8 and name in self.engine.savepoints:
                    self.engine.rollback_to(name)
                else:
                    self.server.before(self.engine, how.upper() + " TRANSACTION")
                    self.engine.end(how, reply)
                    self.server.after(self.engine, how.upper() + " TRANSACTION")
                flags = data[3 + size] if len(data) > 3 + size else 0
                if flags & 1:
                    self.engine.begin(reply)
            elif kind == 9:
                self.engine.save(data[3 : 3 + data[2]].decode("utf-16-le"))
            else:
                raise ServerError("The stand-in does not take such a request of the transaction manager.", 3988)
            reply.done(0xFD)
        except ServerError as error:
            self.engine.tell(error, reply)
            reply.done(0xFD, failed=True)

    def bulk(self, data: bytes, reply: WireReply) -> None:
        """All rows of the message or none of them."""
        engine = self.engine
        assert engine is not None
        target, engine.bulk = engine.bulk, None
        try:
            self.server.before(engine, f"BULK {target[0].plain}")
            rows = bulk.load(engine, target, data)
            self.server.after(engine, f"BULK {target[0].plain}")
        except ServerError as error:
            engine.error = error.number
            if engine.trancount and (engine.options["xact_abort"] or error.ends == "transaction"):
                engine.end("rollback", reply)
            reply.message(error.number, str(error), error.severity, error.state)
            if not error.ends:
                reply.message(3621, TERMINATED, 0, 0)
            reply.done(0xC3, failed=True)
            return
        except ValueError as error:
            reply.message(4804, f"The bulk load data stream was incorrectly specified: {error}", 16, 1)
            reply.done(0xC3, failed=True)
            return
        engine.rowcount = rows
        reply.done(0xF0, rows)


class WireReply:
    """Tokens on their way: what is not sent yet, and the DONE that waits to know whether more comes."""

    def __init__(self, session: Session):
        self.session = session
        self.out = bytearray()
        self.last: tuple[int, int, int, int] | None = None
        self.inside = False  # of a procedure called by RPC

    def add(self, data: bytes) -> None:
        self._settle(tokens.MORE)
        self.out += data

    def _settle(self, more: int) -> None:
        if self.last is not None:
            status, command, rows, token = self.last
            if token == 0xFF:
                more = tokens.MORE  # more always comes: the procedure's own end
            self.out += tokens.done(status | more, rows, command, token)
            self.last = None

    def message(self, number: int, text: str, severity: int, state: int) -> None:
        self.add(tokens.message(number, text, severity, state))

    def columns(self, columns: list[Column]) -> None:
        self.add(tokens.column_metadata(columns))

    def rows(self, columns: list[Column], result: pq.abc.PGresult) -> None:
        session, out = self.session, self.out
        server, link = session.server, session.link
        encoders = [encoder(c.type) for c in columns]
        nulls = [null_value(c.type) for c in columns]
        width = range(len(columns))
        for i in range(result.ntuples):
            values = [result.get_value(i, k) for k in width]
            if values.count(None) * 2 > len(values):
                out += tokens.null_row(encoders, values)
            else:
                out.append(0xD1)
                for k in width:
                    value = values[k]
                    out += nulls[k] if value is None else encoders[k](value.decode())
            if server.on_row is not None:
                server.after_row(session, i)
            if len(out) > SEND_EVERY:
                if link.attention_waits() and session.asks_to_stop():
                    raise Attention
                whole = len(out) - len(out) % (link.packet_size - 8)
                link.send_message(bytes(out[:whole]), last=False)
                del out[:whole]

    def done(self, command: int, rows: int | None = None, failed: bool = False, token: int = 0xFD) -> None:
        self._settle(tokens.MORE)
        engine = self.session.engine
        assert engine is not None
        quiet = engine.options["nocount"]
        status = (tokens.ERROR if failed else 0) | (tokens.COUNT if rows is not None and not quiet else 0)
        status |= tokens.IN_TRANSACTION if engine.trancount else 0
        self.last = (status, command, 0 if quiet else rows or 0, 0xFF if self.inside else token)

    def environment(self, kind: int, new: bytes, old: bytes) -> None:
        self.add(tokens.env_change(kind, new, old))

    def status(self, value: int) -> None:
        self.add(struct.pack("<Bi", 0x79, value))

    def flush(self) -> None:
        if self.last is None:
            self.done(0xFD)
        self._settle(0)
        self.session.link.send_message(bytes(self.out))
        self.out.clear()
