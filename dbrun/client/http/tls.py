"""TLS for the lean client; imported when the first https address is called."""

from __future__ import annotations

import os
import socket
import ssl

from ...errors import UserError
from ..waiting import Readiness
from .errors import reason


class TlsSocket:
    """A TLS connection with the manners of a plain socket that does not block: what must wait
    raises `BlockingIOError`, whatever the protocol waits for."""

    __slots__ = ("_sock", "close", "fileno", "setblocking")

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._sock = sock
        self.close = sock.close
        self.fileno = sock.fileno
        self.setblocking = sock.setblocking

    def send(self, data: bytes | memoryview) -> int:
        """As `socket.send`."""
        try:
            return self._sock.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def recv(self, size: int) -> bytes:
        """As `socket.recv`."""
        try:
            return self._sock.recv(size)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None


async def secured(
    context: ssl.SSLContext, sock: socket.socket, host: str, ready: Readiness
) -> TlsSocket:
    """TLS over *sock*, hands shaken before the time that *ready* waits until.

    Raises:
        OSError: the handshake failed; *sock* is closed.
        TimeoutError: it took too long.
    """
    wrapped = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
    ready.sock = wrapped
    try:
        while True:
            try:
                wrapped.do_handshake()
                return TlsSocket(wrapped)
            except ssl.SSLWantReadError:
                ready.writing = False
            except ssl.SSLWantWriteError:
                ready.writing = True
            if not await ready:
                raise TimeoutError
    except BaseException:
        wrapped.close()
        raise


def tls_context(verify: bool | str, bundle: str | None) -> ssl.SSLContext:
    """The settings of TLS: the authorities in *verify* or *bundle* if these are paths, else the
    system's and certifi's; none are asked if *verify* is False.

    Raises:
        UserError: if the authorities cannot be read.
    """
    path = verify if isinstance(verify, str) else bundle if verify else None
    try:
        if path is not None:
            folder = os.path.isdir(path)
            context = ssl.create_default_context(
                cafile=None if folder else path, capath=path if folder else None
            )
        else:
            context = ssl.create_default_context()
            if verify:  # slim images have no authorities of their own
                import certifi

                context.load_verify_locations(certifi.where())
    except OSError as error:
        raise UserError(
            f"the certificate authorities in '{path}' cannot be read: {reason(error)}",
            "correct `verify` of the endpoint, or REQUESTS_CA_BUNDLE",
        ) from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
