"""The threads beside a loop, which make the calls that wait in ways of their own."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
from fakes.driving import all_looping, looping

from dbrun.client.waiting import Aside


def test_as_many_at_once_as_there_are_calls():
    together = threading.Barrier(20, timeout=10)

    async def work() -> int:
        return await Aside(together.wait)

    assert sorted(all_looping([work() for _ in range(20)])) == list(range(20))


def test_threads_are_used_again():
    async def work() -> set[str]:
        return {await Aside(lambda: threading.current_thread().name) for _ in range(50)}

    assert len(looping(work())) < 20  # the next call may come before the thread is back


def test_threads_end_with_the_loop():
    before = threading.active_count()

    async def work() -> None:
        await Aside(lambda: None)

    all_looping([work() for _ in range(10)])
    end = time.monotonic() + 10
    while threading.active_count() > before:
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.fixture
def few_threads(monkeypatch) -> Iterator[list[int]]:
    """A system that gives so many threads and no more."""
    left = [0]
    real = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if thread.name.startswith("dbrun-aside"):
            if not left[0]:
                raise RuntimeError("can't start new thread")
            left[0] -= 1
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    return left


def test_where_no_more_threads_are_to_be_had_calls_wait_for_each_other(few_threads):
    few_threads[0] = 2

    async def work(number: int) -> int:
        for _ in range(3):
            assert await Aside(lambda: time.sleep(0.001) or number) == number
        return number

    assert all_looping([work(number) for number in range(10)]) == list(range(10))


def test_where_no_thread_is_to_be_had_the_caller_is_told(few_threads):
    async def work() -> str:
        try:
            await Aside(lambda: None)
        except RuntimeError as error:
            return str(error)
        return "called"

    assert looping(work()) == "can't start new thread"
