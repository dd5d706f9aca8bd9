"""The `mlflow` adapter: options, columns, and the habits of the scoring server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fakes.workspace import FakeWorkspace

from dbrun.adapters.base import Request
from dbrun.adapters.mlflow import MlflowAdapter
from dbrun.errors import Rejected
from dbrun.spec.prompts import Text

Open = Callable[..., Any]


@pytest.fixture
def served(workspace: FakeWorkspace, open_adapter: Open) -> Callable[..., Any]:
    def make(**options: Any) -> Any:
        url = f"{workspace.url}/serving-endpoints/custom"
        given = {"url": url, "token": {"env": "T"}, **options}
        return open_adapter(MlflowAdapter, given, environ={"T": workspace.token})

    return make


def ask(adapter: Any, **fields: Any) -> Any:
    (answer,) = adapter.call([adapter.encode(Request(fields=fields))], 5.0)
    return adapter.decode(answer.body).value


@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records", "inputs"])
def test_a_stop_string_reaches_the_model(served: Open, form: str) -> None:
    adapter = served(format=form)
    assert ask(adapter, prompt="One. Two.", stop=["."]) == "Echo: One"
    assert ask(adapter, prompt="One. Two.") == "Echo: One. Two. That was 2 words. END"


def test_instances_cannot_hold_a_list_column(served: Open) -> None:
    with pytest.raises(Rejected, match="SCHEMA_ENFORCEMENT_FAILED"):
        ask(served(format="instances"), prompt="One.", stop=["."])


def test_rows_of_one_group_share_a_call(served: Open, workspace: FakeWorkspace) -> None:
    adapter = served(batch_size=3)
    fields = [{"prompt": "One.", "stop": ["."]}, {"prompt": "Two.", "stop": ["."]}]
    bodies = [adapter.encode(Request(fields=one)) for one in fields]
    answers = adapter.call(bodies, 5.0)
    assert [adapter.decode(answer.body).value for answer in answers] == ["Echo: One", "Echo: Two"]
    assert len(workspace.calls) == 1


def test_a_missing_input_names_the_option(served: Open) -> None:
    adapter = served(columns={"question": "{{ q }}"})
    with pytest.raises(Rejected, match=r"\['prompt'\] are given by endpoint.columns"):
        ask(adapter, question="why?")


def test_columns_are_templates(served: Open) -> None:
    adapter = served(columns={"question": "{{ q }}", "other": Text(source="x", name="n")})
    assert adapter.columns["question"].source == "{{ q }}"
    assert adapter.columns["question"].name == "endpoint.columns.question"
    assert adapter.columns["other"] == Text(source="x", name="n")
    assert adapter.prompt_kind == "any"


def test_the_url_is_the_identity_and_the_slash_is_not(open_adapter: Open) -> None:
    adapter = open_adapter(MlflowAdapter, {"url": "http://h:5000/"})
    assert adapter.identity == {"url": "http://h:5000"}
    assert adapter.url == "http://h:5000/invocations"


@pytest.mark.parametrize(
    ("task", "kind", "batch"),
    [
        ("model", "text", 4),
        ("chat", "chat", 1),
        ("completions", "text", 4),
        ("responses", "chat", 1),
    ],
)
def test_tasks_of_a_gateway(open_adapter: Open, task: str, kind: str, batch: int) -> None:
    adapter = open_adapter(MlflowAdapter, {"url": "http://h", "task": task, "batch_size": 4})
    assert (adapter.prompt_kind, adapter.batch_size) == (kind, batch)


def test_a_chat_model_behind_invocations(workspace: FakeWorkspace, open_adapter: Open) -> None:
    options = {
        "url": f"{workspace.url}/serving-endpoints/chat",
        "task": "chat",
        "token": {"env": "T"},
    }
    adapter = open_adapter(MlflowAdapter, options, environ={"T": workspace.token})
    assert ask(adapter, prompt="hi") == "Echo: hi That was 1 words. END"
