"""The one door to the network: an HTTP request goes out, an HTTP answer comes back.

Bytes in, bytes out. Retries, credentials and JSON are not its business. Two ways lead through
the door: a lean HTTP/1.1 client over plain sockets for the usual case, several times cheaper
per call, and `requests` where a proxy has to be spoken to. Both raise the same errors.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..clock import Clock
from ..frozen import frozen
from .http.environment import ca_bundle, proxy_for
from .http.errors import translated
from .http.framing import BadAnswer, TooLarge
from .http.message import (
    Address,
    Heads,
    HttpRequest,
    HttpResponse,
    UnknownEncoding,
    decompressed,
)
from .http.pool import Pool
from .http.proxied import ProxiedClient
from .waiting import Aside, blocking

if TYPE_CHECKING:
    from ssl import SSLContext

    from .http.stream import HttpStream, SocketSource, Source

__all__ = ["HttpRequest", "HttpResponse", "Transport"]


@frozen
class _Route:
    """What one URL means, worked out once: its parts, and one of the two ways to reach it."""

    address: Address
    heads: Heads
    pool: Pool | None
    proxy: str | None


class Transport:
    """Sends requests. Thread-safe; opens at most *connections* connections to one origin.

    *verify* is True (the system's authorities and certifi's, or instead those that
    `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE` or `SSL_CERT_FILE` names), False (no check), or a
    path. *environ* also names the proxies. *connect_timeout* is in seconds. Redirects are never
    followed and `.netrc` is never read.
    """

    def __init__(
        self,
        *,
        connections: int = 64,
        verify: bool | str = True,
        environ: Mapping[str, str] = os.environ,
        connect_timeout: float = 10.0,
        clock: Clock | None = None,
    ) -> None:
        self._connections = connections
        self._verify = verify
        self._environ = environ
        self._connect_timeout = connect_timeout
        self._now = (clock or Clock()).now
        self._lock = threading.Lock()
        self._routes: dict[str, _Route] = {}
        self._pools: dict[tuple[str, str, int], Pool] = {}
        self._context: SSLContext | None = None
        self._proxied: ProxiedClient | None = None

    def __enter__(self) -> Transport:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections: idle ones now, those in use when their answer is there."""
        with self._lock:
            pools, self._pools, self._routes = list(self._pools.values()), {}, {}
            proxied, self._proxied = self._proxied, None
        for pool in pools:
            pool.close()
        if proxied is not None:
            proxied.close()

    def send(self, request: HttpRequest, timeout: float) -> HttpResponse:
        """What `exchange` gives, waited for in this thread."""
        return blocking(self.exchange(request, timeout))

    async def exchange(self, request: HttpRequest, timeout: float) -> HttpResponse:
        """Send *request* once and wait for the whole answer, at most *timeout* seconds by the
        clock, of which connecting takes at most `connect_timeout`.

        Raises:
            Unreachable: no connection could be made; nothing was sent.
            Unavailable: the connection failed, or the answer was cut short or no HTTP.
            TimedOut: no whole answer in time.
            Malformed: the answer is too large, or in an unknown encoding.
            EndpointMissing: there is no such host.
            RunError: the server's certificate is not trusted.
            UserError: the URL, a header or the proxy cannot be used.
        """
        deadline = self._now() + timeout
        route = self._routes.get(request.url) or self._route(request.url)
        head = route.heads.of(request)
        if route.pool is not None:
            payload = head + request.body if request.body else head
            status, headers, body = await self._over(route, route.pool, payload, deadline, timeout)
        else:
            client = self._proxied_client()
            proxy, address = route.proxy or "", route.address
            status, headers, body = await Aside(
                lambda: client.send(request, address, proxy, deadline, timeout)
            )
        if "content-encoding" in headers:
            try:
                body = decompressed(body, headers["content-encoding"])
            except (BadAnswer, TooLarge, UnknownEncoding) as error:
                raise translated(error, route.address, timeout, sent=True) from error
        return HttpResponse(status=status, headers=headers, body=body)

    async def stream(self, request: HttpRequest, timeout: float) -> HttpStream:
        """Send *request* once and give its answer as soon as the head is there; reading the body
        takes what remains of the *timeout*. Raises as `exchange`.
        """
        from .http.stream import HttpStream

        deadline = self._now() + timeout
        route = self._routes.get(request.url) or self._route(request.url)
        source: Source
        if route.pool is not None:
            head = route.heads.of(request)
            payload = head + request.body if request.body else head
            status, headers, source = await self._begun(
                route, route.pool, payload, deadline, timeout
            )
        else:
            client = self._proxied_client()
            proxy, address = route.proxy or "", route.address
            status, headers, source = await Aside(
                lambda: client.begin(request, address, proxy, deadline, timeout)
            )
        return HttpStream(
            status, headers, source, address=route.address, timeout=timeout, now=self._now
        )

    async def _begun(
        self, route: _Route, pool: Pool, payload: bytes, deadline: float, timeout: float
    ) -> tuple[int, Mapping[str, str], SocketSource]:
        """The head of an answer that comes over a connection of *pool*."""
        from .http.stream import SocketSource

        while True:
            try:
                connection, reused = await pool.take(deadline)
            except TimeoutError as error:
                raise translated(error, route.address, timeout, sent=False) from error
            try:
                status, headers, data = await connection.begin(payload, deadline)
                return status, headers, SocketSource(connection, pool, status, headers, data)
            except (OSError, BadAnswer) as error:
                pool.give(connection)
                if reused and not connection.sent and not isinstance(error, TimeoutError):
                    continue  # as in `_over`
                raise translated(error, route.address, timeout, connection.sent) from error
            except BaseException:
                pool.give(connection)
                raise

    async def _over(
        self, route: _Route, pool: Pool, payload: bytes, deadline: float, timeout: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One exchange over a connection of *pool*."""
        while True:
            try:
                idle = pool.take_idle()
                connection, reused = (idle, True) if idle else await pool.take(deadline)
            except TimeoutError as error:
                raise translated(error, route.address, timeout, sent=False) from error
            try:
                return await connection.exchange(payload, deadline)
            except (OSError, BadAnswer, TooLarge) as error:
                # The one safe repetition: the server had hung up a connection kept from before
                # and never got the whole request. Once that has left whole, who knows; asking
                # again is then for the caller to decide.
                if reused and not connection.sent and not isinstance(error, TimeoutError):
                    continue
                raise translated(error, route.address, timeout, connection.sent) from error
            finally:
                pool.give(connection)

    def _proxied_client(self) -> ProxiedClient:
        with self._lock:
            if self._proxied is None:
                verify = self._verify
                if verify is True:
                    verify = ca_bundle(self._environ) or True
                self._proxied = ProxiedClient(
                    self._connections, verify, self._connect_timeout, self._now
                )
            return self._proxied

    def _route(self, url: str) -> _Route:
        """Find out what *url* means, and remember it."""
        address = Address.of(url)
        scheme, host, port = origin = (address.scheme, address.host, address.port)
        proxy = proxy_for(scheme, host, port, self._environ)
        with self._lock:
            pool = self._pools.get(origin)
            if pool is None and proxy is None:
                pool = self._pools[origin] = Pool(
                    host,
                    port,
                    self._tls() if scheme == "https" else None,
                    size=self._connections,
                    connect_timeout=self._connect_timeout,
                    now=self._now,
                )
            route = _Route(address=address, heads=Heads(address), pool=pool, proxy=proxy)
            if len(self._routes) >= 1000:  # URLs that hold row values are not worth keeping
                self._routes.clear()
            self._routes[url] = route
        return route

    def _tls(self) -> SSLContext:
        """The TLS settings, made once: reading the authorities takes longer than a call."""
        if self._context is None:
            from .http.tls import tls_context

            self._context = tls_context(self._verify, ca_bundle(self._environ))
        return self._context
