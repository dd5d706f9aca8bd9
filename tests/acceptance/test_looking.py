"""The commands that look and do not send: validate, show, render, verify."""

from __future__ import annotations

import json

import pytest
from acceptance.conftest import SPEC, Project
from fakes.workspace import FakeWorkspace

STEPS = """\
name: tickets
source: {path: rows.jsonl, id: id}
endpoint: {adapter: databricks, name: chat, task: chat}
steps:
  - {name: first, prompt: "Summarize: {{ text }}"}
  - {name: second, prompt: "Shorten: {{ steps.first.output }}", when: "text != 'skip me'"}
sink: out/tickets.jsonl
"""


def test_rendered_requests_are_those_that_a_run_sends(
    project: Project, workspace: FakeWorkspace
) -> None:
    rendered = project.run("render", "tickets.yaml").records
    assert workspace.requests == []
    assert list(rendered[0]) == ["id", "key", "request"]
    assert project.run("tickets.yaml").code == 0
    assert [line["key"] for line in rendered] == [record["key"] for record in project.records()]
    sent = sorted(json.dumps(body, sort_keys=True) for body in workspace.bodies())
    assert sent == sorted(json.dumps(line["request"], sort_keys=True) for line in rendered)


def test_rendering_takes_a_limit_and_ids(project: Project, workspace: FakeWorkspace) -> None:
    assert len(project.run("render", "tickets.yaml", "--limit", "2").records) == 2
    [line] = project.run("render", "tickets.yaml", "--ids", "T-4").records
    assert line["id"] == "T-4"


def test_rendering_needs_no_credentials(project: Project) -> None:
    project.write("tickets.yaml", SPEC.replace("name: chat", "name: chat, host: example.com"))
    assert len(project.run("render", "tickets.yaml").records) == 10


def test_a_row_that_does_not_render_is_told_and_exits_1(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.write("rows.jsonl", '{"id": "T-0", "text": "a"}\n{"id": "T-1"}\n')
    said = project.run("render", "tickets.yaml")
    assert said.code == 1
    assert [line["id"] for line in said.records] == ["T-0"]
    assert "row T-1: render: " in said.err


def test_later_steps_are_rendered_from_the_answers_in_the_journal(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.write("tickets.yaml", STEPS)
    project.rows(4, t2="skip me")
    before = project.run("render", "tickets.yaml").records
    assert [line["step"] for line in before] == ["first"] * 4
    assert project.run("tickets.yaml").code == 0
    asked = len(workspace.calls)
    after = project.run("render", "tickets.yaml").records
    assert [(line["id"], line["step"]) for line in after] == [
        ("T-0", "first"),
        ("T-0", "second"),
        ("T-1", "first"),
        ("T-1", "second"),
        ("T-2", "first"),
        ("T-3", "first"),
        ("T-3", "second"),
    ]
    assert len(workspace.calls) == asked
    sent = {json.dumps(body, sort_keys=True) for body in workspace.bodies()}
    assert {json.dumps(line["request"], sort_keys=True) for line in after} == sent


def test_show_prints_what_validates_again(project: Project, workspace: FakeWorkspace) -> None:
    project.write("_base.yaml", "params: {max_tokens: 5}\nlimits: {attempts: 2}\n")
    project.write("tickets.yaml", "extends: _base.yaml\n" + SPEC)
    said = project.run("show", "tickets.yaml", "--set", "params.temperature=0")
    assert said.code == 0
    assert "max_tokens: 5  # _base.yaml:1" in said.out
    assert "temperature: 0  # --set" in said.out
    project.write("shown.yaml", said.out)
    assert project.run("validate", "shown.yaml").code == 0


def test_results_agree_with_their_manifest(project: Project, workspace: FakeWorkspace) -> None:
    project.run("tickets.yaml")
    said = project.run("verify", "out/tickets.jsonl")
    assert said.code == 0
    assert "out/tickets.jsonl: ok" in said.err


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"status":"ok"', '"status":"OK"', "SHA-256 differs"),
        ('"status":"ok"', '"status":"OK"', "record 1: its status is 'OK'"),
        ('{"id":"T-0"', '{"id":"T-00"', "bytes"),
        ('"output":"Echo', '"outpu":"Echo', "record 1: it has no output"),
        ('{"id":"T-0"', '{"id":7', "record 1: it has no id"),
        ('"status":"ok"', '"status":"error"', "it counts 10 ok, the results have 9"),
        ('{"id":"T-0"', '["id":"T-0"', "out/tickets.jsonl"),
        ('"finish_reason":"stop"', '"finish_reason":"done"', "its finish_reason is 'done'"),
    ],
)
def test_results_that_were_altered_are_found_out(
    old: str, new: str, expected: str, project: Project, workspace: FakeWorkspace
) -> None:
    project.run("tickets.yaml")
    intact = project.bytes()
    altered = intact.decode().replace(old, new, 1)
    project.write("out/tickets.jsonl", altered)
    said = project.run("verify", "out/tickets.jsonl")
    (project.folder / "out/tickets.jsonl").write_bytes(intact)
    assert said.code == 1
    assert expected in said.err
    assert said.err.count("out/tickets.jsonl:") <= said.err.count("\n")  # named once a line


