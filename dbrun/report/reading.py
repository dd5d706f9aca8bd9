"""Records of results files of any format, one after another, checked to be records."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import SourceError, UserError
from ..registry import Registry
from ..run.offline.verifying import read_records
from ..spec.formats import format_of
from ..types import Json

STATUSES = ("ok", "error", "filtered")

_TREES = ("row", "usage", "error", "scores", "steps", "timing")
_NUMBERS = ("cost", "repeat", "index")
_HINT = "name a results file that dbrun wrote, such as out/summaries.jsonl"


def check(path: str) -> str:
    """The format of the results at *path*, by its name.

    Raises:
        UserError: there is no file, or its name is not one of results.
    """
    if path.lower().endswith((".yaml", ".yml")):
        raise UserError(f"{path}: this is a spec, no results file", _HINT)
    if not os.path.exists(path):
        raise UserError(f"{path}: there is no such results file", "run its spec first")
    if not os.path.isfile(path):
        raise UserError(f"{path}: this is no file", _HINT)
    kind = format_of(path)
    if path.lower().endswith((".run.json", ".run.json.partial")):
        raise UserError(f"{path}: this is a manifest; the results lie beside it", _HINT)
    if kind is None:
        raise UserError(f"{path}: the name does not tell the format of results", _HINT)
    return kind


def records(path: str, registry: Registry) -> Iterator[dict[str, Any]]:
    """The records at *path*, one after another.

    Raises:
        UserError: there are none, or they are not what dbrun writes.
    """
    kind = check(path)
    try:
        for number, record in enumerate(read_records(path, kind, registry), start=1):
            made = _whole(record) if kind not in ("jsonl", "json") else dict(record)
            if made.get("id") is None or made.get("status") not in STATUSES:
                what = "id" if made.get("id") is None else "status"
                raise UserError(
                    f"{path}: record {number} has no {what} of dbrun's: these are no results",
                    _HINT,
                )
            made["id"] = str(made["id"])
            yield made
    except SourceError as error:
        raise UserError(error.message, error.hint or _HINT) from error


def _whole(record: Mapping[str, Json]) -> dict[str, Any]:
    """A record that came out of a table's columns: JSON texts are values again, and what a column
    has no value for is absent."""
    made: dict[str, Any] = {}
    for name, value in record.items():
        if value is None or value == "":
            continue
        if name in _TREES and isinstance(value, str):
            value = _parsed(value)
        elif name in _NUMBERS and isinstance(value, str):
            value = _number(value)
        made[name] = value
    made.setdefault("output", None)
    return made


def _parsed(text: str) -> Json:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _number(text: str) -> Json:
    try:
        return float(text) if "." in text or "e" in text.lower() else int(text)
    except ValueError:
        return text
