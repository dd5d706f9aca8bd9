"""`dbrun test --record`: a row of the source and its answers in the journal become a test."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from acceptance.conftest import SPEC, Project
from fakes.workspace import FakeWorkspace

from dbrun.client.journal.lock import locked

STEPS = """\
name: tickets
source: {path: rows.jsonl, id: id}
endpoint: {adapter: databricks, name: chat, task: chat}
steps:
  - {name: first, prompt: "Summarize: {{ text }}"}
  - {name: second, prompt: "Shorten: {{ steps.first.output }}", when: "text != 'skip me'"}
sink: out/tickets.jsonl
"""
FUNCTIONS = """\
import itertools
numbers = itertools.count()

def refuse(text):
    raise ValueError("no good")

def count(text):
    return next(numbers)

def words(row):
    return [{"text": word} for word in row["text"].split()]
"""


def kept_in(project: Project) -> list[dict[str, Any]]:
    spec = yaml.safe_load((project.folder / "tickets.yaml").read_text())
    return list(spec["tests"])


@pytest.fixture
def answered(project: Project, workspace: FakeWorkspace) -> Project:
    """A project whose rows are answered, and no way to ask anything any more."""
    project.write("functions.py", FUNCTIONS)
    return project


def record(project: Project, workspace: FakeWorkspace, *ids: str) -> None:
    """Run, then record the rows *ids* without anything to ask; the tests pass."""
    project.run("tickets.yaml")
    asked = len(workspace.requests)
    for row in ids:
        said = project.run("test", "tickets.yaml", "--record", row)
        assert said.code == 0, said.err
        assert said.out == ""
    assert len(workspace.requests) == asked
    said = project.run("test", "tickets.yaml")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"tickets.yaml: {len(ids)} passed in ")


def test_an_answer_is_kept_as_its_text(answered: Project, workspace: FakeWorkspace) -> None:
    record(answered, workspace, "T-3", "T-3")
    first, again = kept_in(answered)
    output = {one["id"]: one["output"] for one in answered.records()}["T-3"]
    assert first == {
        "name": "row T-3",
        "given": {"row": {"id": "T-3", "text": "ticket number 3"}, "response": output},
        "expect": {"output": output},
    }
    assert again["name"] == "row T-3 (2)"
    assert (answered.folder / "tickets.yaml").read_text().startswith(SPEC)


def test_an_answer_that_is_more_than_its_text_is_kept_whole(
    answered: Project, workspace: FakeWorkspace
) -> None:
    answered.write("tickets.yaml", SPEC.replace("task: chat", "task: embeddings"))
    workspace.endpoints["chat"] = workspace.endpoints["embeddings"]
    record(answered, workspace, "T-1")
    (test,) = kept_in(answered)
    assert "embedding" in test["given"]["response"]["data"][0]


def test_the_answers_of_all_steps_are_kept(answered: Project, workspace: FakeWorkspace) -> None:
    answered.write("tickets.yaml", STEPS)
    answered.rows(4, t2="skip me")
    record(answered, workspace, "T-1", "T-2")
    both, skipped = kept_in(answered)
    assert list(both["given"]["response"]) == ["first", "second"]
    assert list(skipped["given"]["response"]) == ["first"]


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ('transforms: {output: "functions:refuse"}\n', "transform: functions:refuse raised"),
        ("response_schema: {type: object}\n", "invalid_output: the output is not JSON"),
        ('transforms: {row: "functions:words"}\n', None),
    ],
)
def test_what_becomes_of_it_is_expected(
    answered: Project, workspace: FakeWorkspace, more: str, error: str | None
) -> None:
    answered.write("tickets.yaml", SPEC + more)
    record(answered, workspace, "T-1")
    (test,) = kept_in(answered)
    assert test["given"]["response"]
    assert str(test["expect"].get("error")).startswith(str(error))


def test_a_row_that_is_not_asked_about_needs_no_answer(
    answered: Project, workspace: FakeWorkspace
) -> None:
    answered.write("rows.jsonl", '{"id": "T-0"}\n')
    record(answered, workspace, "T-0")
    (test,) = kept_in(answered)
    assert list(test["given"]) == ["row"]
    assert test["expect"]["error"].startswith("render: 'text' is undefined")


def test_a_variant_is_named(answered: Project, workspace: FakeWorkspace) -> None:
    matrix = "matrix: {prompt: ['A {{ text }}', 'B {{ text }}']}\n"
    answered.write("tickets.yaml", SPEC + matrix)
    record(answered, workspace, "T-0")
    (test,) = kept_in(answered)
    assert len(test["given"]["variants"]) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--record", "T-99"], "tickets.yaml: the source has no row 'T-99'; check the id"),
        (
            ["--record", "T-1"],
            "tickets.yaml: the journal holds no answer to row 'T-1'; ask for it: "
            "dbrun tickets.yaml --ids T-1",
        ),
        (["--record", "T-1", "-k", "x"], "-k and --format do not go with --record"),
        (["--name", "x"], "--name goes with --record"),
        (["other.yaml", "--record", "T-1"], "--record adds to one spec, and there are 2; name one"),
    ],
)
def test_what_cannot_be_recorded_is_told(
    project: Project, workspace: FakeWorkspace, words: list[str], said: str
) -> None:
    before = project.bytes("tickets.yaml")
    told = project.run("test", "tickets.yaml", *words)
    assert told.code == 2
    assert said in told.err
    assert told.err.count("\n") == 1
    assert project.bytes("tickets.yaml") == before


def test_a_row_that_comes_out_differently_makes_no_test(
    answered: Project, workspace: FakeWorkspace
) -> None:
    answered.write("tickets.yaml", SPEC + 'transforms: {output: "functions:count"}\n')
    answered.run("tickets.yaml")
    said = answered.run("test", "tickets.yaml", "--record", "T-1")
    assert said.code == 2
    assert "does not come out the same twice" in said.err


def test_a_name_that_is_taken_is_told(answered: Project, workspace: FakeWorkspace) -> None:
    answered.run("tickets.yaml")
    words = ["test", "tickets.yaml", "--record", "T-1", "--name", "one"]
    assert answered.run(*words).code == 0
    said = answered.run(*words)
    assert (said.code, said.err) == (
        2,
        "dbrun: tickets.yaml: there is a test named 'one'; give another --name\n",
    )


def test_a_row_that_a_spec_cannot_hold_is_told(answered: Project, workspace: FakeWorkspace) -> None:
    answered.rows(1, t0="${vars.x}")
    answered.run("tickets.yaml")
    before = answered.bytes("tickets.yaml")
    said = answered.run("test", "tickets.yaml", "--record", "T-0")
    assert said.code == 2
    assert "the test cannot be in a spec: tests[0].given.row.text: '${vars.…}' is not" in said.err
    assert answered.bytes("tickets.yaml") == before
    assert [path.name for path in answered.folder.glob("tickets.yaml.*")] == []


def test_one_test_is_recorded_at_a_time(answered: Project, workspace: FakeWorkspace) -> None:
    """What a killed command left behind is in nobody's way."""
    answered.run("tickets.yaml")
    before = answered.bytes("tickets.yaml")
    answered.write("tickets.yaml.recording", "half a sp")
    words = ["test", "tickets.yaml", "--record", "T-1"]
    with locked(str(answered.folder / "tickets.yaml.recording")):
        said = answered.run(*words)
    assert (said.code, answered.bytes("tickets.yaml")) == (2, before)
    assert said.err == "dbrun: tickets.yaml was changed meanwhile; run the same command again\n"
    assert answered.run(*words).code == 0
    assert [path.name for path in answered.folder.glob("tickets.yaml*")] == ["tickets.yaml"]


def test_the_file_keeps_its_mode_and_its_link(answered: Project, workspace: FakeWorkspace) -> None:
    answered.run("tickets.yaml")
    link, real = answered.folder / "tickets.yaml", answered.folder / "real.yaml"
    link.rename(real)
    link.symlink_to(real)
    os.chmod(real, 0o600)
    assert answered.run("test", "tickets.yaml", "--record", "T-1").code == 0
    assert link.is_symlink()
    assert Path(real).stat().st_mode & 0o777 == 0o600
    assert "row T-1" in real.read_text()
