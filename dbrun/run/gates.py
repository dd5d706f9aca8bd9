"""Judging a run: whether its gates are met."""

from __future__ import annotations

from collections.abc import Mapping

from ..spec.model import Gate
from .result import Verdict
from .tally import Tally


def verdicts(gates: Mapping[str, Gate], tally: Tally) -> tuple[Verdict, ...]:
    """One verdict for each bound of each gate; by default that no row failed.

    `success` is the share of rows that did not fail, `truncated` the share of rows cut by
    `max_tokens`, `rows` their number.
    """
    found = {
        "success": 1 - tally.errors / tally.rows if tally.rows else 1.0,
        "rows": float(tally.rows),
        "truncated": tally.truncated / tally.rows if tally.rows else 0.0,
    }
    if "success" not in gates:
        gates = {"success": Gate(min=1.0), **gates}
    return tuple(
        verdict for name, gate in gates.items() for verdict in _judge(name, gate, found[name])
    )


def _judge(name: str, gate: Gate, value: float) -> list[Verdict]:
    made = []
    if gate.min is not None:
        made.append(_verdict(name, value, f"at least {gate.min:g}", value >= gate.min))
    if gate.max is not None:
        made.append(_verdict(name, value, f"at most {gate.max:g}", value <= gate.max))
    if gate.warn is not None:
        # A warning bound lies on the side that the gate guards.
        low = gate.max is None
        met = value >= gate.warn if low else value <= gate.warn
        wanted = f"at {'least' if low else 'most'} {gate.warn:g}"
        made.append(Verdict(name=name, value=value, wanted=wanted, met=met, warn=True))
    return made


def _verdict(name: str, value: float, wanted: str, met: bool) -> Verdict:
    return Verdict(name=name, value=value, wanted=wanted, met=met)
