"""A proxy that misbehaves on request: in front of PostgreSQL (bytes) or of S3 (HTTP/1.1).

    with TcpProxy(("127.0.0.1", pg.port)) as link:      # link.port is where the engine connects
        link.set(reset_after=100_000)                   # the next 100 kB, then RST; one-shot

    with HttpProxy(("127.0.0.1", s3.port)) as link:
        link.rule(slow_down(), rate=0.3)                # 30 % of all requests
        link.rule(drop_reply(), match=is_complete, times=1)
        ... link.log lists every request with what was done to it

Runs its own event loop in a thread. Requests are passed on byte for byte, so signatures stay valid;
a skewed clock is therefore played by answer (`skewed()`), or by libfaketime around the engine.
"""

from __future__ import annotations

import asyncio
import random
import re
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

_CHUNK = 64 * 1024


def _reset(writer: asyncio.StreamWriter) -> None:
    """Closes with RST rather than FIN, as a crashed peer or a firewall does."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
    writer.transport.abort()


class _Proxy:
    """The listening socket, the loop and its thread."""

    def __init__(self, upstream: tuple[str, int]):
        self.upstream = upstream
        self.host = "127.0.0.1"
        self.port = 0
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._main, name="faultproxy", daemon=True)
        self._started = threading.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    def __enter__(self):
        self._thread.start()
        if not self._started.wait(10):
            raise RuntimeError("the fault proxy does not start")
        return self

    def __exit__(self, *_exc) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def endpoint(self) -> str:
        return f"http://{self.host}:{self.port}"

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)

        async def listen() -> None:
            self._server = await asyncio.start_server(self._accept, self.host, 0, limit=2**20)
            self.port = self._server.sockets[0].getsockname()[1]
            self._started.set()

        self._loop.run_until_complete(listen())
        self._loop.run_forever()
        self._loop.close()

    def _call(self, coroutine: Coroutine) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(15)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in list(self._writers):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError, OSError):
            pass
        except asyncio.CancelledError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*self.upstream, limit=2**20)
        self._writers.add(writer)
        return reader, writer

    def kill_connections(self) -> int:
        """Resets every open connection; returns how many sockets that were."""

        async def kill() -> int:
            writers = list(self._writers)
            for writer in writers:
                _reset(writer)
            return len(writers)

        return self._call(kill())


@dataclass
class TcpFaults:
    """What is wrong with the link now. Directions: `down` is server to engine, `up` the other."""

    latency: float = 0.0  # seconds before each piece
    bytes_per_second: float = 0.0  # 0 is unlimited
    slice_bytes: int = 0  # pieces of at most this size; 1 finds partial reads
    reset_after: int = -1  # reset the connection after so many more `down` bytes, once
    close_after: int = -1  # the same, with an orderly FIN
    blackhole: bool = False  # nothing passes, nothing is closed
    refuse: bool = False  # new connections are reset at once
    reset_on: bytes = b""  # reset instead of passing a `down` piece that holds this …
    reset_chance: float = 1.0  # … in this share of the cases


class TcpProxy(_Proxy):
    """Passes bytes; see TcpFaults. set() changes faults while connections are open."""

    def __init__(self, upstream: tuple[str, int]):
        super().__init__(upstream)
        self.faults = TcpFaults()
        self.triggered = 0
        self.bytes_down = 0

    def set(self, **faults: Any) -> None:
        """Replaces the faults; set() alone heals the link."""
        self.faults = TcpFaults(**faults)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.faults.refuse:
            _reset(writer)
            return
        up_reader, up_writer = await self._connect()
        try:
            pumps = [
                asyncio.ensure_future(self._pump(reader, up_writer, writer, False)),
                asyncio.ensure_future(self._pump(up_reader, writer, up_writer, True)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        finally:
            self._writers.discard(up_writer)
            up_writer.close()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        target: asyncio.StreamWriter,
        other: asyncio.StreamWriter,
        down: bool,
    ) -> None:
        while data := await source.read(_CHUNK):
            faults = self.faults
            if down and faults.reset_on and faults.reset_on in data and random.random() < faults.reset_chance:
                self.triggered += 1
                _reset(target)
                _reset(other)
                return
            view = memoryview(data)
            while view:
                faults = self.faults
                while faults.blackhole:
                    await asyncio.sleep(0.05)
                    faults = self.faults
                size = min(len(view), faults.slice_bytes or len(view))
                if faults.latency:
                    await asyncio.sleep(faults.latency)
                if faults.bytes_per_second:
                    size = min(size, max(1, int(faults.bytes_per_second / 20)))
                    await asyncio.sleep(size / faults.bytes_per_second)
                if down and self._countdown(size):
                    if faults.close_after >= 0:
                        faults.close_after = -1
                        return
                    faults.reset_after = -1
                    _reset(target)
                    _reset(other)
                    return
                target.write(view[:size])
                await target.drain()
                if down:
                    self.bytes_down += size
                view = view[size:]

    def _countdown(self, size: int) -> bool:
        faults = self.faults
        for name in ("reset_after", "close_after"):
            left = getattr(faults, name)
            if left < 0:
                continue
            if left < size:
                self.triggered += 1
                return True
            setattr(faults, name, left - size)
        return False


# --------------------------------------------------------------------------------------------------


@dataclass
class Request:
    """A request as it came: method, decoded path, query, headers (lower case), body."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    number: int = 0

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)


