"""The limiter: who may send now, with time as a number; then with threads."""

from __future__ import annotations

import math
import threading
import time

import pytest
from fakes.simulation import Hand

from dbrun.client.limits import Limiter, Outcome
from dbrun.client.waiting import blocking
from dbrun.clock import Clock
from dbrun.spec.model import Concurrency, Limits


def limiter_of(clock: Clock, calls: int = 100, **rates: float) -> Limiter:
    return Limiter(Limits(**rates), Concurrency.fixed(calls), clock)


def acquire(limiter: Limiter, stop: threading.Event, tokens=None) -> bool:
    return blocking(limiter.acquire(stop, tokens)) is not None


def try_acquire(limiter: Limiter, tokens=None) -> float:
    """The seconds to wait; 0 if a slot was taken."""
    return 0.0 if limiter.take(threading.Event(), tokens) else limiter.wait(tokens)


def release(limiter: Limiter, outcome: Outcome, **told) -> None:
    """Give back a slot, whichever: one that was taken at the start."""
    limiter.release((limiter.started, 0, 1), outcome, **told)


def admitted(limiter: Limiter, clock: Hand, seconds: float, tokens=None) -> int:
    """How many get through in so many seconds, each released at once."""
    end, count = clock.time + seconds, 0
    while True:
        wait = try_acquire(limiter, tokens)
        if wait == 0:
            count += 1
            release(limiter, Outcome.success)
        elif clock.time + wait < end:
            clock.time += wait
        else:
            clock.time = end
            return count


def test_slots():
    clock = Hand()
    limiter = limiter_of(clock, 2)
    assert try_acquire(limiter) == 0
    assert try_acquire(limiter) == 0
    assert try_acquire(limiter) == math.inf
    assert limiter.in_flight == 2
    release(limiter, Outcome.success)
    assert limiter.in_flight == 1
    assert try_acquire(limiter) == 0


@pytest.mark.parametrize(
    ("rates", "seconds", "count"),
    [
        ({"requests_per_second": 5}, 10, 50),
        ({"requests_per_minute": 30}, 120, 60),
        ({"requests_per_hour": 36}, 1000, 10),
        ({"requests_per_second": 5, "requests_per_minute": 60}, 120, 120),
        ({"requests_per_second": 1, "requests_per_minute": 600}, 60, 60),
        ({"requests_per_second": 2, "requests_per_hour": 60}, 3600, 60),
    ],
)
def test_rates_hold_together(rates, seconds, count):
    clock = Hand()
    assert admitted(limiter_of(clock, **rates), clock, seconds) == count


@pytest.mark.parametrize(
    ("rates", "calls"),
    [
        ({"tokens_per_minute": 600}, 20),
        ({"input_tokens_per_minute": 600}, 30),
        ({"output_tokens_per_minute": 600}, 60),
        ({"input_tokens_per_minute": 600, "output_tokens_per_minute": 100}, 10),
        ({"tokens_per_minute": 600, "requests_per_minute": 5}, 5),
    ],
)
def test_tokens_are_counted_by_kind(rates, calls):
    clock = Hand()
    limiter = limiter_of(clock, **rates)
    admitted(limiter, clock, 600, (20, 10))
    count = admitted(limiter, clock, 6000, (20, 10)) / 100
    assert count == pytest.approx(calls, rel=0.03)


def test_a_request_beyond_all_tokens_passes_alone():
    clock = Hand()
    limiter = limiter_of(clock, tokens_per_minute=600)
    assert try_acquire(limiter, (5000, 0)) == 0
    assert 480 < try_acquire(limiter, (1, 0)) < 520


@pytest.mark.parametrize(
    ("outcome", "used", "wait"),
    [
        (Outcome.success, (100, 100), 2.03),
        (Outcome.success, (100, 0), 1.02),
        (Outcome.success, (0, 0), 0),
        (Outcome.success, (300, 100), 4.07),
        (Outcome.success, None, 2.03),
        (Outcome.fault, None, 2.03),
        (Outcome.timed_out, None, 2.03),
        (Outcome.rate_limited, None, 0),
        (Outcome.refused, None, 0),
    ],
)
def test_estimates_are_corrected_afterwards(outcome, used, wait):
    clock = Hand()
    limiter = limiter_of(clock, tokens_per_minute=6000)
    assert try_acquire(limiter, (100, 100)) == 0
    release(limiter, outcome, estimate=(100, 100), tokens=used)
    assert try_acquire(limiter, (100, 0)) == pytest.approx(wait, abs=0.02)


@pytest.mark.parametrize(
    ("rates", "seconds", "name"),
    [
        ({"tokens_per_minute": 600, "requests_per_minute": 60}, 480, "tokens_per_minute"),
        ({"output_tokens_per_minute": 10, "requests_per_hour": 2}, 1800, "requests_per_hour"),
    ],
)
def test_what_the_next_call_waits_for_is_told(rates, seconds, name):
    clock = Hand()
    limiter = limiter_of(clock, **rates)
    assert limiter.due is None
    assert try_acquire(limiter, (5000, 0)) == 0
    waiting = limiter.acquire(threading.Event(), (10, 1))
    waiting.send(None)
    assert limiter.due is None  # for a call is in flight, which may end sooner
    release(limiter, Outcome.success)
    assert limiter.due is not None
    assert limiter.due == (pytest.approx(seconds, rel=0.15), name)
    waiting.close()
    assert limiter.due is None


