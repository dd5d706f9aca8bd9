"""`dbrun journal --prune` and `--compact`: nobody misses what is dropped."""

from __future__ import annotations

import subprocess
import sys

import pytest
from acceptance.conftest import SPEC, Project
from acceptance.journals import JOURNAL, STEPS, entries, record, shown
from fakes.workspace import FakeWorkspace

from dbrun.client.journal import Journal


def test_pruning_drops_what_nobody_asks_for(project: Project, workspace: FakeWorkspace) -> None:
    assert project.run("tickets.yaml").code == 0
    project.rows(8, t3="another text")
    assert project.run("tickets.yaml").code == 0
    results, before = project.bytes(), entries(project)
    files = project.files(JOURNAL)

    said = project.run("journal", "tickets.yaml", "--prune", "--dry-run", "--json")
    assert "3 answers would be dropped (" in said.err
    assert said.summary["dropped"] == 3
    assert project.files(JOURNAL) == files

    said = project.run("journal", "tickets.yaml", "--prune", "--json")
    assert said.code == 0
    assert "3 answers dropped (" in said.err
    assert {**said.summary, "dropped_bytes": 0} == {
        "journal": str(project.folder / JOURNAL),
        "dry_run": False,
        "answers": 8,
        "dropped": 3,
        "dropped_bytes": 0,
    }
    left = entries(project)
    assert len(left) == 8
    assert left.items() <= before.items()
    assert project.run("tickets.yaml", "--replay").code == 0
    assert project.bytes() == results
    assert len(workspace.calls) == 11


def test_repeats_and_all_steps_are_kept(project: Project, workspace: FakeWorkspace) -> None:
    project.write("tickets.yaml", STEPS + "repeats: 3\n")
    project.rows(4)
    assert project.run("tickets.yaml").code == 0
    project.write("tickets.yaml", STEPS + "repeats: 2\n")
    said = project.run("journal", "tickets.yaml", "--prune", "--json").summary
    # An answer is the same each time, so the second step asks by repeat, too.
    assert (said["answers"], said["dropped"]) == (16, 8)
    assert project.run("tickets.yaml", "--replay").code == 0


def test_reasks_are_kept(project: Project, workspace: FakeWorkspace) -> None:
    schema = "response_schema: {schema: {type: object}, reask: 2}\n"
    project.write("tickets.yaml", SPEC + schema)
    project.rows(2)
    assert project.run("tickets.yaml").code == 1
    assert len(entries(project)) == 6
    assert shown(project)["use"]["stale"] == 0
    assert "nothing to drop" in project.run("journal", "tickets.yaml", "--prune").err


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("rows: gone", "there is no such file"),
        ("rows: torn", r"rows.jsonl:10: not JSON"),
        ("rows: no text", "of 1 of 10 rows it is not known what they ask for; the first: row T-5"),
        ("prompt", "of 10 answers not one is asked for by the 10 rows"),
        ("host", "of 10 answers not one is asked for"),
        ("stdin", "the rows come from standard input"),
        ("empty", "not one is asked for by the 0 rows"),
    ],
)
def test_nothing_is_dropped_where_something_may_be_missed(
    project: Project,
    workspace: FakeWorkspace,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
    why: str,
) -> None:
    assert project.run("tickets.yaml").code == 0
    rows = project.folder / "rows.jsonl"
    text = rows.read_text()
    if change == "rows: gone":
        rows.unlink()
    elif change == "rows: torn":
        rows.write_text(text[:-10])
    elif change == "rows: no text":
        rows.write_text(text.replace('"text": "ticket number 5"', '"other": 5'))
    elif change == "prompt":
        project.write("tickets.yaml", SPEC.replace("Summarize", "Shorten"))
    elif change == "host":
        monkeypatch.setenv("DATABRICKS_HOST", "https://elsewhere.example.com")
    elif change == "stdin":
        project.write("tickets.yaml", SPEC.replace("rows.jsonl", "'-'"))
    else:
        rows.write_text("")
    before = project.files(JOURNAL)
    for extra in ([], ["--dry-run"]):
        said = project.run("journal", "tickets.yaml", "--prune", *extra)
        assert said.code in (2, 3)
        assert why in said.err
        assert said.err.count("\n") == 1
    assert project.files(JOURNAL) == before
    forced = project.run("journal", "tickets.yaml", "--prune", "--force", "--dry-run")
    assert forced.code == (0 if change in ("prompt", "host", "empty") else said.code)


