"""A raw TCP server on loopback that does exactly what a script says, mistakes included.

An answer is a list of steps: bytes are sent as they are, `Pause(seconds)` waits, `RESET` and
`CLOSE` end the connection. Each request takes the next answer; the last one repeats.

    with Origin(ok(b"first"), [b"HTTP/1.1 200 OK\\r\\n", RESET]) as origin:
        url = origin.url("/path")
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Pause:
    """Wait so many seconds, or until the server is closed."""

    seconds: float


@dataclass(frozen=True)
class Drip:
    """Send bytes one at a time, so many seconds apart."""

    data: bytes
    seconds: float


@dataclass(frozen=True)
class Early:
    """Do these steps when only the head of a request has come, and leave its body unread."""

    steps: Sequence[object]


class _End:
    pass


CLOSE = _End()
"""Close the connection as a server does that has read everything."""
RESET = _End()
"""Abort the connection: the peer sees a reset."""

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)


def ok(body: bytes = b"{}", *headers: str, status: str = "200 OK") -> list[object]:
    """A well-formed answer."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}"]
    return ["".join(f"{line}\r\n" for line in lines).encode("latin-1") + b"\r\n" + body]


@dataclass
class Received:
    """One request as it came, and the number of the connection it came on."""

    head: bytes
    body: bytes
    connection: int
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lines = self.head.decode("latin-1").split("\r\n")

    def header(self, name: str) -> str | None:
        """The value of a header, None if it was not sent."""
        for line in self.lines[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None


class Origin:
    """The server; *connections* counts those accepted, *requests* holds what came."""

    def __init__(
        self,
        *answers: Sequence[object],
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self._answers = list(answers or [ok()])
        self._tls = tls
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.requests: list[Received] = []
        self.connections = 0
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=256)
        self.host = host
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    def url(self, path: str = "/", scheme: str | None = None) -> str:
        """The URL of *path* on this server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme or ('https' if self._tls else 'http')}://{host}:{self.port}{path}"

    @property
    def open_connections(self) -> int:
        """Connections that neither side has ended."""
        with self._lock:
            return len(self._open)

    def __enter__(self) -> Origin:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            still_open = list(self._open)
        for sock in still_open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _start(self, target, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._start(self._serve, sock, self.connections)

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            with self._lock:
                self._open.add(sock)
            self.converse(sock, number)
        except OSError:
            pass  # the client hung up, or refused the certificate
        finally:
            with self._lock:
                self._open.discard(sock)
            sock.close()

    def converse(self, sock: socket.socket, number: int) -> None:
        """Read requests and answer them until one side ends the connection."""
        data = b""
        while True:
            while (end := data.find(b"\r\n\r\n")) < 0:
                piece = sock.recv(65536)
                if not piece:
                    return
                data += piece
            head, data = data[:end], data[end + 4 :]
            answer = self._next()
            if isinstance(answer, Early):
                self.requests.append(Received(head, data, number))
                self._perform(sock, answer.steps)
                return
            length = _LENGTH.search(head)
            size = int(length[1]) if length else 0
            while len(data) < size:
                piece = sock.recv(65536)
                if not piece:
                    return
                data += piece
            self.requests.append(Received(head, data[:size], number))
            data = data[size:]
            if self._perform(sock, answer):
                return

    def _next(self) -> Sequence[object] | Early:
        with self._lock:
            return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def _perform(self, sock: socket.socket, steps: Sequence[object]) -> bool:
        """Do *steps*; True if they ended the connection."""
        for step in steps:
            if isinstance(step, bytes):
                sock.sendall(step)
            elif isinstance(step, Pause):
                self._stop.wait(step.seconds)
            elif isinstance(step, Drip):
                for byte in step.data:
                    sock.sendall(bytes([byte]))
                    if self._stop.wait(step.seconds):
                        return True
            elif step is RESET:
                # Lingering for zero seconds turns the close into a reset.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return True
            else:
                return True
        return False