def test_calls_without_estimate_pass():
    clock = Hand()
    limiter = limiter_of(clock, tokens_per_minute=60)
    assert try_acquire(limiter) == 0
    release(limiter, Outcome.success, tokens=(30, 30))
    assert try_acquire(limiter, (1, 0)) > 50


def test_retry_after_holds_everybody():
    clock = Hand()
    limiter = limiter_of(clock, 10)
    for _ in range(3):
        assert try_acquire(limiter) == 0
    assert (limiter.held_for, limiter.waited) == (0, 0)
    release(limiter, Outcome.rate_limited, retry_after=20)
    assert try_acquire(limiter) == 20
    clock.time += 5
    release(limiter, Outcome.rate_limited, retry_after=10)  # ends before the first
    assert (limiter.held_for, limiter.waited) == (15, 5)
    release(limiter, Outcome.rate_limited, retry_after=30)
    assert (limiter.held_for, limiter.waited) == (30, 5)
    clock.time += 30
    assert (limiter.held_for, limiter.waited) == (0, 35)
    assert try_acquire(limiter) == 0
    clock.time += 100
    assert limiter.waited == 35
    release(limiter, Outcome.rate_limited, retry_after=1)
    clock.time += 1
    assert limiter.waited == 36


def test_no_retry_after_holds_nobody():
    clock = Hand()
    limiter = limiter_of(clock, 10)
    try_acquire(limiter)
    release(limiter, Outcome.rate_limited)
    assert try_acquire(limiter) == 0


def test_what_outcomes_do_to_the_limit():
    clock = Hand()

    def limits_after(outcome: Outcome) -> int:
        limiter = Limiter(Limits(), Concurrency(start=4, low=1, high=64), clock)
        for _ in range(2):
            for _ in range(4):
                try_acquire(limiter)
            for _ in range(4):
                release(limiter, outcome)
        return limiter.limit

    assert {outcome: limits_after(outcome) for outcome in Outcome} == {
        Outcome.success: 8,
        Outcome.success_after_retry: 4,
        Outcome.rate_limited: 3,
        Outcome.timed_out: 3,
        Outcome.busy: 4,
        Outcome.fault: 4,
        Outcome.refused: 4,
    }


def test_the_limit_grows_only_if_it_is_reached():
    limiter = Limiter(Limits(), Concurrency(start=4, low=1, high=64), Hand())
    for _ in range(100):
        for _ in range(3):
            try_acquire(limiter)
        for _ in range(3):
            release(limiter, Outcome.success)
    assert limiter.limit == 4


def test_the_snapshot_is_data():
    clock = Hand()
    limiter = Limiter(Limits(), Concurrency(start=4, low=1, high=64), clock)
    try_acquire(limiter)
    clock.time += 2.5
    release(limiter, Outcome.rate_limited, retry_after=7)
    try_acquire(limiter)
    assert limiter.snapshot() == {
        "limit": 3,
        "in_flight": 0,
        "held_for": 7,
        "waited": 0,
        "history": [(0.0, 4, "start"), (2.5, 3, "rate limited")],
    }


# Waiting


def test_a_clock_that_is_a_number_is_slept_on():
    clock = Hand()
    limiter = limiter_of(clock, 1, requests_per_minute=6)
    began = clock.time
    for _ in range(7):
        assert acquire(limiter, threading.Event())
        release(limiter, Outcome.success)
    assert clock.time - began == pytest.approx(60)


def test_a_set_stop_ends_the_waiting_before_it_begins():
    stop = threading.Event()
    stop.set()
    limiter = limiter_of(Hand())
    assert not acquire(limiter, stop)
    assert limiter.in_flight == 0


def start(count: int, work) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads


def wait_until(happened) -> None:
    end = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.mark.parametrize(
    "rates",
    [{}, {"requests_per_hour": 1}, {"tokens_per_minute": 1}],
    ids=["slots", "rate", "tokens"],
)
def test_stop_wakes_all_who_wait(rates):
    limiter = Limiter(Limits(**rates), Concurrency.fixed(1), Clock())
    stop = threading.Event()
    assert acquire(limiter, stop, (10, 10))
    if rates:
        release(limiter, Outcome.success)
    results: list[bool] = []
    threads = start(8, lambda: results.append(acquire(limiter, stop, (10, 10))))
    wait_until(lambda: len(limiter._line) == 8)
    assert results == []
    stop.set()
    for thread in threads:
        thread.join(5)
    assert results == [False] * 8
    assert limiter.in_flight == (0 if rates else 1)
    assert not limiter._line


