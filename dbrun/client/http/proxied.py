"""The way through a proxy, spoken by `requests`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ...errors import DbrunError, Unavailable, Unreachable, UserError
from ..waiting import Aside
from .errors import is_untrusted, reason, translated, untrusted
from .framing import MAX_BODY, BadAnswer, TooLarge
from .message import Address, HttpRequest, all_headers

_PIECE = 64 * 1024
_NO_TUNNEL = "Tunnel connection failed"  # as http.client says it, before anything of ours is sent


class ProxiedClient:
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
        """Close the connections."""
        self._adapter.close()

    def send(
        self, request: HttpRequest, address: Address, proxy: str, deadline: float, timeout: float
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send *request* to *address* through *proxy*: status, headers, body as it came."""
        status, headers, body = self.begin(request, address, proxy, deadline, timeout)
        pieces = []
        room = MAX_BODY
        try:
            while piece := body.piece():
                pieces.append(piece)
                room -= len(piece)
                if room < 0:
                    raise translated(TooLarge(), address, timeout, sent=True)
        finally:
            body.close()
        return status, headers, b"".join(pieces)

    def begin(
        self, request: HttpRequest, address: Address, proxy: str, deadline: float, timeout: float
    ) -> tuple[int, Mapping[str, str], ProxiedBody]:
        """Send *request* to *address* through *proxy*: status, headers, and the body to come."""
        from requests import PreparedRequest, Request

        prepared: PreparedRequest = Request(
            request.method,
            request.url,
            headers=all_headers(request, address),
            data=request.body,
        ).prepare()
        with said_plainly(address, timeout):
            response = self._adapter.send(
                prepared,
                stream=True,
                timeout=(min(self._connect_timeout, timeout), timeout),
                verify=self._verify,
                proxies={address.scheme: proxy},
            )
        said = {name.lower(): value for name, value in response.headers.items()}
        body = ProxiedBody(response, address, deadline, timeout, self._now)
        return response.status_code, said, body


class ProxiedBody:
    """The body of an answer that came through a proxy, as it comes; each wait ends at *deadline*.

    It is read from below urllib3, whose older versions neither give what there is nor notice
    that something is missing. The connection is kept if nothing is.
    """

    def __init__(
        self,
        response: Any,
        address: Address,
        deadline: float,
        timeout: float,
        now: Callable[[], float],
    ) -> None:
        self.deadline = deadline
        self._response = response
        self._raw = response.raw
        self._answer = response.raw._original_response
        self._sock = getattr(response.raw.connection, "sock", None)
        self._missing = None if self._answer.chunked else self._answer.length
        self._address = address
        self._timeout = timeout
        self._now = now

    async def read(self) -> bytes:
        """As `Source.read`."""
        return await Aside(self.piece)

    def piece(self) -> bytes:
        """The next bytes; none at the end. Raises an error of `dbrun.errors`."""
        with said_plainly(self._address, self._timeout):
            return self._piece()

    def close(self) -> None:
        """Let go of the connection."""
        self._response.close()

    def _piece(self) -> bytes:
        if self._missing == 0:
            return self._end()
        left = self.deadline - self._now()
        if left <= 0:
            raise TimeoutError
        if self._sock is not None:
            self._sock.settimeout(left)
        piece: bytes = self._answer.read1(
            _PIECE if self._missing is None else min(_PIECE, self._missing)
        )
        if self._missing is not None:
            self._missing -= len(piece)
        if not piece:
            if self._missing:
                raise BadAnswer("the connection was closed within the body of the answer")
            return self._end()
        return piece

    def _end(self) -> bytes:
        self._answer.close()
        self._raw.release_conn()
        return b""


@contextmanager
def said_plainly(address: Address, timeout: float, by_proxy: bool = True) -> Iterator[None]:
    """Failures below `requests` become errors of `dbrun.errors`."""
    from http.client import HTTPException

    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    try:
        yield
    except BadAnswer as error:
        raise translated(error, address, timeout, sent=True) from error
    except (RequestException, HTTPError, HTTPException, OSError) as error:
        raise _from_requests(error, address, timeout, by_proxy) from error


def _from_requests(
    error: Exception, address: Address, timeout: float, by_proxy: bool
) -> DbrunError:
    """A failure below `requests` in the words of `dbrun.errors`.

    Messages of `requests` may hold the proxy's URL with its password: only those of the system
    are passed on.
    """
    from requests import exceptions as front
    from urllib3 import exceptions as below

    chain = list(_chain(error))
    for cause in chain:
        if is_untrusted(cause):
            return untrusted(address.authority, cause)
    if isinstance(error, (front.InvalidSchema, front.InvalidURL)):
        return UserError(
            f"the proxy for {address.authority} cannot be used",
            "correct HTTPS_PROXY; SOCKS proxies need `pip install 'requests[socks]'`",
        )
    system = [cause for cause in chain if isinstance(cause, OSError) and _is_plain(cause)]
    said = reason(system[-1]) if system else "the answer was cut short"
    where = f"{address.authority} by way of the proxy" if by_proxy else address.authority
    # What urllib3 calls a ProxyError may come after the request was sent: only what cannot, counts.
    never_there = (below.NewConnectionError, below.ConnectTimeoutError, ConnectionRefusedError)
    if any(isinstance(cause, never_there) or _NO_TUNNEL in str(cause) for cause in chain):
        return Unreachable(f"cannot connect to {where}: {said}")
    if any(isinstance(cause, (TimeoutError, below.ReadTimeoutError)) for cause in chain):
        return translated(TimeoutError(), address, timeout, sent=True)
    return Unavailable(f"{where}: {said}", maybe_paid=True)


def _is_plain(error: Exception) -> bool:
    return type(error).__module__ in ("builtins", "socket", "ssl")


def _chain(error: BaseException) -> Iterator[Exception]:
    """*error* and the failures that `requests` and urllib3 wrapped, outermost first."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        cause = waiting.pop(0)
        if isinstance(cause, Exception) and id(cause) not in seen:
            seen.add(id(cause))
            yield cause
            waiting += [getattr(cause, "reason", None), *cause.args]
            waiting += [cause.__cause__, cause.__context__]
