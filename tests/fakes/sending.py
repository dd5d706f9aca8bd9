"""What tests of the transport send, and to whom."""

from __future__ import annotations

from fakes.origin import Origin

from dbrun.client.transport import HttpRequest, HttpResponse, Transport

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def post(url: str, body: bytes | None = b"{}", **headers: str) -> HttpRequest:
    """A request with *headers*."""
    return HttpRequest(method="POST", url=url, headers=headers, body=body)


def send(transport: Transport, origin: Origin, path: str = "/", timeout: float = 5) -> HttpResponse:
    """The answer of *origin* to a small request."""
    return transport.send(post(origin.url(path)), timeout)
