"""Rows on their way to a table: kept on disk until a run has finished, then read as often as
a table wants."""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress

from ..canonical import canonical
from ..errors import SinkError
from ..frozen import frozen
from ..storage import clear_spool
from ..types import Json
from .base import encode_line
from .columns import Row
from .file import PartialFile
from .parquet import joined, kind_of

_FIXED = {"cost": "float64", "repeat": "int64", "index": "int64"}
"""Fields of records that are numbers, whether or not any record of this run has one."""


@frozen
class StagedRow:
    """A row of a table: the id of its record, whether that is ok, and the columns' values."""

    id: str
    ok: bool
    values: Row


class Staged:
    """The rows of a run, in order.

    Of several with equal values in the columns *key* one is kept: equal rows of a source share
    their id. *booleans* tells whether a column can be of booleans.
    """

    def __init__(self, path: str, key: Sequence[str], *, booleans: bool) -> None:
        self._file = PartialFile(path, suffix=".rows", compress=False)
        self._key = tuple(key)
        self._booleans = booleans
        self._kinds: dict[str, set[str]] = {}
        self._digest = hashlib.sha256()
        self._seen: set[bytes] = set()
        self._repeated: set[bytes] = set()
        self._left_out: frozenset[int] | None = None
        self._count = 0

    def open(self) -> None:
        """Begin. Raises `SinkError`."""
        self._file.open()

    def add(self, row: StagedRow) -> None:
        """Take the next row. Raises `SinkError` if a column of the key is null."""
        line = encode_line([row.id, row.ok, row.values])
        self._digest.update(line)
        self._file.write_line(line)
        self._count += 1
        for name, value in row.values.items():
            self._kinds.setdefault(name, set()).add(self._kind(value))
        if self._key:
            self._note_key(row)

    def close(self) -> None:
        """Forget the rows."""
        self._file.close()
        with suppress(OSError):
            os.remove(self._file.partial)
        if self._file.is_spooled:
            clear_spool(os.path.dirname(self._file.partial))

    @property
    def count(self) -> int:
        """How many rows `rows` gives. Raises `SinkError` as it does."""
        return self._count - len(self._surplus())

    @property
    def digest(self) -> str:
        """The SHA-256 of the rows."""
        return self._digest.hexdigest()

    def kind(self, name: str) -> str:
        """The kind of a new column for the values of *name*: `string`, `int64`, `float64` or
        `bool_`."""
        found = self._kinds.get(name, set()) - {"null"}
        return joined(found) if found else _FIXED.get(name, "string")

    def rows(self) -> Iterator[StagedRow]:
        """The rows, as often as wanted.

        Raises:
            SinkError: two records that are ok and differ have the same key.
        """
        surplus = self._surplus()
        for number, row in enumerate(self._read()):
            if number not in surplus:
                yield row

    def _read(self) -> Iterator[StagedRow]:
        if self._file.path and not os.path.exists(self._file.partial):
            return
        with open(self._file.partial, "rb") as stream:
            for line in stream:
                name, ok, values = json.loads(line)
                yield StagedRow(id=name, ok=ok, values=values)

    def _kind(self, value: Json) -> str:
        kind = kind_of(value)
        return "string" if kind == "bool_" and not self._booleans else kind

    def _note_key(self, row: StagedRow) -> None:
        empty = next((name for name in self._key if row.values.get(name) is None), None)
        if empty is not None:
            raise SinkError(
                f"sink.key: row '{row.id}' has no '{empty}'",
                "name columns that every row has; what was answered is kept",
            )
        key = self._key_of(row)
        if key in self._seen:
            self._repeated.add(key)
        self._seen.add(key)

    def _key_of(self, row: StagedRow) -> bytes:
        # 96 bits: among a hundred million keys no two meet.
        values = canonical([row.values[name] for name in self._key])
        return hashlib.blake2b(values, digest_size=12).digest()

    def _surplus(self) -> frozenset[int]:
        """The numbers of rows that give way to another one of their key."""
        if self._left_out is None:
            self._file.flush()
            self._left_out = frozenset(self._find_surplus())
        return self._left_out

    def _find_surplus(self) -> Iterator[int]:
        if not self._repeated:
            return
        groups: dict[bytes, list[tuple[int, StagedRow]]] = defaultdict(list)
        for number, row in enumerate(self._read()):
            if (key := self._key_of(row)) in self._repeated:
                groups[key].append((number, row))
        for group in groups.values():
            good = [(number, row) for number, row in group if row.ok]
            if any(row.values != good[0][1].values for _, row in good):
                row = good[0][1]
                said = ", ".join(f"{name} {row.values[name]!r}" for name in self._key)
                raise SinkError(
                    f"sink.key: records that differ have the same key ({said})",
                    "name a source.id or a sink.key that tells them apart, or use mode: append",
                )
            kept = (good or group)[-1][0]
            yield from (number for number, _ in group if number != kept)
