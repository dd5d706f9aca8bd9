"""HTTP requests and answers as values, and the bytes of a request's head."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from ... import __version__
from ...errors import UserError
from ...frozen import frozen
from .framing import MAX_BODY, BadAnswer, TooLarge

_UNSAFE_IN_URL = re.compile(r"[\x00-\x20\x7f]")
_URL_CHARACTERS = "".join(map(chr, range(0x21, 0x7F)))
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z").match
_USER_AGENT = f"dbrun/{__version__}"
_OURS = {"host": "Host", "user-agent": "User-Agent", "accept-encoding": "Accept-Encoding"}
_FACTS = frozenset({"content-length", "transfer-encoding"})
_PORTS = {"http": 80, "https": 443}


class UnknownEncoding(Exception):
    """The answer is compressed in a way that was neither asked for nor is known."""


@frozen
class HttpRequest:
    """What goes out. *headers*, not changed afterwards, are sent as given; `Host`,
    `Content-Length`, `User-Agent` and `Accept-Encoding` are added."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


@frozen
class HttpResponse:
    """What came back, of any status. Names of *headers* are lower-case, *body* is decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@frozen
class Address:
    """The parts of a URL that matter on the wire: *target* is what follows the method,
    *authority* the value of `Host`."""

    scheme: str
    host: str
    port: int
    target: str
    authority: str

    @classmethod
    def of(cls, url: str) -> Address:
        """The parts of *url*; percent-encoded characters stay as they are.

        Raises:
            UserError: if it is no URL that can be called.
        """
        try:
            parts = urlsplit(url)
            host = (parts.hostname or "").encode("ascii" if url.isascii() else "idna").decode()
            port = parts.port or _PORTS[parts.scheme]
        except (ValueError, KeyError) as error:
            raise UserError("a URL cannot be read", "write it as https://host/path") from error
        if not host or _UNSAFE_IN_URL.search(url):
            raise UserError("a URL names no host or holds a blank", "write https://host/path")
        if parts.username is not None or parts.password is not None:
            raise UserError(
                f"the URL of {host} holds a user name or password",
                "give credentials by {env: NAME} instead",
            )
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not target.isascii():
            target = quote(target, safe=_URL_CHARACTERS)
        authority = f"[{host}]" if ":" in host else host
        if port != _PORTS[parts.scheme]:
            authority += f":{port}"
        return cls(scheme=parts.scheme, host=host, port=port, target=target, authority=authority)


class Heads:
    """Writes the heads of requests to one address.

    From request to request of a run only the length of the body changes, so the rest of the last
    head is kept.
    """

    __slots__ = ("_address", "_last")

    def __init__(self, address: Address) -> None:
        self._address = address
        self._last: tuple[str, Mapping[str, str], bytes] = ("", {}, b"")

    def of(self, request: HttpRequest) -> bytes:
        """The head of *request*, blank line included.

        Raises:
            UserError: for a header that would not be one line of its own.
        """
        method, headers, lines = self._last
        if request.headers is not headers or request.method != method:
            if request.method != method or request.headers != headers:
                lines = _lines(request, self._address)
            self._last = (request.method, request.headers, lines)
        if request.body is None and request.method not in ("POST", "PUT", "PATCH"):
            return lines + b"\r\n"
        return b"%bContent-Length: %d\r\n\r\n" % (lines, len(request.body or b""))


def _lines(request: HttpRequest, address: Address) -> bytes:
    lines = [f"{request.method} {address.target} HTTP/1.1"]
    headers = all_headers(request, address)
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "".join(f"{line}\r\n" for line in lines)
    breaks = len(lines)
    if head.count("\n") != breaks or head.count("\r") != breaks or not all(map(_NAME, headers)):
        raise _unsendable(request.headers)
    try:
        return head.encode("latin-1")
    except UnicodeEncodeError as error:
        raise _unsendable(request.headers) from error


def all_headers(request: HttpRequest, address: Address) -> dict[str, str]:
    """The headers that were given, and those that every request has.

    How long the body is, is a fact and not for the caller to say.
    """
    headers = {"Host": address.authority, "User-Agent": _USER_AGENT, "Accept-Encoding": "identity"}
    for name, value in request.headers.items():
        lower = name.lower()
        if lower in _FACTS:
            continue
        if lower in _OURS:
            headers.pop(_OURS[lower], None)
        headers[name] = value
    return headers


def _unsendable(headers: Mapping[str, str]) -> UserError:
    """The error that names the header at fault, and never shows its value."""
    for name, value in headers.items():
        if not _NAME(name):
            return UserError(f"{name[:60]!r} cannot be the name of a header")
        if "\r" in value or "\n" in value:
            return UserError(
                f"the value of the header '{name}' holds a line break", "remove it at its source"
            )
        if any(character > "\xff" for character in value):
            return UserError(f"the value of the header '{name}' holds letters beyond Latin-1")
    return UserError("the method of a request holds a line break")


def decompressed(body: bytes, encoding: str) -> bytes:
    """*body* as it was before the server applied *encoding* (it was asked not to, yet some do).

    Raises:
        BadAnswer: the data are damaged or cut short.
        TooLarge: it grows beyond `MAX_BODY`.
        UnknownEncoding: it is none of gzip and deflate.
    """
    for name in reversed(encoding.lower().split(",")):
        name = name.strip()
        if name in ("gzip", "x-gzip"):
            body = _inflated(body, 16 + zlib.MAX_WBITS)
        elif name == "deflate":
            # Meant is the zlib format; some servers send the bare stream (RFC 9110, 8.4.1.2).
            bare = body[:1] and (body[0] & 0x0F) != 8
            body = _inflated(body, -zlib.MAX_WBITS if bare else zlib.MAX_WBITS)
        elif name not in ("", "identity"):
            raise UnknownEncoding(name)
    return body


def _inflated(body: bytes, bits: int) -> bytes:
    if not body:
        return body
    unpacked = []
    room = MAX_BODY
    while body:  # gzip data may have several members
        machine = zlib.decompressobj(bits)
        try:
            unpacked.append(machine.decompress(body, room))
        except zlib.error as error:
            raise BadAnswer(f"the compressed answer is damaged: {error}") from error
        room -= len(unpacked[-1])
        if machine.unconsumed_tail or room <= 0:
            raise TooLarge
        if not machine.eof:
            raise BadAnswer("the compressed answer is cut short")
        body = machine.unused_data if bits > zlib.MAX_WBITS else b""
    return b"".join(unpacked)
