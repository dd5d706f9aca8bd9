"""`dbrun journal`: what it shows is so, and what makes no sense is told."""

from __future__ import annotations

import pytest
from acceptance.conftest import SPEC, Project
from acceptance.journals import JOURNAL, shown
from fakes.workspace import FakeWorkspace


def test_no_journal_is_one_clear_line(project: Project, workspace: FakeWorkspace) -> None:
    said = project.run("journal", "tickets.yaml")
    assert (said.code, said.err) == (0, "")
    assert said.out == f"{JOURNAL}: there is no journal yet; the first run makes it\n"
    assert shown(project)["exists"] is False
    for option in ("--prune", "--compact"):
        said = project.run("journal", "tickets.yaml", option)
        assert said.code == 0
        assert "there is no journal, so nothing to do" in said.err
    assert not (project.folder / "out").exists()


def test_what_is_shown(project: Project, workspace: FakeWorkspace) -> None:
    assert project.run("tickets.yaml").code == 0
    project.rows(12, t3="another text")
    found = shown(project)
    assert found["answers"] == 10
    assert found["files"] == 1
    assert found["bytes"] == len(project.bytes(f"{JOURNAL}/answers.jsonl"))
    assert found["generations"] == {"1": 10}
    assert found["models"] == {"chat-1": 10}
    tokens = project.manifest()["tokens"]["answers"]
    assert found["tokens"] == tokens
    assert found["remembered"] == {"databricks:chat": [workspace.url]}
    assert found["use"] == {
        "rows": 12,
        "used": 9,
        "stale": 1,
        "stale_bytes": found["use"]["stale_bytes"],
        "unanswered": 3,
        "unrendered_rows": 0,
        "unfinished_rows": 0,
        "unknown": [],
    }
    assert 0 < found["use"]["stale_bytes"] < found["bytes"] / 5

    said = project.run("journal", "tickets.yaml").out.splitlines()
    assert said[0] == JOURNAL
    facts = {line[2:15].strip(): line[15:] for line in said[1:]}
    assert facts["answers"].startswith("10 in 1 file, ")
    assert facts["used"] == "9 by 12 rows"
    assert facts["stale"].startswith("1, ")
    assert facts["unanswered"] == "3 requests"
    assert facts["models"] == "chat-1: 10"
    assert facts["tokens"] == f"{tokens['input_tokens']:,} in, {tokens['output_tokens']:,} out"
    assert len(workspace.calls) == 10


def test_generations_and_damage_are_shown(project: Project, workspace: FakeWorkspace) -> None:
    assert project.run("tickets.yaml").code == 0
    assert project.run("tickets.yaml", "--fresh", "--limit", "4").code == 0
    assert shown(project)["generations"] == {"1": 6, "2": 4}
    assert "generations  1: 6, 2: 4" in project.run("journal", "tickets.yaml").out
    path = project.folder / JOURNAL / "answers.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], lines[3][:80] + b"\n", *lines[4:]]))
    found = shown(project)
    assert (found["answers"], found["damaged"], found["use"]["unanswered"]) == (9, 1, 1)
    told = "journal   1 line was damaged and passed over, as if the answer had never come"
    (project.folder / "out/tickets.jsonl").unlink()
    said = project.run("tickets.yaml")
    assert (said.code, len(workspace.calls)) == (0, 15)
    assert told in said.err
    (project.folder / "out/tickets.jsonl").unlink()
    assert "damaged" not in project.run("tickets.yaml").err


def test_what_cannot_be_told_is_said_and_the_rest_is_shown(
    project: Project, workspace: FakeWorkspace
) -> None:
    assert project.run("tickets.yaml").code == 0
    (project.folder / "rows.jsonl").unlink()
    found = shown(project)
    assert found["answers"] == 10
    assert found["use"] is None
    assert "there is no such file" in found["trouble"]
    assert "used         not known: rows.jsonl: there is no such file" in (
        project.run("journal", "tickets.yaml").out
    )


