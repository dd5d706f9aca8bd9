"""The transport's connections: how hosts are reached, and what is kept open between calls."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from fakes.origin import CLOSE, RESET, Origin, Pause, ok
from fakes.sending import CHUNKED, HEAD, post, send

from dbrun.client.http import connection as http_connection
from dbrun.client.http import pool as http_pool
from dbrun.errors import EndpointMissing, TimedOut, Unavailable, Unreachable

# Reaching a host


def test_refused_connections(transport):
    with Origin() as origin:
        url = origin.url()
    with pytest.raises(Unreachable, match=r"cannot connect to 127\.0\.0\.1") as caught:
        transport.send(post(url), 5)
    assert not caught.value.maybe_paid
    assert caught.value.retryable


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 70 + ".example"])
def test_hosts_that_do_not_exist(transport, monkeypatch, host):
    real = socket.getaddrinfo

    def lookup(name, *args, **kwargs):
        if name == "no-such-host.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(EndpointMissing, match="no host named"):
        transport.send(post(f"http://{host}/"), 5)


def test_a_name_that_cannot_be_looked_up_now_is_tried_again_later(transport, monkeypatch):
    def fail(*_args, **_kwargs):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(Unreachable, match="temporary failure"):
        transport.send(post("http://busy.example/"), 5)


def test_a_name_that_was_known_before_is_tried_again_later(transport, monkeypatch):
    monkeypatch.setattr(http_pool, "_FRESH", 0.0)
    with Origin(ok(b"", "Connection: close")) as origin:
        send(transport, origin)

        def fail(*_args, **_kwargs):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", fail)
        with pytest.raises(Unreachable, match="not known"):
            send(transport, origin)


def test_the_second_address_is_tried_when_the_first_refuses(transport, monkeypatch):
    with Origin() as closed:
        pass
    with Origin() as origin:
        lead_to(monkeypatch, closed.port, origin.port)
        assert transport.send(post("http://two.example/"), 5).status == 200


@contextmanager
def swallowing() -> Iterator[int]:
    """A port whose queue is full: whatever asks for a connection hears nothing."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        writable = [True]
        while writable:
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(server.getsockname())
            _, writable, _ = select.select([], [sock], [], 0.1)
        yield server.getsockname()[1]


def lead_to(monkeypatch, *ports: int) -> list[str]:
    """Have every name mean these ports of this machine; gives the names looked up, as they are."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]
    asked: list[str] = []

    def look_up(host, *_args, flags=0, **_kwargs):
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        asked.append(host.decode())
        return list(found)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def test_an_address_that_swallows_everything_leaves_time_for_the_next(make_transport, monkeypatch):
    with (
        swallowing() as deaf,
        Origin() as origin,
        make_transport(connect_timeout=0.4, environ={}) as transport,
    ):
        lead_to(monkeypatch, deaf, origin.port)
        assert transport.send(post("http://two.example/"), 60).status == 200
        lead_to(monkeypatch, deaf, deaf)
        with pytest.raises(Unreachable, match="no answer"):
            transport.send(post("http://deaf.example/"), 60)


def test_a_name_is_looked_up_once_for_many_connections(transport, monkeypatch):
    with Origin(ok(b"", "Connection: close")) as origin:
        asked = lead_to(monkeypatch, origin.port)
        for _ in range(5):
            assert transport.send(post("http://one.example/"), 5).status == 200
    assert asked == ["one.example"]
    assert origin.connections == 5


def test_ipv6(transport):
    with Origin(host="::1") as origin:
        assert send(transport, origin).status == 200
    assert origin.requests[0].header("host") == f"[::1]:{origin.port}"


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
        monkeypatch.setattr(http_connection.Connection, "_begin", _broken(times=1))
        assert send(transport, origin).body == b"second"
    assert len(origin.requests) == 2


def _broken(times: int):
    real = http_connection.Connection._begin

    def begin(self, payload):
        nonlocal times
        times -= 1
        if times >= 0:
            raise BrokenPipeError(32, "Broken pipe")
        return real(self, payload)

    return begin


def test_a_kept_connection_that_ends_after_the_request_left_is_not(transport):
    with Origin(ok(b"first"), [CLOSE], ok(b"third")) as origin:
        send(transport, origin)
        with pytest.raises(Unavailable, match="before an answer") as caught:
            send(transport, origin)
        assert caught.value.maybe_paid
        assert len(origin.requests) == 2
        assert send(transport, origin).body == b"third"


def test_threads_share_no_more_connections_than_allowed(make_transport):
    with (
        Origin([Pause(0.002), *ok()]) as origin,
        make_transport(connections=8, environ={}) as transport,
    ):
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


def test_waiting_for_a_connection_ends_at_the_deadline(make_transport):
    with Origin([Pause(30)]) as origin, make_transport(connections=1, environ={}) as transport:
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


def test_closing_leaves_no_connection_behind(make_transport):
    with Origin([Pause(0.2), *ok()]) as origin:
        transport = make_transport(environ={})
        thread = threading.Thread(target=send, args=(transport, origin))
        thread.start()
        while not origin.requests:
            time.sleep(0.005)
        transport.close()
        thread.join()
        while origin.open_connections:
            time.sleep(0.005)
