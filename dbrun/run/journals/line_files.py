"""Lines of files that other tools wrote, read one after another; each knows its place."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import IO

from ...errors import DbrunError, SourceError, UserError
from ...files import open_in

LONGEST_LINE = 1 << 26
"""Bytes of a line that can be one of theirs; of a longer one only the beginning is read."""

STANDARD_INPUT = "-"


def refuse_missing(paths: Sequence[str], hint: str) -> None:
    """Raises `UserError` if one of *paths* is no file, with *hint*."""
    for path in paths:
        if path != STANDARD_INPUT and not os.path.isfile(path):
            what = "is a folder" if os.path.isdir(path) else "there is no such file"
            raise UserError(f"{path}: {what}", hint)


def kept_file(path: str, stack: ExitStack) -> str:
    """A file that can be read again: *path*, or a copy of standard input."""
    if path != STANDARD_INPUT:
        return path
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="dbrun-"))
    copy = os.path.join(folder, "lines.jsonl")
    with open(copy, "wb") as stream:
        shutil.copyfileobj(sys.stdin.buffer, stream)
    return copy


def lines_of(
    files: Sequence[tuple[str, str]], mend: str = "mend the file and run the same command again"
) -> Iterator[tuple[str, bytes]]:
    """Every line that is not blank, with its place in a person's words. *files* are what each is
    called, and where it is; *mend* is what to do about one that cannot be read.

    Raises:
        SourceError: a file cannot be read to its end.
    """
    for name, path in files:
        shown = "standard input" if name == STANDARD_INPUT else name
        try:
            with open_in(path) as stream:
                for number, line in enumerate(_bounded(stream), start=1):
                    if line.strip():
                        yield f"{shown}:{number}", line
        except DbrunError:
            raise
        except Exception as error:
            # zstandard is optional, and so is the name of its error.
            known = isinstance(error, (OSError, EOFError, zlib.error))
            if not known and type(error).__name__ != "ZstdError":
                raise
            raise SourceError(
                f"{shown}: cannot be read: {getattr(error, 'strerror', None) or error}",
                mend,
            ) from error


def _bounded(stream: IO[bytes]) -> Iterator[bytes]:
    """The lines of *stream*; one that is too long comes as its beginning."""
    while line := stream.readline(LONGEST_LINE):
        rest = line
        while len(rest) == LONGEST_LINE and not rest.endswith(b"\n"):
            rest = stream.readline(LONGEST_LINE)
        yield line
