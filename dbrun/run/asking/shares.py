"""Limits divided among workers that do not see each other: processes, or partitions of Spark.

What the workers do together stays within what the spec allows; pure arithmetic, so that every
worker can work out its own share.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ...registry import Registry
from ...spec.model import Concurrency, EndpointSpec, Limits, Spec, StepSpec

_RATES_OF_CALLS = ("requests_per_second", "requests_per_minute", "requests_per_hour")
_RATES_OF_TOKENS = ("tokens_per_minute", "input_tokens_per_minute", "output_tokens_per_minute")


def divide(limits: Limits, parts: int, part: int, default: Concurrency | None = None) -> Limits:
    """The share that worker number *part*, from 0, has of *limits* among *parts* of them.

    *default* is what the adapter does where nothing is said about concurrency. Calls in flight,
    rates and `max_cost` are divided, and add up to the whole; but everybody may have one call in
    flight, so more workers than `most_parts` allows exceed it. What holds for a single request
    (tries, time, the window) stays as it is, and so does `max_failures`: failures are for
    whoever sees all records to count.
    """
    if not 0 <= part < parts:
        raise ValueError(f"there is no part {part} of {parts}")
    shared: dict[str, float | Concurrency | None] = {}
    concurrency = limits.concurrency or default
    if concurrency is not None:
        shared["concurrency"] = Concurrency(
            start=_whole(concurrency.start, parts, part),
            low=_whole(concurrency.low, parts, part),
            high=_whole(concurrency.high, parts, part),
        )
    for name in (*_RATES_OF_CALLS, *_RATES_OF_TOKENS):
        shared[name] = _rate(getattr(limits, name), parts, part)
    if limits.max_cost is not None:
        shared["max_cost"] = limits.max_cost / parts
    return replace(limits, **shared)  # type: ignore[arg-type]


def divide_spec(spec: Spec, parts: int, part: int, registry: Registry) -> Spec:
    """*spec* with its share of every endpoint's limits, and of the run's: see `divide`."""
    variants = tuple(
        replace(variant, spec=divide_spec(variant.spec, parts, part, registry))
        for variant in spec.variants
    )
    return replace(
        spec,
        variants=variants,
        limits=divide(spec.limits, parts, part),
        steps=tuple(_step(step, parts, part, registry) for step in spec.steps),
        scores=tuple(
            replace(score, step=_step(score.step, parts, part, registry)) if score.step else score
            for score in spec.scores
        ),
    )


def most_parts(spec: Spec, registry: Registry) -> int:
    """Among how many workers the limits of *spec* can be divided without being exceeded.

    That is as many as each can have one call in flight, and one call of every rate.
    """
    most = [math.inf]
    for step in spec.asked:
        limits = step.endpoint.limits
        concurrency = limits.concurrency or default_concurrency(step.endpoint, registry)
        most.append(concurrency.high)
        rates = (getattr(limits, name) for name in _RATES_OF_CALLS)
        most += [math.floor(rate) for rate in rates if rate is not None]
    least = min(most)
    return max(1, int(least)) if least < math.inf else 1


def default_concurrency(endpoint: EndpointSpec, registry: Registry) -> Concurrency:
    """How many calls the adapter of *endpoint* has in flight where the spec does not say."""
    default: Concurrency = registry.get("adapters", endpoint.adapter).concurrency
    return default


def _step(step: StepSpec, parts: int, part: int, registry: Registry) -> StepSpec:
    endpoint = step.endpoint
    default = default_concurrency(endpoint, registry)
    limits = divide(endpoint.limits, parts, part, default)
    return replace(step, endpoint=replace(endpoint, limits=limits))


def _whole(number: int, parts: int, part: int) -> int:
    """A share of *number* things, one at least; those left over go to the first workers."""
    return max(1, number // parts + (part < number % parts))


def _rate(amount: float | None, parts: int, part: int) -> float | None:
    # A bucket of two and a half an hour lets three through in the first one: shares of whole
    # numbers are whole numbers, so that together they let no more through than the whole does.
    if amount is None:
        return None
    if amount >= parts and amount == int(amount):
        return float(_whole(int(amount), parts, part))
    return amount / parts
