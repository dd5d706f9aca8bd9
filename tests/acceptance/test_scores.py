"""Scores and gates, seen from outside."""

from __future__ import annotations

import json

from acceptance.conftest import SPEC, Project
from fakes.workspace import FakeWorkspace

SCORED = (
    SPEC
    + """\
scores:
  - {type: contains, name: numbered, expected: "number {{ id[2:] }}"}
  - {type: length, name: words}
  - {type: python, name: graded, function: "grades:grade"}
"""
)
GRADES = """\
def grade(record):
    if record["id"] == "T-4":
        raise ValueError("no idea")
    return {"value": record["id"] != "T-3", "explanation": record["status"]}
"""


def scored(project: Project, more: str = "") -> None:
    project.write("tickets.yaml", SCORED + more)
    project.write("grades.py", GRADES)


def test_records_hold_their_scores_and_the_summary_their_means(
    project: Project, workspace: FakeWorkspace
) -> None:
    scored(project)
    said = project.run("run", "tickets.yaml")
    assert said.code == 0
    records = project.records()
    assert records[3]["scores"]["numbered"] == {"value": True}
    assert records[3]["scores"]["graded"] == {"value": False, "explanation": "ok"}
    assert records[4]["status"] == "ok"
    graded = records[4]["scores"]["graded"]
    assert graded["value"] is None
    assert graded["explanation"].startswith("transform: grades:grade raised ValueError: no idea")
    scores = project.manifest()["scores"]
    assert scores["numbered"]["mean"] == 1
    assert (scores["graded"]["count"], scores["graded"]["failed"]) == (9, 1)
    assert "graded    0.889" in said.err
    assert "failed on 1 of 10 records" in said.err
    assert "graded: row T-4: transform" in said.err


def test_an_edited_score_sends_nothing(project: Project, workspace: FakeWorkspace) -> None:
    scored(project)
    project.run("run", "tickets.yaml")
    sent = len(workspace.calls)
    project.write("tickets.yaml", SCORED.replace("number {{", "no number {{"))
    assert project.run("run", "tickets.yaml").code == 0
    assert len(workspace.calls) == sent
    assert project.records()[0]["scores"]["numbered"]["value"] is False
    assert project.manifest()["scores"]["numbered"]["mean"] == 0


def test_rows_without_an_output_are_not_judged(project: Project, workspace: FakeWorkspace) -> None:
    scored(project)
    project.write("rows.jsonl", '{"id": "T-0"}\n{"id": "T-1", "text": "number 1"}\n')
    assert project.run("run", "tickets.yaml").code == 1
    assert [("scores" in record) for record in project.records()] == [False, True]


def test_gates_on_scores_say_by_how_much(project: Project, workspace: FakeWorkspace) -> None:
    scored(project, "gates: {numbered: {min: 1}, words: {max: 3, warn: 2}, graded: {min: 0.1}}\n")
    said = project.run("run", "tickets.yaml", "--json")
    assert said.code == 1
    gates = {(gate["name"], gate["warn"]): gate for gate in said.summary["runs"][0]["gates"]}
    assert gates["numbered", False]["met"] is True
    assert gates["words", False]["met"] is False
    assert gates["words", True]["wanted"] == "at most 2"
    assert gates["graded", False]["note"] == "failed on 1 of 10 records"
    assert "wanted at most 3" in said.err
    assert "missed by " in said.err


def test_results_are_kept_back_until_the_gates_are_met(
    project: Project, workspace: FakeWorkspace
) -> None:
    held = SCORED.replace(
        "sink: out/tickets.jsonl", "sink: {path: out/tickets.jsonl, publish: if_met}"
    )
    project.write("grades.py", GRADES)
    project.write("tickets.yaml", held + "gates: {numbered: {min: 1}}\n")
    assert project.run("run", "tickets.yaml").code == 0
    before = project.files()
    project.write("tickets.yaml", held + "gates: {words: {max: 1}}\n")
    said = project.run("run", "tickets.yaml")
    assert said.code == 1
    assert "out/tickets.unmet.jsonl" in said.err
    after = project.files()
    for name in ("out/tickets.jsonl", "out/tickets.run.json"):
        assert after[name] == before[name]
    kept = (project.folder / "out/tickets.unmet.jsonl").read_text()
    assert len(kept.splitlines()) == 10
    manifest = json.loads((project.folder / "out/tickets.unmet.run.json").read_text())
    assert manifest["exit_code"] == 1
    assert manifest["results"]["path"] == "tickets.unmet.jsonl"
    assert not (project.folder / "out/tickets.run.json.partial").exists()
    assert project.run("verify", "out/tickets.unmet.jsonl").code == 0


def test_a_gate_on_an_unknown_score_is_warned_of(
    project: Project, workspace: FakeWorkspace
) -> None:
    scored(project, "gates: {numberd: {min: 1}}\n")
    said = project.run("validate", "tickets.yaml")
    assert said.code == 0
    assert "gates.numberd: there is no score 'numberd'; did you mean 'numbered'?" in said.err


def test_verify_judges_anew(project: Project, workspace: FakeWorkspace) -> None:
    scored(project)
    project.run("run", "tickets.yaml")
    assert project.run("verify", "tickets.yaml").code == 0
    project.write("grades.py", GRADES.replace("T-3", "T-5"))
    said = project.run("verify", "tickets.yaml")
    assert said.code == 1
    assert "T-3" in said.err
    assert "T-5" in said.err


def test_worker_processes_judge_alike(project: Project, workspace: FakeWorkspace) -> None:
    scored(project, "repeats: 2\n")
    project.run("run", "tickets.yaml")
    before, scores = project.bytes(), project.manifest()["scores"]
    said = project.run("run", "tickets.yaml", "--fresh", "--set", "limits.processes=2")
    assert said.code == 0
    assert project.bytes() == before
    assert project.manifest()["scores"] == scores
