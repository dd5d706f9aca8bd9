"""Credentials never reach what is written or said, whatever goes wrong."""

from __future__ import annotations

import json
import os
from itertools import product

import pytest
from acceptance.conftest import SPEC, Project
from fakes.cli_login import FakeCli
from fakes.workspace import TOKEN, FakeWorkspace, Fault

WITH_TOKEN = SPEC.replace("task: chat", "task: chat, token: {env: MY_VALUE}, host: '${MY_HOST}'")


def everything(project: Project) -> bytes:
    """All that was written below the project, and all that was said."""
    written = b"".join(project.files(".").values())
    return written + "".join(project.said).encode()


@pytest.fixture
def named(
    project: Project, workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> FakeWorkspace:
    """A workspace that only the spec gives access to, by a variable of its own name."""
    monkeypatch.delenv("DATABRICKS_TOKEN")
    monkeypatch.delenv("DATABRICKS_HOST")
    monkeypatch.setenv("MY_VALUE", TOKEN)
    monkeypatch.setenv("MY_HOST", workspace.url)
    project.write("tickets.yaml", WITH_TOKEN)
    return workspace


@pytest.mark.parametrize("options", [[], ["-v"], ["--debug"], ["--json"]])
def test_of_a_run_that_goes_well(
    options: list[str], project: Project, named: FakeWorkspace
) -> None:
    project.write("tickets.yaml", WITH_TOKEN + "journal: {path: j}\n")
    assert project.run("tickets.yaml", *options).code == 0
    assert named.calls[0].headers["authorization"] == f"Bearer {TOKEN}"
    written = everything(project)
    assert TOKEN.encode() not in written
    assert b"${MY_HOST}" in project.bytes("out/tickets.run.json")


@pytest.mark.parametrize("options", [[], ["-v"], ["--debug"]])
def test_of_a_run_whose_endpoint_repeats_them(
    options: list[str], project: Project, named: FakeWorkspace
) -> None:
    said = {"error_code": "BAD_REQUEST", "message": f"Authorization: Bearer {TOKEN} is no good"}
    named.script([Fault(every=2, status=400, body=said)])
    assert project.run("tickets.yaml", *options).code == 1
    assert TOKEN.encode() not in everything(project)


LOUD = {
    "row": ("transforms: {row: 'loud:f'}\n", 1),
    "input": ("transforms: {input: 'loud:f'}\n", 1),
    "output": ("transforms: {output: 'loud:f'}\n", 1),
    "score": ("scores: [{type: python, name: s, function: 'loud:f'}]\n", 0),
    "filter": ("templates: {filters: {f: 'loud:f'}}\nprompt: '{{ text | f }}'\n", 1),
    "filter of a score": (
        "templates: {filters: {f: 'loud:f'}}\n"
        "scores: [{type: contains, name: s, expected: x, of: 'output | f'}]\n",
        0,
    ),
    "filter of the source": (
        "templates: {filters: {f: 'loud:f'}}\nsource: {path: rows.jsonl, where: 'text | f'}\n",
        3,
    ),
    "source": ("source: {function: 'loud:f'}\n", 3),
    "endpoint": ("endpoint: {adapter: python, function: 'loud:f'}\n", 1),
}
"""Where functions of the user's are named, and the exit code when they raise."""


LOUDLY = """\
import os


def f(*_, **__):
    said = os.environ.get("MY_VALUE") or os.environ["MY_OWN_API_KEY"]
    raise ValueError("no: " + said)
"""
NAMED = {"env": "{env: MY_VALUE}", "name": "{env: OTHER}", "fetched": "{secret: team/token}"}
"""How a run comes to know the credential that they say; `name`: by that of its variable."""
UNASKED = {("endpoint", "env"), ("endpoint", "fetched"), ("source", "fetched")}


@pytest.mark.parametrize(
    ("hook", "known"), [pair for pair in product(LOUD, NAMED) if pair not in UNASKED]
)
def test_of_a_function_that_says_them(
    hook: str,
    known: str,
    project: Project,
    workspace: FakeWorkspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever they belong to, and also before anybody was asked for the first time."""
    value, other = "kept-where-only-we-know", "of-the-endpoint-itself"
    workspace.tokens |= {value: float("inf"), other: float("inf")}
    workspace.secrets["team", "token"] = value
    monkeypatch.setenv("MY_OWN_API_KEY" if known == "name" else "MY_VALUE", value)
    monkeypatch.setenv("OTHER", other)
    more, code = LOUD[hook]
    keys = {line.partition(":")[0] for line in more.splitlines()}
    spec = SPEC.replace("task: chat", f"token: {NAMED[known]}")  # fetched to find out the task
    spec = "".join(line for line in spec.splitlines(True) if line.partition(":")[0] not in keys)
    project.write("tickets.yaml", spec + more)
    project.write("loud.py", LOUDLY)
    assert project.run("tickets.yaml", "--debug").code == code
    if known != "fetched":  # who only looks fetches nothing
        project.run("render", "tickets.yaml")
    written = everything(project)
    assert value.encode() not in written
    assert b"raised ValueError: no: ***" in written


def test_of_an_address_that_holds_them(project: Project, named: FakeWorkspace) -> None:
    endpoint = "{adapter: openai, base_url: '${MY_HOST}/${MY_VALUE}'}"
    spec = SPEC.replace("{adapter: databricks, name: chat, task: chat}", endpoint)
    project.write("tickets.yaml", spec)
    said = project.run("tickets.yaml", "-v")
    assert said.code == 3
    assert "/${MY_VALUE}/chat/completions" in said.err
    assert TOKEN.encode() not in everything(project)
    assert b"/${MY_VALUE}/chat/completions" in project.bytes("out/tickets.run.json.partial")


def test_of_a_function_that_is_given_them(project: Project, named: FakeWorkspace) -> None:
    project.write("mine.py", "def answer(prompt, key):\n    return str(len(key))\n")
    endpoint = "{adapter: python, function: 'mine:answer', kwargs: {key: '${MY_VALUE}'}}"
    project.write(
        "tickets.yaml", SPEC.replace("{adapter: databricks, name: chat, task: chat}", endpoint)
    )
    assert project.run("tickets.yaml", "-v").code == 0
    assert TOKEN.encode() not in everything(project)
    assert {record["output"] for record in project.records()} == {str(len(TOKEN))}


def test_of_a_run_whose_token_is_refused(project: Project, named: FakeWorkspace) -> None:
    named.revoke()
    assert project.run("tickets.yaml", "--debug").code == 3
    assert TOKEN.encode() not in everything(project)


def test_netrc_replaces_nothing(project: Project, workspace: FakeWorkspace) -> None:
    home = project.folder.parent / "home"
    home.mkdir()
    netrc = home / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password something\n", encoding="utf-8")
    netrc.chmod(0o600)
    assert project.run("tickets.yaml").code == 0
    assert {call.headers["authorization"] for call in workspace.calls} == {f"Bearer {TOKEN}"}


@pytest.mark.filterwarnings("default")  # what databricks-sdk warns of is its own affair
def test_of_a_login_that_another_program_gives(
    project: Project, workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = project.folder.parent / "home"
    home.mkdir()
    cli = FakeCli(home, workspace)
    for name in workspace.environ:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}")
    profile = f"[work]\nhost = {workspace.url}\nauth_type = databricks-cli\n"
    (home / ".databrickscfg").write_text(profile, encoding="utf-8")
    project.write("tickets.yaml", SPEC.replace("task: chat", "task: chat, profile: work"))
    refused = project.run("tickets.yaml")
    assert refused.code == 3
    assert f"databricks-sdk finds no credentials for {workspace.url}" in refused.err
    cli.give("token-of-the-cli", 3600)
    looked = project.run("doctor", "tickets.yaml")
    assert "login: someone@example.com, by databricks-sdk (databricks-cli)" in looked.out
    before = cli.asked
    assert project.run("tickets.yaml", "-v").code == 0
    assert {call.headers["authorization"] for call in workspace.calls} == {
        "Bearer token-of-the-cli"
    }
    assert cli.asked == before + 1
    assert b"token-of-the-cli" not in everything(project)


@pytest.mark.parametrize("command", ["run", "validate", "show", "render"])
def test_that_stand_in_the_spec_itself(command: str, project: Project) -> None:
    project.write("tickets.yaml", SPEC.replace("task: chat", f"task: chat, token: {TOKEN}"))
    said = project.run(command, "tickets.yaml")
    (project.folder / "tickets.yaml").unlink()
    assert said.code == 2
    assert "endpoint.token" in said.err
    assert TOKEN.encode() not in everything(project)


@pytest.mark.parametrize("style", ["json", "github"])
def test_in_reports_for_programs(style: str, project: Project) -> None:
    project.write("tickets.yaml", SPEC.replace("task: chat", f"task: chat, token: {TOKEN}"))
    said = project.run("validate", "tickets.yaml", "--format", style)
    (project.folder / "tickets.yaml").unlink()
    assert said.code == 2
    assert TOKEN not in said.out
    if style == "json":
        assert json.loads(said.out)
