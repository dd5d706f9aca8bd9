"""`dbrun journal --requests`, `--import`, `--export`: a batch does for a run."""

from __future__ import annotations

import gzip
import json
import sys

import pytest
from acceptance.conftest import SPEC, Project
from acceptance.journals import JOURNAL, STEPS, entries, run_batch, shown
from fakes.workspace import FakeWorkspace


def test_a_batch_does_for_a_run(project: Project, workspace: FakeWorkspace) -> None:
    assert project.run("tickets.yaml", "--set", "sink=direct/tickets.jsonl").code == 0
    direct = project.bytes("direct/tickets.jsonl")
    asked = len(workspace.calls)

    said = project.run("journal", "tickets.yaml", "--requests", "requests.jsonl")
    assert said.code == 0
    assert said.err.splitlines()[0].startswith("requests.jsonl: 10 requests, ")
    assert "10 requests without a model" in said.err
    rendered = project.run("render", "tickets.yaml").records
    lines = [json.loads(line) for line in project.bytes("requests.jsonl").splitlines()]
    assert [(line["custom_id"], line["body"]) for line in lines] == [
        (line["key"], line["request"]) for line in rendered
    ]
    assert run_batch(project, "requests.jsonl", "answers.jsonl") == 10
    said = project.run("journal", "tickets.yaml", "--import", "answers.jsonl")
    assert (said.code, said.err) == (0, "10 lines: 10 taken\n")
    assert list(project.files(JOURNAL)) == [f"{JOURNAL}/answers.jsonl"]

    assert project.run("tickets.yaml").code == 0
    assert project.manifest()["requests"]["sent"] == 0
    assert len(workspace.calls) == asked
    assert project.bytes() == direct
    assert shown(project)["models"] == {"batch-model": 10}
    said = project.run("journal", "tickets.yaml", "--requests", "-", "--set", "params.top_p=1")
    assert len(said.records) == 10
    said = project.run("journal", "tickets.yaml", "--requests", "requests.jsonl")
    assert said.err == "requests.jsonl: 0 requests, 0 bytes; 10 have an answer\n"
    assert project.bytes("requests.jsonl") == b""


def test_steps_take_a_batch_each(project: Project, workspace: FakeWorkspace) -> None:
    project.write("tickets.yaml", STEPS)
    assert project.run("tickets.yaml", "--set", "sink=direct/tickets.jsonl").code == 0
    asked = len(workspace.calls)
    for step in ("first", "second"):
        said = project.run("journal", "tickets.yaml", "--requests", f"{step}.jsonl")
        more = "10 rows ask more in later steps" in said.err
        assert more is (step == "first")
        assert run_batch(project, f"{step}.jsonl", f"{step}.out.jsonl") == 10
        said = project.run("journal", "tickets.yaml", "--import", f"{step}.out.jsonl")
        assert said.err.splitlines()[0] == "10 lines: 10 taken"
    assert project.run("tickets.yaml").code == 0
    assert len(workspace.calls) == asked
    assert project.bytes() == project.bytes("direct/tickets.jsonl")

    # Elsewhere all of it is taken in at once, whatever the order of the lines.
    assert project.run("journal", "tickets.yaml", "--export", "all.jsonl.gz").code == 0
    lines = gzip.decompress(project.bytes("all.jsonl.gz")).splitlines(keepends=True)
    project.write("all.jsonl", b"".join(reversed(lines)).decode())
    elsewhere = ["--set", "sink=other/tickets.jsonl"]
    said = project.run("journal", "tickets.yaml", "--import", "all.jsonl", *elsewhere)
    assert said.err == "20 lines: 20 taken\n"
    assert project.run("tickets.yaml", *elsewhere).code == 0
    assert len(workspace.calls) == asked
    assert project.bytes("other/tickets.jsonl") == project.bytes()


