"""Parquet files, read in batches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import PluginError, SourceError
from .arrow import arrow, arrow_rows
from .file import STANDARD_INPUT, FileSource, Rows

_BATCH = 1024


class ParquetSource(FileSource):
    """Rows from Parquet files, a batch of rows in memory at a time; their values become JSON as
    `arrow_rows` says."""

    extensions = (".parquet",)

    def read_file(self, path: str, digest: hashlib._Hash) -> Rows:
        """The rows of one file; `where` is `file row n`."""
        name = self.shown(path)
        with self._file(path) as (file, there):
            yield from arrow_rows(file.schema_arrow, file.iter_batches(batch_size=_BATCH), name)
            with open(there, "rb") as stream:
                # Parquet is read from its end: the digest takes a pass of its own.
                while piece := stream.read(1 << 20):
                    digest.update(piece)

    def columns(self) -> frozenset[str] | None:
        """The columns of the first file; None where it cannot be read (the run will say why)."""
        if not self.is_at_hand:
            return None
        try:
            with self._file(self.files()[0]) as (file, _):
                return frozenset(file.schema_arrow.names)
        except (SourceError, PluginError):
            return None

    @contextmanager
    def _file(self, path: str) -> Iterator[tuple[Any, str]]:
        """The open file, and where it is on a disk of this machine."""
        pyarrow = arrow()
        from pyarrow import parquet

        if path == STANDARD_INPUT:
            raise SourceError("Parquet cannot be read from standard input", "save it to a file")
        try:
            with self._place.brought(path) as there, parquet.ParquetFile(there) as file:
                yield file, there
        except (OSError, ValueError, pyarrow.ArrowException) as error:
            raise self.unreadable(path, error) from error
