"""Events of a stream: the text that each adds, and the whole answer that they make."""

from __future__ import annotations

from typing import Any

import pytest

from dbrun.adapters.wires.base import Wire
from dbrun.adapters.wires.driver_proxy import PROMPT
from dbrun.adapters.wires.mlflow import Signature
from dbrun.adapters.wires.openai import CHAT, COMPLETIONS, EMBEDDINGS
from dbrun.adapters.wires.responses import RESPONSES
from dbrun.errors import ContentFilter, Malformed
from dbrun.types import Response

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def chunk(delta: Any = None, reason: Any = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": reason}
    return {"id": "c", "model": "m", "choices": [choice], **more}


def taken(wire: Wire, *events: Any) -> tuple[list[str], Response, bool]:
    parts = wire.streamed()
    assert parts is not None
    texts = [parts.add(event) for event in events]
    return texts, wire.decode(parts.body()), parts.is_whole


def test_a_chat_in_chunks() -> None:
    counted = [{"prompt_tokens": 3, "completion_tokens": n} for n in (1, 2)]
    texts, response, is_whole = taken(
        CHAT,
        chunk({"role": "assistant"}),
        chunk({"content": "Hel"}, usage=counted[0]),
        chunk({"content": "lo"}, usage=counted[1]),
        chunk({}, "stop"),
        {"choices": [], "usage": USAGE},
    )
    assert texts == ["", "Hel", "lo", "", ""]
    assert (response.value, response.finish_reason, response.model) == ("Hello", "stop", "m")
    assert response.usage is not None
    assert response.usage.output_tokens == 2  # the last count, not the sum
    assert is_whole


def test_a_chat_that_ends_without_a_finish_reason_is_not_whole() -> None:
    parts = CHAT.streamed()
    assert parts is not None
    parts.add(chunk({"content": "Hel"}))
    assert (parts.is_whole, parts.may_just_end) == (False, False)


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (chunk({"content": None}), ""),
        ({"choices": None, "usage": USAGE}, ""),
        ({"choices": [{"index": 0, "delta": None, "finish_reason": None}]}, ""),
        ({"choices": [{"index": 1, "delta": {"content": "another"}}]}, ""),
        ({"choices": [{"delta": {"content": "no index"}}]}, "no index"),
        ({"choices": [{"index": 0, "message": {"content": "all at once"}}]}, "all at once"),
        ({"choices": [{"index": 0, "text": "plain"}]}, "plain"),
        (chunk({"content": [{"type": "reasoning", "summary": []}]}), ""),
        (
            chunk({"content": [{"type": "text", "text": "an"}, {"type": "text", "text": "d"}]}),
            "and",
        ),
    ],
)
def test_odd_chunks_of_a_chat(event: Any, text: str) -> None:
    parts = CHAT.streamed()
    assert parts is not None
    assert parts.add(event) == text


def test_thoughts_that_use_up_all_tokens_leave_an_empty_answer() -> None:
    thought = chunk({"content": [{"type": "reasoning", "summary": []}]})
    texts, response, _ = taken(CHAT, thought, chunk({}, "length"))
    assert (texts, response.value, response.finish_reason) == (["", ""], "", "length")


def test_tool_calls_are_put_together() -> None:
    _, response, _ = taken(
        CHAT,
        chunk({"tool_calls": [{"index": 0, "id": "t", "type": "function"}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"name": "look", "arguments": '{"a'}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '":1}'}}, "odd"]}),
        chunk({"tool_calls": [{"index": 1, "id": "u", "function": {"name": "go"}}]}),
        chunk({}, "tool_calls"),
    )
    look = {"name": "look", "arguments": '{"a":1}'}
    assert response.value == [
        {"id": "t", "type": "function", "function": look},
        {"id": "u", "function": {"name": "go"}},
    ]
    assert response.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    "events",
    [
        [chunk({}, "content_filter")],
        [chunk({"refusal": "I "}), chunk({"refusal": "won't"}), chunk({}, "stop")],
    ],
)
def test_a_withheld_chat_is_withheld_in_pieces_too(events: list[Any]) -> None:
    with pytest.raises(ContentFilter):
        taken(CHAT, *events)


def test_an_agent_in_deltas() -> None:
    said = {"role": "assistant", "id": "m1"}
    texts, response, is_whole = taken(
        CHAT,
        {"delta": {"role": "tool", "content": "7 rows", "id": "t"}},
        {"delta": {**said, "content": "Seven "}},
        {"delta": {**said, "content": "rows."}, "finish_reason": "stop", "usage": USAGE},
    )
    assert texts == ["", "Seven ", "rows."]
    assert (response.value, response.finish_reason) == ("Seven rows.", "stop")
    assert not is_whole
    parts = CHAT.streamed()
    assert parts is not None
    parts.add({"delta": {**said, "content": "x"}})
    assert parts.may_just_end


