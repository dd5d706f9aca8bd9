"""What is said of keys that are not known: the key that was meant."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.spec.hints import for_name, for_score, for_unknown, nearest
from dbrun.spec.nodes import Path
from dbrun.spec.schema import read_schema

SCHEMA = read_schema()
TOP = SCHEMA["properties"]
DATABRICKS = SCHEMA["$defs"]["adapter_databricks"]["properties"]
PROXY = SCHEMA["$defs"]["adapter_databricks-proxy"]["properties"]
OPENAI = SCHEMA["$defs"]["adapter_openai"]["properties"]
MLFLOW = SCHEMA["$defs"]["adapter_mlflow"]["properties"]
HTTP = SCHEMA["$defs"]["adapter_http"]["properties"]
LOCAL = SCHEMA["$defs"]["adapter_local"]["properties"]
PYTHON = SCHEMA["$defs"]["adapter_python"]["properties"]
STEP = SCHEMA["$defs"]["step"]["properties"]
BEARER = 'write headers: {Authorization: {env: NAME, prefix: "Bearer "}}'


@pytest.mark.parametrize(
    ("path", "key", "known", "hint"),
    [
        # Keys of LangChain, bundles, promptfoo and dbt.
        ((), "endpoint_name", TOP, "the endpoint's name is endpoint.name"),
        (("endpoint",), "endpoint_name", DATABRICKS, "write name"),
        (("endpoints", "a"), "endpoint_name", DATABRICKS, "write name"),
        ((), "extra_params", TOP, "write params"),
        ((), "model_kwargs", TOP, "write params"),
        (("steps", "a"), "extra_params", STEP, "write params"),
        (
            ("endpoint",),
            "extra_params",
            DATABRICKS,
            "write params, at the top of the spec or in the step",
        ),
        ((), "temperature", TOP, "write params.temperature"),
        ((), "max_tokens", TOP, "write params.max_tokens"),
        ((), "n", TOP, "write params.n"),
        (("steps", "a"), "top_p", STEP, "write params.top_p"),
        (
            ("endpoint",),
            "temperature",
            DATABRICKS,
            "write params.temperature, at the top of the spec or in the step",
        ),
        ((), "transform_input_fn", TOP, "write transforms.input"),
        ((), "transform_output_fn", TOP, "write transforms.output"),
        (("endpoint",), "cluster_driver_port", PROXY, "write port"),
        (
            ("endpoint",),
            "cluster_driver_port",
            DATABRICKS,
            "write adapter: databricks-proxy, cluster_id and port",
        ),
        (
            ("endpoint",),
            "allow_dangerous_deserialization",
            DATABRICKS,
            "leave it out: functions are named by their paths, and nothing is pickled",
        ),
        (("endpoint",), "api_token", DATABRICKS, "write token"),
        ((), "system", TOP, "write messages, with a turn of role system"),
        ((), "assert", TOP, "write scores"),
        ((), "include", TOP, "write extends"),
        ((), "model", TOP, "write endpoint.name for databricks, endpoint.model for openai"),
        (("endpoint",), "model", DATABRICKS, "write name"),
        (("endpoint",), "api_base", OPENAI, "write base_url"),
        (("endpoint",), "url", OPENAI, "write base_url"),
        (("endpoint",), "token", OPENAI, "write api_key"),
        (("endpoint",), "stop", OPENAI, "write stop at the top of the spec, or in the step"),
        (("limits",), "retries", ["attempts"], "write attempts"),
        (("endpoint", "limits"), "rpm", ["requests_per_minute"], "write requests_per_minute"),
        (("messages", 0), "system", ["role", "content"], "write {role: system, content: …}"),
        (
            ("steps", "a", "messages", 1),
            "human",
            ["role", "content"],
            "write {role: user, content: …}",
        ),
        # Slips.
        ((), "promt", TOP, "did you mean 'prompt'?"),
        ((), "Source", TOP, "did you mean 'source'?"),
        ((), "desc", TOP, "did you mean 'description'?"),
        ((), "respnse_shema", TOP, "did you mean 'response_schema'?"),
        (("endpoint",), "nmae", DATABRICKS, "did you mean 'name'?"),
        (("a",), "x", ["yes", "no"], "it takes no, yes"),
        (("a",), "x", [], ""),
    ],
)
def test_of_keys(path: Path, key: str, known: dict[str, object], hint: str) -> None:
    assert for_unknown(path, key, known) == hint


@pytest.mark.parametrize(
    ("key", "known", "hint"),
    [
        ("name", OPENAI, "write model"),
        ("name", LOCAL, "write model"),
        ("name", PROXY, "write cluster_id"),
        ("name", PYTHON, "write function"),
        ("name", HTTP, "write it into body"),
        ("name", MLFLOW, "leave it out: url says which model it is"),
        ("endpoint_name", OPENAI, "write model"),
        ("model", DATABRICKS, "write name"),
        ("model", HTTP, "write it into body"),
        ("model_name", DATABRICKS, "write name"),
        ("deployment", OPENAI, "write model"),
        ("endpoint", DATABRICKS, "write name"),
        ("endpoint", OPENAI, "write base_url"),
        ("endpoint", MLFLOW, "write url"),
        ("endpoint", HTTP, "write url"),
        ("url", OPENAI, "write base_url"),
        ("url", DATABRICKS, "write host"),
        ("base_url", MLFLOW, "write url"),
        ("base_url", HTTP, "write url"),
        ("base_url", PROXY, "write host"),
        ("host", OPENAI, "write base_url"),
        ("host", MLFLOW, "write url"),
        ("api_key", DATABRICKS, "write token"),
        ("api_key", MLFLOW, "write token"),
        ("api_key", HTTP, BEARER),
        ("token", OPENAI, "write api_key"),
        ("prompt", OPENAI, "write prompt at the top of the spec, or in the step"),
        # There is nothing of the kind in these.
        ("base_url", LOCAL, "it belongs to another"),
        ("token", PYTHON, "it belongs to another"),
        ("cluster_id", DATABRICKS, "it belongs to another"),
    ],
)
def test_of_what_another_adapter_calls_otherwise(
    key: str, known: dict[str, object], hint: str
) -> None:
    for path in (("endpoint",), ("endpoints", "a"), ("steps", "a", "endpoint")):
        assert for_unknown(path, key, known, elsewhere="it belongs to another") == hint


def test_what_is_known_elsewhere_goes_before_a_likeness() -> None:
    said = for_unknown(("source",), "delimiter", ["limit"], elsewhere="it does not go with jsonl")
    assert said == "it does not go with jsonl"


@pytest.mark.parametrize(
    ("name", "known", "found"),
    [
        ("ab", ["ba"], "ba"),
        ("prod", ["production", "staging"], "production"),
        ("pro", ["production", "prototype"], None),
        ("a", ["b"], None),
        ("", ["b"], None),
        ("x", [], None),
        ("SMALL", ["small", "large"], "small"),
        ("delimiter", ["limit"], None),
        ("concurency", ["concurrency"], "concurrency"),
    ],
)
def test_nearest(name: str, known: list[str], found: str | None) -> None:
    assert nearest(name, known) == found


@given(st.text(min_size=2, max_size=12), st.data())
def test_one_slip_is_always_recognised(name: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(name) - 1))
    letter = data.draw(st.characters(exclude_categories=["Cs"]))
    slips = [name[:at] + name[at + 1 :], name[:at] + letter + name[at:]]
    slips += [
        name[:at] + letter + name[at + 1 :],
        name[:at] + name[at : at + 2][::-1] + name[at + 2 :],
    ]
    for slip in slips:
        if len(slip) > 1 and len(slip.lower()) == len(slip) and len(name.lower()) == len(name):
            assert nearest(slip, [name]) == name


def test_of_scores() -> None:
    assert for_score("exact_match", ["equals"]) == "write equals"
    assert for_score("LLM_judge", ["judge"]) == "write judge"
    assert for_score("contain", ["contains", "equals"]) == "did you mean 'contains'?"


def test_of_names() -> None:
    assert for_name("prdo", ["prod", "dev"]) == "did you mean 'prod'?"
    assert for_name("zzz", ["prod", "dev"]) == "there are dev, prod"
    assert for_name("zzz", ["prod"]) == "there is only 'prod'"
    assert for_name("zzz", [], none="there are none") == "there are none"
