"""What ends a run before it has begun, or before it is done: exit codes 2 and 3."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from acceptance.conftest import SPEC, Project
from fakes.workspace import FakeWorkspace


@pytest.mark.parametrize("task", ["chat", "auto"])
def test_a_missing_endpoint_exits_3(task: str, project: Project, workspace: FakeWorkspace) -> None:
    spec = SPEC.replace("name: chat", "name: chad").replace("task: chat", f"task: {task}")
    project.write("tickets.yaml", spec)
    said = project.run("tickets.yaml")
    assert said.code == 3
    assert "chad" in said.err
    assert "Traceback" not in said.err
    assert not (project.folder / "out/tickets.jsonl").exists()


def test_missing_credentials_exit_3(project: Project) -> None:
    said = project.run("tickets.yaml")
    assert said.code == 3
    assert "DATABRICKS" in said.err
    assert "Traceback" not in said.err


LOGIN = "set DATABRICKS_HOST and DATABRICKS_TOKEN{}, or log in with the CLI"
ELSEWHERE = "; outside Databricks write {env: NAME} in its place"
OPENAI = '{adapter: openai, base_url: "http://127.0.0.1:9/v1", OPTION}'
WORKSPACE = '{adapter: databricks, name: chat, task: chat, host: "HOST", OPTION}'


@pytest.mark.parametrize(
    ("endpoint", "option", "said", "mend"),
    [
        (OPENAI, "api_key: {env: NO_SUCH}", "environment variable NO_SUCH is not set", "export it"),
        (OPENAI, "api_key: {secret: team/key}", "secret team/key", LOGIN.format("") + ELSEWHERE),
        (
            OPENAI,
            "headers: {X-Gate: {secret: team/key}}",
            "secret team/key",
            LOGIN.format("") + ELSEWHERE,
        ),
        (
            WORKSPACE,
            "token: {secret: team/key}",
            "secret team/key",
            LOGIN.format(", or endpoint.profile") + ELSEWHERE,
        ),
    ],
)
@pytest.mark.filterwarnings("default")  # what databricks-sdk warns of is its own affair
def test_a_credential_that_is_not_there_is_told_with_its_place(
    project: Project, endpoint: str, option: str, said: str, mend: str
) -> None:
    with FakeWorkspace() as nobodys:
        options = endpoint.replace("HOST", nobodys.url).replace("OPTION", option)
        written = f"endpoint: {options}"
        spec = SPEC.replace("endpoint: {adapter: databricks, name: chat, task: chat}", written)
        project.write("tickets.yaml", spec)
        ended = project.run("tickets.yaml")
    assert ended.code == 3
    name = option.partition(": {")[0]
    column = written.rindex("{") + 1
    inner = ".X-Gate" if name == "headers" else ""
    assert f"tickets.yaml:3:{column}: endpoint.{name}{inner}: {said}" in ended.err
    assert mend in ended.err
    assert ended.err.count("NO_SUCH" if "NO_SUCH" in said else said) == 1


def test_missing_rows_exit_3(project: Project, workspace: FakeWorkspace) -> None:
    (project.folder / "rows.jsonl").unlink()
    said = project.run("tickets.yaml")
    assert said.code in (2, 3)
    assert "rows.jsonl" in said.err
    assert workspace.calls == []


def test_a_broken_row_names_its_line(project: Project, workspace: FakeWorkspace) -> None:
    rows = (project.folder / "rows.jsonl").read_text().splitlines(keepends=True)
    rows[6] = '{"id": "T-6", "text": \n'
    project.write("rows.jsonl", "".join(rows))
    said = project.run("tickets.yaml")
    assert said.code == 3
    assert "rows.jsonl:7" in said.err
    assert not (project.folder / "out/tickets.jsonl").exists()


def test_too_many_failures_exit_3(project: Project, workspace: FakeWorkspace) -> None:
    project.rows(10, **{f"t{number}": f"[too-long] {number}" for number in range(3)})
    project.write("tickets.yaml", SPEC + "limits: {max_failures: 2}\n")
    said = project.run("tickets.yaml")
    assert said.code == 3
    assert "max_failures" in said.err


def test_problems_of_all_specs_are_reported_together_and_nothing_is_sent(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.write("one.yaml", SPEC.replace("name: chat", "nmae: chat"))
    project.write("two.yaml", SPEC.replace("{{ text }}", "{{ text"))
    said = project.run("tickets.yaml", "one.yaml", "two.yaml")
    assert said.code == 2
    assert "one.yaml:3:" in said.err
    assert "did you mean 'name'?" in said.err
    assert "two.yaml:4:" in said.err
    assert workspace.requests == []
    assert not (project.folder / "out").exists()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["tickets.yaml", "--fresh", "--replay"], "--fresh and --replay exclude each other"),
        (["tickets.yaml", "--only-errors", "--replay"], "--only-errors and --replay exclude"),
        (["tickets.yaml", "--only-errors", "--fresh"], "--only-errors and --fresh exclude"),
        (["tickets.yaml", "--json", "--out", "-"], "both write to standard output"),
        (["tickets.yaml", "--seed", "3"], "--seed goes with --sample"),
        (["tickets.yaml", "--engine", "flink"], "there are local and spark"),
        (["tickets.yaml", "--limit", "0"], "--limit"),
        (["tickets.yaml", "--limit", "some"], "--limit"),
        (["tickets.yaml", "--var", "day"], "--var day: write it as NAME=VALUE"),
        (["tickets.yaml", "--set", "prompt"], "--set prompt: write it as PATH=VALUE"),
        (["tickets.yaml", "--grace", "-1"], "--grace"),
        (["tickets.yaml", "other.yaml", "--out", "x.jsonl"], "--out takes the results of one"),
        (["run"], "missing argument"),
        (["tickets.yaml", "--limt", "3"], "--limit"),
        (["nothing-*.yaml"], "no file matches 'nothing-*.yaml'"),
        (["nothing.yaml"], "nothing.yaml: there is no such file"),
        (["tickets.yaml", "--only-errors"], "there are no results"),
        (["."], "'./*.yaml'"),
        (["tickets"], "did you mean 'tickets.yaml'?"),
        (["verfy"], "did you mean 'verify'?"),
    ],
)
def test_a_wrong_command_exits_2_and_sends_nothing(
    words: list[str], expected: str, project: Project, workspace: FakeWorkspace
) -> None:
    said = project.run(*words)
    assert said.code == 2
    assert expected in said.err
    assert "Traceback" not in said.err
    assert workspace.requests == []


def test_a_bug_leaves_a_log_without_credentials(
    project: Project,
    workspace: FakeWorkspace,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def broken(*given: object, **more: object) -> None:
        raise RuntimeError(f"with {os.environ['DATABRICKS_TOKEN']} in it")

    logs = tmp_path / "logs"
    logs.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(logs))
    monkeypatch.setattr("dbrun.api.load", broken)
    said = project.run("tickets.yaml", "--var", "password=hunter2-hunter2")
    assert said.code == 4
    [log] = logs.iterdir()
    assert str(log) in said.err
    assert "Traceback" not in said.err
    text = log.read_text()
    assert "RuntimeError: with *** in it" in text
    assert "--var 'password=***'" in text
    assert "Traceback" in text
    assert workspace.token not in text


def test_debug_adds_the_traceback(project: Project, workspace: FakeWorkspace) -> None:
    project.write("tickets.yaml", SPEC.replace("name: chat", "name: chad"))
    said = project.run("--debug", "tickets.yaml")
    assert said.code == 3
    assert "Traceback" in said.err


@pytest.mark.parametrize(
    "words", [["render", "tickets.yaml"], ["render", "tickets.yaml", "--limit", "1"], ["schema"]]
)
def test_output_that_cannot_be_written_exits_3(
    words: list[str], project: Project, workspace: FakeWorkspace
) -> None:
    project.rows(300)
    command = shlex.join([sys.executable, "-m", "dbrun", *words])
    done = subprocess.run(
        ["sh", "-c", f"ulimit -f 0; exec {command} > output"],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 3
    assert "standard output cannot be written: File too large" in done.stderr


def test_closed_streams_are_no_bug(project: Project, workspace: FakeWorkspace) -> None:
    command = shlex.join([sys.executable, "-m", "dbrun", "tickets.yaml"])
    done = subprocess.run(["sh", "-c", f"exec {command} >&- 2>&- <&-"], check=False)
    assert done.returncode == 0
    assert len(project.records()) == 10


def test_a_library_that_a_score_lacks_is_named_once(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)
    scores = "scores: [{name: a, type: similarity, expected: x}]\n"
    project.write("a.yaml", f"{SPEC}{scores}")
    said = project.run("validate", "a.yaml")
    assert said.code == 2
    assert "scores[0]: rouge_l needs rapidfuzz, which is not installed; pip install" in said.err
    assert said.err.count("scores[0]") == 1


def test_a_folder_is_no_results_file(project: Project) -> None:
    (project.folder / "out").mkdir()
    said = project.run("verify", "out")
    assert (said.code, said.err) == (
        2,
        "dbrun: out is a folder; name a results file or a spec\n",
    )
