"""Server-sent events: bytes as they come, the data of whole events out.

WHATWG HTML standard, "Server-sent events". Lines are found among the bytes, before these are
read as UTF-8: a letter may be torn between two pieces, and U+2028, which JSON may hold, ends no
line here.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8

_LINE_END = re.compile(rb"\r\n|\n|\r")


class EventReader:
    """Puts pieces of an event stream together again."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._begun = False
        self._after_cr = False

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that *piece* completes, in order."""
        if self._after_cr and piece:
            # The other half of a line end that was torn in two.
            self._after_cr = False
            piece = piece.removeprefix(b"\n")
        self._rest += piece
        if not self._begun:
            if BOM_UTF8.startswith(self._rest) and len(self._rest) < len(BOM_UTF8):
                return []
            self._begun = True
            self._rest = self._rest.removeprefix(BOM_UTF8)
        *lines, self._rest = _LINE_END.split(self._rest)
        self._after_cr = bool(lines) and not self._rest and piece.endswith(b"\r")
        return [event for line in lines if (event := self._line(line)) is not None]

    def end(self) -> list[bytes]:
        """The data of an event that the end of the stream completes: some servers leave out the
        last blank line."""
        lines = [self._rest, b""]
        self._rest = b""
        return [event for line in lines if (event := self._line(line)) is not None]

    def _line(self, line: bytes) -> bytes | None:
        """The data of the event that *line* ends, if it does."""
        if not line:
            data, self._data = self._data, []
            return b"\n".join(data) if data else None
        name, _, value = line.partition(b":")
        # Comments have no name; names of events are repeated within their data.
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        return None
