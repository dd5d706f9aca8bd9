"""Whether and when to try again, as tables."""

from __future__ import annotations

import math
import pickle
from datetime import datetime, timedelta, timezone

import pytest
from fakes.simulation import Hand
from hypothesis import given
from hypothesis import strategies as st

from dbrun.client.retry import LONGEST_WAIT, Breaker, RetryPolicy, is_busy, parse_retry_after
from dbrun.errors import (
    AuthError,
    EndpointDown,
    EndpointError,
    Malformed,
    RateLimited,
    Refused,
    Rejected,
    TimedOut,
    Unavailable,
    Unreachable,
    Warming,
)

HALF = 0.5
NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=timezone.utc)


def limited(retry_after: float | None = None) -> RateLimited:
    return RateLimited("slow down", 429, retry_after)


@pytest.mark.parametrize(
    ("error", "tries", "elapsed", "delay"),
    [
        (Unavailable("x", 500), 1, 0, 0.5),
        (Unavailable("x", 500), 2, 10, 1),
        (TimedOut("x"), 3, 10, 2),
        (Unreachable("x"), 4, 10, 4),
        (Unavailable("x", 500), 5, 10, 8),
        (Unavailable("x", 500), 6, 10, None),
        (Unavailable("x", 500), 99, 10, None),
        (Unavailable("x", 500), 1, 99.9, 0.1),
        (Unavailable("x", 500), 1, 100, None),
        (Unavailable("x", 500), 1, 1e9, None),
        (Rejected("x", 400), 1, 0, None),
        (Malformed("x", 200), 1, 0, None),
        # What a server asks to wait counts for every kind of failure.
        (Unavailable("x", 500, 7.0), 1, 0, 7.5),
        (Unavailable("x", 500, 7.0), 6, 0, None),
        # Rate limits are no tries: they end with the time only.
        (limited(), 1, 0, 0.5),
        (limited(), 7, 0, 30),
        (limited(), 5000, 0, 30),
        (limited(), 7, 90, 10),
        (limited(), 1, 100, None),
        (limited(20), 1, 0, 20.5),
        (limited(20), 900, 0, 20.5),
        (limited(0), 1, 0, 0.5),
        (limited(99.5), 1, 0, 100),
        (limited(99.6), 1, 0, None),
        (limited(20), 1, 90, None),
        (limited(-5), 1, 0, 0.5),
        (limited(1e9), 1, 0, None),
        # An endpoint that is starting is waited for, up to `warmup`; then each is a try.
        (Warming("x", 503), 40, 19, 30),
        (Warming("x", 503), 40, 49, 1),
        (Warming("x", 503), 40, 50, None),
        (Warming("x", 503), 2, 50, 1),
    ],
)
def test_delay(error: EndpointError, tries: int, elapsed: float, delay: float | None):
    policy = RetryPolicy(attempts=6, retry_for=100, warmup=50)
    told = policy.delay(error, tries, elapsed, lambda: HALF)
    assert told == pytest.approx(delay) if delay is not None else told is None


def test_a_start_may_take_longer_than_one_request():
    policy = RetryPolicy(retry_for=10, warmup=50)
    assert policy.delay(Warming("x", 503), 40, 15, lambda: HALF) == 30
    assert not policy.is_too_late(Warming("x", 503), 15)
    assert policy.delay(Unavailable("x", 503), 1, 15, lambda: HALF) is None
    assert policy.delay(Warming("x", 503), 1, 50, lambda: HALF) is None


def test_one_attempt_is_no_second_one():
    assert RetryPolicy(attempts=1).delay(Unavailable("x"), 1, 0, lambda: HALF) is None
    assert RetryPolicy(attempts=1).delay(limited(), 1, 0, lambda: HALF) is not None