@dataclass
class Fault:
    """What to do to a request that a rule picked.

    respond: answer this instead, without asking the server. reply: ask the server, answer this
    instead. Otherwise `action`: reset (at once), reset_upload (after `amount` bytes of the body
    came), drop_reply (the server did it, the engine never hears), truncate (the first `amount`
    bytes of the server's body, then close), stall (nothing for `seconds`, then reset), delay
    (`seconds`, then pass), slices (the reply byte by byte).
    """

    name: str
    action: str = "pass"
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    forward: bool = False
    amount: int = 0
    seconds: float = 0.0


def _error(code: str, message: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message>"
        "<Resource>/</Resource><RequestId>FAULTPROXY</RequestId></Error>"
    ).encode()


def answer(status: int, code: str, message: str = "played", forward: bool = False, **headers: str) -> Fault:
    """An S3 error document. Header names with _ for -."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    named["Content-Type"] = "application/xml"
    return Fault(code, "reply", status, named, _error(code, message), forward)


def slow_down(retry_after: str | None = None) -> Fault:
    return answer(503, "SlowDown", "Please reduce your request rate.",
                  **({"Retry_After": retry_after} if retry_after else {}))


def internal_error() -> Fault:
    return answer(500, "InternalError", "We encountered an internal error. Please try again.")


def conflict() -> Fault:
    return answer(409, "ConditionalRequestConflict", "The conditional request cannot succeed now.")


def expired_token() -> Fault:
    return answer(400, "ExpiredToken", "The provided token has expired.")


def skewed() -> Fault:
    return answer(403, "RequestTimeTooSkewed", "Request time and server time are too far apart.")


def error_in_200(code: str = "InternalError", forward: bool = False) -> Fault:
    """What CompleteMultipartUpload may do: 200, blanks to keep the connection, then an <Error>."""
    fault = answer(200, code, "We encountered an internal error. Please try again.", forward)
    fault.name = f"200+{code}"
    fault.body = b"   \n   " + fault.body
    return fault


def drop_reply() -> Fault:
    return Fault("drop_reply", "drop_reply")


def reset() -> Fault:
    return Fault("reset", "reset")


def reset_upload(amount: int) -> Fault:
    return Fault("reset_upload", "reset_upload", amount=amount)


def truncate(amount: int) -> Fault:
    return Fault("truncate", "truncate", amount=amount)


def stall(seconds: float) -> Fault:
    return Fault("stall", "stall", seconds=seconds)


def delay(seconds: float) -> Fault:
    return Fault("delay", "delay", seconds=seconds)


def slices() -> Fault:
    return Fault("slices", "slices")


def is_complete(request: Request) -> bool:
    return request.method == "POST" and "uploadId" in request.query


def is_create_upload(request: Request) -> bool:
    return request.method == "POST" and "uploads" in request.query


def is_part(request: Request) -> bool:
    return request.method == "PUT" and "partNumber" in request.query


def is_put(request: Request) -> bool:
    return request.method == "PUT" and "partNumber" not in request.query


def is_manifest(request: Request) -> bool:
    return request.method == "PUT" and "/commits/" in request.path


@dataclass
class Rule:
    fault: Fault
    match: Callable[[Request], bool]
    rate: float
    times: int | None
    used: int = 0


class HttpProxy(_Proxy):
    """Passes requests; the first rule that picks one decides what goes wrong with it."""

    def __init__(self, upstream: tuple[str, int], seed: int = 1):
        super().__init__(upstream)
        self.rules: list[Rule] = []
        self.log: list[tuple[Request, str, int]] = []
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def rule(
        self,
        fault: Fault,
        match: Callable[[Request], bool] = lambda request: True,
        rate: float = 1.0,
        times: int | None = None,
    ) -> Rule:
        """Adds a rule: this share of the requests that match, at most so many times."""
        made = Rule(fault, match, rate, times)
        with self._lock:
            self.rules.append(made)
        return made

    def clear(self) -> None:
        with self._lock:
            self.rules.clear()

    def count(self, name: str) -> int:
        """How often a fault of that name was played."""
        return sum(1 for _request, done, _status in self.log if done == name)

    def _pick(self, request: Request) -> Fault | None:
        with self._lock:
            for rule in self.rules:
                if rule.times is not None and rule.used >= rule.times:
                    continue
                if rule.match(request) and self._random.random() < rule.rate:
                    rule.used += 1
                    return rule.fault
        return None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            while True:
                head = await _read_head(reader)
                if head is None:
                    return
                request = _parse_request(head)
                early = request.headers.get("expect", "").lower() == "100-continue"
                fault = self._pick(request)
                if fault is not None and fault.action in ("reset", "reset_upload"):
                    self._note(request, fault.name, 0)
                    if fault.action == "reset_upload":
                        if early:
                            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                        await reader.readexactly(fault.amount)
                    _reset(writer)
                    return
                if early:
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    await writer.drain()
                request.body = await _read_body(reader, request.headers)
                if fault is not None and fault.action == "stall":
                    self._note(request, fault.name, 0)
                    await asyncio.sleep(fault.seconds)
                    _reset(writer)
                    return
                if fault is not None and fault.action == "delay":
                    await asyncio.sleep(fault.seconds)
                if fault is not None and fault.action == "reply" and not fault.forward:
                    self._note(request, fault.name, fault.status)
                    await _send_fault(writer, fault, request)
                    continue
                upstream = await self._exchange(request, head, fault, writer, upstream)
                if upstream is None:
                    return
        finally:
            if upstream is not None:
                self._writers.discard(upstream[1])
                upstream[1].close()

    def _note(self, request: Request, done: str, status: int) -> None:
        request.number = len(self.log)
        self.log.append((request, done, status))

    async def _exchange(self, request, head, fault, writer, upstream):
        """Asks the server and answers; returns the connection to reuse, None when ours is over."""
        if upstream is None or upstream[1].is_closing():
            upstream = await self._connect()
        up_reader, up_writer = upstream
        up_writer.write(re.sub(rb"(?im)^expect: *100-continue\r\n", b"", head) + request.body)
        await up_writer.drain()
        reply = await _read_head(up_reader)
        while reply is not None and reply.startswith(b"HTTP/1.1 100"):
            reply = await _read_head(up_reader)
        if reply is None:
            self._note(request, "upstream closed", 0)
            return None
        status, headers = _parse_reply(reply)
        empty = request.method == "HEAD" or status in (204, 304)
        body = b"" if empty else await _read_body(up_reader, headers, until_eof=True)
        self._note(request, fault.name if fault else "", fault.status or status if fault else status)
        if fault is not None and fault.action == "drop_reply":
            _reset(writer)
            return None
        if fault is not None and fault.action == "reply":
            await _send_fault(writer, fault, request)
            return upstream
        out = reply + body
        if "chunked" in headers.get("transfer-encoding", "").lower():
            out = re.sub(rb"(?im)^transfer-encoding:.*\r\n", b"", reply)
            out = out[:-2] + b"Content-Length: %d\r\n\r\n" % len(body) + body
        if fault is not None and fault.action == "truncate":
            writer.write(out[: len(out) - len(body) + min(fault.amount, len(body))])
            await writer.drain()
            return None
        if fault is not None and fault.action == "slices":
            for at in range(len(out)):
                writer.write(out[at : at + 1])
                await writer.drain()
                await asyncio.sleep(0)
        else:
            writer.write(out)
            await writer.drain()
        if headers.get("connection", "").lower() == "close":
            return None
        return upstream


async def _read_head(reader: asyncio.StreamReader) -> bytes | None:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None


def _headers(lines: list[str]) -> dict[str, str]:
    out = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            out[name.strip().lower()] = value.strip()
    return out


def _parse_request(head: bytes) -> Request:
    lines = head.decode("latin-1").split("\r\n")
    method, target, _version = lines[0].split(" ", 2)
    return Request(method, target, _headers(lines[1:]), b"")


def _parse_reply(head: bytes) -> tuple[int, dict[str, str]]:
    lines = head.decode("latin-1").split("\r\n")
    return int(lines[0].split(" ")[1]), _headers(lines[1:])


async def _read_body(
    reader: asyncio.StreamReader, headers: dict[str, str], until_eof: bool = False
) -> bytes:
    """The body as it is on the wire for requests (chunk framing kept), decoded for replies."""
    if "chunked" in headers.get("transfer-encoding", "").lower():
        raw, plain = b"", b""
        while True:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            data = await reader.readexactly(size + 2)
            raw += line + data
            plain += data[:-2]
            if size == 0:
                return plain if until_eof else raw
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    return await reader.read() if until_eof else b""


async def _send_fault(writer: asyncio.StreamWriter, fault: Fault, request: Request) -> None:
    body = b"" if request.method == "HEAD" else fault.body
    head = f"HTTP/1.1 {fault.status} Played\r\n"
    for name, value in {**fault.headers, "Content-Length": str(len(fault.body))}.items():
        head += f"{name}: {value}\r\n"
    writer.write(head.encode() + b"\r\n" + body)
    await writer.drain()
