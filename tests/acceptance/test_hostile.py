"""User code and servers that do what nobody expects of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from acceptance.conftest import SPEC, Project
from fakes.workspace import TOKEN, FakeWorkspace, fail

import dbrun
from dbrun.errors import SourceError

PYTHON = """\
name: tickets
source: {path: rows.jsonl, id: id}
endpoint: {adapter: python, function: "model:answer"}
prompt: "{{ text }}"
sink: out/tickets.jsonl
"""
PRINTING = """\
print("imported")


def answer(prompt):
    print("asked")
    return prompt


def shorten(**request):
    print("asking")
    return request
"""


@pytest.mark.parametrize(
    "words", [["tickets.yaml", "--out", "-"], ["render", "tickets.yaml"]], ids=["run", "render"]
)
def test_prints_of_user_code_stay_out_of_the_results(project: Project, words: list[str]) -> None:
    project.write("model.py", PRINTING)
    project.write("tickets.yaml", PYTHON + 'transforms: {input: "model:shorten"}\n')
    said = project.run(*words)
    assert said.code == 0
    assert len(said.records) == 10
    assert "imported" in said.err
    assert "asking" in said.err


def test_prints_while_validating_stay_out_of_its_json(project: Project) -> None:
    project.write("model.py", PRINTING)
    project.write("tickets.yaml", PYTHON)
    said = project.run("validate", "tickets.yaml", "--format", "json")
    assert (said.code, json.loads(said.out)) == (0, [])


def test_an_answer_that_shows_the_token_is_kept_without_it(
    project: Project, workspace: FakeWorkspace
) -> None:
    text = f"the request had Authorization: Bearer {TOKEN}"
    project.rows(1, t0=text)
    # The rows are the user's own file; what comes back with the answer is not.
    sink = "{path: out/tickets.jsonl, omit: [row]}"
    project.write("tickets.yaml", SPEC.replace("out/tickets.jsonl", sink))
    said = project.run("tickets.yaml")
    assert said.code == 0
    (record,) = project.records()
    assert "Authorization: Bearer ***" in record["output"]
    (project.folder / "rows.jsonl").unlink()


def test_no_failure_allowed_stops_at_the_first(project: Project, workspace: FakeWorkspace) -> None:
    workspace.script([fail(400, at=2)])
    project.write("tickets.yaml", SPEC + "limits: {max_failures: 0, concurrency: 1}\n")
    said = project.run("tickets.yaml")
    assert said.code == 3
    assert "more than limits.max_failures (0) allows" in said.err


@pytest.mark.parametrize("ids", ["", ","])
def test_ids_that_name_no_row_are_refused(project: Project, ids: str) -> None:
    said = project.run("tickets.yaml", "--ids", ids)
    assert said.code == 2
    assert "--ids names no row" in said.err


def test_a_dash_can_be_set(project: Project) -> None:
    said = project.run("show", "tickets.yaml", "--set", "source.path=-")
    assert said.code == 0
    assert "path: '-'" in said.out.replace('"', "'")


@pytest.mark.parametrize("row", [5, {"id": 1, "text": {1}}, {"id": 1, "text": float("nan")}])
def test_rows_of_a_program_are_looked_at(project: Project, row: Any) -> None:
    project.write("model.py", PRINTING)
    project.write("tickets.yaml", PYTHON)
    pipeline = dbrun.load("tickets.yaml")
    with pytest.raises(SourceError, match="row 1"):
        pipeline.process(row)


def test_a_journal_folder_with_other_files_keeps_them(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.write("notes.jsonl", '{"my": "notes"}\n')
    before = project.bytes("rows.jsonl")
    project.write("tickets.yaml", SPEC + "journal: {path: .}\n")
    for _ in range(2):
        assert project.run("tickets.yaml").code == 0
    assert project.bytes("rows.jsonl") == before
    assert project.bytes("notes.jsonl") == b'{"my": "notes"}\n'
    assert len(workspace.calls) == 10
