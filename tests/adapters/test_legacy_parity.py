"""What LangChain's `Databricks` LLM class did, line by line, and where dbrun does it.

Sections as in its documentation: parameters, credentials, task detection, requests, answers,
headers, serialisation; at the end its known defects, each shown to be absent. What the run loop
adds (order of transforms, cutting at stop strings, retries) is tested with the loop.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from adapters.conftest import Canned, FakeClock, response
from fakes.workspace import CLIENT, CLUSTER, Endpoint, FakeWorkspace

from dbrun.adapters.base import Request
from dbrun.adapters.databricks import DatabricksAdapter
from dbrun.adapters.driver_proxy import DriverProxyAdapter
from dbrun.client.login.hosts import base_url
from dbrun.context import Context
from dbrun.errors import AuthError, EndpointMissing, Malformed, Rejected
from dbrun.spec.model import EndpointSpec

Open = Callable[..., Any]
Json = Any
SERVING, PROXY = DatabricksAdapter, DriverProxyAdapter
APP = {"cluster_id": CLUSTER, "port": 7777}


@pytest.fixture
def serving(workspace: FakeWorkspace, open_adapter: Open, clock: FakeClock) -> Open:
    def make(name: str, **options: Any) -> Any:
        context = Context(environ=workspace.environ, clock=clock)
        return open_adapter(SERVING, {"name": name, **options}, context=context)

    return make


@pytest.fixture
def driver(workspace: FakeWorkspace, open_adapter: Open) -> Open:
    def make(**options: Any) -> Any:
        return open_adapter(PROXY, {**APP, **options}, environ=workspace.environ)

    return make


def call(adapter: Any, request: Mapping[str, Json]) -> Any:
    """The answer to a request mapping, decoded."""
    (answer,) = adapter.call([adapter.encode(Request(fields=request))], 5.0)
    return adapter.decode(answer.body)


# --- Constructor parameters ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("legacy", "adapter", "option"),
    [
        ("host", SERVING, "host"),
        ("api_token", SERVING, "token"),
        ("endpoint_name", SERVING, "name"),
        ("databricks_uri (databricks://profile)", SERVING, "profile"),
        ("task", SERVING, "task"),
        ("host", PROXY, "host"),
        ("api_token", PROXY, "token"),
        ("cluster_id", PROXY, "cluster_id"),
        ("cluster_driver_port", PROXY, "port"),
    ],
)
def test_a_constructor_parameter_is_an_option(legacy: str, adapter: Any, option: str) -> None:
    told = adapter.options["properties"][option]
    assert told["description"], legacy


@pytest.mark.parametrize("param", ["temperature", "n", "max_tokens", "top_k"])
@pytest.mark.parametrize("name", ["chat", "completions", "custom", "driver"])
def test_temperature_n_max_tokens_and_extra_params_are_params_everywhere(
    serving: Open, driver: Open, name: str, param: str
) -> None:
    """The class sent the first three to LLM tasks only; a spec's params are always sent."""
    adapter = driver() if name == "driver" else serving(name)
    request = Request(fields={"prompt": "hi", param: 1}, params=frozenset({param}))
    assert param in json.dumps(adapter.encode(request))


@pytest.mark.parametrize("param", ["allow_dangerous_deserialization", "model_kwargs"])
@pytest.mark.parametrize("adapter", [SERVING, PROXY])
def test_what_is_gone_is_no_option(adapter: Any, param: str) -> None:
    assert param not in adapter.options["properties"]


def test_a_port_is_a_number_above_zero() -> None:
    port = PROXY.options["properties"]["port"]
    assert (port["type"], port["minimum"], port["maximum"]) == ("integer", 1, 65535)


@pytest.mark.parametrize(
    ("adapter", "option"),
    [(SERVING, "cluster_id"), (SERVING, "port"), (PROXY, "name"), (PROXY, "endpoint_name")],
)
def test_both_targets_cannot_be_set(adapter: Any, option: str) -> None:
    """Serving endpoint and driver are two adapters: neither knows the other's options."""
    assert option not in adapter.options["properties"]


@pytest.mark.parametrize(
    ("adapter", "required"), [(SERVING, ["name"]), (PROXY, ["cluster_id", "port"])]
)
def test_a_target_must_be_set(adapter: Any, required: list[str]) -> None:
    assert adapter.options["required"] == required


# --- Host and token -----------------------------------------------------------------------


