"""Scores: what judges each record, by which plug-in, called what."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

from ..registry import Registry
from . import hints
from .build_endpoint import Endpoints
from .build_prompt import build_prompt
from .build_schema import build_response_schema
from .model import ScoreSpec, StepSpec
from .nodes import Node, Path, dotted, entries
from .prompts import Text
from .site import Site, value_of

_COMMON: Final = ("type", "name", "of", "better")
_WHOLE_RECORD: Final = ("judge", "python")
"""Types that are given the record, not the value of an expression."""

_GATES: Final = re.compile(r"success|rows|truncated|cost|variants|latency_p[0-9]{1,2}")


def is_gate_of_the_run(name: str) -> bool:
    """Whether a gate of this name is on the run itself, not on a score."""
    return _GATES.fullmatch(name) is not None


def build_scores(
    site: Site, node: Node | None, endpoints: Endpoints, registry: Registry
) -> tuple[ScoreSpec, ...]:
    """The scores; those with problems are left out."""
    if node is None or not isinstance(node.value, list):
        return ()
    built: list[ScoreSpec] = []
    for index, one in enumerate(node.value):
        path: Path = ("scores", index)
        kind = one.get("type")
        if kind is None or not isinstance(kind.value, str):
            continue
        if not registry.knows("scores", kind.value):
            hint = hints.for_score(kind.value, registry.names("scores"))
            message = f"there is no score of type '{kind.value}'"
            site.findings.add(kind.place, (*path, "type"), message, hint)
            continue
        score = _score(site, one, path, kind.value, endpoints)
        if score is not None and _is_named_well(site, one, path, score, built):
            built.append(score)
    return tuple(built)


def _is_named_well(
    site: Site, node: Node, path: Path, score: ScoreSpec, earlier: list[ScoreSpec]
) -> bool:
    place = (node.get("name") or node.get("type") or node).place
    if is_gate_of_the_run(score.name):
        message = f"'{score.name}' is the name of a gate of the run"
        site.findings.add(place, (*path, "name"), message, "give the score another name")
        return False
    if any(score.name == other.name for other in earlier):
        message = f"there are two scores named '{score.name}'"
        site.findings.add(place, path, message, "give each a name of its own")
        return False
    return True


def _score(site: Site, node: Node, path: Path, kind: str, endpoints: Endpoints) -> ScoreSpec | None:
    if site.sound(path, node) is None:
        return None
    of = node.get("of")
    if of is not None and kind in _WHOLE_RECORD:
        message = f"a score of type {kind} looks at the whole record"
        site.findings.add(of.key_place, (*path, "of"), message, "remove it")
        return None
    name = value_of(node.get("name"), kind)
    rules = site.schemas.items(site.schemas.inside([site.schemas.top], "scores"))
    options = site.options(node, rules, path, (*_COMMON, "endpoint", "prompt"))
    made = ScoreSpec(
        kind=kind,
        name=name,
        options=options,
        of=_of(site, of, path) if kind not in _WHOLE_RECORD else None,
        better=value_of(node.get("better"), "higher"),
        where=node.place.mark,
        marks={key: child.place.mark for key, child in entries(node).items()},
        path=dotted(path),
    )
    if kind == "json_schema":
        return _with_schema(site, node, path, made)
    return _with_step(site, node, path, made, endpoints) if kind == "judge" else made


def _of(site: Site, node: Node | None, path: Path) -> Text:
    at = (*path, "of")
    return site.text(node, at) if node is not None else Text(source="output", name=dotted(at))


def _with_schema(site: Site, node: Node, path: Path, made: ScoreSpec) -> ScoreSpec | None:
    written = node.get("schema")
    assert written is not None
    found = build_response_schema(site, written, (*path, "schema"))
    return replace(made, options={"schema": found.schema}) if found is not None else None


def _with_step(
    site: Site, node: Node, path: Path, made: ScoreSpec, endpoints: Endpoints
) -> ScoreSpec | None:
    endpoint = endpoints.of(node, path)
    prompt = build_prompt(site, node, path)
    if endpoint is None or prompt is None:
        return None
    if prompt.text is None and prompt.registered is None:
        written = node.get("prompt")
        assert written is not None
        message = "wants a template, {file: path} or {mlflow: uri}"
        site.findings.add(written.place, (*path, "prompt"), message)
        return None
    step = StepSpec(
        name=f"scores.{made.name}",
        endpoint=endpoint,
        prompt=prompt,
        params=value_of(node.get("params"), {}),
        path=made.path,
        where=made.where,
    )
    return replace(made, step=step)
