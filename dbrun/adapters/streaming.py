"""One call over HTTP whose answer is taken while it comes, by server-sent events."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..client.http.stream import HttpStream
from ..client.transport import HttpRequest, HttpResponse, Transport
from ..errors import DbrunError, EndpointError, Rejected, RunError, TimedOut, Unavailable
from ..types import Json
from .base import Answer, AnswerStream, Whole
from .classify import error_inside
from .complaint import of
from .events import EventReader
from .payload import loads
from .wires.base import malformed
from .wires.streamed import Streamed

if TYPE_CHECKING:
    from .http import HttpAdapter

_DONE = b"[DONE]"


async def begun(adapter: HttpAdapter, body: Json, timeout: float) -> AnswerStream:
    """Ask *adapter* for a stream. An endpoint that does not stream answers as a whole.

    Raises:
        EndpointError: the call failed.
        RunError: no call can succeed.
    """
    parts = adapter.wire.streamed()
    transport = adapter.transport
    if parts is None or not isinstance(transport, Transport) or not adapter.streams:
        return Whole(await adapter.acall([body], timeout))
    try:
        return await _opened(adapter, transport, parts, {**body, "stream": True}, timeout)
    except Rejected as error:
        if error.parameter != "stream":
            raise
        adapter.streams = False  # it told so
        return Whole(await adapter.acall([body], timeout))
    except (EndpointError, RunError) as error:
        raise adapter.masked(error) from error.__cause__


async def _opened(
    adapter: HttpAdapter, transport: Transport, parts: Streamed, body: Json, timeout: float
) -> AnswerStream:
    payload = adapter.payload(body)
    generation = adapter.auth.generation
    stream, credentials = await _sent(adapter, transport, payload, timeout)
    if stream.status in (401, 403):
        response = await _read(stream, credentials)
        if not await adapter.renewed(response, generation):
            raise adapter.error(response)
        stream, credentials = await _sent(adapter, transport, payload, timeout)
    kind = stream.headers.get("content-type", "").partition(";")[0].strip().lower()
    if 200 <= stream.status < 300 and kind == "text/event-stream":
        return EventStream(adapter, stream, parts, credentials)
    response = await _read(stream, credentials)
    if not 200 <= response.status < 300:
        raise adapter.error(response)
    return Whole([adapter.answer(response)])


async def _sent(
    adapter: HttpAdapter, transport: Transport, payload: bytes, timeout: float
) -> tuple[HttpStream, Sequence[bytes]]:
    headers, credentials = await adapter.heads()
    accepted = {**headers}
    if accepted.get("Accept") == "application/json":
        accepted["Accept"] = "text/event-stream, application/json"
    request = HttpRequest(method=adapter.method, url=adapter.url, headers=accepted, body=payload)
    return await transport.stream(request, timeout), credentials


async def _read(stream: HttpStream, credentials: Sequence[bytes]) -> HttpResponse:
    """The whole of an answer that is no stream."""
    try:
        body = await stream.rest()
    finally:
        stream.close()
    return HttpResponse(
        status=stream.status, headers=stream.headers, body=_hidden(credentials, body)
    )


class EventStream:
    """An answer in events."""

    def __init__(
        self,
        adapter: HttpAdapter,
        stream: HttpStream,
        parts: Streamed,
        credentials: Sequence[bytes],
    ) -> None:
        self._adapter = adapter
        self._stream = stream
        self._parts = parts
        self._credentials = credentials
        self._reader = EventReader()
        self._events: deque[bytes] = deque()
        self._over = False

    async def read(self) -> str | None:
        """As `AnswerStream.read`."""
        try:
            while not self._over:
                if self._events:
                    if text := self._taken(self._events.popleft()):
                        return text
                else:
                    await self._more()
        except (EndpointError, RunError) as error:
            self.close()
            raise self._adapter.masked(error) from error.__cause__
        return None

    def answer(self) -> Answer:
        """As `AnswerStream.answer`."""
        model = self._stream.headers.get("served-model-name")
        return Answer(body=self._parts.body(), model=model)

    def close(self) -> None:
        """As `AnswerStream.close`."""
        self._over = True
        self._stream.close()

    async def _more(self) -> None:
        """Wait for further events, or for the end."""
        try:
            piece = await self._stream.read()
        except (TimedOut, Unavailable):
            if not self._parts.is_whole:
                raise
            piece = b""  # all that was missing is the mark of the end
        self._events += self._reader.feed(piece) if piece else self._reader.end()
        if piece or self._events:
            return
        self._over = True
        if not self._parts.is_whole and not self._parts.may_just_end:
            raise Unavailable(
                "the endpoint's stream was cut off before its answer ended", maybe_paid=True
            )
        self.close()

    def _taken(self, data: bytes) -> str:
        """The text that one event adds."""
        if data.strip() == _DONE:
            self.close()
            return ""
        data = _hidden(self._credentials, data)
        try:
            event, _ = loads(data)
        except (ValueError, RecursionError) as error:
            raise malformed(f"an event of the endpoint's stream is no JSON: {error}") from error
        complaint = self._parts.complaint(event)
        if complaint is not None:
            raise self._failed(complaint)
        return self._parts.add(event)

    def _failed(self, complaint: Json) -> DbrunError:
        said = of(complaint, 200, traces=self._adapter.context.debug)
        return error_inside(said, self._adapter.place)


def _hidden(credentials: Sequence[bytes], data: bytes) -> bytes:
    for value in credentials:
        data = data.replace(value, b"***")
    return data
