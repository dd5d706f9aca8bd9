"""A sink that is a table: written from the records, once, when they are complete.

The records themselves lie with the journal, beside the manifest, as a results file does: that
is what continues, `--only-errors` and `dbrun verify` go by.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

from ..errors import SinkError
from ..spec.model import SinkSpec, TableSpec
from ..types import Json, Record
from .base import SinkAround, encode_line
from .columns import row_maker
from .file import PartialFile
from .jsonl import JsonlSink
from .staged import Staged, StagedRow

Self = TypeVar("Self", bound="PublishedSink")


class PublishedSink(ABC):
    """Keeps the records as JSON Lines at the spec's path and writes a table from them at the end.

    *size* and *digest* are those of the records' file; *published* tells of the table.
    """

    def __init__(self, spec: SinkSpec, around: SinkAround) -> None:
        assert spec.table is not None, "the spec names no table"
        self.table: TableSpec = spec.table
        self.around = around
        self.published: dict[str, Json] = {}
        self.names, self._row = row_maker(spec, self.table, around)
        self._records = JsonlSink(spec)
        booleans = self.table.columns is not None
        self._staged = Staged(spec.path, self.table.key, booleans=booleans)
        self._errors = PartialFile(self.table.errors) if self.table.errors is not None else None
        self._fields = (spec.add, spec.omit)
        self._is_held = False

    @classmethod
    def create_within(cls: type[Self], spec: SinkSpec, around: SinkAround) -> Self:
        """A sink from its spec, for one run. Opens nothing yet."""
        return cls(spec, around)

    @property
    def size(self) -> int | None:
        """Bytes of the records' file; None before `commit`."""
        return self._records.size

    @property
    def digest(self) -> str | None:
        """The SHA-256 of the records' file; None before `commit`."""
        return self._records.digest

    def open(self) -> None:
        """See that the table can take the rows, and start keeping them.

        Raises:
            SinkError: it cannot, or the records cannot be kept.
            PluginError: a package is missing.
        """
        self.begin()
        self._records.open()
        self._staged.open()
        if self._errors is not None:
            self._errors.open()

    def write(self, record: Record) -> None:
        """Take the next record. Raises `SinkError`."""
        self._records.write(record)
        if self._errors is not None and record.status != "ok":
            self._errors.write_line(encode_line(record.to_json(*self._fields)))
            return
        row = StagedRow(id=record.id, ok=record.status == "ok", values=self._row(record))
        self._staged.add(row)

    def redirect(self, path: str) -> None:
        """Have `commit` put the records at *path*, and leave the table as it is."""
        self._records.redirect(path)
        self._is_held = True

    def commit(self) -> None:
        """Write the table in one transaction, then put the records in place.

        Raises:
            SinkError: the table does not take them; the same command tries again.
        """
        if self._is_held:
            self._records.commit()
            return
        count = self._staged.count  # what is wrong with the keys is said before anything is done
        told = self.publish(self._staged)
        self.published = {
            "name": self.table.name,
            "mode": self.table.mode,
            "rows": count,
            "sha256": self._staged.digest,
            **told,
        }
        if self._errors is not None:
            self._errors.commit()
        self._records.commit()

    def close(self) -> None:
        """Let go of the files; the records stay on disk if not committed."""
        self._records.close()
        self._staged.close()
        if self._errors is not None:
            self._errors.close()

    @abstractmethod
    def begin(self) -> None:
        """See that the table can take the columns *names*. Raises `SinkError`, `PluginError`."""

    @abstractmethod
    def publish(self, staged: Staged) -> dict[str, Json]:
        """Write the rows in one transaction; what the manifest is to say of it.

        Raises:
            SinkError: it cannot be done; the table is then as it was.
        """

    @property
    def runs(self) -> tuple[str, ...]:
        """The runs whose append of these very rows is this one: the run itself, which may have
        been stopped after it, and the one that finished last, if it gave the same rows."""
        found = [self.around.run]
        earlier: Any = (self.around.earlier or {}).get("table")
        if isinstance(earlier, dict) and earlier.get("name") == self.table.name:
            same = earlier.get("mode") == "append" == self.table.mode
            if same and earlier.get("sha256") == self._staged.digest:
                found.append(str(earlier.get("appended_by")))
        return tuple(found)

    def refuse_missing(self, there: Sequence[str]) -> None:
        """Raises `SinkError` if the table, which has the columns *there*, lacks one."""
        missing = [name for name in self.names if name not in there]
        if missing:
            raise SinkError(
                f"{self.table.name}: the table has no column {', '.join(map(repr, missing))}",
                "add it to the table, or say by sink.columns or sink.omit what to write",
            )
