"""Equal requests in flight share one call, and nobody waits for ever."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from dbrun.client.journal import Entry, Flights
from dbrun.client.waiting import blocking
from dbrun.errors import EndpointError, Rejected, RunError, Unanswered

ANSWER = Entry(body="yes")


def wait(claim, stop=None):
    """The answer that *claim* waits for, in this thread."""
    return blocking(claim.wait(stop))


class Asked:
    """A journal of one process, and how often its endpoint was called."""

    def __init__(self):
        self.known = {}
        self.calls = []
        self.flights = Flights(self.lookup)

    def lookup(self, key, since):
        entry = self.known.get(key)
        return entry if entry is not None and entry.generation >= since else None

    def ask(self, key, outcome=ANSWER):
        claim = self.flights.claim(key)
        if claim.leads:
            self.calls.append(key)
            if isinstance(outcome, Entry):
                self.known[key] = outcome
            claim.settle(outcome)
        return wait(claim)


@pytest.fixture
def asked():
    return Asked()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(16) as pool:
        yield pool


def test_the_first_leads_and_the_others_get_its_answer(asked, pool):
    first = asked.flights.claim("k")
    assert first.leads
    others = [asked.flights.claim("k") for _ in range(8)]
    assert not any(claim.leads for claim in others)
    waiting = [pool.submit(wait, claim) for claim in others]
    first.settle(ANSWER)
    assert [future.result(10) for future in waiting] == [ANSWER] * 8
    assert wait(first) is ANSWER
    assert len(asked.flights) == 0


def test_other_keys_have_flights_of_their_own(asked):
    assert asked.flights.claim("a").leads
    assert asked.flights.claim("b").leads


def test_who_comes_after_the_answer_does_not_lead(asked):
    asked.known["k"] = ANSWER
    claim = asked.flights.claim("k")
    assert not claim.leads
    assert wait(claim) is ANSWER
    assert len(asked.flights) == 0


def test_an_answer_that_is_too_old_is_asked_for_again(asked):
    asked.known["k"] = ANSWER
    assert asked.flights.claim("k", since=2).leads


def test_followers_get_a_copy_of_the_leaders_error(asked, pool):
    first = asked.flights.claim("k")
    waiting = [pool.submit(wait, asked.flights.claim("k")) for _ in range(4)]
    error = Rejected("no such model", status=400)
    first.settle(error)
    told = [future.exception(10) for future in waiting]
    assert [type(each) for each in told] == [Rejected] * 4
    assert [(each.message, each.status) for each in told] == [("no such model", 400)] * 4
    assert len({id(each) for each in (error, *told)}) == 5


def test_failures_are_not_answers(asked):
    with pytest.raises(EndpointError):
        asked.ask("k", EndpointError("reset"))
    assert asked.ask("k") is ANSWER
    assert asked.calls == ["k", "k"]


def test_a_block_that_fails_settles_with_its_error(asked):
    first = asked.flights.claim("k")
    follower = asked.flights.claim("k")
    with pytest.raises(RunError), first:
        raise RunError("the disk is full")
    with pytest.raises(RunError, match="the disk is full"):
        wait(follower)


@pytest.mark.parametrize("ends", [None, KeyboardInterrupt])
def test_a_block_that_gives_up_leaves_nobody_waiting(asked, ends):
    first = asked.flights.claim("k")
    follower = asked.flights.claim("k")
    try:
        with first:
            if ends:
                raise ends
    except KeyboardInterrupt:
        assert ends
    with pytest.raises(Unanswered, match="given up"):
        wait(follower)
    assert asked.flights.claim("k").leads


def test_a_block_that_settled_keeps_its_outcome(asked):
    first = asked.flights.claim("k")
    first.settle(ANSWER)
    first.settle(Entry(body="no"))
    with pytest.raises(ZeroDivisionError), first:
        raise ZeroDivisionError
    assert wait(first) is ANSWER


def test_a_follower_must_not_settle(asked):
    asked.flights.claim("k")
    follower = asked.flights.claim("k")
    with pytest.raises(RuntimeError, match="leads"):
        follower.settle(ANSWER)
    with follower:
        pass


def test_stop_wakes_followers(asked, pool):
    stop = threading.Event()
    first = asked.flights.claim("k")
    waiting = [pool.submit(wait, asked.flights.claim("k"), stop) for _ in range(4)]
    stop.set()
    for future in waiting:
        with pytest.raises(Unanswered, match="stopped"):
            future.result(10)
    first.settle(ANSWER)
    assert asked.flights.claim("other").leads


def test_an_answer_that_is_there_counts_even_after_stop(asked):
    stop = threading.Event()
    stop.set()
    first, follower = asked.flights.claim("k"), asked.flights.claim("k")
    first.settle(ANSWER)
    assert wait(follower, stop) is ANSWER


def test_a_journal_that_cannot_be_read_leaves_nobody_waiting(asked):
    def broken(key, since):
        raise RunError("cannot be read")

    flights = Flights(broken)
    for _ in range(2):
        with pytest.raises(RunError, match="cannot be read"):
            flights.claim("k")
    assert len(flights) == 0


def test_each_key_is_asked_once_by_many_threads(asked, pool):
    keys = [str(number % 50) for number in range(2000)]
    assert all(entry is ANSWER for entry in pool.map(asked.ask, keys))
    assert sorted(asked.calls) == sorted(set(keys))


def test_groups_that_overlap_in_any_order_do_not_block_each_other(asked, pool):
    """The discipline: claim all, send those led, then wait for the rest."""
    together = threading.Barrier(16)

    def ask_group(number):
        keys = [str((number * 7 + place) % 24) for place in range(12)]
        if number % 2:
            keys.reverse()
        keys.append(keys[0])  # a group may hold equal requests
        together.wait(10)
        claims = [(key, asked.flights.claim(key)) for key in keys]
        for key, claim in claims:
            if claim.leads:
                asked.calls.append(key)
                asked.known[key] = Entry(body=key)
                claim.settle(asked.known[key])
        return [wait(claim).body for _, claim in claims] == keys

    done = [pool.submit(ask_group, number) for number in range(16)]
    assert all(future.result(20) for future in done)
    assert sorted(asked.calls) == sorted(set(asked.calls))