def test_explicit_beats_the_environment_on_serving_endpoints_too(
    workspace: FakeWorkspace, open_adapter: Open
) -> None:
    """The class ignored an explicit host and token there."""
    environ = {
        "DATABRICKS_HOST": "https://other.example",
        "DATABRICKS_TOKEN": "other",
        "MINE": workspace.token,
    }
    options = {
        "name": "chat",
        "task": "chat",
        "host": workspace.url,
        "token": {"env": "MINE"},
    }
    adapter = open_adapter(SERVING, options, environ=environ)
    assert call(adapter, {"prompt": "hi"}).value.startswith("Echo: hi")
    assert workspace.calls[0].headers["authorization"] == f"Bearer {workspace.token}"


@pytest.mark.parametrize(
    ("adapter", "options"), [(SERVING, {"name": "chat", "task": "chat"}), (PROXY, APP)]
)
def test_host_and_token_of_the_environment(
    workspace: FakeWorkspace, open_adapter: Open, adapter: Any, options: dict[str, Any]
) -> None:
    opened = open_adapter(adapter, options, environ=workspace.environ)
    assert call(opened, {"prompt": "hi"}).value.startswith("Echo: hi")


# --- Task detection -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("detail", "task"),
    [
        (Endpoint(kind="chat", task="llm/v1/chat"), "chat"),
        (Endpoint(kind="completions", task="llm/v1/completions"), "completions"),
        (Endpoint(kind="custom-candidates", task="llama2/chat"), "model"),
        (Endpoint(kind="chat", endpoint_type="EXTERNAL_MODEL"), "chat"),
        (Endpoint(kind="chat", endpoint_type="FOUNDATION_MODEL_API"), "chat"),
        # Without endpoint_type the class took a chat endpoint for a custom one.
        (Endpoint(kind="chat", entity={"foundation_model": {"name": "f"}}), "chat"),
        (Endpoint(kind="custom", entity={"entity_name": "m"}), "model"),
    ],
)
def test_the_task_is_found(
    workspace: FakeWorkspace, serving: Open, detail: Endpoint, task: str
) -> None:
    workspace.endpoints["asked"] = detail
    adapter = serving("asked")
    assert adapter.task == task
    assert call(adapter, {"prompt": "How are you?"}).value


def test_a_task_that_is_given_needs_no_look(workspace: FakeWorkspace, serving: Open) -> None:
    serving("forbidden", task="chat")
    assert not workspace.requests


# --- Requests -----------------------------------------------------------------------------

ASKED = {"prompt": "hi", "top_k": 3, "stop": ["X"]}
MESSAGES = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("name", "options", "body"),
    [
        ("chat", {}, {"messages": MESSAGES, "top_k": 3, "stop": ["X"]}),
        ("completions", {}, {"prompt": "hi", "top_k": 3, "stop": ["X"]}),
        (
            "custom",
            {"format": "dataframe_records"},
            {"dataframe_records": [{"prompt": "hi", "top_k": 3, "stop": ["X"]}]},
        ),
        (
            "custom",
            {},
            {
                "dataframe_split": {
                    "columns": ["prompt", "stop", "top_k"],
                    "data": [["hi", ["X"], 3]],
                }
            },
        ),
        ("driver", {}, {"prompt": "hi", "top_k": 3, "stop": ["X"]}),
    ],
)
def test_the_body_without_transforms(
    workspace: FakeWorkspace,
    serving: Open,
    driver: Open,
    name: str,
    options: dict[str, Any],
    body: Json,
) -> None:
    adapter = driver() if name == "driver" else serving(name, **options)
    call(adapter, ASKED)
    assert workspace.bodies() == [body]


def transform_input_fn(**request: Any) -> Json:
    """As the class's documentation has it: extras are passed, `stop` is absent when unset."""
    return {"prompt": f"<s>{request['prompt']}</s>", "asked": sorted(request)}


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("driver", {"prompt": "<s>hi</s>", "asked": ["prompt"]}),
        ("custom", {"dataframe_records": [{"prompt": "<s>hi</s>", "asked": ["prompt"]}]}),
    ],
)
def test_what_the_input_transform_returns_replaces_the_request(
    workspace: FakeWorkspace, serving: Open, driver: Open, name: str, body: Json
) -> None:
    """On custom endpoints it is the record inside the envelope, not the envelope."""
    adapter = driver() if name == "driver" else serving(name, format="dataframe_records")
    call(adapter, transform_input_fn(prompt="hi"))
    assert workspace.bodies() == [body]


def test_an_input_transform_may_build_the_messages(workspace: FakeWorkspace, serving: Open) -> None:
    call(serving("chat"), {"messages": MESSAGES, "max_tokens": 5})
    assert workspace.bodies() == [{"messages": MESSAGES, "max_tokens": 5}]


