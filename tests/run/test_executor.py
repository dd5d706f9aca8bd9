"""Order, window, errors, interrupts: the executor over plain functions."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from dbrun.errors import AuthError, Interrupted, SourceError
from dbrun.run.executor import Executor


def over(function, items, *, workers=4, window=100, group=1, grace=5.0, halt=None):
    return Executor(
        function,
        iter(items),
        workers=lambda threads: workers,
        window=window,
        group=group,
        grace=grace,
        halt=halt,
    )


@pytest.mark.parametrize("workers", [1, 2, 16])
@pytest.mark.parametrize("group", [1, 3, 100])
@pytest.mark.parametrize("rows", [0, 1, 2, 57])
def test_results_come_in_order(workers: int, group: int, rows: int) -> None:
    executor = over(
        lambda items: [item * 2 for item in items], range(rows), workers=workers, group=group
    )
    assert list(executor.run()) == [number * 2 for number in range(rows)]


def test_a_slow_item_holds_up_nobody_within_the_window() -> None:
    release = threading.Event()
    done = []

    def work(items: list[int]) -> list[int]:
        if items == [0]:
            assert release.wait(10)
        done.append(items[0])
        if len(done) == 30:  # all the others are through while the first one waits
            release.set()
        return items

    assert list(over(work, range(31), workers=3, window=100).run()) == list(range(31))
    assert done[-1] == 0


def test_reading_runs_ahead_by_the_window_at_most() -> None:
    release = threading.Event()
    given = 0
    furthest = 0

    def source() -> Iterator[int]:
        nonlocal furthest
        for number in range(200):
            furthest = max(furthest, number - given)
            if number - given >= 9:
                release.set()
            yield number

    def work(items: list[int]) -> list[int]:
        if items == [0]:
            release.wait(10)
        return items

    for _ in over(work, source(), workers=4, window=10).run():
        given += 1
    assert given == 200
    # The window counts items taken and not handed out; one may be on its way to the caller.
    assert furthest <= 10 + 4


def test_an_error_stops_feeding_and_is_raised_after_what_is_in_flight() -> None:
    finished = []

    def work(items: list[int]) -> list[int]:
        if items == [5]:
            raise AuthError("refused")
        finished.append(items[0])
        return items

    with pytest.raises(AuthError, match="refused"):
        list(over(work, iter(range(10_000)), workers=2).run())
    assert {0, 1, 2, 3, 4} <= set(finished)
    assert len(finished) < 10_000


def test_results_before_the_error_are_handed_out() -> None:
    def work(items: list[int]) -> list[int]:
        if items == [5]:
            raise AuthError("refused")
        return items

    seen = []
    with pytest.raises(AuthError):
        for result in over(work, range(100), workers=1).run():
            seen.append(result)
    assert seen == [0, 1, 2, 3, 4]


def test_a_source_that_raises_half_way_gives_what_came_before() -> None:
    def source() -> Iterator[int]:
        yield from range(3)
        raise SourceError("line 4 is no JSON")

    seen = []
    with pytest.raises(SourceError, match="line 4"):
        for result in over(lambda items: items, source(), workers=1).run():
            seen.append(result)
    assert seen == [0, 1, 2]


def test_an_interrupt_lets_what_is_in_flight_finish() -> None:
    halt = threading.Event()
    started = threading.Event()
    finished = []

    def work(items: list[int]) -> list[int]:
        started.set()
        assert halt.wait(10)
        finished.append(items[0])
        return items

    executor = over(work, range(1000), workers=4, halt=halt)

    def tick() -> None:
        if started.is_set():
            executor.interrupt(Interrupted("told to", 143))

    with pytest.raises(Interrupted) as caught:
        list(executor.run(tick))
    assert caught.value.exit_code == 143
    assert 1 <= len(finished) <= 4


def test_a_second_interrupt_leaves_now() -> None:
    release = threading.Event()
    started = threading.Event()

    def work(items: list[int]) -> list[int]:
        started.set()
        release.wait(10)
        return items

    executor = over(work, range(10), workers=1, grace=60)

    def tick() -> None:
        if started.is_set():
            executor.interrupt(Interrupted())

    try:
        with pytest.raises(Interrupted):
            list(executor.run(tick))
        assert not release.is_set()
    finally:
        release.set()


def test_workers_grow_with_the_limit() -> None:
    limit = 1
    together = threading.Barrier(6, timeout=10)

    def work(items: list[int]) -> list[int]:
        nonlocal limit
        limit = 6
        together.wait()
        return items

    executor = Executor(work, iter(range(6)), workers=lambda threads: limit, window=100)
    assert sorted(executor.run()) == list(range(6))


def test_a_caller_that_stops_early_ends_the_threads() -> None:
    before = threading.active_count()
    results = over(lambda items: items, iter(range(10**9)), workers=4).run()
    assert next(results) == 0
    results.close()
    assert threading.active_count() == before
