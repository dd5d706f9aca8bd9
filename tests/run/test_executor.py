"""Order, window and errors: the executor over plain coroutine functions."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

import pytest
from fakes.executing import aside, echo, gone, hand_out, over, results_of

from dbrun.client.waiting import Aside, Pause
from dbrun.clock import Clock
from dbrun.errors import AuthError, Interrupted, SourceError
from dbrun.run.executor import Executor

ways = pytest.mark.parametrize("way", ["run", "drive"])
either = pytest.mark.parametrize("may_wait", [True, False], ids=["aside", "in place"])


@ways
@either
@pytest.mark.parametrize("workers", [1, 2, 16])
@pytest.mark.parametrize("group", [1, 3, 100])
@pytest.mark.parametrize("rows", [0, 1, 2, 57])
def test_results_come_in_order(
    way: str, workers: int, group: int, rows: int, may_wait: bool
) -> None:
    sizes = []

    async def double(items: list[int]) -> list[int]:
        sizes.append(len(items))
        await Pause(Clock(), 0.001 * (items[0] % 3))  # they do not end as they began
        return [item * 2 for item in items]

    executor = over(double, range(rows), workers=workers, group=group, may_wait=may_wait)
    assert results_of(executor, way) == [number * 2 for number in range(rows)]
    assert sum(sizes) == rows
    assert max(sizes, default=0) <= group


@ways
@either
def test_a_slow_item_holds_up_nobody_within_the_window(way: str, may_wait: bool) -> None:
    release = threading.Event()
    done = []

    async def work(items: list[int]) -> list[int]:
        if items == [0]:
            assert await aside(release)
        done.append(items[0])
        if len(done) == 30:  # all the others are through while the first one waits
            release.set()
        return items

    executor = over(work, range(31), workers=3, window=100, may_wait=may_wait)
    assert results_of(executor, way) == list(range(31))
    assert done[-1] == 0


@ways
@either
@pytest.mark.parametrize("group", [1, 4])
@pytest.mark.parametrize("rows", [20, 200])
def test_reading_runs_ahead_by_the_window_at_most(
    way: str, may_wait: bool, group: int, rows: int
) -> None:
    """Also at the end of the source, when all that is left has been read at once."""
    release = threading.Event()
    given = 0
    furthest = taken = 0

    def source() -> Iterator[int]:
        nonlocal furthest
        for number in range(rows):
            furthest = max(furthest, number - given)
            yield number

    async def work(items: list[int]) -> list[int]:
        nonlocal taken
        taken = max(taken, items[-1] - given)
        if items[0] == 0:
            await Pause(Clock(), 0.2, release)
        return items

    executor = over(work, source(), workers=4, window=10, group=group, may_wait=may_wait)

    def take(result: int) -> None:
        nonlocal given
        given += 1

    hand_out(executor, way, take)
    assert given == rows
    # A group is taken as one; and what was taken out for the caller together, a window at the
    # most, counts as handed out while the caller goes through it.
    assert 9 <= furthest < 2 * (10 + group)
    assert taken <= furthest


def test_what_nobody_waits_for_does_not_pile_up() -> None:
    """Items that are done at once are handed out long before the window is full."""
    read = 0

    def source() -> Iterator[int]:
        nonlocal read
        for number in range(1, 8001):
            read = number
            yield number

    async def work(items: list[int]) -> list[int]:
        return items

    executor = over(work, source(), workers=4, window=8000, group=1, may_wait=False)
    results = executor.run()
    assert next(results) == 1
    time.sleep(0.2)  # for a caller that takes its time nobody reads on
    assert read < 2500
    assert sum(1 for _ in results) == 7999


def test_a_slow_caller_is_not_left_behind() -> None:
    taken = 0

    async def work(items: list[int]) -> list[int]:
        nonlocal taken
        taken += len(items)
        return items

    results = over(work, itertools.count(), workers=4, window=40, group=4, may_wait=False).run()
    for number in range(200):
        assert next(results) == number
        # What was ready together was taken out together; behind it the window opens again.
        assert taken <= number + 2 * (40 + 4)
    results.close()  # type: ignore[attr-defined]


@ways
def test_an_error_stops_feeding_and_is_raised_after_what_is_in_flight(way: str) -> None:
    release = threading.Event()
    finished = []

    async def work(items: list[int]) -> list[int]:
        if items == [5]:
            release.set()
            raise AuthError("refused")
        if items == [0]:
            assert await aside(release)
        finished.append(items[0])
        return items

    with pytest.raises(AuthError, match="refused"):
        results_of(over(work, iter(range(10_000)), workers=2), way)
    assert {0, 1, 2, 3, 4} <= set(finished)
    assert len(finished) < 10_000


@ways
@either
@pytest.mark.parametrize("error", [AuthError("refused"), SystemExit(3), KeyboardInterrupt()])
def test_results_before_the_error_are_handed_out(
    way: str, error: BaseException, may_wait: bool
) -> None:
    """Whatever it is that was raised, what is in flight ends by itself."""
    release = threading.Event()

    async def work(items: list[int]) -> list[int]:
        if items == [5]:
            release.set()
            raise error
        if items[0] in (3, 4):  # still under way then
            assert await aside(release)
        return items

    seen = []
    with pytest.raises(type(error)) as caught:
        hand_out(over(work, range(100), workers=3, may_wait=may_wait), way, seen.append)
    assert seen == [0, 1, 2, 3, 4]
    assert caught.value is error


@ways
@either
@pytest.mark.parametrize("group", [1, 2, 3, 50])
@pytest.mark.parametrize("rows", [0, 3, 100])
def test_a_source_that_raises_half_way_gives_what_came_before(
    way: str, may_wait: bool, group: int, rows: int
) -> None:
    def source() -> Iterator[int]:
        yield from range(rows)
        raise SourceError("the next line is no JSON")

    seen = []
    executor = over(echo, source(), workers=4, group=group, may_wait=may_wait)
    with pytest.raises(SourceError, match="next line"):
        hand_out(executor, way, seen.append)
    assert seen == list(range(rows))


@ways
@either
def test_a_source_may_end_by_what_is_no_exception(way: str, may_wait: bool) -> None:
    def source() -> Iterator[int]:
        yield from range(3)
        raise SystemExit(2)

    seen = []
    with pytest.raises(SystemExit):
        hand_out(over(echo, source(), may_wait=may_wait), way, seen.append)
    assert seen == [0, 1, 2]


@ways
def test_the_first_error_is_the_one_that_is_raised(way: str) -> None:
    async def work(items: list[int]) -> list[int]:
        if items == [1]:
            raise AuthError("first")
        assert await aside(halt)
        raise Interrupted("because of the first")

    halt = threading.Event()
    with pytest.raises(AuthError, match="first"):
        results_of(over(work, range(3), workers=3, halt=halt), way)


@ways
@either
def test_workers_grow_with_the_limit(way: str, may_wait: bool) -> None:
    limit = 1
    together = threading.Barrier(6, timeout=10)

    async def work(items: list[int]) -> list[int]:
        nonlocal limit
        limit = 6
        await Aside(together.wait)
        return items

    executor = Executor(work, iter(range(6)), workers=lambda: limit, window=100, may_wait=may_wait)
    assert sorted(results_of(executor, way)) == list(range(6))


@either
def test_a_caller_that_stops_early_ends_the_threads(may_wait: bool) -> None:
    before = threading.active_count()
    results = over(echo, iter(range(10**9)), workers=4, may_wait=may_wait).run()
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    gone(before)


@ways
def test_the_tick_is_called_while_nothing_happens(way: str) -> None:
    release = threading.Event()
    ticks = 0

    async def work(items: list[int]) -> list[int]:
        assert await aside(release)
        return items

    def tick() -> None:
        nonlocal ticks
        ticks += 1
        if ticks == 3:
            release.set()

    assert results_of(over(work, [1]), way, tick) == [1]
    assert ticks >= 3


@ways
@pytest.mark.parametrize("who", ["take", "tick"])
@pytest.mark.parametrize("error", [OSError("the disk is full"), KeyboardInterrupt()])
def test_what_the_caller_raises_ends_all_after_what_is_in_flight(
    way: str, who: str, error: BaseException
) -> None:
    under_way = threading.Event()
    finished = []
    taken = []

    async def work(items: list[int]) -> list[int]:
        if items == [1]:
            under_way.set()
            await Pause(Clock(), 0.3)
        finished.append(items[0])
        return items

    def take(result: int) -> None:
        taken.append(result)
        if who == "take":
            assert under_way.wait(10)
            raise error

    def tick() -> None:
        if who == "tick" and under_way.is_set():
            raise error

    with pytest.raises(type(error)) as caught:
        hand_out(over(work, itertools.count(), workers=2, window=40), way, take, tick)
    assert caught.value is error
    assert 1 in finished
    assert taken == [0]


def test_driving_takes_no_thread() -> None:
    seen = []

    async def work(items: list[int]) -> list[int]:
        seen.append(threading.current_thread())
        return items

    executor = over(work, range(50), may_wait=False)
    executor.drive(lambda result: seen.append(threading.current_thread()))
    assert set(seen) == {threading.current_thread()}
    assert len(seen) == 100
