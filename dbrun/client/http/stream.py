"""An answer that is read while it comes, over the connections that whole answers come by.

What is sent by and by has the same framing (RFC 9112, section 6.3); only nobody waits for its
end before using its beginning.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from ...errors import DbrunError
from . import framing as http_framing
from .connection import Connection
from .errors import translated
from .framing import BadAnswer, TooLarge, chunk_size, length_of
from .message import Address, UnknownEncoding, decompressed
from .pool import Pool

Read = Callable[[], Awaitable[bytes]]
"""The next bytes of a body; none at its end."""


class Source(Protocol):
    """Where the bytes of a body come from."""

    deadline: float
    """The time of the clock at which waiting for them ends."""

    async def read(self) -> bytes:
        """The next bytes; none at the end. Raises what `http_errors.translated` knows."""

    def close(self) -> None:
        """Let go of the connection, which is kept only if the body came to its end."""


class HttpStream:
    """An answer whose head is there: *status*, *headers* (names in lower case), and a body to
    come. Close it, or others wait for its connection.

    Time in which the caller does not read does not count: it is theirs, not the server's.
    """

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        source: Source,
        *,
        address: Address,
        timeout: float,
        now: Callable[[], float],
    ) -> None:
        self.status = status
        self.headers = headers
        self._source = source
        self._address = address
        self._timeout = timeout
        self._now = now
        self._left = now()
        self._size = 0

    async def read(self) -> bytes:
        """The next bytes of the body as they come, decompressed; none at its end.

        Raises:
            Unavailable: the connection failed, or ended within the body.
            TimedOut: the time is up.
            Malformed: the body is too large, or in an unknown encoding.
        """
        if "content-encoding" in self.headers:
            return await self._unpacked()
        return await self._next()

    async def rest(self) -> bytes:
        """All that is still to come."""
        pieces = []
        while piece := await self.read():
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        """Let go of the connection; closing twice is fine."""
        self._source.close()

    async def _next(self) -> bytes:
        self._source.deadline += self._now() - self._left
        try:
            piece = await self._source.read()
            self._size += len(piece)
            if self._size > http_framing.MAX_BODY:
                raise TooLarge
        except (OSError, BadAnswer, TooLarge) as error:
            raise self._translated(error) from error
        finally:
            self._left = self._now()
        return piece

    async def _unpacked(self) -> bytes:
        """It was asked to come as it is; what is packed all the same is unpacked at its end."""
        pieces = []
        while piece := await self._next():
            pieces.append(piece)
        try:
            return decompressed(b"".join(pieces), self.headers["content-encoding"])
        except (BadAnswer, TooLarge, UnknownEncoding) as error:
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> DbrunError:
        return translated(error, self._address, self._timeout, sent=True)


class SocketSource:
    """The body of an answer whose head *connection* has read; *data* came with the head."""

    def __init__(
        self,
        connection: Connection,
        pool: Pool,
        status: int,
        headers: Mapping[str, str],
        data: bytes,
    ) -> None:
        self._connection = connection
        self._pool = pool
        self._data = data
        self._left = 0
        self._in_chunks = False
        self._last = b""  # what of the framing is left when all of the body has been read
        self._over = status in (204, 304)
        self._closed = False
        self._read = self._framing(headers)

    @property
    def deadline(self) -> float:
        """As `Source.deadline`."""
        return self._connection.deadline

    @deadline.setter
    def deadline(self, moment: float) -> None:
        self._connection.deadline = moment

    async def read(self) -> bytes:
        """As `Source.read`."""
        if self._over or self._closed:
            return b""
        try:
            piece = await self._read()
        except EOFError:
            said = "the connection was closed within the body of the answer"
            raise BadAnswer(said) from None
        self._over = not piece
        return piece

    def close(self) -> None:
        """As `Source.close`."""
        if not self._closed:
            self._closed = True
            ended = not self._left and self._data == (b"" if self._over else self._last)
            self._connection.reusable = ended and self._connection.keeps_on
            self._pool.give(self._connection)

    def _framing(self, headers: Mapping[str, str]) -> Read:
        coding = headers.get("transfer-encoding", "identity").lower()
        if self._over:
            return self._of_length
        if coding == "chunked":
            if "content-length" in headers:
                self._connection.keeps_on = False
            self._last = b"\r\n0\r\n\r\n"
            return self._from_chunks
        if coding != "identity":
            raise BadAnswer(f"the answer has the unknown transfer coding {coding[:40]!r}")
        said = headers.get("content-length")
        if said is None:
            self._connection.keeps_on = False
            return self._until_closed
        self._left = length_of(said)
        return self._of_length

    async def _of_length(self) -> bytes:
        return await self._of_what_is_left() if self._left else b""

    async def _until_closed(self) -> bytes:
        try:
            return await self._some()
        except EOFError:
            return b""

    async def _from_chunks(self) -> bytes:
        if not self._left:
            if self._in_chunks and await self._line():
                raise BadAnswer("a chunk of the answer is longer than it says")
            self._in_chunks = True
            self._left = chunk_size(await self._line())
            if not self._left:
                while await self._line():  # trailers, which are passed over
                    pass
                return b""
        return await self._of_what_is_left()

    async def _of_what_is_left(self) -> bytes:
        if self._left > http_framing.MAX_BODY:  # as it says; no need to wait for it
            raise TooLarge
        data = await self._some()
        piece, self._data = data[: self._left], data[self._left :]
        self._left -= len(piece)
        return piece

    async def _some(self) -> bytes:
        data, self._data = self._data, b""
        return data or await self._connection.receive()

    async def _line(self) -> bytes:
        line, data, at = await self._connection.line(self._data, 0)
        self._data = data[at:]
        return line
