"""Packets of TDS 7.4: messages in and out, TLS inside PRELOGIN, attention."""

from __future__ import annotations

import select
import socket
import ssl
import struct

BATCH, RPC, REPLY, ATTENTION, BULK, TRANSACTION, LOGIN7, PRELOGIN = 0x01, 0x03, 0x04, 0x06, 0x07, 0x0E, 0x10, 0x12
SSPI = 0x11


class Closed(Exception):
    """The client is gone."""


class Link:
    """One connection: whole messages, encrypted once TLS is up."""

    def __init__(self, sock: socket.socket):
        self.sock = sock
        self.packet_size = 4096
        self.tls: ssl.SSLObject | None = None
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._buffer = bytearray()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # -- bytes

    def _fill(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise Closed
        if self.tls is None:
            self._buffer += data
            return
        self._in.write(data)
        while True:
            try:
                plain = self.tls.read(65536)
            except ssl.SSLWantReadError:
                return
            if not plain:
                raise Closed
            self._buffer += plain

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def send_raw(self, data: bytes) -> None:
        if self.tls is not None:
            self.tls.write(data)
            data = self._out.read()
        self.sock.sendall(data)

    # -- messages

    def read_message(self) -> tuple[int, bytes]:
        """(type, payload) of the next message."""
        payload = bytearray()
        while True:
            kind, status, length = struct.unpack(">BBH", self._take(8)[:4])
            payload += self._take(length - 8)
            if status & 1:
                return kind, bytes(payload)

    def attention_waits(self) -> bool:
        """Without waiting: whether the client has sent something, which while we answer is attention."""
        if self._buffer:
            return True
        return bool(select.select([self.sock], [], [], 0)[0])

    def send_message(self, payload: bytes, kind: int = REPLY, last: bool = True) -> None:
        room = self.packet_size - 8
        pieces = [payload[i : i + room] for i in range(0, len(payload), room)] or [b""]
        out = bytearray()
        for number, piece in enumerate(pieces):
            end = last and number == len(pieces) - 1
            out += struct.pack(">BBHHBB", kind, 1 if end else 0, len(piece) + 8, 51, (number + 1) & 255, 0) + piece
        self.send_raw(bytes(out))

    # -- TLS

    def handshake(self, context: ssl.SSLContext) -> None:
        """Handshake records travel inside PRELOGIN packets; then TLS carries the packets."""
        tls = context.wrap_bio(self._in, self._out, server_side=True)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                pending = self._out.read()
                if pending:
                    self.send_message(pending, PRELOGIN)
                kind, data = self.read_message()
                if kind != PRELOGIN:
                    raise Closed from None
                self._in.write(data)
                continue
            break
        pending = self._out.read()
        if pending:
            self.send_message(pending, PRELOGIN)
        self.tls = tls


def parse_prelogin(data: bytes) -> dict[int, bytes]:
    options, at = {}, 0
    while data[at] != 0xFF:
        token, offset, length = struct.unpack(">BHH", data[at : at + 5])
        options[token] = data[offset : offset + length]
        at += 5
    return options


def prelogin_reply(encryption: int) -> bytes:
    options = [(0, struct.pack(">BBHH", 16, 0, 1000, 0)), (1, bytes([encryption])), (2, b"\0"), (3, b""), (4, b"\0")]
    offset = 5 * len(options) + 1
    head, body = b"", b""
    for token, value in options:
        head += struct.pack(">BHH", token, offset + len(body), len(value))
        body += value
    return head + b"\xff" + body


def parse_login7(data: bytes) -> dict[str, str]:
    """User, password, database, host and application of a LOGIN7 message."""

    def text(index: int) -> bytes:
        offset, chars = struct.unpack("<HH", data[36 + 4 * index : 40 + 4 * index])
        return data[offset : offset + 2 * chars]

    password = bytes(((b ^ 0xA5) >> 4 | (b ^ 0xA5) << 4) & 0xFF for b in text(2))
    names = {"host": 0, "user": 1, "application": 3, "database": 8}
    out = {name: text(index).decode("utf-16-le") for name, index in names.items()}
    if data[25] & 0x80:  # OptionFlags2: fIntSecurity
        offset, size = struct.unpack("<HH", data[78:82])
        out["sspi"] = data[offset : offset + size].hex()
    return {**out, "password": password.decode("utf-16-le"),
            "packet_size": str(struct.unpack("<I", data[8:12])[0])}
