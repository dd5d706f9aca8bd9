"""The one door to the network: an HTTP request goes out, an HTTP answer comes back.

Bytes in, bytes out. Retries, credentials and JSON are not its business. Two ways lead through
the door: a lean HTTP/1.1 client over plain sockets for the usual case, several times cheaper
per call, and `requests` where a proxy has to be spoken to. Both raise the same errors.
"""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from ..clock import Clock
from ..errors import (
    DbrunError,
    Malformed,
    TimedOut,
    Unavailable,
    Unreachable,
    UserError,
)
from .environment import ca_bundle, proxy_for
from .http_connection import MAX_BODY, BadAnswer, TooLarge
from .http_message import (
    Address,
    HttpRequest,
    HttpResponse,
    UnknownEncoding,
    all_headers,
    decompressed,
    request_head,
)
from .http_pool import Pool, reason, untrusted

__all__ = ["HttpRequest", "HttpResponse", "Transport"]

_PIECE = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    """What one URL means, worked out once: its parts, and one of the two ways to reach it."""

    address: Address
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
        self._context: ssl.SSLContext | None = None
        self._proxied: _Proxied | None = None

    def __enter__(self) -> Transport:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
        if route.pool is not None:
            head = request_head(request, route.address)
            payload = head + request.body if request.body else head
            status, headers, body = self._exchange(route, route.pool, payload, deadline, timeout)
        else:
            status, headers, body = self._by_proxy(request, route, deadline, timeout)
        if "content-encoding" in headers:
            try:
                body = decompressed(body, headers["content-encoding"])
            except (BadAnswer, TooLarge, UnknownEncoding) as error:
                raise _translated(error, route.address, timeout, sent=True) from error
        return HttpResponse(status=status, headers=headers, body=body)

    def _exchange(
        self, route: _Route, pool: Pool, payload: bytes, deadline: float, timeout: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        """One exchange over a connection of *pool*."""
        while True:
            try:
                connection, reused = pool.take(deadline)
            except TimeoutError as error:
                raise _translated(error, route.address, timeout, sent=False) from error
            try:
                return connection.exchange(payload, deadline)
            except (OSError, BadAnswer, TooLarge) as error:
                # The one safe repetition: the server had hung up a connection kept from before
                # and never got the whole request. Once that has left whole, who knows; asking
                # again is then for the caller to decide.
                if reused and not connection.sent and not isinstance(error, TimeoutError):
                    continue
                raise _translated(error, route.address, timeout, connection.sent) from error
            finally:
                pool.give(connection)

    def _by_proxy(
        self, request: HttpRequest, route: _Route, deadline: float, timeout: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        with self._lock:
            if self._proxied is None:
                verify = self._verify
                if verify is True:
                    verify = ca_bundle(self._environ) or True
                self._proxied = _Proxied(
                    self._connections, verify, self._connect_timeout, self._now
                )
            proxied = self._proxied
        return proxied.send(request, route, deadline, timeout)

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
            route = _Route(address=address, pool=pool, proxy=proxy)
            if len(self._routes) >= 1000:  # URLs that hold row values are not worth keeping
                self._routes.clear()
            self._routes[url] = route
        return route

    def _tls(self) -> ssl.SSLContext:
        """The TLS settings, made once: reading the authorities takes longer than a call."""
        if self._context is None:
            self._context = _tls_context(self._verify, ca_bundle(self._environ))
        return self._context


def _tls_context(verify: bool | str, bundle: str | None) -> ssl.SSLContext:
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


def _translated(error: Exception, address: Address, timeout: float, sent: bool) -> DbrunError:
    """A failed exchange in the words of `dbrun.errors`."""
    where = address.authority
    if isinstance(error, TimeoutError):
        return TimedOut(f"no whole answer from {where} within {timeout:g} s", maybe_paid=sent)
    if isinstance(error, TooLarge):
        return Malformed(f"the answer of {where} exceeds {MAX_BODY >> 20} MiB", maybe_paid=True)
    if isinstance(error, UnknownEncoding):
        return Malformed(
            f"the answer of {where} is compressed as '{error}', which was not asked for",
            maybe_paid=True,
        )
    said = str(error) if isinstance(error, BadAnswer) else reason(error)
    return Unavailable(f"{where}: {said}", maybe_paid=sent)


class _Proxied:
    """The way through a proxy, spoken by `requests`.

    Its adapter is used without a session, which would follow redirects, keep cookies, and look
    up `.netrc` and the environment at each call. A proxy that drips the head of an answer can
    stretch the deadline; for the body the clock counts.
    """

    def __init__(
        self,
        connections: int,
        verify: bool | str,
        connect_timeout: float,
        now: Callable[[], float],
    ) -> None:
        from requests.adapters import HTTPAdapter

        self._adapter = HTTPAdapter(pool_maxsize=connections, pool_block=True, max_retries=0)
        self._verify = verify
        self._connect_timeout = connect_timeout
        self._now = now
        if not verify:  # it was asked for in the spec; no need to be told at each connection
            import urllib3

            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)

    def close(self) -> None:
        self._adapter.close()

    def send(
        self, request: HttpRequest, route: _Route, deadline: float, timeout: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send *request* through the proxy of *route*."""
        from requests import PreparedRequest, Request
        from requests.exceptions import RequestException
        from urllib3.exceptions import HTTPError

        request_head(request, route.address)  # what may not be sent is the same on both ways
        prepared: PreparedRequest = Request(
            request.method,
            request.url,
            headers=all_headers(request, route.address),
            data=request.body,
        ).prepare()
        response = None
        try:
            response = self._adapter.send(
                prepared,
                stream=True,
                timeout=(min(self._connect_timeout, timeout), timeout),
                verify=self._verify,
                proxies={route.address.scheme: route.proxy or ""},
            )
            said = {name.lower(): value for name, value in response.headers.items()}
            return response.status_code, said, self._body(response.raw, deadline)
        except (RequestException, HTTPError, OSError, TooLarge) as error:
            answered = response is not None
            raise _from_requests(error, route.address, timeout, answered) from error
        finally:
            if response is not None:
                response.close()

    def _body(self, raw: Any, deadline: float) -> bytes:
        """The body as it comes; each wait ends at *deadline*."""
        # urllib3 before 2 cannot read what there is; there, a small piece is the next best.
        read, size = (raw.read1, _PIECE) if hasattr(raw, "read1") else (raw.read, 1024)
        sock = getattr(raw.connection, "sock", None)
        pieces: list[bytes] = []
        room = MAX_BODY
        while True:
            left = deadline - self._now()
            if left <= 0:
                raise TimeoutError
            if sock is not None:
                sock.settimeout(left)
            piece = read(size, decode_content=False)
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            room -= len(piece)
            if room < 0:
                raise TooLarge


def _from_requests(
    error: Exception, address: Address, timeout: float, answered: bool
) -> DbrunError:
    """A failure below `requests` in the words of `dbrun.errors`."""
    from requests import exceptions as front
    from urllib3 import exceptions as below

    cause = _innermost(error)
    where = f"{address.authority} by way of the proxy"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return untrusted(address.authority, cause)
    if isinstance(error, (front.InvalidSchema, front.InvalidProxyURL)):
        return UserError(
            f"the proxy for {address.authority} cannot be used: {type(error).__name__}",
            "correct HTTPS_PROXY; SOCKS proxies need `pip install 'requests[socks]'`",
        )
    if isinstance(error, TooLarge):
        return _translated(error, address, timeout, sent=True)
    unconnected = (
        front.ConnectTimeout,
        front.ProxyError,
        front.SSLError,
    )
    if isinstance(error, unconnected) or isinstance(cause, below.NewConnectionError):
        return Unreachable(f"cannot connect to {where}: {reason(cause)}")
    if isinstance(error, (front.Timeout, TimeoutError, below.ReadTimeoutError)):
        return _translated(TimeoutError(), address, timeout, sent=True)
    return Unavailable(f"{where}: {reason(cause)}", maybe_paid=True)


def _innermost(error: BaseException) -> Exception:
    """The failure at the bottom of what `requests` and urllib3 wrapped around it."""
    seen = {id(error)}
    while True:
        inner = next(
            (
                cause
                for cause in (
                    getattr(error, "reason", None),
                    *error.args,
                    error.__cause__,
                    error.__context__,
                )
                if isinstance(cause, Exception) and id(cause) not in seen
            ),
            None,
        )
        if inner is None:
            return error if isinstance(error, Exception) else RuntimeError(str(error))
        seen.add(id(inner))
        error = inner
