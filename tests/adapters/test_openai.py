"""The `openai` adapter: addresses, tasks, identity."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from adapters.conftest import Canned, response
from fakes.workspace import FakeWorkspace

from dbrun.adapters.base import Request
from dbrun.adapters.openai import OpenAIAdapter, below
from dbrun.errors import EndpointMissing

Open = Callable[..., Any]


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("https://h/v1", "https://h/v1/chat/completions"),
        ("https://h/v1/", "https://h/v1/chat/completions"),
        ("http://10.0.0.5:8000", "http://10.0.0.5:8000/chat/completions"),
        ("https://h/openai?api-version=2", "https://h/openai/chat/completions?api-version=2"),
    ],
)
def test_the_path_goes_below_the_base(base: str, url: str) -> None:
    assert below(base, "chat/completions") == url


@pytest.mark.parametrize(
    ("task", "path", "key", "kind"),
    [
        ("chat", "/v1/chat/completions", "messages", "chat"),
        ("completions", "/v1/completions", "prompt", "text"),
        ("embeddings", "/v1/embeddings", "input", "text"),
        ("responses", "/v1/responses", "input", "chat"),
    ],
)
def test_each_task_has_its_path_and_body(
    open_adapter: Open, task: str, path: str, key: str, kind: str
) -> None:
    transport = Canned(response("{}"))
    options = {"base_url": "https://h/v1", "task": task, "model": "m"}
    adapter = open_adapter(OpenAIAdapter, options, transport=transport)
    body = adapter.encode(Request(fields={"prompt": "hi"}))
    adapter.call([body], 1.0)
    sent = transport.sent[0]
    assert sent.url == f"https://h{path}"
    assert set(json.loads(sent.body or b"")) == {"model", key}
    assert adapter.prompt_kind == kind


def test_the_model_of_a_transform_beats_that_of_the_spec(open_adapter: Open) -> None:
    options = {"base_url": "https://h/v1", "model": "m"}
    adapter = open_adapter(OpenAIAdapter, options, transport=Canned())
    assert adapter.encode(Request(fields={"prompt": "hi", "model": "n"}))["model"] == "n"


def test_the_base_url_is_the_identity(open_adapter: Open) -> None:
    one = open_adapter(OpenAIAdapter, {"base_url": "https://h/v1/", "model": "a"})
    other = open_adapter(OpenAIAdapter, {"base_url": "https://h/v1", "model": "b"})
    assert one.identity == other.identity == {"base_url": "https://h/v1"}
    assert one.describe() == {"adapter": "test", "url": one.url, "model": "a"}


def test_rows_travel_together_where_the_task_takes_lists(open_adapter: Open) -> None:
    sizes = {
        task: open_adapter(
            OpenAIAdapter, {"base_url": "https://h", "task": task, "batch_size": 4}
        ).batch_size
        for task in ("chat", "completions", "embeddings", "responses")
    }
    assert sizes == {"chat": 1, "completions": 4, "embeddings": 4, "responses": 1}


def test_a_missing_model_names_what_to_check(open_adapter: Open) -> None:
    body = '{"error":{"message":"The model `m` does not exist","code":"model_not_found"}}'
    adapter = open_adapter(
        OpenAIAdapter, {"base_url": "https://h/v1"}, transport=Canned(response(body, 404))
    )
    with pytest.raises(EndpointMissing) as caught:
        adapter.call([adapter.encode(Request(fields={"prompt": "hi"}))], 1.0)
    assert "https://h/v1/chat/completions is not there" in str(caught.value)
    assert "check endpoint.base_url and endpoint.model" in str(caught.value)


def test_a_workspace_speaks_it_too(workspace: FakeWorkspace, open_adapter: Open) -> None:
    options = {
        "base_url": f"{workspace.url}/serving-endpoints",
        "model": "chat",
        "api_key": {"env": "TOKEN"},
    }
    adapter = open_adapter(OpenAIAdapter, options, environ={"TOKEN": workspace.token})
    body = adapter.encode(Request(fields={"prompt": "How are you?", "stop": ["."]}))
    (answer,) = adapter.call([body], 5.0)
    assert adapter.decode(answer.body).value == "I am happy to hear that you are in good health"


def test_a_key_may_be_a_secret_of_the_workspace(
    workspace: FakeWorkspace, open_adapter: Open
) -> None:
    workspace.secrets["llm", "key"] = workspace.token + "\n"
    options = {
        "base_url": f"{workspace.url}/serving-endpoints",
        "model": "chat",
        "api_key": {"secret": "llm/key"},
    }
    adapter = open_adapter(OpenAIAdapter, options, environ=workspace.environ)
    for _ in range(2):
        adapter.call([adapter.encode(Request(fields={"prompt": "hi"}))], 5.0)
    paths = [request.path for request in workspace.requests]
    assert paths.count("/api/2.0/secrets/get") == 1
