"""Interrupts and sources that keep one waiting: how an executor ends when others do not."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from fakes.executing import aside, echo, gone, hand_out, over, results_of

from dbrun.client.waiting import Aside, Gate
from dbrun.errors import AuthError, Interrupted

ways = pytest.mark.parametrize("way", ["run", "drive"])
either = pytest.mark.parametrize("may_wait", [True, False], ids=["aside", "in place"])


class Blocked:
    """A source that gives so many items at once; the next one only when it is told to."""

    def __init__(self, *gives: int) -> None:
        self._gives = list(gives)
        self.go_on = threading.Event()
        self.waits = threading.Event()

    def __iter__(self) -> Iterator[int]:
        number = 0
        for count in self._gives:
            for _ in range(count):
                yield number
                number += 1
            self.waits.set()
            assert self.go_on.wait(20)


@pytest.fixture
def blocked() -> Iterator[Blocked]:
    source = Blocked(3)
    yield source
    source.go_on.set()


# Interrupts


@ways
@either
def test_an_interrupt_lets_what_is_in_flight_finish(way: str, may_wait: bool) -> None:
    halt = threading.Event()
    started = threading.Event()
    finished = []

    async def work(items: list[int]) -> list[int]:
        started.set()
        assert await aside(halt)
        finished.append(items[0])
        return items

    executor = over(work, range(1000), workers=4, halt=halt, may_wait=may_wait)

    def tick() -> None:
        if started.is_set() and not halt.is_set():
            executor.interrupt(Interrupted("told to", 143))

    seen = []
    with pytest.raises(Interrupted) as caught:
        hand_out(executor, way, seen.append, tick)
    assert caught.value.exit_code == 143
    assert 1 <= len(finished) <= 4
    assert seen == sorted(finished)


@ways
@pytest.mark.parametrize("grace", [0.0, 0.3])
def test_beyond_the_grace_nobody_is_waited_for(way: str, grace: float) -> None:
    """They are closed, though: what they hold is given back."""
    before = threading.active_count()
    halt = threading.Event()
    started = threading.Event()
    given_back = []

    async def work(items: list[int]) -> list[int]:
        started.set()
        try:
            await Gate(60)
        finally:
            given_back.append(items[0])
        return items

    executor = over(work, range(10), workers=3, grace=grace, halt=halt)

    def tick() -> None:
        if started.is_set() and not halt.is_set():
            executor.interrupt(Interrupted())

    with pytest.raises(Interrupted):
        results_of(executor, way, tick)
    assert given_back
    assert sorted(given_back) == list(range(len(given_back)))
    gone(before)


@ways
@pytest.mark.timeout(20)
def test_a_second_interrupt_leaves_now(way: str) -> None:
    started = threading.Event()

    async def work(items: list[int]) -> list[int]:
        started.set()
        await Gate(600)
        return items

    executor = over(work, range(10), workers=1, grace=60)

    def tick() -> None:
        if started.is_set():
            executor.interrupt(Interrupted())

    with pytest.raises(Interrupted):
        results_of(executor, way, tick)


def test_the_first_interrupt_is_the_one_that_is_raised() -> None:
    executor = over(echo, iter(range(10**9)))
    results = executor.run()
    assert next(results) == 0
    executor.interrupt(Interrupted("first", 143))
    executor.interrupt(Interrupted("second", 130))
    with pytest.raises(Interrupted) as caught:
        list(results)
    assert caught.value.exit_code == 143


@ways
def test_an_interrupt_beats_an_error(way: str) -> None:
    async def work(items: list[int]) -> list[int]:
        assert await aside(halt)
        raise AuthError("refused")

    halt = threading.Event()
    executor = over(work, range(3), halt=halt)
    with pytest.raises(Interrupted):
        results_of(
            executor,
            way,
            lambda: executor.interrupt(Interrupted()) if not halt.is_set() else None,
        )


# Sources that keep one waiting


def test_answers_are_handed_out_while_the_source_keeps_waiting(blocked: Blocked) -> None:
    """A source may even wait for the answers to what it gave."""
    results = over(echo, blocked).run()
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert not blocked.go_on.is_set()
    blocked.go_on.set()
    assert list(results) == []


@ways
@pytest.mark.parametrize("group", [1, 2, 5])
def test_a_source_may_ask_for_the_answer_to_its_last_item(way: str, group: int) -> None:
    answered = threading.Semaphore(0)

    def source() -> Iterator[int]:
        for number in range(5):
            yield number
            assert answered.acquire(timeout=10)

    seen = []

    def take(result: int) -> None:
        seen.append(result)
        answered.release()

    hand_out(over(echo, source(), group=group), way, take)
    assert seen == [0, 1, 2, 3, 4]


def test_calls_in_flight_go_on_while_the_source_keeps_waiting(blocked: Blocked) -> None:
    async def work(items: list[int]) -> list[int]:
        assert await Aside(lambda: blocked.waits.wait(10))
        return items

    results = over(work, blocked).run()
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    blocked.go_on.set()
    assert list(results) == []


@ways
def test_nothing_piles_up_while_the_source_keeps_waiting(way: str, blocked: Blocked) -> None:
    executor = over(echo, blocked, workers=8)
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        if ticks > 10:
            # Those who wait for the reader are eight at the most, however often they looked up.
            assert len(executor._source._held) <= 8
            assert len(executor._loop._timers) <= 32
            blocked.go_on.set()

    assert results_of(executor, way, tick) == [0, 1, 2]
    assert ticks > 10


@ways
def test_an_error_is_raised_though_the_source_keeps_waiting(way: str, blocked: Blocked) -> None:
    before = threading.active_count()

    async def work(items: list[int]) -> list[int]:
        raise AuthError("refused")

    with pytest.raises(AuthError):
        results_of(over(work, blocked, grace=60), way)
    assert not blocked.go_on.is_set()
    blocked.go_on.set()
    gone(before)


def test_an_interrupt_does_not_wait_for_the_source(blocked: Blocked) -> None:
    executor = over(echo, blocked, grace=60)
    results = executor.run()
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    executor.interrupt(Interrupted())
    with pytest.raises(Interrupted):
        list(results)
    assert not blocked.go_on.is_set()


def test_a_caller_that_stops_early_does_not_wait_for_the_source(blocked: Blocked) -> None:
    results = over(echo, blocked, grace=60).run()
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert not blocked.go_on.is_set()


@ways
def test_what_was_read_and_not_taken_is_not_asked_after_an_error(way: str) -> None:
    taken = []

    async def work(items: list[int]) -> list[int]:
        taken.append(items[0])
        raise AuthError("refused")

    with pytest.raises(AuthError):
        results_of(over(work, range(50), workers=1), way)
    assert taken == [0]
