"""The kept-alive connections to one origin: made when needed, at most so many, last used first."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...errors import EndpointMissing, Unreachable
from ..waiting import Aside, Gate, Readiness
from .connection import Connection
from .errors import is_untrusted, reason, untrusted

if TYPE_CHECKING:
    from ssl import SSLContext

_UNDER_WAY = {
    getattr(errno, name)
    for name in ("EINPROGRESS", "EWOULDBLOCK", "EAGAIN", "WSAEWOULDBLOCK")
    if hasattr(errno, name)
}
_FRESH = 10.0  # seconds for which the addresses of a host are not looked up again

# The operating systems' codes for a name that does not exist, or has no address.
_NO_SUCH_NAME = {
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA") if hasattr(socket, name)
}


class Pool:
    """Connections to one host and port; thread-safe.

    *context* is None for plain HTTP. More exchanges than *size* wait for each other.
    """

    def __init__(
        self,
        host: str,
        port: int,
        context: SSLContext | None,
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
        self._line: deque[Gate] = deque()
        self._addresses: list[Any] = []
        self._looked_up = 0.0

    async def take(self, deadline: float) -> tuple[Connection, bool]:
        """A connection for the caller alone, and whether it was used before.

        Give it back with `give`, whatever became of it.

        Raises:
            TimeoutError: no connection came free until *deadline*.
            Unreachable, EndpointMissing, RunError: a new one could not be made.
        """
        while (idle := await self._idle_one(deadline)) is not None:
            if self._is_open(idle):
                return idle, True
        try:
            return await self._connect(deadline), False
        except BaseException:
            self._leave()
            raise

    def take_idle(self) -> Connection | None:
        """`take` where a connection is at hand; None where there is none, or somebody waits."""
        with self._lock:
            if self._line or not self._idle:
                return None
            # The last one used is the likeliest to be open still.
            idle = self._idle.pop()
        return idle if self._is_open(idle) else None

    def _is_open(self, idle: Connection) -> bool:
        """Whether *idle* can be used; it is let go of if not: the server may have hung up."""
        if self._now() - idle.idle_since < idle.keep_for and idle.is_quiet():
            return True
        idle.close()
        self.give(idle)
        return False

    def give(self, connection: Connection) -> None:
        """Take *connection* back: kept if another exchange may follow on it, else closed."""
        if connection.reusable:
            connection.idle_since = self._now()
            with self._lock:
                if not self._closed:
                    self._idle.append(connection)
                    self._admit()
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

    async def _idle_one(self, deadline: float) -> Connection | None:
        """An idle connection, or None with the right to open a new one."""
        while True:
            with self._lock:
                if self._idle:
                    return self._idle.pop()
                if self._open < self._size:
                    self._open += 1
                    return None
                gate = Gate(max(0.0, deadline - self._now()))
                self._line.append(gate)
            let_on = False
            try:
                let_on = await gate
            finally:
                if not let_on:
                    self._step_aside(gate)
            if not let_on:
                raise TimeoutError

    def _step_aside(self, gate: Gate) -> None:
        """Leave the line; whoever was let on at this very moment lets the next on instead."""
        with self._lock:
            if gate in self._line:
                self._line.remove(gate)
            else:
                self._admit()

    def _leave(self) -> None:
        with self._lock:
            self._open -= 1
            self._admit()

    def _admit(self) -> None:
        """Have the first in line look again. Called with the lock held."""
        if self._line:
            self._line.popleft().open()

    async def _connect(self, deadline: float) -> Connection:
        end = min(deadline, self._now() + self._connect_timeout)
        sock = await self._connected(end)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _keep_alive(sock)
            if self._context is not None:
                from .tls import secured

                ready = Readiness(sock, self._now)
                ready.until = end
                secure = await secured(self._context, sock, self._host, ready)
                self._reached = True
                return Connection(secure, self._now)
        except OSError as error:
            sock.close()
            raise self._refused(error) from error
        except BaseException:
            sock.close()
            raise
        self._reached = True
        return Connection(sock, self._now)

    async def _connected(self, end: float) -> socket.socket:
        """A TCP connection to the first address of the host that takes one."""
        refused = OSError("its name has no address")
        addresses = await self._look_up()
        for number, (family, kind, protocol, _, address) in enumerate(addresses):
            # An address that swallows everything must not take the time of those after it.
            others = number + 1 < len(addresses)
            until = self._now() + (end - self._now()) / (2 if others else 1)
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setblocking(False)
                await self._opened(sock, address, until)
                return sock
            except OSError as error:
                sock.close()
                refused = error
            except BaseException:
                sock.close()
                raise
        raise self._refused(refused) from refused

    async def _opened(self, sock: socket.socket, address: Any, until: float) -> None:
        code = sock.connect_ex(address)
        if code in _UNDER_WAY:
            await self._ready(sock, until, writing=True)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))

    async def _ready(self, sock: socket.socket, until: float, *, writing: bool) -> None:
        ready = Readiness(sock, self._now)
        ready.until, ready.writing = until, writing
        if self._now() >= until or not await ready:
            raise TimeoutError

    async def _look_up(self) -> list[Any]:
        """The addresses of the host: asked for aside, for a name server may take its time."""
        if self._addresses and self._now() - self._looked_up < _FRESH:
            return self._addresses
        try:
            try:
                found = self._info(socket.AI_NUMERICHOST)
            except socket.gaierror:  # a name
                found = await Aside(self._info)
        except (OSError, UnicodeError) as error:
            raise self._unknown(error) from error
        self._addresses, self._looked_up = found, self._now()
        return found

    def _info(self, flags: int = 0) -> list[Any]:
        # Text would be encoded as IDNA, whose tables take a while to load, if it is ASCII or not.
        host = self._host.encode() if self._host.isascii() else self._host
        return list(socket.getaddrinfo(host, self._port, type=socket.SOCK_STREAM, flags=flags))

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
        if is_untrusted(error):
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
