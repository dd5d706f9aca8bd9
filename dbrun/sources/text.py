"""Text files: one row a file."""

from __future__ import annotations

import hashlib
import os

from .file import STANDARD_INPUT, FileSource, Rows, decoded


class TextSource(FileSource):
    """Rows `{path, text}`, one for each file in the order of their paths; UTF-8.

    *path* is relative to the source's folder (a glob's is the folder before its first
    wildcard), with `/` between its parts. The text is kept as it is, but for a byte order mark.
    """

    def read_file(self, path: str, digest: hashlib._Hash) -> Rows:
        """The one row of a file."""
        name = self.shown(path)
        with self.opened(path, digest) as stream:
            text = decoded(stream.read(), name).removeprefix("\ufeff")
        yield name, {"path": self._relative(path), "text": text}

    def columns(self) -> frozenset[str] | None:
        """`path` and `text`."""
        return frozenset({"path", "text"})

    def _relative(self, path: str) -> str:
        if path == STANDARD_INPUT or self.folder is None:
            return path
        return os.path.relpath(path, self.folder).replace(os.sep, "/")
