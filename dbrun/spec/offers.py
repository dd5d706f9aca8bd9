"""What a spec lacks although one of its targets gives it: the target is named."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ..types import Problem
from .nodes import Node

_MISSING = re.compile(r"'(?P<key>\w+)' is missing|must be given")


def offer_targets(
    problems: Sequence[Problem],
    others: Mapping[str, Node],
    problems_of: Callable[[Node], Sequence[Problem]],
) -> list[Problem]:
    """*problems* of a spec under no target, each with the targets that give what it misses.

    *others* are the specs as they would be under their targets, *problems_of* finds what is
    wrong with one of them; it is called only if something is missing.
    """
    if not any(_MISSING.fullmatch(problem.message) for problem in problems):
        return list(problems)
    wrong = {
        name: {(one.path, one.message) for one in problems_of(root)}
        for name, root in others.items()
    }
    return [
        _with_targets(problem, [n for n in others if _gives(others[n], wrong[n], problem)])
        for problem in problems
    ]


def _gives(root: Node, wrong: set[tuple[str, str]], problem: Problem) -> bool:
    lacks = _MISSING.fullmatch(problem.message)
    if lacks is None or (problem.path, problem.message) in wrong:
        return False
    # That an endpoint is missing is not said before the steps are made.
    return lacks["key"] != "endpoint" or root.get("endpoint") is not None


def _with_targets(problem: Problem, names: Sequence[str]) -> Problem:
    if not names:
        return problem
    targets = " or ".join(f"--target {name}" for name in names)
    if problem.path.startswith("vars."):
        return replace(problem, hint=f"{problem.hint}, or choose {targets}")
    return replace(problem, hint=f"choose a target that gives it: {targets}")
