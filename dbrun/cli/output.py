"""Writing results to standard output: UTF-8 on every machine."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..types import Json


def write_text(text: str) -> None:
    """Write *text*. What UTF-8 cannot hold is written as JSON would escape it.

    Raises:
        SinkError: it cannot be written.
        BrokenPipeError: nobody reads it any more.
    """
    with _reported():
        sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))


def byte_writer() -> Callable[[bytes], None]:
    """What writes bytes to standard output as it is now, whatever `prints_aside` makes of it.

    What it gives raises as `write_text` does.
    """
    stream = sys.stdout.buffer

    def write(data: bytes) -> None:
        with _reported():
            stream.write(data)

    return write


def flush() -> None:
    """Have everything written that was. Raises as `write_text` does."""
    with _reported():
        sys.stdout.flush()


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        from ..errors import SinkError

        raise SinkError(
            f"standard output cannot be written: {error.strerror or error}",
            "mend this and run the same command again",
        ) from error


@contextmanager
def prints_aside() -> Iterator[None]:
    """What user functions print goes to standard error: standard output is for results."""
    with redirect_stdout(sys.stderr):
        yield


def write_line(text: str) -> None:
    """Write *text* and a newline."""
    write_text(text + "\n")


def write_json(value: Json, *, indent: int | None = None) -> None:
    """Write *value* as JSON: one line, unless *indent* is given."""
    import json

    write_line(json.dumps(value, ensure_ascii=False, indent=indent))
