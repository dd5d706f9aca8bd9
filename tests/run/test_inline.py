"""Calls of functions of which nobody knows how long they take."""

from __future__ import annotations

import threading

import pytest
from fakes.driving import DRIVERS, all_looping, looping

from dbrun.run import inline
from dbrun.run.inline import Inline


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch):
    """Have the next calls take so many seconds, by the clock that `Inline` looks at."""

    class Clock:
        time = 1000.0

        def monotonic(self) -> float:
            return self.time

    clock = Clock()
    monkeypatch.setattr(inline, "time", clock)

    def passes(seconds: float):
        def function() -> threading.Thread:
            clock.time += seconds
            return threading.current_thread()

        return function

    return passes


def is_here(thread: threading.Thread) -> bool:
    return thread is threading.current_thread()


@pytest.mark.parametrize("drive", DRIVERS.values(), ids=DRIVERS)
def test_it_gives_what_the_function_gives_or_raises(drive, passing) -> None:
    calls = Inline()

    def fail() -> None:
        raise LookupError("own")

    for _ in range(2):  # quick, then slow
        assert drive(calls.call(lambda: 7)) == 7
        with pytest.raises(LookupError, match="own"):
            drive(calls.call(fail))
        drive(calls.call(passing(9.0)))
    assert calls.is_slow


def test_quick_calls_are_made_where_they_stand(passing) -> None:
    calls = Inline()
    for _ in range(1000):
        assert is_here(looping(calls.call(passing(0.0005))))
    assert not calls.is_slow


def test_one_slow_call_among_many_quick_ones_is_forgiven(passing) -> None:
    calls = Inline()
    for _ in range(1000):
        looping(calls.call(passing(0.0)))
    looping(calls.call(passing(1.0)))
    assert not calls.is_slow
    assert is_here(looping(calls.call(passing(0.0))))


def test_calls_that_prove_slow_are_made_aside(passing) -> None:
    calls = Inline()
    where = [is_here(looping(calls.call(passing(0.01)))) for _ in range(20)]
    # The first does not count; then a twentieth of a second before a judgement.
    assert 6 <= where.count(True) <= 7
    assert where == sorted(where, reverse=True)  # once they proved slow they stay aside


def test_a_call_that_fails_counts_as_long_as_it_took(passing) -> None:
    calls = Inline()
    slow = passing(0.2)
    looping(calls.call(slow))
    assert not calls.is_slow  # the first may have imported what it needs

    def fail() -> None:
        slow()
        raise LookupError

    with pytest.raises(LookupError):
        looping(calls.call(fail))
    assert calls.is_slow


def test_slow_calls_wait_beside_each_other() -> None:
    """Eight that meet: one after the other they never would."""
    calls = Inline()
    calls._spent = 60.0
    together = threading.Barrier(8, timeout=10)
    assert sorted(all_looping([calls.call(together.wait) for _ in range(8)])) == list(range(8))