def test_results_without_manifest_are_not_verified(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.run("tickets.yaml")
    (project.folder / "out/tickets.run.json").unlink()
    said = project.run("verify", "out/tickets.jsonl")
    assert said.code == 1
    assert "there is no manifest" in said.err
    assert project.run("verify", "out/nothing.jsonl").code == 2
    assert project.run("verify", "out/tickets.jsonl", "--target", "prod").code == 2


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ("{", "this is none that dbrun wrote"),
        ("[]", "this is none that dbrun wrote"),
        ('{"version": 2}', "it is of version 2, and this dbrun knows 1; take a newer dbrun"),
        ('{"version": 1}', "it names no results; the run did not finish"),
    ],
    ids=["torn", "list", "newer", "empty"],
)
def test_manifests_that_tell_nothing_here(
    manifest: str, said: str, project: Project, workspace: FakeWorkspace
) -> None:
    project.run("tickets.yaml")
    place = project.folder / "out/tickets.run.json"
    intact = place.read_bytes()
    project.write("out/tickets.run.json", manifest)
    found = project.run("verify", "out/tickets.jsonl")
    place.write_bytes(intact)
    assert found.code == 1
    assert f"out/tickets.run.json: {said}\n" in found.err


def test_a_manifest_is_no_results_file(project: Project, workspace: FakeWorkspace) -> None:
    project.run("tickets.yaml")
    found = project.run("verify", "out/tickets.run.json")
    assert found.code == 2
    assert "tickets.run.json: this is a manifest; name the results that lie beside it" in found.err


