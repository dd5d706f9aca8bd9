"""Delta tables in a folder, read without a JVM in batches of rows, at one version."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, ClassVar

from ..canonical import digest
from ..client.delta import is_delta, library, open_table, reason
from ..context import Context
from ..errors import DbrunError, PluginError, SourceError, UserError
from ..files import shown
from ..storage import is_away
from ..types import Json
from .arrow import arrow_rows
from .file import PATH

_SETTINGS = {
    # One scan after the other: the same version then gives its rows in the same order.
    "datafusion.execution.target_partitions": "1",
    "datafusion.execution.batch_size": "1024",
}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class DeltaSource:
    """Rows of a Delta table, a batch of them in memory at a time.

    The newest version there is when a run begins is the one that it reads, and so does whoever
    continues that run; `version` or `timestamp` names another. Rows come file by file as the
    table's log lists the files: a Delta table has no other order. Tables with deletion vectors
    and column mapping are read, too. Values become JSON as `arrow_rows` says.
    """

    options: ClassVar[Mapping[str, Json]] = {
        "type": "object",
        "required": ["path"],
        "properties": {
            "path": {**PATH, "description": "The table's folder."},
            "version": {
                "type": "integer",
                "minimum": 0,
                "description": "The version to read; the newest unless given.",
            },
            "timestamp": {
                "type": "string",
                "description": "The time at which the table is read, in ISO 8601 (UTC).",
            },
        },
        "not": {"required": ["version", "timestamp"]},
        "x-message": "takes a version or a timestamp, not both",
        "x-hint": "keep one",
    }

    may_wait = False

    def __init__(self, options: Mapping[str, Any], context: Context) -> None:
        self._path: str = options["path"]
        self._version: int | None = options.get("version")
        timestamp = options.get("timestamp")
        self._timestamp = _instant(timestamp) if timestamp is not None else None
        self._name = shown(self._path, context.project)
        self._is_read = False
        self._is_away = is_away(self._path, context.environ)
        self.folder: str | None = self._path
        self._id: str | None = None

    @classmethod
    def create(cls, options: Mapping[str, Any], context: Context) -> DeltaSource:
        """A source from its options, already valid. Reads nothing yet.

        Raises:
            UserError: the timestamp is none.
        """
        return cls(options, context)

    def pin(self, recorded: Json) -> Json:
        """Settle on one version: that of *recorded*, what an earlier call gave, if it is of this
        table. Raises `SourceError`."""
        table = self._open()
        self._id = str(table.metadata().id)
        if isinstance(recorded, Mapping) and recorded.get("id") == self._id:
            self._version = recorded["version"]
        else:
            self._version = table.version()
        self._timestamp = None
        return {"id": self._id, "version": self._version}

    def rows(self) -> Iterator[tuple[str, Mapping[str, Json]]]:
        """The rows, in the order of the version's files. Raises `SourceError`."""
        if self._id is None:
            self.pin(None)
        table = self._open()
        name = f"{self._name} version {self._version}"
        with self._failing():
            query = library().QueryBuilder(_SETTINGS).register("source", table)
            reader = query.execute("SELECT * FROM source")
            yield from arrow_rows(*_batches(reader), name)
        self._is_read = True

    def columns(self) -> frozenset[str] | None:
        """The table's columns; None where it cannot be opened (the run will say why)."""
        try:
            return frozenset(field.name for field in self._open().schema().fields)
        except (SourceError, PluginError):
            return None

    def count(self) -> int | None:
        """How many rows the version has, if its log tells; deletion vectors hide it."""
        try:
            table = self._open()
            if "deletionVectors" in (table.protocol().reader_features or ()):
                return None
            counts = table.get_add_actions(flatten=True)["num_records"].to_pylist()
        except (SourceError, PluginError, KeyError):
            return None
        return None if None in counts else sum(counts)

    def digest(self) -> str | None:
        """What identifies the version that was read; None before all of it is."""
        return digest({"table": self._id, "version": self._version}) if self._is_read else None

    def _open(self) -> Any:
        library()
        if self._is_away:
            raise SourceError(
                f"{self._name}: a Delta table on a volume can be read on compute of its workspace "
                "only",
                "name a table as catalog.schema.name with a warehouse_id",
            )
        if not is_delta(self._path):
            raise SourceError(
                f"{self._name}: there is no Delta table", "source.path names a table's folder"
            )
        with self._failing():
            return open_table(self._path, version=self._version, timestamp=self._timestamp)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except DbrunError:
            raise
        except Exception as error:  # what deltalake raises has no one base
            version = "" if self._version is None else f" at version {self._version}"
            raise SourceError(
                f"{self._name}: the table cannot be read{version}: {reason(error)}",
                "versions that VACUUM has cleared are gone" if version else "",
            ) from error


def _batches(reader: Any) -> tuple[Any, Iterator[Any]]:
    """A stream of Arrow batches, by its interface in C, as pyarrow's schema and batches."""
    import pyarrow

    stream = pyarrow.RecordBatchReader.from_stream(reader)
    return stream.schema, iter(stream)


def _instant(text: str) -> str:
    """*text* as RFC 3339. Raises `UserError`."""
    try:
        # Python 3.10 reads no Z.
        instant = datetime.fromisoformat(text.strip().replace("Z", "+00:00").replace("z", "+00:00"))
    except ValueError as error:
        raise UserError(
            f"'{text}' is no time", "write source.timestamp as 2026-11-22T00:00:00Z"
        ) from error
    written = instant.isoformat()
    return written if instant.tzinfo is not None else f"{written}Z"
