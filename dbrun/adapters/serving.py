"""What a workspace tells of a serving endpoint.

Databricks REST API: `GET /api/2.0/serving-endpoints/{name}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ..types import Json

_TASK = re.compile(r"^(llm|agent)/v\d+/(chat|completions|embeddings|responses)$")
_EMBEDDER = re.compile(r"embed|(?<![a-z])(gte|bge)(?![a-z])", re.I)


def task_of(detail: Mapping[str, Json]) -> str | None:
    """The adapter's task for an endpoint; None if nothing tells.

    By its `task`; else by its served entities, of which a foundation or external model is named
    as such; else by `endpoint_type`, which not every workspace gives. What has a registered
    model and no task is a custom model.
    """
    if task := _named(detail.get("task")):
        return task
    for entity in entities(detail):
        external, foundation = entity.get("external_model"), entity.get("foundation_model")
        if isinstance(external, dict):
            return _named(external.get("task")) or "chat"
        if isinstance(foundation, dict):
            names = f"{foundation.get('name')} {foundation.get('display_name')}"
            return "embeddings" if _EMBEDDER.search(names) else "chat"
    kind = str(detail.get("endpoint_type") or "").upper()
    if kind in ("FOUNDATION_MODEL_API", "EXTERNAL_MODEL"):
        return "chat"
    if kind or detail.get("task") or any("entity_name" in entity for entity in entities(detail)):
        return "model"
    return None


def describe_endpoint(detail: Mapping[str, Json]) -> dict[str, Json]:
    """What the manifest keeps of an endpoint: its state, and what it serves in which version."""
    config = detail.get("config")
    told: dict[str, Json] = {"state": _state(detail)}
    if isinstance(config, dict) and "config_version" in config:
        told["config_version"] = config["config_version"]
    told["served_entities"] = [_entity(entity) for entity in entities(detail)]
    told["traffic"] = _traffic(config)
    return {name: value for name, value in told.items() if value not in (None, [])}


def _named(task: Json) -> str | None:
    """`llm/v1/chat` and `agent/v2/chat` are chat, `agent/v1/responses` is responses."""
    found = _TASK.match(task) if isinstance(task, str) else None
    return found.group(2) if found else None


def entities(detail: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
    """The served entities: those at work, else those to come."""
    for part in ("config", "pending_config"):
        config = detail.get(part)
        entities = config.get("served_entities") if isinstance(config, dict) else None
        found = [entity for entity in entities or () if isinstance(entity, dict)]
        if found:
            yield from found
            return


def _traffic(config: Json) -> Json:
    """The traffic split, in percent by served entity; None where one gets everything."""
    routed = config.get("traffic_config") if isinstance(config, dict) else None
    routes = routed.get("routes") if isinstance(routed, dict) else None
    split = {
        str(route.get("served_entity_name") or route.get("served_model_name")): share
        for route in routes or ()
        if isinstance(route, dict) and isinstance(share := route.get("traffic_percentage"), int)
    }
    return split if len(split) > 1 else None


def _state(detail: Mapping[str, Json]) -> Json:
    state = detail.get("state")
    return state.get("ready") if isinstance(state, dict) else None


def _entity(entity: Mapping[str, Json]) -> dict[str, Json]:
    told = {name: entity.get(name) for name in ("name", "entity_name", "entity_version")}
    for kind in ("foundation_model", "external_model"):
        model = entity.get(kind)
        if isinstance(model, dict):
            told[kind] = model.get("name")
    return {name: value for name, value in told.items() if value is not None}
