"""Sinks whose columns are known only when every record was seen.

Records go to `<sink>.partial` as JSON Lines; `commit` reads them twice, once for the columns and
once to write them, so that memory stays bounded.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import suppress

from ..spec.model import SinkSpec
from ..storage import clear_spool
from ..types import RECORD_FIELDS, Json, Record
from .base import encode_line
from .file import PartialFile

FIRST = RECORD_FIELDS[:3]
"""Columns that are always there."""


class TableSink(ABC):
    """Spools records and writes them as a table when they are complete.

    *size* and *digest* (SHA-256) tell of the file's bytes once it is in place.
    """

    may_wait = False

    def __init__(self, spec: SinkSpec) -> None:
        self._add, self._omit = spec.add, spec.omit
        self._spool = PartialFile(spec.path, compress=False)
        self._file = PartialFile(spec.path, suffix=".table")

    @classmethod
    def create(cls, spec: SinkSpec) -> TableSink:
        """A sink from its spec. Opens nothing yet."""
        return cls(spec)

    @property
    def size(self) -> int | None:
        """Bytes of the file in place; None before `commit`."""
        return self._file.size

    @property
    def digest(self) -> str | None:
        """The SHA-256 of the file in place; None before `commit`."""
        return self._file.digest

    def open(self) -> None:
        """Start writing. Raises `SinkError` if the place cannot be written."""
        self._spool.open()

    def write(self, record: Record) -> None:
        """Take the next record. Raises `SinkError`."""
        self.write_line(encode_line(record.to_json(self._add, self._omit)))

    def write_line(self, line: bytes) -> None:
        """Take the next record as a line of JSON. Raises `SinkError`."""
        self._spool.write_line(line)

    def redirect(self, path: str) -> None:
        """Have `commit` put the table at *path* instead."""
        self._file.redirect(path)

    def commit(self) -> None:
        """Write the table and put it in place; one of the same bytes is left alone.

        Raises:
            SinkError: it cannot be written; the records are still in the partial file.
        """
        self._spool.flush()
        self._spool.close()
        try:
            self._file.open()
            with self._file.failing():
                self.write_table(self._file)
            self._file.commit()
        except BaseException:
            self._file.close()
            if not self._file.is_spooled:  # else it is what could not be copied
                with suppress(OSError):
                    os.remove(self._file.partial)
            raise
        with suppress(OSError):
            os.remove(self._spool.partial)
        if self._spool.is_spooled:
            clear_spool(os.path.dirname(self._spool.partial))

    def close(self) -> None:
        """Let go of the partial file; it stays on disk if not committed."""
        self._spool.close()

    @abstractmethod
    def write_table(self, file: PartialFile) -> None:
        """Write `records` to the file's stream. May raise `OSError`."""

    def records(self) -> Iterator[dict[str, Json]]:
        """The records taken so far, as mappings."""
        with open(self._spool.partial, "rb") as stream:
            for line in stream:
                yield json.loads(line)


def in_order(fields: Iterable[str]) -> list[str]:
    """Fields of records in the order of the results file, unknown ones last."""
    ranks = {name: rank for rank, name in enumerate(RECORD_FIELDS)}
    return sorted(dict.fromkeys((*FIRST, *fields)), key=lambda name: ranks.get(name, len(ranks)))


def as_text(value: Json) -> str:
    """Text as it is, everything else as JSON. Lone surrogates become their escapes."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text
