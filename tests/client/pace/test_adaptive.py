"""The adaptive limit: its rules as tables, and its behaviour on made-up servers."""

from __future__ import annotations

import pytest
from fakes.simulation import Hand, Server, Simulation
from hypothesis import given
from hypothesis import strategies as st

from dbrun.client.limits import Limiter
from dbrun.client.pace.adaptive import Adaptive
from dbrun.errors import Unavailable
from dbrun.spec.model import Concurrency, Limits


def limit_after(events: str, concurrency: Concurrency | None = None) -> list[int]:
    """The limits after each word of *events*: a clean round, one that nobody leaned on, a rate
    limit, a timeout, a fault, a call turned away (`503`, or `503:N` if it was sent N seconds ago),
    or so many seconds of nothing."""
    adaptive = Adaptive(concurrency or Concurrency(start=8, low=1, high=64), 0.0)
    now, limits = 0.0, []
    for event in events.split():
        if event in ("round", "idle"):
            for _ in range(adaptive.limit):
                now += 1 / adaptive.limit
                if event == "round":
                    adaptive.reached()
                adaptive.succeeded(now)
        elif event == "fault":
            adaptive.faulted(now)
        elif event.startswith("503"):
            adaptive.turned_away(now, now - float(event[4:] or 0))
        elif event in ("429", "slow"):
            adaptive.overloaded(now, 0.0, event)
        elif event.startswith("429:"):
            adaptive.overloaded(now, float(event[4:]), "429")
        else:
            now += float(event)
        limits.append(adaptive.limit)
    return limits


@pytest.mark.parametrize(
    ("events", "limits"),
    [
        ("round round round round", [16, 32, 64, 64]),
        ("idle idle round idle", [8, 8, 16, 16]),
        ("round 429 20 round round", [16, 12, 12, 13, 14]),
        ("429 429 slow 429", [6, 6, 6, 6]),
        ("slow 16 slow 16 429", [6, 6, 4, 4, 3]),
        ("429 14 429 2 429", [6, 6, 6, 6, 4]),
        ("429:40 16 429 23 429 2 429", [6, 6, 6, 6, 6, 6, 4]),
        ("429 round round 15 round", [6, 7, 7, 7, 8]),
        ("round round 429 " + 8 * "round ", [16, 32, 25, 26, 27, 28, 29, 30, 31, 31, 31]),
        ("round fault round fault fault", [16, 16, 32, 32, 32]),
        ("503 503 round", [8, 8, 16]),
        ("round 503 503:1 503:2 round", [16, 8, 8, 8, 16]),  # what was sent before says no more
        ("round 503 round 503 round round", [16, 8, 16, 8, 9, 10]),  # the second ends slow start
        ("round 503 round 503 9 round round 503 503 round", [16, 8, 16, 8, 8, 9, 10, 9, 9, 18]),
        ("round 503 503 round 503 round 503", [16, 8, 8, 16, 16, 32, 32]),  # not for the load
        ("round 503 503 601 round 503", [16, 8, 8, 8, 16, 8]),  # which it may be by now
        ("round 429 503 16 round 503", [16, 12, 8, 8, 9, 8]),
        (
            "429 16 429 16 429 16 429 16 429 16 429 16 429 16",
            [6, 6, 4, 4, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1],
        ),
    ],
)
def test_the_rules(events, limits):
    assert limit_after(events) == limits


def test_a_twentieth_a_round_after_the_first_cut():
    events = "round round round 429 16" + " round" * 8
    assert limit_after(events)[3:] == [51, 51, 53, 55, 57, 59, 61, 64, 64, 64]


@pytest.mark.parametrize(
    ("between", "grown"), [(["succeeded"], True), (["faulted"], False), (["overloaded"], False)]
)
def test_only_a_round_without_trouble_counts(between, grown):
    adaptive = Adaptive(Concurrency(start=4, low=4, high=8), 0.0)
    adaptive.reached()
    for _ in range(3):
        adaptive.succeeded(0.1)
    for event in between:
        if event == "overloaded":
            adaptive.overloaded(0.2, 0.0, "429")
        else:
            getattr(adaptive, event)(0.2)
    adaptive.succeeded(0.3)
    assert (adaptive.limit == 8) is grown


@pytest.mark.parametrize(
    ("concurrency", "events", "limits"),
    [
        (Concurrency.fixed(5), "round 429 16 slow 16 round 503", [5] * 7),
        (Concurrency(start=8, low=6, high=10), "round 429 16 429 16 429", [10, 8, 8, 6, 6, 6]),
        (Concurrency(start=100, low=1, high=10), "round", [10]),
        (Concurrency(start=1, low=3, high=10), "round", [6]),
        (Concurrency(start=1, low=1, high=3), "round round round", [2, 3, 3]),
        (Concurrency(start=0, low=0, high=0), "429", [1]),
    ],
)
def test_the_bounds(concurrency, events, limits):
    assert limit_after(events, concurrency) == limits


