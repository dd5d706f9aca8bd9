"""The parts of a run in several processes that need no process: supply, standing, counts, bench."""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from dbrun.client.waiting import Pause, blocking
from dbrun.clock import Clock
from dbrun.errors import AuthError, Interrupted, SourceError, SpendCap
from dbrun.run.asking.counters import Counters
from dbrun.run.judging.tally import Tally
from dbrun.run.processes.bench import Bench
from dbrun.run.processes.channel import Channel
from dbrun.run.processes.messages import Outline, Pace, pack, told, unpack
from dbrun.run.processes.standing import Standing
from dbrun.run.processes.supply import Supply
from dbrun.run.processes.till import Till
from dbrun.run.rows.items import Item
from dbrun.types import Failure, Record, StepResult, Usage


def item(number: int) -> Item:
    return Item(id=str(number), index=number, values={"n": number})


def items(count: int) -> Iterator[Item]:
    return map(item, range(count))


def record(number: int, **more: Any) -> Record:
    more = {"status": "ok", **more}
    return Record(id=str(number), index=number, row={}, **more)


class TestSupply:
    def test_items_are_read_where_they_are_needed(self) -> None:
        read = []

        def rows() -> Iterator[Item]:
            for number in range(5):
                read.append(number)
                yield item(number)

        supply = Supply(rows(), may_wait=False, notify=lambda: None)
        assert [one.index for one in supply.take(3)] == [0, 1, 2]
        assert read == [0, 1, 2]
        assert not supply.is_over
        assert [one.index for one in supply.take(3)] == [3, 4]
        assert supply.is_over

    def test_items_that_may_wait_are_read_aside(self) -> None:
        go, come = threading.Event(), threading.Event()

        def rows() -> Iterator[Item]:
            yield item(0)
            assert go.wait(10)
            yield item(1)

        supply = Supply(rows(), may_wait=True, notify=come.set)
        assert come.wait(10)
        come.clear()
        assert [one.index for one in supply.take(9)] == [0]
        assert supply.take(9) == []
        assert not supply.is_over
        go.set()
        taken: list[Item] = []
        while not supply.is_over:
            come.wait(0.05)
            taken += supply.take(9)
        assert [one.index for one in taken] == [1]

    def test_no_more_is_read_aside_than_memory_is_meant_for(self) -> None:
        read = Counter[str]()

        def rows() -> Iterator[Item]:
            for number in range(5000):
                read["rows"] += 1
                yield item(number)

        supply = Supply(rows(), may_wait=True, notify=lambda: None)
        taken = 0
        while not supply.is_over:
            assert read["rows"] - taken <= 1024 + 1
            taken += len(supply.take(100))
        assert taken == 5000

    @pytest.mark.parametrize("may_wait", [True, False])
    def test_what_cannot_be_read_is_said_after_what_could(self, may_wait: bool) -> None:
        def rows() -> Iterator[Item]:
            yield item(0)
            raise SourceError("no more")

        supply = Supply(rows(), may_wait=may_wait, notify=lambda: None)
        taken: list[Item] = []
        while not supply.is_over:
            taken += supply.take(5)
        assert len(taken) == 1
        assert str(supply.error) == "no more"


def pace(limit: int, started: float = 0.0, **more: Any) -> Pace:
    said = {"in_flight": 1, "held_for": 0.0, "waited": 0.0, "history": (), **more}
    return Pace(limit=limit, started=started, **said)


class TestStanding:
    def test_limits_add_up_and_waits_do_not(self) -> None:
        standing = Standing()
        standing.told(0, pace(3, in_flight=2, waited=5.0, held_for=1.0))
        standing.told(1, pace(4, in_flight=4, waited=7.0))
        assert (standing.limit, standing.in_flight) == (7, 6)
        assert (standing.waited, standing.held_for) == (7.0, 1.0)
        standing.gone(0)
        assert (standing.limit, standing.in_flight) == (4, 4)
        assert (standing.waited, standing.held_for) == (7.0, 0.0)
        standing.gone(2)  # one that never said anything

    def test_the_history_is_that_of_the_sum(self) -> None:
        standing = Standing()
        assert standing.history == []
        first = ((0.0, 4, "start"), (1.0, 8, "slow start"), (3.0, 6, "rate limited"))
        standing.told(0, pace(6, started=10.0, history=first))
        standing.told(1, pace(8, started=10.5, history=((0.0, 4, "start"), (1.0, 8, "slow start"))))
        standing.told(0, pace(6, started=10.0))  # nothing new
        assert standing.history == [
            (0.0, 8, "start"),
            (1.0, 12, "slow start"),
            (1.5, 16, "slow start"),
            (3.0, 14, "rate limited"),
        ]


