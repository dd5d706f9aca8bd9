"""`dbrun journal`: what it shows is so, nobody misses what it prunes, a batch does for a run."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from acceptance.conftest import SPEC, Project
from fakes.models import Endpoint, Refusal, chat
from fakes.workspace import FakeWorkspace

from dbrun.client.journal import Journal

JOURNAL = "out/tickets.jsonl.journal"
STEPS = """\
name: tickets
source: {path: rows.jsonl, id: id}
endpoint: {adapter: databricks, name: chat, task: chat}
steps:
  - {name: first, prompt: "Summarize: {{ text }}"}
  - {name: second, prompt: "Shorten: {{ steps.first.output }}"}
sink: out/tickets.jsonl
"""


def shown(project: Project, *words: str) -> dict[str, Any]:
    """What `dbrun journal` says as JSON."""
    said = project.run("journal", "tickets.yaml", "--json", *words)
    assert said.code == 0, said.err
    return said.summary


def entries(project: Project) -> dict[str, Any]:
    """Every answer of the journal by its key."""
    with Journal.open(str(project.folder / JOURNAL), mode="replay") as journal:
        return {key: entry.body for key, entry in journal.items()}


def run_batch(project: Project, requests: str, answers: str) -> int:
    """Do what a batch API does with a file; gives how many requests there were."""
    lines = []
    for text in (project.folder / requests).read_text(encoding="utf-8").splitlines():
        request = json.loads(text)
        assert set(request) == {"custom_id", "method", "url", "body"}
        assert (request["method"], request["url"]) == ("POST", "/v1/chat/completions")
        try:
            reply = chat(Endpoint(kind="foundation", model="batch-model"), request["body"])
        except Refusal as refusal:
            reply = refusal.reply
        lines.append(
            {
                "id": f"batch_req_{len(lines)}",
                "custom_id": request["custom_id"],
                "response": {
                    "status_code": reply.status,
                    "request_id": f"req_{len(lines)}",
                    "body": json.loads(reply.body),
                },
                "error": None,
            }
        )
    random.Random(3).shuffle(lines)  # a batch answers in any order
    project.write(answers, "".join(json.dumps(line) + "\n" for line in lines))
    return len(lines)


# --- showing ------------------------------------------------------------------------------------


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


# --- pruning ------------------------------------------------------------------------------------


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
        assert "another run is writing this sink" in said.err
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


def record(journal: Journal, number: int) -> None:
    from dbrun.adapters.base import Answer

    key = hashlib.sha256(str(number).encode()).hexdigest()
    journal.record(key, Answer(body={"number": number}))


# --- batches ------------------------------------------------------------------------------------


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
        (16, "the line has no custom_id"),
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


# --- mistakes -----------------------------------------------------------------------------------


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


# --- kills --------------------------------------------------------------------------------------


@pytest.fixture
def big(project: Project, workspace: FakeWorkspace) -> dict[str, str]:
    """2,000 rows and their answers as a batch gives them, by row."""
    project.rows(2000)
    project.run("journal", "tickets.yaml", "--requests", "requests.jsonl")
    run_batch(project, "requests.jsonl", "answers.jsonl")
    return {line["id"]: line["key"] for line in project.run("render", "tickets.yaml").records}


def kill_when(process: subprocess.Popen[str], seen: Any, seconds: float = 20) -> None:
    """`kill -9` as soon as *seen* says so."""
    until = time.monotonic() + seconds
    while process.poll() is None and not seen():
        assert time.monotonic() < until
        time.sleep(0.0005)
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)


def test_an_import_that_is_killed_goes_on(project: Project, big: dict[str, str]) -> None:
    folder = project.folder / JOURNAL

    def written() -> int:
        return sum(path.stat().st_size for path in folder.glob("*.jsonl") if path.exists())

    have = kills = 0
    for attempt in range(3):
        process = project.start("journal", "tickets.yaml", "--import", "answers.jsonl")
        more = written() + 50_000 * (attempt + 1)
        kill_when(process, lambda more=more: written() > more)
        kills += project.end(process).code == -signal.SIGKILL
        found = entries(project)
        assert have < len(found)
        assert set(found) <= set(big.values())
        have = len(found)
    assert kills >= 2
    assert have < 2000
    said = project.run("journal", "tickets.yaml", "--import", "answers.jsonl")
    assert said.err == f"2,000 lines: {2000 - have:,} taken, {have:,} answered before\n"
    assert set(entries(project)) == set(big.values())


def test_pruning_that_is_killed_loses_nothing(project: Project, big: dict[str, str]) -> None:
    assert project.run("journal", "tickets.yaml", "--import", "answers.jsonl").code == 0
    whole = project.bytes(f"{JOURNAL}/answers.jsonl")
    project.rows(1900)
    wanted = set(list(big.values())[:1900])
    partial = project.folder / JOURNAL / "answers.jsonl.partial"
    kills = 0
    for least in (0, 0, 1, 500_000):
        # Two files, as a run leaves them that was killed.
        lines = whole.splitlines(keepends=True)
        for path in (project.folder / JOURNAL).glob("*.jsonl"):
            path.unlink()
        (project.folder / JOURNAL / "answers.jsonl").write_bytes(b"".join(lines[:1000]))
        other = "20260101T000000000000-01234567.jsonl"
        (project.folder / JOURNAL / other).write_bytes(b"".join(lines[1000:]))
        process = project.start("journal", "tickets.yaml", "--prune")
        kill_when(process, lambda least=least: partial.exists() and partial.stat().st_size >= least)
        kills += project.end(process).code == -signal.SIGKILL
        assert wanted <= set(entries(project))
    assert kills
    assert project.run("journal", "tickets.yaml", "--prune").code == 0
    assert set(entries(project)) == wanted
    assert list(project.files(JOURNAL)) == [f"{JOURNAL}/answers.jsonl"]
    assert project.run("tickets.yaml").code == 0
    assert project.manifest()["requests"]["sent"] == 0
