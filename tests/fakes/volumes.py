"""The volumes of a workspace by its Files API, as strict as the real one.

Databricks REST API, "Files": a file is taken and given whole, its folder must be there, an
existing one is replaced only if the call says so; folders are listed a page at a time, and only
empty ones are removed; HEAD answers have no body, whatever they say.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from email.utils import formatdate, parsedate_to_datetime
from typing import Any
from urllib.parse import unquote

from fakes.server import Received, Reply, as_json

FILES = "/api/2.0/fs/files"
FOLDERS = "/api/2.0/fs/directories"
VOLUME = "/Volumes/main/default/v"


@dataclass
class Stored:
    """One file."""

    data: bytes
    modified: float = field(default_factory=time.time)


class FakeVolumes:
    """*volumes* are there, *closed* ones may not even be looked at, *read_only* ones not be
    written; *files* and *folders* are what lies on them. *page* is how many names a listing
    gives at a time. *faults* are replies given in place of the answer to the first call of the
    method to a path that ends so; *calls* counts calls by method and path, *given* bytes of files.
    """

    def __init__(self) -> None:
        self.volumes = {VOLUME}
        self.closed: set[str] = set()
        self.read_only: set[str] = set()
        self.files: dict[str, Stored] = {}
        self.folders: set[str] = set()
        self.page = 1000
        self.faults: list[tuple[str, str, Reply]] = []
        self.calls: Counter[tuple[str, str]] = Counter()
        self.given = 0
        self._lock = threading.RLock()

    def put(self, path: str, data: bytes | str) -> None:
        """Have a file at *path*, and the folders above it."""
        self.files[path] = Stored(data.encode() if isinstance(data, str) else data)
        self._make_folders(path.rpartition("/")[0])

    def data(self, path: str) -> bytes:
        """What the file at *path* holds."""
        return self.files[path].data

    def below(self, folder: str) -> dict[str, bytes]:
        """The files below *folder* by path."""
        with self._lock:
            found = sorted(self.files.items())
        return {path: one.data for path, one in found if path.startswith(folder + "/")}

    def fail(self, method: str, ending: str, *replies: Reply) -> None:
        """Give *replies* in place of the next answers."""
        self.faults += [(method, ending, reply) for reply in replies]

    def answer(self, request: Received) -> Reply:
        """The answer to a call; of HEAD only the head."""
        kind, _, quoted = request.path.removeprefix("/api/2.0/fs/").partition("/")
        path = "/" + unquote(quoted, errors="surrogateescape").rstrip("/")
        with self._lock:
            self.calls[request.method, path] += 1
            fault = self._fault(request.method, path)
            reply = fault or self._refused(request.method, path)
            if reply is None:
                reply = self._file(request, path) if kind == "files" else self._dir(request, path)
        if request.method == "HEAD":
            reply.headers.setdefault("content-length", str(len(reply.body)))
            reply.body = b""
        elif request.method == "GET" and kind == "files" and reply.status < 300 and not fault:
            self.given += len(reply.body)
        return reply

    def _fault(self, method: str, path: str) -> Reply | None:
        for number, (wanted, ending, reply) in enumerate(self.faults):
            if method == wanted and path.endswith(ending):
                del self.faults[number]
                return reply
        return None

    def _refused(self, method: str, path: str) -> Reply | None:
        volume = "/".join(path.split("/")[:5])
        name = ".".join(volume.split("/")[2:])
        if path.split("/")[1] != "Volumes" or len(path.split("/")) < 5 or ".." in path.split("/"):
            return _error(400, "INVALID_PARAMETER_VALUE", f"Invalid path: {path}")
        if volume in self.closed:
            said = f"User does not have READ VOLUME on Volume '{name}'."
            return _error(403, "PERMISSION_DENIED", said)
        if volume not in self.volumes:
            return _error(404, "NOT_FOUND", f"Volume '{name}' does not exist.")
        if volume in self.read_only and method in ("PUT", "DELETE"):
            said = f"User does not have WRITE VOLUME on Volume '{name}'."
            return _error(403, "PERMISSION_DENIED", said)
        return None

    def _is_folder(self, path: str) -> bool:
        return path in self.volumes or path in self.folders

    def _make_folders(self, path: str) -> None:
        while path not in self.volumes and path.count("/") > 4:
            self.folders.add(path)
            path = path.rpartition("/")[0]

    def _file(self, request: Received, path: str) -> Reply:
        if request.method == "PUT":
            return self._put(request, path)
        stored = self.files.get(path)
        if stored is None:
            return _error(404, "NOT_FOUND", f"The file being accessed is not found: {path}")
        if request.method == "DELETE":
            del self.files[path]
            return Reply(204)
        headers = {
            "content-type": "application/octet-stream",
            "last-modified": formatdate(stored.modified, usegmt=True),
        }
        if request.method == "HEAD":
            return Reply(200, stored.data, headers)
        since = request.headers.get("if-unmodified-since")
        if since and int(stored.modified) > parsedate_to_datetime(since).timestamp():
            return _error(412, "FAILED_PRECONDITION", "The file was modified.")
        wanted = request.headers.get("range")
        if wanted is None:
            return Reply(200, stored.data, headers)
        start = int(wanted.removeprefix("bytes=").partition("-")[0])
        if start >= len(stored.data):
            return _error(416, "OUT_OF_RANGE", "Range not satisfiable")
        told = f"bytes {start}-{len(stored.data) - 1}/{len(stored.data)}"
        return Reply(206, stored.data[start:], {**headers, "content-range": told})

    def _put(self, request: Received, path: str) -> Reply:
        if "content-length" not in request.headers:
            return _error(411, "BAD_REQUEST", "Content-Length is required")
        if request.headers.get("content-type") != "application/octet-stream":
            return _error(415, "BAD_REQUEST", "An octet stream is wanted")
        if self._is_folder(path):
            return _error(409, "ALREADY_EXISTS", "The path is a directory.")
        if not self._is_folder(path.rpartition("/")[0]):
            return _error(404, "NOT_FOUND", f"The parent directory of {path} does not exist.")
        if path in self.files and request.query.get("overwrite") != ["true"]:
            return _error(409, "ALREADY_EXISTS", f"The file being created already exists: {path}")
        self.files[path] = Stored(request.body)
        return Reply(204)

    def _dir(self, request: Received, path: str) -> Reply:
        if request.method == "PUT":
            above = path
            while above.count("/") > 4:
                if above in self.files:
                    return _error(409, "ALREADY_EXISTS", f"{above} is a file.")
                above = above.rpartition("/")[0]
            self._make_folders(path)
            return Reply(204)
        if not self._is_folder(path):
            return _error(404, "NOT_FOUND", f"The directory being accessed is not found: {path}")
        if request.method == "HEAD":
            return Reply(200)
        inside = sorted(one for one in {*self.files, *self.folders} if _parent(one) == path)
        if request.method == "DELETE":
            if inside or path in self.volumes:
                return _error(400, "DIRECTORY_NOT_EMPTY", "The directory is not empty.")
            self.folders.discard(path)
            return Reply(204)
        return self._list(request, inside)

    def _list(self, request: Received, inside: list[str]) -> Reply:
        start = int(request.query.get("page_token", ["0"])[0])
        size = min(int(request.query.get("page_size", [str(self.page)])[0]), self.page)
        told: dict[str, Any] = {
            "contents": [self._entry(path) for path in inside[start : start + size]]
        }
        if not told["contents"]:
            del told["contents"]
        if start + size < len(inside):
            told["next_page_token"] = str(start + size)
        return as_json(told)

    def _entry(self, path: str) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "path": path,
            "name": path.rpartition("/")[2],
            "is_directory": path in self.folders,
        }
        if stored := self.files.get(path):
            entry["file_size"] = len(stored.data)
            entry["last_modified"] = int(stored.modified * 1000)
        return entry


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _error(status: int, code: str, message: str) -> Reply:
    return Reply(
        status,
        json.dumps({"error_code": code, "message": message}).encode(),
        {"content-type": "application/json"},
    )
