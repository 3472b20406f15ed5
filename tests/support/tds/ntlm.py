"""The server's half of an NTLMv2 login ([MS-NLMP] 2.2.1, 3.3.2): the challenge, and whether what answers it knows the
password. The session key and signing are not needed in a login."""

from __future__ import annotations

import hashlib
import hmac
import os
import struct

SIGNATURE = b"NTLMSSP\0"
# UNICODE, REQUEST_TARGET, NTLM, ALWAYS_SIGN, TARGET_TYPE_DOMAIN, EXTENDED_SESSIONSECURITY, TARGET_INFO
FLAGS = 0x1 | 0x4 | 0x200 | 0x8000 | 0x10000 | 0x80000 | 0x800000


def md4(data: bytes) -> bytes:
    """RFC 1320; OpenSSL 3 has it in its legacy provider alone."""
    state = [0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476]
    data += b"\x80" + b"\0" * ((55 - len(data)) % 64) + struct.pack("<Q", 8 * len(data))

    def turn(value: int, by: int) -> int:
        value &= 0xFFFFFFFF
        return (value << by | value >> (32 - by)) & 0xFFFFFFFF

    for at in range(0, len(data), 64):
        x = struct.unpack("<16I", data[at : at + 64])
        a, b, c, d = state
        for i in range(48):
            if i < 16:
                f, k, shift, more = b & c | ~b & d, i, (3, 7, 11, 19)[i % 4], 0
            elif i < 32:
                f, k, shift, more = b & c | b & d | c & d, i % 4 * 4 + i // 4 % 4, (3, 5, 9, 13)[i % 4], 0x5A827999
            else:
                k = (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15)[i - 32]
                f, shift, more = b ^ c ^ d, (3, 9, 11, 15)[i % 4], 0x6ED9EBA1
            a, b, c, d = d, turn(a + f + x[k] + more, shift), b, c
        state = [(one + other) & 0xFFFFFFFF for one, other in zip(state, (a, b, c, d), strict=True)]
    return struct.pack("<4I", *state)


def challenge(negotiate: bytes, domain: str) -> tuple[bytes, bytes]:
    """What answers the client's first message, and the eight bytes that it is asked to prove itself by."""
    assert negotiate.startswith(SIGNATURE) and negotiate[8] == 1, negotiate[:16]
    secret, name = os.urandom(8), domain.encode("utf-16-le")
    pairs = ((2, name), (1, "STANDIN".encode("utf-16-le")), (0, b""))
    info = b"".join(struct.pack("<HH", kind, len(value)) + value for kind, value in pairs)
    head = 56
    message = SIGNATURE + struct.pack("<IHHIIQQHHIQ", 2, len(name), len(name), head, FLAGS,
                                      int.from_bytes(secret, "little"), 0, len(info), len(info), head + len(name), 0)
    return message + name + info, secret


def proves(message: bytes, secret: bytes, passwords: dict[tuple[str, str], str]) -> str:
    """DOMAIN\\user of an AUTHENTICATE message that knows its password by NTLMv2; "" = it does not."""
    if not message.startswith(SIGNATURE) or message[8] != 3:
        return ""

    def field(at: int) -> bytes:
        size, _room, offset = struct.unpack("<HHI", message[at : at + 8])
        return message[offset : offset + size]

    answer, domain, user = field(20), field(28).decode("utf-16-le"), field(36).decode("utf-16-le")
    password = passwords.get((domain.upper(), user))
    if password is None or len(answer) <= 24:  # 24 bytes are NTLMv1's
        return ""
    key = hmac.new(md4(password.encode("utf-16-le")), (user.upper() + domain).encode("utf-16-le"), hashlib.md5).digest()
    proof = hmac.new(key, secret + answer[16:], hashlib.md5).digest()
    return f"{domain}\\{user}" if hmac.compare_digest(proof, answer[:16]) else ""
