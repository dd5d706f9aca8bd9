"""The way through a proxy: a forwarding one for http, a tunnelling one for https."""

from __future__ import annotations

import base64
import contextlib
import gzip
import socket
import threading
import time

import pytest
from fakes.certificates import make_certificates
from fakes.origin import CLOSE, RESET, Drip, Origin, Pause, ok

from dbrun.client.transport import HttpRequest, Transport
from dbrun.errors import Malformed, RunError, TimedOut, Unavailable, Unreachable, UserError

HEAD = b"HTTP/1.1 200 OK\r\n"


class Tunnel(Origin):
    """A proxy that understands CONNECT only, and passes bytes on."""

    answer = b"HTTP/1.1 200 Connection established\r\n\r\n"

    def converse(self, sock, number):
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(65536)
        self.heads.append(head.decode())
        sock.sendall(self.answer)
        if b" 200 " not in self.answer:
            return
        host, _, port = head.split()[1].decode().rpartition(":")
        with socket.create_connection((host, int(port))) as far:
            back = threading.Thread(target=_pump, args=(far, sock))
            back.start()
            _pump(sock, far)
            back.join()

    def __init__(self):
        self.heads: list[str] = []
        super().__init__()


def _pump(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("tls"))


def post(url: str, body: bytes | None = b"{}", **headers: str) -> HttpRequest:
    return HttpRequest(method="POST", url=url, headers=headers, body=body)


def through(proxy: Origin, **settings) -> Transport:
    url = f"http://user:hush@127.0.0.1:{proxy.port}"
    return Transport(environ={"http_proxy": url, "https_proxy": url}, **settings)


def test_http_goes_through_a_forwarding_proxy():
    with Origin(ok(b"from the proxy", "X-A: 1", "X-A: 2")) as proxy, through(proxy) as transport:
        for _ in range(3):
            answer = transport.send(post("http://far.example/a%2Fb?c", **{"X-Own": "1"}), 5)
    assert (answer.status, answer.body) == (200, b"from the proxy")
    assert answer.headers["x-a"] == "1, 2"
    got = proxy.requests[0]
    assert got.lines[0] == "POST http://far.example/a%2Fb?c HTTP/1.1"
    assert got.header("host") == "far.example"
    assert got.header("x-own") == "1"
    assert got.header("user-agent").startswith("dbrun/")
    assert got.header("accept-encoding") == "identity"
    assert got.header("proxy-authorization") == "Basic " + base64.b64encode(b"user:hush").decode()
    assert got.body == b"{}"
    assert proxy.connections == 1


def test_https_goes_through_a_tunnel(made):
    with (
        Origin(ok(b"far away"), tls=made.server) as origin,
        Tunnel() as proxy,
        through(proxy, verify=made.authority) as transport,
    ):
        for _ in range(2):
            assert transport.send(post(origin.url("/x"), b"body"), 5).body == b"far away"
    assert proxy.heads[0].startswith(f"CONNECT 127.0.0.1:{origin.port} HTTP/1.")
    assert origin.requests[0].lines[0] == "POST /x HTTP/1.1"
    assert origin.requests[0].header("proxy-authorization") is None
    assert origin.requests[0].body == b"body"
    assert len(proxy.heads) == 1


def test_certificates_count_behind_a_proxy_too(made):
    with (
        Origin(tls=made.server) as origin,
        Tunnel() as proxy,
        through(proxy) as transport,
    ):
        with pytest.raises(RunError, match="not trusted") as caught:
            transport.send(post(origin.url()), 5)
            assert "REQUESTS_CA_BUNDLE" in caught.value.hint
        environ = {"https_proxy": proxy.url(), "REQUESTS_CA_BUNDLE": made.authority}
        with Transport(environ=environ) as transport:
            assert transport.send(post(origin.url()), 5).status == 200
        with through(proxy, verify=False) as transport:
            assert transport.send(post(origin.url()), 5).status == 200


def test_hosts_in_no_proxy_are_reached_directly():
    with Origin() as origin, Origin() as proxy:
        environ = {"http_proxy": proxy.url(), "no_proxy": "127.0.0.0/8"}
        with Transport(environ=environ) as transport:
            assert transport.send(post(origin.url()), 5).status == 200
    assert (origin.connections, proxy.connections) == (1, 0)


def test_nothing_is_looked_up_in_the_process(monkeypatch, tmp_path):
    with Origin() as origin, Origin() as proxy:
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password hush\n")
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        monkeypatch.setenv("HTTP_PROXY", proxy.url())
        with Transport(environ={}) as transport:
            transport.send(post(origin.url(), Authorization="Bearer mine"), 5)
        with Transport(environ={"http_proxy": proxy.url()}) as transport:
            transport.send(post("http://127.0.0.1:1/", Authorization="Bearer mine"), 5)
    assert origin.requests[0].header("authorization") == "Bearer mine"
    assert proxy.requests[0].header("authorization") == "Bearer mine"


