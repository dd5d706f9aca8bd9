"""Shares of limits add up to the whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.registry import Registry
from dbrun.run.asking.shares import divide, divide_spec, most_parts
from dbrun.spec.model import (
    Concurrency,
    EndpointSpec,
    JournalSpec,
    Limits,
    SinkSpec,
    SourceSpec,
    Spec,
    StepSpec,
)
from dbrun.spec.prompts import Prompt, Text

REGISTRY = Registry()


def shares(limits: Limits, parts: int, **more: Concurrency) -> list[Limits]:
    return [divide(limits, parts, part, **more) for part in range(parts)]


def spec_with(*limits: Limits, adapter: str = "openai", whole: Limits | None = None) -> Spec:
    steps = tuple(
        StepSpec(
            name=f"s{number}",
            endpoint=EndpointSpec(adapter=adapter, limits=each),
            prompt=Prompt(text=Text(source="x", name="prompt")),
        )
        for number, each in enumerate(limits)
    )
    return Spec(
        name="a",
        file="a.yaml",
        folder=".",
        project=".",
        source=SourceSpec(kind="rows"),
        steps=steps,
        sink=SinkSpec(path="out.jsonl"),
        journal=JournalSpec(path="out.jsonl.journal"),
        limits=whole or Limits(),
    )


@given(
    start=st.integers(1, 200), low=st.integers(1, 200), high=st.integers(1, 200),
    parts=st.integers(1, 20),
)  # fmt: skip
def test_calls_in_flight_add_up_to_the_whole(start: int, low: int, high: int, parts: int) -> None:
    low, start, high = sorted((low, start, high))
    whole = Limits(concurrency=Concurrency(start=start, low=low, high=high))
    found = [share.concurrency for share in shares(whole, parts)]
    for name, total in (("start", start), ("low", low), ("high", high)):
        # Everybody may have one; beyond that there is no more than there was.
        assert sum(getattr(each, name) for each in found) == max(total, parts)
    assert all(1 <= each.low <= each.start <= each.high for each in found)


@given(amount=st.floats(0.01, 1e6), parts=st.integers(1, 20))
def test_rates_and_spend_add_up_to_the_whole(amount: float, parts: int) -> None:
    names = (
        "requests_per_second", "requests_per_minute", "requests_per_hour",
        "tokens_per_minute", "input_tokens_per_minute", "output_tokens_per_minute", "max_cost",
    )  # fmt: skip
    found = shares(Limits(**dict.fromkeys(names, amount)), parts)
    for name in names:
        assert sum(getattr(each, name) for each in found) == pytest.approx(amount)


def test_a_whole_rate_is_divided_into_whole_ones() -> None:
    found = shares(Limits(requests_per_hour=10), 4)
    assert [each.requests_per_hour for each in found] == [3, 3, 2, 2]


def test_what_holds_for_one_request_is_not_divided() -> None:
    whole = Limits(attempts=3, retry_for=60, timeout=5, warmup=7, window=100, max_failures=2)
    assert shares(whole, 4) == [whole] * 4


def test_what_is_not_limited_stays_so() -> None:
    assert shares(Limits(), 2) == [Limits(), Limits()]


def test_the_default_of_an_adapter_is_divided_too() -> None:
    found = shares(Limits(), 2, default=Concurrency(start=8, low=1, high=65))
    assert [each.concurrency for each in found] == [
        Concurrency(start=4, low=1, high=33),
        Concurrency(start=4, low=1, high=32),
    ]


def test_one_part_is_the_whole() -> None:
    whole = Limits(concurrency=Concurrency.fixed(5), requests_per_second=0.5, max_cost=1.0)
    assert divide(whole, 1, 0) == whole


@pytest.mark.parametrize(("parts", "part"), [(2, 2), (2, -1), (0, 0)])
def test_a_part_that_is_not_there(parts: int, part: int) -> None:
    with pytest.raises(ValueError, match="no part"):
        divide(Limits(), parts, part)


def test_a_spec_is_divided_at_every_endpoint() -> None:
    fixed = Limits(concurrency=Concurrency.fixed(6))
    spec = spec_with(fixed, Limits(requests_per_second=4), whole=Limits(max_cost=3.0))
    share = divide_spec(spec, 2, 1, REGISTRY)
    assert share.limits.max_cost == 1.5
    assert share.steps[0].endpoint.limits.concurrency == Concurrency.fixed(3)
    default = REGISTRY.get("adapters", "openai").concurrency
    assert share.steps[1].endpoint.limits == divide(Limits(requests_per_second=4), 2, 1, default)


@pytest.mark.parametrize(
    ("limits", "adapter", "most"),
    [
        ((Limits(concurrency=Concurrency.fixed(3)),), "openai", 3),
        ((Limits(),), "local", 1),
        ((Limits(),), "openai", 64),
        ((Limits(), Limits(concurrency=Concurrency.fixed(2))), "openai", 2),
        ((Limits(requests_per_minute=5.5),), "openai", 5),
        ((Limits(requests_per_hour=0.5),), "openai", 1),
        ((), "openai", 1),
    ],
)
def test_among_how_many_limits_can_be_divided(
    limits: tuple[Limits, ...], adapter: str, most: int
) -> None:
    assert most_parts(spec_with(*limits, adapter=adapter), REGISTRY) == most
