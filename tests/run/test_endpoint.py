"""An endpoint as a Python object: what the legacy class's documentation shows, line by line."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from fakes.workspace import CLUSTER, TOKEN, FakeWorkspace, fail, throttle

import dbrun
from dbrun.errors import AuthError, EndpointMissing, Rejected, Unavailable, UserError

HAPPY = "I am happy to hear that you are in good health."


@pytest.fixture
def workspace() -> Iterator[FakeWorkspace]:
    with FakeWorkspace() as made:
        yield made


def open_endpoint(workspace: FakeWorkspace, adapter: str = "databricks", **options: Any) -> Any:
    if adapter == "databricks":
        options = {"name": "chat", **options}
    return dbrun.endpoint(adapter, environ=workspace.environ, **options)


def test_an_endpoint_by_name(workspace) -> None:
    with open_endpoint(workspace) as llm:
        assert llm.invoke("How are you?") == HAPPY
        assert llm.invoke("How are you?", stop=["."]) == HAPPY.rstrip(".")
    assert workspace.calls[0].json == {"messages": [{"role": "user", "content": "How are you?"}]}
    assert workspace.calls[1].json["stop"] == ["."]


def test_stop_of_a_call_comes_in_place_of_the_endpoints_own(workspace) -> None:
    with open_endpoint(workspace, stop="happy") as llm:
        assert llm.invoke("How are you?") == "I am "
        assert llm.invoke("How are you?", stop=[" to "]) == "I am happy"
        assert llm.invoke("How are you?", stop=[]) == HAPPY
    assert [call.json.get("stop") for call in workspace.calls] == [["happy"], [" to "], None]


def test_transform_functions(workspace) -> None:
    def transform_input(**request: Any) -> dict[str, Any]:
        full_prompt = f"{request['prompt']}\nBe concise."
        request["prompt"] = full_prompt
        return request

    def transform_output(response: str) -> str:
        return response.upper()

    with open_endpoint(
        workspace,
        name="custom",
        transform_input_fn=transform_input,
        transform_output_fn=transform_output,
        params={"temperature": 0.1},
    ) as llm:
        assert llm.invoke("Hi").startswith("ECHO: HI\nBE CONCISE.")
    (columns,) = [workspace.calls[0].json["dataframe_split"]["columns"]]
    assert sorted(columns) == ["prompt", "temperature"]


@pytest.mark.parametrize("port", [7777, 3000])
def test_a_driver_proxy_application_by_cluster_and_port(workspace, port) -> None:
    with open_endpoint(workspace, "databricks-proxy", cluster_id=CLUSTER, port=port) as llm:
        assert llm.invoke("hello. there", stop=["."]) == "Echo: hello"
    assert workspace.calls[0].path == f"/driver-proxy-api/o/0/{CLUSTER}/{port}"
    assert workspace.calls[0].json == {"prompt": "hello. there", "stop": ["."]}


def test_host_and_token_as_arguments(workspace) -> None:
    with dbrun.endpoint(
        "databricks", name="chat", host=workspace.url, token=TOKEN, environ={}
    ) as llm:
        assert llm.invoke("How are you?") == HAPPY


def test_a_token_from_a_secret(workspace) -> None:
    workspace.secrets["scope", "key"] = TOKEN
    with open_endpoint(workspace, token={"secret": "scope/key"}) as llm:
        assert llm.invoke("How are you?") == HAPPY


def test_equal_prompts_are_separate_calls(workspace) -> None:
    with open_endpoint(workspace) as llm:
        assert llm.batch(["How are you?"] * 3) == [HAPPY] * 3
    assert len(workspace.calls) == 3


def test_a_batch_comes_in_order_within_its_concurrency(workspace) -> None:
    workspace.latency = 0.02
    with open_endpoint(workspace) as llm:
        said = llm.batch([f"number {number}" for number in range(20)], concurrency=4)
    assert [line.split()[2] for line in said] == [str(number) for number in range(20)]
    assert 2 <= workspace.peak_in_flight <= 4


@pytest.mark.parametrize("concurrency", [0, -1])
def test_a_batch_of_nobody_is_refused_before_anything_is_asked(workspace, concurrency) -> None:
    with open_endpoint(workspace) as llm:
        with pytest.raises(UserError, match="concurrency: at least 1 is wanted"):
            llm.batch(["a"], concurrency=concurrency)
        with pytest.raises(UserError, match="concurrency: at least 1 is wanted"):
            asyncio.run(llm.abatch(["a"], concurrency=concurrency))
    assert not workspace.calls


def test_errors_of_a_batch_as_values(workspace) -> None:
    workspace.script([fail(400, contains="bad")])
    with open_endpoint(workspace) as llm:
        good, bad = llm.batch(["good", "bad"], return_exceptions=True)
        assert good.startswith("Echo: good")
        assert isinstance(bad, Rejected)
        with pytest.raises(Rejected):
            llm.batch(["good", "bad"])


def test_rate_limits_are_waited_for_and_tries_are_counted(workspace) -> None:
    workspace.script([throttle(retry_after=0, first=2), fail(503, at=(3, 4, 5, 6))])
    with open_endpoint(workspace, limits={"attempts": 1}) as llm, pytest.raises(Unavailable):
        llm.invoke("How are you?")
    assert len(workspace.calls) == 3


def test_messages_instead_of_a_prompt(workspace) -> None:
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]
    with open_endpoint(workspace) as llm:
        llm.invoke(messages, temperature=0)
    assert workspace.calls[0].json == {"messages": messages, "temperature": 0}


def test_a_prompt_that_is_none(workspace) -> None:
    with open_endpoint(workspace) as llm, pytest.raises(TypeError, match="a text or a list of"):
        llm.invoke(3)
    assert not workspace.calls


def test_trouble_that_concerns_every_prompt(workspace) -> None:
    with open_endpoint(workspace, name="not-there", task="chat") as llm:
        with pytest.raises(EndpointMissing, match="not-there"):
            llm.invoke("x")
    with open_endpoint(workspace, token="wrong") as llm:
        with pytest.raises(AuthError) as caught:
            llm.invoke("x")
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"endpoint_name": "chat"}, "has no option 'endpoint_name'; write name"),
        ({"api_token": "x"}, "has no option 'api_token'; write token"),
        ({"model": "x"}, "has no option 'model'; write name"),
        ({"base_url": "x"}, "has no option 'base_url'; write host"),
        ({"n": 2}, "has no option 'n'; write params={'n': …}"),
        ({"max_retries": 2}, "has no option 'max_retries'; write limits={'attempts': …}"),
        ({"nme": "chat"}, "databricks has no option 'nme'; did you mean 'name'?"),
        ({}, "databricks: 'name' is a required property"),
        ({"name": 7}, "name: 7 is not of type 'string'"),
        ({"name": "x", "limits": {"atempts": 3}}, "limits: .*atempts"),
        (
            {"name": "x", "transform_output_fn": "transforms:first_word"},
            "transform_output_fn wants a function, found a text; pass the function itself",
        ),
        (
            {"name": "x", "transform_input_fn": b"\x80\x04"},
            "transform_input_fn wants a function, found an object of bytes",
        ),
    ],
)
def test_what_a_person_gets_wrong(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        dbrun.endpoint("databricks", environ={}, **options)


def test_an_unknown_adapter_is_answered_with_its_neighbours() -> None:
    with pytest.raises(UserError, match="unknown adapter 'databrick'; did you mean 'databricks'"):
        dbrun.endpoint("databrick", environ={})


def test_a_closed_endpoint_says_so(workspace: FakeWorkspace) -> None:
    with open_endpoint(workspace) as llm:
        llm.invoke("x")
    with pytest.raises(UserError, match="this endpoint was closed"):
        llm.invoke("x")


def test_an_endpoint_is_made_where_it_is_used() -> None:
    llm = dbrun.endpoint("python", function="math:sqrt")
    with llm, pytest.raises(TypeError, match="cannot be pickled: make it where it is used"):
        pickle.dumps(llm)
