"""Bytes of the examples in Microsoft's specification of the protocol (MS-TDS, section 4), read by the stand-in."""

from __future__ import annotations

import socket
import struct

from support.tds import wire

PRELOGIN = bytes.fromhex(  # 4.1
    "1201002F00000100" "00001A0006" "0100200001" "0200210001" "0300220004" "0400260001" "FF"
    "090000000000" "01" "00" "B80D0000" "01")
LOGIN7 = bytes.fromhex(  # 4.2
    "1001009000000100" "88000000" "02000972" "00100000" "00000007" "00010000" "00000000" "E0030000" "00000000"
    "09040000"
    "5E000800" "6E000200" "72000000" "72000700" "80000000" "80000000" "80000400" "88000000" "88000000" "00508BE2B78F"
    "88000000" "88000000" "88000000" "00000000"
    "73006B006F00730074006F0076003100" "73006100" "4F00530051004C002D0033003200" "4F00440042004300")


def message(data: bytes) -> tuple[int, bytes]:
    """As it is read from a connection, in two pieces."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with ours, theirs:
        theirs.sendall(data[:11])
        theirs.sendall(data[11:])
        return wire.Link(ours).read_message()


def test_prelogin():
    kind, payload = message(PRELOGIN)
    assert kind == wire.PRELOGIN
    assert wire.parse_prelogin(payload) == {
        0: bytes.fromhex("090000000000"), 1: b"\1", 2: b"\0", 3: struct.pack("<I", 0x0DB8), 4: b"\1"}


def test_login7():
    kind, payload = message(LOGIN7)
    assert kind == wire.LOGIN7
    assert wire.parse_login7(payload) == {"host": "skostov1", "user": "sa", "application": "OSQL-32", "database": "",
                                          "password": "", "packet_size": "4096"}
