"""Judging a run: whether its gates are met, and before its end whether it is worth going on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from ...errors import TooManyFailures
from ...spec.model import Gate, Spec, better
from ..result import Verdict
from .tally import Tally

_HIGH: Final = ("truncated", "cost", "latency")
"""Gates of the run that guard against too much; the others guard against too little."""

_LATENCY: Final = "latency_p"
_ENOUGH_ROWS: Final = 50
"""A ratio of failures means nothing before."""

Latency = Callable[[int], "float | None"]
"""The seconds within which so many of 100 requests were answered; None if none was timed."""


def check_failures(spec: Spec, tally: Tally) -> None:
    """Let a run in which too many rows fail go no further.

    Raises:
        TooManyFailures: more than `limits.max_failures` allows.
    """
    allowed = spec.limits.max_failures
    if allowed is None:
        return
    failed, rows = tally.errors, tally.rows
    is_ratio = 0 < allowed < 1  # 0 is a count: none may fail
    if (failed > allowed * rows and rows >= _ENOUGH_ROWS) if is_ratio else failed > allowed:
        _, kind, message = tally.first_failures[0]
        raise TooManyFailures(
            f"{failed} of {rows} rows failed, more than limits.max_failures ({allowed:g}) "
            f"allows; the first: {kind}: {message}",
            "mend the cause, or raise the limit, and run the same command again",
        )


def judge_run(spec: Spec, tally: Tally, latency: Latency) -> tuple[Verdict, ...]:
    """The verdicts of a finished run: over all records, or those of each variant by itself.

    *latency* is that of all requests of the run.
    """
    if not spec.variants:
        return verdicts(spec.gates, tally, better=better(spec), latency=latency)
    gated = spec.gated_variants
    return tuple(
        verdict
        for variant in spec.variants
        if gated is None or variant.name in gated
        for own in [tally.by_variant.get(variant.name) or Tally()]
        for verdict in verdicts(
            spec.gates, own, better=better(spec), latency=own.latency, variant=variant.name
        )
    )


def verdicts(
    gates: Mapping[str, Gate],
    tally: Tally,
    *,
    better: Mapping[str, str] | None = None,
    latency: Latency = lambda percent: None,
    variant: str | None = None,
) -> tuple[Verdict, ...]:
    """One verdict for each bound of each gate; by default that no row failed.

    `success` is the share of rows that did not fail, `rows` their number, `truncated` the share
    of rows cut by `max_tokens`, `cost` what their answers cost, `latency_pNN` the seconds within
    which NN of 100 requests were answered. Every other name is that of a score, and its bounds
    are for the mean. *better* tells for each score which direction is good.
    """
    if "success" not in gates:
        gates = {"success": Gate(min=1.0), **gates}
    made: list[Verdict] = []
    for name, gate in gates.items():
        if name.startswith(_LATENCY) and name[len(_LATENCY) :].isdigit():
            made += _judge_latency(name, gate, latency, variant)
        elif (value := _of_run(name, tally)) is not None:
            made += _judge(name, gate, value, variant, is_low=name not in _HIGH)
        else:
            made += _judge_score(name, gate, tally, better or {}, variant)
    return tuple(made)


def _of_run(name: str, tally: Tally) -> float | None:
    rows = tally.rows
    found = {
        "success": 1 - tally.errors / rows if rows else 1.0,
        "rows": float(rows),
        "truncated": tally.truncated / rows if rows else 0.0,
        "cost": tally.cost,
    }
    return found.get(name)


def _judge_latency(name: str, gate: Gate, latency: Latency, variant: str | None) -> list[Verdict]:
    value = latency(int(name[len(_LATENCY) :]))
    if value is None:  # every answer was there already: nothing speaks against the gate
        return _unknown(name, gate, variant, "nothing was sent", met=True, is_low=False)
    return _judge(name, gate, value, variant, is_low=False)


def _judge_score(
    name: str, gate: Gate, tally: Tally, better: Mapping[str, str], variant: str | None
) -> list[Verdict]:
    is_low = better.get(name) != "lower"
    measure = tally.measures.by_name.get(name)
    if name not in better:
        return _unknown(name, gate, variant, "there is no such score", met=False, is_low=is_low)
    if measure is not None and measure.failed:
        judged = measure.failed + measure.all.count
        note = f"failed on {measure.failed:,} of {judged:,} records"
        return _unknown(name, gate, variant, note, met=False, is_low=is_low, value=measure.mean)
    if measure is None or measure.mean is None:
        # No record, no judgement to miss; but records of which none has an output have failed.
        met = tally.rows == tally.filtered
        return _unknown(name, gate, variant, "no record was judged", met=met, is_low=is_low)
    return _judge(name, gate, measure.mean, variant, is_low=is_low)


def _bounds(gate: Gate, is_low: bool) -> list[tuple[float, bool, bool]]:
    """Each bound that is given, whether it is a lower one, and whether it only warns."""
    bounds = []
    if gate.min is not None:
        bounds.append((gate.min, True, False))
    if gate.max is not None:
        bounds.append((gate.max, False, False))
    if gate.warn is not None:
        # A warning bound lies on the side that the gate guards.
        one_sided = (gate.min is None) != (gate.max is None)
        bounds.append((gate.warn, gate.min is not None if one_sided else is_low, True))
    return bounds


def _judge(
    name: str, gate: Gate, value: float, variant: str | None, *, is_low: bool
) -> list[Verdict]:
    return [
        Verdict(
            name=name,
            value=value,
            wanted=_wanted(bound, low),
            met=value >= bound if low else value <= bound,
            warn=warn,
            by=max(0.0, bound - value if low else value - bound),
            variant=variant,
        )
        for bound, low, warn in _bounds(gate, is_low)
    ]


def _unknown(
    name: str,
    gate: Gate,
    variant: str | None,
    note: str,
    *,
    met: bool,
    is_low: bool,
    value: float | None = None,
) -> list[Verdict]:
    return [
        Verdict(
            name=name,
            value=value,
            wanted=_wanted(bound, low),
            met=met,
            warn=warn,
            variant=variant,
            note=note,
        )
        for bound, low, warn in _bounds(gate, is_low)
    ]


def _wanted(bound: float, low: bool) -> str:
    return f"at {'least' if low else 'most'} {bound:g}"
