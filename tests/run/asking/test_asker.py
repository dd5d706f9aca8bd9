"""The asking loop over a scripted adapter, a real journal and a clock that is a number."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from fakes.scripted import Scripted, Ticking

from dbrun.client.journal import Journal
from dbrun.client.limits import Limiter
from dbrun.client.retry import Breaker, RetryPolicy
from dbrun.client.waiting import blocking
from dbrun.errors import (
    Rejected,
    Unanswered,
    Unavailable,
)
from dbrun.run.asking.asker import Asker, Question, Reply
from dbrun.run.asking.counters import Counters
from dbrun.run.asking.trying import Caller
from dbrun.spec.model import Concurrency, Limits
from dbrun.types import Usage


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture
def journal(tmp_path) -> Iterator[Journal]:
    with Journal.open(str(tmp_path / "journal")) as journal:
        yield journal


def asker_of(adapter, journal, clock, **limits) -> Asker:
    kept = Limits(**limits)
    counters, halt = Counters(), threading.Event()
    caller = Caller(
        adapter,
        limiter=Limiter(kept, Concurrency.fixed(8), clock),
        policy=RetryPolicy(attempts=kept.attempts, retry_for=kept.retry_for, warmup=kept.warmup),
        breaker=Breaker(kept.retry_for, clock),
        counters=counters,
        clock=clock,
        timeout=kept.timeout,
        halt=halt,
    )
    return Asker(adapter, caller, journal=journal, counters=counters, halt=halt)


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


def test_what_has_not_the_form_of_an_answer_is_kept_as_well(journal, clock) -> None:
    adapter = Scripted()
    asker = asker_of(adapter, journal, clock)
    assert values(ask(asker, question("odd"))) == ["Malformed"]
    assert values(ask(asker, question("odd"))) == ["Malformed"]
    assert len(adapter.calls) == 1


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


def test_a_refusal_is_not_journalled(journal, clock) -> None:
    asker = asker_of(Scripted(Rejected("no", 400)), journal, clock)
    assert values(ask(asker, question("a"))) == ["Rejected"]
    assert values(ask(asker, question("a"))) == ["re:a"]
