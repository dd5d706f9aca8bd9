"""`dbrun diff --base`: what is said of each spec."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes.repository import SPEC, TICKETS, Project, without_git_settings

from dbrun.cli.main import main
from dbrun.errors import EXIT_OK, EXIT_UNMET, EXIT_USAGE


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    without_git_settings(monkeypatch)
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    made = Project(folder)
    made.run()
    made.branch()
    return made


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["diff", *words]) == EXIT_OK
    return capsys.readouterr().out


def test_a_changed_prompt(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.write("pipelines/prompts/ask.j2", "Say: {{ text | upper }}")
    project.run()
    text = said(capsys, "--base", "main")

    commit = project.git("rev-parse", "main")[:9]
    assert text.startswith("pipelines/tickets.yaml: no regressions\n  OLD  main (")
    assert f"note: main ({commit}): these are the results that are committed there" in text
    assert "3 have another output" in text
    assert "pipelines/prompts/ask.j2: another text" in text


def test_nothing_differs(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "--base", "main") == "No differences.\n"
    assert json.loads(said(capsys, "--base", "main", "--format", "json"))["comparisons"] == []
    assert "3 have the same output" in said(capsys, TICKETS, "--base", "main")


def test_what_has_no_answer_is_no_regression(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write("pipelines/prompts/ask.j2", "Say: {% if id == 'b' %}so {% endif %}{{ text }}")
    text = " ".join(said(capsys, "--base", "main", "--fail-on", "regression").split())

    assert "now: 1 of 3 records lack an answer in the journal: b" in text
    assert "run `dbrun pipelines/tickets.yaml`, or a sample of it" in text
    assert "no answer in the journal on one side" in text


def test_first_results_have_nothing_to_be_compared_with(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.git("rm", "-qr", "out")
    project.git("commit", "-qm", "no results")
    project.git("branch", "-f", "main")
    project.write("pipelines/prompts/ask.j2", "Say: {{ text | upper }}")
    project.run()
    text = said(capsys, "--base", "main", "--fail-on", "regression")

    assert text.startswith("pipelines/tickets.yaml: nothing to compare\n")
    assert "3 of 3 records lack an answer in the journal" in " ".join(text.split())


def test_other_rows_and_new_specs_are_no_mistake(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write("data/rows.jsonl", '{"id": "z", "text": "new"}\n')
    project.write("pipelines/fresh.yaml", SPEC.replace("tickets", "fresh"))
    project.run()
    project.run("pipelines/fresh.yaml")
    text = said(capsys, "--base", "main")

    assert "does not have this spec: it is new" in " ".join(text.split())
    assert "pipelines/fresh.yaml: nothing to compare\n" in text
    assert "no variant" not in text
    assert "1 record only in NEW" in text


def test_a_regression_fails(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.write(
        "pipelines/shaping.py", "def shape(text):\n    return text + ' and more' * len(text)\n"
    )
    assert main(["diff", "--base", "main", "--fail-on", "regression"]) == EXIT_UNMET
    assert "words 4 → " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name two results files, or --base REV"),
        (("a.jsonl", "b.jsonl", "--target", "x"), "--target, --var and --set go with --base"),
        (("--base", "nowhere"), "--base nowhere: git knows no such revision"),
        ((TICKETS, "--base", "main", "--variant", "a", "b"), "nothing to compare"),
    ],
)
def test_mistakes(
    project: Project, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    assert main(["diff", *words]) == EXIT_USAGE
    assert message in capsys.readouterr().err