@given(
    tries=st.integers(1, 10**6),
    elapsed=st.floats(0, 1e5),
    asked=st.none() | st.floats(0, 1e6),
    chance=st.floats(0, 1, exclude_max=True),
    kind=st.sampled_from([RateLimited, Unavailable, TimedOut, Rejected]),
)
def test_delays_stay_within_the_budget(tries, elapsed, asked, chance, kind):
    policy = RetryPolicy(attempts=6, retry_for=1800)
    delay = policy.delay(kind("x", None, asked), tries, elapsed, lambda: chance)
    if delay is None:
        return
    assert 0 <= delay <= 1800 - elapsed
    assert delay >= (asked or 0)
    if asked is None:
        assert delay <= policy.cap
    assert kind is RateLimited or tries < 6
    assert kind is not Rejected


def test_the_policy_is_a_value():
    policy = RetryPolicy(attempts=3)
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert hash(RetryPolicy(attempts=3)) == hash(policy)
    assert RetryPolicy(attempts=4) != policy


# How long a server asks to wait


def http_date(seconds: float) -> str:
    return (NOW + timedelta(seconds=seconds)).strftime("%a, %d %b %Y %H:%M:%S GMT")


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({}, None, None),
        ({"retry-after": "12"}, None, 12),
        ({"retry-after": " 12 "}, None, 12),
        ({"retry-after": "0"}, None, 0),
        ({"retry-after": "1.5"}, None, 1.5),
        ({"retry-after": http_date(90)}, None, 90),
        ({"retry-after": http_date(-90)}, None, 0),
        ({"retry-after": http_date(10**7)}, None, LONGEST_WAIT),
        ({"retry-after": "Sunday, 22-Nov-26 12:00:30 GMT"}, None, 30),
        ({"retry-after": "Sun Nov 22 12:00:30 2026"}, None, 30),
        ({"retry-after": "99999999999"}, None, LONGEST_WAIT),
        ({"retry-after": "-5"}, None, None),
        ({"retry-after": "nan"}, None, None),
        ({"retry-after": "inf"}, None, None),
        ({"retry-after": "soon"}, None, None),
        ({"retry-after": ""}, None, None),
        ({"retry-after": "12, 13"}, None, None),
        ({"retry-after": "1e3"}, None, None),
        ({"retry-after": "9" * 400}, None, None),
        ({"retry-after": "99 Foo 99999 99:99:99 GMT"}, None, None),
        ({"retry-after-ms": "250"}, None, 0.25),
        ({"retry-after-ms": "250", "retry-after": "1"}, None, 0.25),
        ({"retry-after-ms": "x", "retry-after": "1"}, None, 1),
        ({"retry-after": "x"}, {"error": {"retry_after": 15}}, 15),
        ({}, {"error": {"message": "m", "retry_after": 15}}, 15),
        ({}, {"error": {"retry_after": "15"}}, 15),
        ({}, {"error": {"retry_after": 1.5}}, 1.5),
        ({}, {"retry_after": 3}, 3),
        ({"retry-after": "2"}, {"error": {"retry_after": 15}}, 2),
        ({}, {"error": {"retry_after": -1}}, None),
        ({}, {"error": {"retry_after": True}}, None),
        ({}, {"error": {"retry_after": None}}, None),
        ({}, {"error": {"retry_after": [1]}}, None),
        ({}, {"error": {"retry_after": math.nan}}, None),
        ({}, {"error": {"retry_after": math.inf}}, None),
        ({}, {"error": {"retry_after": 10**400}}, LONGEST_WAIT),
        ({}, {"error": "text"}, None),
        ({}, ["error"], None),
        ({}, "retry_after", None),
        ({"x-ratelimit-reset": "30"}, None, 30),
        ({"ratelimit-reset": "30"}, None, 30),
        ({"x-ratelimit-reset": str(int(NOW.timestamp()) + 40)}, None, 40),
        ({"x-ratelimit-reset": str(int(NOW.timestamp() + 40) * 1000)}, None, 40),
        ({"x-ratelimit-reset": str(int(NOW.timestamp()) - 40)}, None, 0),
        ({"x-ratelimit-reset-requests": "1s"}, None, 1),
        ({"x-ratelimit-reset-requests": "6m0s"}, None, 360),
        ({"x-ratelimit-reset-requests": "1h2m3.5s"}, None, 3723.5),
        ({"x-ratelimit-reset-tokens": "20ms"}, None, 0.02),
        ({"x-ratelimit-reset-tokens": "1m30ms"}, None, 60.03),
        ({"x-ratelimit-reset": "2026-11-22T12:00:20Z"}, None, 20),
        ({"x-ratelimit-reset": "2026-11-22T13:00:20+01:00"}, None, 20),
        ({"x-ratelimit-reset": http_date(20)}, None, 20),
        ({"x-ratelimit-reset": "soon"}, None, None),
        ({"x-ratelimit-reset": ""}, None, None),
        ({"my-ratelimit-reset": "9"}, None, None),
        ({"x-ratelimit-limit": "9"}, None, None),
        # Of several limits the exhausted one counts; if none says that it is, the shortest.
        ({"x-ratelimit-reset-requests": "5", "x-ratelimit-reset-tokens": "9"}, None, 5),
        (
            {
                "x-ratelimit-reset-requests": "5",
                "x-ratelimit-remaining-requests": "10",
                "x-ratelimit-reset-tokens": "9",
                "x-ratelimit-remaining-tokens": "0",
            },
            None,
            9,
        ),
        ({"retry-after": "3", "x-ratelimit-reset-requests": "5"}, None, 3),
    ],
)
def test_how_long_a_server_asks_to_wait(headers, body, seconds):
    told = parse_retry_after(headers, body, NOW)
    assert told == pytest.approx(seconds) if seconds is not None else told is None


