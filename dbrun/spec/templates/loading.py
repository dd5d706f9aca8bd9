"""The files that templates may name: those of the project and below it, hidden ones apart."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Mapping


class ProjectFiles:
    """Reads template files by their path from the project's root, with `/` between its parts.

    *known* holds the text of files by such a path, for a machine that has no copy of them.
    Files and folders whose name begins with a dot are not read: a name may come from a row,
    and credentials lie in such files.
    """

    def __init__(self, project: str, known: Mapping[str, str] | None = None) -> None:
        self._root = os.path.realpath(project)
        self.loaded: dict[str, str] = dict(known or {})

    def name_of(self, path: str) -> str:
        """The name of the file or folder at *path*; the path itself outside the project."""
        real = os.path.realpath(path)
        if real == self._root:
            return ""
        if real.startswith(self._root + os.sep):
            return real[len(self._root) + 1 :].replace(os.sep, "/")
        return path.replace(os.sep, "/")

    def join(self, name: str, folder: str) -> str:
        """What *name* means in a file of *folder*: a file beside it, else one from the root."""
        beside = posixpath.normpath(posixpath.join(folder, name))
        if self._exists(beside):
            return beside
        rooted = posixpath.normpath(name)
        return rooted if self._exists(rooted) else beside

    def read(self, name: str) -> str:
        """The text of the file.

        Raises:
            ValueError: there is no such file, or it may not be read; the message says which.
        """
        if name in self.loaded:
            return self.loaded[name]
        path = self._path(name)
        try:
            with open(path, encoding="utf-8-sig", newline="") as stream:
                text = stream.read()
        except (FileNotFoundError, IsADirectoryError):
            raise ValueError(f"there is no template '{name}' in the project") from None
        except UnicodeDecodeError as error:
            raise ValueError(f"template '{name}' is not UTF-8") from error
        except OSError as error:
            raise ValueError(f"template '{name}' cannot be read: {error.strerror}") from error
        self.loaded[name] = text
        return text

    def _exists(self, name: str) -> bool:
        if name in self.loaded:
            return True
        try:
            return os.path.isfile(self._path(name))
        except ValueError:
            return False

    def _path(self, name: str) -> str:
        parts = name.split("/")
        outside = posixpath.isabs(name) or parts[0] == ".." or "\\" in name or ":" in parts[0]
        path = os.path.realpath(os.path.join(self._root, *parts)) if not outside else ""
        if outside or not path.startswith(self._root + os.sep):
            raise ValueError(f"template '{name}' lies outside the project")
        if any(part.startswith(".") for part in path[len(self._root) :].split(os.sep)):
            raise ValueError(f"template '{name}' is hidden; hidden files are not read")
        return path