def test_later_steps_are_kept_while_an_earlier_one_has_no_answer(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.write("tickets.yaml", STEPS)
    assert project.run("tickets.yaml").code == 0
    project.rows(9, t0="a new text")
    said = project.run("journal", "tickets.yaml", "--prune")
    assert said.code == 2
    assert "1 of 9 rows have no usable answer in an earlier step" in said.err
    assert len(entries(project)) == 20
    assert "unfinished   1 row: later steps" in project.run("journal", "tickets.yaml").out
    assert project.run("tickets.yaml").code == 0
    assert "4 answers dropped" in project.run("journal", "tickets.yaml", "--prune").err
    assert len(entries(project)) == 18


def test_a_target_that_cannot_be_read_is_not_robbed(
    project: Project, workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = "targets: {prod: {prompt: 'Shorten: {{ text }}', params: {top_p: '${TOP_P}'}}}\n"
    project.write("tickets.yaml", SPEC + target)
    monkeypatch.setenv("TOP_P", "0.5")
    assert project.run("tickets.yaml").code == 0
    assert project.run("tickets.yaml", "-t", "prod").code == 0
    project.rows(9)
    monkeypatch.delenv("TOP_P")
    said = project.run("journal", "tickets.yaml", "--prune")
    assert said.code == 2
    assert "target 'prod' of tickets.yaml may ask for some of the answers" in said.err
    assert "TOP_P" in said.err
    assert "not known    what target 'prod' of tickets.yaml asks for: " in (
        project.run("journal", "tickets.yaml").out
    )
    monkeypatch.setenv("TOP_P", "0.5")
    assert "2 answers dropped" in project.run("journal", "tickets.yaml", "--prune").err
    monkeypatch.delenv("TOP_P")
    said = project.run("journal", "tickets.yaml", "--prune", "--force")
    assert "9 answers dropped" in said.err


def test_specs_that_share_a_journal_are_pruned_together(
    project: Project, workspace: FakeWorkspace
) -> None:
    shared = SPEC + "journal: {path: shared.journal}\n"
    project.write("tickets.yaml", shared)
    project.write("other.yaml", shared.replace("Summarize", "Shorten").replace("out/t", "out/o"))
    assert project.run("tickets.yaml", "other.yaml").code == 0
    assert "nothing to drop: all 20" in (
        project.run("journal", "tickets.yaml", "other.yaml", "--prune").err
    )
    assert "10 answers dropped" in project.run("journal", "tickets.yaml", "--prune").err


@pytest.mark.parametrize("words", [["--prune"], ["--compact"], ["--import", "answers.jsonl"]])
def test_a_run_that_holds_the_sink_is_left_in_peace(
    project: Project, workspace: FakeWorkspace, words: list[str]
) -> None:
    assert project.run("tickets.yaml").code == 0
    project.rows(9)
    project.write("answers.jsonl", "")
    before = project.files(JOURNAL)
    held = (
        "import sys; from dbrun.client.journal import SinkLock; "
        f"lock = SinkLock({JOURNAL!r}); lock.acquire(); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        said = project.run("journal", "tickets.yaml", *words)
        assert said.code == 2
        assert "another run is writing this journal" in said.err
        assert holder.stdin is not None
        holder.stdin.close()
    after = project.files(JOURNAL)
    del after[f"{JOURNAL}/lock"]
    assert after == before


def test_compacting_makes_one_file(project: Project, workspace: FakeWorkspace) -> None:
    for start in (0, 5):
        with Journal.open(str(project.folder / JOURNAL)) as journal:
            for number in range(start, start + 5):
                record(journal, number)
    said = project.run("journal", "tickets.yaml", "--compact", "--json")
    assert (said.code, said.summary["files_before"], said.summary["files"]) == (0, 2, 1)
    assert "1 file, " in said.err
    assert list(project.files(JOURNAL)) == [f"{JOURNAL}/answers.jsonl"]
    assert len(entries(project)) == 10
    assert "nothing to do: 1 file" in project.run("journal", "tickets.yaml", "--compact").err