def test_counts_travel_bit_by_bit() -> None:
    there, here = Counters(), Counters()
    models, found = Counter[str](), Counter[str]()
    for number in range(10):
        there.count_sent(200)
        there.count_answer(number / 10, Usage(input_tokens=2, output_tokens=1), 0.5)
        there.count_reply(True, "m-1", [models])
        there.count_again(True, False)
        there.count_again(False, True)
        there.count_sent("timeout")
        here.add_in(there.take_out(models), found)
    assert here.requests() == {
        "sent": 20,
        "reused": 10,
        "retried": 10,
        "waited": 10,
        "maybe_paid": 10,
        "by_status": {"200": 10, "timeout": 10},
    }
    assert here.spent.to_json() == {"input_tokens": 20, "output_tokens": 10}
    assert here.cost == 5.0
    assert here.latency_quantiles() == {"p50": 0.5, "p90": 0.9, "p99": 0.9}
    assert found == {"m-1": 10}
    assert there.requests()["sent"] == 0


@pytest.mark.parametrize(
    "made",
    [
        item(3),
        Item(id="a", index=1, values={}, repeat=2, dropped=True, ask_again=frozenset({"k", "l"})),
        Item(id="a", index=1, values={}, failure=Failure(kind="transform", message="no")),
    ],
)
def test_items_travel_whole(made: Item) -> None:
    assert unpack(pack(made)) == made


def test_what_is_counted_of_an_outline_is_what_is_counted_of_its_record() -> None:
    usage = Usage(input_tokens=4, output_tokens=2)
    last = StepResult(output="x", finish_reason="length", usage=usage, cost=0.25)
    made = [
        record(0),
        record(1, last=last, steps={"a": last}),
        record(2, status="filtered"),
        record(3, status="error", failure=Failure(kind="timeout", message="too late")),
    ]
    one, other = Tally(), Tally()
    for each in made:
        one.add(each)
        other.add(Outline(*told(each, b"{}\n")))  # type: ignore[arg-type]
    assert one.counts() == other.counts()
    assert one.usage.to_json() == other.usage.to_json() != {}
    assert one.cost == other.cost == 0.25
    assert one.first_failures == other.first_failures != []


