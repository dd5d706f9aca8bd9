"""What a server says is wrong, read out of whatever body it said it in.

Databricks, MLflow, OpenAI and their kin put the reason under `message`, `error`, `detail` or
`details`, as text, an object, a list, a JSON string inside a string, or an HTML page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from ..frozen import frozen
from ..types import Json

LONGEST = 500
"""Characters of a server's message that are kept."""

_CODES = ("error_code", "code", "type", "status", "scimType", "finish_reason", "finishReason")
_TEXTS = ("message", "error_message", "msg", "detail", "title", "error_description")
# Patterns as texts: compiled when the first server complains, which most never do.
_HTML = (r"(?is)<pre[^>]*>(.*?)</pre>", r"(?is)<title[^>]*>(.*?)</title>")
_EXCEPTION = r"[A-Za-z_][\w.]*(: |$)"
_TAG = r"<[^>]+>"


@frozen
class Complaint:
    """A server's reason: *message* for people, *codes* for machines (lower case).

    *code* is the code that comes first, *provider* the external model's provider when it is the
    one that complains, *trace* a stack trace of the model, *body* the parsed JSON if it was any.
    """

    message: str
    code: str = ""
    codes: frozenset[str] = frozenset()
    provider: str | None = None
    trace: str | None = None
    body: Json = None


def read(status: int, body: bytes, traces: bool = False) -> Complaint:
    """The complaint in an answer's *body*; the status' own phrase where it says nothing.

    Of a model's stack trace the message keeps the exception; *traces* keeps the whole, which
    holds the server's paths and is for debugging only.
    """
    text = body.decode("utf-8", "replace").strip()
    parsed = _parsed(text)
    if isinstance(parsed, (dict, list)):
        return of(parsed, status, traces)
    return Complaint(
        message=_short(_plain(text) if parsed is None else str(parsed)) or phrase(status)
    )


def of(body: Json, status: int, traces: bool = False) -> Complaint:
    """The complaint in an answer that is JSON already."""
    codes = list(dict.fromkeys(_codes(body)))
    provider = _find(body, "external_model_provider")
    trace = _find(body, "stack_trace")
    message = _message(body) or phrase(status)
    if isinstance(trace, str) and (raised := _raised(trace)) and raised not in message:
        message = f"{message} ({raised})"
    named = [code for code in codes if not code.isdigit() and code != "error"]
    said = _short(f"{provider}: {message}" if isinstance(provider, str) else message)
    return Complaint(
        message=said or phrase(status),  # of blanks alone nothing is left
        code=named[0] if named else "",
        codes=frozenset(code.lower() for code in codes),
        provider=provider if isinstance(provider, str) else None,
        trace=trace if traces and isinstance(trace, str) else None,
        body=body,
    )


def phrase(status: int) -> str:
    """The standard phrase of an HTTP status."""
    from http import HTTPStatus  # costs more to import than all else here

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"status {status}"


def _parsed(text: str) -> Json:
    if not text.startswith(("{", "[", '"')):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _message(said: Json, depth: int = 8) -> str:
    """The innermost sentence of *said*; an `error` key beats the others (Databricks API 1.2),
    unless it is but a word beside a message."""
    if isinstance(said, str):
        inner = _parsed(said.strip()) if depth else None
        return (_message(inner, depth - 1) if isinstance(inner, (dict, list)) else "") or said
    if not depth:
        return ""
    if isinstance(said, list):
        return "; ".join(filter(None, (_item(item, depth) for item in said[:5])))
    if not isinstance(said, dict):
        return ""
    names = ["external_model_error", "error", *_TEXTS, "errors", "details"]
    if isinstance(said.get("error"), str) and " " not in said["error"]:
        names.append(names.pop(1))
    for name in names:
        found = _message(said.get(name), depth - 1) if said.get(name) else ""
        if found:
            return found
    return ""


def _item(item: Json, depth: int) -> str:
    """One of a list of faults; FastAPI names the place of each as `loc`."""
    message = _message(item, depth - 1)
    place = item.get("loc") if isinstance(item, dict) else None
    if isinstance(place, list) and message:
        return f"{'.'.join(str(step) for step in place)}: {message}"
    return message


def _codes(said: Json, depth: int = 8) -> Iterator[str]:
    """Every machine code in *said*, outermost first."""
    if isinstance(said, str):
        said = _parsed(said.strip()) if said.lstrip().startswith("{") else None
    if isinstance(said, list):
        for item in said[:5]:
            yield from _codes(item, depth - 1) if depth else ()
    if not isinstance(said, dict) or not depth:
        return
    for name in _CODES:
        code = said.get(name)
        if isinstance(code, (str, int)) and not isinstance(code, bool) and str(code):
            yield str(code)
    for name in ("external_model_error", "error", "message", "detail", "errors", "choices"):
        if isinstance(said.get(name), (dict, list, str)):
            yield from _codes(said[name], depth - 1)


def _find(said: Json, name: str, depth: int = 8) -> Json:
    """The first value under *name* in *said* or in JSON within its strings."""
    if isinstance(said, str) and said.lstrip().startswith("{"):
        said = _parsed(said.strip())
    if not isinstance(said, dict) or not depth:
        return None
    if name in said:
        return said[name]
    inner = (_find(said.get(key), name, depth - 1) for key in ("error", "message"))
    return next((value for value in inner if value is not None), None)


def _raised(trace: str) -> str:
    """The exception that a stack trace ends with."""
    last = trace.strip().rpartition("\n")[2].strip()
    return last if re.match(_EXCEPTION, last) else ""


def _plain(text: str) -> str:
    """The sentence of an HTML page (`<pre>`, then `<title>`), or the text itself."""
    if not text.lstrip().startswith("<"):
        return text
    for pattern in _HTML:
        found = re.search(pattern, text)
        if found and found.group(1).strip():
            return re.sub(_TAG, " ", found.group(1))
    return re.sub(_TAG, " ", text)


def _short(text: str) -> str:
    # What a server says is shown on terminals, which colour codes and the like would command.
    line = " ".join("".join(one if one.isprintable() else " " for one in text).split())
    return line if len(line) <= LONGEST else line[:LONGEST] + "…"
