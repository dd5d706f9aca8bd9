"""`limits.max_cost` end to end: an endpoint that counts what it charges, and runs that must not
exceed it, whatever answers are like and however the run is broken off."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from acceptance.conftest import Project
from fakes.server import Received, Reply, Server, as_json

ROWS = 60
PRICE = "price: {input_per_million: 1000000, output_per_million: 1000000}"
"""A token costs 1."""
SPEC = """\
name: tickets
source: {path: rows.jsonl, id: id}
endpoint: {adapter: openai, base_url: "URL", model: m, PRICE}
prompt: "Summarize: {{ text }}"
sink: out/tickets.jsonl
"""


class Shop:
    """A chat endpoint that charges a unit a token, and what it has *charged* so far.

    *lengths* tells the tokens of the nth answer. *tells* says whether it tells its usage, *lost*
    which requests it charges for and does not answer.
    """

    def __init__(
        self,
        lengths: Callable[[int], int] = lambda number: 5,
        *,
        tells: bool = True,
        lost: Callable[[int], bool] = lambda number: False,
        delay: float = 0.002,
    ) -> None:
        self.charged = self.served = 0
        self.lengths, self.tells, self.lost, self.delay = lengths, tells, lost, delay
        self._lock = threading.Lock()
        self.server = Server(self._answer)

    @property
    def url(self) -> str:
        return f"{self.server.url}/v1"

    def _answer(self, request: Received) -> Reply:
        body = request.json
        with self._lock:
            self.served += 1
            number = self.served
            inputs = 10
            outputs = min(self.lengths(number), body.get("max_tokens", 1 << 30))
            self.charged += inputs + outputs
        if self.lost(number):
            return Reply(502, b"", delay=self.delay)
        told: dict[str, Any] = {
            "object": "chat.completion",
            "choices": [
                {"index": 0, "message": {"content": f"re {number}"}, "finish_reason": "stop"}
            ],
        }
        if self.tells:
            told["usage"] = {
                "prompt_tokens": inputs,
                "completion_tokens": outputs,
                "total_tokens": inputs + outputs,
            }
        reply = as_json(told)
        reply.delay = self.delay
        return reply


@contextmanager
def shop(**options: Any) -> Iterator[Shop]:
    made = Shop(**options)
    made.server.start()
    try:
        yield made
    finally:
        made.server.close()


def sell(project: Project, made: Shop, more: str = "", rows: int = ROWS) -> None:
    """A project whose rows are asked of *made*."""
    project.write("tickets.yaml", SPEC.replace("URL", made.url).replace("PRICE", PRICE) + more)
    project.rows(rows)


def capped(cap: float, concurrency: int = 8) -> list[str]:
    return ["--max-cost", str(cap), "--set", f"limits.concurrency={concurrency}"]


def unequal(number: int) -> int:
    """Tokens of answers: most short, some long."""
    return random.Random(number).choice([1, 2, 3, 5, 8, 40])


@pytest.mark.parametrize("concurrency", [1, 8, 64])
@pytest.mark.parametrize("bound", ["", "params: {max_tokens: 50}\n"], ids=["unbounded", "bounded"])
@pytest.mark.parametrize("lengths", [lambda number: 5, unequal], ids=["equal", "unequal"])
def test_no_more_than_the_cap_is_charged(
    project: Project, concurrency: int, bound: str, lengths: Callable[[int], int]
) -> None:
    with shop(lengths=lengths) as made:
        sell(project, made, bound)
        said = project.run("tickets.yaml", *capped(500, concurrency))
        assert said.code == 3
        assert "limits.max_cost is reached: of 500 USD" in said.err
        assert 300 < made.charged <= 500

        charged = made.charged
        again = project.run("tickets.yaml", *capped(500, concurrency))
        assert again.code == 3
        assert "nothing was sent" in again.err
        assert made.charged == charged

        assert project.run("tickets.yaml", *capped(5000, concurrency)).code == 0
        assert made.served == ROWS  # each was asked once, in three parts of one run
        cost = project.manifest()["cost"]
        assert (cost["run"], cost["answers"]) == (made.charged, made.charged)
        assert cost["max_cost"] == 5000


def test_an_endpoint_that_tells_no_usage_is_charged_by_estimates(project: Project) -> None:
    with shop(tells=False) as made:
        sell(project, made, "params: {max_tokens: 5}\n")
        said = project.run("tickets.yaml", *capped(600))
        assert said.code == 3
        served = made.served
        assert 0 < made.charged <= 600
        assert project.run("tickets.yaml", *capped(600)).code == 3
        assert made.served == served
        project.run("tickets.yaml", *capped(6000))
        assert made.served == ROWS


def test_what_was_lost_after_sending_counts(project: Project) -> None:
    with shop(lost=lambda number: number % 3 == 0) as made:
        sell(project, made, "params: {max_tokens: 5}\n")
        options = [*capped(600, 4), "--set", "limits.attempts=2"]
        assert project.run("tickets.yaml", *options).code == 3
        assert 0 < made.charged <= 600
        charged = made.charged
        assert project.run("tickets.yaml", *options).code == 3  # it is remembered, too
        assert made.charged == charged


def test_a_killed_run_is_never_on_record_as_cheaper_than_it_was(project: Project) -> None:
    with shop(lengths=unequal, delay=0.02) as made:
        sell(project, made, "params: {max_tokens: 50}\n", rows=200)
        for _ in range(3):
            before = made.served
            process = project.start("tickets.yaml", "--quiet", *capped(9000, 8))
            deadline = time.monotonic() + 10
            while made.served < before + 25:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.005)
            process.kill()
            project.end(process)
            on_record = project.manifest("out/tickets.run.json.partial")["cost"]["run"]
            assert made.charged <= on_record <= made.charged + 3 * (9 * 60 + 0.02 * 9000)
        assert project.run("tickets.yaml", *capped(9000, 8)).code == 0
        assert made.charged <= project.manifest()["cost"]["run"] <= 9000


def test_a_finished_run_is_followed_by_one_that_starts_from_nothing(project: Project) -> None:
    with shop() as made:
        sell(project, made, rows=20)
        assert project.run("tickets.yaml", *capped(400)).code == 0
        assert made.charged == 300
        assert project.run("tickets.yaml", *capped(400), "--fresh").code == 0
        assert made.charged == 600
        project.rows(40)
        assert project.run("tickets.yaml", *capped(400)).code == 0
        assert made.charged == 900
        assert project.manifest()["cost"]["run"] == 300


def test_replaying_costs_nothing_and_forgets_nothing(project: Project) -> None:
    with shop() as made:
        sell(project, made)
        assert project.run("tickets.yaml", *capped(500)).code == 3
        charged = made.charged
        assert charged > 0
        assert project.run("tickets.yaml", *capped(500), "--replay").code == 1
        assert project.run("tickets.yaml", *capped(500)).code == 3
        assert made.charged == charged


def test_rows_of_standard_input_are_capped_too(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shop() as made:
        sell(project, made)
        with open(project.folder / "rows.jsonl") as rows:
            monkeypatch.setattr("sys.stdin", rows)
            said = project.run(
                "tickets.yaml", "--set", "source={path: '-', format: jsonl, id: id}", *capped(500)
            )
        assert said.code == 3
        assert "limits.max_cost is reached" in said.err
        assert 0 < made.charged <= 500


def test_what_goes_to_standard_output_is_one_run_as_well(project: Project) -> None:
    with shop() as made:
        sell(project, made)
        assert project.run("tickets.yaml", *capped(500), "--out", "-").code == 3
        charged = made.charged
        assert project.run("tickets.yaml", *capped(500), "--out", "-").code == 3
        assert 0 < made.charged == charged <= 500
        assert project.run("tickets.yaml", *capped(3000), "--out", "-").code == 0
        assert list((project.folder / "out").glob("*.partial")) == []


def test_journals_are_the_same_with_and_without_a_cap(project: Project) -> None:
    with shop() as made:
        sell(project, made, rows=10)
        assert project.run("tickets.yaml", *capped(3000, 1)).code == 0
        lines = [
            json.loads(line)
            for name, data in project.files("out/tickets.jsonl.journal").items()
            if name.endswith(".jsonl")
            for line in data.splitlines()
        ]
        assert len(lines) == 10
        assert all(set(line) == {"key", "generation", "body"} for line in lines)
        assert project.run("tickets.yaml").code == 0
        assert made.served == 10


STEPS = """\
name: tickets
source: {path: rows.jsonl, id: id}
endpoints:
  cheap: {adapter: openai, base_url: "CHEAP", model: m, price: {input_per_million: 1000000}}
  dear: {adapter: openai, base_url: "DEAR", model: m, price: {output_per_million: 3000000}}
