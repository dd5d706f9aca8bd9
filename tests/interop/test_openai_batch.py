"""Result lines of OpenAI's Batch API: to them and back, and as others write them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from interop.conftest import RECORDS, SOME

from dbrun.interop.lines import OURS, merged
from dbrun.interop.openai_batch import from_line, name_of, to_line
from dbrun.run.journals.batch_lines import ForeignLine


@SOME
@given(record=RECORDS)
def test_a_record_comes_back_as_it_was(check: Any, record: dict[str, Any]) -> None:
    line = to_line(record)
    assert line.count(b"\n") == 1
    found = merged(from_line(line), check)
    assert found == {name: value for name, value in record.items() if name != "row"}


@SOME
@given(record=RECORDS)
def test_what_the_format_itself_tells(check: Any, record: dict[str, Any]) -> None:
    """Without what dbrun keeps beside: id, text, usage, and what kind of failure it was."""
    said = json.loads(to_line(record))
    del said[OURS]
    found = merged(from_line(json.dumps(said).encode()), check)
    assert check(found) is None
    assert found["id"] == name_of(record)
    assert (found["status"] == "ok") == (record["status"] == "ok")
    if record["status"] == "ok":
        output = record["output"]
        assert found["output"] == output or json.loads(found["output"]) == output
        assert found.get("usage", {}) == record.get("usage", {})
    elif record["status"] == "error" and record["error"].get("status"):
        assert found["error"]["status"] == record["error"]["status"]


def line(**fields: Any) -> bytes:
    return json.dumps({"id": "batch_req_1", "custom_id": "T-1", "error": None, **fields}).encode()


def answer(body: Any, status: int = 200) -> bytes:
    return line(response={"status_code": status, "request_id": "r", "body": body})


CHAT = {"choices": [{"index": 0, "message": {"content": "Hi."}, "finish_reason": "stop"}]}
TEXT = {"choices": [{"index": 0, "text": "Hi.", "finish_reason": "length"}]}
SAID = {"type": "message", "content": [{"type": "output_text", "text": "Hi."}]}
VECTOR = base64.b64encode(b"\x00\x00\x80?" * 2).decode()


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (CHAT, {"output": "Hi.", "finish_reason": "stop"}),
        (
            {**CHAT, "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}},
            {
                "output": "Hi.",
                "finish_reason": "stop",
                "usage": {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4},
            },
        ),
        (TEXT, {"output": "Hi.", "finish_reason": "length"}),
        ({"status": "completed", "output": [SAID]}, {"output": "Hi.", "finish_reason": "stop"}),
        ({"data": [{"index": 0, "embedding": [0.5, 1]}]}, {"output": [0.5, 1]}),
        ({"data": [{"index": 0, "embedding": VECTOR}]}, {"output": VECTOR}),
    ],
    ids=["chat", "usage", "completions", "responses", "embeddings", "base64"],
)
def test_answers_of_every_task(check: Any, body: Any, fields: dict[str, Any]) -> None:
    assert merged(from_line(answer(body)), check) == {"id": "T-1", "status": "ok", **fields}


@pytest.mark.parametrize(
    ("said", "kind", "status"),
    [
        (line(error={"code": "batch_expired", "message": "too late"}), "unanswered", None),
        (line(error={"code": "batch_cancelled", "message": "x"}), "unanswered", None),
        (line(error={"code": "request_timeout", "message": "x"}), "timeout", None),
        (line(error={"code": "other"}), "rejected", None),
        (line(error="no"), "rejected", None),
        (
            answer({"error": {"code": "rate_limit_exceeded", "message": "x"}}, 429),
            "rate_limited",
            429,
        ),
        (answer({"error": {"code": "context_length_exceeded"}}, 400), "context_length", 400),
        (answer({"error": {"message": "no such model"}}, 404), "rejected", 404),
        (answer({"error": {"message": "no"}}, 401), "rejected", 401),
        (answer({"error": {"message": "oops"}}, 500), "unavailable", 500),
        (answer(None, 99999), "unavailable", 99999),
        (answer({"choices": []}), "malformed", 200),
        (answer("hello"), "malformed", 200),
        (answer({"choices": [{"message": {"refusal": "no"}}]}), "content_filter", 200),
    ],
)
def test_failures_are_errors(check: Any, said: bytes, kind: str, status: int | None) -> None:
    record = merged(from_line(said), check)
    assert check(record) is None
    assert (record["error"]["class"], record["error"].get("status")) == (kind, status)
    assert record["error"]["message"]


def test_a_status_may_be_written_as_text(check: Any) -> None:
    said = json.loads(answer(CHAT, 200))
    said["response"]["status_code"] = "200"
    assert merged(from_line(json.dumps(said).encode()), check)["status"] == "ok"


def test_a_key_is_told_as_one(check: Any) -> None:
    key = "a" * 64
    said = json.dumps({"custom_id": key, "response": {"status_code": 200, "body": CHAT}})
    assert merged(from_line(said.encode()), check)["key"] == key


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"[]", "no object"),
        (b'{"custom_id":"T-1","respo', "no JSON, or only a part"),
        (b"\xff\xfe", "not UTF-8"),
        (line(), "neither response.status_code nor an error"),
        (line(method="POST", url="/v1", body={}), "this is a request"),
        (json.dumps({"response": {}}).encode(), "no custom_id"),
        (json.dumps({"custom_id": "", "response": {}}).encode(), "no custom_id"),
        (json.dumps({"custom_id": 7, "response": {}}).encode(), "its custom_id is no text"),
    ],
)
def test_what_is_no_line_is_told(said: bytes, why: str) -> None:
    with pytest.raises(ForeignLine, match=why):
        from_line(said)


@pytest.mark.parametrize(
    "ours",
    [7, {"id": 5}, {"id": "a", "status": "no"}, {"id": "a", "status": "ok", "usage": {"x": 1}}, {}],
)
def test_what_was_kept_is_not_trusted(check: Any, ours: Any) -> None:
    said = {**json.loads(answer(CHAT)), OURS: ours}
    with pytest.raises(ForeignLine, match="its member 'dbrun'"):
        merged(from_line(json.dumps(said).encode()), check)
