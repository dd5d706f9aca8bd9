"""The `databricks-proxy` adapter: an application on a cluster's driver."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fakes.workspace import CLUSTER, FakeWorkspace, Fault

from dbrun.adapters.base import Request
from dbrun.adapters.driver_proxy import DriverProxyAdapter
from dbrun.context import Context, NoMemory
from dbrun.errors import AuthError, EndpointMissing
from dbrun.spec.model import Concurrency

Open = Callable[..., Any]


@pytest.fixture
def app(workspace: FakeWorkspace, open_adapter: Open) -> Callable[..., Any]:
    def make(**options: Any) -> Any:
        given = {"cluster_id": CLUSTER, "port": 7777, **options}
        return open_adapter(DriverProxyAdapter, given, environ=workspace.environ)

    return make


def ask(adapter: Any, **fields: Any) -> Any:
    (answer,) = adapter.call([adapter.encode(Request(fields=fields))], 5.0)
    return adapter.decode(answer.body).value


def test_the_body_is_flat_and_the_answer_any_json(app: Open, workspace: FakeWorkspace) -> None:
    adapter = app()
    assert ask(adapter, prompt="How are you?", stop=["."], top_k=3).endswith("good health")
    assert workspace.calls[0].path == f"/driver-proxy-api/o/0/{CLUSTER}/7777"
    assert workspace.bodies() == [{"prompt": "How are you?", "stop": ["."], "top_k": 3}]


def test_an_object_is_the_value_whole(app: Open) -> None:
    told = ask(app(path="/object"), prompt="hi")
    assert told["asked"] == {"prompt": "hi"}


@pytest.mark.parametrize(
    ("task", "path"), [("chat", "v1/chat/completions"), ("completions", "v1/completions")]
)
def test_a_model_server_on_the_driver(
    app: Open, workspace: FakeWorkspace, task: str, path: str
) -> None:
    adapter = app(task=task, model="llama")
    assert ask(adapter, prompt="hi") == "Echo: hi That was 1 words. END"
    assert workspace.calls[0].path == f"/driver-proxy-api/o/0/{CLUSTER}/7777/{path}"
    assert workspace.bodies()[0]["model"] == "llama"


def test_the_org_is_part_of_path_and_identity(app: Open, workspace: FakeWorkspace) -> None:
    workspace.org = "1234"
    adapter = app(org_id="1234", path="object")
    ask(adapter, prompt="hi")
    assert workspace.calls[0].path == f"/driver-proxy-api/o/1234/{CLUSTER}/7777/object"
    assert adapter.identity == {
        "host": workspace.url.removeprefix("http://"),
        "org_id": "1234",
        "cluster_id": CLUSTER,
        "port": 7777,
        "path": "object",
    }
    assert adapter.describe()["adapter"] == "databricks-proxy"


def test_the_org_that_the_address_tells_is_remembered(
    open_adapter: Open, workspace: FakeWorkspace
) -> None:
    """`?o=` is no part of the host that a run without one remembers, and the key must not move."""
    memory = NoMemory()
    options = {"cluster_id": CLUSTER, "port": 7777}
    environ = {**workspace.environ, "DATABRICKS_HOST": f"{workspace.url}/?o=1234567890#job/1"}
    first = open_adapter(
        DriverProxyAdapter, options, context=Context(environ=environ, memory=memory)
    )
    later = open_adapter(
        DriverProxyAdapter, options, context=Context(environ={}, memory=memory, offline=True)
    )
    assert first.identity["org_id"] == "1234567890"
    assert later.identity == first.identity


@pytest.mark.parametrize(
    ("host", "options", "org"),
    [
        ("adb-42.7.azuredatabricks.net", {}, "42"),
        ("https://adb-42.7.azuredatabricks.net/?o=43", {}, "43"),
        ("adb-42.7.azuredatabricks.net", {"org_id": "0"}, "0"),
        ("my.cloud.databricks.com", {}, "0"),
    ],
)
def test_the_org_of_a_host(
    open_adapter: Open, host: str, options: dict[str, str], org: str
) -> None:
    options = {"cluster_id": CLUSTER, "port": 7777, "host": host, **options}
    adapter = open_adapter(DriverProxyAdapter, options)
    assert adapter.identity["org_id"] == org


def test_four_calls_at_once_are_usual() -> None:
    assert DriverProxyAdapter.concurrency == Concurrency.fixed(4)


def test_a_wrong_org_is_told_with_what_to_check(app: Open) -> None:
    with pytest.raises(EndpointMissing, match=r"org_id \(on Azure the workspace's id\)"):
        ask(app(org_id="9"), prompt="hi")


def test_a_cluster_that_is_off_ends_the_run(app: Open) -> None:
    with pytest.raises(EndpointMissing, match=r"switched off: .*Cluster 0000-x is not running"):
        ask(app(cluster_id="0000-x"), prompt="hi")


def test_the_permission_that_lacks_is_named(app: Open, workspace: FakeWorkspace) -> None:
    workspace.script([Fault(status=403, body={"error_code": "PERMISSION_DENIED", "message": "x"})])
    with pytest.raises(AuthError, match=r"\*Can Attach To\* on cluster 0101"):
        ask(app(), prompt="hi")


def test_messages_may_be_sent_to_an_application(app: Open) -> None:
    adapter = app()
    messages = [{"role": "user", "content": "hi"}]
    assert adapter.encode(Request(fields={"messages": messages})) == {"messages": messages}
    assert adapter.prompt_kind == "any"
