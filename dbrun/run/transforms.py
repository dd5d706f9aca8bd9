"""Applying the user's functions: `row` before rendering, `input` on the request, `output` on the
answer (contract, section 3).

Functions are called from several threads. What they are given is a copy, so that they cannot
alter the row in the record or the answer in the journal; what they return is made plain JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import GeneratorType
from typing import Any, TypeAlias

from ..errors import TransformError
from ..frames import definition, raised, user_frame
from ..spec.model import Reference
from ..spec.signatures import named, output_words, signature_of
from ..types import Json
from ..values import copied, plain

Functions: TypeAlias = Sequence[tuple[Reference, Callable[..., Any]]]
"""References with what they resolve to, in the order in which they are applied."""

Rows: TypeAlias = "Mapping[str, Json] | list[Mapping[str, Json]] | None"
"""What `row` makes of a row: a row, several, or none."""


class RowTransforms:
    """The `row` functions of a pipeline, applied one after the other."""

    def __init__(self, functions: Functions) -> None:
        self._hooks = [_Hook(reference, function) for reference, function in functions]

    def apply(self, values: Mapping[str, Json]) -> Rows:
        """A mapping for one row, a list (never empty) for several, None for a dropped row.

        Raises:
            TransformError: a function raised, or returned no row.
        """
        rows: Rows = values
        for hook in self._hooks:
            if isinstance(rows, list):
                rows = _flat([_row(hook, one) for one in rows])
            elif rows is not None:
                rows = _row(hook, rows)
        return rows


class InputTransforms:
    """The `input` functions of a step, applied one after the other."""

    def __init__(self, functions: Functions) -> None:
        self._hooks = [
            (hook, "row" in hook.named)
            for hook in (_Hook(reference, function) for reference, function in functions)
        ]

    def apply(self, fields: Mapping[str, Json], row: Mapping[str, Json]) -> Mapping[str, Json]:
        """The request mapping that the last function returned.

        Raises:
            TransformError: a function raised, or returned no mapping.
        """
        request = dict(fields) if self._hooks else fields
        for hook, wants_row in self._hooks:
            given = copied(request)
            if wants_row:
                given["row"] = copied(row)
            made = hook.plain(hook.call((), given))
            if not isinstance(made, dict):
                raise hook.wrong(f"returned {_kind(made)}; it must return the request mapping")
            if not _is_stop(made.get("stop")):
                raise hook.wrong("returned a stop that is no text and no list of texts")
            request = made
        return request


class OutputTransforms:
    """The `output` functions of a step, applied one after the other."""

    def __init__(self, functions: Functions) -> None:
        self._hooks = [
            (hook, output_words(hook.signature) if hook.signature else [])
            for hook in (_Hook(reference, function) for reference, function in functions)
        ]

    def apply(
        self, value: Json, *, row: Mapping[str, Json], raw: Json, request: Mapping[str, Json]
    ) -> Json:
        """What the last function returned.

        Raises:
            TransformError: a function raised, or returned what JSON cannot hold.
        """
        if not self._hooks:
            return value
        around: Mapping[str, Json] = {"row": row, "raw": raw, "request": request}
        for hook, words in self._hooks:
            given = raw if hook.reference.from_raw else value
            value = hook.plain(
                hook.call((copied(given),), {word: copied(around[word]) for word in words})
            )
        return value


class _Hook:
    """One function with its fixed keywords; its signature is read once."""

    def __init__(self, reference: Reference, function: Callable[..., Any]) -> None:
        self.reference = reference
        self.signature = signature_of(function)
        self.named = frozenset(named(self.signature)) if self.signature else frozenset()
        self._function = function

    def call(self, positional: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
        kwargs = self.reference.kwargs
        try:
            made = self._function(*positional, **keywords, **(copied(kwargs) if kwargs else {}))
            # A function with `yield` has run only when its values were taken.
            return list(made) if isinstance(made, GeneratorType) else made
        except (Exception, SystemExit, GeneratorExit) as error:
            place = user_frame(error, self._function, self.reference.project)
            raise TransformError(f"{self.reference.path} {raised(error)}", place) from error

    def plain(self, value: Any) -> Json:
        try:
            return plain(value)
        except ValueError as error:
            raise self.wrong(f"returned what JSON cannot hold: {error}") from error

    def wrong(self, message: str) -> TransformError:
        place = definition(self._function, self.reference.project)
        return TransformError(f"{self.reference.path} {message}", place)


def _row(hook: _Hook, values: Mapping[str, Json]) -> Rows:
    made = hook.plain(hook.call((copied(values),), {}))
    if isinstance(made, dict) or made is None:
        return made
    if not isinstance(made, list):
        raise hook.wrong(f"returned {_kind(made)}; it must return a row, a list of rows or None")
    for number, one in enumerate(made):
        if not isinstance(one, dict):
            raise hook.wrong(f"returned a list whose item {number} is {_kind(one)}, not a row")
    return made or None


def _flat(parts: Sequence[Rows]) -> Rows:
    rows: list[Mapping[str, Json]] = []
    for part in parts:
        if isinstance(part, list):
            rows.extend(part)
        elif part is not None:
            rows.append(part)
    return rows or None


def _is_stop(value: Json) -> bool:
    texts = value if isinstance(value, list) else [value]
    return value is None or all(isinstance(text, str) for text in texts)


def _kind(value: Json) -> str:
    if value is None:
        return "None"
    nouns = {str: "text", list: "a list", dict: "a mapping", bool: "a boolean"}
    return nouns.get(type(value), "a number")
