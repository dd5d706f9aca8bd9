"""The OpenAI family: what is refused, how reasons are translated, how rows share a call."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.adapters.base import Request
from dbrun.adapters.wires.base import Wire
from dbrun.adapters.wires.common import finish_reason, usage_of
from dbrun.adapters.wires.openai import CHAT, COMPLETIONS, EMBEDDINGS
from dbrun.adapters.wires.responses import RESPONSES
from dbrun.errors import ContentFilter, Malformed, Rejected
from dbrun.types import FINISH_REASONS, Usage


def answer(**choice: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, **choice}]}


@pytest.mark.parametrize(
    "stop", [None, [], "", ()], ids=["null", "empty list", "empty text", "empty tuple"]
)
@pytest.mark.parametrize("wire", [CHAT, COMPLETIONS])
def test_a_stop_that_is_not_set_is_absent(wire: Wire, stop: Any) -> None:
    assert "stop" not in wire.encode(Request(fields={"prompt": "hi", "stop": stop}))


def test_one_stop_string_is_a_list_of_one() -> None:
    assert CHAT.encode(Request(fields={"prompt": "hi", "stop": "X"}))["stop"] == ["X"]


def test_only_what_is_set_is_sent() -> None:
    assert COMPLETIONS.encode(Request(fields={"prompt": "hi"})) == {"prompt": "hi"}


def test_messages_win_over_a_prompt_that_a_transform_left() -> None:
    messages = [{"role": "user", "content": "made"}]
    body = CHAT.encode(Request(fields={"prompt": "hi", "messages": messages}))
    assert body == {"messages": messages}


@pytest.mark.parametrize(
    ("wire", "fields", "said"),
    [
        (CHAT, {"temperature": 1}, "neither prompt nor messages"),
        (RESPONSES, {"temperature": 1}, "neither prompt nor messages"),
        (COMPLETIONS, {"messages": []}, "takes a prompt and the request has messages"),
        (EMBEDDINGS, {"messages": []}, "takes a prompt and the request has messages"),
        (COMPLETIONS, {}, "has no prompt"),
    ],
)
def test_a_request_of_the_wrong_kind_is_refused(
    wire: Wire, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(Rejected, match=said):
        wire.encode(Request(fields=fields))


@pytest.mark.parametrize("wire", [EMBEDDINGS, RESPONSES])
def test_what_knows_no_stop_is_sent_none(wire: Wire) -> None:
    assert "stop" not in wire.encode(Request(fields={"prompt": "hi", "stop": ["X"]}))


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "stop"),
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("eos_token", "stop"),
        ("COMPLETE", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("content_filter", "content_filter"),
        ("SAFETY", "content_filter"),
        ("output_guardrail_triggered", "content_filter"),
        ("tool_calls", "tool_calls"),
        ("tool_use", "tool_calls"),
        ("function_call", "tool_calls"),
        ("something new", "unknown"),
        (None, None),
        ("", None),
        (7, None),
    ],
)
def test_finish_reasons_are_translated(word: Any, reason: str | None) -> None:
    assert finish_reason(word) == reason
    assert reason is None or reason in FINISH_REASONS


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        (None, None),
        ({}, None),
        ({"prompt_tokens": None}, None),
        ({"prompt_tokens": 3.0, "completion_tokens": 0}, Usage(input_tokens=3, output_tokens=0)),
        ({"prompt_tokens": "3", "completion_tokens": True, "total_tokens": -1}, None),
        ({"prompt_tokens": 3, "prompt_tokens_details": None}, Usage(input_tokens=3)),
        ("many", None),
        ({"prompt_tokens": 1e300, "completion_tokens": 10**30}, None),
    ],
)
def test_unknown_counts_are_absent(told: Any, usage: Usage | None) -> None:
    assert usage_of({"usage": told}) == usage


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        (CHAT, {}),
        (CHAT, {"choices": []}),
        (CHAT, {"choices": None}),
        (CHAT, {"choices": ["x"]}),
        (CHAT, {"choices": [{"index": 0}]}),
        (CHAT, answer(message={"content": 7})),
        (CHAT, answer(message={"content": None}, finish_reason="stop")),
        (CHAT, answer(message={"content": None})),
        (CHAT, answer(message={"role": "assistant"}, finish_reason="stop")),
        (CHAT, answer(message={"content": None, "tool_calls": []}, finish_reason="tool_calls")),
        (CHAT, answer(message={"content": None, "reasoning_content": "Hm."}, finish_reason="stop")),
        (CHAT, answer(message={"content": [{"type": "reasoning"}]}, finish_reason="stop")),
        (CHAT, {"messages": [{"role": "tool", "content": "x"}]}),
        (CHAT, {"messages": [{"role": "assistant", "content": None}]}),
        (CHAT, "text"),
        (CHAT, None),
        (COMPLETIONS, {"choices": []}),
        (COMPLETIONS, answer(text=None)),
        (COMPLETIONS, [1]),
        (EMBEDDINGS, {"data": []}),
        (EMBEDDINGS, {"data": [{"index": 0}]}),
        (EMBEDDINGS, {"data": {"embedding": [1]}}),
        (RESPONSES, {"output": "x"}),
        (RESPONSES, {"output": []}),
        (RESPONSES, {"status": "completed", "output": [{"type": "reasoning", "summary": []}]}),
        (RESPONSES, 7),
    ],
)
def test_an_answer_of_another_form_is_malformed(wire: Wire, body: Any) -> None:
    with pytest.raises(Malformed) as caught:
        wire.decode(body)
    assert caught.value.status == 200
    assert caught.value.maybe_paid


@pytest.mark.parametrize(
    ("wire", "body"),
    [
        (CHAT, answer(message={"content": None}, finish_reason="content_filter")),
        (CHAT, answer(message={"content": None, "refusal": "no"}, finish_reason="stop")),
        (CHAT, answer(message={"content": "", "refusal": "no"}, finish_reason="stop")),
        (CHAT, answer(message={"content": [{"type": "refusal", "refusal": "no"}]})),
        (CHAT, answer(message={"content": ""}, finish_reason="content_filter")),
        (COMPLETIONS, answer(text=None, finish_reason="content_filter")),
        (
            RESPONSES,
            {"output": [{"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}]},
        ),
        (
            RESPONSES,
            {
                "status": "incomplete",
                "incomplete_details": {"reason": "content_filter"},
                "output": [],
            },
        ),
    ],
)
def test_a_withheld_answer_is_a_content_filter(wire: Wire, body: Any) -> None:
    with pytest.raises(ContentFilter, match="withheld"):
        wire.decode(body)


@pytest.mark.parametrize(
    ("wire", "body", "reason"),
    [
        (CHAT, answer(message={"content": ""}, finish_reason="stop"), "stop"),
        (CHAT, answer(message={"content": []}, finish_reason="length"), "length"),
        (CHAT, {"messages": [{"role": "assistant", "content": ""}]}, None),
        (COMPLETIONS, answer(text="", finish_reason="stop"), "stop"),
        (
            RESPONSES,
            {"status": "completed", "output": [{"type": "message", "content": []}]},
            "stop",
        ),
        (
            RESPONSES,
            {
                "status": "incomplete",
                "incomplete_details": {"reason": "max_output_tokens"},
                "output": [{"type": "reasoning", "summary": []}],
            },
            "length",
        ),
    ],
)
def test_an_answer_may_be_empty(wire: Wire, body: Any, reason: str | None) -> None:
    told = wire.decode(body)
    assert (told.value, told.finish_reason) == ("", reason)


def test_text_before_the_filter_struck_is_kept() -> None:
    told = CHAT.decode(answer(message={"content": "half"}, finish_reason="content_filter"))
    assert (told.value, told.finish_reason) == ("half", "content_filter")


def test_a_chat_server_that_answers_as_completions_do_is_read() -> None:
    assert CHAT.decode(answer(text="hi", finish_reason="stop")).value == "hi"


def test_prompts_of_equal_parameters_share_a_group() -> None:
    def group(**fields: Any) -> Any:
        return COMPLETIONS.group(COMPLETIONS.encode(Request(fields=fields)))

    assert group(prompt="a", max_tokens=1) == group(prompt="b", max_tokens=1)
    assert group(prompt="a", max_tokens=1) != group(prompt="b", max_tokens=2)
    assert group(prompt="a", stop=["x"]) != group(prompt="b")
    assert group(prompt=["a"]) != group(prompt=["a"])


@given(prompts=st.lists(st.text(), min_size=2, max_size=6), n=st.integers(1, 3), seed=st.randoms())
def test_joined_completions_come_apart_as_if_asked_alone(
    prompts: list[str], n: int, seed: Any
) -> None:
    bodies = [{"prompt": prompt, "n": n} for prompt in prompts]
    joined = COMPLETIONS.join(bodies)
    choices = [
        {"index": row * n + place, "text": f"{prompt}-{place}", "finish_reason": "stop"}
        for row, prompt in enumerate(joined["prompt"])
        for place in range(n)
    ]
    seed.shuffle(choices)
    parts = COMPLETIONS.split({"model": "m", "choices": choices, "usage": {}}, len(prompts))
    assert [COMPLETIONS.decode(part).value for part in parts] == [f"{one}-0" for one in prompts]
    assert all("usage" not in part for part in parts)
    assert all([one["index"] for one in part["choices"]] == list(range(n)) for part in parts)


@given(texts=st.lists(st.text(), min_size=2, max_size=6), seed=st.randoms())
def test_joined_embeddings_come_apart_as_if_asked_alone(texts: list[str], seed: Any) -> None:
    joined = EMBEDDINGS.join([{"input": text} for text in texts])
    data = [
        {"index": place, "embedding": [float(len(text))]}
        for place, text in enumerate(joined["input"])
    ]
    seed.shuffle(data)
    parts = EMBEDDINGS.split({"data": data}, len(texts))
    assert [EMBEDDINGS.decode(part).value for part in parts] == [[float(len(t))] for t in texts]


@pytest.mark.parametrize(
    ("wire", "body", "count"),
    [
        (COMPLETIONS, {"choices": [{"index": 0, "text": "a"}]}, 2),
        (COMPLETIONS, {"choices": []}, 2),
        (COMPLETIONS, {"choices": [{"index": 0, "text": "a"}, {"index": 0, "text": "b"}]}, 2),
        (EMBEDDINGS, {"data": [{"index": 0, "embedding": [1.0]}]}, 2),
        (EMBEDDINGS, {}, 2),
    ],
)
def test_an_answer_too_few_is_malformed(wire: Wire, body: Any, count: int) -> None:
    with pytest.raises(Malformed):
        wire.split(body, count)


def test_lists_without_an_index_come_as_they_are() -> None:
    parts = EMBEDDINGS.split({"data": [{"embedding": [1.0]}, {"embedding": [2.0]}]}, 2)
    assert [EMBEDDINGS.decode(part).value for part in parts] == [[1.0], [2.0]]


def test_chat_travels_alone() -> None:
    assert not CHAT.batches
    assert CHAT.join([{"messages": []}]) == {"messages": []}
    assert CHAT.split({"choices": []}, 1) == [{"choices": []}]