def test_completions_in_chunks() -> None:
    def piece(text: Any, reason: Any = None, index: int = 0) -> dict[str, Any]:
        return {"choices": [{"index": index, "text": text, "finish_reason": reason}]}

    texts, response, is_whole = taken(
        COMPLETIONS, piece("a"), piece("z", index=1), piece(" b"), piece(None, "length")
    )
    assert texts == ["a", "", " b", ""]
    assert (response.value, response.finish_reason) == ("a b", "length")
    assert is_whole


def delta(text: str) -> dict[str, Any]:
    return {"type": "response.output_text.delta", "delta": text}


def item(text: str) -> dict[str, Any]:
    said = [{"type": "output_text", "text": text}]
    return {"type": "message", "role": "assistant", "content": said}


def done(of: Any) -> dict[str, Any]:
    return {"type": "response.output_item.done", "item": of}


RESPONSE = {"status": "completed", "model": "m", "output": [item("Hello")], "usage": USAGE}


@pytest.mark.parametrize(
    ("events", "texts", "value", "is_whole"),
    [
        (
            [
                {"type": "response.created"},
                *[delta("Hel"), delta("lo"), done(item("Hello"))],
                {"type": "response.completed", "response": RESPONSE},
            ],
            ["", "Hel", "lo", "", ""],
            "Hello",
            True,
        ),
        # An agent that tells whole items only, and no end.
        ([done(item("Hel")), done(item("lo"))], ["Hel", "lo"], "Hello", False),
        # Items of other kinds have no text.
        ([done({"type": "reasoning"}), done(item("a"))], ["", "a"], "a", False),
        # Deltas alone.
        ([delta("a"), delta("b")], ["a", "b"], "ab", False),
        # A completed response without its items.
        (
            [delta("a"), {"type": "response.completed", "response": {"status": "completed"}}],
            ["a", ""],
            "a",
            True,
        ),
    ],
)
def test_responses_in_events(
    events: list[Any], texts: list[str], value: str, is_whole: bool
) -> None:
    found, response, whole = taken(RESPONSES, *events)
    assert (found, response.value, whole) == (texts, value, is_whole)


def test_a_response_that_ran_out_of_tokens() -> None:
    told = {
        "status": "incomplete",
        "incomplete_details": {"reason": "max_output_tokens"},
        "output": [item("a")],
    }
    _, response, is_whole = taken(
        RESPONSES, delta("a"), {"type": "response.incomplete", "response": told}
    )
    assert (response.value, response.finish_reason, is_whole) == ("a", "length", True)


@pytest.mark.parametrize(
    ("wire", "event", "said"),
    [
        (CHAT, {"error": {"message": "no"}}, {"error": {"message": "no"}}),
        (CHAT, {"error_code": "X", "message": "no"}, {"error_code": "X", "message": "no"}),
        (CHAT, {"error": None, "choices": [{"index": 0}]}, None),
        (CHAT, chunk({"content": "a"}), None),
        (CHAT, "text", None),
        (COMPLETIONS, {"error": "no"}, {"error": "no"}),
        (RESPONSES, {"type": "error", "message": "no"}, {"type": "error", "message": "no"}),
        (RESPONSES, {"type": "error", "error": {"code": "c"}}, {"code": "c"}),
        (
            RESPONSES,
            {"type": "response.failed", "response": {"error": {"message": "no"}}},
            {"message": "no"},
        ),
        (RESPONSES, {"type": "response.failed"}, {"type": "response.failed"}),
        (RESPONSES, delta("a"), None),
    ],
)
def test_an_error_among_the_events_is_seen(wire: Wire, event: Any, said: Any) -> None:
    parts = wire.streamed()
    assert parts is not None
    assert parts.complaint(event) == said


@pytest.mark.parametrize("wire", [CHAT, COMPLETIONS, RESPONSES])
@pytest.mark.parametrize("event", ["text", 7, [], {}, {"x": 1}])
def test_what_is_no_event_is_malformed(wire: Wire, event: Any) -> None:
    parts = wire.streamed()
    assert parts is not None
    with pytest.raises(Malformed, match="in an event of its stream"):
        parts.add(event)


@pytest.mark.parametrize("wire", [EMBEDDINGS, PROMPT, Signature()])
def test_other_wires_have_no_pieces(wire: Wire) -> None:
    assert wire.streamed() is None
