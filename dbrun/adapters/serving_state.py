"""In which state a serving endpoint is, by what its workspace tells of it.

Databricks REST API: `GET /api/2.0/serving-endpoints/{name}`: `state.ready`, `state.config_update`,
`permission_level`, and of each served entity its `state.deployment`, `workload_size`,
`scale_to_zero_enabled`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..findings import FAIL, OK, WARN, Finding
from ..types import Json
from .serving import entities, task_of

_EVENTS = "look at its events in the workspace"
_QUERIES = ("CAN_QUERY", "CAN_MANAGE")


def examine(
    detail: Mapping[str, Json], name: str, task: str, served: str | None
) -> Iterator[Finding]:
    """What there is to say of the endpoint *name*; *task* and *served* are the spec's options."""
    yield _state(detail, name)
    found = list(entities(detail))
    if served is not None:
        yield from _is_served(found, served)
    for entity in found:
        if served in (None, entity.get("name")):
            yield _entity(entity)
    yield _task(detail, task)
    if detail.get("route_optimized"):
        yield _by_own_route(detail)
    yield _permission(detail.get("permission_level"), name)


def _state(detail: Mapping[str, Json], name: str) -> Finding:
    state = _mapping(detail.get("state"))
    ready, update = state.get("ready"), state.get("config_update") or "NOT_UPDATING"
    said = f"'{name}' is {str(ready or 'in a state that is not told').replace('_', ' ').lower()}"
    if update == "IN_PROGRESS":
        mend = "" if ready == "READY" else "wait until it has; limits.warmup waits in a run"
        state_ = OK if ready == "READY" else WARN
        said += ", and is being updated"
    elif update == "UPDATE_FAILED":
        state_, mend = WARN if ready == "READY" else FAIL, _EVENTS
        kept = ": it serves what it did before" if ready == "READY" else ""
        said += f", and its last update failed{kept}"
    else:
        state_ = OK if ready == "READY" else FAIL
        mend = "" if ready == "READY" else _EVENTS
    return Finding(state=state_, subject="endpoint", said=said, mend=mend)


def _entity(entity: Mapping[str, Any]) -> Finding:
    """One of the models behind an endpoint."""
    name = entity.get("entity_name") or entity.get("name")
    for kind in ("foundation_model", "external_model"):
        name = _mapping(entity.get(kind)).get("name") or name
    version = entity.get("entity_version")
    said = f"serves {name}{f' version {version}' if version else ''}"
    state = _mapping(entity.get("state"))
    told = str(state.get("deployment_state_message") or "").strip()
    deployment = str(state.get("deployment") or "DEPLOYMENT_READY").removeprefix("DEPLOYMENT_")
    if "scaled to zero" in told.lower():
        said += ", scaled to zero: the first answer takes minutes (limits.warmup waits for it)"
    elif entity.get("scale_to_zero_enabled"):
        said += ", which is scaled to zero when nobody asks"
    if deployment in ("FAILED", "ABORTED"):
        why = f": {' '.join(told.split())[:200]}" if told else ""
        return Finding(
            state=FAIL,
            subject="endpoint",
            said=f"{said}, whose deployment {deployment.lower()}{why}",
            mend="look at the served entity's logs in the workspace",
        )
    if deployment in ("CREATING", "RECOVERING"):
        mend = "limits.warmup waits for it"
        said = f"{said}, which is {deployment.lower()}"
        return Finding(state=WARN, subject="endpoint", said=said, mend=mend)
    return Finding(state=OK, subject="endpoint", said=said)


def _is_served(found: Sequence[Mapping[str, Any]], served: str) -> Iterator[Finding]:
    names = [str(entity.get("name")) for entity in found]
    if served not in names:
        said = f"serves nothing that is called '{served}'"
        mend = f"set served_model to one of {', '.join(names) or 'its entities'}"
        yield Finding(state=FAIL, subject="endpoint", said=said, mend=mend)


def _task(detail: Mapping[str, Json], wanted: str) -> Finding:
    found, told = task_of(detail), detail.get("task")
    if found is None and wanted == "auto":
        mend = "set endpoint.task to one of chat, completions, embeddings, responses, model"
        said = "the workspace does not tell what it does"
        return Finding(state=FAIL, subject="task", said=said, mend=mend)
    if wanted in ("auto", found) or found is None:
        said = f"{found or wanted}{f' ({told})' if told else ''}"
        return Finding(state=OK, subject="task", said=said)
    said = f"the spec says {wanted}, the workspace {found}{f' ({told})' if told else ''}"
    mend = "remove endpoint.task, unless the workspace errs"
    return Finding(state=WARN, subject="task", said=said, mend=mend)


def _by_own_route(detail: Mapping[str, Json]) -> Finding:
    """Those made since 2025-09-22 cannot be reached by the workspace's address (Databricks,
    "Route optimization on serving endpoints")."""
    told = _mapping(_mapping(detail.get("data_plane_info")).get("query_info")).get("endpoint_url")
    url = detail.get("endpoint_url") or told
    said = f"is route-optimised: {url or 'its own address'} may be the only one that it answers at"
    mend = "--ask finds out; serve the model by an endpoint without route optimisation"
    return Finding(state=WARN, subject="route", said=said, mend=mend)


def _permission(level: Json, name: str) -> Finding:
    if level in _QUERIES:
        return Finding(state=OK, subject="permission", said=f"{level}")
    if level is None:
        said = "the workspace does not tell whether it may be queried"
        return Finding(state=WARN, subject="permission", said=said, mend="--ask finds out")
    mend = f"ask its owner for the permission *Can Query* on '{name}'"
    return Finding(state=FAIL, subject="permission", said=f"{level} is not enough", mend=mend)


def _mapping(value: Json) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
