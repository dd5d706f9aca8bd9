"""`dbrun doctor`: what it says of a project that is well, and of each thing that can be wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from acceptance.conftest import SPEC, Project
from acceptance.doctoring import HEAD, failing, lines
from fakes.server import Server, as_json
from fakes.volume import volume
from fakes.workspace import FakeWorkspace, Fault


def test_a_project_that_is_well(project: Project, workspace: FakeWorkspace) -> None:
    said = project.run("doctor", "tickets.yaml")
    assert said.code == 0
    about, extras, *rest = said.out.splitlines()
    assert about.startswith("ok    dbrun: 0.")
    assert extras.startswith("ok    extras: ")
    folder = project.folder / "out"
    assert [line.partition(" in 0.")[0] for line in rest if "free" not in line] == [
        "ok    source: rows.jsonl:1 can be read; columns id, text",
        f"ok    host: {workspace.url} answers",
        "ok    clock: agrees with the server's",
        "ok    login: someone@example.com, by DATABRICKS_TOKEN",
        "ok    endpoint: 'chat' is ready",
        "ok    endpoint: serves system.ai.fake",
        "ok    task: chat (llm/v1/chat)",
        "ok    permission: CAN_QUERY",
        f"ok    sink: {folder} (to be made) takes new files, appends and renames",
        "ok    journal: there is none yet",
    ]
    assert said.err == "no model is asked anything; --ask asks each endpoint one tiny question\n"
    assert workspace.calls == []
    assert not folder.exists()


def test_as_json(project: Project, workspace: FakeWorkspace) -> None:
    project.write("tickets.yaml", SPEC.replace("name: chat,", "name: asleep,"))
    said = project.run("doctor", "tickets.yaml", "--json")
    assert said.code == 3
    told = json.loads(said.out)
    assert told["healthy"] is False
    assert {"state": "fail", "check": "endpoint", "spec": "tickets.yaml"}.items() <= next(
        check.items() for check in told["checks"] if check["state"] == "fail"
    )
    assert all({"state", "check", "found"} <= check.keys() for check in told["checks"])


def test_one_tiny_question_if_it_is_wanted(project: Project, workspace: FakeWorkspace) -> None:
    said = project.run("doctor", "tickets.yaml", "--ask")
    assert said.code == 0
    assert said.err == ""
    (body,) = workspace.bodies()
    assert body == {"messages": [{"role": "user", "content": "Say OK."}], "max_tokens": 16}
    assert "'Echo: Say OK. That was 2 words. END'" in said.out
    assert not (project.folder / "out").exists()


@pytest.mark.parametrize("name", ["completions", "embeddings", "custom", "agent", "reasoning"])
def test_a_question_suits_its_endpoint(
    project: Project, workspace: FakeWorkspace, name: str
) -> None:
    project.write("tickets.yaml", SPEC.replace("name: chat, task: chat", f"name: {name}"))
    said = project.run("doctor", "tickets.yaml", "--ask")
    assert failing(said) == []
    assert len(workspace.calls) == 1


@pytest.mark.parametrize(
    ("column", "state"), [("{{ params.n }}", "ok"), ("{{ text }}", "warn")], ids=["param", "row"]
)
def test_a_question_has_the_params_of_the_spec(project: Project, column: str, state: str) -> None:
    body = f"{{q: '{{{{ prompt }}}}', n: '{column}'}}"
    with closing(Server(lambda call: as_json({"said": "OK"}))) as server:
        server.start()
        project.write(
            "tickets.yaml",
            "name: tickets\nsource: {path: rows.jsonl, id: id}\nprompt: a\nparams: {n: 3}\n"
            f"endpoint: {{adapter: http, url: '{server.url}', body: {body}}}\n",
        )
        said = project.run("doctor", "tickets.yaml", "--ask")
    assert lines(said, "ask")[0].startswith(state)


def test_a_question_that_is_refused(project: Project, workspace: FakeWorkspace) -> None:
    message = "PERMISSION_DENIED: The endpoint is temporarily disabled due to a Databricks-set "
    body = {"error_code": "PERMISSION_DENIED", "message": f"{message}rate limit of 0."}
    workspace.script([Fault(at=1, status=403, body=body)])
    said = project.run("doctor", "tickets.yaml", "--ask")
    assert said.code == 3
    assert "is switched off" in failing(said)[0]


def test_columns_are_not_guessed(project: Project, workspace: FakeWorkspace) -> None:
    options = "name: custom, task: model, columns: {prompt: '{{ text }}'}"
    project.write("tickets.yaml", SPEC.replace("name: chat, task: chat", options))
    said = project.run("doctor", "tickets.yaml", "--ask")
    (line,) = lines(said, "ask")
    assert line.startswith("warn  ask: the endpoint takes columns of a row")
    assert workspace.calls == []


# --- rows and storage ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (None, "fail  source: rows.jsonl: there is no such file"),
        ("", "warn  source: has no rows; look whether it is the right one"),
        ("{broken\n", "fail  source: rows.jsonl:1: not JSON"),
    ],
)
def test_rows(project: Project, workspace: FakeWorkspace, text: str | None, line: str) -> None:
    (project.folder / "rows.jsonl").unlink()
    if text is not None:
        project.write("rows.jsonl", text)
    said = project.run("doctor", "tickets.yaml")
    assert lines(said, "source")[0].startswith(line)


def test_rows_that_somebody_has_yet_to_give_are_not_waited_for(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.write("tickets.yaml", SPEC.replace("path: rows.jsonl", "path: '-'"))
    said = project.run("doctor", "tickets.yaml")
    assert lines(said, "source") == ["ok    source: jsonl, which is not read before there is a run"]


def test_the_journal_and_the_results(project: Project, workspace: FakeWorkspace) -> None:
    assert project.run("tickets.yaml").code == 0
    said = project.run("doctor", "tickets.yaml")
    assert lines(said, "journal", "results") == [
        "ok    journal: 10 answers in 1 file",
        "ok    results: are there, of a finished run",
    ]
    (project.folder / "out/tickets.run.json.partial").write_text("{}")
    (segment,) = (project.folder / "out/tickets.jsonl.journal").glob("*.jsonl")
    text = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(text[0] + b"damaged\n" + b"".join(text[2:]))
    said = project.run("doctor", "tickets.yaml")
    (project.folder / "out/tickets.run.json.partial").unlink()
    assert said.code == 0
    journal, results = lines(said, "journal", "results")
    assert journal.startswith("warn  journal: 9 answers in 1 file; 1 damaged line, which count as")
    assert results == "warn  results: the last run did not finish; the same command continues it"


def test_a_journal_of_its_own_or_none(project: Project, workspace: FakeWorkspace) -> None:
    project.write("tickets.yaml", SPEC + "journal: {path: elsewhere/j}\n")
    said = project.run("doctor", "tickets.yaml")
    assert f"{project.folder / 'elsewhere/j'} (to be made) takes" in lines(said, "journal")[0]
    project.write("tickets.yaml", SPEC + "journal: {mode: 'off'}\n")
    said = project.run("doctor", "tickets.yaml")
    assert lines(said, "journal")[-1].startswith("warn  journal: is off")


def test_the_folders_of_a_table(project: Project, workspace: FakeWorkspace) -> None:
    sink = "sink: {path: lake/tickets, format: delta, errors: bad/tickets.jsonl}"
    project.write("tickets.yaml", SPEC.replace("sink: out/tickets.jsonl", sink))
    project.write("bad", "a file in the way")
    said = project.run("doctor", "tickets.yaml")
    assert said.code == 3
    assert lines(said, "table")[0] == (
        f"ok    table: {project.folder / 'lake'} (to be made) takes new files, appends and renames"
    )
    assert failing(said) == [
        f"fail  errors: {project.folder / 'bad'} is no folder; name another path"
    ]


def test_a_volume(project: Project, workspace: FakeWorkspace, tmp_path: Path) -> None:
    with volume(tmp_path / "volume") as there:
        project.write("tickets.yaml", SPEC.replace("out/tickets", f"{there.path}/out/tickets"))
        os.environ["DBRUN_SPOOL"] = str(tmp_path / "spool")
        try:
            if there.environ:  # then only programs of their own meet it
                said = project.end(
                    project.start(
                        "doctor",
                        "tickets.yaml",
                        command=["env", *(f"{k}={v}" for k, v in there.environ.items())],
                    )
                )
            else:
                said = project.run("doctor", "tickets.yaml")
        finally:
            del os.environ["DBRUN_SPOOL"]
        assert os.listdir(there.path) == []
    assert said.code == 0
    able = lines(said, "sink")[0]
    assert "takes new whole files; what grows is kept in" in able
    assert lines(said, "spool")


# --- the command --------------------------------------------------------------------------------


def test_several_specs_are_told_apart(project: Project, workspace: FakeWorkspace) -> None:
    project.write("other.yaml", SPEC.replace("name: chat,", "name: asleep,"))
    said = project.run("doctor", "tickets.yaml", "other.yaml")
    assert said.code == 3
    texts = said.out.splitlines()
    assert texts.index("tickets.yaml") < texts.index("other.yaml")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["nope.yaml"], "nope.yaml: there is no such file"),
        (["--ask"], "--ask needs a SPEC"),
        (["tickets.yaml", "--timeout", "0"], "--timeout"),
        (["tickets.yaml", "--set", "endpoint.nmae=x"], "endpoint.nmae: unknown key"),
    ],
)
def test_misuse(project: Project, words: list[str], found: str) -> None:
    said = project.run("doctor", *words)
    assert said.code == 2
    assert found in said.err
    assert said.out == ""


def test_a_target_is_laid_over(project: Project, workspace: FakeWorkspace) -> None:
    project.write("tickets.yaml", SPEC + "targets: {dev: {endpoint: {name: asleep}}}\n")
    assert project.run("doctor", "tickets.yaml").code == 0
    assert project.run("doctor", "tickets.yaml", "-t", "dev").code == 3


def test_what_a_run_does_not_need_is_not_imported(project: Project) -> None:
    project.write("mine.py", "def echo(prompt):\n    return prompt\n")
    project.write("tickets.yaml", HEAD + "endpoint: {adapter: python, function: 'mine:echo'}\n")
    code = (
        "import sys; from dbrun.cli.main import main; code = main(['tickets.yaml', '--quiet']); "
        "print(code, [m for m in sys.modules if 'doctor' in m or 'checkup' in m or "
        "m.startswith('databricks')])"
    )
    said = project.end(start(project, code))
    assert said.out.split("\n")[0] == "0 []", said.err


def start(project: Project, code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=project.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
