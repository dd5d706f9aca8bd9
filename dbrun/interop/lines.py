"""Records of results as lines of other tools' files know them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from ..errors import RowError
from ..frozen import frozen
from ..run.journals.batch_lines import ForeignLine
from ..types import FIELDS_ON_REQUEST, RECORD_FIELDS, Json

Line = Mapping[str, Json]
"""A record as a line of results holds it."""

OURS = "dbrun"
"""The member of foreign lines that keeps what their own format has no place for."""

_MAPPINGS = ("usage", "error", "row", "scores", "steps", "timing")
_UNKNOWN = {"class": "rejected", "message": "the results do not say why", "retryable": False}
_TOLD = ("output", "row")
_HUGE = 1e300
_ELSEWHERE = FIELDS_ON_REQUEST.union(_TOLD)


def sound(record: Line) -> dict[str, Json]:
    """*record* without what cannot be in one; results may have been made by anybody."""
    made = {"output": None, **record}
    for name in _MAPPINGS:
        if name in made and not isinstance(made[name], Mapping):
            del made[name]
    if "scores" in made:
        scores = made["scores"].items()
        made["scores"] = {name: one for name, one in scores if isinstance(one, Mapping)}
    if made["status"] == "error":
        made["error"] = {**_UNKNOWN, **(made.get("error") or {})}
        made["error"]["message"] = as_text(made["error"]["message"])
    else:
        made.pop("error", None)
    return made


def kept(record: Line) -> dict[str, Json]:
    """What of *record* goes into `OURS`: all but the output, the row, and what is volatile."""
    return {name: value for name, value in record.items() if name not in _ELSEWHERE}


@frozen
class Found:
    """A record as a foreign line tells it, and *ours*, what dbrun had kept in that line."""

    record: Line
    ours: Json = None


def merged(found: Found, check: Callable[[Json], str | None]) -> dict[str, Json]:
    """The record that was found: what was kept of it, else what the other format tells.

    Raises:
        ForeignLine: together they are no record, as *check* tells.
    """
    if found.ours is None:
        return ordered(found.record)
    if not isinstance(found.ours, Mapping):
        raise ForeignLine(f"its member '{OURS}' is no object")
    told = {name: found.record[name] for name in _TOLD if name in found.record}
    record = ordered({**told, **found.ours})
    if record.get("status") != "ok":
        record["output"] = None
    wrong = check(record)
    if wrong:
        raise ForeignLine(f"its member '{OURS}' does not fit: {wrong[:200]}")
    return record


def ordered(record: Line) -> dict[str, Json]:
    """*record* with its fields in the order of results; unknown ones are left out."""
    return {name: record[name] for name in RECORD_FIELDS if name in record}


def as_text(value: Json) -> str:
    """An output as a text: itself, or its JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def number(value: Json) -> float | int | None:
    """*value* if it is a number that a double can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if -_HUGE < value < _HUGE else None


def request_text(record: Line) -> str:
    """What was asked, as far as the record knows it (`sink.add: [request]`); else nothing."""
    request = record.get("request")
    if not isinstance(request, Mapping):
        return ""
    for name in ("prompt", "messages", "input"):
        if name in request:
            return as_text(request[name])
    return as_text(dict(request))


def failed(error: RowError) -> dict[str, Json]:
    """The fields of a record that failed with *error*."""
    return {"status": "error", "output": None, "error": error.failure().to_json()}