def test_doubling_ends_when_throughput_no_longer_follows():
    adaptive = Adaptive(Concurrency(start=4, low=1, high=64), 0.0)
    now, limits = 0.0, []
    for _ in range(5):  # ten answers a second, whatever the limit
        for _ in range(adaptive.limit):
            now += 0.1
            adaptive.reached()
            adaptive.succeeded(now)
        limits.append(adaptive.limit)
    # Doubled once on trust; two rounds show that it did not help; then it creeps.
    assert limits == [8, 8, 8, 9, 10]
    assert [entry[1:] for entry in adaptive.history] == [
        (4, "start"),
        (8, "slow start"),
        (8, "throughput no longer follows"),
        (9, "clean round"),
        (10, "clean round"),
    ]


def test_one_slow_round_does_not_end_it():
    adaptive = Adaptive(Concurrency(start=4, low=1, high=64), 0.0)
    now, limits = 0.0, []
    for took in (1.0, 3.0, 1.0, 1.0):
        for _ in range(adaptive.limit):
            now += took / adaptive.limit
            adaptive.reached()
            adaptive.succeeded(now)
        limits.append(adaptive.limit)
    assert limits == [8, 8, 16, 32]


def test_the_history_is_bounded_and_keeps_its_beginning():
    adaptive = Adaptive(Concurrency(start=8, low=1, high=64), 100.0)
    now = 100.0
    for _ in range(3000):
        now += 20
        adaptive.overloaded(now, 0.0, "429")
        now += 20
        adaptive.reached()
        for _ in range(adaptive.limit):
            adaptive.succeeded(now)
    assert len(adaptive.history) == 1000
    assert adaptive.history[0] == (0.0, 8, "start")
    assert adaptive.history[-1][0] > 100_000


@given(
    st.lists(
        st.sampled_from(["round", "idle", "429", "slow", "fault", "503", "503:2", "429:30", "7"]),
        max_size=60,
    ),
    st.integers(1, 64),
    st.integers(1, 64),
    st.integers(1, 64),
)
def test_the_limit_stays_within_bounds(events, start, low, high):
    concurrency = Concurrency(start=start, low=low, high=high)
    for limit in limit_after(" ".join(events), concurrency):
        assert low <= limit <= max(low, high)


# On made-up servers


def simulate(server: Server, *, high: int = 64, limits: Limits | None = None) -> Simulation:
    clock = Hand()
    limiter = Limiter(limits or Limits(), Concurrency(high=high), clock)
    return Simulation(clock, limiter, server, workers=high)


def test_the_limit_settles_near_a_hidden_cap_and_follows_it():
    server = Server(cap=20)
    simulation = simulate(server)
    simulation.run(120)  # finding out
    refused = len(simulation.limited)
    simulation.run(480)
    assert 0.9 * 20 < simulation.settled(480) < 1.1 * 20
    assert simulation.rate(480) > 0.8 * 20
    assert len(simulation.limited) - refused < 0.05 * 480 * 20
    server.cap = 50
    simulation.run(600)
    assert 0.9 * 50 < simulation.settled(300) < 1.1 * 50
    assert simulation.rate(300) > 0.8 * 50
    server.cap = 5
    simulation.run(600)
    assert simulation.settled(300) < 6
    assert simulation.rate(300) > 0.6 * 5


@pytest.mark.parametrize("retry_after", [None, 1.0])
def test_the_pace_settles_near_a_hidden_rate(retry_after):
    server = Server(rate=10, retry_after=retry_after)
    simulation = simulate(server)
    simulation.run(600)
    assert 9 <= simulation.rate(300) <= 10.2
    server.rate = 30
    simulation.run(600)
    assert 27 <= simulation.rate(300) <= 30.5


def test_a_server_that_takes_everything_is_used_to_the_full():
    simulation = simulate(Server())
    simulation.run(60)
    assert simulation.limiter.limit == 64
    assert not simulation.limited


def test_a_few_faults_do_not_keep_it_small():
    simulation = simulate(Server(faults=0.01))
    simulation.run(120)
    assert simulation.limiter.limit >= 48


@pytest.mark.parametrize("latency", [0.05, 0.5, 2.0])
@pytest.mark.parametrize("cap", [12, 48])
def test_the_limit_settles_near_a_cap_whose_refusals_look_like_faults(cap, latency):
    server = Server(cap=cap, latency=latency, shed=Unavailable("Service Unavailable", 503))
    simulation = simulate(server)
    simulation.run(120)
    sent, done = len(simulation.sent), len(simulation.done)
    simulation.run(480)
    assert 0.9 * cap < simulation.settled(480) < 1.1 * cap
    assert simulation.rate(480) > 0.9 * cap / latency
    assert len(simulation.done) - done > 0.97 * (len(simulation.sent) - sent)


@pytest.mark.parametrize("share", [0.01, 0.05])
def test_faults_that_look_like_refusals_do_not_keep_it_small(share):
    simulation = simulate(Server(faults=share, fault=Unavailable("Bad Gateway", 503)))
    simulation.run(300)
    assert simulation.limiter.limit >= 48


def test_a_server_that_does_one_thing_at_a_time_is_not_flooded():
    simulation = simulate(Server(serial=0.5), high=256)
    simulation.run(300)
    assert simulation.limiter.limit <= 40
    assert simulation.rate(200) > 1.9


def test_own_rates_leave_no_work_for_the_servers():
    simulation = simulate(Server(rate=10.5), limits=Limits(requests_per_second=10))
    simulation.run(300)
    assert not simulation.limited
    assert simulation.rate(200) > 9.8
