"""Credentials never reach what is written or said, whatever goes wrong."""

from __future__ import annotations

import json
import os

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


@pytest.mark.parametrize("hook", ["input", "output"])
def test_of_a_function_that_says_them(hook: str, project: Project, named: FakeWorkspace) -> None:
    project.write(
        "loud.py",
        "import os\n\ndef f(*_, **__):\n    raise ValueError('no: ' + os.environ['MY_VALUE'])\n",
    )
    project.write("tickets.yaml", WITH_TOKEN + f"transforms: {{{hook}: 'loud:f'}}\n")
    assert project.run("tickets.yaml", "--debug").code == 1
    written = everything(project)
    assert TOKEN.encode() not in written
    assert b"loud:f raised ValueError: no: ***" in written


def test_of_an_address_that_holds_them(project: Project, named: FakeWorkspace) -> None:
    endpoint = "{adapter: openai, base_url: '${MY_HOST}/${MY_VALUE}', api_key: {env: MY_VALUE}}"
    spec = SPEC.replace("{adapter: databricks, name: chat, task: chat}", endpoint)
    project.write("tickets.yaml", spec)
    assert project.run("tickets.yaml", "-v").code == 3
    assert TOKEN.encode() not in everything(project)
    assert b"/***/chat/completions" in project.bytes("out/tickets.run.json.partial")


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