class TestBench:
    def make(self, process: Any, group: int = 1, workers: int = 4) -> Bench:
        self.done: dict[int, Record] = {}
        self.halt = threading.Event()
        return Bench(
            process,
            workers=lambda: workers,
            group=group,
            hand_over=lambda done: self.done.update(done),
            halt=self.halt,
            clock=Clock(),
        )

    @pytest.mark.parametrize("group", [1, 3])
    def test_all_that_is_laid_there_is_done(self, group: int) -> None:
        sizes = []

        async def process(some: Sequence[Item]) -> list[Record]:
            sizes.append(len(some))
            await Pause(Clock(), 0.001)
            return [record(one.index) for one in some]

        bench = self.make(process, group)

        def lay() -> None:
            for start in range(0, 60, 6):
                bench.put([(number + 100, item(number)) for number in range(start, start + 6)])
            bench.complete()

        thread = threading.Thread(target=lay)
        thread.start()
        bench.run()
        thread.join()
        assert {number: one.index for number, one in self.done.items()} == {
            number + 100: number for number in range(60)
        }
        assert set(sizes) == {group}
        assert bench.error is None

    def test_an_error_ends_it_and_what_is_done_is_handed_over(self) -> None:
        async def process(some: Sequence[Item]) -> list[Record]:
            if some[0].index == 3:
                raise AuthError("who are you?")
            return [record(one.index) for one in some]

        bench = self.make(process, workers=1)
        bench.put([(number, item(number)) for number in range(6)])
        bench.run()
        assert isinstance(bench.error, AuthError)
        assert sorted(self.done) == [0, 1, 2]
        assert self.halt.is_set()

    def test_what_is_under_way_ends_when_it_is_stopped(self) -> None:
        begun = threading.Event()

        async def process(some: Sequence[Item]) -> list[Record]:
            begun.set()
            await Pause(Clock(), 10.0, self.halt)
            return [record(one.index) for one in some]

        bench = self.make(process, workers=2)
        bench.put([(number, item(number)) for number in range(6)])
        thread = threading.Thread(target=lambda: begun.wait(10) and bench.stop())
        thread.start()
        bench.run()
        thread.join()
        assert sorted(self.done) == [0, 1]

    def test_what_is_under_way_is_left_when_it_is_abandoned(self) -> None:
        begun = threading.Event()
        closed = []

        async def process(some: Sequence[Item]) -> list[Record]:
            begun.set()
            try:
                await Pause(Clock(), 60.0)
            finally:
                closed.append(some[0].index)
            return []

        bench = self.make(process, workers=2)
        bench.put([(number, item(number)) for number in range(6)])
        thread = threading.Thread(target=lambda: begun.wait(10) and bench.abandon())
        thread.start()
        bench.run()
        thread.join()
        assert self.done == {}
        assert sorted(closed) == [0, 1]

    def test_an_interrupt_is_no_error_of_its_own(self) -> None:
        async def process(some: Sequence[Item]) -> list[Record]:
            raise Interrupted("stopped")

        bench = self.make(process)
        bench.put([(0, item(0))])
        bench.run()
        assert bench.error is None
        assert self.halt.is_set()


class TestTill:
    def test_money_is_asked_for_until_there_is_some(self) -> None:
        said: list[Any] = []

        def send(message: Any) -> None:
            said.append(message)
            if message[0] == "take":
                till.answer(message[1], None if len(said) < 3 else 0.5)

        till = Till(1.0, Clock(), send)
        bids = iter([(0.7, 1.0), (0.6, 2.0), (0.5, 3.0)])
        assert blocking(till.take(lambda: next(bids), threading.Event())) == 0.5
        till.settle(0.5, 0.25)
        assert said == [
            ("take", 0, 0.7, 1.0),
            ("take", 1, 0.6, 2.0),
            ("take", 2, 0.5, 3.0),
            ("settle", 0.5, 0.25),
        ]

    def test_what_the_owner_of_the_purse_says_is_raised(self) -> None:
        error = SpendCap("nothing left")
        till = Till(1.0, Clock(), lambda message: till.answer(message[1], error))
        with pytest.raises(SpendCap, match="nothing left"):
            blocking(till.take(lambda: (1.0, 1.0), threading.Event()))

    def test_who_waits_for_money_stops_with_the_run(self) -> None:
        stop = threading.Event()
        stop.set()
        till = Till(1.0, Clock(), lambda message: till.answer(message[1], None))
        with pytest.raises(Interrupted):
            blocking(till.take(lambda: (1.0, 1.0), stop))


def test_messages_come_whole_and_a_torn_one_is_the_end(tmp_path: Any) -> None:
    path = tmp_path / "pipe"
    with path.open("wb") as writing, io.BytesIO() as nothing:
        channel = Channel(nothing, writing)
        for message in ("a", {"b": [1, 2]}, "c" * 100_000):
            channel.send(message)
    content = path.read_bytes()
    for cut, count in ((0, 3), (5, 2)):
        path.write_bytes(content[: len(content) - cut])
        with path.open("rb") as reading, (tmp_path / "other").open("wb") as other:
            channel = Channel(reading, other)
            heard = []
            while (message := channel.receive()) is not None:
                heard.append(message)
            assert heard == ["a", {"b": [1, 2]}, "c" * 100_000][:count]
