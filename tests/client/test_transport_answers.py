"""The transport's reading of answers: every framing and coding, and what is no answer."""

from __future__ import annotations

import gzip
import time
import zlib

import pytest
from fakes.origin import CLOSE, RESET, Drip, Origin, Pause, ok
from fakes.sending import CHUNKED, HEAD, send

from dbrun.client.http import connection as http_connection
from dbrun.errors import Malformed, TimedOut, Unavailable, Unreachable


@pytest.mark.parametrize("status", ["200 OK", "302 Found", "404 Not Found", "429", "503 ", "599 x"])
def test_answers_of_every_status_are_returned(transport, status):
    with Origin(ok(b"text", "Location: /elsewhere", "X-A:  b ", status=status)) as origin:
        answer = send(transport, origin)
    assert answer.status == int(status[:3])
    assert answer.body == b"text"
    assert answer.headers["x-a"] == "b"
    assert answer.headers["location"] == "/elsewhere"
    assert len(origin.requests) == 1  # a redirect is not followed


@pytest.mark.parametrize(
    ("steps", "body"),
    [
        pytest.param([CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"], b"abcde", id="chunks"),
        pytest.param([CHUNKED + b"0\r\n\r\n"], b"", id="no chunk"),
        pytest.param(
            [CHUNKED + b'3;name="v;w"\r\nabc\r\n0;x\r\nTrailer: 1\r\nOther: 2\r\n\r\n'],
            b"abc",
            id="extensions and trailers",
        ),
        pytest.param(
            [CHUNKED, Drip(b"0A\r\n0123456789\r\n0\r\n\r\n", 0.001)], b"0123456789", id="in drips"
        ),
        pytest.param([CHUNKED + b"3\nabc\n0\n\n"], b"abc", id="bare line feeds in chunks"),
        pytest.param(
            [CHUNKED + b"20000\r\n" + b"x" * 0x20000 + b"\r\n0\r\n\r\n"],
            b"x" * 0x20000,
            id="a large chunk",
        ),
        pytest.param(
            [
                HEAD + b"Transfer-Encoding: Chunked\r\nContent-Length: 2\r\n\r\n"
                b"3\r\nabc\r\n0\r\n\r\n"
            ],
            b"abc",
            id="chunked beats length",
        ),
        pytest.param(
            [HEAD + b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nab"],
            b"ab",
            id="identity",
        ),
        pytest.param([HEAD + b"Content-Length: 3, 3\r\n\r\nabc"], b"abc", id="length in a list"),
        pytest.param(
            [HEAD + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"], b"abc", id="length twice"
        ),
        pytest.param([HEAD + b"\r\nto the", b" end", CLOSE], b"to the end", id="until closed"),
        pytest.param([b"HTTP/1.0 200 OK\r\n\r\nold", CLOSE], b"old", id="HTTP/1.0"),
        pytest.param([b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\na"], b"a", id="no reason"),
        pytest.param([b"HTTP/1.1 200 OK\nContent-Length: 1\n\na"], b"a", id="bare line feeds"),
        pytest.param(
            [b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 1\r\n\r\na"],
            b"a",
            id="100 in one piece",
        ),
        pytest.param(
            [
                b"HTTP/1.1 100 Continue\r\n\r\n",
                b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n",
                Pause(0.01),
                HEAD + b"Content-Length: 1\r\n\r\na",
            ],
            b"a",
            id="100 and 103 apart",
        ),
        pytest.param(
            [HEAD + b"X-\xe9: caf\xc3\xa9 \xff\x85x\r\nno header\r\nContent-Length: 1\r\n\r\na"],
            b"a",
            id="odd header bytes",
        ),
        pytest.param(
            [HEAD + b"X-Folded: a\r\n b\r\n\tc\r\nContent-Length:\r\n 1\r\n\r\na"],
            b"a",
            id="folded headers",
        ),
        pytest.param([Drip(HEAD + b"Content-Length: 2\r\n\r\nab", 0.0005)], b"ab", id="all drips"),
    ],
)
def test_bodies_of_every_framing(transport, steps, body):
    with Origin(steps) as origin:
        answer = send(transport, origin)
    assert (answer.status, answer.body) == (200, body)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_body(transport, status):
    head = f"HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n".encode()
    with Origin(
        [head] if status[0] == "3" else [head.replace(b"Content-Length: 5\r\n", b"")]
    ) as origin:
        for _ in range(2):
            assert send(transport, origin).body == b""
    assert origin.connections == 1


def test_repeated_headers_are_joined(transport):
    with Origin(ok(b"", "X-A: 1", "x-a: 2", "X-B: caf\xe9")) as origin:
        headers = send(transport, origin).headers
    assert headers["x-a"] == "1, 2"
    assert headers["x-b"] == "caf\xe9"


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("X-GZip", gzip.compress),
        ("gzip", lambda data: gzip.compress(data[:5]) + gzip.compress(data[5:])),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data)[2:-4]),  # the bare stream
        ("identity", bytes),
        ("deflate, gzip", lambda data: gzip.compress(zlib.compress(data))),
    ],
)
def test_compressed_answers_are_unpacked(transport, encoding, pack):
    text = b'{"text": "something worth packing"}'
    with Origin(ok(pack(text), f"Content-Encoding: {encoding}")) as origin:
        assert send(transport, origin).body == text


def test_an_empty_body_needs_no_unpacking(transport):
    with Origin(ok(b"", "Content-Encoding: gzip")) as origin:
        assert send(transport, origin).body == b""


@pytest.mark.parametrize(
    ("encoding", "body", "error"),
    [
        ("br", b"anything", Malformed),
        ("gzip", b"no gzip", Unavailable),
        pytest.param("gzip", gzip.compress(b"x" * 99)[:-9], Unavailable, id="gzip-cut"),
    ],
)
def test_packed_answers_that_cannot_be_unpacked(transport, encoding, body, error):
    with (
        Origin(ok(body, f"Content-Encoding: {encoding}")) as origin,
        pytest.raises(error) as caught,
    ):
        send(transport, origin)
    assert caught.value.maybe_paid


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([HEAD + b"Content-Length: 101\r\n\r\n"], id="by its length"),
        pytest.param([CHUNKED + b"32\r\n" + b"x" * 50 + b"\r\n33\r\n"], id="by its chunks"),
        pytest.param([HEAD + b"\r\n" + b"x" * 101, CLOSE], id="until closed"),
        pytest.param(ok(gzip.compress(b"x" * 101), "Content-Encoding: gzip"), id="unpacked"),
    ],
)
def test_answers_beyond_all_measure_are_refused(transport, monkeypatch, steps):
    monkeypatch.setattr(http_connection, "MAX_BODY", 100)
    monkeypatch.setattr("dbrun.client.http.message.MAX_BODY", 100)
    with Origin(steps) as origin, pytest.raises(Malformed, match="exceeds") as caught:
        send(transport, origin)
    assert caught.value.maybe_paid
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([CLOSE], id="closed before the answer"),
        pytest.param([RESET], id="reset before the answer"),
        pytest.param([b"HTTP/1.1 20", CLOSE], id="closed in the status line"),
        pytest.param([HEAD, Pause(0.01), RESET], id="reset in the head"),
        pytest.param([HEAD + b"Content-Length: 5\r\n\r\nabc", CLOSE], id="body cut short"),
        pytest.param([HEAD + b"Content-Length: 5\r\n\r\nabc", Pause(0.01), RESET], id="body reset"),
        pytest.param([CHUNKED + b"5\r\nabc", CLOSE], id="chunk cut short"),
        pytest.param([CHUNKED + b"3\r\nabc\r\n", CLOSE], id="no last chunk"),
        pytest.param([CHUNKED + b"0\r\nTrailer: 1\r\n", CLOSE], id="trailers cut short"),
        pytest.param([CHUNKED + b"xyz\r\nabc\r\n", CLOSE], id="no chunk size"),
        pytest.param([CHUNKED + b"-3\r\nabc\r\n", CLOSE], id="negative chunk size"),
        pytest.param([CHUNKED + b"0x3\r\nabc\r\n", CLOSE], id="chunk size with prefix"),
        pytest.param([CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n", CLOSE], id="chunk too long"),
        pytest.param([CHUNKED + b"1" * 70_000, CLOSE], id="chunk size without end"),
        pytest.param([HEAD + b"Content-Length: -1\r\n\r\n", CLOSE], id="negative length"),
        pytest.param([HEAD + b"Content-Length: 1, 2\r\n\r\nab", CLOSE], id="two lengths"),
        pytest.param([HEAD + b"Content-Length: \xb2\r\n\r\nab", CLOSE], id="odd digits"),
        pytest.param([HEAD + b"Content-Length: 1e3\r\n\r\n", CLOSE], id="odd length"),
        pytest.param([HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", CLOSE], id="odd coding"),
        pytest.param([b"SSH-2.0-OpenSSH_9.6\r\n\r\n", CLOSE], id="no HTTP"),
        pytest.param([b"\x16\x03\x01\x00\xff garbage\n\n", CLOSE], id="garbage"),
        pytest.param([b"HTTP/2 200 OK\r\n\r\n", CLOSE], id="another version"),
        pytest.param([b"HTTP/1.1 2000 OK\r\n\r\n", CLOSE], id="odd status"),
        pytest.param([b"HTTP/1.1 101 Switching Protocols\r\n\r\n", CLOSE], id="other protocol"),
        pytest.param([HEAD + b"X: " + b"y" * 70_000, CLOSE], id="huge head"),
        pytest.param([HEAD + b"X: " + b"y" * 70_000 + b"\r\n\r\n", CLOSE], id="huge whole head"),
        pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n", CLOSE], id="only an interim answer"),
    ],
)
def test_answers_that_are_none_may_have_been_paid_for(transport, steps):
    with Origin(steps, ok()) as origin:
        with pytest.raises(Unavailable) as caught:
            send(transport, origin)
        assert caught.value.maybe_paid
        assert not isinstance(caught.value, Unreachable)
        assert f"127.0.0.1:{origin.port}" in caught.value.message
        assert "\n" not in caught.value.message
        assert len(origin.requests) == 1  # nothing is sent again on its own
        assert send(transport, origin).status == 200  # and the next call starts afresh
        assert origin.connections == 2


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([Pause(30)], id="no answer"),
        pytest.param([HEAD, Pause(30)], id="no end of the head"),
        pytest.param([HEAD + b"Content-Length: 5\r\n\r\nabc", Pause(30)], id="body stalls"),
        pytest.param([CHUNKED + b"5\r\n", Pause(30)], id="chunk stalls"),
        pytest.param([HEAD + b"\r\nabc", Pause(30)], id="stays open"),
        pytest.param([Drip(HEAD * 9, 0.02)], id="head drips"),
        pytest.param(
            [HEAD + b"Content-Length: 500\r\n\r\n", Drip(b"x" * 500, 0.02)], id="body drips"
        ),
        pytest.param([Drip(b"HTTP/1.1 102 Processing\r\n\r\n" * 99, 0.002)], id="interim drips"),
    ],
)
def test_the_deadline_is_by_the_clock(transport, steps):
    with Origin(steps) as origin:
        started = time.monotonic()
        with pytest.raises(TimedOut, match=r"within 0\.3 s") as caught:
            send(transport, origin, timeout=0.3)
        took = time.monotonic() - started
    assert caught.value.maybe_paid
    assert 0.25 < took < 5  # loosely: far below what the script takes
