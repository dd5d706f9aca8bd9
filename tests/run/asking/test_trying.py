"""The retry loop over a scripted adapter and a clock that is a number."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable

import pytest
from fakes.scripted import Scripted, Ticking

from dbrun.adapters.base import Answer
from dbrun.client.limits import Limiter
from dbrun.client.retry import Breaker, RetryPolicy
from dbrun.client.waiting import blocking
from dbrun.errors import (
    AuthError,
    EndpointDown,
    EndpointMissing,
    Interrupted,
    RateLimited,
    Refused,
    Rejected,
    TimedOut,
    Unavailable,
    Unreachable,
    Warming,
)
from dbrun.run.asking.counters import Counters
from dbrun.run.asking.trying import Caller, Sent
from dbrun.spec.model import Concurrency, Limits


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


def caller_of(adapter, clock, **limits) -> Caller:
    kept = Limits(**limits)
    return Caller(
        adapter,
        limiter=Limiter(kept, Concurrency.fixed(8), clock),
        policy=RetryPolicy(attempts=kept.attempts, retry_for=kept.retry_for, warmup=kept.warmup),
        breaker=Breaker(kept.retry_for, clock),
        counters=Counters(),
        clock=clock,
        timeout=kept.timeout,
        halt=threading.Event(),
    )


def send(caller: Caller, body: str) -> object:
    """The answer to *body*, or the error that there is instead."""
    sent = blocking(caller.send([body]))
    if not isinstance(sent, Sent):
        return sent
    caller.settle(sent, [])
    return sent.answers[0].body


@pytest.mark.parametrize(
    "error", [Unavailable("down", 503), TimedOut("slow"), Unavailable("cut", None, None, True)]
)
def test_faults_are_tried_again_up_to_the_attempts(clock, error) -> None:
    adapter = Scripted(*[error] * 2)
    assert send(caller_of(adapter, clock, attempts=3), "a") == "re:a"
    assert len(adapter.calls) == 3
    adapter = Scripted(*[error] * 9)
    caller = caller_of(adapter, clock, attempts=3)
    assert send(caller, "b") is error
    assert len(adapter.calls) == 3
    assert caller._counters.requests()["retried"] == 2
    assert caller._counters.maybe_paid == (3 if error.maybe_paid else 0)


def test_an_endpoint_that_sheds_load_is_waited_for(clock) -> None:
    class Others(Scripted):
        """An endpoint that answers others all the while."""

        def call(self, bodies, timeout):
            caller._breaker.succeeded()
            return super().call(bodies, timeout)

    busy = Unavailable("Service Temporarily Unavailable", 503)
    adapter = Others(*[busy] * 20)
    caller = caller_of(adapter, clock, attempts=2)
    caller._breaker.turned_away(4)
    assert send(caller, "a") == "re:a"
    assert len(adapter.calls) == 21
    assert caller._counters.requests()["retried"] == 20
    assert caller._breaker._turned_away == 4
    adapter.script = [busy] * 99
    assert send(caller, "b") is busy  # it is not that everybody else gets through
    assert len(adapter.calls) == 21 + 64 + 2
    assert caller._breaker._turned_away == 4


def test_a_request_that_alone_makes_an_endpoint_fail_has_its_tries(clock) -> None:
    bad = Unavailable("upstream failed", 503)
    adapter = Scripted(None, *[bad] * 9)
    caller = caller_of(adapter, clock, attempts=3)
    assert send(caller, "a") == "re:a"
    assert send(caller, "b") is bad
    assert len(adapter.calls) == 4
    assert caller._breaker._turned_away == 0


def test_waiting_for_a_rate_limit_is_not_a_try(clock) -> None:
    adapter = Scripted(*[RateLimited("slow down", 429, 2.0)] * 20)
    caller = caller_of(adapter, clock, attempts=2)
    assert send(caller, "a") == "re:a"
    assert len(adapter.calls) == 21
    assert caller._counters.requests()["waited"] == 20
    assert caller._counters.requests()["retried"] == 0


@pytest.mark.parametrize(
    ("answered", "waits"),
    [
        pytest.param(lambda time: True, [1, 2, 4, 4, 4, 4, 4, 4, 4], id="others get through"),
        pytest.param(lambda time: False, [1, 2, 4, 8, 16, 32, 60, 60, 60], id="nobody ever did"),
        pytest.param(
            lambda time: time == 0, [1, 2, 4, 7, 14, 28, 56, 60, 60], id="nobody does any more"
        ),
        pytest.param(
            lambda time: time == 35, [1, 2, 4, 8, 16, 4, 4, 4, 8], id="somebody did meanwhile"
        ),
    ],
)
def test_nobody_waits_longer_than_there_was_no_answer_for_anybody(
    monkeypatch: pytest.MonkeyPatch, answered: Callable[[float], bool], waits: list[float]
) -> None:
    class Shared(Ticking):
        def sleep(self, seconds, stop=None):
            woken = super().sleep(seconds, stop)
            if answered(self.now() - started):
                caller._breaker.succeeded()
            return woken

    class Timed(Scripted):
        def call(self, bodies, timeout):
            at.append(clock.now())
            return super().call(bodies, timeout)

    at: list[float] = []
    clock = Shared()
    started = clock.now()
    monkeypatch.setattr("random.random", lambda: 1.0)
    caller = caller_of(Timed(*[RateLimited("slow down", 429)] * 9), clock)
    if answered(0.0):
        caller._breaker.succeeded()
    assert send(caller, "a") == "re:a"
    assert [later - before for before, later in itertools.pairwise(at)] == waits


def test_a_refusal_is_not_tried_again(clock) -> None:
    adapter = Scripted(Rejected("no", 400))
    caller = caller_of(adapter, clock)
    assert isinstance(send(caller, "a"), Rejected)
    assert clock.slept == []
    assert send(caller, "a") == "re:a"


def test_an_endpoint_that_only_ever_fails_ends_the_run(clock) -> None:
    adapter = Scripted(*[RateLimited("slow down", 429, 5.0)] * 1000)
    caller = caller_of(adapter, clock, retry_for=60)
    with pytest.raises(EndpointDown):
        for number in range(100):
            send(caller, f"a{number}")
    assert clock.time - 1000 <= 70


def test_a_starting_endpoint_is_waited_for_as_long_as_warmup(clock) -> None:
    adapter = Scripted(*[Warming("loading", 503)] * 8)
    caller = caller_of(adapter, clock, attempts=2, warmup=600)
    assert send(caller, "a") == "re:a"
    assert caller._counters.requests()["waited"] == 8
    adapter = Scripted(*[Warming("loading", 503)] * 100)
    caller = caller_of(adapter, clock, attempts=2, warmup=20)
    with pytest.raises(EndpointDown, match="only ever asked to wait: loading"):
        send(caller, "b")


def test_the_time_for_failures_begins_when_it_has_started(clock) -> None:
    starts = [Warming("loading", 503)] * 30
    adapter = Scripted(*starts, *[Unavailable("down", 503)] * 2)
    caller = caller_of(adapter, clock, retry_for=20, warmup=3600)
    caller._breaker = Breaker(20, clock, 3600)
    assert send(caller, "a") == "re:a"
    assert clock.time - 1000 > 100
    caller = caller_of(Scripted(*starts * 9), clock, retry_for=20, warmup=30)
    with pytest.raises(EndpointDown) as caught:
        send(caller, "b")
    assert "limits.warmup waits longer" in caught.value.hint


def test_a_rate_limit_longer_than_the_budget_is_the_endpoints_fault(clock) -> None:
    adapter = Scripted(RateLimited("come back tomorrow", 429, 9999.0))
    with pytest.raises(EndpointDown, match="come back tomorrow"):
        send(caller_of(adapter, clock, retry_for=60), "a")


def test_an_endpoint_that_was_never_reached_ends_the_run(clock) -> None:
    adapter = Scripted(*[Unreachable("connection refused")] * 10)
    with pytest.raises(EndpointMissing, match="never reachable: connection refused"):
        send(caller_of(adapter, clock, attempts=3), "a")
    assert len(adapter.calls) == 3


def test_trouble_with_the_run_passes_and_frees_the_slot(clock) -> None:
    caller = caller_of(Scripted(AuthError("refused")), clock)
    with pytest.raises(AuthError):
        send(caller, "a")
    assert caller.limiter.in_flight == 0


def test_a_halt_wakes_who_waits_to_try_again(clock) -> None:
    caller = caller_of(Scripted(Unavailable("down", 503)), clock)

    class Halting(Ticking):
        def sleep(self, seconds, stop=None):
            caller._halt.set()
            return super().sleep(seconds, stop)

    caller._clock = Halting()
    with pytest.raises(Interrupted):
        send(caller, "a")
    assert caller.limiter.in_flight == 0


def test_another_way_of_calling_shares_the_limits(clock) -> None:
    caller = caller_of(Scripted(), clock)

    async def shout(bodies, timeout):
        assert caller.limiter.in_flight == 1
        return [Answer(body=body.upper()) for body in bodies]

    assert send(caller.by(shout), "a") == "A"
    assert send(caller, "a") == "re:a"
    assert caller.limiter.in_flight == 0


def test_an_answer_that_fails_after_it_began_frees_its_slot(clock) -> None:
    caller = caller_of(Scripted(), clock)
    sent = blocking(caller.send(["a"]))
    assert caller.limiter.in_flight == 1
    caller.fail(sent, Unavailable("cut short"))
    assert caller.limiter.in_flight == 0


def refusal(patience: int = 2) -> Refused:
    error = Refused("no", 403)
    error.patience, error.verdict = patience, AuthError("denied", "ask for access")
    return error


def test_the_first_calls_refused_alike_end_the_run(clock) -> None:
    caller = caller_of(Scripted(refusal(), refusal()), clock)
    assert isinstance(send(caller, "a"), Refused)
    with pytest.raises(AuthError, match="denied; ask for access"):
        send(caller, "b")
    assert caller._counters.requests()["sent"] == 2


def test_a_call_that_takes_long_hides_not_that_all_others_are_refused(clock) -> None:
    caller = caller_of(Scripted(*[refusal()] * 3), clock)

    async def long(bodies, timeout):
        """The first call, which is under way while three others come and go."""
        assert [isinstance(send(caller, body), Refused) for body in "bc"] == [True, True]
        with pytest.raises(AuthError, match="denied"):
            send(caller, "d")
        return [Answer(body="late")]

    assert send(caller.by(long), "a") == "late"


@pytest.mark.parametrize("script", [["re", "no", "no"], ["no", "re", "no", "no", "no"]])
def test_refusals_beside_an_answer_are_about_their_rows(clock, script) -> None:
    answers = [refusal() if word == "no" else None for word in script]
    caller = caller_of(Scripted(*answers), clock)
    told = [isinstance(send(caller, "x"), Refused) for _ in script]
    assert told == [word == "no" for word in script]


def test_answers_of_earlier_runs_count_as_well(clock) -> None:
    caller = caller_of(Scripted(refusal(1), refusal(1)), clock)
    caller._counters.count_reply(True, None, ())
    assert [isinstance(send(caller, body), Refused) for body in "ab"] == [True, True]