@given(
    st.dictionaries(
        st.sampled_from(
            ["retry-after", "retry-after-ms", "x-ratelimit-reset", "ratelimit-reset-x"]
        ),
        st.text() | st.from_regex(r"[0-9a-zT:+., -]{0,30}"),
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.dictionaries(st.sampled_from(["error", "retry_after"]), inner)
            | st.lists(inner, max_size=2)
        ),
    ),
)
def test_nothing_a_server_says_is_too_odd(headers, body):
    seconds = parse_retry_after(headers, body, NOW)
    assert seconds is None or 0 <= seconds <= LONGEST_WAIT


# Noticing that an endpoint is down


def test_an_endpoint_is_down_when_nothing_succeeded_for_long_enough():
    clock = Hand()
    breaker = Breaker(100, clock)
    clock.time += 1000  # the time before the first failure does not count
    breaker.failed(Unavailable("x", 500))
    clock.time += 99.9
    breaker.failed(limited())
    clock.time += 0.1
    with pytest.raises(EndpointDown) as caught:
        breaker.failed(Unavailable("the disk is full", 503))
    assert caught.value.message == "no answer for 100 s, last: status 503: the disk is full"
    assert "same command" in caught.value.hint
    with pytest.raises(EndpointDown, match="last: no route"):
        breaker.failed(Unreachable("no route"))


def test_while_it_starts_it_is_not_down():
    clock = Hand()
    breaker = Breaker(10, clock, 50)
    for _ in range(5):
        breaker.failed(Warming("loading", 503))
        clock.time += 9.9
    clock.time += 9.9
    breaker.failed(Unavailable("x", 503))  # it has started: now failures count
    clock.time += 9.9
    breaker.failed(Unavailable("x", 503))
    clock.time += 0.1
    with pytest.raises(EndpointDown, match=r"no answer for 10 s.*retry_for"):
        breaker.failed(Unavailable("x", 503))
    breaker.succeeded()
    breaker.failed(Warming("loading", 503))
    clock.time += 50
    with pytest.raises(
        EndpointDown, match=r"no answer for 50 s, last: status 503: loading; .*warmup"
    ):
        breaker.failed(Warming("loading", 503))


