"""What the transport sends: heads and bodies to the byte, and what became of those cut off."""

from __future__ import annotations

import pytest
from fakes.origin import RESET, Early, Origin, Pause, ok
from fakes.sending import post, send

from dbrun.client.transport import HttpRequest
from dbrun.errors import TimedOut, Unavailable, UserError


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
        for key in ("one", "two", "two"):
            transport.send(post(origin.url(), Authorization=f"Bearer {key}"), 5)
        headers = {"Authorization": "Bearer two"}
        transport.send(HttpRequest(method="GET", url=origin.url(), headers=headers, body=None), 5)
    said = [request.header("authorization") for request in origin.requests]
    assert said == ["Bearer one", "Bearer two", "Bearer two", "Bearer two"]
    assert origin.requests[3].lines[0] == "GET / HTTP/1.1"
    assert origin.requests[3].header("content-length") is None


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


def test_a_server_that_reads_nothing_was_not_paid(transport):
    with Origin(ok(), Early([Pause(30)])) as origin:
        send(transport, origin)  # so that it is connected
        with pytest.raises(TimedOut) as caught:
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
