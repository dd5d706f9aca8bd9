"""Records set aside on disk, to be taken by their ids in whatever order rows come."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import IO, Any

_IN_MEMORY = 1 << 24  # bytes; beyond these they lie on disk


class Spool:
    """Lines of records by id; memory holds an id's digest and the places of its lines."""

    def __init__(self) -> None:
        stream = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed on leaving
        self._stream: IO[bytes] = stream
        self._places: dict[bytes, list[int]] = {}

    def put(self, name: str, line: bytes) -> None:
        """Set *line* aside under the id *name*."""
        self._places.setdefault(_digest(name), []).append(self._stream.tell())
        self._stream.write(line)

    def take(self, name: str) -> Iterator[dict[str, Any]]:
        """The records of the id *name*, in their order; they are there no more."""
        yield from map(self._at, self._places.pop(_digest(name), ()))

    def rest(self) -> Iterator[dict[str, Any]]:
        """The records that nobody took, in their order."""
        yield from map(
            self._at, sorted(place for places in self._places.values() for place in places)
        )

    def _at(self, place: int) -> dict[str, Any]:
        self._stream.seek(place)
        record: dict[str, Any] = json.loads(self._stream.readline())
        return record

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.close()


def _digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=12).digest()
