"""Whole files for storage that takes no appends: written in one go, with a last line that says so.

    {"key":"…",…}
    {"key":"…",…}
    {"end":"20261122T201538123456-3f9c0a1b-000002","from":1180,"to":2360}

A file without that line was torn by a machine that was lost, or is still being written. Its whole
lines are answers like any; but only a file that has its end may be taken for all there is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from .disk import BINARY, sync_file, write_all

_BLOCK = 1 << 20
_LONGEST_MARK = 400
_MARK = re.compile(rb'\{"end":"[^"\\]{1,200}","from":\d{1,18},"to":\d{1,18}\}\r?\n?')


class Extent(NamedTuple):
    """Which bytes of the spooled file, from *start* to before *end*, a whole file holds."""

    start: int
    end: int


def is_mark(line: bytes) -> bool:
    """Whether *line* is the one that marks an end: no answer, and no damage either."""
    return line.startswith(b'{"end":"') and _MARK.fullmatch(line) is not None


def extent_of(path: str) -> Extent | None:
    """What the file at *path* holds if it is whole; None if it is torn, or no such file.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LONGEST_MARK))
            line = file.read().rpartition(b"\n")[0].rpartition(b"\n")[2] + b"\n"
    except FileNotFoundError:
        return None
    if not is_mark(line):
        return None
    said = json.loads(line)
    name = os.path.basename(path).removesuffix(".jsonl")
    found = Extent(said["from"], said["to"])
    is_whole = said["end"] == name and found.end - found.start + len(line) == size
    return found if is_whole else None


def write_piece(path: str, source: str, extent: Extent) -> None:
    """Make *path* a whole file of these bytes of *source*, and read it back.

    Raises:
        OSError: it cannot be written, or what is read back differs; what there is of it is
            removed, if the storage lets it.
    """
    name = os.path.basename(path).removesuffix(".jsonl")
    mark = b'{"end":"%b","from":%d,"to":%d}\n' % (name.encode(), *extent)
    try:
        written = hashlib.sha256()
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | BINARY, 0o666)
        try:
            for block in _blocks(source, extent):
                written.update(block)
                write_all(fd, block)
            written.update(mark)
            write_all(fd, mark)
            sync_file(fd)
        finally:
            os.close(fd)  # some storage tells only now that it could not take the file
        if _digest(path) != written.digest():
            raise OSError(0, "it does not hold what was written to it")
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise


def line_end(path: str, start: int, most: int) -> int:
    """Where the last line that ends at *most* or before does; if *start* is within a line longer
    than that, where that line ends."""
    with open(path, "rb") as file:
        at = most
        while at > start:
            begin = max(start, at - _BLOCK)
            file.seek(begin)
            found = file.read(at - begin).rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            at = begin
        file.seek(most)
        return most + len(file.readline())


def _blocks(path: str, extent: Extent) -> Iterator[bytes]:
    left = extent.end - extent.start
    with open(path, "rb") as file:
        file.seek(extent.start)
        while left:
            block = file.read(min(_BLOCK, left))
            if not block:
                raise OSError(0, f"{path} has become shorter")
            left -= len(block)
            yield block


def _digest(path: str) -> bytes:
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.digest()
