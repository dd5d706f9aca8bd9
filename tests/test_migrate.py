"""`docs/migrate.md`: what its YAML sends is what LangChain's classes sent, line for line."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakes import migration
from fakes.migration import CLASSES, HOST, PROMPT, Pair
from fakes.workspace import FakeWorkspace, fail

import dbrun

PARAMETERS = {
    "Databricks": "host api_token endpoint_name cluster_id cluster_driver_port model_kwargs "
    "transform_input_fn transform_output_fn databricks_uri temperature n stop max_tokens "
    "extra_params task allow_dangerous_deserialization",
    "ChatDatabricks": "model endpoint target_uri workspace_client temperature n stop max_tokens "
    "extra_params stream_usage use_responses_api timeout max_retries use_ai_gateway "
    "use_ai_gateway_native_api",
}
"""Class → its own parameters (langchain-community 0.4.2, databricks-langchain 0.22.0)."""

INHERITED = (
    "cache callbacks custom_get_token_ids disable_streaming metadata name output_version profile "
    "rate_limiter tags verbose"
)
"""What every model of LangChain takes (langchain-core 1.7)."""

ENDPOINTS = {"Databricks": "my-completions", "ChatDatabricks": "my-chat"}


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[FakeWorkspace]:
    with migration.workspace() as fake:
        profile = f"[work]\nhost = {fake.url}\ntoken = {fake.token}\n"
        (tmp_path / ".databrickscfg").write_text(profile, encoding="utf-8")
        (tmp_path / "pyproject.toml").touch()
        (tmp_path / "transforms.py").write_text(migration.functions(), encoding="utf-8")
        yield fake


def environ(fake: FakeWorkspace, folder: Path, here: str) -> dict[str, str]:
    """What the line needs: those that name their own workspace are not told another."""
    told = {"HOME": str(folder), "MY_TOKEN": fake.token}
    if "profile" in here:
        return told
    return {**told, **fake.environ} if HOST not in here or "DATABRICKS_TOKEN" in here else told


def run(pair: Pair, fake: FakeWorkspace, folder: Path) -> dict[str, Any]:
    """The record of one row, by the YAML of *pair* laid over a spec."""
    given = yaml.safe_load(migration.placed(pair.here, fake.url))
    base: dict[str, Any] = {
        "name": "base",
        "source": {"rows": [{"question": PROMPT}]},
        "prompt": "{{ question }}",
        "endpoint": {"adapter": "databricks", "name": ENDPOINTS[pair.cls]},
    }
    if pair.cls == "Databricks" and pair.is_llm:
        base["params"] = {"temperature": 0, "n": 1}
    (folder / "_base.yaml").write_text(yaml.safe_dump(base), encoding="utf-8")
    (folder / "spec.yaml").write_text(
        yaml.safe_dump({"extends": "_base.yaml", **given}), encoding="utf-8"
    )
    told = environ(fake, folder, pair.here)
    pipeline = dbrun.load(folder / "spec.yaml", environ=told)
    (record,) = pipeline.run(environ=told).results
    return dict(record)


def as_sent(cls: str, request: dict[str, Any]) -> dict[str, Any]:
    """A request of a class as dbrun spells it: the endpoint's name in the path, no `stream`."""
    if cls == "Databricks" or "ai-gateway" in request["path"]:
        request["body"].pop("stream", None)
        return request
    name = request["body"].pop("model")
    if not request["body"]["stream"]:
        del request["body"]["stream"]
    return {**request, "path": f"/serving-endpoints/{name}/invocations"}


def comparable(requests: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(request, sort_keys=True) for request in requests)


PAIRS = [pair for pair in migration.pairs() if pair.there]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.cls}({pair.there})")
def test_the_yaml_sends_what_the_class_sent(
    workspace: FakeWorkspace, tmp_path: Path, pair: Pair
) -> None:
    told = migration.recorded()[pair.cls][pair.there]
    if "raises" in told:  # parameters that do what another one does
        told = migration.recorded()[pair.cls]['extra_params={"top_k": 3}']
    record = run(pair, workspace, tmp_path)

    # 0 and 0.0 are one number, but two texts.
    sent = json.loads(json.dumps([migration.request(call) for call in workspace.calls]))
    assert sent == [as_sent(pair.cls, request) for request in told["sent"]]
    assert record["output"] == told["said"]
    assert {call.headers["authorization"] for call in workspace.calls} == {
        f"Bearer {workspace.token}"
    }