def test_an_endpoint_that_answers_and_turns_many_away_sheds_load():
    clock = Hand()
    breaker = Breaker(1000, clock)
    busy, broken = Unavailable("x", 503), Unavailable("x", 500)
    breaker.turned_away(5)
    assert not breaker.sheds_load(busy, 0)  # it answers nobody
    breaker.succeeded()
    assert breaker.sheds_load(busy, 0)
    assert breaker.sheds_load(busy, 63)
    assert not breaker.sheds_load(busy, 64)  # this one it does not answer
    assert not breaker.sheds_load(broken, 0)
    breaker.turned_away(-1)
    assert not breaker.sheds_load(busy, 0)  # a few may be at fault themselves
    breaker.turned_away(1)
    clock.time += 9.9
    assert breaker.sheds_load(busy, 0)
    clock.time += 0.1
    assert not breaker.sheds_load(busy, 0)  # it no longer answers
    policy = RetryPolicy(attempts=3, retry_for=100)
    assert policy.delay(busy, 3, 0, lambda: HALF) is None
    assert policy.delay(busy, 3, 0, lambda: HALF, is_no_try=True) == 2
    assert policy.delay(busy, 3, 100, lambda: HALF, is_no_try=True) is None


@pytest.mark.parametrize(
    ("error", "busy"),
    [
        (Unavailable("x", 503), True),
        (Unavailable("x", 529), True),
        (Unavailable("x", 500), False),
        (Unavailable("x"), False),
        (RateLimited("x", 503, 1.0), False),
        (Warming("x", 503), False),
    ],
)
def test_what_may_be_shed_load(error, busy):
    assert is_busy(error) is busy


def test_a_success_begins_anew():
    clock = Hand()
    breaker = Breaker(100, clock)
    for _ in range(5):
        breaker.failed(Unavailable("x"))
        clock.time += 99
        breaker.succeeded()
        breaker.succeeded()
        clock.time += 99
    breaker.failed(Unavailable("x"))


def test_whether_anything_succeeded_since_a_moment():
    clock = Hand()
    breaker = Breaker(100, clock)
    assert not breaker.nothing_since(clock.time)  # nothing failed either
    breaker.failed(limited())
    assert breaker.nothing_since(clock.time)
    clock.time += 5
    breaker.succeeded()
    assert not breaker.nothing_since(clock.time - 5)
    clock.time += 5
    breaker.failed(limited())
    assert not breaker.nothing_since(clock.time - 5)
    assert breaker.nothing_since(clock.time - 4)


def test_refusals_say_nothing_about_the_endpoint():
    clock = Hand()
    breaker = Breaker(100, clock)
    breaker.failed(Rejected("x", 400))
    clock.time += 200
    breaker.failed(Rejected("x", 400))
    breaker.failed(Unavailable("x"))
    clock.time += 99
    breaker.failed(Rejected("x", 400))
    breaker.failed(Unavailable("x"))


@pytest.mark.parametrize(
    ("turns", "under_way", "is_everybody"),
    [
        ([0, 1], 4, False),  # patience is 3
        ([0, 1, 2], 60, True),  # the first calls, whatever the others bring
        ([2, 1, 0], 60, True),
        ([1, 2, 3, 4], 60, False),  # refusing is quick: the first call may yet be answered
        ([1, 2, 3, 4], 2, False),
        ([1, 2, 3, 4, 5], 2, True),  # the first call hangs, and nobody else gets in
        ([1, 1, 1, 1, 1], 2, False),
    ],
)
@pytest.mark.parametrize("answered", [False, True])
def test_whether_everybody_is_refused(turns, under_way, is_everybody, answered):
    breaker = Breaker(100, Hand())
    error = Refused("x", 403)
    error.patience, error.verdict = 3, AuthError("denied", "ask for access")
    if answered:
        breaker.succeeded()
    for turn in turns[:-1]:
        breaker.refused(error, turn, under_way)
    if is_everybody and not answered:
        with pytest.raises(AuthError, match="denied"):
            breaker.refused(error, turns[-1], under_way)
    else:
        breaker.refused(error, turns[-1], under_way)


@pytest.mark.parametrize(
    ("seconds", "said"), [(60, "60 s"), (1800, "30 min"), (9000, "2.5 h"), (119.4, "119 s")]
)
def test_times_are_said_in_fit_units(seconds, said):
    clock = Hand()
    breaker = Breaker(seconds, clock)
    breaker.failed(Unavailable("x"))
    clock.time += seconds
    with pytest.raises(EndpointDown, match=f"no answer for {said},"):
        breaker.failed(Unavailable("x"))
