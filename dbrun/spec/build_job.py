"""The Databricks job of a spec: our keys taken apart, Databricks' own words left as they are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from ..types import Json
from . import hints
from .model import JobSpec
from .nodes import UNKNOWN, Node, Path, entries, plain
from .site import Site

_OURS = ("compute", "parameters", "task")
_PATH: Path = ("job", "parameters")


def build_job(site: Site, node: Node | None, variables: Node | None) -> JobSpec | None:
    """The job; None if there is none, or a problem was noted."""
    if node is None or site.sound(("job",), node) is None:
        return None
    declared = entries(variables)
    parameters: dict[str, str] = {}
    for name, at, default in named_defaults(node.get("parameters")):
        if name not in declared:
            hint = hints.for_name(name, declared, none="declare it under vars")
            site.findings.add(at.key_place, (*_PATH, name), f"there is no variable '{name}'", hint)
        elif name in parameters:
            site.findings.add(at.place, (*_PATH, name), "is listed twice", "remove one")
        else:
            value = plain(declared[name] if default is None else default)
            parameters[name] = _text("" if value is None or value is UNKNOWN else value)
    task = node.get("task")
    _check_libraries(site, task, node.get("compute"))
    return JobSpec(
        keys={key: plain(child) for key, child in node.value.items() if key not in _OURS},
        cluster=_cluster(node.get("compute")),
        parameters=parameters,
        task=plain(task) if task is not None else {},
        where=node.key_place.mark,
    )


def named_defaults(node: Node | None) -> Iterator[tuple[str, Node, Node | None]]:
    """The name, the place and the default of each job parameter: `{name: default}`, or a list
    of names and `{name, default}`."""
    if node is None:
        return
    if isinstance(node.value, dict):
        for name, default in node.value.items():
            yield name, default, default
    for item in node.value if isinstance(node.value, list) else ():
        named = item.get("name") or item
        if isinstance(named.value, str):
            yield named.value, named, item.get("default")


def _check_libraries(site: Site, task: Node | None, compute: Node | None) -> None:
    """Databricks refuses libraries of a task that runs on serverless compute."""
    given = entries(task)
    has_cluster = not given.keys().isdisjoint(("existing_cluster_id", "job_cluster_key"))
    if "libraries" in given and not has_cluster and _cluster(compute) is None:
        message = "serverless compute takes no libraries of a task"
        hint = "write them as dependencies in job.environments"
        site.findings.add(given["libraries"].key_place, ("job", "task", "libraries"), message, hint)


def _cluster(node: Node | None) -> Mapping[str, Json] | None:
    if node is None or not isinstance(node.value, dict):
        return None
    found: Mapping[str, Json] = plain(node.get("new_cluster") or node)
    return found


def _text(value: Json) -> str:
    """The default of a job parameter, which is text: other values as `--var` reads them."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
