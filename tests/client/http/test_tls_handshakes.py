"""TLS whose handshake goes wrong half-way, and large bodies over many connections at once."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable

import pytest
from fakes.certificates import Certificates, make_certificates
from fakes.driving import all_looping
from fakes.origin import CLOSE, RESET, Drip, Early, Origin, Pause, ok
from fakes.sending import post

from dbrun.client.transport import Transport
from dbrun.errors import TimedOut, Unavailable, Unreachable

HELLO = 1 << 14  # more bytes than a client says hello with


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


class Halting(Origin):
    """A server that begins a handshake: so many bytes of its first flight, then what *then* says.

    Without *upto* it finishes it and answers one request, all of it byte by byte.
    """

    def __init__(self, context: ssl.SSLContext, upto: int | None, *then: object) -> None:
        super().__init__()
        self._context, self._upto, self._then = context, upto, then

    def url(self, path: str = "/", scheme: str | None = None) -> str:
        return super().url(path, "https")

    def converse(self, sock: socket.socket, number: int) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = self._context.wrap_bio(incoming, outgoing, server_side=True)

        def done(step: Callable[[], object]) -> object:
            """What *step* gives once enough has come; what it says leaves byte by byte."""
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    self._perform(sock, [Drip(outgoing.read(), 0.0002)])
                    incoming.write(sock.recv(HELLO))

        if self._upto is not None:
            incoming.write(sock.recv(HELLO))
            with pytest.raises(ssl.SSLWantReadError):
                server.do_handshake()
            self._perform(sock, [outgoing.read(self._upto), *self._then])
            return
        done(server.do_handshake)
        if done(lambda: server.read(HELLO)):
            server.write(ok(b"over dripped TLS")[0])
            self._perform(sock, [Drip(outgoing.read(), 0.0002)])


@pytest.fixture
def transport(make_transport, made):
    with make_transport(verify=made.authority, environ={}, connect_timeout=10) as transport:
        yield transport


@pytest.mark.parametrize("upto", [0, 1, 100, 600])
def test_a_handshake_that_stalls_is_given_up(make_transport, made, upto) -> None:
    with (
        Halting(made.server, upto, Pause(30)) as origin,
        make_transport(verify=made.authority, environ={}, connect_timeout=0.2) as transport,
    ):
        with pytest.raises(Unreachable, match="no answer") as caught:
            transport.send(post(origin.url()), 20)
        assert not caught.value.maybe_paid
        (pool,) = transport._pools.values()
        assert pool._open == 0


@pytest.mark.parametrize("end", [CLOSE, RESET], ids=["closed", "reset"])
@pytest.mark.parametrize("upto", [0, 1, 100, 600])
def test_a_server_that_hangs_up_within_the_handshake(transport, made, upto, end) -> None:
    with Halting(made.server, upto, Pause(0.01), end) as origin:
        with pytest.raises(Unreachable, match=r"TLS failed|connection") as caught:
            transport.send(post(origin.url()), 20)
        assert not caught.value.maybe_paid
        assert f"127.0.0.1:{origin.port}" in caught.value.message
        (pool,) = transport._pools.values()
        assert pool._open == 0


@pytest.mark.parametrize("end", [CLOSE, RESET], ids=["closed", "reset"])
def test_a_server_that_hangs_up_after_the_handshake(transport, made, end) -> None:
    """Whether the request had left by then is told by chance, and believed."""
    with Origin([end], tls=made.server) as origin:
        with pytest.raises(Unavailable):
            transport.send(post(origin.url()), 20)


def test_a_handshake_in_drips(transport, made) -> None:
    with Halting(made.server, None) as origin:
        assert transport.send(post(origin.url()), 20).body == b"over dripped TLS"


def test_a_handshake_that_stalls_holds_up_nobody_else(made) -> None:
    with (
        Halting(made.server, 100, Pause(30)) as deaf,
        Origin(ok(b"hello"), tls=made.server) as origin,
        Transport(verify=made.authority, environ={}, connect_timeout=1) as transport,
    ):
        order: list[str] = []

        async def stalled() -> None:
            with pytest.raises(Unreachable):
                await transport.exchange(post(deaf.url()), 20)
            order.append("stalled")

        async def working() -> None:
            for _ in range(5):
                answer = await transport.exchange(post(origin.url()), 20)
                assert answer.body == b"hello"
            order.append("worked")

        all_looping([stalled(), *[working() for _ in range(4)]])
    assert order == ["worked"] * 4 + ["stalled"]


@pytest.mark.parametrize("tls", [True, False], ids=["tls", "plain"])
def test_large_bodies_over_many_connections_at_once(made, tls) -> None:
    body = bytes(range(256)) * 4096  # a million bytes each way
    with (
        Origin(ok(body), tls=made.server if tls else None) as origin,
        Transport(verify=made.authority, environ={}, connections=6) as transport,
    ):

        async def work(number: int) -> bool:
            sent = bytes([number]) + body
            answer = await transport.exchange(post(origin.url(), sent), 60)
            return answer.body == body

        assert all_looping([work(number) for number in range(12)]) == [True] * 12
        assert sorted(request.body[0] for request in origin.requests) == list(range(12))
        assert all(request.body[1:] == body for request in origin.requests)
        assert origin.connections <= 6


def test_the_deadline_holds_within_a_large_request(transport, made) -> None:
    """A server that stops reading: nothing was paid, for the request never left whole."""
    with Origin(ok(), Early([Pause(30)]), tls=made.server) as origin:
        transport.send(post(origin.url()), 20)  # so that it is connected
        with pytest.raises(TimedOut) as caught:
            transport.send(post(origin.url(), b"x" * 30_000_000), 0.5)
    assert not caught.value.maybe_paid
