"""The purse: what is let through, what waits, what is on record, and when the money is used up."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

import pytest
from fakes.driving import all_looping
from hypothesis import given, settings
from hypothesis import strategies as st

from dbrun.client.waiting import Pause, blocking
from dbrun.clock import Clock
from dbrun.errors import Interrupted, SinkError, SpendCap
from dbrun.run.asking.spending import Purse


def sure(amount: float) -> Callable[[], tuple[float, float]]:
    """A bid that the call is sure to keep below."""
    return lambda: (amount, math.inf)


def take(purse: Purse, amount: float) -> float:
    return blocking(purse.take(sure(amount), threading.Event()))


class Calls:
    """Calls that take money, some time, and what they cost; *most* is the most ever in flight."""

    def __init__(self, purse: Purse) -> None:
        self.purse = purse
        self.stop = threading.Event()
        self.in_flight = self.most = self.made = 0
        self.paid = 0.0

    async def one(self, bid: Callable[[], tuple[float, float]], cost: float) -> bool:
        """Make a call; False if it could not be paid."""
        try:
            taken = await self.purse.take(bid, self.stop)
        except SpendCap:
            return False
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        await Pause(Clock(), 0.001)
        self.in_flight -= 1
        self.made += 1
        self.paid += cost
        self.purse.settle(taken, cost)
        return True


def test_calls_pass_until_the_cap() -> None:
    purse = Purse(1.0, Clock())
    for number in range(1, 11):
        assert take(purse, 0.1) == 0.1
        purse.settle(0.1, 0.1)
        assert purse.spent == pytest.approx(number / 10)
    with pytest.raises(SpendCap) as raised:
        take(purse, 0.1)
    assert raised.value.message == (
        "limits.max_cost is reached: of 1 USD 1 are spent, and the next request may cost 0.1"
    )


def test_a_part_that_sends_nothing_says_so() -> None:
    purse = Purse(5.0, Clock(), spent=4.99, currency="EUR")
    with pytest.raises(SpendCap, match=r"of 5 EUR 4\.99 are spent.*; nothing was sent"):
        take(purse, 0.02)


def test_a_smaller_call_may_still_pass() -> None:
    purse = Purse(1.0, Clock(), spent=0.9)
    with pytest.raises(SpendCap):
        take(purse, 0.2)
    assert take(purse, 0.1) == 0.1


def test_what_was_not_answered_is_given_back() -> None:
    purse = Purse(1.0, Clock())
    for _ in range(50):
        purse.settle(take(purse, 1.0), 0.0)
    assert purse.spent == 0.0


def test_what_is_in_flight_counts_as_gone() -> None:
    purse = Purse(1.0, Clock(), spent=0.25)
    taken = take(purse, 0.5)
    assert (purse.spent, purse.gone) == (0.25, 0.75)
    purse.settle(taken, 0.125)
    assert (purse.spent, purse.gone) == (0.375, 0.375)


def test_a_call_waits_for_one_that_costs_less_than_it_might() -> None:
    purse = Purse(1.0, Clock())
    calls = Calls(purse)
    assert all_looping([calls.one(sure(0.6), 0.1) for _ in range(5)]) == [True] * 5
    assert calls.most == 1
    assert purse.spent == pytest.approx(0.5)


def test_whoever_waits_is_woken_by_a_stop() -> None:
    purse = Purse(1.0, Clock())
    take(purse, 0.6)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        blocking(purse.take(sure(0.6), stop))
    assert purse.gone == 0.6


# --- answers whose length nobody knows ----------------------------------------------------------


def test_no_more_calls_fly_than_answers_have_taught() -> None:
    purse = Purse(1.0, Clock())
    calls = Calls(purse)
    seen = []

    async def one() -> None:
        await calls.one(lambda: (0.01, calls.made), 0.01)
        seen.append(calls.most)

    all_looping([one() for _ in range(16)])
    assert seen[0] == 1
    assert all(most <= number + 1 for number, most in enumerate(seen))
    assert calls.most > 2


@pytest.mark.parametrize("keep", [None, lambda drawn: None], ids=["alone", "on record"])
def test_the_first_call_passes_though_nobody_knows_whether_it_fits(
    keep: Callable[[float], None] | None,
) -> None:
    purse = Purse(1.0, Clock(), keep=keep)
    taken = blocking(purse.take(lambda: (7.0, 0), threading.Event()))
    assert taken == pytest.approx(1.0)
    purse.settle(taken, 0.3)
    with pytest.raises(SpendCap):  # one answer is known: it is no guess any more
        blocking(purse.take(lambda: (7.0, 1), threading.Event()))


@pytest.mark.parametrize("spent", [1.0, 1.2])
def test_the_first_call_does_not_pass_with_nothing_left(spent: float) -> None:
    purse = Purse(1.0, Clock(), spent=spent)
    with pytest.raises(SpendCap):
        blocking(purse.take(lambda: (0.1, 0), threading.Event()))


# --- what is on record --------------------------------------------------------------------------


def test_money_is_on_record_before_it_is_spent() -> None:
    kept: list[float] = []
    purse = Purse(100.0, Clock(), spent=10.0, keep=kept.append)
    for _ in range(90):
        taken = take(purse, 1.0)
        assert purse.gone <= kept[-1] * (1 + 1e-9)
        purse.settle(taken, 1.0)
    assert kept == sorted(set(kept))
    assert kept[-1] == 100.0
    with pytest.raises(SpendCap):
        take(purse, 1.0)


def test_small_calls_are_put_on_record_many_at_a_time() -> None:
    kept: list[float] = []
    purse = Purse(1.0, Clock(), keep=kept.append)
    for _ in range(1000):
        purse.settle(take(purse, 0.001), 0.001)
    assert len(kept) <= 101


def test_a_record_that_fails_gives_the_money_back() -> None:
    def keep(drawn: float) -> None:
        raise SinkError("no space", "make room")

    purse = Purse(1.0, Clock(), keep=keep)
    for _ in range(2):
        with pytest.raises(SinkError):
            take(purse, 0.1)
    assert purse.gone == 0.0


COSTS = st.lists(
    st.tuples(st.floats(0.001, 0.4), st.floats(0, 1)).map(
        lambda pair: (pair[0], pair[0] * pair[1])
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60)
@given(costs=COSTS, cap=st.floats(0.05, 5), width=st.sampled_from([1, 3, 40]), data=st.data())
def test_never_more_than_the_cap(
    costs: list[tuple[float, float]], cap: float, width: int, data: st.DataObject
) -> None:
    """Calls side by side, in parts that are killed or end well, each continued from the record."""
    kept = [0.0]
    paid = 0.0
    left = list(costs)
    while left:
        purse = Purse(cap, Clock(), spent=kept[-1], keep=kept.append)
        calls = Calls(purse)
        wave = [left.pop() for _ in range(min(width, len(left)))]
        all_looping([calls.one(sure(most), cost) for most, cost in wave])
        paid += calls.paid
        assert paid <= kept[-1] * (1 + 1e-6)
        if data.draw(st.booleans()):  # it ended well and said what it really spent
            kept.append(purse.gone)
    assert paid <= cap * (1 + 1e-6)


@settings(max_examples=40)
@given(costs=COSTS, cap=st.floats(0.05, 5))
def test_it_does_not_stop_while_the_next_call_fits(
    costs: list[tuple[float, float]], cap: float
) -> None:
    purse = Purse(cap, Clock())
    for most, cost in costs:
        fits = purse.spent + most <= cap
        try:
            purse.settle(take(purse, most), cost)
        except SpendCap:
            assert not fits
