"""Writing results to standard output: UTF-8 on every machine."""

from __future__ import annotations

import json
import sys

from ..types import Json


def write_text(text: str) -> None:
    """Write *text*. What UTF-8 cannot hold is written as JSON would escape it."""
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))


def write_line(text: str) -> None:
    """Write *text* and a newline."""
    write_text(text + "\n")


def write_json(value: Json, *, indent: int | None = None) -> None:
    """Write *value* as JSON: one line, unless *indent* is given."""
    write_line(json.dumps(value, ensure_ascii=False, indent=indent))