@pytest.fixture
def unhurried(monkeypatch):
    """Nobody looks up by themselves: whoever gets through was woken."""
    monkeypatch.setattr("dbrun.client.limits.LOOK_UP", 60.0)


def test_a_freed_slot_lets_one_through_in_order(unhurried):
    limiter = Limiter(Limits(), Concurrency.fixed(1), Clock())
    stop = threading.Event()
    acquire(limiter, stop)
    order: list[int] = []

    def queue(number: int) -> threading.Thread:
        def work() -> None:
            assert acquire(limiter, stop)
            order.append(number)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        wait_until(lambda: len(limiter._line) == number + 1)
        return thread

    threads = [queue(number) for number in range(5)]
    for number in range(5):
        assert order == list(range(number))
        release(limiter, Outcome.success)
        threads[number].join(5)
    assert order == [0, 1, 2, 3, 4]


def test_the_end_of_a_hold_lets_all_through(unhurried):
    limiter = Limiter(Limits(), Concurrency.fixed(8), Clock())
    stop = threading.Event()
    acquire(limiter, stop)
    release(limiter, Outcome.rate_limited, retry_after=0.1)
    results: list[bool] = []
    for thread in start(8, lambda: results.append(acquire(limiter, stop))):
        thread.join(5)
    assert results == [True] * 8
    assert limiter.in_flight == 8


def test_a_rate_lets_one_after_the_other_through(unhurried):
    limiter = Limiter(Limits(requests_per_second=50), Concurrency.fixed(8), Clock())
    stop = threading.Event()
    results: list[bool] = []
    for thread in start(8, lambda: results.append(acquire(limiter, stop))):
        thread.join(5)
    assert results == [True] * 8


def test_a_small_request_does_not_overtake_a_large_one(unhurried):
    limiter = Limiter(Limits(tokens_per_minute=6000), Concurrency.fixed(8), Clock())
    stop = threading.Event()
    assert acquire(limiter, stop, (30, 0))  # of the hundred that the bucket holds
    order: list[str] = []

    def ask(name: str, tokens: int) -> None:
        assert acquire(limiter, stop, (tokens, 0))
        order.append(name)

    large = threading.Thread(target=ask, args=("large", 100), daemon=True)
    large.start()
    wait_until(lambda: len(limiter._line) == 1)
    ask("small", 20)
    large.join(5)
    assert order == ["large", "small"]


def test_tokens_given_back_let_the_first_in_line_through(unhurried):
    limiter = Limiter(Limits(tokens_per_minute=600), Concurrency.fixed(8), Clock())
    stop = threading.Event()
    assert acquire(limiter, stop, (5000, 0))  # a debt of minutes, by the estimate
    results: list[bool] = []
    first = start(1, lambda: results.append(acquire(limiter, stop, (5, 0))))
    wait_until(lambda: limiter._line and limiter._line[0].asleep)
    release(limiter, Outcome.success, estimate=(5000, 0), tokens=(1, 0))
    first[0].join(5)
    assert results == [True]


def test_one_who_gives_up_does_not_hold_up_the_next():
    limiter = Limiter(Limits(), Concurrency.fixed(1), Clock())
    never, stop = threading.Event(), threading.Event()
    acquire(limiter, never)
    results: list[str] = []
    first = start(1, lambda: results.append(f"first {acquire(limiter, stop)}"))
    wait_until(lambda: len(limiter._line) == 1)
    second = start(1, lambda: results.append(f"second {acquire(limiter, never)}"))
    wait_until(lambda: len(limiter._line) == 2)
    stop.set()
    first[0].join(5)
    release(limiter, Outcome.success)
    second[0].join(5)
    assert results == ["first False", "second True"]


def test_many_threads_neither_exceed_the_limit_nor_lose_a_slot(unhurried):
    limiter = Limiter(Limits(), Concurrency.fixed(5), Clock())
    stop = threading.Event()
    lock = threading.Lock()
    inside = most = done = 0

    def work() -> None:
        nonlocal inside, most, done
        for _ in range(200):
            assert acquire(limiter, stop)
            with lock:
                inside += 1
                most = max(most, inside)
            with lock:
                inside -= 1
                done += 1
            release(limiter, Outcome.success)

    for thread in start(20, work):
        thread.join(30)
    assert done == 4000
    assert most <= 5
    assert limiter.in_flight == 0


def test_a_limit_that_grows_lets_those_in_line_through(unhurried):
    limiter = Limiter(Limits(), Concurrency(start=1, low=1, high=8), Clock())
    stop = threading.Event()
    acquire(limiter, stop)
    results: list[bool] = []
    threads = start(8, lambda: results.append(acquire(limiter, stop)))
    wait_until(lambda: len(limiter._line) == 8)
    release(limiter, Outcome.success)  # a clean round of one: the limit is 2
    wait_until(lambda: len(results) == 2)
    assert limiter.in_flight == 2
    stop.set()
    for _ in range(2):
        release(limiter, Outcome.refused)
    for thread in threads:
        thread.join(5)
    assert results.count(True) == 2
