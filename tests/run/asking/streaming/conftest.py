"""Endpoints to read from in pieces, and the pieces that they send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from fakes.models import as_events
from fakes.workspace import FakeWorkspace

import dbrun

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
