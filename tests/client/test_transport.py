"""The transport against servers that err in every way a server can."""

from __future__ import annotations

import gzip
import threading
import time
import zlib

import pytest
from fakes.origin import CLOSE, RESET, Drip, Early, Origin, Pause, ok

from dbrun.client import http_connection
from dbrun.client.transport import HttpRequest, HttpResponse, Transport
from dbrun.errors import (
    EndpointMissing,
    Malformed,
    TimedOut,
    Unavailable,
    Unreachable,
    UserError,
)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def transport():
    with Transport(environ={}) as transport:
        yield transport


def post(url: str, body: bytes | None = b"{}", **headers: str) -> HttpRequest:
    return HttpRequest(method="POST", url=url, headers=headers, body=body)


def send(transport: Transport, origin: Origin, path: str = "/", timeout: float = 5) -> HttpResponse:
    return transport.send(post(origin.url(path)), timeout)


# What goes out


def test_what_is_sent_is_what_was_given_and_little_more(transport):
    with Origin() as origin:
        transport.send(post(origin.url("/a/b?c=d"), b"body", **{"X-Own": "1"}), 5)
        got = origin.requests[0]
    assert got.lines[0] == "POST /a/b?c=d HTTP/1.1"
    assert got.header("X-Own") == "1"
    assert got.header("host") == f"127.0.0.1:{origin.port}"
    assert got.header("content-length") == "4"
    assert got.header("user-agent").startswith("dbrun/")
    assert got.header("accept-encoding") == "identity"
    assert len(got.lines) == 6
    assert got.body == b"body"


def test_the_callers_headers_replace_ours_but_not_the_length(transport):
    mine = {"user-agent": "me", "HOST": "virtual.example", "content-length": "999"}
    with Origin() as origin:
        transport.send(post(origin.url(), b"four", **mine), 5)
        got = origin.requests[0]
    assert got.header("user-agent") == "me"
    assert got.header("host") == "virtual.example"
    assert [line for line in got.lines if line.lower().startswith("content-length")] == [
        "Content-Length: 4"
    ]
    assert sum(line.lower().startswith(("host", "user-agent")) for line in got.lines) == 2


def test_headers_may_change_from_request_to_request(transport):
    with Origin() as origin:
        headers = {"Authorization": "Bearer one"}
        request = HttpRequest(method="POST", url=origin.url(), headers=headers, body=b"{}")
        transport.send(request, 5)
        headers["Authorization"] = "Bearer two"
        transport.send(request, 5)
        transport.send(HttpRequest(method="GET", url=origin.url(), headers=headers, body=None), 5)
    said = [request.header("authorization") for request in origin.requests]
    assert said == ["Bearer one", "Bearer two", "Bearer two"]
    assert origin.requests[2].lines[0] == "GET / HTTP/1.1"
    assert origin.requests[2].header("content-length") is None


def test_a_post_without_body_says_so(transport):
    with Origin() as origin:
        transport.send(post(origin.url(), None), 5)
    assert origin.requests[0].header("content-length") == "0"


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/a%2Fb%20c?x=%7E", "/a%2Fb%20c?x=%7E"),
        ("/a/../b/./c", "/a/../b/./c"),
        ("?q=1", "/?q=1"),
        ("/p#fragment", "/p"),
        ("/straße", "/stra%C3%9Fe"),
        ("/%C3%9F/ä", "/%C3%9F/%C3%A4"),
    ],
)
def test_the_path_travels_unchanged(transport, path, target):
    with Origin() as origin:
        send(transport, origin, path)
    assert origin.requests[0].lines[0] == f"POST {target} HTTP/1.1"


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"X-A": "1\r\nX-B: 2"}, "'X-A' holds a line break"),
        ({"X-A": "secret\n"}, "'X-A' holds a line break"),
        ({"X-A": "1\r"}, "'X-A' holds a line break"),
        ({"X-A\r\nX-B": "1"}, "cannot be the name"),
        ({"X A": "1"}, "cannot be the name"),
        ({"": "1"}, "cannot be the name"),
        ({"X-A": "secret\u20ac"}, "'X-A' holds letters beyond Latin-1"),
    ],
)
def test_headers_cannot_smuggle_lines(transport, headers, said):
    with Origin() as origin:
        with pytest.raises(UserError) as caught:
            transport.send(post(origin.url(), **headers), 5)
        assert said in str(caught.value)
        assert "secret" not in str(caught.value)
        assert "\n" not in str(caught.value)
        assert origin.connections == 0