def test_results_are_what_spec_rows_and_journal_give(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.rows(6, t4="[too-long]")
    project.run("tickets.yaml")
    before = project.files()
    asked = len(workspace.requests)
    said = project.run("verify", "tickets.yaml")
    assert said.code == 0
    assert "6 records compared; 1 failed call cannot be replayed" in said.err
    assert len(workspace.requests) == asked
    assert project.files() == before


def test_results_that_are_out_of_date_name_their_ids(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.run("tickets.yaml")
    lines = project.bytes().decode().splitlines(keepends=True)
    lines[2] = lines[2].replace("Echo", "Hello")
    del lines[5]
    lines.append(lines[0].replace('"id":"T-0"', '"id":"T-99"'))
    project.write("out/tickets.jsonl", "".join(lines))
    project.rows(10, t7="another text")
    said = project.run("verify", "tickets.yaml")
    assert said.code == 1
    assert "T-2: not what spec, rows and journal give" in said.err
    assert "T-5: not in the results" in said.err
    assert "T-7: without an answer in the journal" in said.err
    assert "T-99: in the results, but not in the rows" in said.err
    assert said.err.count("T-") == 4


def test_records_in_another_order_are_out_of_date(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.run("tickets.yaml")
    lines = project.bytes().decode().splitlines(keepends=True)
    project.write("out/tickets.jsonl", "".join([*lines[1:], lines[0]]))
    said = project.run("verify", "tickets.yaml")
    assert said.code == 1
    assert "not in the order of the rows" in said.err


def test_at_most_twenty_ids_are_named(project: Project, workspace: FakeWorkspace) -> None:
    project.rows(30)
    project.run("tickets.yaml")
    project.write("out/tickets.jsonl", project.bytes().decode().replace("Echo", "Hello"))
    said = project.run("verify", "tickets.yaml")
    assert said.err.count("not what spec") == 20
    assert "and 10 more records" in said.err


@pytest.mark.parametrize("extension", ["csv", "parquet"])
def test_results_in_other_formats_are_verified(
    extension: str, project: Project, workspace: FakeWorkspace
) -> None:
    project.write("tickets.yaml", SPEC.replace(".jsonl\n", f".{extension}\n"))
    assert project.run("tickets.yaml").code == 0
    assert project.run("verify", f"out/tickets.{extension}").code == 0
    assert project.run("verify", "tickets.yaml").code == 0
    project.rows(10, t7="another text")
    assert project.run("tickets.yaml", "--out", "other/all.jsonl").code == 0
    said = project.run("verify", "tickets.yaml")
    assert said.code == 1
    assert "T-7: not what spec, rows and journal give" in said.err


def test_valid_specs_are_said_to_be(project: Project) -> None:
    said = project.run("validate", "*.yaml")
    assert said.code == 0
    assert said.out == ""
    assert "tickets.yaml: ok" in said.err


def test_fragments_are_passed_over(project: Project) -> None:
    project.write("_base.yaml", "limits: {attempts: 2}\n")
    assert "_base.yaml" not in project.run("validate", "*.yaml").err
    said = project.run("validate", "_base.yaml")
    assert said.code == 0
    assert "there are only fragments" in said.err


def test_problems_of_a_parent_are_told_once(project: Project) -> None:
    project.write("_base.yaml", "limits: {attemps: 2}\n")
    for name in ("a", "b"):
        spec = SPEC.replace("out/tickets", f"out/{name}")
        project.write(f"{name}.yaml", "extends: _base.yaml\n" + spec)
    said = project.run("validate", "a.yaml", "b.yaml")
    assert said.code == 2
    assert said.err.count("_base.yaml:1:10: limits.attemps: unknown key") == 1


def test_problems_for_programs(project: Project) -> None:
    project.write("tickets.yaml", SPEC.replace("name: chat", "nmae: chat"))
    said = project.run("validate", "tickets.yaml", "--format", "json")
    assert said.code == 2
    problems = json.loads(said.out)
    assert {problem["severity"] for problem in problems} == {"error"}
    first = problems[0]
    assert (first["file"], first["line"]) == ("tickets.yaml", 3)
    assert said.err == ""


def test_problems_as_annotations(project: Project) -> None:
    project.write("tickets.yaml", SPEC.replace("name: chat", "nmae: chat"))
    said = project.run("validate", "tickets.yaml", "--format", "github")
    assert said.code == 2
    assert "::error file=tickets.yaml,line=3,col=" in said.out


def test_functions_are_not_imported_when_not_wanted(project: Project) -> None:
    project.write("functions.py", "open('imported', 'w').close()\ndef row(row): return row\n")
    project.write("tickets.yaml", SPEC + "transforms: {row: 'functions:row'}\n")
    assert project.run("validate", "tickets.yaml", "--no-import").code == 0
    assert not (project.folder / "imported").exists()
    assert project.run("validate", "tickets.yaml").code == 0
    assert (project.folder / "imported").exists()
