"""One HTTP/1.1 connection over a plain socket: send a request, read its answer, stay open.

This is the hot path of a run, written for little work per request rather than for every corner
of HTTP: one `send` for head and body, one `recv` for a usual answer, no object per header.
The framing follows RFC 9112. Everything it cannot make sense of ends the connection.
"""

from __future__ import annotations

import re
import select
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..waiting import Readiness
from .framing import (
    MAX_BODY,
    MAX_HEAD,
    STATUS_LINE,
    BadAnswer,
    TooLarge,
    chunk_size,
    headers_of,
    length_of,
)

if TYPE_CHECKING:
    from .tls import TlsSocket

KEEP_FOR = 30.0
"""Seconds that an idle connection is kept: less than servers and load balancers keep theirs."""

_PIECE = 64 * 1024
_LATE = 1.0  # seconds to wait for the answer of a server that stopped reading the request

_HEAD_END = re.compile(rb"\n\r?\n")
_KEEP_ALIVE = re.compile(r"timeout=([0-9]{1,6})")


class Connection:
    """An open socket and what is known about it. Used by one exchange at a time.

    *sent* says whether the request of the last exchange left whole: until it has, the server
    cannot have taken it. *reusable* says whether another exchange may follow, *keep_for* for how
    many seconds after *idle_since*.
    """

    __slots__ = (
        "_eager",
        "_now",
        "_poll",
        "_ready",
        "_sock",
        "deadline",
        "idle_since",
        "keep_for",
        "keeps_on",
        "reusable",
        "sent",
    )

    def __init__(self, sock: socket.socket | TlsSocket, now: Callable[[], float]) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._now = now
        self.deadline = 0.0
        self._ready = Readiness(sock, now)
        self._eager = not isinstance(sock, socket.socket)
        self.keeps_on = True
        self._poll = _poller(sock)
        self.idle_since = 0.0
        self.keep_for = KEEP_FOR
        self.reusable = True
        self.sent = False

    def is_quiet(self) -> bool:
        """Whether nothing waits to be read. On an idle connection anything there is (an end, a
        reset, an unasked answer) means that it must not be used again."""
        return not self._poll()

    def close(self) -> None:
        """Close the socket; closing twice is fine."""
        self.reusable = False
        self._sock.close()

    async def exchange(self, payload: bytes, deadline: float) -> tuple[int, dict[str, str], bytes]:
        """Send *payload*, a whole request, and read its answer: status, headers, raw body.

        *deadline* is a time of the clock, checked before each wait, so that a server that
        drips cannot stretch it.

        Raises:
            TimeoutError: at the deadline.
            OSError: the connection failed (`sent` tells at which end).
            BadAnswer: the answer is cut short or no HTTP.
            TooLarge: the body exceeds `MAX_BODY`.
        """
        self.sent = self.reusable = False
        self.keeps_on = True
        self.deadline = deadline
        try:
            if (sent := self._begin(payload)) < len(payload):
                await self._send_on(payload, sent)
            self.sent = True
        except TimeoutError:
            raise
        except OSError:
            answer = await self._early_answer()
            if answer is None:
                raise
            return answer
        answer = await self._receive()
        self.reusable = self.keeps_on
        return answer

    async def _early_answer(self) -> tuple[int, dict[str, str], bytes] | None:
        """The answer of a server that answered before it had read everything (413, 429) and hung
        up. It is there to read, or the end of the connection is: neither takes long."""
        self.deadline = min(self.deadline, self._now() + _LATE)
        try:
            return await self._receive()
        except (OSError, BadAnswer, TooLarge):
            return None

    def _begin(self, payload: bytes) -> int:
        """Send what can be sent at once; gives how many bytes that were."""
        if self._now() >= self.deadline:
            raise TimeoutError
        # Large bodies go in pieces, so that the deadline is looked at between them.
        return 0 if len(payload) > _PIECE else self._try_send(payload)

    async def _send_on(self, payload: bytes, sent: int) -> None:
        """Send what is left of *payload* after *sent* bytes."""
        view = memoryview(payload)
        while sent < len(payload):
            count = self._try_send(view[sent : sent + _PIECE])
            sent += count
            if count == 0 or sent < len(payload):
                ready = self._ready
                ready.writing, ready.until = True, self.deadline
                if self._now() >= self.deadline or not await ready:
                    raise TimeoutError

    def _try_send(self, data: bytes | memoryview) -> int:
        """The bytes that could be sent without waiting."""
        try:
            return self._sock.send(data)
        except BlockingIOError:
            return 0

    async def receive(self) -> bytes:
        """The next bytes. Raises `EOFError` at the end, and `TimeoutError`, `OSError`."""
        # What TLS has decrypted already, no selector knows of. Elsewhere trying first would
        # nearly always be in vain: an answer takes its time.
        if self._eager and (data := self._try_recv()) is not None:
            return data
        ready = self._ready
        ready.writing, ready.until = False, self.deadline
        while True:
            if self._now() >= self.deadline or not await ready:
                raise TimeoutError
            if (data := self._try_recv()) is not None:
                return data

    def _try_recv(self) -> bytes | None:
        """What is there, or None if nothing is. Raises `EOFError` at the end."""
        try:
            data = self._sock.recv(_PIECE)
        except BlockingIOError:
            return None
        if not data:
            raise EOFError
        return data

    async def begin(self, payload: bytes, deadline: float) -> tuple[int, dict[str, str], bytes]:
        """Send *payload* and read the head of its answer: status, headers, and what came of the
        body. The rest is for `http_stream` to read. Raises as `exchange`."""
        self.sent = self.reusable = False
        self.keeps_on = True
        self.deadline = deadline
        try:
            if (sent := self._begin(payload)) < len(payload):
                await self._send_on(payload, sent)
            self.sent = True
        except TimeoutError:
            raise
        except OSError as error:  # as in `exchange`: it may have answered before it hung up
            self.deadline = min(deadline, self._now() + _LATE)
            try:
                head = await self._start()
            except (OSError, BadAnswer):
                raise error from None
            self.keeps_on = False
            return head
        return await self._start()

    async def _receive(self) -> tuple[int, dict[str, str], bytes]:
        status, headers, data = await self._start()
        try:
            return status, headers, await self._body(status, headers, data)
        except EOFError:
            raise BadAnswer("the connection was closed within the body of the answer") from None

    async def _start(self) -> tuple[int, dict[str, str], bytes]:
        """Status and headers of the answer that counts, and what was read beyond them."""
        status, data = 100, b""
        while status < 200:  # interim answers (100, 103) precede the one that counts
            version, status, headers, data = await self._head(data)
            if status == 101:
                raise BadAnswer("the server switched protocols unasked")
        connection = headers.get("connection", "").lower()
        if "close" in connection or (version == "0" and "keep-alive" not in connection):
            self.keeps_on = False
        elif "keep-alive" in headers and (said := _KEEP_ALIVE.search(headers["keep-alive"])):
            self.keep_for = min(KEEP_FOR, float(said[1]) - 1)
        return status, headers, data

    async def _head(self, data: bytes) -> tuple[str, int, dict[str, str], bytes]:
        """Version, status and headers of the next head; and what was read beyond it."""
        try:
            while (end := _HEAD_END.search(data)) is None and len(data) <= MAX_HEAD:
                data += await self.receive()
        except EOFError:
            when = "within the head of the answer" if data else "before an answer"
            raise BadAnswer(f"the connection was closed {when}") from None
        if end is None or end.start() > MAX_HEAD:
            raise BadAnswer(f"the head of the answer exceeds {MAX_HEAD // 1024} KiB")
        # Header bytes outside ASCII are legal leftovers; Latin-1 keeps each as it is.
        head = data[: end.start()].decode("latin-1")
        said = STATUS_LINE.match(head)
        if said is None:
            raise BadAnswer("the answer does not start like HTTP/1")
        return said[1], int(said[2]), headers_of(head, said.end()), data[end.end() :]

    async def _body(self, status: int, headers: dict[str, str], data: bytes) -> bytes:
        """The body by the framing that *headers* tell (RFC 9112, section 6.3)."""
        if status in (204, 304):
            self._end(data, 0)
            return b""
        coding = headers.get("transfer-encoding")
        if coding is not None and coding.lower() != "identity":
            if coding.lower() != "chunked":
                raise BadAnswer(f"the answer has the unknown transfer coding {coding[:40]!r}")
            if "content-length" in headers:
                self.keeps_on = False
            return await self._chunked(data)
        said = headers.get("content-length")
        if said is None:
            return await self._until_closed(data)
        length = length_of(said)
        if length > MAX_BODY:
            raise TooLarge
        if len(data) < length:
            data = await self._more(data, length)
        self._end(data, length)
        return data[:length]

    def _end(self, data: bytes, length: int) -> None:
        if len(data) != length:  # the server says more than was asked: no telling what
            self.keeps_on = False

    async def _more(self, data: bytes, length: int) -> bytes:
        """*data* and what follows, at least *length* bytes together."""
        pieces = [data]
        missing = length - len(data)
        while missing > 0:
            piece = await self.receive()
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    async def _until_closed(self, data: bytes) -> bytes:
        self.keeps_on = False
        pieces = [data]
        size = len(data)
        while size <= MAX_BODY:
            try:
                piece = await self.receive()
            except EOFError:
                return b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
        raise TooLarge

    async def _chunked(self, data: bytes) -> bytes:
        """The chunks put together; extensions and trailers are passed over."""
        chunks: list[bytes] = []
        at = total = 0
        while True:
            line, data, at = await self.line(data, at)
            size = chunk_size(line)
            if size == 0:
                break
            total += size
            if total > MAX_BODY:
                raise TooLarge
            if len(data) < at + size + 2:
                data = await self._more(data[at:], size + 2)
                at = 0
            chunks.append(data[at : at + size])
            at += size
            line, data, at = await self.line(data, at)
            if line:
                raise BadAnswer("a chunk of the answer is longer than it says")
        while line:  # the last chunk's line, then trailers, until an empty one
            line, data, at = await self.line(data, at)
        self._end(data, at)
        return b"".join(chunks)

    async def line(self, data: bytes, at: int) -> tuple[bytes, bytes, int]:
        """The line that starts *at*; the data, as far as read; and where the next line starts."""
        while (end := data.find(b"\n", at)) < 0:
            if len(data) - at > MAX_HEAD:
                raise BadAnswer("a line of the answer's framing does not end")
            data = data[at:] + await self.receive()
            at = 0
        return data[at:end].rstrip(b"\r"), data, end + 1


def _poller(sock: socket.socket | TlsSocket) -> Callable[[], object]:
    """A function that tells, without waiting, whether *sock* has something to read."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return lambda: poll.poll(0)
    return lambda: select.select([sock], [], [], 0)[0]
