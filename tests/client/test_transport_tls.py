"""TLS of the transport: what is trusted, by whose word, and what is said if it is not."""

from __future__ import annotations

import time

import pytest
from fakes.certificates import make_certificates
from fakes.origin import CLOSE, Drip, Origin, Pause, ok

from dbrun.client.transport import HttpRequest, HttpResponse, Transport
from dbrun.errors import EndpointError, RunError, TimedOut, Unavailable, Unreachable, UserError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def tls(made):
    return made.server


@pytest.fixture
def transport(make_transport, made):
    """One that trusts the private authority."""
    with make_transport(verify=made.authority, environ={}) as transport:
        yield transport


def ask(transport: Transport, url: str, timeout: float = 5, body: bytes = b"{}") -> HttpResponse:
    return transport.send(HttpRequest(method="POST", url=url, headers={}, body=body), timeout)


def test_a_private_authority_is_trusted_when_named(transport, tls):
    with Origin(ok(b"hello"), tls=tls) as origin:
        for _ in range(20):
            assert ask(transport, origin.url()).body == b"hello"
    assert origin.connections == 1


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_private_authority_is_trusted_when_the_environment_names_it(
    make_transport, made, tls, variable
):
    environ = {variable: made.authority}
    with Origin(tls=tls) as origin, make_transport(environ=environ) as transport:
        assert ask(transport, origin.url()).status == 200


def test_a_folder_of_authorities(make_transport, made, tls):
    with Origin(tls=tls) as origin, make_transport(verify=made.folder, environ={}) as transport:
        assert ask(transport, origin.url()).status == 200


@pytest.mark.parametrize("elsewhere", [{}, {"REQUESTS_CA_BUNDLE": ""}])
def test_nothing_else_is_trusted(make_transport, tls, elsewhere):
    with Origin(tls=tls) as origin, make_transport(environ=elsewhere) as transport:
        with pytest.raises(RunError) as caught:
            ask(transport, origin.url())
        assert not isinstance(caught.value, EndpointError)
        assert f"certificate of 127.0.0.1:{origin.port} is not trusted" in caught.value.message
        assert "REQUESTS_CA_BUNDLE" in caught.value.hint
        assert "`verify`" in caught.value.hint
        assert not origin.requests


def test_a_path_in_the_spec_beats_the_environment(make_transport, made, tls):
    import certifi

    with Origin(tls=tls) as origin:
        environ = {"REQUESTS_CA_BUNDLE": made.authority}
        with (
            make_transport(verify=certifi.where(), environ=environ) as transport,
            pytest.raises(RunError, match="not trusted"),
        ):
            ask(transport, origin.url())


def test_the_name_must_fit(transport, tls):
    with Origin(tls=tls) as origin, pytest.raises(RunError, match="mismatch"):
        ask(transport, origin.url().replace("127.0.0.1", "localhost"))


def test_verify_false_trusts_everybody(make_transport, tls):
    environ = {"REQUESTS_CA_BUNDLE": "/no/such/file"}
    with Origin(tls=tls) as origin, make_transport(verify=False, environ=environ) as transport:
        assert ask(transport, origin.url()).status == 200


@pytest.mark.parametrize("name", ["absent.pem", "empty.pem"])
def test_authorities_that_cannot_be_read(make_transport, tmp_path, tls, name):
    (tmp_path / "empty.pem").write_text("no certificate")
    path = str(tmp_path / name)
    with Origin(tls=tls) as origin, make_transport(verify=path, environ={}) as transport:
        with pytest.raises(UserError, match="cannot be read") as caught:
            ask(transport, origin.url())
        assert path in caught.value.message


def test_tls_to_a_server_that_speaks_plain_http(transport):
    class Plain(Origin):
        def converse(self, sock, number):
            sock.recv(10)
            sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            sock.recv(65536)

    with Plain() as origin, pytest.raises(Unreachable, match="plain http") as caught:
        ask(transport, origin.url(scheme="https"))
    assert not caught.value.maybe_paid


def test_plain_http_to_a_server_that_speaks_tls(transport, tls):
    with Origin(tls=tls) as origin, pytest.raises(Unavailable):
        ask(transport, origin.url(scheme="http"))


def test_a_server_that_never_shakes_hands(make_transport):
    with (
        Origin([Pause(30)]) as origin,
        make_transport(connect_timeout=0.2, environ={}) as transport,
    ):
        started = time.monotonic()
        with pytest.raises(Unreachable):
            ask(transport, origin.url(scheme="https"), timeout=20)
        assert time.monotonic() - started < 5


def test_the_deadline_is_by_the_clock_over_tls(transport, tls):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n"
    with Origin([head, Drip(b"x" * 400, 0.02)], tls=tls) as origin:
        started = time.monotonic()
        with pytest.raises(TimedOut) as caught:
            ask(transport, origin.url(), 0.3)
        assert time.monotonic() - started < 5
    assert caught.value.maybe_paid


def test_answers_cut_short_over_tls(transport, tls):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n"
    with Origin([head + b"xyz", CLOSE], ok(), tls=tls) as origin:
        with pytest.raises(Unavailable) as caught:
            ask(transport, origin.url())
        assert caught.value.maybe_paid
        assert ask(transport, origin.url()).status == 200


def test_large_bodies_over_tls(transport, tls):
    body = bytes(range(256)) * 8_000
    with Origin(ok(body), tls=tls) as origin:
        for _ in range(2):
            assert ask(transport, origin.url(), 20, body).body == body
    assert [request.body == body for request in origin.requests] == [True, True]
    assert origin.connections == 1


def test_a_connection_closed_while_idle_is_replaced_over_tls(transport, tls):
    with Origin([*ok(b"a"), CLOSE], tls=tls) as origin:
        for count in (1, 2, 3):
            assert ask(transport, origin.url()).body == b"a"
            time.sleep(0.05)
            assert origin.connections == count