def test_an_export_is_what_a_batch_gives(project: Project, workspace: FakeWorkspace) -> None:
    assert project.run("tickets.yaml").code == 0
    said = project.run("journal", "tickets.yaml", "--export", "-")
    assert (said.code, said.err) == (0, "standard output: 10 answers\n")
    kept = entries(project)
    assert [line["custom_id"] for line in said.records] == sorted(kept)
    for line in said.records:
        assert list(line) == ["id", "custom_id", "response", "error"]
        assert list(line["response"]) == ["status_code", "request_id", "body"]
        assert line["response"]["status_code"] == 200
        assert line["response"]["body"] == kept[line["custom_id"]]
        assert line["error"] is None
    assert len({line["id"] for line in said.records}) == 10
    # There and back again.
    project.write("answers.jsonl", said.out)
    before = project.bytes(f"{JOURNAL}/answers.jsonl")
    (project.folder / JOURNAL / "answers.jsonl").unlink()
    assert project.run("journal", "tickets.yaml", "--import", "answers.jsonl").code == 0
    assert len(entries(project)) == 10
    assert entries(project) == kept
    assert len(project.bytes(f"{JOURNAL}/answers.jsonl")) <= len(before)


def test_rows_are_known_by_their_ids_too(project: Project, workspace: FakeWorkspace) -> None:
    project.rows(3)
    project.run("journal", "tickets.yaml", "--requests", "requests.jsonl")
    run_batch(project, "requests.jsonl", "answers.jsonl")
    keys = {line["key"]: line["id"] for line in project.run("render", "tickets.yaml").records}
    text = project.bytes("answers.jsonl").decode()
    for key, row_id in keys.items():
        text = text.replace(key, row_id)
    project.write("answers.jsonl", text)
    said = project.run("journal", "tickets.yaml", "--import", "answers.jsonl")
    assert (said.code, said.err) == (0, "3 lines: 3 taken\n")
    assert set(entries(project)) == set(keys)


def test_ids_that_tell_no_request_are_named(project: Project, workspace: FakeWorkspace) -> None:
    project.write("tickets.yaml", SPEC + "repeats: 2\n")
    project.rows(2)
    body = {"choices": [{"message": {"content": "x"}}]}
    line = {"custom_id": "T-1", "response": {"status_code": 200, "body": body}, "error": None}
    project.write("answers.jsonl", json.dumps(line) + "\n")
    said = project.run("journal", "tickets.yaml", "--import", "answers.jsonl")
    assert said.code == 1
    assert "answers.jsonl:1: 'T-1' is the id of several requests" in said.err
    project.write("tickets.yaml", STEPS)
    said = project.run("journal", "tickets.yaml", "--import", "answers.jsonl")
    assert "answers.jsonl:1: 'T-1' is no key of a request" in said.err
    assert not (project.folder / JOURNAL).exists()