def test_neither_redirects_nor_cookies_are_followed():
    moved = ok(b"", "Location: http://other.example/", "Set-Cookie: a=b", status="307 Moved")
    with Origin(moved) as proxy, through(proxy) as transport:
        assert transport.send(post("http://far.example/"), 5).status == 307
        transport.send(post("http://far.example/"), 5)
    assert len(proxy.requests) == 2
    assert proxy.requests[1].header("cookie") is None


def test_chunked_and_packed_answers_come_through():
    packed = gzip.compress(b"worth packing")
    chunked = [
        HEAD + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed)
    ]
    with Origin(chunked) as proxy, through(proxy) as transport:
        for _ in range(2):
            assert transport.send(post("http://far.example/"), 5).body == b"worth packing"
    assert proxy.connections == 1


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([CLOSE], id="closed"),
        pytest.param([RESET], id="reset"),
        pytest.param([b"garbage\r\n\r\n", CLOSE], id="garbage"),
        pytest.param([HEAD + b"Content-Length: 9\r\n\r\nabc", CLOSE], id="cut short"),
        pytest.param([HEAD + b"Content-Length: 9\r\n\r\nabc", Pause(0.01), RESET], id="body reset"),
        pytest.param(
            [HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc", CLOSE], id="chunk cut short"
        ),
        pytest.param(
            [HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\nabc", CLOSE], id="no chunk size"
        ),
    ],
)
def test_answers_that_are_none_may_have_been_paid_for(steps):
    with (
        Origin(steps) as proxy,
        through(proxy) as transport,
        pytest.raises(Unavailable) as caught,
    ):
        transport.send(post("http://far.example/"), 5)
    assert caught.value.maybe_paid
    assert not isinstance(caught.value, Unreachable)
    assert "far.example" in caught.value.message
    assert len(proxy.requests) == 1


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([Pause(30)], id="no answer"),
        pytest.param([HEAD + b"Content-Length: 9\r\n\r\nabc", Pause(30)], id="body stalls"),
        pytest.param(
            [HEAD + b"Content-Length: 500\r\n\r\n", Drip(b"x" * 500, 0.02)], id="body drips"
        ),
    ],
)
def test_the_deadline_is_by_the_clock(steps):
    with Origin(steps) as proxy, through(proxy) as transport:
        started = time.monotonic()
        with pytest.raises(TimedOut, match=r"within 0\.3 s") as caught:
            transport.send(post("http://far.example/"), 0.3)
        assert time.monotonic() - started < 5
    assert caught.value.maybe_paid


def test_answers_beyond_all_measure_are_refused(monkeypatch):
    monkeypatch.setattr("dbrun.client.http.proxied.MAX_BODY", 100)
    with (
        Origin(ok(b"x" * 101)) as proxy,
        through(proxy) as transport,
        pytest.raises(Malformed, match="exceeds"),
    ):
        transport.send(post("http://far.example/"), 5)


def test_proxies_that_are_not_there():
    with Origin() as proxy:
        pass
    with through(proxy) as transport:
        for url in ("http://far.example/", "https://far.example/"):
            with pytest.raises(Unreachable, match="connection refused") as caught:
                transport.send(post(url), 5)
            assert not caught.value.maybe_paid
            assert "hush" not in str(caught.value)


def test_tunnels_that_are_refused():
    class Closed(Tunnel):
        answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"

    with (
        Closed() as proxy,
        through(proxy) as transport,
        pytest.raises(Unreachable, match="407") as caught,
    ):
        transport.send(post("https://far.example/"), 5)
    assert not caught.value.maybe_paid


@pytest.mark.parametrize("proxy", ["socks5://user:hush@127.0.0.1:1", "http://", "nonsense://x"])
def test_proxies_that_cannot_be_used(proxy):
    with (
        Transport(environ={"all_proxy": proxy}) as transport,
        pytest.raises(UserError, match="proxy") as caught,
    ):
        transport.send(post("http://far.example/"), 5)
    assert "hush" not in str(caught.value)


def test_headers_cannot_smuggle_lines_through_a_proxy():
    with Origin() as proxy, through(proxy) as transport:
        with pytest.raises(UserError, match="line break"):
            transport.send(post("http://far.example/", **{"X-A": "1\r\nX-B: 2"}), 5)
        assert proxy.connections == 0
