"""What the doctor says of a serving endpoint, by what the workspace tells of it."""

from __future__ import annotations

from typing import Any

import pytest

from dbrun.adapters.serving_state import examine

READY = {"ready": "READY", "config_update": "NOT_UPDATING"}
FOUNDATION = {"name": "llama-1", "foundation_model": {"name": "system.ai.llama"}}
CUSTOM = {"name": "m-7", "entity_name": "main.default.m", "entity_version": "7"}


def told(*entities: dict[str, Any], state: Any = READY, **more: Any) -> dict[str, Any]:
    served = list(entities or (FOUNDATION,))
    detail = {"state": state, "task": "llm/v1/chat", "permission_level": "CAN_QUERY"}
    return {**detail, "config": {"served_entities": served}, **more}


def lines(
    detail: dict[str, Any], task: str = "auto", served: str | None = None
) -> list[tuple[str, str]]:
    found = examine(detail, "e", task, served)
    return [(one.state, f"{one.subject}: {one.said}; {one.mend}".rstrip("; ")) for one in found]


def test_an_endpoint_that_is_well() -> None:
    assert lines(told()) == [
        ("ok", "endpoint: 'e' is ready"),
        ("ok", "endpoint: serves system.ai.llama"),
        ("ok", "task: chat (llm/v1/chat)"),
        ("ok", "permission: CAN_QUERY"),
    ]


def test_an_endpoint_that_has_an_address_of_its_own() -> None:
    query = {"endpoint_url": "https://1.serving.cloud.databricks.com/2/serving-endpoints/e"}
    found = lines(told(route_optimized=True, data_plane_info={"query_info": query}))
    assert found[-2] == (
        "warn",
        f"route: is route-optimised: {query['endpoint_url']} may be the only one that it answers "
        "at; --ask finds out; serve the model by an endpoint without route optimisation",
    )


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (
            {"ready": "NOT_READY", "config_update": "NOT_UPDATING"},
            ("fail", "endpoint: 'e' is not ready; look at its events in the workspace"),
        ),
        (
            {"ready": "NOT_READY", "config_update": "IN_PROGRESS"},
            (
                "warn",
                "endpoint: 'e' is not ready, and is being updated; wait until it has; "
                "limits.warmup waits in a run",
            ),
        ),
        (
            {"ready": "READY", "config_update": "IN_PROGRESS"},
            ("ok", "endpoint: 'e' is ready, and is being updated"),
        ),
        (
            {"ready": "READY", "config_update": "UPDATE_FAILED"},
            (
                "warn",
                "endpoint: 'e' is ready, and its last update failed: it serves what it did before; "
                "look at its events in the workspace",
            ),
        ),
        (
            {"ready": "NOT_READY", "config_update": "UPDATE_FAILED"},
            (
                "fail",
                "endpoint: 'e' is not ready, and its last update failed; look at its events in the "
                "workspace",
            ),
        ),
        (
            None,
            (
                "fail",
                "endpoint: 'e' is in a state that is not told; look at its events in the workspace",
            ),
        ),
    ],
)
def test_states(state: Any, line: tuple[str, str]) -> None:
    assert lines(told(state=state))[0] == line


@pytest.mark.parametrize(
    ("entity", "line"),
    [
        (CUSTOM, ("ok", "endpoint: serves main.default.m version 7")),
        (
            {**CUSTOM, "scale_to_zero_enabled": True},
            (
                "ok",
                "endpoint: serves main.default.m version 7, which is scaled to zero when nobody "
                "asks",
            ),
        ),
        (
            {
                **CUSTOM,
                "scale_to_zero_enabled": True,
                "state": {
                    "deployment": "DEPLOYMENT_READY",
                    "deployment_state_message": "Scaled to zero",
                },
            },
            (
                "ok",
                "endpoint: serves main.default.m version 7, scaled to zero: the first answer takes "
                "minutes (limits.warmup waits for it)",
            ),
        ),
        (
            {
                **CUSTOM,
                "state": {
                    "deployment": "DEPLOYMENT_FAILED",
                    "deployment_state_message": "No  module\nnamed x",
                },
            },
            (
                "fail",
                "endpoint: serves main.default.m version 7, whose deployment failed: No module "
                "named x; look at the served entity's logs in the workspace",
            ),
        ),
        (
            {**CUSTOM, "state": {"deployment": "DEPLOYMENT_CREATING"}},
            (
                "warn",
                "endpoint: serves main.default.m version 7, which is creating; limits.warmup waits "
                "for it",
            ),
        ),
        (
            {"name": "x", "external_model": {"name": "gpt", "provider": "openai"}},
            ("ok", "endpoint: serves gpt"),
        ),
    ],
)
def test_served_entities(entity: dict[str, Any], line: tuple[str, str]) -> None:
    assert lines(told(entity))[1] == line


def test_one_served_entity_of_several() -> None:
    named = lines(told(FOUNDATION, CUSTOM), served="m-7")
    assert [line for _, line in named if "serves" in line] == [
        "endpoint: serves main.default.m version 7"
    ]
    assert (
        "fail",
        "endpoint: serves nothing that is called 'm-8'; set served_model to one of llama-1, m-7",
    ) in lines(told(FOUNDATION, CUSTOM), served="m-8")


@pytest.mark.parametrize(
    ("task", "detail", "line"),
    [
        ("chat", told(), ("ok", "task: chat (llm/v1/chat)")),
        ("auto", told(CUSTOM, task=None), ("ok", "task: model")),
        (
            "completions",
            told(),
            (
                "warn",
                "task: the spec says completions, the workspace chat (llm/v1/chat); remove "
                "endpoint.task, unless the workspace errs",
            ),
        ),
        ("model", told({"name": "x"}, task=None), ("ok", "task: model")),
        (
            "auto",
            told({"name": "x"}, task=None),
            (
                "fail",
                "task: the workspace does not tell what it does; set endpoint.task to one of chat, "
                "completions, embeddings, responses, model",
            ),
        ),
    ],
)
def test_tasks(task: str, detail: dict[str, Any], line: tuple[str, str]) -> None:
    assert lines(detail, task)[-2] == line


@pytest.mark.parametrize(
    ("level", "line"),
    [
        ("CAN_MANAGE", ("ok", "permission: CAN_MANAGE")),
        (
            "CAN_VIEW",
            (
                "fail",
                "permission: CAN_VIEW is not enough; ask its owner for the permission *Can Query* "
                "on 'e'",
            ),
        ),
        (
            None,
            (
                "warn",
                "permission: the workspace does not tell whether it may be queried; --ask finds "
                "out",
            ),
        ),
    ],
)
def test_permissions(level: Any, line: tuple[str, str]) -> None:
    assert lines(told(permission_level=level))[-1] == line


@pytest.mark.parametrize("detail", [{}, {"state": "x", "config": []}, {"config": {"a": 1}}])
def test_whatever_is_told_is_borne(detail: dict[str, Any]) -> None:
    assert lines(detail)[0][0] == "fail"
