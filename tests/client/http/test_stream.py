"""Answers that are read while they come: every framing, and what becomes of the connection."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest
from fakes.origin import CLOSE, RESET, Drip, Early, Origin, Pause, ok
from fakes.sending import CHUNKED, HEAD

from dbrun.client.http import framing as http_framing
from dbrun.client.http.stream import HttpStream
from dbrun.client.transport import HttpRequest, Transport
from dbrun.client.waiting import blocking
from dbrun.clock import Clock
from dbrun.errors import EndpointError, Malformed, TimedOut, Unavailable

Drive = Callable[..., Any]
LONG = Pause(30.0)


def post(url: str, body: bytes = b"{}") -> HttpRequest:
    return HttpRequest(method="POST", url=url, headers={}, body=body)


async def opened(transport: Transport, origin: Origin, timeout: float = 5.0) -> HttpStream:
    return await transport.stream(post(origin.url("/")), timeout)


async def pieces_of(transport: Transport, origin: Origin, timeout: float = 5.0) -> list[bytes]:
    stream = await opened(transport, origin, timeout)
    pieces = []
    try:
        while piece := await stream.read():
            pieces.append(piece)
    finally:
        stream.close()
    return pieces


@pytest.fixture
def plain() -> Any:
    with Transport(environ={}) as transport:
        yield transport


@pytest.mark.parametrize(
    ("steps", "body", "kept"),
    [
        (ok(b"text"), b"text", True),
        (ok(b""), b"", True),
        ([CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"], b"abcde", True),
        ([CHUNKED + b"0\r\n\r\n"], b"", True),
        ([CHUNKED, Drip(b"3;x=1\r\nabc\r\n0\r\nTrailer: 1\r\n\r\n", 0.001)], b"abc", True),
        ([HEAD + b"Connection: close\r\n\r\nto the", b" end", CLOSE], b"to the end", False),
        ([HEAD + b"Content-Length: 2\r\nConnection: close\r\n\r\nab"], b"ab", False),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], b"", True),
        ([b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 1\r\n\r\na"], b"a", True),
    ],
)
def test_bodies_of_every_framing(
    drive: Drive, plain: Transport, steps: Any, body: bytes, kept: bool
) -> None:
    with Origin(steps) as origin:
        for _ in range(2):
            assert b"".join(drive(pieces_of(plain, origin))) == body
        connections = [request.connection for request in origin.requests]
    assert len(set(connections)) == (1 if kept else 2)


def test_what_is_there_is_given_at_once(drive: Drive, plain: Transport) -> None:
    async def first() -> tuple[int, str, bytes]:
        stream = await opened(plain, origin)
        try:
            return stream.status, stream.headers["x-a"], await stream.read()
        finally:
            stream.close()

    head = HEAD + b"X-A: b\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Origin([head + b"2\r\nab\r\n", LONG]) as origin:
        assert drive(first()) == (200, "b", b"ab")


def test_a_stream_that_was_left_costs_its_connection_and_no_more(plain: Transport) -> None:
    with Origin([CHUNKED + b"2\r\nab\r\n", LONG], ok(b"next")) as origin:
        stream = blocking(opened(plain, origin))
        stream.close()
        stream.close()
        assert plain.send(post(origin.url("/")), 5.0).body == b"next"
        assert [request.connection for request in origin.requests] == [1, 2]


def test_a_stream_that_only_lacks_its_last_chunk_keeps_the_connection(plain: Transport) -> None:
    """Whoever knows the end by the content does not wait for that of the framing."""
    with Origin([CHUNKED + b"6\r\n[DONE]\r\n0\r\n\r\n"], ok(b"next")) as origin:
        stream = blocking(opened(plain, origin))
        assert blocking(stream.read()) == b"[DONE]"
        stream.close()
        assert plain.send(post(origin.url("/")), 5.0).body == b"next"
        assert [request.connection for request in origin.requests] == [1, 1]


@pytest.mark.parametrize(
    ("steps", "error", "said"),
    [
        ([CHUNKED + b"5\r\nab", CLOSE], Unavailable, "closed within the body"),
        ([CHUNKED + b"2\r\nab\r\n", CLOSE], Unavailable, "closed within the body"),
        ([CHUNKED + b"2\r\nab\r\n", RESET], Unavailable, "reset"),
        ([HEAD + b"Content-Length: 9\r\n\r\nab", CLOSE], Unavailable, "closed within the body"),
        ([CHUNKED + b"2\r\nabc\r\n"], Unavailable, "longer than it says"),
        ([CHUNKED + b"x\r\nab"], Unavailable, "has no size"),
        ([HEAD + b"Transfer-Encoding: snail\r\n\r\n"], Unavailable, "unknown transfer coding"),
        ([b"nonsense\r\n\r\n"], Unavailable, "does not start like HTTP"),
        ([CLOSE], Unavailable, "closed before an answer"),
        ([HEAD + b"Content-Length: 99\r\n\r\n"], Malformed, "exceeds"),
        ([CHUNKED + b"99\r\n"], Malformed, "exceeds"),
        ([HEAD + b"\r\n" + b"x" * 60], Malformed, "exceeds"),
        (ok(b"junk", "Content-Encoding: gzip"), Unavailable, "damaged"),
        (ok(b"junk", "Content-Encoding: br"), Malformed, "compressed as 'br'"),
    ],
)
def test_what_is_no_whole_answer(
    drive: Drive,
    plain: Transport,
    monkeypatch: pytest.MonkeyPatch,
    steps: Any,
    error: type[EndpointError],
    said: str,
) -> None:
    monkeypatch.setattr(http_framing, "MAX_BODY", 50)
    with Origin(steps) as origin, pytest.raises(error, match=said):
        drive(pieces_of(plain, origin))


def test_the_time_is_up_while_a_body_drips(drive: Drive, plain: Transport) -> None:
    with Origin([CHUNKED, Drip(b"1\r\na\r\n" * 500, 0.01)]) as origin:
        with pytest.raises(TimedOut, match=r"within 0\.2 s"):
            drive(pieces_of(plain, origin, timeout=0.2))


def test_the_readers_own_time_does_not_count(drive: Drive) -> None:
    class Hours(Clock):
        """A clock that the reader sets forward."""

        later = 0.0

        def __init__(self) -> None:
            now = Clock.now
            self.now = lambda: now() + self.later  # type: ignore[method-assign]

    clock = Hours()

    async def slowly() -> bytes:
        stream = await opened(transport, origin)
        first = await stream.read()
        clock.later += 3600.0
        try:
            return first + await stream.rest()
        finally:
            stream.close()

    with (
        Origin([CHUNKED + b"2\r\nab\r\n", Pause(0.02), b"1\r\nc\r\n0\r\n\r\n"]) as origin,
        Transport(environ={}, clock=clock) as transport,
    ):
        assert drive(slowly()) == b"abc"


def test_packed_answers_are_unpacked(drive: Drive, plain: Transport) -> None:
    with Origin(ok(gzip.compress(b"text"), "Content-Encoding: gzip")) as origin:
        assert drive(pieces_of(plain, origin)) == [b"text"]


def test_a_refusal_before_the_request_was_read_is_heard(plain: Transport) -> None:
    async def refused() -> tuple[int, bytes]:
        stream = await plain.stream(post(origin.url("/"), b"x" * 8_000_000), 10.0)
        try:
            return stream.status, await stream.rest()
        finally:
            stream.close()

    answer = ok(b"too large", "Connection: close", status="413 Payload Too Large")
    with Origin(Early([*answer, Pause(0.05), RESET])) as origin:
        status, _ = blocking(refused())
    assert status == 413


def test_through_a_proxy(drive: Drive) -> None:
    answer = [CHUNKED + b"2\r\nab\r\n", Pause(0.01), b"1\r\nc\r\n0\r\n\r\n"]
    with (
        Origin(answer, [CHUNKED + b"2\r\nab\r\n", CLOSE]) as proxy,
        Transport(environ={"http_proxy": f"http://127.0.0.1:{proxy.port}"}) as transport,
    ):

        async def far() -> bytes:
            stream = await transport.stream(post("http://far.example/"), 5.0)
            try:
                return await stream.rest()
            finally:
                stream.close()

        assert drive(far()) == b"abc"
        with pytest.raises(Unavailable):
            drive(far())
