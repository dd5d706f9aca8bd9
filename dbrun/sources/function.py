"""Rows that a function of the user's yields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from ..context import Context
from ..errors import SourceError
from ..frames import raised, user_frame
from ..spec.model import Reference
from ..types import Json
from .rows import plain_row


class FunctionSource:
    """Calls a function (with `kwargs`) and takes the mappings that it yields as rows.

    A generator is closed when the run ends, early or not, so that its `finally` runs.
    """

    options: ClassVar[Mapping[str, Json]] = {
        "type": "object",
        "required": ["function"],
        "properties": {
            "function": {
                "x-kind": "reference",
                "description": "A function that yields mappings, as package.module:function.",
            },
            "kwargs": {
                "type": "object",
                "default": {},
                "description": "Keyword arguments of the call.",
            },
        },
    }

    def __init__(self, reference: Reference, kwargs: Mapping[str, Json], context: Context) -> None:
        self.folder = context.folder
        self._reference = reference
        self._kwargs = {**kwargs, **reference.kwargs}
        self._context = context

    @classmethod
    def create(cls, options: Mapping[str, Any], context: Context) -> FunctionSource:
        """A source from its options, already valid. Imports and calls nothing yet."""
        return cls(options["function"], options.get("kwargs") or {}, context)

    def rows(self) -> Iterator[tuple[str, Mapping[str, Json]]]:
        """The rows in their order.

        Raises:
            SourceError: the function raised (with its file and line), or gave no rows.
        """
        path = self._reference.path
        resolve = self._context.resolve
        assert resolve is not None, "the context cannot resolve functions"
        function = resolve(self._reference)
        try:
            given = function(**self._kwargs)
            rows = iter(_rows_of(given, path))
        except (Exception, SystemExit) as error:
            raise self._failed(error, function, 1) from error
        try:
            number = 0
            while True:
                number += 1
                try:
                    row = next(rows)
                except StopIteration:
                    return
                except (Exception, SystemExit) as error:
                    raise self._failed(error, function, number) from error
                where = f"{path} row {number}"
                yield where, plain_row(row, where)
        finally:
            self._close(rows)

    def columns(self) -> frozenset[str] | None:
        """None: only calling the function would tell."""
        return None

    def count(self) -> int | None:
        """Not known before the function has run."""
        return None

    def digest(self) -> str | None:
        """None: what a function yields has no digest but that of the answers."""
        return None

    def _close(self, rows: Any) -> None:
        if hasattr(rows, "close"):
            try:
                rows.close()
            except (Exception, SystemExit) as error:
                raise SourceError(f"{self._reference.path} {raised(error)} on closing") from error

    def _failed(self, error: BaseException, function: Any, number: int) -> SourceError:
        if isinstance(error, SourceError):
            return error
        place = user_frame(error, function, self._context.project)
        at = f" at {place}" if place else ""
        return SourceError(
            f"{self._reference.path} {raised(error)}{at}, after {number - 1} rows",
            "mend the function and run the same command again; what was answered is kept",
        )


def _rows_of(given: Any, path: str) -> Iterable[Any]:
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        what = "a mapping" if isinstance(given, Mapping) else type(given).__name__
        raise SourceError(f"{path} returned {what}", "it must yield mappings, or return a list")
    return given
