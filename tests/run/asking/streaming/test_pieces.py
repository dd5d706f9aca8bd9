"""Answers in pieces from an endpoint in Python, to read and to await."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fakes.faults import say
from fakes.workspace import FakeWorkspace, Fault, cut, fail, reset, throttle
from run.asking.streaming.conftest import EVENTS, HAPPY, Open, Pieces, chunks, events

import dbrun
from dbrun.errors import (
    AuthError,
    ContextLength,
    EndpointMissing,
    Malformed,
    RateLimited,
    Rejected,
    Unavailable,
    UserError,
)

# --- every kind of endpoint ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["chat", "completions", "reasoning", "external", "untyped", "agent", "agent-responses"],
)
def test_pieces_joined_are_what_invoke_gives(
    open_endpoint: Open, pieces: Pieces, workspace: FakeWorkspace, name: str
) -> None:
    llm = open_endpoint(name)
    said = pieces(llm, "How are you?")
    assert said == [*(f"{word} " for word in HAPPY.split()[:-1]), "health."]
    assert workspace.calls[-1].json["stream"] is True
    assert "".join(said) == llm.invoke("How are you?") == HAPPY


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("custom", [HAPPY]),
        ("custom-dict", [{"text": HAPPY}]),
        ("custom-number", [47]),
        ("embeddings", [[0.87109375, 0.15625, 0.48828125]]),
    ],
)
def test_what_does_not_stream_is_one_piece(
    open_endpoint: Open, pieces: Pieces, workspace: FakeWorkspace, name: str, said: Any
) -> None:
    assert pieces(open_endpoint(name), "How are you?") == said
    assert "stream" not in workspace.calls[-1].json


def test_other_adapters_give_one_piece(open_endpoint: Open, pieces: Pieces) -> None:
    llm = open_endpoint(adapter="python", function="textwrap:dedent")
    assert pieces(llm, "not asked for", text="  a b") == ["a b"]


def test_params_and_stop_strings_travel_along(
    open_endpoint: Open, pieces: Pieces, workspace: FakeWorkspace
) -> None:
    llm = open_endpoint(params={"temperature": 0}, stop="good")
    assert "".join(pieces(llm, "How are you?", max_tokens=50)) == HAPPY.partition("good")[0]
    assert "".join(pieces(llm, "How are you?", stop=[" to "])) == "I am happy"
    assert workspace.calls[0].json == {
        "messages": [{"role": "user", "content": "How are you?"}],
        "temperature": 0,
        "max_tokens": 50,
        "stop": ["good"],
        "stream": True,
    }


def test_output_transforms_want_to_see_all(open_endpoint: Open, pieces: Pieces) -> None:
    llm = open_endpoint(
        transform_input_fn=lambda **request: {**request, "prompt": "How are you?"},
        transform_output_fn=str.upper,
    )
    assert pieces(llm, "x") == [HAPPY.upper()]


# --- pieces that are torn, odd, or an error -----------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_it_does_not_matter_where_pieces_of_the_network_end(
    open_endpoint: Open, pieces: Pieces, workspace: FakeWorkspace, size: int
) -> None:
    text = "Grüße \u2028 an 😀, 日本!"
    given = events(*chunks(*text))
    workspace.script(
        [Fault(status=200, body=given, headers={"content-type": EVENTS}, chunked=size)]
    )
    assert pieces(open_endpoint(), "x") == list(text)


def test_a_stop_string_across_chunks_is_cut_and_ends_the_call(
    open_endpoint: Open, pieces: Pieces, workspace: FakeWorkspace
) -> None:
    body = events(*chunks("one E", "N", "D tw", "o", " three"))
    at = body.index(b" three")
    workspace.script([say(body, EVENTS, cut=at, stall=30.0)])
    llm = open_endpoint(send_stop=False)
    assert pieces(llm, "x", stop=["END"]) == ["one "]
    assert "stop" not in workspace.calls[0].json


@pytest.mark.parametrize(
    "body",
    [
        events(*chunks("a", "b"), done=False),  # a finish reason and no [DONE]
        events(*chunks("a", "b", reason=None)),  # [DONE] and no finish reason
        events(*chunks("a", "b"), done=False)[:-2],  # without the last blank line
        events(*chunks("a", "b")).replace(b"\n", b"\r\n"),
        b": ping\n\n" + events(*chunks("a", "b")),
        events(*chunks("a", "b"), {"choices": [], "usage": {"total_tokens": 3}}),
        events({"choices": None}, *chunks("a", "b")),
        events(*chunks("a", "b")) + b"data: what comes after the end is not looked at\n\n",
    ],
)
def test_streams_end_in_several_ways(
    open_endpoint: Open, pieces: Pieces, workspace: FakeWorkspace, body: bytes
) -> None:
    workspace.script([say(body, EVENTS)])
    assert pieces(open_endpoint(), "x") == ["a", "b"]


def test_a_connection_cut_after_the_finish_reason_lacks_nothing(
    open_endpoint: Open, pieces: Pieces, workspace: FakeWorkspace
) -> None:
    body = events(*chunks("a", "b"))
    at = body.index(b"data: [DONE]")
    workspace.script([say(body, EVENTS, cut=at)])
    assert pieces(open_endpoint(), "x") == ["a", "b"]


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        (say(events(*chunks("a", reason=None), done=False), EVENTS), Unavailable, "was cut off"),
        (cut(400), Unavailable, "within the body"),
        (reset(400), Unavailable, "reset"),
        (
            say(events(*chunks("a"), {"error": {"message": "no", "code": 429}}), EVENTS),
            RateLimited,
            "429.*no",
        ),
        (
            say(events(*chunks("a"), {"error_code": "INTERNAL_ERROR", "message": "m"}), EVENTS),
            Unavailable,
            "INTERNAL_ERROR: m",
        ),
        (
            say(events(*chunks("a"), {"error": {"code": "context_length_exceeded"}}), EVENTS),
            ContextLength,
            "context_length_exceeded",
        ),
        (say(events(*chunks("a")).replace(b"[DONE]", b"{no"), EVENTS), Malformed, "is no JSON"),
        (say(events(*chunks("a", reason=None), {"odd": 1}), EVENTS), Malformed, "no choices"),
    ],
)
def test_trouble_after_the_first_piece_is_the_readers(
    open_endpoint: Open, workspace: FakeWorkspace, fault: Fault, error: Any, said: str
) -> None:
    workspace.script([fault])
    llm = open_endpoint()
    got = []
    with pytest.raises(error, match=said):
        for piece in llm.stream("How are you?"):
            got.append(piece)
    assert got
    assert len(workspace.calls) == 1  # what was begun is not asked for again
    workspace.script([])
    assert llm.invoke("How are you?") == HAPPY


@pytest.mark.parametrize(
    "fault",
    [
        fail(503, times=1),
        cut(3, times=1),
        throttle(retry_after=0, times=1),
        say(events({"error": {"message": "busy", "code": 503}}), EVENTS, times=1),
        say(events(done=False), EVENTS, times=1),
    ],
)
def test_trouble_before_the_first_piece_is_tried_again(
    open_endpoint: Open,
    pieces: Pieces,
    workspace: FakeWorkspace,
    fault: Fault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.0)  # no time to lose
    workspace.script([replace(fault)])
    assert "".join(pieces(open_endpoint(), "How are you?")) == HAPPY
    assert len(workspace.calls) == 2


def test_an_endpoint_that_refuses_to_stream_is_asked_for_the_whole(
    open_endpoint: Open, pieces: Pieces, workspace: FakeWorkspace
) -> None:
    body = {"error_code": "BAD_REQUEST", "message": 'Bad request: json: unknown field "stream"\n'}
    workspace.script([Fault(status=400, body=body, contains='"stream":true')])
    llm = open_endpoint()
    for _ in range(2):
        assert pieces(llm, "How are you?", stop=["health"]) == [HAPPY.partition("health")[0]]
    assert ["stream" in call.json for call in workspace.calls] == [True, False, False]


def test_an_endpoint_that_answers_as_a_whole_is_heard(
    open_endpoint: Open, pieces: Pieces, workspace: FakeWorkspace
) -> None:
    workspace.script([say({"choices": [{"message": {"content": "all at once. b"}}]})])
    assert pieces(open_endpoint(), "x", stop=["."]) == ["all at once"]
    assert len(workspace.calls) == 1


def test_tool_calls_come_at_the_end(
    open_endpoint: Open, pieces: Pieces, workspace: FakeWorkspace
) -> None:
    call = {"index": 0, "id": "t", "function": {"name": "look", "arguments": "{}"}}
    chunk = {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]}
    workspace.script([say(events(chunk, *chunks(reason="tool_calls")), EVENTS)])
    (said,) = pieces(open_endpoint(), "x")
    assert said == [{"id": "t", "function": {"name": "look", "arguments": "{}"}}]


# --- credentials, refusals ----------------------------------------------------------------------


def test_refused_parameters_are_named(open_endpoint: Open, pieces: Pieces) -> None:
    with pytest.raises(Rejected, match=r'unknown field "seed"; remove params\.seed'):
        pieces(open_endpoint(), "x", seed=7)


def test_refused_credentials_end_it(
    open_endpoint: Open, pieces: Pieces, workspace: FakeWorkspace
) -> None:
    llm = open_endpoint(task="chat")
    workspace.revoke()
    with pytest.raises(AuthError, match="refuses DATABRICKS_TOKEN") as caught:
        pieces(llm, "x")
    assert workspace.token not in str(caught.value)
    assert len(workspace.calls) == 2  # once more after a refresh


def test_credentials_are_renewed_on_the_way(
    workspace: FakeWorkspace, pieces: Pieces, monkeypatch: pytest.MonkeyPatch
) -> None:
    environ = {
        "DATABRICKS_HOST": workspace.url,
        "DATABRICKS_CLIENT_ID": "client-id-1",
        "DATABRICKS_CLIENT_SECRET": "client-secret-1",
    }
    with dbrun.endpoint("databricks", name="chat", task="chat", environ=environ) as llm:
        assert "".join(pieces(llm, "How are you?")) == HAPPY
        workspace.revoke()
        assert "".join(pieces(llm, "How are you?")) == HAPPY
    assert len(workspace.calls) == 3


def test_credentials_that_are_echoed_are_hidden(
    open_endpoint: Open, pieces: Pieces, workspace: FakeWorkspace
) -> None:
    workspace.script([say(events(*chunks("you sent ", workspace.token)), EVENTS)])
    assert pieces(open_endpoint(), "x") == ["you sent ", "***"]


def test_an_endpoint_that_is_not_there(open_endpoint: Open, pieces: Pieces) -> None:
    with pytest.raises(EndpointMissing, match="nope"):
        pieces(open_endpoint("nope", task="chat"), "x")


@pytest.mark.parametrize("method", ["stream", "astream"])
def test_misuse_is_told_before_the_first_piece(open_endpoint: Open, method: str) -> None:
    llm = open_endpoint()
    with pytest.raises(TypeError, match="a text or a list of messages, not int"):
        getattr(llm, method)(7)
    llm.close()
    with pytest.raises(UserError, match="was closed"):
        getattr(llm, method)("x")
