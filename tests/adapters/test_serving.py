"""What an endpoint does, from what the workspace tells of it."""

from __future__ import annotations

from typing import Any

import pytest

from dbrun.adapters.serving import describe_endpoint, task_of


def entity(**told: Any) -> dict[str, Any]:
    return {"config": {"served_entities": [told]}}


@pytest.mark.parametrize(
    ("detail", "task"),
    [
        ({"task": "llm/v1/chat"}, "chat"),
        ({"task": "llm/v1/completions"}, "completions"),
        ({"task": "llm/v1/embeddings"}, "embeddings"),
        ({"task": "agent/v1/chat"}, "chat"),
        ({"task": "agent/v2/chat"}, "chat"),
        ({"task": "agent/v1/responses"}, "responses"),
        ({"task": "llama2/chat", **entity(entity_name="m")}, "model"),
        ({"task": None, **entity(entity_name="m", entity_version="1")}, "model"),
        (entity(foundation_model={"name": "system.ai.llama"}), "chat"),
        (entity(foundation_model={"name": "system.ai.gte_large"}), "embeddings"),
        (entity(foundation_model={"name": "x", "display_name": "BGE Large"}), "embeddings"),
        (entity(external_model={"task": "llm/v1/completions"}), "completions"),
        (entity(external_model={"name": "claude"}), "chat"),
        ({"pending_config": {"served_entities": [{"foundation_model": {}}]}}, "chat"),
        ({"endpoint_type": "FOUNDATION_MODEL_API"}, "chat"),
        ({"endpoint_type": "external_model"}, "chat"),
        ({"endpoint_type": "CUSTOM_MODEL"}, "model"),
        ({}, None),
        ({"config": None, "task": ""}, None),
        ({"config": {"served_entities": ["odd"]}}, None),
        (entity(name="e"), None),
    ],
)
def test_the_task_is_found(detail: dict[str, Any], task: str | None) -> None:
    assert task_of(detail) == task


def test_the_manifest_keeps_what_is_served_and_its_version() -> None:
    detail = {
        "state": {"ready": "NOT_READY"},
        "config": {
            "config_version": 3,
            "served_entities": [
                {"name": "m-7", "entity_name": "main.x.m", "entity_version": "7", "state": {}},
                {"name": "f", "foundation_model": {"name": "system.ai.f"}},
            ],
        },
    }
    assert describe_endpoint(detail) == {
        "state": "NOT_READY",
        "config_version": 3,
        "served_entities": [
            {"name": "m-7", "entity_name": "main.x.m", "entity_version": "7"},
            {"name": "f", "foundation_model": "system.ai.f"},
        ],
    }


@pytest.mark.parametrize(
    ("routes", "traffic"),
    [
        ([("a", 90), ("b", 10)], {"a": 90, "b": 10}),
        ([("a", 100)], None),
        ([], None),
    ],
)
def test_a_traffic_split_is_kept(routes: list[tuple[str, int]], traffic: Any) -> None:
    told = [{"served_entity_name": name, "traffic_percentage": share} for name, share in routes]
    detail = {"config": {"traffic_config": {"routes": [*told, "odd", {}]}}}
    assert describe_endpoint(detail).get("traffic") == traffic


def test_what_is_not_told_is_absent() -> None:
    assert describe_endpoint({}) == {}
