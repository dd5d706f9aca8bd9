"""The `databricks` adapter: host, task, memory, and what it says when something is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from adapters.conftest import FakeClock
from fakes.workspace import Endpoint, FakeWorkspace, Fault, fail, login_page, throttle

from dbrun.adapters.base import Request
from dbrun.adapters.databricks import DatabricksAdapter
from dbrun.context import Context, NoMemory
from dbrun.errors import AuthError, EndpointMissing, Rejected, RunError, UserError

Open = Callable[..., Any]
CLASSIC = {"prompt": "How are you?", "stop": ["."]}
ANSWER = "I am happy to hear that you are in good health"


@pytest.fixture
def served(workspace: FakeWorkspace, open_adapter: Open, clock: FakeClock) -> Callable[..., Any]:
    def make(name: str = "chat", **options: Any) -> Any:
        memory = options.pop("memory", None) or NoMemory()
        context = Context(
            environ=options.pop("environ", workspace.environ),
            memory=memory,
            clock=clock,
            offline=options.pop("offline", False),
        )
        prepare = options.pop("prepare", True)
        given = {"name": name, **options}
        return open_adapter(DatabricksAdapter, given, context=context, prepare=prepare)

    return make


def ask(adapter: Any, **fields: Any) -> Any:
    (answer,) = adapter.call([adapter.encode(Request(fields=fields or CLASSIC))], 5.0)
    return adapter.decode(answer.body).value


@pytest.mark.parametrize(
    ("name", "task", "value"),
    [
        ("chat", "chat", ANSWER),
        ("completions", "completions", ANSWER),
        ("reasoning", "chat", ANSWER),
        ("external", "chat", ANSWER),
        ("untyped", "chat", ANSWER),
        ("agent", "chat", ANSWER),
        ("agent-responses", "responses", ANSWER + "."),
        ("custom", "model", ANSWER),
        ("custom-dict", "model", {"text": ANSWER}),
        ("custom-series", "model", {"0": ANSWER}),
        ("custom-candidates", "model", {"candidates": [{"text": ANSWER}]}),
        ("custom-number", "model", 46),
    ],
)
def test_auto_finds_out_what_an_endpoint_does(
    served: Open, name: str, task: str, value: Any
) -> None:
    adapter = served(name)
    assert adapter.task == task
    assert ask(adapter) == value


def test_embeddings_are_vectors(served: Open) -> None:
    assert len(ask(served("embeddings"))) == 3


def test_a_task_that_is_set_is_not_looked_up(served: Open, workspace: FakeWorkspace) -> None:
    adapter = served("forbidden", task="chat")
    assert ask(adapter) == ANSWER
    assert [request.path for request in workspace.requests] == [
        "/serving-endpoints/forbidden/invocations"
    ]


def test_create_touches_neither_network_nor_credentials(
    served: Open, workspace: FakeWorkspace
) -> None:
    served("chat", environ={}, prepare=False)
    assert not workspace.requests


def test_a_served_model_has_its_own_path(served: Open, workspace: FakeWorkspace) -> None:
    adapter = served("chat", served_model="blue", task="chat")
    (answer,) = adapter.call([adapter.encode(Request(fields=CLASSIC))], 5.0)
    assert workspace.calls[0].path == "/serving-endpoints/chat/served-models/blue/invocations"
    assert answer.model == "blue"
    assert adapter.identity["served_model"] == "blue"


def test_names_are_percent_encoded(served: Open, workspace: FakeWorkspace) -> None:
    workspace.endpoints["a b/ü"] = Endpoint(kind="chat", task="llm/v1/chat")
    assert ask(served("a b/ü")) == ANSWER
    assert workspace.calls[0].path == "/serving-endpoints/a%20b%2F%C3%BC/invocations"


def test_the_identity_is_host_and_name(served: Open, workspace: FakeWorkspace) -> None:
    host = workspace.url.removeprefix("http://")
    assert served("chat").identity == {"host": host, "name": "chat"}


def test_no_model_is_named_in_the_body(served: Open, workspace: FakeWorkspace) -> None:
    ask(served("chat"), prompt="hi", max_tokens=3)
    assert workspace.bodies() == [
        {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}
    ]


def test_what_was_found_is_remembered_and_used_offline(
    served: Open, workspace: FakeWorkspace
) -> None:
    memory = NoMemory()
    online = served("custom", memory=memory)
    before = len(workspace.requests)
    offline = served("custom", memory=memory, environ={}, offline=True)
    assert (offline.task, offline.identity) == ("model", online.identity)
    assert offline.encode(Request(fields=CLASSIC)) == online.encode(Request(fields=CLASSIC))
    assert len(workspace.requests) == before


def test_a_workspace_that_never_told_anything_is_not_remembered(
    served: Open, workspace: FakeWorkspace
) -> None:
    memory = NoMemory()
    with pytest.raises(EndpointMissing):
        served("chatt", memory=memory)
    assert memory.recall("databricks:chatt") is None


def test_offline_and_never_asked_names_the_host(served: Open) -> None:
    with pytest.raises(UserError, match=r"endpoint.host: no host is set and none remembered"):
        served("chat", environ={}, offline=True)


def test_offline_with_several_hosts_names_the_host(served: Open) -> None:
    memory = NoMemory()
    memory.remember("databricks:chat", ["https://a.example", "https://b.example"])
    with pytest.raises(UserError, match=r"endpoint.host: .*several \(https://a.example, "):
        served("chat", environ={}, memory=memory, offline=True)


def test_offline_with_an_unknown_task_names_the_task(served: Open) -> None:
    with pytest.raises(UserError, match=r"endpoint.task: what 'chat' does is not known offline"):
        served("chat", offline=True)


def test_offline_needs_no_token(served: Open, workspace: FakeWorkspace) -> None:
    adapter = served("chat", task="chat", environ={}, host=workspace.url, offline=True)
    assert adapter.encode(Request(fields={"prompt": "hi"}))
    assert not workspace.requests


def test_a_look_that_fails_falls_back_on_memory(served: Open, workspace: FakeWorkspace) -> None:
    memory = NoMemory()
    served("custom", memory=memory)
    workspace.script([Fault(path="/api/2.0/", status=403, body={"error_code": "X"})])
    assert served("custom", memory=memory).task == "model"


@pytest.mark.parametrize("fault", [fail(500, path="/api"), login_page(path="/api")])
def test_a_look_that_fails_tells_to_set_the_task(
    served: Open, workspace: FakeWorkspace, fault: Fault
) -> None:
    workspace.script([fault])
    with pytest.raises(RunError, match=r"set endpoint\.task to one of"):
        served("chat")


def test_a_look_that_is_forbidden_tells_to_set_the_task(served: Open) -> None:
    with pytest.raises(RunError, match=r"\(403: PERMISSION_DENIED.*set endpoint.task"):
        served("forbidden")


def test_a_look_is_repeated_while_the_workspace_is_in_trouble(
    served: Open, workspace: FakeWorkspace, clock: FakeClock
) -> None:
    workspace.script([throttle(path="/api", times=1), fail(503, path="/api", times=1)])
    assert served("chat").task == "chat"
    assert clock.slept == [1.0, 2.0]


def test_an_endpoint_that_tells_nothing_needs_the_task(
    served: Open, workspace: FakeWorkspace
) -> None:
    workspace.endpoints["mute"] = Endpoint(kind="chat")
    with pytest.raises(UserError, match=r"endpoint.task: .* does not say what 'mute' does"):
        served("mute")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("chatt", "did you mean 'chat'"),
        ("zzzz", "check endpoint.name; there are agent, agent-responses, asleep"),
    ],
)
def test_a_name_that_is_not_there_is_answered_with_near_ones(
    served: Open, name: str, hint: str
) -> None:
    with pytest.raises(EndpointMissing) as caught:
        served(name)
    assert f"there is no serving endpoint '{name}' on 127.0.0.1" in str(caught.value)
    assert hint in str(caught.value)


def test_a_name_that_is_not_there_is_found_out_by_the_call_too(served: Open) -> None:
    with pytest.raises(EndpointMissing, match=r"nope/invocations is not there.*ENDPOINT_NOT_FOUND"):
        ask(served("nope", task="chat"))


def test_an_endpoint_that_is_not_ready_is_only_noted(served: Open) -> None:
    adapter = served("asleep")
    assert adapter.describe()["state"] == "NOT_READY"
    assert ask(adapter) == ANSWER


def test_the_manifest_names_host_task_and_version(served: Open, workspace: FakeWorkspace) -> None:
    told = served("custom").describe()
    assert told["host"] == workspace.url.removeprefix("http://")
    assert (told["adapter"], told["name"], told["task"]) == ("databricks", "custom", "model")
    assert told["served_entities"] == [
        {"name": "custom-1", "entity_name": "main.default.fake", "entity_version": "7"}
    ]


def test_a_permission_that_lacks_is_named(served: Open, workspace: FakeWorkspace) -> None:
    body = {"error_code": "PERMISSION_DENIED", "message": "no"}
    workspace.script([Fault(status=403, body=body)])
    with pytest.raises(AuthError, match=r"\*Can Query\* on 'chat'"):
        ask(served("chat", task="chat"))


def test_a_token_that_the_workspace_refuses_ends_the_run(
    served: Open, workspace: FakeWorkspace
) -> None:
    adapter = served("chat", task="chat")
    workspace.revoke()
    with pytest.raises(AuthError, match=r"refuses DATABRICKS_TOKEN.*Invalid access token"):
        ask(adapter)
    assert len(workspace.calls) == 2


def test_a_look_that_echoes_the_token_does_not_pass_it_on(
    served: Open, workspace: FakeWorkspace
) -> None:
    workspace.script([Fault(path="/api", status=403, body=f"you sent {workspace.token}")])
    with pytest.raises(RunError, match=r"you sent \*\*\*") as caught:
        served("chat")
    assert workspace.token not in str(caught.value)


def test_an_unknown_parameter_is_told_with_its_mend(served: Open) -> None:
    with pytest.raises(Rejected, match=r'unknown field "seed"; remove params.seed'):
        ask(served("chat"), prompt="hi", seed=1)


def test_completions_of_one_group_share_a_call(served: Open, workspace: FakeWorkspace) -> None:
    adapter = served("completions", batch_size=8)
    bodies = [adapter.encode(Request(fields={"prompt": prompt})) for prompt in ("a", "b c")]
    values = [adapter.decode(answer.body).value for answer in adapter.call(bodies, 5.0)]
    assert values == ["Echo: a That was 1 words. END", "Echo: b c That was 2 words. END"]
    assert len(workspace.calls) == 1


def test_params_of_a_model_go_where_the_spec_says(served: Open, workspace: FakeWorkspace) -> None:
    request = Request(fields={"prompt": "hi", "top_k": 3}, params=frozenset({"top_k"}))
    as_columns = served("custom").encode(request)
    as_params = served("custom", params_as="params", format="dataframe_records").encode(request)
    assert as_columns == {"dataframe_split": {"columns": ["prompt", "top_k"], "data": [["hi", 3]]}}
    assert as_params == {"dataframe_records": [{"prompt": "hi"}], "params": {"top_k": 3}}
