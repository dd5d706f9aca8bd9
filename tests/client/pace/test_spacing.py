"""Spacing: its rules step by step, and its behaviour on made-up servers whose buckets hold few."""

from __future__ import annotations

import math
import threading
from itertools import pairwise

import pytest
from fakes.simulation import Hand, Server, Simulation
from hypothesis import given
from hypothesis import strategies as st

from dbrun.client.limits import Limiter, Outcome
from dbrun.client.pace.spacing import Cause, Spacing, Turn
from dbrun.spec.model import Concurrency, Limits


class Course:
    """Calls as a limiter makes them, one at a time, in seconds that are counted by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.spacing = Spacing(self.now)

    def calls(self, count: int, every: float = 0.0, in_flight: int = 4) -> None:
        """So many calls, each answered; spaced out as they must be, *every* seconds otherwise."""
        for _ in range(count):
            self.now += max(every, self.spacing.wait(self.now))
            turn = self.spacing.take(self.now, in_flight, 64)
            self.spacing.succeeded(turn, self.now)

    def refusal(self, in_flight: int = 4, retry_after: float = 1.0) -> bool:
        """One more call, refused and waited for."""
        self.now += self.spacing.wait(self.now)
        turn = self.spacing.take(self.now, in_flight, 64)
        cause = self.spacing.refused(turn, retry_after)
        self.now += retry_after
        return cause is Cause.rate

    @property
    def rate(self) -> float:
        return self.spacing.rate(self.now)


def spaced() -> Course:
    """5 calls at once were taken, then none; that a second time, when 4 had been in flight."""
    course = Course()
    for _ in range(2):
        course.calls(5, every=0.01)
        course.refusal()
    assert course.spacing.is_on
    return course


def test_nobody_waits_without_refusals():
    course = Course()
    course.calls(1000)
    assert course.now == 100
    assert course.rate == math.inf
    assert not course.spacing.is_on


@pytest.mark.parametrize(
    ("in_flight", "is_for_rate"), [(1, True), (4, True), (5, False), (64, False)]
)
def test_as_many_as_before_are_refused_for_the_rate(in_flight, is_for_rate):
    course = Course()
    course.calls(5, in_flight=4)
    assert not course.refusal(in_flight=4)  # with nothing before it there is no rate to be told
    course.calls(5, in_flight=4)
    assert course.refusal(in_flight) is is_for_rate
    assert course.spacing.is_on is is_for_rate


def test_what_was_under_way_at_a_refusal_proves_nothing():
    course = Course()
    turns = [course.spacing.take(course.now, n, 64) for n in range(1, 9)]
    course.spacing.refused(turns[5], 1.0)
    for turn in turns[:5]:
        course.spacing.succeeded(turn, course.now)
    course.now += 1
    assert not course.refusal(in_flight=3)


def test_where_nothing_is_taken_nothing_is_learned():
    course = found()
    before = course.rate
    for _ in range(50):
        turn = course.spacing.take(course.now, 1, 64)
        assert course.spacing.refused(turn, 1.0) is Cause.unknown
        course.now += 1
    assert course.rate == before
    course.calls(3, in_flight=2)
    assert course.refusal(in_flight=2)


def test_a_refusal_lowers_what_is_known_to_go_well():
    course = spaced()
    course.calls(5, in_flight=20)
    assert not course.refusal(in_flight=21)
    course.calls(1, in_flight=1)
    assert course.refusal(in_flight=20)  # 20 went well before
    course.calls(1, in_flight=1)
    assert not course.refusal(in_flight=20)  # and then they did not


def test_what_was_held_back_does_not_start_all_at_once():
    spacing = Spacing(0.0)
    for turn in [spacing.take(0.0, n, 10) for n in range(1, 11)]:
        spacing.succeeded(turn, 2.0)
    assert spacing.wait(2.0) == 0
    spacing.refused(spacing.take(2.0, 1, 10), 1.0)
    now, started = 3.0, []
    for n in range(1, 11):
        now += spacing.wait(now)
        started.append(now)
        spacing.take(now, n, 10)
    # Ten at a time are answered at 5 a second: they start at twice that.
    assert started == pytest.approx([3 + n / 10 for n in range(10)], abs=0.006)


def test_the_first_pace_lies_between_what_was_taken_and_what_was_sent():
    course = Course()
    course.calls(5, every=0.01)
    course.refusal()
    course.calls(5, every=0.01)
    course.refusal()
    took, sent = 5 / 1.05, 5 / 0.04
    assert course.rate == pytest.approx(math.sqrt(took * sent), rel=0.01)


def test_the_search_doubles_every_four_seconds():
    course = spaced()
    before = course.rate
    course.calls(1)
    begun = course.now
    while course.now < begun + 4:
        course.calls(1)
    assert course.rate == pytest.approx(2 * before, rel=0.05)


def found(retry_after: float = 1.0) -> Course:
    """The search is over."""
    course = spaced()
    course.calls(200)
    assert course.refusal(retry_after=retry_after)
    return course


def test_a_refusal_ends_the_search_a_fifth_lower():
    course = spaced()
    course.calls(200)
    before = course.rate
    course.refusal()
    assert course.rate == pytest.approx(before * 0.8, rel=0.01)
    course.calls(1)
    begun, after = course.now, course.rate
    while course.now < begun + 20:
        course.calls(1)
    assert after < course.rate < after * 1.1


@pytest.mark.parametrize(("calls", "left"), [(900, 0.9), (3, 0.5)])
def test_later_refusals_take_a_tenth_off_and_early_ones_a_half(calls, left):
    course = found()
    course.calls(calls)
    before = course.rate
    assert course.refusal()
    assert course.rate == pytest.approx(before * left, rel=0.02)


def test_it_never_falls_below_what_was_taken():
    course = found()
    for _ in range(8):
        course.calls(20)
        before, rate = course.now, course.rate
        course.refusal(retry_after=0.01)
        assert course.rate >= min(rate * 0.9, 20 / (course.now - before + 3))


@pytest.mark.parametrize(("retry_after", "long"), [(0.1, 20), (1, 20), (5, 100), (60, 600)])
def test_a_long_wait_makes_it_careful_for_longer(retry_after, long):
    course = found(retry_after)
    course.calls(1)
    begun, before = course.now, course.rate
    assert course.spacing.rate(begun + long) == pytest.approx(before * math.exp(0.08), rel=0.01)
    assert course.spacing.rate(begun + 2 * long) > 2 * before


def test_what_was_not_tried_is_not_kept():
    course = found()
    course.calls(100, every=1.0)  # so few are asked for that the pace grows beyond all use
    assert course.rate > 50
    course.refusal()
    assert course.rate < 2


def test_calls_keep_their_distance():
    course = found()
    course.calls(1)
    moments = []
    for _ in range(50):
        course.calls(1)
        moments.append(course.now)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert min(gaps) == pytest.approx(max(gaps), rel=0.02)
    assert min(gaps) == pytest.approx(1 / course.rate, rel=0.02)


@pytest.mark.parametrize(("late", "made_up"), [(0.004, 0.004), (1.0, 0.005)])
def test_who_wakes_up_late_makes_up_for_no_more_than_that(late, made_up):
    course = found()
    course.calls(1)
    course.now += course.spacing.wait(course.now) + late
    course.spacing.take(course.now, 1, 64)
    assert course.spacing.wait(course.now) == pytest.approx(1 / course.rate - made_up, abs=0.001)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["call", "refusal", "pause"]),
            st.floats(0, 1e6),
            st.integers(1, 100),
        ),
        max_size=50,
    )
)
def test_whatever_happens_no_gap_is_longer_than_the_wait_that_was_asked_for(events):
    course, longest = Course(), 0.0
    for event, seconds, in_flight in events:
        if event == "pause":
            course.now += seconds
        elif event == "call":
            course.calls(1, in_flight=in_flight)
        else:
            longest = min(seconds, 86_400)
            course.refusal(in_flight, longest)
            assert course.rate > 0
        assert 0 <= course.spacing.wait(course.now) <= max(1, longest)


# On made-up servers


def simulate(server: Server, high: int = 64) -> Simulation:
    clock = Hand()
    return Simulation(clock, Limiter(Limits(), Concurrency(high=high), clock), server, workers=high)


@pytest.mark.parametrize("spread", [0.01, 0.5])
@pytest.mark.parametrize(
    ("rate", "burst", "latency", "retry_after"),
    [
        (20, 5, 0.1, 1),
        (20, 5, 1.0, 1),
        (20, 5, 0.1, 5),
        (5, 2, 0.5, 1),
        (40, 10, 0.2, 0.2),
        (100, 20, 0.3, 1),
        (200, 10, 0.2, 1),
        (2, 10, 0.5, 30),
    ],
)
def test_the_pace_settles_near_the_rate_of_a_bucket_that_holds_few(
    rate, burst, latency, retry_after, spread
):
    server = Server(rate=rate, burst=burst, latency=latency, retry_after=retry_after, spread=spread)
    simulation = simulate(server, high=200)
    simulation.run(180)
    refused = len(simulation.limited)
    assert any(why.startswith("spaced out to ") for _, _, why in simulation.limiter.history)
    simulation.run(300)
    assert simulation.rate(300) >= 0.89 * rate
    assert len(simulation.limited) - refused < 30
    server.rate, server.burst = 2 * rate, 2 * burst
    simulation.run(600 + 30 * retry_after)
    assert simulation.rate(120) >= 0.8 * 2 * rate


@pytest.mark.parametrize(
    ("cap", "latency", "retry_after"),
    [(16, 0.1, 1.0), (16, 1.0, 1.0), (48, 0.1, 1.0), (48, 1.0, 1.0), (20, 1.0, 5.0), (20, 0.3, 30)],
)
def test_where_calls_are_refused_for_their_number_the_limit_settles(cap, latency, retry_after):
    server = Server(cap=cap, latency=latency, retry_after=retry_after)
    simulation = simulate(server, high=200)
    simulation.run(180)
    simulation.run(300)
    assert 0.9 * cap < simulation.settled(300) < 1.1 * cap
    assert simulation.rate(300) > 0.85 * cap / latency
    server.cap = cap // 2
    simulation.run(300)
    simulation.run(300)
    assert simulation.settled(300) < 1.1 * cap // 2


@pytest.mark.parametrize(
    ("concurrency", "hidden", "best", "share"),
    [
        (Concurrency.fixed(16), {"rate": 20, "burst": 5}, 20, 0.89),
        (Concurrency(start=16, low=12, high=64), {"rate": 20, "burst": 5}, 20, 0.89),
        (Concurrency.fixed(16), {"cap": 12}, 60, 0.4),
    ],
    ids=["fixed", "bounded", "fixed above a cap"],
)
def test_where_no_fewer_may_be_in_flight_the_pace_has_to_do(concurrency, hidden, best, share):
    clock = Hand()
    limiter = Limiter(Limits(), concurrency, clock)
    server = Server(latency=0.2, retry_after=1.0, **hidden)
    simulation = Simulation(clock, limiter, server, workers=64)
    simulation.run(120)
    simulation.run(300)
    assert simulation.rate(300) >= share * best
    assert min(limit for _, limit, _ in limiter.history) >= concurrency.low


@pytest.mark.parametrize(("latency", "retry_after"), [(2.0, 1.0), (0.2, 1.0), (2.0, 0.1)])
def test_a_storm_is_no_reason_to_crawl_after_it(latency, retry_after):
    server = Server(latency=latency, retry_after=retry_after)
    simulation = simulate(server)
    simulation.run(100)
    server.cap = 0
    simulation.run(30)
    assert simulation.limiter.limit >= 40  # cut once in fifteen seconds
    server.cap = float("inf")
    simulation.run(40)
    assert simulation.rate(20) > 0.9 * 64 / latency


def test_what_was_sent_before_a_wait_was_over_is_the_same_trouble():
    clock, stop = Hand(), threading.Event()
    limiter = Limiter(Limits(), Concurrency(start=10, low=1, high=64), clock)

    def take() -> Turn:
        turn = limiter.take(stop)
        assert turn is not None
        return turn

    for turn in [take() for _ in range(10)]:
        limiter.release(turn, Outcome.rate_limited, retry_after=1.0)
        clock.time += 0.2  # the last answers come when the first wait is over
    assert limiter.limit == 8
    clock.time += 5
    limiter.release(take(), Outcome.rate_limited, retry_after=1.0)
    assert limiter.limit == 8  # it takes nothing at all: that tells of no number
    clock.time += 1
    first, second = take(), take()
    limiter.release(second, Outcome.rate_limited, retry_after=1.0)
    limiter.release(first, Outcome.success)
    assert limiter.limit == 6
