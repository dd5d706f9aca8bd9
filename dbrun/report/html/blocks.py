"""Records as blocks of text in a page: the first as plain JSON, what is beyond packed.

Plain blocks can be searched for with any tool; packed ones (deflate, base64) keep a page of
100,000 records small. Browsers unpack with `DecompressionStream` (Compression Streams standard).
"""

from __future__ import annotations

import base64
import json
import tempfile
import zlib
from collections.abc import Iterator
from types import TracebackType
from typing import Any

PLAIN = 1_000_000
"""Characters of records up to which blocks are plain."""
BLOCK = 250_000
"""Characters of records in one block."""
MOST_CHARACTERS = 256_000_000
MOST_RECORDS = 250_000
"""What browsers bear; records beyond are counted, not shown."""


def script_json(value: Any) -> str:
    """*value* as JSON that stays data inside a script element, whatever its texts hold.

    `<`, `>` and `&` end no element and begin no comment; U+2028 and U+2029 are no line ends
    (HTML standard, "Restrictions for contents of script elements").
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        if character in text:
            text = text.replace(character, f"\\u{ord(character):04x}")
    return text


class Blocks:
    """Takes records one by one, keeps their blocks in a temporary file, gives them as elements."""

    def __init__(self) -> None:
        self._spool = tempfile.TemporaryFile("w+b")  # noqa: SIM115 - closed by __exit__
        self._waiting: list[str] = []
        self._size = 0
        self._written = 0
        self.kept = 0
        self.left_out = 0

    def __enter__(self) -> Blocks:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._spool.close()

    def add(self, record: dict[str, Any]) -> None:
        """Keep *record*, unless the page is full."""
        if self.kept >= MOST_RECORDS or self._written + self._size >= MOST_CHARACTERS:
            self.left_out += 1
            return
        text = script_json(record)
        self.kept += 1
        self._waiting.append(text)
        self._size += len(text)
        if self._size >= BLOCK:
            self._flush()

    def elements(self) -> Iterator[str]:
        """Script elements that hold all records, in order; a line each."""
        self._flush()
        self._spool.seek(0)
        for line in self._spool:
            yield line.decode("ascii" if line.startswith(b'<script type="text') else "utf-8")

    def _flush(self) -> None:
        if not self._waiting:
            return
        # A lone surrogate becomes `\\ud800`, which is how JSON writes it.
        data = f"[{','.join(self._waiting)}]".encode("utf-8", "backslashreplace")
        if self._written + self._size <= PLAIN:
            element = b'<script type="application/json" class="rows">' + data
        else:
            packed = base64.b64encode(zlib.compress(data, 6))
            element = b'<script type="text/plain" class="rows">' + packed
        self._spool.write(element + b"</script>\n")
        self._written += self._size
        self._waiting, self._size = [], 0
