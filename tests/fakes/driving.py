"""The ways to carry a coroutine out, under one name; and threads that do something soon."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from dbrun.client.aio import carried
from dbrun.client.loop import Loop
from dbrun.client.transport import HttpRequest, HttpResponse, Transport
from dbrun.client.waiting import Wait, blocking

T = TypeVar("T")


def looping(coroutine: Coroutine[Wait[Any], Any, T]) -> T:
    """What *coroutine* returns or raises, carried out by a loop of its own."""
    return all_looping([coroutine])[0]


def all_looping(
    coroutines: list[Coroutine[Wait[Any], Any, T]], loop: Loop | None = None
) -> list[T]:
    """What *coroutines* return, carried out by one loop together; or what the first raises."""
    loop = loop or Loop()
    results: dict[int, T] = {}

    async def keep(number: int, coroutine: Coroutine[Wait[Any], Any, T]) -> None:
        results[number] = await coroutine

    for number, coroutine in enumerate(coroutines):
        loop.start(keep(number, coroutine))
    loop.run()
    return [results[number] for number in range(len(coroutines))]


def on_asyncio(coroutine: Coroutine[Wait[Any], Any, T]) -> T:
    """What *coroutine* returns or raises, awaited on an event loop of asyncio."""
    return asyncio.run(carried(coroutine))


DRIVERS: dict[str, Callable[[Coroutine[Wait[Any], Any, Any]], Any]] = {
    "blocking": blocking,
    "loop": looping,
    "asyncio": on_asyncio,
}


class LoopedTransport(Transport):
    """A transport whose `send` has a loop do the waiting."""

    def send(self, request: HttpRequest, timeout: float) -> HttpResponse:
        return looping(self.exchange(request, timeout))


TRANSPORTS = {"blocking": Transport, "loop": LoopedTransport}


def soon(function: Callable[[], object], seconds: float = 0.05) -> threading.Thread:
    """A thread that calls *function* after a moment."""

    def call() -> None:
        time.sleep(seconds)
        function()

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    return thread
