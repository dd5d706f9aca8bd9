"""A plan in a person's words and as data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .words import counted, money, rows_of, seconds

if TYPE_CHECKING:
    from ..run.offline.forecast import Range
    from ..run.offline.planning import Plan
    from ..types import Json

_COLUMN = 14


def shown(name: str, plan: Plan, cap: float | None = None, spent: float = 0.0) -> str:
    """The plan of the spec at *name*, a few aligned lines.

    *cap* is its `limits.max_cost`, of which the run that would go on has *spent* a part.
    """
    failing = f", {plan.failing:,} of them without a request: a template or transform fails"
    each = plan.records // max(plan.rows, 1)
    lines = [
        f"{name}: {rows_of(plan.records, each)}{failing if plan.failing else ''}",
        *_failures(name, plan),
        f"  {'':10}{'low':>{_COLUMN}}{'expected':>{_COLUMN}}{'high':>{_COLUMN}}",
        _line("to send", plan.send, lambda value: f"{value:,.0f}"),
        f"  {'to reuse':10}{plan.reuse:>{_COLUMN},}",
    ]
    if plan.send.high:
        lines.append(_line("tokens in", plan.input, lambda value: f"{value:,.0f}"))
        lines.append(_line("tokens out", plan.output, lambda value: f"{value:,.0f}"))
        if plan.cost is not None and plan.currency is not None:
            currency = plan.currency
            lines.append(_line("cost", plan.cost, lambda value: money(value, currency)))
        if plan.seconds is not None:
            lines.append(_line("time", plan.seconds, seconds))
        lines += [f"  {remark}" for remark in _remarks(plan)]
    if cap is not None and plan.cost is not None:
        lines.append(f"  {_verdict(plan.cost, cap, spent, plan.currency or '')}")
    return "\n".join(lines)


def described(
    name: str, plan: Plan, cap: float | None = None, spent: float = 0.0
) -> dict[str, Json]:
    """The same as data; `cost`, `seconds` and `max_cost` are null where they cannot be told."""
    return {
        "spec": name,
        "rows": plan.rows,
        "records": plan.records,
        "failing": plan.failing,
        "first_failing": plan.first_failing,
        "requests": {"send": plan.send.to_json(), "reuse": plan.reuse},
        "tokens": {"input": plan.input.to_json(), "output": plan.output.to_json()},
        "cost": None if plan.cost is None else {"currency": plan.currency, **plan.cost.to_json()},
        "seconds": None if plan.seconds is None else plan.seconds.to_json(),
        "learnt_from": plan.learnt,
        "max_cost": None if cap is None else {"cap": cap, "spent": round(spent, 9)},
    }


def _failures(name: str, plan: Plan) -> list[str]:
    if plan.first_failing is None:
        return []
    first = f"  {'failed':10}{' '.join(plan.first_failing.split())}"
    more = plan.failing - 1
    rest = f"  {'':10}and {counted(more, 'other')}: dbrun render {name} tells of each"
    return [first, rest] if more else [first]


def _remarks(plan: Plan) -> list[str]:
    answers = counted(plan.learnt, "answer")
    if plan.learnt and plan.is_old:
        found = [f"lengths are those of {answers} to other requests, in the journal"]
    elif plan.learnt:
        found = [f"lengths are those of {answers} in the journal"]
    elif plan.reuse:
        found = ["the answers tell no tokens: 4 characters are taken for one"]
    else:
        found = ["no answers to learn from yet: 4 characters are taken for a token"]
        found.append("(run a few rows with --limit for a better forecast)")
    if plan.cost is None:
        found.append("no cost: not every endpoint has a price, in one currency")
    if plan.seconds is None:
        found.append("no time: no run of this kind has finished yet")
    return found


def _verdict(cost: Range, cap: float, spent: float, currency: str) -> str:
    said = f"limits.max_cost of {money(cap, currency)}"
    if spent:
        said += f", of which {money(spent, currency)} are spent,"
    left = cap - spent
    if cost.low > left:
        return f"{said} does not suffice: the run would be refused"
    if cost.high > left:
        return f"{said} may be reached before the end"
    return f"{said} suffices"


def _line(title: str, figure: Range, word: Callable[[float], str]) -> str:
    told = (word(value) for value in (figure.low, figure.expected, figure.high))
    return f"  {title:10}" + "".join(f"{one:>{_COLUMN}}" for one in told)
