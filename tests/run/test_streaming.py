"""Answers in pieces from an endpoint in Python, to read and to await."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from fakes.faults import drip, say
from fakes.models import as_events
from fakes.workspace import FakeWorkspace, Fault, cut, fail, reset, stall, throttle

import dbrun
from dbrun.errors import (
    AuthError,
    ContextLength,
    EndpointMissing,
    Malformed,
    RateLimited,
    Rejected,
    RowError,
    TimedOut,
    Unavailable,
    UserError,
)

HAPPY = "I am happy to hear that you are in good health."
EVENTS = "text/event-stream"

Open = Callable[..., Any]
Pieces = Callable[..., list[Any]]


@pytest.fixture
def workspace() -> Iterator[FakeWorkspace]:
    with FakeWorkspace() as made:
        yield made


@pytest.fixture
def open_endpoint(workspace: FakeWorkspace) -> Iterator[Open]:
    opened = []

    def make(name: str = "chat", adapter: str = "databricks", **options: Any) -> Any:
        named = {"name": name} if adapter == "databricks" else {}
        llm = dbrun.endpoint(adapter, environ=workspace.environ, **named, **options)
        opened.append(llm)
        return llm

    yield make
    for llm in opened:
        llm.close()


async def collected(pieces: AsyncIterator[Any]) -> list[Any]:
    return [piece async for piece in pieces]


@pytest.fixture(params=["stream", "astream"])
def pieces(request: pytest.FixtureRequest) -> Pieces:
    """All pieces of an answer, read in one of the two ways."""

    def read(llm: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if request.param == "stream":
            return list(llm.stream(*args, **kwargs))

        async def inside() -> list[Any]:
            return await collected(llm.astream(*args, **kwargs))

        return asyncio.run(inside())

    return read


def chunks(*texts: str, reason: Any = "stop") -> list[Any]:
    """Chunks of a chat, and a last one with the finish reason, if there is one."""
    made: list[Any] = [
        {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
        for text in texts
    ]
    if reason:
        made.append({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    return made


def events(*given: Any, done: bool = True) -> bytes:
    return as_events(list(given), done).body


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


# --- while it comes, and leaving it -------------------------------------------------------------


def halfway(workspace: FakeWorkspace, *texts: str) -> None:
    """Have the workspace send *texts*, then nothing for a long time."""
    body = events(*chunks(*texts, "never sent"))
    at = body.index(b"never sent")
    workspace.script([say(body, EVENTS, cut=at, stall=30.0)])


def soon_idle(workspace: FakeWorkspace) -> bool:
    """Whether the workspace has noticed that nobody listens any more."""
    deadline = time.monotonic() + 10
    while workspace.in_flight and time.monotonic() < deadline:
        time.sleep(0.005)
    return workspace.in_flight == 0


def test_pieces_are_there_before_the_answer_has_ended(
    open_endpoint: Open, workspace: FakeWorkspace
) -> None:
    halfway(workspace, "a", "b")
    stream = open_endpoint().stream("x")
    assert [next(stream), next(stream)] == ["a", "b"]
    assert workspace.in_flight == 1
    stream.close()
    assert soon_idle(workspace)


def test_who_stops_reading_hangs_up_and_frees_the_slot(
    open_endpoint: Open, workspace: FakeWorkspace
) -> None:
    halfway(workspace, "a", "b")
    llm = open_endpoint(limits={"concurrency": 1})
    for piece in llm.stream("x"):
        assert piece == "a"
        break
    assert soon_idle(workspace)
    workspace.script([])
    assert llm.invoke("How are you?") == HAPPY


def test_a_slot_is_held_until_the_end(open_endpoint: Open, workspace: FakeWorkspace) -> None:
    llm = open_endpoint(limits={"concurrency": 1})
    stream = llm.stream("How are you?")
    next(stream)
    waiting = threading.Thread(target=llm.invoke, args=("next",))
    waiting.start()
    waiting.join(0.1)
    assert len(workspace.calls) == 1
    assert "".join(stream)
    waiting.join(10)
    assert len(workspace.calls) == 2


def test_the_time_of_an_attempt_holds(open_endpoint: Open, workspace: FakeWorkspace) -> None:
    workspace.script([drip(0.01)])
    with pytest.raises(TimedOut, match=r"within 0\.2 s"):
        list(open_endpoint(limits={"timeout": 0.2, "attempts": 1}).stream("x"))


def test_a_cancelled_task_hangs_up(open_endpoint: Open, workspace: FakeWorkspace) -> None:
    halfway(workspace, "a")
    llm = open_endpoint()

    async def inside() -> list[str]:
        got = []

        async def read() -> None:
            async for piece in llm.astream("x"):
                got.append(piece)
                seen.set()

        seen = asyncio.Event()
        task = asyncio.create_task(read())
        await seen.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return got

    assert asyncio.run(inside()) == ["a"]
    assert soon_idle(workspace)


def test_a_cancelled_call_hangs_up_too(open_endpoint: Open, workspace: FakeWorkspace) -> None:
    workspace.script([stall(30.0)])
    llm = open_endpoint(task="chat", limits={"concurrency": 1})

    async def inside() -> str:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(llm.ainvoke("x"), 0.1)
        assert await asyncio.to_thread(soon_idle, workspace)
        workspace.script([])
        return str(await llm.ainvoke("How are you?"))

    assert asyncio.run(inside()) == HAPPY


def test_functions_of_the_users_do_not_hold_up_the_event_loop(open_endpoint: Open) -> None:
    opened = threading.Event()

    def patient(text: Any = "", **request: Any) -> Any:
        assert opened.wait(10)
        return request or text

    asking = open_endpoint(transform_input_fn=lambda **request: patient(**request))
    concluding = open_endpoint(transform_output_fn=lambda text: patient(text))

    async def inside() -> list[Any]:
        asyncio.get_running_loop().call_later(0.05, opened.set)
        return await asyncio.gather(
            asking.ainvoke("How are you?"),
            concluding.ainvoke("How are you?"),
            collected(concluding.astream("How are you?")),
        )

    assert asyncio.run(inside()) == [HAPPY, HAPPY, [HAPPY]]


# --- many at once -------------------------------------------------------------------------------


def test_many_to_await_come_in_order_within_their_concurrency(
    open_endpoint: Open, workspace: FakeWorkspace
) -> None:
    workspace.latency = 0.02
    llm = open_endpoint()
    prompts = (f"number {number}" for number in range(20))
    said = asyncio.run(llm.abatch(prompts, concurrency=4))
    assert [line.split()[2] for line in said] == [str(number) for number in range(20)]
    assert 2 <= workspace.peak_in_flight <= 4


def test_errors_of_many(open_endpoint: Open, workspace: FakeWorkspace) -> None:
    workspace.script([fail(400, contains="bad")])
    llm = open_endpoint()

    async def inside() -> None:
        good, bad = await llm.abatch(["good", "bad"], return_exceptions=True)
        assert good.startswith("Echo: good")
        assert isinstance(bad, Rejected)
        before = len(workspace.calls)
        with pytest.raises(RowError, match="400"):
            await llm.abatch(["bad", *["good"] * 50], concurrency=2)
        assert len(workspace.calls) - before < 10
        with pytest.raises(TypeError):
            await llm.abatch(["good", 7])

    asyncio.run(inside())


def test_one_endpoint_serves_threads_and_event_loops(
    open_endpoint: Open, workspace: FakeWorkspace
) -> None:
    llm = open_endpoint()

    async def inside() -> list[str]:
        async with llm:
            first = llm.invoke("How are you?")  # in a notebook a loop is running
            second = await llm.ainvoke("How are you?")
            third = "".join(await collected(llm.astream("How are you?")))
            return [first, second, third]

    assert asyncio.run(inside()) == [HAPPY] * 3
    assert workspace.connections == 1
    with pytest.raises(UserError, match="was closed"):
        llm.invoke("x")


def test_a_log_has_a_line_for_a_stream(
    open_endpoint: Open, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "dbrun"):
        list(open_endpoint().stream("x"))
    assert any("databricks chat: 200 in" in record.getMessage() for record in caplog.records)
    assert not any(json.dumps("x") in record.getMessage() for record in caplog.records)