def test_the_method_cannot_smuggle_lines(transport):
    with Origin() as origin:
        request = HttpRequest(
            method="GET / HTTP/1.1\r\nA: b", url=origin.url(), headers={}, body=None
        )
        with pytest.raises(UserError):
            transport.send(request, 5)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/",
        "host/path",
        "http:///path",
        "http://host:port/",
        "http://host/a b",
        "http://host/a\r\nX: y",
        "http://user:secret@host/",
        "http://secret@host/",
        "http://[::1/",
        "",
    ],
)
def test_urls_that_cannot_be_called_are_refused(transport, url):
    with pytest.raises(UserError) as caught:
        transport.send(post(url), 5)
    assert "secret" not in str(caught.value)


def test_large_bodies_arrive_whole(transport):
    body = bytes(range(256)) * 20_000
    with Origin(ok(body)) as origin:
        assert transport.send(post(origin.url(), body), 20).body == body
    assert origin.requests[0].body == body


# What comes back


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
    monkeypatch.setattr("dbrun.client.http_message.MAX_BODY", 100)
    with Origin(steps) as origin, pytest.raises(Malformed, match="exceeds") as caught:
        send(transport, origin)
    assert caught.value.maybe_paid
    assert not caught.value.retryable


# What goes wrong


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


@pytest.mark.parametrize(("first", "second"), [(60, 0.3), (0.3, 60)])
def test_each_call_on_a_kept_connection_has_its_own_deadline(transport, first, second):
    slow = [Pause(0.4), *ok()] if second > first else [Pause(30)]
    with Origin(ok(), slow) as origin:
        assert send(transport, origin, timeout=first).status == 200
        started = time.monotonic()
        if second > first:
            assert send(transport, origin, timeout=second).status == 200
        else:
            with pytest.raises(TimedOut):
                send(transport, origin, timeout=second)
        assert time.monotonic() - started < 20
    assert origin.connections == 1


def test_a_server_that_reads_nothing_was_not_paid(transport):
    with Origin(Early([Pause(30)])) as origin, pytest.raises(TimedOut) as caught:
        transport.send(post(origin.url(), b"x" * 30_000_000), 0.3)
    assert not caught.value.maybe_paid


def test_an_answer_before_the_body_was_read_is_heard(transport):
    refusal = ok(b"too large", "Connection: close", status="413 Too Large")
    with Origin(Early([*refusal, Pause(0.3)])) as origin:
        answer = transport.send(post(origin.url(), b"x" * 30_000_000), 10)
    assert (answer.status, answer.body) == (413, b"too large")


def test_a_request_that_never_left_whole_was_not_paid(transport):
    with Origin(Early([RESET])) as origin, pytest.raises(Unavailable) as caught:
        transport.send(post(origin.url(), b"x" * 30_000_000), 10)
    assert not caught.value.maybe_paid


def test_refused_connections(transport):
    with Origin() as origin:
        url = origin.url()
    with pytest.raises(Unreachable, match=r"cannot connect to 127\.0\.0\.1") as caught:
        transport.send(post(url), 5)
    assert not caught.value.maybe_paid
    assert caught.value.retryable


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 70 + ".example"])
def test_hosts_that_do_not_exist(transport, monkeypatch, host):
    import socket

    real = socket.getaddrinfo

    def lookup(name, *args, **kwargs):
        if name == "no-such-host.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(EndpointMissing, match="no host named"):
        transport.send(post(f"http://{host}/"), 5)


def test_a_name_that_cannot_be_looked_up_now_is_tried_again_later(transport, monkeypatch):
    import socket

    def fail(*_args, **_kwargs):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(Unreachable, match="temporary failure"):
        transport.send(post("http://busy.example/"), 5)


def test_a_name_that_was_known_before_is_tried_again_later(transport, monkeypatch):
    import socket

    with Origin(ok(b"", "Connection: close")) as origin:
        send(transport, origin)

        def fail(*_args, **_kwargs):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", fail)
        with pytest.raises(Unreachable, match="not known"):
            send(transport, origin)


def test_the_second_address_is_tried_when_the_first_refuses(transport, monkeypatch):
    import socket

    with Origin() as closed:
        pass
    with Origin() as origin:
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
            for port in (closed.port, origin.port)
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: list(found))
        assert transport.send(post("http://two.example/"), 5).status == 200


def test_an_address_that_swallows_everything_leaves_time_for_the_next(transport, monkeypatch):
    import socket

    waits: list[float] = []

    class Swallowing(socket.socket):
        def settimeout(self, seconds):
            waits.append(seconds)
            super().settimeout(seconds)

        def connect(self, address):
            raise TimeoutError

    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 9))] * 2
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: list(found))
    monkeypatch.setattr(socket, "socket", Swallowing)
    with pytest.raises(Unreachable, match="no answer"):
        transport.send(post("http://two.example/"), 60)
    assert waits == [pytest.approx(5, abs=1), pytest.approx(10, abs=1)]


