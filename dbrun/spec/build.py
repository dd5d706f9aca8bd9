"""Merged, valid data to a `Spec`: every default applied, every path absolute.

Parts of the file in which a problem was found are left out, and the rest is looked at all the
same, so that a person sees everything that is wrong at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from ..registry import Registry
from ..types import Json, Mark
from .build_endpoint import Endpoints, build_limits
from .build_job import build_job
from .build_score import build_scores
from .build_sink import build_sink
from .build_source import build_source
from .build_step import build_steps
from .build_test import build_tests
from .model import EngineSpec, Gate, JournalSpec, MlflowSpec, SinkSpec, Spec, StepSpec
from .nodes import Node, Path, Place, entries, plain
from .site import Site, value_of


def build(
    root: Node, *, file: str, site: Site, registry: Registry, merged: Json, target: str | None
) -> Spec | None:
    """The spec; None if a problem was noted."""
    limits = build_limits(site, ("limits",), root.get("limits"))
    endpoints = Endpoints(site, root, registry, limits)
    variables = value_of(site.sound(("vars",), root.get("vars")), {})
    source = build_source(site, root.get("source"), variables, registry)
    steps = build_steps(site, root, endpoints)
    mlflow = _mlflow(site, root.get("mlflow"))
    scores = build_scores(site, root.get("scores"), endpoints, registry)
    name = str(value_of(site.sound(("name",), root.get("name")), "unnamed"))
    sink = build_sink(site, root, name, steps, registry)
    journal = _journal(site, root.get("journal"), sink)
    transforms = root.get("transforms")
    row = transforms.get("row") if transforms is not None else None
    row = site.sound(("transforms", "row"), row)
    tests = build_tests(site, root.get("tests"), [step.name for step in steps])
    job = build_job(site, root.get("job"), root.get("vars"))
    judges = [score.step for score in scores if score.step is not None]
    _check_prices(site, root.get("limits"), ("limits",), "max_cost", [*steps, *judges])
    _check_prices(site, root.get("gates"), ("gates",), "cost", steps)
    if site.findings or source is None or sink is None:
        return None
    return Spec(
        name=name,
        file=file,
        folder=os.path.dirname(os.path.abspath(file)),
        project=site.project,
        source=source,
        steps=steps,
        sink=sink,
        journal=journal,
        description=value_of(root.get("description"), ""),
        vars=value_of(root.get("vars"), {}),
        row=site.references(row, ("transforms", "row")),
        repeats=int(value_of(root.get("repeats"), 1)),
        limits=limits,
        engine=_engine(site, root.get("engine")),
        gates=_gates(root.get("gates")),
        job=job,
        mlflow=mlflow,
        scores=scores,
        gated_variants=_gated_variants(root.get("gates")),
        filters={
            key: site.reference(node, ("templates", "filters", key))
            for key, node in _filters(root).items()
        },
        tests=tests,
        merged=merged,
        target=target,
    )


def _check_prices(
    site: Site, bounds: Node | None, path: Path, key: str, steps: Sequence[StepSpec]
) -> None:
    """What a run spends can be bounded only where all that it buys has a price."""
    if bounds is None or site.sound((*path, key), bounds.get(key)) is None:
        return
    path, endpoints = (*path, key), [step.endpoint for step in steps]
    unpriced = [endpoint for endpoint in endpoints if endpoint.price is None]
    if unpriced:
        message = f"'{unpriced[0].path}' has no price, so what is spent there is not known"
        hint = "write price: {input_per_million: …, output_per_million: …} at the endpoint"
        site.findings.add(_written(unpriced[0].where), path, message, hint)
    priced = {one.price.currency: one for one in reversed(endpoints) if one.price is not None}
    if len(priced) > 1:
        message = f"the endpoints' prices are in {' and '.join(sorted(priced))}"
        where = next(iter(priced.values())).mark("price")
        site.findings.add(_written(where), path, message, "give all prices in one currency")


def _written(mark: Mark) -> Place:
    """The place of *mark*: what is amiss is put right there, not where the bound is."""
    return Place(file=mark.file, folder="", line=mark.line, column=mark.column)


def _journal(site: Site, node: Node | None, sink: SinkSpec | None) -> JournalSpec:
    beside = ""
    if sink is not None:
        beside = f"{sink.path}.journal" if sink.table is None else os.path.dirname(sink.path)
    if node is None or site.sound(("journal",), node) is None:
        return JournalSpec(path=beside)
    path = node.get("path")
    return JournalSpec(
        path=site.path(path) if path is not None else beside,
        mode=value_of(node.get("mode"), "reuse"),
        share=value_of(node.get("share"), True),
        publish_every=float(value_of(node.get("publish_every"), 30.0)),
    )


def _engine(site: Site, node: Node | None) -> EngineSpec:
    if node is None or site.sound(("engine",), node) is None:
        return EngineSpec()
    if isinstance(node.value, str):
        return EngineSpec(kind=node.value, where=node.place.mark)
    return EngineSpec(
        kind=value_of(node.get("type"), "local"),
        partitions=value_of(node.get("partitions"), None),
        where=node.place.mark,
    )


def _gates(node: Node | None) -> Mapping[str, Gate]:
    gates = {"success": Gate(min=1.0)}
    for name, bounds in entries(node).items():
        if name == "variants":
            continue
        given = {key: float(value) for key, value in plain(bounds).items()}
        gates[name] = Gate(**given)
    return gates


def _mlflow(site: Site, node: Node | None) -> MlflowSpec | None:
    if node is None or site.sound(("mlflow",), node) is None:
        return None
    given: dict[str, Any] = {name: plain(value) for name, value in entries(node).items()}
    idle = [name for name in ("run_name", "tags", "artifacts") if name in given]
    if idle and "experiment" not in given:
        message = f"'experiment' is missing, so '{idle[0]}' is of nothing"
        site.findings.add(node.place, ("mlflow",), message, "name the experiment to log runs to")
    if "artifacts" in given:
        given["artifacts"] = frozenset(given["artifacts"])
    return MlflowSpec(**given, where=node.place.mark)


def _gated_variants(node: Node | None) -> tuple[str, ...] | None:
    named = node.get("variants") if node is not None else None
    return tuple(plain(named)) if named is not None else None


def _filters(root: Node) -> Mapping[str, Node]:
    templates = root.get("templates")
    return entries(templates.get("filters")) if templates is not None else {}
