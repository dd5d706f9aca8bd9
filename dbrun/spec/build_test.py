"""Tests: what is given of a row and its answers, and what should come of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..types import Json, Mark
from . import hints
from .case import LAST, Case
from .nodes import Node, Path, children, entries, plain
from .site import Site

EXPECTED = ("request", "output", "error")


def build_tests(site: Site, node: Node | None, steps: Sequence[str]) -> tuple[Case, ...]:
    """The tests of a spec with these *steps*; those with problems are left out."""
    built: dict[str, Case] = {}
    for index, one in children(node) if node is not None else ():
        case = _case(site, one, ("tests", index), steps)
        if case is None:
            continue
        if case.name in built:
            place = (one.get("name") or one).place
            message = f"there are two tests named '{case.name}'"
            site.findings.add(place, ("tests", index), message, "give each a name of its own")
        built[case.name] = case
    return tuple(built.values())


def _case(site: Site, node: Node, path: Path, steps: Sequence[str]) -> Case | None:
    if site.sound(path, node) is None:
        return None
    given, expect = node.get("given"), node.get("expect")
    assert given is not None
    assert expect is not None
    if not _is_sensible(site, expect, (*path, "expect")):
        return None
    response, request = given.get("response"), expect.get("request")
    answers = _answers(site, response, (*path, "given", "response"), steps)
    if answers is None:
        return None
    name, row, variants = node.get("name"), given.get("row"), given.get("variants")
    assert row is not None
    return Case(
        name=name.value if name is not None else f"test {int(path[-1]) + 1}",
        row=plain(row),
        answers=answers,
        requests=_requests(request, steps) if request is not None else {},
        expect={key: plain(one) for key, one in entries(expect).items() if key != "request"},
        variants=tuple(plain(variants)) if variants is not None else None,
        where=node.place.mark,
        marks=_marks(given, expect),
    )


def _is_sensible(site: Site, expect: Node, path: Path) -> bool:
    given = entries(expect)
    if not given:
        message = "expects nothing"
        hint = f"write {', '.join(EXPECTED[:-1])} or {EXPECTED[-1]}"
        site.findings.add(expect.place, path, message, hint)
        return False
    if "output" in given and "error" in given:
        message = "a row has an output or an error, never both"
        place = given["error"].key_place
        site.findings.add(place, (*path, "error"), message, "remove one of them")
        return False
    return True


def _answers(
    site: Site, response: Node | None, path: Path, steps: Sequence[str]
) -> Mapping[str, Json] | None:
    """What is answered, by step; None if that does not suit the steps."""
    if response is None:
        return {}
    if site.findings.spoils(("steps",)):
        return {}
    if len(steps) < 2:
        return {step: plain(response) for step in steps}
    if not isinstance(response.value, dict):
        hint = f"write {{{', '.join(f'{step}: …' for step in steps)}}}"
        message = "wants a mapping from step, for there are several"
        site.findings.add(response.place, path, message, hint)
        return None
    unknown = [key for key in response.value if key not in steps]
    for key in unknown:
        hint = hints.for_name(key, steps)
        message = f"there is no step '{key}'"
        site.findings.add(response.value[key].key_place, (*path, key), message, hint)
    return None if unknown else {key: plain(one) for key, one in response.value.items()}


def _requests(request: Node, steps: Sequence[str]) -> Mapping[str, Json]:
    """Parts of requests, by step where every key is a step's name."""
    named = entries(request)
    if len(steps) > 1 and named and all(key in steps for key in named):
        return {key: plain(one) for key, one in named.items()}
    return {LAST: plain(request)}


def _marks(given: Node, expect: Node) -> dict[str, Mark]:
    parts = {**entries(given), **entries(expect)}
    return {key: one.key_place.mark for key, one in parts.items()}