# Connections that stay open


def test_a_thousand_requests_use_one_connection(transport):
    with Origin() as origin:
        for _ in range(1000):
            send(transport, origin)
    assert (origin.connections, len(origin.requests)) == (1, 1000)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(ok(b"", "Connection: close"), id="told so"),
        pytest.param(ok(b"", "Connection: Keep-Alive, Close"), id="told so in a list"),
        pytest.param([*ok(b""), CLOSE], id="closed while idle"),
        pytest.param([*ok(b""), RESET], id="reset while idle"),
        pytest.param([*ok(b""), b"HTTP/1.1 408 Timeout\r\n\r\n", CLOSE], id="unasked answer"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab"], id="more than it says"),
        pytest.param([b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na"], id="HTTP/1.0"),
        pytest.param(ok(b"", "Keep-Alive: timeout=1"), id="kept for too short"),
        pytest.param(
            [
                HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
            ],
            id="two framings",
        ),
    ],
)
def test_connections_that_cannot_be_used_again(transport, steps):
    with Origin(steps) as origin:
        for count in (1, 2, 3):
            assert send(transport, origin).status == 200
            time.sleep(0.05)
            assert origin.connections == count


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(ok(b"", "Keep-Alive: timeout=20, max=5"), id="kept"),
        pytest.param(
            [b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na"],
            id="HTTP/1.0",
        ),
        pytest.param([CHUNKED + b"1\r\na\r\n0\r\n\r\n"], id="chunked"),
        pytest.param([b"HTTP/1.1 500 Oops\r\nContent-Length: 1\r\n\r\na"], id="an error"),
    ],
)
def test_connections_that_can(transport, steps):
    with Origin(steps) as origin:
        for _ in range(3):
            send(transport, origin)
    assert origin.connections == 1


def test_a_kept_connection_that_ends_before_the_request_left_is_replaced(transport, monkeypatch):
    with Origin([*ok(b""), CLOSE], ok(b"second")) as origin:
        send(transport, origin)
        time.sleep(0.05)
        # As if the end came just after the look whether the connection is alive.
        monkeypatch.setattr(http_connection.Connection, "is_quiet", lambda self: True)
        monkeypatch.setattr(http_connection.Connection, "_send", _broken(times=1))
        assert send(transport, origin).body == b"second"
    assert len(origin.requests) == 2


def _broken(times: int):
    real = http_connection.Connection._send

    def send(self, payload):
        nonlocal times
        times -= 1
        if times >= 0:
            raise BrokenPipeError(32, "Broken pipe")
        real(self, payload)

    return send


def test_a_kept_connection_that_ends_after_the_request_left_is_not(transport):
    with Origin(ok(b"first"), [CLOSE], ok(b"third")) as origin:
        send(transport, origin)
        with pytest.raises(Unavailable, match="before an answer") as caught:
            send(transport, origin)
        assert caught.value.maybe_paid
        assert len(origin.requests) == 2
        assert send(transport, origin).body == b"third"


def test_threads_share_no_more_connections_than_allowed():
    with Origin([Pause(0.002), *ok()]) as origin, Transport(connections=8, environ={}) as transport:
        answers: list[int] = []

        def work() -> None:
            for _ in range(5):
                answers.append(send(transport, origin, timeout=30).status)

        threads = [threading.Thread(target=work) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert answers == [200] * 160
        assert origin.connections <= 8


def test_waiting_for_a_connection_ends_at_the_deadline():
    with Origin([Pause(30)]) as origin, Transport(connections=1, environ={}) as transport:
        failures: list[TimedOut] = []

        def first() -> None:
            with pytest.raises(TimedOut):
                send(transport, origin, timeout=0.4)

        thread = threading.Thread(target=first)
        thread.start()
        while not origin.requests:
            time.sleep(0.005)
        with pytest.raises(TimedOut) as caught:
            send(transport, origin, timeout=0.1)
        failures.append(caught.value)
        thread.join()
    assert not failures[0].maybe_paid
    assert origin.connections == 1


def test_closing_leaves_no_connection_behind():
    with Origin([Pause(0.2), *ok()]) as origin:
        transport = Transport(environ={})
        thread = threading.Thread(target=send, args=(transport, origin))
        thread.start()
        while not origin.requests:
            time.sleep(0.005)
        transport.close()
        thread.join()
        while origin.open_connections:
            time.sleep(0.005)


def test_ipv6(transport):
    with Origin(host="::1") as origin:
        assert send(transport, origin).status == 200
    assert origin.requests[0].header("host") == f"[::1]:{origin.port}"
