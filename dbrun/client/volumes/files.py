"""Files and folders on volumes: look, list, fetch, send, remove.

Databricks REST API, "Files": `/api/2.0/fs/files/Volumes/…` takes and gives whole files,
`/api/2.0/fs/directories/Volumes/…` lists folders a page at a time and makes them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import IO, Any
from urllib.parse import quote, urlencode

from ...clock import Clock
from ...errors import DbrunError, RunError
from ...frozen import frozen
from ..http.message import HttpRequest, HttpResponse
from ..rest import Refused, Rest
from .carrier import Carrier

LARGEST = 5 << 30
"""Bytes of a file that the Files API takes at the most (Databricks REST API, "Upload a file")."""

SILENCE = 120.0
"""Seconds without a byte after which a connection counts as lost."""

_FILES = "/api/2.0/fs/files"
_FOLDERS = "/api/2.0/fs/directories"
_ERRORS = {
    403: errno.EACCES,
    404: errno.ENOENT,
    409: errno.EEXIST,
    413: errno.EFBIG,
    507: errno.ENOSPC,
}


@frozen
class Entry:
    """A file or folder: its whole *path*, *size* in bytes, and when it was last *modified*, in
    milliseconds since 1970 as the workspace counts them."""

    path: str
    is_folder: bool = False
    size: int = 0
    modified: int = 0

    @property
    def name(self) -> str:
        """The last part of the path."""
        return os.path.basename(self.path)


class Volumes:
    """The files of the workspace that the environment names; each call is tried *attempts* times.
    Thread-safe.

    What fails is an `OSError` as a disk would raise it, in the workspace's words; trouble with the
    login, the host and its certificate is a `RunError` that names the path.
    """

    def __init__(
        self, environ: Mapping[str, str], clock: Clock | None = None, attempts: int = 6
    ) -> None:
        self._carrier = Carrier(environ)
        self._rest = Rest(self._carrier, environ, clock or Clock(), attempts)

    def __enter__(self) -> Volumes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._carrier.close()

    def look(self, path: str) -> Entry | None:
        """The file at *path*; None if there is none."""
        head = self._head(_FILES, path)
        if head is None:
            return None
        return Entry(
            path=path,
            size=int(head.headers.get("content-length") or 0),
            modified=_moment(head.headers.get("last-modified")),
        )

    def is_folder(self, path: str) -> bool:
        """Whether there is a folder at *path*."""
        return self._head(_FOLDERS, path) is not None

    def listing(self, folder: str) -> Iterator[Entry]:
        """What is in *folder*, in any order. Raises `FileNotFoundError` if it is not there."""
        token = ""
        while True:
            query = "?" + urlencode({"page_token": token}) if token else ""
            try:
                page = self._rest.json("GET", _url(_FOLDERS, folder) + query)
            except DbrunError as error:
                raise _trouble(error, folder) from error
            for one in page.get("contents") or ():
                yield _entry(folder, one)
            token = str(page.get("next_page_token") or "")
            if not token:
                return

    def fetch(self, path: str, target: str) -> Entry:
        """Make *target* a copy of the file at *path*; a download that breaks is gone on with."""
        with open(target, "wb") as file:
            return _Download(self._carrier, self._rest, path, file).run()

    def read(self, path: str) -> bytes:
        """What the small file at *path* holds."""
        try:
            return self._rest.call("GET", _url(_FILES, path)).body
        except DbrunError as error:
            raise _trouble(error, path) from error

    def write(self, path: str, data: bytes) -> None:
        """Make *path* a file of *data*, whatever was there."""
        headers = {"Content-Type": "application/octet-stream"}
        try:
            self._rest.call("PUT", _url(_FILES, path) + "?overwrite=true", data, headers)
        except DbrunError as error:
            raise _trouble(error, path) from error

    def send(self, source: str, path: str) -> Entry:
        """Make *path* a copy of the file *source*, whatever was there; readers see the old file
        or the new one. Its folder must be there.

        Raises:
            OSError: it cannot be sent, is larger than `LARGEST`, or did not arrive whole.
        """
        size = os.path.getsize(source)
        if size > LARGEST:
            said = f"it has {size / 1e9:.1f} GB, and the Files API takes {LARGEST >> 30} GiB a file"
            raise OSError(errno.EFBIG, said, path)
        where = _url(_FILES, path) + "?overwrite=true"
        headers = {"Content-Type": "application/octet-stream"}
        with open(source, "rb") as content:

            def put() -> HttpResponse:
                request = self._request("PUT", where, headers)
                return self._carrier.carry(request, SILENCE, content=content)

            try:
                self._rest.repeat("PUT", where, put)
            except DbrunError as error:
                raise _trouble(error, path) from error
        arrived = self.look(path)
        if arrived is None or arrived.size != size:
            raise OSError(errno.EIO, "it does not hold what was sent to it", path)
        return arrived

    def make_folder(self, path: str) -> None:
        """Make the folder *path* and those above it; nothing if it is there."""
        try:
            self._rest.call("PUT", _url(_FOLDERS, path))
        except DbrunError as error:
            raise _trouble(error, path) from error

    def remove(self, path: str) -> None:
        """Remove the file at *path*, if it is there."""
        with suppress(FileNotFoundError):
            try:
                self._rest.call("DELETE", _url(_FILES, path))
            except DbrunError as error:
                raise _trouble(error, path) from error

    def _head(self, kind: str, path: str) -> HttpResponse | None:
        """The head of what is at *path*; None if nothing is."""
        for is_last in (False, True):
            try:
                return self._rest.call("HEAD", _url(kind, path))
            except Refused as error:
                if error.status == 404:
                    return None
                if error.status != 403 or is_last:
                    raise _trouble(error, path) from error
                # An old token is refused like a lack of permission, and an answer to HEAD does
                # not say which: what has a body does, and renews the token.
                with suppress(FileNotFoundError):
                    next(self.listing(os.path.dirname(path)), None)
            except DbrunError as error:
                raise _trouble(error, path) from error
        return None

    def _request(self, method: str, path: str, headers: Mapping[str, str]) -> HttpRequest:
        return _request(self._rest, method, path, headers)


class _Download:
    """One file on its way here, by as many requests as it takes (RFC 9110, section 14)."""

    def __init__(self, carrier: Carrier, rest: Rest, path: str, file: IO[bytes]) -> None:
        self._carrier = carrier
        self._rest = rest
        self._path = path
        self._file = file
        self._modified = ""

    def run(self) -> Entry:
        where = _url(_FILES, self._path)
        try:
            self._rest.repeat("GET", where, self._go_on)
        except DbrunError as error:
            raise _trouble(error, self._path) from error
        self._file.flush()
        return Entry(path=self._path, size=self._file.tell(), modified=_moment(self._modified))

    def _go_on(self) -> HttpResponse:
        headers = {"Accept": "application/octet-stream"}
        if self._file.tell() and self._modified:
            headers["Range"] = f"bytes={self._file.tell()}-"
            headers["If-Unmodified-Since"] = self._modified
        request = _request(self._rest, "GET", _url(_FILES, self._path), headers)
        response = self._carrier.carry(request, SILENCE, into=self._into)
        if response.status in (412, 416):  # it is another file by now
            self._modified = ""
            return self._go_on()
        return response

    def _into(self, head: HttpResponse) -> IO[bytes]:
        if head.status != 206:
            self._file.seek(0)
            self._file.truncate()
        self._modified = head.headers.get("last-modified", "")
        return self._file


def _request(rest: Rest, method: str, path: str, headers: Mapping[str, str]) -> HttpRequest:
    """Made anew for each try: the credentials may be others by then."""
    whole = {**rest.workspace.headers(), **headers}
    return HttpRequest(method=method, url=rest.workspace.url + path, headers=whole, body=None)


def _url(kind: str, path: str) -> str:
    return kind + quote(os.fsencode(path), safe="/")


def _entry(folder: str, said: Mapping[str, Any]) -> Entry:
    path = str(said.get("path") or f"{folder}/{said.get('name')}")
    return Entry(
        path=path.rstrip("/"),
        is_folder=bool(said.get("is_directory")),
        size=int(said.get("file_size") or 0),
        modified=int(said.get("last_modified") or 0),
    )


def _moment(said: str | None) -> int:
    """A date of HTTP in milliseconds since 1970; 0 if it tells nothing."""
    try:
        return int(parsedate_to_datetime(said).timestamp() * 1000) if said else 0
    except (TypeError, ValueError):
        return 0


def _trouble(error: DbrunError, path: str) -> OSError | DbrunError:
    """What a refusal means, as a disk would put it."""
    if not isinstance(error, Refused):  # no login, no such host, a certificate
        return RunError(f"{path}: {error.message}", error.hint)
    if error.is_login:
        return RunError(f"{path}: {error.said.rstrip('.')}", error.hint)
    return OSError(_ERRORS.get(error.status, errno.EIO), error.said.rstrip("."), path)
