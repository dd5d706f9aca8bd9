"""Token buckets: what gets through in which stretch of time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.client.pace.rates import HOUR, MINUTE, SECOND, Bucket


def drain(bucket: Bucket, until: float, now: float = 0.0) -> list[float]:
    """The moments at which one after the other gets through, each as early as it may."""
    moments: list[float] = []
    while True:
        wait = bucket.wait(now)
        if wait > 0:
            now += wait
            if now > until:
                return moments
            continue
        bucket.take(now)
        moments.append(now)


def most_within(moments: list[float], stretch: float) -> int:
    """The most of *moments* in any half-open stretch."""
    first = 0
    most = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= stretch - 1e-6:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.parametrize(
    ("amount", "unit"),
    [(1, MINUTE), (0.5, SECOND), (10, SECOND), (60, MINUTE), (90, MINUTE), (6000, MINUTE),
     (1200, HOUR), (600, SECOND)],
)  # fmt: skip
def test_no_stretch_of_the_unit_holds_more_than_the_amount(amount, unit):
    bucket = Bucket(amount, unit, 0.0)
    moments = drain(bucket, 5 * unit)
    assert most_within(moments, unit) <= max(1, amount)
    assert len(moments) >= 5 * amount * 59 / 60 - 1


@given(
    amount=st.floats(1, 500),
    rests=st.lists(st.floats(0, 30), min_size=1, max_size=300),
)
def test_nor_after_rests_of_any_length(amount, rests):
    bucket = Bucket(amount, MINUTE, 0.0)
    now, moments = 0.0, []
    for rest in rests:
        now += rest
        while (wait := bucket.wait(now)) > 0:
            now += wait
        bucket.take(now)
        moments.append(now)
    assert most_within(moments, MINUTE) <= math.ceil(amount)


def test_the_first_call_starts_at_once_and_the_others_are_spread():
    assert drain(Bucket(4, SECOND, 0.0), 1.0) == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])


def test_waking_late_is_made_up_for():
    bucket = Bucket(6000, MINUTE, 0.0)  # holds a second's worth
    for moment in range(100):
        now = moment * 0.5  # fifty fall due between two looks
        for _ in range(49):
            assert bucket.wait(now) == 0
            bucket.take(now)


def test_a_need_beyond_the_holding_passes_when_full_and_is_paid_back():
    bucket = Bucket(6000, MINUTE, 0.0)  # tokens: holds 100, 98.35 a second
    assert bucket.wait(0.0, 3000) == 0
    bucket.take(0.0, 3000)
    wait = bucket.wait(0.0, 3000)
    assert wait == pytest.approx(3000 / (5901 / 60))
    assert bucket.wait(wait, 3000) == 0


def test_what_was_not_used_is_given_back_but_not_beyond_full():
    bucket = Bucket(6000, MINUTE, 0.0)
    bucket.take(0.0, 1000)
    assert bucket.wait(0.0, 1) > 0
    bucket.take(0.0, -950)
    assert bucket.wait(0.0, 50) == 0
    assert bucket.wait(0.0, 51) > 0
    bucket.take(0.0, -1_000_000)
    bucket.take(0.0, 100)
    assert bucket.wait(0.0, 1) > 0


def test_time_does_not_run_backwards():
    bucket = Bucket(1, SECOND, 10.0)
    bucket.take(10.0)
    assert bucket.wait(9.0) == pytest.approx(1.0)
    assert bucket.wait(11.0) == 0
