"""Executors over little functions, and what these wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any

from dbrun.client.waiting import Aside, Wait
from dbrun.run.executor import Executor

Function = Callable[[list[int]], Coroutine[Wait[Any], Any, Sequence[int]]]


def over(
    function: Function,
    items: Iterable[int],
    *,
    workers: int = 4,
    window: int = 100,
    group: int = 1,
    may_wait: bool = True,
    grace: float = 5.0,
    halt: threading.Event | None = None,
) -> Executor[int, int]:
    """An executor of *function*."""
    return Executor(
        function,
        iter(items),
        workers=lambda: workers,
        window=window,
        group=group,
        may_wait=may_wait,
        grace=grace,
        halt=halt,
    )


def hand_out(
    executor: Executor[int, int],
    way: str,
    take: Callable[[int], None],
    tick: Callable[[], None] = lambda: None,
) -> None:
    """Have *take* get the results: by `run`, in two threads, or by `drive`, in this one."""
    if way == "drive":
        executor.drive(take, tick)
    else:
        for result in executor.run(tick):
            take(result)


def results_of(
    executor: Executor[int, int], way: str, tick: Callable[[], None] = lambda: None
) -> list[int]:
    """What *executor* hands out."""
    seen: list[int] = []
    hand_out(executor, way, seen.append, tick)
    return seen


async def echo(items: list[int]) -> list[int]:
    """The items themselves."""
    return items


def aside(event: threading.Event) -> Aside[bool]:
    """Wait until *event* is set; False if that takes too long."""
    return Aside(lambda: event.wait(10))


def gone(before: int) -> None:
    """Wait until there are no more threads than *before*."""
    end = time.monotonic() + 10
    while threading.active_count() > before:
        assert time.monotonic() < end
        time.sleep(0.005)
