"""The asking loop over a scripted adapter, a real journal and a clock that is a number."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone

import pytest

from dbrun.adapters.base import Answer
from dbrun.client.journal import Journal
from dbrun.client.limits import Limiter
from dbrun.client.retry import Breaker, RetryPolicy
from dbrun.client.waiting import blocking
from dbrun.clock import Clock
from dbrun.errors import (
    AuthError,
    EndpointDown,
    EndpointMissing,
    Interrupted,
    Malformed,
    RateLimited,
    Rejected,
    TimedOut,
    Unanswered,
    Unavailable,
    Unreachable,
    Warming,
)
from dbrun.run.asking import Asker, Question, Reply
from dbrun.run.counters import Counters
from dbrun.spec.model import Concurrency, Limits
from dbrun.types import Response, Usage


class Ticking(Clock):
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def wall(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=timezone.utc)

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> bool:
        self.slept.append(seconds)
        self.time += seconds
        return stop is not None and stop.is_set()


class Scripted:
    """An adapter that answers as *script* says, then echoes; `bad` bodies are always refused."""

    prompt_kind = "any"
    identity = "scripted"
    columns = {}  # noqa: RUF012

    def __init__(self, *script: Exception, batch_size: int = 1, bad: tuple[str, ...] = ()) -> None:
        self.script = list(script)
        self.batch_size = batch_size
        self.bad = bad
        self.calls: list[list[str]] = []

    def group(self, body: str) -> str:
        return body[0]

    def call(self, bodies, timeout):
        self.calls.append(list(bodies))
        if self.script:
            raise self.script.pop(0)
        if any(body in self.bad for body in bodies):
            raise Rejected("a bad row", 400)
        return [Answer(body=f"re:{body}") for body in bodies]

    def decode(self, body):
        if body == "re:odd":
            raise Malformed("no answer in it", 200)
        return Response(value=body, usage=Usage(input_tokens=1, output_tokens=2))


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture
def journal(tmp_path) -> Iterator[Journal]:
    with Journal.open(str(tmp_path / "journal")) as journal:
        yield journal


def asker_of(adapter, journal, clock, **limits) -> Asker:
    kept = Limits(**limits)
    return Asker(
        adapter,
        limiter=Limiter(kept, Concurrency.fixed(8), clock),
        policy=RetryPolicy(attempts=kept.attempts, retry_for=kept.retry_for, warmup=kept.warmup),
        breaker=Breaker(kept.retry_for, clock),
        journal=journal,
        counters=Counters(),
        clock=clock,
        timeout=kept.timeout,
        halt=threading.Event(),
    )


def ask(asker: Asker, *questions: Question) -> list[object]:
    """What *asker* replies, waited for in this thread."""
    return blocking(asker.ask(questions))


def question(body: str, **more) -> Question:
    return Question(body=body, key=body.encode().hex().rjust(64, "0"), **more)


def values(replies) -> list[object]:
    return [
        reply.response.value if isinstance(reply, Reply) else type(reply).__name__
        for reply in replies
    ]


def test_an_answer_is_paid_for_once(journal, clock) -> None:
    adapter = Scripted()
    asker = asker_of(adapter, journal, clock)
    first = ask(asker, question("a"), question("b"))
    again = ask(asker, question("b"), question("a"), question("c"))
    assert values(first) == ["re:a", "re:b"]
    assert values(again) == ["re:b", "re:a", "re:c"]
    assert [reply.reused for reply in again] == [True, True, False]
    assert sorted(name for call in adapter.calls for name in call) == ["a", "b", "c"]
    assert asker._counters.requests()["sent"] == 3
    assert asker._counters.requests()["reused"] == 2
    assert asker._counters.spent.usage == Usage(input_tokens=3, output_tokens=6)


def test_equal_questions_of_one_group_share_a_call(journal, clock) -> None:
    adapter = Scripted(batch_size=4)
    replies = ask(asker_of(adapter, journal, clock), *[question("a")] * 3)
    assert values(replies) == ["re:a"] * 3
    assert adapter.calls == [["a"]]


def test_equal_questions_in_flight_wait_for_the_first(journal, clock) -> None:
    begun = threading.Event()
    go_on = threading.Event()

    class Slow(Scripted):
        def call(self, bodies, timeout):
            begun.set()
            assert go_on.wait(10)
            return super().call(bodies, timeout)

    adapter = Slow()
    asker = asker_of(adapter, journal, clock)
    replies: list[object] = []
    threads = [
        threading.Thread(target=lambda: replies.extend(ask(asker, question("a")))) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert values(replies) == ["re:a"] * 5
    assert adapter.calls == [["a"]]


@pytest.mark.parametrize(
    "error", [Unavailable("down", 503), TimedOut("slow"), Unavailable("cut", None, None, True)]
)
def test_faults_are_tried_again_up_to_the_attempts(journal, clock, error) -> None:
    adapter = Scripted(*[error] * 2)
    assert values(ask(asker_of(adapter, journal, clock, attempts=3), question("a"))) == ["re:a"]
    assert len(adapter.calls) == 3
    adapter = Scripted(*[error] * 9)
    asker = asker_of(adapter, journal, clock, attempts=3)
    assert values(ask(asker, question("b"))) == [type(error).__name__]
    assert len(adapter.calls) == 3
    assert asker._counters.requests()["retried"] == 2
    assert asker._counters.maybe_paid == (3 if error.maybe_paid else 0)


def test_waiting_for_a_rate_limit_is_not_a_try(journal, clock) -> None:
    adapter = Scripted(*[RateLimited("slow down", 429, 2.0)] * 20)
    asker = asker_of(adapter, journal, clock, attempts=2)
    assert values(ask(asker, question("a"))) == ["re:a"]
    assert len(adapter.calls) == 21
    assert asker._counters.requests()["waited"] == 20
    assert asker._counters.requests()["retried"] == 0


def test_a_refusal_is_not_tried_again_and_not_journalled(journal, clock) -> None:
    adapter = Scripted(Rejected("no", 400))
    asker = asker_of(adapter, journal, clock)
    assert values(ask(asker, question("a"))) == ["Rejected"]
    assert clock.slept == []
    assert values(ask(asker, question("a"))) == ["re:a"]


def test_what_has_not_the_form_of_an_answer_is_not_kept(journal, clock) -> None:
    adapter = Scripted()
    asker = asker_of(adapter, journal, clock)
    assert values(ask(asker, question("odd"))) == ["Malformed"]
    assert values(ask(asker, question("odd"))) == ["Malformed"]
    assert len(adapter.calls) == 2


def test_an_endpoint_that_only_ever_fails_ends_the_run(journal, clock) -> None:
    adapter = Scripted(*[RateLimited("slow down", 429, 5.0)] * 1000)
    asker = asker_of(adapter, journal, clock, retry_for=60)
    with pytest.raises(EndpointDown):
        for number in range(100):
            ask(asker, question(f"a{number}"))
    assert clock.time - 1000 <= 70


def test_a_starting_endpoint_is_waited_for_as_long_as_warmup(journal, clock) -> None:
    adapter = Scripted(*[Warming("loading", 503)] * 8)
    asker = asker_of(adapter, journal, clock, attempts=2, warmup=600)
    assert values(ask(asker, question("a"))) == ["re:a"]
    assert asker._counters.requests()["waited"] == 8
    adapter = Scripted(*[Warming("loading", 503)] * 100)
    asker = asker_of(adapter, journal, clock, attempts=2, warmup=20)
    with pytest.raises(EndpointDown, match="only ever asked to wait: loading"):
        ask(asker, question("b"))


def test_a_rate_limit_longer_than_the_budget_is_the_endpoints_fault(journal, clock) -> None:
    adapter = Scripted(RateLimited("come back tomorrow", 429, 9999.0))
    with pytest.raises(EndpointDown, match="come back tomorrow"):
        ask(asker_of(adapter, journal, clock, retry_for=60), question("a"))


def test_an_endpoint_that_was_never_reached_ends_the_run(journal, clock) -> None:
    adapter = Scripted(*[Unreachable("connection refused")] * 10)
    with pytest.raises(EndpointMissing, match="never reachable: connection refused"):
        ask(asker_of(adapter, journal, clock, attempts=3), question("a"))
    assert len(adapter.calls) == 3


def test_trouble_with_the_run_passes_and_frees_the_slot(journal, clock) -> None:
    asker = asker_of(Scripted(AuthError("refused")), journal, clock)
    with pytest.raises(AuthError):
        ask(asker, question("a"))
    assert asker.limiter.in_flight == 0


def test_a_failed_batch_is_split_until_the_bad_row_is_alone(journal, clock) -> None:
    names = [f"a{number}" for number in range(16)]
    adapter = Scripted(batch_size=16, bad=("a5",))
    replies = ask(asker_of(adapter, journal, clock), *[question(name) for name in names])
    expected = [f"re:{name}" for name in names]
    expected[5] = "Rejected"
    assert values(replies) == expected
    assert adapter.calls[0] == names
    assert len(adapter.calls) == 1 + 2 * 4  # a binary search
    answered = Counter(name for call in adapter.calls if "a5" not in call for name in call)
    assert set(answered.values()) == {1}


def test_only_rows_of_one_group_travel_together(journal, clock) -> None:
    adapter = Scripted(batch_size=3)
    names = ["a1", "b1", "a2", "a3", "a4", "b2"]
    replies = ask(asker_of(adapter, journal, clock), *[question(name) for name in names])
    assert values(replies) == [f"re:{name}" for name in names]
    assert sorted(adapter.calls) == [["a1", "a2", "a3"], ["a4"], ["b1", "b2"]]


def test_a_server_fault_splits_a_batch_instead_of_sending_it_again(journal, clock) -> None:
    adapter = Scripted(Unavailable("boom", 500), batch_size=2)
    replies = ask(asker_of(adapter, journal, clock), question("a1"), question("a2"))
    assert values(replies) == ["re:a1", "re:a2"]
    assert adapter.calls == [["a1", "a2"], ["a1"], ["a2"]]


def test_replaying_sends_nothing(journal, clock) -> None:
    adapter = Scripted()
    asker = asker_of(adapter, journal, clock)
    ask(asker, question("a"))
    replies = ask(asker, question("a", send=False), question("b", send=False))
    assert values(replies) == ["re:a", "Unanswered"]
    assert isinstance(replies[1], Unanswered)
    assert len(adapter.calls) == 1


def test_answers_of_earlier_generations_are_asked_for_again(journal, clock) -> None:
    adapter = Scripted()
    asker = asker_of(adapter, journal, clock)
    ask(asker, question("a"))
    since = journal.begin_generation("only-errors", "x")
    assert [reply.reused for reply in ask(asker, question("a", since=since))] == [False]
    assert [reply.reused for reply in ask(asker, question("a", since=since))] == [True]
    assert len(adapter.calls) == 2


def test_a_halt_wakes_who_waits_to_try_again(journal, clock) -> None:
    asker = asker_of(Scripted(Unavailable("down", 503)), journal, clock)

    class Halting(Ticking):
        def sleep(self, seconds, stop=None):
            asker._halt.set()
            return super().sleep(seconds, stop)

    asker._clock = Halting()
    with pytest.raises(Interrupted):
        ask(asker, question("a"))
    assert asker.limiter.in_flight == 0