# --- Answers ------------------------------------------------------------------------------

SAID = "I am happy to hear that you are in good health."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("chat", SAID),
        ("completions", SAID),
        ("custom", SAID),
        ("custom-dict", {"text": SAID}),
        ("custom-candidates", {"candidates": [{"text": SAID}]}),
        ("custom-number", 47),
        ("driver", SAID),
    ],
)
def test_what_an_output_transform_is_handed(
    serving: Open, driver: Open, name: str, value: Json
) -> None:
    """`choices[0]`'s text, the row's prediction of any type, or the driver's parsed JSON."""
    adapter = driver() if name == "driver" else serving(name)
    assert call(adapter, {"prompt": "How are you?"}).value == value


@pytest.mark.parametrize("name", ["chat", "completions"])
def test_the_full_response_is_there_for_from_raw(serving: Open, name: str) -> None:
    told = call(serving(name), {"prompt": "How are you?"})
    assert told.body["choices"][0]["finish_reason"] == "stop"


def test_an_object_of_a_driver_is_handed_over_parsed(driver: Open) -> None:
    told = call(driver(path="object"), {"prompt": "How are you?"})
    assert told.value == {"answer": SAID, "asked": {"prompt": "How are you?"}}


def test_stop_is_honoured_by_the_model(serving: Open, driver: Open) -> None:
    for adapter in (serving("custom"), serving("chat"), driver()):
        assert call(adapter, {"prompt": "How are you?", "stop": ["."]}).value == SAID[:-1]


def test_an_empty_list_of_predictions_is_told(open_adapter: Open, serving: Open) -> None:
    """The class ended in an IndexError."""
    with pytest.raises(Malformed, match="1 row was sent and 0 predictions came"):
        serving("custom").decode({"predictions": []})


# --- Headers ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["chat", "driver"])
def test_headers_on_the_wire(
    workspace: FakeWorkspace, serving: Open, driver: Open, name: str
) -> None:
    call(driver() if name == "driver" else serving(name), {"prompt": "hi"})
    headers = workspace.calls[0].headers
    assert headers["authorization"] == f"Bearer {workspace.token}"
    assert headers["content-type"] == "application/json"
    assert headers["user-agent"].startswith("dbrun/")


def test_a_driver_is_given_a_timeout_and_its_own_words_are_kept(open_adapter: Open) -> None:
    """The class had no timeout there, and said `HTTP <status> error: <body text>`."""
    transport = Canned(response("worker crashed", 500, "text/plain"))
    options = {**APP, "host": "https://h", "token": {"env": "T"}}
    adapter = open_adapter(PROXY, options, environ={"T": "t"}, transport=transport)
    with pytest.raises(Exception, match="500 Internal Server Error: worker crashed"):
        adapter.call([{"prompt": "hi"}], 7.0)
    assert transport.timeouts == [7.0]


# --- Serialisation ------------------------------------------------------------------------


def test_a_spec_pickles_and_holds_no_token(workspace: FakeWorkspace) -> None:
    spec = EndpointSpec(adapter="databricks", options={"name": "e", "token": {"env": "T"}})
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert workspace.token not in repr(spec)


# --- Defects that are not there -----------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("https://staging.example.com", "https://staging.example.com"),  # was aging.example.com
        ("https://tests.example.com", "https://tests.example.com"),  # was ests.example.com
        ("https://my.host/", "https://my.host"),  # was https://https://my.host//…
    ],
)
def test_a_host_is_parsed_and_not_stripped_of_characters(written: str, url: str) -> None:
    assert base_url(written) == url


def test_an_explicit_host_with_scheme_and_slash_gives_one_url(open_adapter: Open) -> None:
    transport = Canned(response('"hi"'))
    options = {**APP, "host": "https://my.host/", "token": {"env": "T"}}
    adapter = open_adapter(PROXY, options, environ={"T": "t"}, transport=transport)
    call(adapter, {"prompt": "hi"})
    assert transport.sent[0].url == f"https://my.host/driver-proxy-api/o/0/{CLUSTER}/7777"


@pytest.mark.parametrize("name", ["custom", "driver"])
def test_stop_and_params_of_the_spec_reach_custom_endpoints_and_drivers(
    workspace: FakeWorkspace, serving: Open, driver: Open, name: str
) -> None:
    """The class dropped the constructor's stop, temperature, n and max_tokens there."""
    call(driver() if name == "driver" else serving(name), {**ASKED, "temperature": 0.5})
    sent = json.dumps(workspace.bodies())
    assert all(part in sent for part in ('"X"', "0.5", "top_k"))


