"""Lines of OpenAI's Batch API: requests as it takes them, answers as it gives them back.

    {"custom_id":"…","method":"POST","url":"/v1/chat/completions","body":{…}}
    {"id":"…","custom_id":"…","response":{"status_code":200,"request_id":"…","body":{…}},"error":null}

OpenAI API reference, "Batch": the request input object and the request output object. A request's
key serves as its `custom_id`: it is unique, and with 64 digits within what servers take.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...client.journal import Entry
from ...types import Json

MOST_REQUESTS = 50_000
"""Requests that OpenAI takes in one file."""

MOST_BYTES = 200_000_000
"""Bytes that OpenAI takes in one file."""

_KEY = re.compile("[0-9a-f]{64}")
_STATUS = re.compile("[1-5][0-9][0-9]")
_MEMBERS = frozenset({"id", "custom_id", "response", "error"})
_LONGEST_CODE = 60
_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class ForeignLine(ValueError):
    """A line that is no answer of a batch; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchAnswer:
    """What came back for the request *custom_id*: a *body*, or a *failure* in a word or two, with
    the *status* of the answer that said so, or the *error* of the batch itself.

    *beside* are the members of the line that the Batch API does not know.
    """

    custom_id: str
    body: Json = None
    failure: str | None = None
    status: int | None = None
    error: Json = None
    beside: Mapping[str, Json] = field(default_factory=dict)


def is_key(custom_id: str) -> bool:
    """Whether *custom_id* has the form of a request key."""
    return _KEY.fullmatch(custom_id) is not None


def request_line(key: str, url: str, body: Json) -> bytes:
    """The request as the Batch API takes it, newline included."""
    return _line({"custom_id": key, "method": "POST", "url": url, "body": body})


def answer_line(key: str, entry: Entry) -> bytes:
    """The answer as the Batch API would have given it, newline included."""
    return result_line(key, key[:24], status=200, body=entry.body)


def result_line(
    custom_id: str,
    number: str,
    *,
    status: int | None = None,
    body: Json = None,
    error: Json = None,
    beside: Mapping[str, Json] | None = None,
) -> bytes:
    """What came back for a request as the Batch API gives it, newline included: the *body* of an
    answer of that *status*, or an *error*. The line's own ids are made of *number*."""
    response = {"status_code": status, "request_id": f"req_{number}", "body": body}
    return _line(
        {
            "id": f"batch_req_{number}",
            "custom_id": custom_id,
            "response": response if status is not None else None,
            "error": error,
            **(beside or {}),
        }
    )


def read_answer(line: bytes) -> BatchAnswer:
    """The answer that *line* holds.

    Raises:
        ForeignLine: it holds none.
    """
    said = read_object(line)
    custom_id = said.get("custom_id")
    if custom_id is not None and not isinstance(custom_id, str):
        raise ForeignLine("its custom_id is no text; write it in quotes")
    if not custom_id:
        raise ForeignLine("the line has no custom_id")
    response, error = said.get("response"), said.get("error")
    beside = {name: said[name] for name in said.keys() - _MEMBERS}
    if error is not None:
        failure = _code(error) or "error"
        return BatchAnswer(custom_id=custom_id, failure=failure, error=error, beside=beside)
    if response is None and "method" in said and "body" in said:
        raise ForeignLine("this is a request; import the file that the batch gave back")
    if not isinstance(response, dict) or "status_code" not in response:
        raise ForeignLine("the line has neither response.status_code nor an error")
    status = response["status_code"]
    if isinstance(status, str) and _STATUS.fullmatch(status):
        status = int(status)
    if status != 200:
        told = response.get("body")
        code = _code(told.get("error", told)) if isinstance(told, dict) else None
        return BatchAnswer(
            custom_id=custom_id,
            body=told,
            failure=" ".join(filter(None, (str(status), code))),
            status=status if type(status) is int else None,
            beside=beside,
        )
    if "body" not in response:
        raise ForeignLine("the line has no response.body")
    return BatchAnswer(custom_id=custom_id, body=response["body"], status=200, beside=beside)


def read_object(line: bytes) -> dict[str, Json]:
    """The object that *line* is.

    Raises:
        ForeignLine: it is none.
    """
    said = _parsed(line)
    if not isinstance(said, dict):
        raise ForeignLine("the line is no object")
    return said


def _line(value: Mapping[str, Json]) -> bytes:
    # A lone surrogate, which a row may hold, cannot be UTF-8: it travels as its escape.
    return _write(value).encode("utf-8", "backslashreplace") + b"\n"


def _parsed(line: bytes) -> Json:
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ForeignLine("the line is not UTF-8") from error
    try:
        # Some model servers write NaN, which JSON does not have; it is read as null.
        return json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise ForeignLine("the line is no JSON, or only a part of it") from error


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _code(error: Json) -> str | None:
    """What a program may tell failures apart by."""
    if isinstance(error, str):
        return _word(error) or None
    if not isinstance(error, dict):
        return None
    for name in ("code", "type", "error_code", "message"):
        if isinstance(error.get(name), (str, int)) and str(error[name]):
            return _word(str(error[name]))
    return None


def _word(text: str) -> str:
    """*text* fit for a line on a terminal."""
    line = " ".join(text.split())[:_LONGEST_CODE]
    return "".join(sign if sign.isprintable() else "?" for sign in line)