@pytest.mark.parametrize("call", migration.calls())
@pytest.mark.parametrize("cls", CLASSES)
def test_calls_are_the_same(
    workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch, cls: str, call: str
) -> None:
    for name, value in workspace.environ.items():
        monkeypatch.setenv(name, value)
    told = migration.recorded()[cls][call]
    params = {"temperature": 0.0, "n": 1} if cls == "Databricks" else {}
    llm = dbrun.endpoint("databricks", name=ENDPOINTS[cls], params=params)
    with llm:
        said = eval(call, {"llm": llm, "asyncio": asyncio})
    sent = [migration.request(one) for one in workspace.calls]
    if "stream" in call:
        assert "".join(said) == "".join(told["said"])
        for request in sent:
            request["body"].pop("stream", None)
            request["body"].pop("stream_options", None)
        for request in told["sent"]:
            request["body"].pop("stream", None)
            request["body"].setdefault("stream", False)
    else:
        assert said == told["said"]
    assert comparable(sent) == comparable([as_sent(cls, request) for request in told["sent"]])


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 2)])
def test_attempts_are_retries_plus_one(
    workspace: FakeWorkspace, tmp_path: Path, retries: int, attempts: int
) -> None:
    (line,) = [pair for pair in PAIRS if "max_retries" in pair.parameters]
    assert (line.there, line.here) == ("max_retries=0", "limits: {attempts: 1}")
    here = f"limits: {{attempts: {attempts}}}"
    pair = Pair(cls=line.cls, parameters=(), there=f"max_retries={retries}", here=here)
    workspace.script([fail(500, at=n) for n in (1, 2, 3)])
    record = run(pair, workspace, tmp_path)

    assert len(workspace.calls) == retries + 1
    assert record["error"]["class"] == "unavailable"


@pytest.mark.parametrize("cls", CLASSES)
def test_every_parameter_has_its_line(cls: str) -> None:
    told = [name for pair in migration.pairs() if pair.cls == cls for name in pair.parameters]
    assert set(told) == set(PARAMETERS[cls].split())


def test_every_inherited_parameter_has_its_line() -> None:
    text = migration.section("## What every model of LangChain takes")
    assert set(re.findall(r"`(\w+)`", text)) >= set(INHERITED.split())


@pytest.mark.parametrize("pair", migration.bound(), ids=lambda pair: pair.there)
def test_what_is_bound_is_sent_as_the_class_sent_it(
    workspace: FakeWorkspace, tmp_path: Path, pair: Pair
) -> None:
    told = migration.recorded()[pair.cls][pair.there]
    name = "my-chat-agent" if "custom_inputs" in pair.there else "my-chat"
    more = yaml.safe_dump({"endpoint": {"adapter": "databricks", "name": name}})
    record = run(replace(pair, here=f"{pair.here}\n{more}"), workspace, tmp_path)

    sent = [migration.request(call) for call in workspace.calls]
    wanted = [as_sent(pair.cls, request) for request in told["sent"]]
    for request in (*sent, *wanted):
        request["body"].get("response_format", {}).get("json_schema", {}).pop("name", None)
    assert sent == wanted
    assert record["output"] == told["said"]


@pytest.mark.parametrize("cls", CLASSES)
def test_a_parameter_brought_along_is_told_what_to_write(cls: str) -> None:
    """All of them are keywords of `dbrun.endpoint`, or it says what is."""
    same = {"host", "task", "stop", "transform_input_fn", "transform_output_fn"}
    for name in set(PARAMETERS[cls].split()) - same:
        with pytest.raises(dbrun.UserError, match=r"; (write|leave it out)"):
            dbrun.endpoint("databricks", **{"name": "x", name: 1})