def test_every_line_is_accounted_for(project: Project, workspace: FakeWorkspace) -> None:
    project.run("journal", "tickets.yaml", "--requests", "requests.jsonl")
    run_batch(project, "requests.jsonl", "answers.jsonl")
    good = project.bytes("answers.jsonl").decode().splitlines()
    failed = json.loads(good[0]) | {
        "response": None,
        "error": {"code": "batch_expired", "message": "too late"},
    }
    refused = json.loads(good[1])
    refused["response"] |= {"status_code": 400, "body": {"error": {"code": "invalid_value"}}}
    empty = json.loads(good[2])
    empty["response"]["body"] = {"choices": []}
    stranger = json.loads(good[3]) | {"custom_id": "f" * 64}
    lines = [
        *(json.dumps(line) for line in (failed, refused, empty, stranger)),
        *good[4:],
        good[5],
        "",
        "[1, 2]",
        "no JSON",
        project.bytes("requests.jsonl").decode().splitlines()[0],
        '{"custom_id": 7}',
        good[3][:50],
    ]
    project.write("answers.jsonl", "\n".join(lines))
    said = project.run("journal", "tickets.yaml", "--import", "answers.jsonl", "--json")
    assert said.code == 1
    assert said.summary == {
        "lines": 16,
        "taken": 6,
        "known": 0,
        "repeated": 1,
        "failed": {"batch_expired": 1, "400 invalid_value": 1},
        "unasked": 1,
        "foreign": 6,
        "unanswered": 4,
        "unrendered_rows": 0,
    }
    for number, why in [
        (3, "the answer has no choices[0]"),
        (4, f"no row asks for {'f' * 64}"),
        (13, "the line is no object"),
        (14, "the line is no JSON, or only a part of it"),
        (15, "this is a request; import the file that the batch gave back"),
        (16, "its custom_id is no text"),
        (17, "the line is no JSON, or only a part of it"),
    ]:
        assert f"answers.jsonl:{number}: {why}" in said.err
    assert "2 requests failed in the batch (batch_expired: 1, 400 invalid_value: 1)" in said.err
    assert "4 requests without an answer still: dbrun tickets.yaml asks for them" in said.err
    assert len(entries(project)) == 6

    # What failed is asked for by a run; what is known is left.
    assert project.run("tickets.yaml").code == 0
    assert len(workspace.calls) == 4
    before = entries(project)
    project.write("answers.jsonl", "\n".join(good) + "\n")
    said = project.run("journal", "tickets.yaml", "--import", "answers.jsonl")
    assert (said.code, said.err) == (0, "10 lines: 0 taken, 10 answered before\n")
    assert entries(project) == before
    said = project.run("journal", "tickets.yaml", "--import", "answers.jsonl", "--fresh")
    assert said.err == "10 lines: 10 taken\n"
    assert {body["model"] for body in entries(project).values()} == {"batch-model"}


def test_several_files_and_standard_input(
    project: Project, workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run("journal", "tickets.yaml", "--requests", "requests.jsonl")
    run_batch(project, "requests.jsonl", "answers.jsonl")
    lines = project.bytes("answers.jsonl").splitlines(keepends=True)
    (project.folder / "a.jsonl.gz").write_bytes(gzip.compress(b"".join(lines[:3])))
    with (project.folder / "b.jsonl").open("w+b") as stream:
        stream.write(b"".join(lines[3:]))
        stream.seek(0)
        monkeypatch.setattr(sys, "stdin", type("Input", (), {"buffer": stream}))
        words = ["--import", "a.jsonl.gz", "--import", "-"]
        said = project.run("journal", "tickets.yaml", *words)
    assert said.err == "10 lines: 10 taken\n"


def test_a_file_that_breaks_off_keeps_what_came_before(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.rows(200)
    project.run("journal", "tickets.yaml", "--requests", "requests.jsonl")
    run_batch(project, "requests.jsonl", "answers.jsonl")
    padded = [json.loads(line) for line in project.bytes("answers.jsonl").splitlines()]
    for line in padded:
        line["response"]["body"]["pad"] = "x" * 20_000
    whole = gzip.compress("".join(json.dumps(line) + "\n" for line in padded).encode(), 0)
    (project.folder / "answers.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    said = project.run("journal", "tickets.yaml", "--import", "answers.jsonl.gz")
    assert said.code == 3
    assert "answers.jsonl.gz: cannot be read: " in said.err
    assert "what was read before is kept" in said.err
    assert 50 < len(entries(project)) < 150
    assert project.run("journal", "tickets.yaml", "--import", "answers.jsonl").code == 0
    assert len(entries(project)) == 200


def test_rows_without_a_request_are_told(project: Project, workspace: FakeWorkspace) -> None:
    project.write("rows.jsonl", '{"id": "T-0", "text": "a"}\n{"id": "T-1"}\n')
    said = project.run("journal", "tickets.yaml", "--requests", "requests.jsonl")
    assert said.code == 1
    assert "row T-1: render: " in said.err
    assert "requests.jsonl: 1 request, " in said.err
    assert len(project.bytes("requests.jsonl").splitlines()) == 1
