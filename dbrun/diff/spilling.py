"""Pairing rows that stand in another order: dealt to parts on disk, each of which is paired in
memory (a Grace hash join: DeWitt et al. 1984)."""

from __future__ import annotations

import marshal
import tempfile
from collections.abc import Iterable, Iterator
from itertools import chain, zip_longest
from typing import IO, Any

from ..errors import RunError
from ..run.rows.pairing import Keyed, Pair, pairs

MOST_IN_MEMORY = 1000
"""Rows that wait in memory; two files of the same order need one or two."""

_PARTS = 256
_BUFFER = 1 << 15  # bytes of one part
_VERSION = 2  # of marshal's format: without references, which only cost time here


class Spilled:
    """Where rows go once too many wait: a file without a name, gone with the process."""

    def __init__(self) -> None:
        self.most = MOST_IN_MEMORY

    def pairs(
        self,
        left: Iterable[Keyed[Any]],
        right: Iterable[Keyed[Any]],
        more: Iterable[tuple[Keyed[Any] | None, Keyed[Any] | None]],
    ) -> Iterator[Pair[Any]]:
        """The pairs of those who wait on either side and of all who come after them.

        Raises:
            RunError: the disk takes no more.
        """
        try:
            with tempfile.TemporaryFile(prefix="dbrun-") as file:
                dealt = _Dealt(file)
                for both in chain(zip_longest(left, right), more):
                    for side, one in enumerate(both):
                        if one is not None:
                            dealt.put(side, one)
                for part in range(_PARTS):
                    yield from pairs(*dealt.part(part))
        except OSError as error:
            raise RunError(
                f"{tempfile.gettempdir()}: rows cannot wait there: {error.strerror or error}",
                "make room, or set TMPDIR to a folder with more of it",
            ) from error


class _Dealt:
    """Rows of both sides, in parts by the hash of their key: partners are in one part."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._buffers = [bytearray() for _ in range(_PARTS)]
        self._chunks: list[list[tuple[int, int]]] = [[] for _ in range(_PARTS)]
        self._end = 0

    def put(self, side: int, one: Keyed[Any]) -> None:
        part = hash(one[0]) % _PARTS
        entry: Any = (side, *one)
        packed = marshal.dumps(entry, _VERSION)
        buffer = self._buffers[part]
        buffer += len(packed).to_bytes(4, "little")
        buffer += packed
        if len(buffer) >= _BUFFER:
            self._write(part)

    def part(self, number: int) -> tuple[list[Keyed[Any]], list[Keyed[Any]]]:
        """The rows of either side in one part, in their order."""
        self._write(number)
        sides: tuple[list[Keyed[Any]], list[Keyed[Any]]] = ([], [])
        for offset, size in self._chunks[number]:
            self._file.seek(offset)
            chunk, place = self._file.read(size), 0
            while place < size:
                start = place + 4
                place = start + int.from_bytes(chunk[place:start], "little")
                side, key, value = marshal.loads(chunk[start:place])  # noqa: S302 - our own
                sides[side].append((key, value))
        return sides

    def _write(self, part: int) -> None:
        buffer = self._buffers[part]
        self._file.seek(self._end)
        self._file.write(buffer)
        self._chunks[part].append((self._end, len(buffer)))
        self._end += len(buffer)
        self._buffers[part] = bytearray()
