"""HTTP for whole files: sent from disk and received on disk, never in memory.

Spoken by `requests`, whose adapter is used without a session: that would follow redirects, keep
cookies and look up `.netrc`. The lean client of `transport.py` has requests and answers in
memory, which is right for models and wrong for gigabytes.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from ...errors import UserError
from ..http.environment import ca_bundle, proxy_for
from ..http.message import Address, HttpRequest, HttpResponse, all_headers
from ..http.proxied import said_plainly

if TYPE_CHECKING:
    from ssl import SSLContext

    from requests import Response

_CONNECT = 10.0
_PIECE = 1 << 20
_MOST = 1 << 26
"""Bytes of an answer that is no file: a page of a listing has at most a thousand names."""

Into = Callable[[HttpResponse], IO[bytes]]
"""Where the body goes of an answer with this head."""


class Carrier:
    """Sends requests whose bodies, or those of their answers, may be files. Thread-safe.

    A time limit is for silence, not for the whole: how long a file takes nobody knows.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._lock = threading.Lock()
        self._adapter: Any = None

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            adapter, self._adapter = self._adapter, None
        if adapter is not None:
            adapter.close()

    def send(self, request: HttpRequest, timeout: float) -> HttpResponse:
        """Send *request*; its answer whole, as `Transport.send` gives it."""
        return self.carry(request, timeout)

    def carry(
        self,
        request: HttpRequest,
        timeout: float,
        *,
        content: IO[bytes] | None = None,
        into: Into | None = None,
    ) -> HttpResponse:
        """Send *request*, with all of the file *content* as its body if that is given.

        The body of an answer of status 2xx is written to what *into* gives, if that is given;
        any other comes with the answer. *timeout* are the seconds that nothing may come.

        Raises:
            DbrunError: as `Transport.exchange`.
            OSError: the file cannot be read or written.
        """
        address = Address.of(request.url)
        with _answer(self._begun(request, address, timeout, content)) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            head = HttpResponse(status=answer.status_code, headers=headers, body=b"")
            if request.method == "HEAD":
                return head
            wanted = headers.get("content-length")
            pieces = _pieces(answer, address, timeout, int(wanted) if wanted else None)
            if into is None or not 200 <= head.status < 300:
                return HttpResponse(status=head.status, headers=headers, body=_joined(pieces))
            target = into(head)
            for piece in pieces:
                target.write(piece)
            return head

    def _begun(
        self, request: HttpRequest, address: Address, timeout: float, content: IO[bytes] | None
    ) -> Response:
        from requests import Request

        body: Any = request.body
        if content is not None:
            # For want of a length `requests` would send an empty file in chunks.
            body = content if content.seek(0, os.SEEK_END) else b""
            content.seek(0)
        prepared = Request(
            request.method, request.url, headers=all_headers(request, address), data=body
        ).prepare()
        proxy = proxy_for(address.scheme, address.host, address.port, self._environ)
        bundle = ca_bundle(self._environ)
        with said_plainly(address, timeout, proxy is not None):
            answer: Response = self._open(address.scheme, bundle).send(
                prepared,
                stream=True,
                timeout=(min(_CONNECT, timeout), timeout),
                verify=bundle or True,
                proxies={address.scheme: proxy} if proxy else {},
            )
        return answer

    def _open(self, scheme: str, bundle: str | None) -> Any:
        with self._lock:
            if self._adapter is None:
                context = None
                if scheme == "https":
                    from ..http.tls import tls_context

                    context = tls_context(True, bundle)
                self._adapter = _adapter(context)
            return self._adapter


def _adapter(context: SSLContext | None) -> Any:
    """`requests` that trusts whom the lean client trusts."""
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *words: Any, **options: Any) -> Any:
            return super().init_poolmanager(*words, ssl_context=context, **options)

    return Adapter(pool_maxsize=4, max_retries=0)


@contextmanager
def _answer(response: Response) -> Iterator[Response]:
    try:
        yield response
    finally:
        response.close()


def _pieces(
    answer: Response, address: Address, timeout: float, wanted: int | None
) -> Iterator[bytes]:
    """The body as it comes; short of the length that was told it is no whole one."""
    size = 0
    with said_plainly(address, timeout, False):
        while piece := answer.raw.read(_PIECE, decode_content=False):
            size += len(piece)
            yield piece
        if wanted is not None and size < wanted:
            raise ConnectionError("the connection was closed within the body of the answer")


def _joined(pieces: Iterator[bytes]) -> bytes:
    whole = io.BytesIO()
    for piece in pieces:
        whole.write(piece)
        if whole.tell() > _MOST:
            raise UserError("an answer that should be short does not end", "check DATABRICKS_HOST")
    return whole.getvalue()