steps:
  - name: one
    endpoint: cheap
    prompt: "{{ text }}"
  - name: two
    endpoint: dear
    prompt: "{{ steps.one.output }} of {{ id }}"
    params: {max_tokens: 50}
sink: out/tickets.jsonl
"""


def test_two_endpoints_share_one_cap(project: Project) -> None:
    with shop() as cheap, shop(lengths=unequal) as dear:
        project.write("tickets.yaml", STEPS.replace("CHEAP", cheap.url).replace("DEAR", dear.url))
        project.rows(40)
        assert project.run("tickets.yaml", *capped(800)).code == 3
        charged = 10 * cheap.served + 3 * (dear.charged - 10 * dear.served)
        assert dear.served > 0
        assert 300 < charged <= 800


def test_rows_that_travel_together_share_one_charge(project: Project, workspace: Any) -> None:
    endpoint = (
        "endpoint={adapter: databricks, name: embeddings, task: embeddings, batch_size: 4, PRICE}"
    )
    priced = endpoint.replace("PRICE", PRICE)
    project.rows(40)
    said = project.run("tickets.yaml", "--set", priced, *capped(100, 4))
    assert said.code == 3
    charged = sum(len(text.split()) for body in workspace.bodies() for text in body["input"])
    assert 50 < charged <= 100


def test_a_run_that_cannot_stay_below_is_refused(project: Project) -> None:
    with shop() as made:
        sell(project, made)
        project.run("tickets.yaml", "--limit", "5")
        for more in ([], ["--fresh"]):
            said = project.run("tickets.yaml", *capped(100), *more)
            assert said.code == 3
            assert "limits.max_cost does not suffice" in said.err
            assert made.served == 5


def test_what_only_the_workspace_can_tell_is_asked_before_the_forecast(
    project: Project, workspace: Any
) -> None:
    auto = f"endpoint={{adapter: databricks, name: chat, {PRICE}}}"
    assert project.run("tickets.yaml", "--set", auto, *capped(9000)).code == 0
    assert len(workspace.calls) == 10