def test_a_prompt_becomes_a_message_on_chat(workspace: FakeWorkspace, serving: Open) -> None:
    """The class sent `prompt`, which the gateway refuses."""
    call(serving("chat"), {"prompt": "hi"})
    assert workspace.bodies() == [{"messages": MESSAGES}]
    with pytest.raises(Rejected, match='unknown field "prompt"'):
        _as_sent(serving("chat"), {"prompt": "hi"})


@pytest.mark.parametrize("stop", [None, []])
@pytest.mark.parametrize("name", ["external", "chat", "completions", "custom", "driver"])
def test_no_stop_is_ever_null_or_empty(
    workspace: FakeWorkspace, serving: Open, driver: Open, name: str, stop: Any
) -> None:
    adapter = driver() if name == "driver" else serving(name)
    call(adapter, {"prompt": "hi", "stop": stop})
    assert "stop" not in json.dumps(workspace.bodies())


def test_a_null_stop_is_what_the_provider_would_refuse(serving: Open) -> None:
    with pytest.raises(Rejected, match=r"stop was not of type List\[String\]: null"):
        _as_sent(serving("external"), {"messages": MESSAGES, "stop": None})


def test_nothing_is_sent_that_nobody_set(workspace: FakeWorkspace, serving: Open) -> None:
    """The class sent temperature 0.0 and n 1 unasked, which newer models refuse."""
    call(serving("completions"), {"prompt": "hi"})
    assert workspace.bodies() == [{"prompt": "hi"}]


def test_a_token_that_expires_half_way_is_renewed(
    workspace: FakeWorkspace, open_adapter: Open
) -> None:
    """The class captured it once; long jobs failed after an hour."""
    environ = {
        "DATABRICKS_HOST": workspace.url,
        "DATABRICKS_CLIENT_ID": CLIENT[0],
        "DATABRICKS_CLIENT_SECRET": CLIENT[1],
    }
    adapter = open_adapter(SERVING, {"name": "chat", "task": "chat"}, environ=environ)
    for _ in range(3):
        call(adapter, {"prompt": "hi"})
        workspace.revoke()
    tokens = [request.headers["authorization"] for request in workspace.calls]
    assert tokens == [
        "Bearer oauth-token-1",
        "Bearer oauth-token-1",  # refused
        "Bearer oauth-token-2",
        "Bearer oauth-token-2",  # refused
        "Bearer oauth-token-3",
    ]


def test_usage_and_finish_reason_are_kept(serving: Open) -> None:
    told = call(serving("chat"), {"prompt": "a b c", "max_tokens": 2})
    assert (told.value, told.finish_reason) == ("Echo: a", "length")
    assert (told.usage.input_tokens, told.usage.output_tokens) == (3, 2)


def test_predictions_of_any_type_are_no_error(serving: Open) -> None:
    """The class refused what was no text."""
    assert call(serving("custom-number"), {"prompt": "How are you?"}).value == 47


def test_several_rows_may_share_a_call(workspace: FakeWorkspace, serving: Open) -> None:
    adapter = serving("custom", batch_size=2)
    bodies = [adapter.encode(Request(fields={"prompt": text})) for text in ("a", "b")]
    assert len(adapter.call(bodies, 5.0)) == 2
    assert len(workspace.calls) == 1


@pytest.mark.parametrize(
    ("adapter", "options", "kind", "said"),
    [
        (SERVING, {"name": "chat"}, AuthError, "DATABRICKS_TOKEN is set without DATABRICKS_HOST"),
        (PROXY, APP, AuthError, "DATABRICKS_TOKEN is set without DATABRICKS_HOST"),
    ],
)
def test_what_is_missing_is_named(
    workspace: FakeWorkspace,
    open_adapter: Open,
    adapter: Any,
    options: dict[str, Any],
    kind: type,
    said: str,
) -> None:
    environ = {"DATABRICKS_TOKEN": workspace.token}
    given = {**options, "host": workspace.url, **({"task": "chat"} if adapter is SERVING else {})}
    opened = open_adapter(adapter, given, environ=environ)
    with pytest.raises(kind, match=said):
        call(opened, {"prompt": "hi"})


def test_an_endpoint_that_is_not_there_ends_the_run(serving: Open) -> None:
    with pytest.raises(EndpointMissing, match="did you mean 'chat'"):
        serving("chatt")


def _as_sent(adapter: Any, body: Json) -> None:
    """Send *body* as the class would have, past the wire."""
    adapter.call([body], 5.0)
