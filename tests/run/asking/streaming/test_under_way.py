"""Answers in pieces while they come: leaving them, and reading many at once."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import pytest
from fakes.faults import drip, say
from fakes.workspace import FakeWorkspace, fail, stall
from run.asking.streaming.conftest import EVENTS, HAPPY, Open, chunks, collected, events

from dbrun.errors import (
    Rejected,
    RowError,
    TimedOut,
    UserError,
)

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