def test_every_target_of_a_journal_counts(project: Project, workspace: FakeWorkspace) -> None:
    targets = "default_target: a\ntargets: {a: {}, b: {params: {max_tokens: 5}}}\n"
    project.write("tickets.yaml", SPEC + targets)
    assert project.run("tickets.yaml").code == 0
    assert project.run("tickets.yaml", "-t", "b").code == 0
    assert shown(project)["use"]["stale"] == 0
    said = project.run("journal", "tickets.yaml", "--prune")
    assert said.err == f"{JOURNAL}: nothing to drop: all 20 answers are asked for\n"
    project.write("tickets.yaml", SPEC)
    assert shown(project)["use"]["stale"] == 10


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--prune", "--compact"], "--prune and --compact exclude each other"),
        (["--dry-run"], "--dry-run goes with --prune"),
        (["--force", "--compact"], "--force goes with --prune"),
        (["--fresh", "--prune"], "--fresh goes with --import"),
        (["--export", "-", "--json"], "--json and '--export -' both write to standard output"),
        (["tickets.yaml", "--export", "x.jsonl"], "--export takes one spec, not several"),
        (["--import", "nowhere.jsonl"], "nowhere.jsonl: there is no such file"),
        (["--import", "out"], "out: is a folder"),
        (["--export", f"{JOURNAL}/answers.jsonl"], "is in the journal's own folder"),
        (["--export", "rows.jsonl"], "rows.jsonl belongs to the spec"),
        (["--requests", "out/tickets.jsonl"], "belongs to the spec"),
        (["--requests", "tickets.yaml"], "belongs to the spec"),
        (["--requests", "pyproject.toml"], "is there and is no JSON Lines file"),
        (["--requests", "/dev/null"], "is no regular file"),
        (["--import", "x.jsonl", "--set", "journal.mode=off"], "a run would ask for everything"),
        (["--export", "x.jsonl", "--set", "sink=other.jsonl"], "there is no journal at"),
    ],
)
def test_mistakes_are_told_in_one_line(
    project: Project, workspace: FakeWorkspace, words: list[str], why: str
) -> None:
    assert project.run("tickets.yaml").code == 0
    project.write("x.jsonl", "")
    before = {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()}
    said = project.run("journal", "tickets.yaml", *words)
    assert said.code == 2
    assert why in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""
    assert before == {
        path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()
    }


def test_what_is_an_option_is_no_word(project: Project) -> None:
    said = project.run("journal", "show", "tickets.yaml")
    assert (said.code, said.out) == (2, "")
    assert "'show' is no spec; write dbrun journal SPEC;" in said.err
    said = project.run("journal", "prune", "tickets.yaml")
    assert "'prune' is no spec; write dbrun journal SPEC --prune;" in said.err
    project.write("show", SPEC)
    assert "there is no journal yet" in project.run("journal", "show").out


def test_requests_of_another_form_are_refused(project: Project, workspace: FakeWorkspace) -> None:
    own = SPEC.replace("{adapter: databricks, name: chat, task: chat}", "{adapter: mlflow, url: X}")
    project.write("tickets.yaml", own.replace("X", workspace.url))
    said = project.run("journal", "tickets.yaml", "--requests", "requests.jsonl")
    assert said.code == 2
    assert "what the adapter 'mlflow' sends is no request of a batch API" in said.err
    assert not (project.folder / "requests.jsonl").exists()
    assert not (project.folder / "requests.jsonl.partial").exists()


@pytest.mark.parametrize("task", ["completions", "embeddings", "responses"])
def test_each_task_has_its_url(project: Project, workspace: FakeWorkspace, task: str) -> None:
    endpoint = f"{{adapter: openai, base_url: '{workspace.url}', model: m, task: {task}}}"
    project.write(
        "tickets.yaml", SPEC.replace("{adapter: databricks, name: chat, task: chat}", endpoint)
    )
    said = project.run("journal", "tickets.yaml", "--requests", "-")
    assert {line["url"] for line in said.records} == {f"/v1/{task}"}
    assert {line["body"]["model"] for line in said.records} == {"m"}
    assert "model" not in said.err
