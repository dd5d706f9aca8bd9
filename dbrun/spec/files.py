"""Files that a spec is made of: their names as a person writes them, and their text."""

from __future__ import annotations

import os

from ..errors import SpecError
from ..types import Mark, Problem
from .lines import split_lines

MAX_BYTES = 20 * 1024 * 1024


def shown(path: str) -> str:
    """*path* as a person would write it: relative if it lies below the current folder."""
    absolute = os.path.abspath(path)
    here = os.getcwd()
    if absolute == here:
        return "."
    return os.path.relpath(absolute, here) if absolute.startswith(here + os.sep) else absolute


def read_text(path: str) -> str:
    """The text of the file at *path*.

    Raises:
        SpecError: it is not there, is no regular file, is too large or is not UTF-8; the problem
            has the place of the first wrong byte.
    """
    file = shown(path)
    return _decode(file, _read_bytes(path, file))


def _read_bytes(path: str, file: str) -> bytes:
    """The bytes of a regular file of sane size."""
    try:
        if os.path.isdir(path):
            raise _unreadable(file, "is a folder", "name a file in it")
        if not os.path.isfile(path) and os.path.exists(path):
            raise _unreadable(file, "is no regular file")
        with open(path, "rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise _unreadable(file, "there is no such file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _unreadable(file, f"cannot be read: {reason}") from error
    if len(content) > MAX_BYTES:
        size = MAX_BYTES // 2**20
        raise _unreadable(file, f"is larger than {size} MB", "keep rows in a file of their own")
    return content


def _unreadable(file: str, message: str, hint: str = "") -> SpecError:
    return SpecError([Problem(where=Mark(file=file), path="", message=message, hint=hint)])


def _decode(file: str, content: bytes) -> str:
    """*content* as UTF-8 text."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        lines = split_lines(before)
        where = Mark(file=file, line=len(lines), column=len(lines[-1]) + 1)
        message = f"the byte 0x{content[error.start]:02x} is not UTF-8"
        hint = "save the file as UTF-8"
        raise SpecError([Problem(where=where, path="", message=message, hint=hint)]) from error
