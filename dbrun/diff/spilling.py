"""Rows that wait for their partners: a few in memory, more on disk."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections.abc import Hashable, Iterator
from typing import Any

from ..errors import RunError
from ..run.pairing import InMemory

MOST_IN_MEMORY = 500
"""Rows of one side that wait in memory; two files of the same order need one or two."""
_CACHE = 16_000
"""Of the file on disk what is held in memory, in kibibytes."""

# ASCII only, so that lone surrogates come back as they were.
_pack = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class Spilled:
    """Places to wait that have one file on disk for all that is too much for memory.

    The file is made when it is needed, and gone at the end.
    """

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._database: sqlite3.Connection | None = None
        self._made = 0

    def __enter__(self) -> Spilled:
        return self

    def __exit__(self, *error: object) -> None:
        if self._database is not None:
            self._database.close()
        if self._folder is not None:
            self._folder.cleanup()

    def place(self) -> Place:
        """A new place to wait."""
        self._made += 1
        return Place(self, f"side{self._made}")

    def table(self, name: str) -> sqlite3.Connection:
        """The database, with an empty table *name*. Raises `RunError` if there can be none."""
        try:
            if self._database is None:
                self._folder = tempfile.TemporaryDirectory(prefix="dbrun-")
                path = os.path.join(self._folder.name, "waiting")
                self._database = sqlite3.connect(path, isolation_level=None)
                # It is lost with the process, and may be.
                self._database.execute("PRAGMA journal_mode = OFF")
                self._database.execute("PRAGMA synchronous = OFF")
                self._database.execute(f"PRAGMA cache_size = -{_CACHE}")
                self._database.execute("BEGIN")  # and no end: nobody reads it afterwards
            self._database.execute(f"CREATE TABLE {name} (key TEXT NOT NULL, value TEXT NOT NULL)")
            self._database.execute(f"CREATE INDEX {name}_keys ON {name} (key)")
        except (OSError, sqlite3.Error) as error:
            raise _no_room(error) from error
        return self._database


class Place:
    """Where rows of one side wait. Keys and values must be JSON (tuples come back as lists)."""

    def __init__(self, spilled: Spilled, name: str) -> None:
        self._spilled = spilled
        self._name = name
        self._near: InMemory[Any] = InMemory()
        self._count = 0
        self._far: sqlite3.Connection | None = None

    def put(self, key: Hashable, value: Any) -> None:
        """Have *value* wait. Raises `RunError` if the disk takes no more."""
        # Once some wait on disk all who come later do: the first to come is the first to go.
        if self._far is None and self._count < MOST_IN_MEMORY:
            self._near.put(key, value)
            self._count += 1
            return
        if self._far is None:
            self._far = self._spilled.table(self._name)
        self._execute(f"INSERT INTO {self._name} VALUES (?, ?)", (_pack(key), _pack(value)))

    def take(self, key: Hashable) -> Any:
        """The value of *key* that has waited longest; None if none does."""
        value = self._near.take(key)
        if value is not None:
            self._count -= 1
            return value
        if self._far is None:
            return None
        # Rows of one key are few; `rowid` tells which came first.
        found = self._execute(
            f"SELECT rowid, value FROM {self._name} WHERE key = ? ORDER BY rowid LIMIT 1",
            (_pack(key),),
        ).fetchone()
        if found is None:
            return None
        self._execute(f"DELETE FROM {self._name} WHERE rowid = ?", found[:1])
        return json.loads(found[1])

    def rest(self) -> Iterator[tuple[Hashable, Any]]:
        """Everything that still waits."""
        yield from self._near.rest()
        if self._far is not None:
            for key, value in self._execute(f"SELECT key, value FROM {self._name} ORDER BY rowid"):
                yield _hashable(json.loads(key)), json.loads(value)

    def _execute(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        assert self._far is not None
        try:
            return self._far.execute(statement, values)
        except sqlite3.Error as error:
            raise _no_room(error) from error


def _hashable(key: Any) -> Hashable:
    return tuple(key) if isinstance(key, list) else key


def _no_room(error: Exception) -> RunError:
    return RunError(
        f"{tempfile.gettempdir()}: rows cannot wait there: {error}",
        "make room, or set TMPDIR to a folder with more of it",
    )
