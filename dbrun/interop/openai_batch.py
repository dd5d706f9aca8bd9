"""Result lines of OpenAI's Batch API (OpenAI API reference, "Batch": the request output object).

    {"id":"…","custom_id":"T-1","response":{"status_code":200,"request_id":"…","body":{…}},"error":null}

The body is that of a chat completion. Where the results have the whole answer (`sink.add: [raw]`),
it is that one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from ..adapters import complaint
from ..adapters.classify import Place, error_of
from ..adapters.wires.base import Wire, unexpected
from ..adapters.wires.openai import CHAT, EMBEDDINGS
from ..adapters.wires.responses import RESPONSES
from ..errors import EndpointError, Rejected, RowError, TimedOut, Unanswered
from ..run.journals.batch_lines import BatchAnswer, is_key, read_answer, result_line
from ..types import Json
from .lines import OURS, Found, Line, as_text, failed, kept

_WIRES: Mapping[str, Wire] = {
    "choices": CHAT,
    "output": RESPONSES,
    "output_text": RESPONSES,
    "data": EMBEDDINGS,
}
"""A member of an answer's body → how the body is read."""

_REASONS = ("stop", "length", "content_filter", "tool_calls")
_NOWHERE = Place(url="the endpoint", missing="", rights="", credentials="")
_GIVEN_UP: Mapping[str, type[RowError]] = {
    "batch_expired": Unanswered,
    "batch_cancelled": Unanswered,
    "request_timeout": TimedOut,
}
"""Codes of errors of the batch itself (OpenAI API reference, batch request output: error)."""


def to_line(record: Line) -> bytes:
    """The line of *record*, newline included."""
    custom_id = name_of(record)
    number = hashlib.sha256(custom_id.encode("utf-8", "surrogatepass")).hexdigest()[:24]
    ours = kept(record)
    if record["status"] == "ok":
        raw = record.get("raw")
        body = raw if isinstance(raw, Mapping) else _completion(record, number)
        if _said(body) != record["output"]:
            ours["output"] = record["output"]
        return result_line(custom_id, number, status=200, body=body, beside={OURS: ours})
    error = record.get("error") or {"class": "filtered", "message": "the row was filtered"}
    told = {"code": error["class"], "message": error["message"]}
    if error.get("status") is None:
        return result_line(custom_id, number, error=told, beside={OURS: ours})
    body = {"error": {**told, "type": error["class"], "param": None}}
    return result_line(custom_id, number, status=error["status"], body=body, beside={OURS: ours})


def name_of(record: Line) -> str:
    """A name for *record* among all of its results."""
    parts = [record["id"], record.get("variant"), record.get("repeat")]
    return "#".join(str(part) for part in parts if part is not None)


def from_line(line: bytes) -> Found:
    """The record that *line* tells of.

    Raises:
        ForeignLine: it is no line of a batch's results.
    """
    answer = read_answer(line)
    record: dict[str, Json] = {"id": answer.custom_id, **_fields(answer)}
    if is_key(answer.custom_id):
        record["key"] = answer.custom_id
    return Found(record=record, ours=answer.beside.get(OURS))


def _fields(answer: BatchAnswer) -> dict[str, Json]:
    try:
        if answer.failure is not None:
            raise _error(answer)
        response = _wire(answer.body).decode(answer.body)
    except RowError as error:
        return failed(error)
    fields: dict[str, Json] = {"status": "ok", "output": response.value}
    if response.finish_reason is not None:
        fields["finish_reason"] = response.finish_reason
    if response.usage is not None:
        fields["usage"] = response.usage.to_json()
    return fields


def _error(answer: BatchAnswer) -> RowError:
    if answer.status is not None:
        said = complaint.of(answer.body, answer.status)
        error = error_of(answer.status, said, _NOWHERE)
        if isinstance(error, EndpointError):
            return error
        # What would end a run has failed one request here.
        return Rejected(f"the endpoint answered {answer.status}: {said.message}", answer.status)
    told = answer.error if isinstance(answer.error, Mapping) else {}
    message = told.get("message")
    text = message if isinstance(message, str) and message else f"the batch says: {answer.failure}"
    return _GIVEN_UP.get(str(told.get("code")), Rejected)(text)


def _wire(body: Json) -> Wire:
    for member, wire in _WIRES.items():
        if isinstance(body, Mapping) and body.get(member) is not None:
            return wire
    raise unexpected(body, "choices, output or data")


def _said(body: Json) -> Json:
    """The output that `from_line` would find in *body*."""
    try:
        return _wire(body).decode(body).value
    except RowError:
        return None


def _completion(record: Line, number: str) -> dict[str, Json]:
    """A chat completion that says what *record* does."""
    message = {"role": "assistant", "content": as_text(record["output"])}
    told = record.get("finish_reason")
    reason = told if told in _REASONS else "stop"
    body: dict[str, Json] = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 0,
        "model": "",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
    }
    usage = record.get("usage")
    if isinstance(usage, Mapping):
        body["usage"] = _usage(usage)
    return body


def _usage(usage: Mapping[str, Json]) -> dict[str, Json]:
    names = {
        "input_tokens": "prompt_tokens",
        "output_tokens": "completion_tokens",
        "total_tokens": "total_tokens",
    }
    told: dict[str, Json] = {name: usage[ours] for ours, name in names.items() if ours in usage}
    if "cached_input_tokens" in usage:
        told["prompt_tokens_details"] = {"cached_tokens": usage["cached_input_tokens"]}
    if "reasoning_tokens" in usage:
        told["completion_tokens_details"] = {"reasoning_tokens": usage["reasoning_tokens"]}
    return told
