"""Variants of a matrix, seen from outside."""

from __future__ import annotations

from acceptance.conftest import SPEC, Project
from fakes.workspace import FakeWorkspace

MATRIX = (
    SPEC
    + """\
params: {max_tokens: 50}
scores: [{type: length, name: words}]
matrix:
  prompt: [{name: brief, value: "Brief: {{ text }}"}, {name: long, value: "At length: {{ text }}"}]
  params.max_tokens: [10, 50]
  exclude: [{prompt: brief, params.max_tokens: 10}]
"""
)
NAMES = [
    "prompt=brief,params.max_tokens=50",
    "prompt=long,params.max_tokens=10",
    "prompt=long,params.max_tokens=50",
]


def test_each_row_has_a_record_of_each_variant(project: Project, workspace: FakeWorkspace) -> None:
    project.write("tickets.yaml", MATRIX + "repeats: 2\n")
    said = project.run("run", "tickets.yaml")
    assert said.code == 0
    told = [(one["id"], one["variant"], one["repeat"]) for one in project.records()]
    assert told == [
        (f"T-{row}", name, repeat) for row in range(10) for name in NAMES for repeat in (1, 2)
    ]
    assert len(workspace.calls) == 60
    variants = project.manifest()["variants"]
    assert list(variants) == NAMES
    assert variants[NAMES[1]]["values"]["params.max_tokens"] == 10
    assert variants[NAMES[1]]["counts"]["rows"] == 20
    assert variants[NAMES[1]]["scores"]["words"]["count"] == 20
    for name in NAMES:
        assert name in said.err
    assert project.run("verify", "tickets.yaml").code == 0
    assert project.run("verify", "out/tickets.jsonl").code == 0


def test_a_second_run_leaves_every_byte(project: Project, workspace: FakeWorkspace) -> None:
    project.write("tickets.yaml", MATRIX)
    project.run("run", "tickets.yaml")
    before, sent = project.files(), len(workspace.calls)
    assert project.run("run", "tickets.yaml").code == 0
    assert len(workspace.calls) == sent
    assert project.files() == before


def test_what_two_variants_ask_alike_is_asked_once(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.write("tickets.yaml", SPEC + "vars: {a: 1}\nmatrix: {vars.a: [1, 2]}\n")
    assert "10 sent, 10 reused" in project.run("run", "tickets.yaml").err
    # What was asked before there was a matrix is an answer, too.
    project.write("tickets.yaml", SPEC + "matrix: {params.max_tokens: [null, 5]}\n")
    assert "10 sent, 10 reused" in project.run("run", "tickets.yaml").err


def test_gates_hold_for_each_variant(project: Project, workspace: FakeWorkspace) -> None:
    project.write("tickets.yaml", MATRIX + "gates: {words: {max: 5}}\n")
    said = project.run("run", "tickets.yaml", "--json")
    assert said.code == 1
    gates = said.summary["runs"][0]["gates"]
    assert [(gate["variant"], gate["name"]) for gate in gates] == [
        (name, gate) for name in NAMES for gate in ("success", "words")
    ]
    narrow = "gates: {words: {max: 5}, variants: ['prompt=brief,params.max_tokens=50']}\n"
    project.write("tickets.yaml", MATRIX + narrow)
    said = project.run("run", "tickets.yaml", "--json")
    assert {gate["variant"] for gate in said.summary["runs"][0]["gates"]} == {NAMES[0]}


def test_render_plan_and_show_know_variants(project: Project, workspace: FakeWorkspace) -> None:
    project.write("tickets.yaml", MATRIX)
    rendered = project.run("render", "tickets.yaml", "--limit", "1").records
    assert [line["variant"] for line in rendered] == NAMES
    assert rendered[1]["request"]["max_tokens"] == 10
    assert "30 records of 10 rows" in project.run("plan", "tickets.yaml").out
    assert f"# variant {NAMES[0]}\n" in project.run("show", "tickets.yaml").out
    assert "tickets: 30 records of 10 rows, 30 ok" in project.run("run", "tickets.yaml").err
    assert "to reuse              30" in project.run("plan", "tickets.yaml").out
    assert project.run("journal", "tickets.yaml", "--prune").code == 0
    assert "0 sent, 30 reused" in project.run("run", "tickets.yaml").err


def test_alternatives_can_be_set(project: Project, workspace: FakeWorkspace) -> None:
    project.write("tickets.yaml", MATRIX.replace("  exclude", "  # exclude"))
    said = project.run("render", "tickets.yaml", "--set", "matrix.params.max_tokens=[7]")
    assert {line["request"]["max_tokens"] for line in said.records} == {7}


def test_failures_of_one_variant_are_asked_again_alone(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.write("functions.py", "def check(text):\n    return text.upper()\n")
    spec = SPEC + 'matrix: {transforms.output: ["functions:check", "functions:broken"]}\n'
    project.write("tickets.yaml", spec)
    broken = "def check(t):\n    return t\n\n\ndef broken(t):\n    raise ValueError('no')\n"
    project.write("functions.py", broken)
    said = project.run("run", "tickets.yaml")
    assert said.code == 1
    records = project.records()
    assert [one["status"] for one in records[:2]] == ["ok", "error"]
    assert [one["output"] is None for one in records[:2]] == [False, True]
    sent = len(workspace.calls)
    project.run("run", "tickets.yaml", "--only-errors")
    assert len(workspace.calls) == sent + 10


def test_worker_processes_know_variants(project: Project, workspace: FakeWorkspace) -> None:
    project.write("tickets.yaml", MATRIX)
    project.run("run", "tickets.yaml")
    before, variants = project.bytes(), project.manifest()["variants"]
    said = project.run("run", "tickets.yaml", "--fresh", "--set", "limits.processes=2")
    assert said.code == 0
    assert project.bytes() == before
    for name, one in project.manifest()["variants"].items():
        assert one["counts"] == variants[name]["counts"]
        assert one["scores"] == variants[name]["scores"]
