"""What serves an endpoint: the version in the manifest, and answers of versions before it."""

from __future__ import annotations

from typing import Any

import pytest
from acceptance.conftest import Project
from fakes.models import standard_endpoints
from fakes.workspace import FakeWorkspace, Fault, fail

SPEC = """\
name: tickets
source: {path: rows.jsonl, id: id}
endpoint: {adapter: databricks, name: custom, task: model}
prompt: "{{ text }}"
sink: out/tickets.jsonl
"""


def serve(workspace: FakeWorkspace, *versions: str, name: str = "custom") -> None:
    entity = {"entity_name": "main.default.fake", "entity_version": "7"}
    given = {**vars_of(name), "entity": entity, "served": versions}
    workspace.endpoints[name] = type(standard_endpoints()[name])(**given)


def vars_of(name: str) -> dict[str, Any]:
    made = standard_endpoints()[name]
    return {field: getattr(made, field) for field in made.__dataclass_fields__}


@pytest.fixture
def endpoint(project: Project) -> Any:
    """The endpoint of the manifest."""
    project.write("tickets.yaml", SPEC)
    return lambda: project.manifest()["endpoints"][0]


@pytest.mark.parametrize("task", ["model", "auto"])
def test_the_manifest_tells_what_is_served(
    project: Project, workspace: FakeWorkspace, endpoint: Any, task: str
) -> None:
    assert project.run("tickets.yaml", "--set", f"endpoint.task={task}").code == 0
    told = endpoint()
    assert told["task"] == "model"
    assert told["served_entities"] == [
        {"name": "custom-1", "entity_name": "main.default.fake", "entity_version": "7"}
    ]
    assert told["models"] == {"custom-1": 10}
    assert "traffic" not in told


def test_who_may_only_query_is_told_less(
    project: Project, workspace: FakeWorkspace, endpoint: Any
) -> None:
    words = ("--set", "endpoint.name=forbidden", "--set", "endpoint.task=chat")
    assert project.run("tickets.yaml", *words).code == 0
    assert endpoint()["models"] == {"fake-model-1": 10}
    assert "served_entities" not in endpoint()


@pytest.mark.parametrize("fault", [fail(500, path="/api"), Fault(path="/api", reset=True)])
def test_a_workspace_in_trouble_spoils_no_run(
    project: Project, workspace: FakeWorkspace, endpoint: Any, fault: Fault
) -> None:
    workspace.script([fault])
    assert project.run("tickets.yaml").code == 0
    assert "served_entities" not in endpoint()


def test_a_traffic_split_is_told_with_who_answered(
    project: Project, workspace: FakeWorkspace, endpoint: Any
) -> None:
    serve(workspace, "1", "2")
    said = project.run("tickets.yaml")
    told = endpoint()
    assert told["traffic"] == {"custom-1": 50, "custom-2": 50}
    assert [entity["entity_version"] for entity in told["served_entities"]] == ["1", "2"]
    assert sum(told["models"].values()) == 10
    assert set(told["models"]) == {"custom-1", "custom-2"}
    assert "models    answers of custom-1 (" in said.err
    assert "answers no more" not in said.err


def test_one_served_entity_answers_whatever_the_split(
    project: Project, workspace: FakeWorkspace, endpoint: Any
) -> None:
    serve(workspace, "1", "2")
    assert project.run("tickets.yaml", "--set", "endpoint.served_model=custom-2").code == 0
    assert {call.path for call in workspace.calls} == {
        "/serving-endpoints/custom/served-models/custom-2/invocations"
    }
    assert endpoint()["models"] == {"custom-2": 10}


def test_answers_of_an_earlier_version_are_counted_and_told(
    project: Project, workspace: FakeWorkspace, endpoint: Any
) -> None:
    assert project.run("tickets.yaml").code == 0
    serve(workspace, "2")
    project.rows(12)
    said = project.run("tickets.yaml")
    assert endpoint()["models"] == {"custom-1": 10, "custom-2": 2}
    assert endpoint()["reused_of_other_versions"] == 10
    assert "models    answers of custom-1 (10), custom-2 (2)\n" in said.err
    assert "10 reused answers of a version that answers no more; --fresh asks anew\n" in said.err
    assert project.run("tickets.yaml", "--fresh").code == 0
    assert endpoint()["models"] == {"custom-2": 12}
    assert "reused_of_other_versions" not in endpoint()


def test_a_run_that_sends_nothing_tells_where_it_looked(
    project: Project, workspace: FakeWorkspace
) -> None:
    words = ("--set", "endpoint.task=auto")
    assert project.run("tickets.yaml", "--set", "endpoint.name=custom", *words).code == 0
    serve(workspace, "2")
    said = project.run("tickets.yaml", "--set", "endpoint.name=custom", *words)
    assert "10 reused answers of a version that answers no more" in said.err


def test_in_a_partition_or_a_process_too(
    project: Project, workspace: FakeWorkspace, endpoint: Any
) -> None:
    assert project.run("tickets.yaml").code == 0
    serve(workspace, "2")
    project.rows(12)
    assert project.run("tickets.yaml", "--set", "limits.processes=2").code == 0
    assert endpoint()["reused_of_other_versions"] == 10
