"""`limits.max_cost` over partitions that do not see each other: the driver grants what is spent."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes.server import Received, Reply, Server, as_json
from fakes.sparkless import ThreadSession, sparkless

import dbrun
from dbrun.clock import Clock
from dbrun.errors import SinkError, SpendCap
from dbrun.run.asking.spending import Purse
from dbrun.run.engines.local import conduct
from dbrun.run.opening import Surroundings
from dbrun.run.options import RunOptions
from dbrun.run.result import Run
from dbrun.run.travel.allowance import Allowance, Bank

ROWS = 60
EACH = 15  # what a call costs
SPEC = """\
name: tickets
source: {path: rows.jsonl, id: id}
endpoint: {adapter: openai, base_url: "URL", model: m,
  price: {input_per_million: 1000000, output_per_million: 1000000}}
prompt: "Summarize: {{ text }}"
params: {max_tokens: 20}
limits: {concurrency: 8, max_cost: CAP}
sink: out/tickets.jsonl
engine: {type: spark, partitions: 4}
"""


class Shop:
    """A project, and an endpoint that charges a unit a token, and what it has *charged* so far."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.charged = 0
        self._lock = threading.Lock()
        self.server = Server(self._answer)
        (folder / "pyproject.toml").touch()
        rows = [{"id": f"T-{number}", "text": f"ticket {number}"} for number in range(ROWS)]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def _answer(self, request: Received) -> Reply:
        with self._lock:
            self.charged += EACH
        text = request.json["messages"][0]["content"]
        choice = {"index": 0, "message": {"content": f"re {text}"}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": EACH}
        told = as_json({"object": "chat.completion", "choices": [choice], "usage": usage})
        told.delay = 0.002
        return told

    def run(self, cap: float, engine: str = "spark") -> Run:
        text = SPEC.replace("URL", f"{self.server.url}/v1").replace("CAP", str(cap))
        (self.folder / "spec.yaml").write_text(text.replace("type: spark", f"type: {engine}"))
        pipeline = dbrun.load(self.folder / "spec.yaml", environ={})
        if engine == "local":
            return pipeline.run(environ={})
        kind = sparkless(ThreadSession())
        return conduct(kind, pipeline.spec, RunOptions(), Surroundings(environ={}))

    @property
    def results(self) -> bytes:
        return (self.folder / "out/tickets.jsonl").read_bytes()

    @property
    def unfinished(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "out/tickets.run.json.partial").read_text()))


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("DBRUN_SPOOL", str(tmp_path / "spool"))
    folder = tmp_path / "project"
    folder.mkdir()
    made = Shop(folder)
    made.server.start()
    yield made
    made.server.close()


def test_enough_money_gives_the_results_of_the_local_engine(shop: Shop) -> None:
    run = shop.run(ROWS * EACH * 2)
    assert (run.exit_code, shop.charged) == (0, ROWS * EACH)
    assert run.manifest["cost"] == {
        "currency": "USD",
        "spent": ROWS * EACH,
        "answers": ROWS * EACH,
        "run": ROWS * EACH,
        "max_cost": ROWS * EACH * 2,
    }
    there = shop.results
    assert shop.run(ROWS * EACH * 2, "local").exit_code == 0
    assert (shop.results, shop.charged) == (there, ROWS * EACH)


def test_the_cap_is_never_exceeded_and_more_money_goes_on(shop: Shop) -> None:
    cap = ROWS * EACH * 0.9  # the least that it may cost fits, the whole does not
    with pytest.raises(SpendCap, match=r"limits\.max_cost is reached"):
        shop.run(cap)
    assert cap / 2 < shop.charged <= cap
    assert shop.charged <= shop.unfinished["cost"]["run"] <= cap
    assert not (shop.folder / "out/tickets.jsonl").exists()
    assert shop.run(ROWS * EACH * 2).exit_code == 0
    assert shop.charged == ROWS * EACH


class Counter:
    """A bank, and allowances that talk to it without files."""

    def __init__(self, cap: float, spent: float = 0.0) -> None:
        self.asks: dict[str, dict[str, Any]] = {}
        self.grants: dict[str, Any] = {}
        self.kept: list[float] = []
        self.purse = Purse(cap, Clock(), spent=spent)
        self.bank = Bank(
            self.purse,
            2,
            lambda: list(self.asks.values()),
            lambda ask, said: self.grants.update({ask["attempt"]: said}),
            self.kept.append,
        )

    def allowance(self, name: str, part: int = 0, at: float = 0.0) -> Allowance:
        named = {"round": 0, "part": part, "attempt": name, "at": at}
        return Allowance(
            self.purse.cap,
            Clock(),
            ask=lambda said: self.asks.update({name: {**named, **said}}),
            look=lambda: self.grants.get(name),
        )

    def try_take(self, purse: Allowance, amount: float, beside: float = 9) -> float | None:
        """What is had after the bank has been asked once."""
        taken, _ = purse._try(amount, beside)
        if taken is None:
            purse._talk(amount, not beside)
            self.bank.look()
            purse._talk(amount, not beside)
            taken, _ = purse._try(amount, beside)
        return taken


def test_what_is_granted_is_on_record_before() -> None:
    counter = Counter(100, spent=10)
    one = counter.allowance("one")
    assert counter.try_take(one, 40) == 40
    assert counter.kept[-1] >= 50
    one.settle(40, 25)
    one.close()
    counter.bank.close()
    assert counter.purse.spent == 35


def test_nobody_gets_what_another_may_still_spend() -> None:
    counter = Counter(100)
    one, other = counter.allowance("one"), counter.allowance("other", part=1)
    assert counter.try_take(one, 70) == 70
    assert counter.try_take(other, 40) is None
    one.settle(70, 20)
    assert counter.try_take(one, 70) == 70  # 20 spent: it fits
    one.settle(70, 30)
    one.close()
    assert counter.try_take(other, 40) == 40


def test_a_worker_that_was_killed_counts_with_all_that_it_was_granted() -> None:
    counter = Counter(100)
    killed = counter.allowance("killed")
    assert counter.try_take(killed, 60) == 60
    after = counter.allowance("after", at=1.0)
    with pytest.raises(SpendCap, match="of 100 USD"):
        counter.try_take(after, 60)
    counter.bank.close()
    assert counter.purse.spent >= 60


def test_who_asks_in_vain_while_others_are_at_it_waits() -> None:
    counter = Counter(100)
    one, other = counter.allowance("one"), counter.allowance("other", part=1)
    assert counter.try_take(one, 60) == 60
    assert counter.try_take(one, 60) is None  # its own call may turn out cheaper
    assert counter.try_take(other, 60) is None
    one.settle(60, 60)
    assert counter.try_take(other, 60) is None  # nobody knows yet that it is settled
    with pytest.raises(SpendCap):
        counter.try_take(one, 60)
    with pytest.raises(SpendCap):
        other._talk(60, False)


def test_the_call_that_finds_out_gets_what_is_left() -> None:
    counter = Counter(100)
    one = counter.allowance("one")
    assert counter.try_take(one, 500, beside=0) == 100


def test_what_cannot_be_put_on_record_is_not_granted() -> None:
    counter = Counter(100)

    def refuse(drawn: float) -> None:
        raise SinkError("full")

    counter.bank._keep = refuse
    with pytest.raises(SinkError, match="full"):
        counter.try_take(counter.allowance("one"), 5)
    assert not counter.grants
