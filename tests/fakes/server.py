"""A small threaded HTTP/1.1 server on the loopback whose every answer is decided by a function.

Unlike the standard library's it can misbehave on purpose: reset a connection, cut an answer
short, hold it back.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import select
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass(frozen=True)
class Received:
    """One request as it came in; header names are lower-case."""

    number: int
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    query: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Reply:
    """One answer, and how badly to give it.

    *delay*: seconds before it. *cut*: hang up after so many bytes of the body; a negative number
    leaves out the body and that much of the head. *stall*: hang up after so many seconds, or when
    the client does, in place of the answer or, with *cut*, of the rest of it. *reset*: hang up by
    a reset, likewise. *drip*: seconds between two bytes of it all. *chunked*: send the body in
    chunks of so many bytes.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    reset: bool = False
    cut: int | None = None
    stall: float | None = None
    drip: float = 0.0
    chunked: int | None = None


@dataclass(frozen=True)
class Given:
    """What became of one request: the *reply* and whether it left *whole*."""

    request: Received
    reply: Reply
    whole: bool


def as_json(value: Any, status: int = 200, **headers: str) -> Reply:
    """A JSON answer."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return Reply(status, body, {"content-type": "application/json", **named})


class _Handler(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: _Tcp

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, TimeoutError, ValueError):
            while self._one():
                pass

    def _one(self) -> bool:
        line = self.rfile.readline(65536).decode("latin-1").split()
        if len(line) != 3:
            return False
        headers: dict[str, str] = {}
        while (raw := self.rfile.readline(65536)) not in (b"\r\n", b"\n", b""):
            name, _, value = raw.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", 0)))
        target = urlsplit(line[1])
        request = Received(
            number=next(self.server.owner.numbers),
            method=line[0],
            path=target.path,
            headers=headers,
            body=body,
            query=parse_qs(target.query),
        )
        with self.server.owner.counted():
            reply = self.server.owner.answer(request)
            whole = False
            try:
                whole = self._give(reply)
            finally:
                self.server.owner.given.append(Given(request, reply, whole))
            if reply.reset:
                self._reset()
            return whole and not reply.reset and headers.get("connection", "").lower() != "close"

    def _give(self, reply: Reply) -> bool:
        """Send *reply* as far as it is to go; whether that was all of it."""
        stopping = self.server.owner.stopping
        if reply.delay:
            stopping.wait(reply.delay)
        data, whole = _spelled(reply)
        if reply.drip:
            for byte in data:
                self.wfile.write(bytes([byte]))
                if stopping.wait(reply.drip):
                    return False
        else:
            self.wfile.write(data)
        if reply.stall is not None:
            # There is something to read once the client, or `close`, ends the connection.
            select.select([self.connection], [], [], reply.stall)
        return whole

    def _reset(self) -> None:
        """Lingering for zero seconds turns the close into a reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def _spelled(reply: Reply) -> tuple[bytes, bool]:
    """The bytes of *reply* that are to be sent, and whether they are all of it."""
    if reply.cut is None and (reply.reset or reply.stall is not None):
        return b"", False
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = "Unknown"
    body = reply.body
    lines = [f"HTTP/1.1 {reply.status} {phrase}"]
    if reply.chunked:
        parts = [body[at : at + reply.chunked] for at in range(0, len(body), reply.chunked)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])
        lines.append("transfer-encoding: chunked")
    elif "content-length" not in reply.headers:  # which an answer to HEAD tells of what it lacks
        lines.append(f"content-length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    if reply.cut is None:
        return head + body, True
    if reply.cut < 0:
        return head[: reply.cut], False
    return head + body[: reply.cut], reply.cut >= len(body)


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024
    owner: Server

    def process_request(self, request: Any, client_address: Any) -> None:
        self.owner.connections.append(request)
        super().process_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.owner.broken.append(client_address)
        super().handle_error(request, client_address)


class Server:
    """A server on `url` as long as it is open; *answer* makes the reply to each request."""

    def __init__(self, answer: Callable[[Received], Reply], port: int = 0) -> None:
        self.answer = answer
        self.numbers = itertools.count(1)
        self.stopping = threading.Event()
        self.connections: list[Any] = []
        self.broken: list[Any] = []
        self.given: list[Given] = []
        self.peak_in_flight = 0
        self._in_flight = 0
        self._lock = threading.Lock()
        self._tcp = _Tcp(("127.0.0.1", port), _Handler)
        self._tcp.owner = self
        self.port = self._tcp.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._tcp.serve_forever, args=(0.02,), daemon=True)

    def start(self) -> None:
        """Take requests from now on."""
        self._thread.start()

    def close(self) -> None:
        """Hang up on everybody and let go of the port."""
        self.stopping.set()
        self._tcp.shutdown()
        self._tcp.server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._thread.join()
        deadline = time.monotonic() + 5
        while self._in_flight and time.monotonic() < deadline:
            time.sleep(0.005)

    @property
    def in_flight(self) -> int:
        """The requests that are being answered now."""
        return self._in_flight

    @contextlib.contextmanager
    def counted(self) -> Any:
        """Count a request among those in flight."""
        with self._lock:
            self._in_flight += 1
            self.peak_in_flight = max(self.peak_in_flight, self._in_flight)
        try:
            yield
        finally:
            with self._lock:
                self._in_flight -= 1


def quoted_parts(path: str) -> list[str]:
    """The segments of a path, percent-encoding undone in each."""
    return [unquote(part) for part in path.strip("/").split("/")]
