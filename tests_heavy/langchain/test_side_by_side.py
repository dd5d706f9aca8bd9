"""LangChain's classes at work: they send what the tests of `docs/migrate.md` take them to send."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from fakes import migration
from fakes.migration import PROMPT, RECORDED, Pair
from fakes.workspace import FakeWorkspace

warnings.simplefilter("ignore")

IS_RECORDING = bool(os.environ.get("DBRUN_RECORD"))
DEFAULTS = {"Databricks": 'endpoint_name="my-completions"', "ChatDatabricks": 'model="my-chat"'}
PLACES = ("endpoint_name", "cluster_id", "model=", "endpoint=")


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeWorkspace]:
    with migration.workspace() as fake:
        for name in [name for name in os.environ if name.startswith("DATABRICKS_")]:
            monkeypatch.delenv(name)
        for name, value in {**fake.environ, "MY_TOKEN": fake.token, "HOME": str(tmp_path)}.items():
            monkeypatch.setenv(name, value)
        profile = f"[work]\nhost = {fake.url}\ntoken = {fake.token}\n"
        (tmp_path / ".databrickscfg").write_text(profile, encoding="utf-8")
        # The class knows https only, on drivers.
        send = requests.sessions.Session.request
        monkeypatch.setattr(
            requests.sessions.Session,
            "request",
            lambda self, method, url, **more: send(
                self, method, url.replace("https://127.0.0.1", "http://127.0.0.1"), **more
            ),
        )
        yield fake


def names() -> dict[str, Any]:
    from databricks.sdk import WorkspaceClient
    from databricks_langchain import ChatDatabricks
    from langchain_community.llms import Databricks

    space: dict[str, Any] = {"os": os, "asyncio": asyncio, "WorkspaceClient": WorkspaceClient}
    exec(migration.functions(), space)
    return {**space, "Databricks": Databricks, "ChatDatabricks": ChatDatabricks}


def made(cls: str, arguments: str, workspace: FakeWorkspace) -> Any:
    arguments = migration.placed(arguments, workspace.url.removeprefix("http://"))
    if not any(place in arguments for place in PLACES):
        arguments = ", ".join(filter(None, (DEFAULTS[cls], arguments)))
    return eval(f"{cls}({arguments})", names())


def said(value: Any) -> Any:
    """What a class returned, as text: of messages their content."""
    if isinstance(value, list):
        return [said(one) for one in value]
    content = getattr(value, "content", value)
    if isinstance(content, list):
        return "".join(part.get("text") or part["content"] for part in content)
    return content


def outcome(workspace: FakeWorkspace, cls: str, arguments: str, call: str) -> dict[str, Any]:
    try:
        llm = made(cls, arguments, workspace)
    except ValueError as error:
        return {"raises": str(error)}
    answer = eval(call, {**names(), "llm": llm})
    return {"sent": [migration.request(one) for one in workspace.calls], "said": said(answer)}


def compare(cls: str, key: str, found: dict[str, Any]) -> None:
    if "sent" in found:
        found["sent"].sort(key=json.dumps)
    if IS_RECORDING:
        told = dict(migration.recorded()) if RECORDED.exists() else {}
        told[cls] = {**told.get(cls, {}), key: found}
        RECORDED.write_text(migration.written(told), encoding="utf-8")
    assert migration.recorded()[cls][key] == found


@pytest.mark.parametrize(
    "pair",
    [pair for pair in migration.pairs() if pair.there],
    ids=lambda pair: f"{pair.cls}({pair.there})",
)
def test_the_class_sends_what_was_recorded(workspace: FakeWorkspace, pair: Pair) -> None:
    key = pair.there
    compare(pair.cls, key, outcome(workspace, pair.cls, pair.there, f"llm.invoke({PROMPT!r})"))


@pytest.mark.parametrize("pair", migration.bound(), ids=lambda pair: pair.there)
def test_what_is_bound(workspace: FakeWorkspace, pair: Pair) -> None:
    model = 'model="my-chat-agent"' if "custom_inputs" in pair.there else ""
    call = f"llm{pair.there}.invoke({PROMPT!r})"
    compare(pair.cls, pair.there, outcome(workspace, pair.cls, model, call))


@pytest.mark.parametrize("call", migration.calls())
@pytest.mark.parametrize("cls", migration.CLASSES)
def test_the_calls(workspace: FakeWorkspace, cls: str, call: str) -> None:
    compare(cls, call, outcome(workspace, cls, "", call))


@pytest.mark.parametrize("cls", migration.CLASSES)
def test_no_parameter_is_left_out(cls: str) -> None:
    told = {name for pair in migration.pairs() if pair.cls == cls for name in pair.parameters}
    everywhere = migration.section("## What every model of LangChain takes")
    fields = names()[cls].model_fields
    for name, field in fields.items():
        known = {name, field.alias} & told
        assert known or f"`{name}`" in everywhere, name
