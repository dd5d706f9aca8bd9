"""The kept-alive connections to one origin: made when needed, at most so many, last used first."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable

from ..errors import EndpointMissing, Unreachable
from .http_connection import Connection
from .http_errors import reason, untrusted

# The operating systems' codes for a name that does not exist, or has no address.
_NO_SUCH_NAME = {
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA") if hasattr(socket, name)
}


class Pool:
    """Connections to one host and port; thread-safe.

    *context* is None for plain HTTP. More threads than *size* wait for each other.
    """

    def __init__(
        self,
        host: str,
        port: int,
        context: ssl.SSLContext | None,
        *,
        size: int,
        connect_timeout: float,
        now: Callable[[], float],
    ) -> None:
        self._host = host
        self._port = port
        self._context = context
        self._size = size
        self._connect_timeout = connect_timeout
        self._now = now
        self._idle: list[Connection] = []
        self._open = 0
        self._closed = False
        self._reached = False
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._waiting = 0

    def take(self, deadline: float) -> tuple[Connection, bool]:
        """A connection for the caller alone, and whether it was used before.

        Give it back with `give`, whatever became of it.

        Raises:
            TimeoutError: no connection came free until *deadline*.
            Unreachable, EndpointMissing, RunError: a new one could not be made.
        """
        while (idle := self._idle_one(deadline)) is not None:
            # The last one used is the likeliest to be open still. The server may have hung up.
            if self._now() - idle.idle_since < idle.keep_for and idle.is_quiet():
                return idle, True
            idle.close()
            self.give(idle)
        try:
            return self._connect(deadline), False
        except BaseException:
            self._leave()
            raise

    def give(self, connection: Connection) -> None:
        """Take *connection* back: kept if another exchange may follow on it, else closed."""
        if connection.reusable:
            connection.idle_since = self._now()
            with self._lock:
                if not self._closed:
                    self._idle.append(connection)
                    if self._waiting:
                        self._room.notify()
                    return
        connection.close()
        self._leave()

    def close(self) -> None:
        """Close what is idle; what is in use is closed when it is given back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            self._open -= len(idle)
        for connection in idle:
            connection.close()

    def _idle_one(self, deadline: float) -> Connection | None:
        """An idle connection, or None with the right to open a new one."""
        with self._lock:
            while not self._idle:
                if self._open < self._size:
                    self._open += 1
                    return None
                self._waiting += 1
                came = self._room.wait(max(0.0, deadline - self._now()))
                self._waiting -= 1
                if not came:
                    raise TimeoutError
            return self._idle.pop()

    def _leave(self) -> None:
        with self._lock:
            self._open -= 1
            self._room.notify()

    def _connect(self, deadline: float) -> Connection:
        end = min(deadline, self._now() + self._connect_timeout)
        sock = self._connected(end)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _keep_alive(sock)
            if self._context is not None:
                sock.settimeout(max(0.001, end - self._now()))
                sock = self._context.wrap_socket(sock, server_hostname=self._host)
        except OSError as error:
            sock.close()
            raise self._refused(error) from error
        self._reached = True
        return Connection(sock, self._now)

    def _connected(self, end: float) -> socket.socket:
        """A TCP connection to the first address of the host that takes one."""
        try:
            addresses = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise self._unknown(error) from error
        refused = OSError("its name has no address")
        while addresses:
            family, kind, protocol, _, address = addresses.pop(0)
            # An address that swallows everything must not take the time of those after it.
            left = (end - self._now()) / (2 if addresses else 1)
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(max(0.001, left))
                sock.connect(address)
                return sock
            except OSError as error:
                sock.close()
                refused = error
        raise self._refused(refused) from refused

    def _unknown(self, error: Exception) -> Exception:
        """What a failed look-up of the host's name means."""
        missing = isinstance(error, UnicodeError) or (
            isinstance(error, socket.gaierror) and error.errno in _NO_SUCH_NAME
        )
        if missing and not self._reached:  # a name that was known a minute ago comes back
            return EndpointMissing(
                f"there is no host named '{self._host}'", "check its spelling, the network or VPN"
            )
        return Unreachable(f"the name '{self._host}' could not be looked up: {reason(error)}")

    def _refused(self, error: OSError) -> Exception:
        """What a connection that could not be made means."""
        where = f"{self._host}:{self._port}"
        if isinstance(error, ssl.SSLCertVerificationError):
            return untrusted(where, error)
        if isinstance(error, TimeoutError):
            return Unreachable(f"cannot connect to {where}: no answer to the connection")
        return Unreachable(f"cannot connect to {where}: {reason(error)}")


def _keep_alive(sock: socket.socket) -> None:
    """Have the system send probes on a silent connection.

    An answer may take ten minutes, and gateways forget a silent connection after four.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in (("TCP_KEEPIDLE", 45), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 6)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)
