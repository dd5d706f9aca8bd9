"""What a run does, seen from outside: files, requests, exit codes."""

from __future__ import annotations

import json
import os

import pytest
from acceptance.conftest import SPEC, Project
from fakes.workspace import FakeWorkspace, Fault, fail, throttle


def test_a_first_run_asks_once_for_each_row_and_writes_in_their_order(
    project: Project, workspace: FakeWorkspace
) -> None:
    said = project.run("run", "tickets.yaml")
    assert said.code == 0
    assert said.out == ""
    records = project.records()
    assert [record["id"] for record in records] == [f"T-{number}" for number in range(10)]
    assert records[3]["output"].startswith("Echo: Summarize: ticket number 3")
    assert records[3]["usage"]["input_tokens"] == 4
    assert len(workspace.calls) == 10
    assert project.manifest()["counts"]["rows"] == 10
    assert "10 rows, 10 ok" in said.err
    assert "10 sent, 0 reused" in said.err


def test_a_spec_alone_is_run(project: Project, workspace: FakeWorkspace) -> None:
    assert project.run("tickets.yaml").code == 0
    assert len(project.records()) == 10


def test_a_second_run_sends_nothing_and_leaves_every_byte(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.run("tickets.yaml")
    before = project.files()
    asked = len(workspace.requests)
    assert project.run("tickets.yaml").code == 0
    assert len(workspace.calls) == 10
    assert len(workspace.requests) == asked
    assert project.files() == before


def test_new_and_edited_rows_alone_are_sent(project: Project, workspace: FakeWorkspace) -> None:
    project.run("tickets.yaml")
    project.rows(12, t4="another text")
    assert project.run("tickets.yaml").code == 0
    assert len(workspace.calls) == 13
    assert "another text" in project.records()[4]["output"]


def test_an_endpoint_written_twice_is_one_with_one_set_of_limits(
    project: Project, workspace: FakeWorkspace
) -> None:
    endpoint = "{adapter: databricks, name: chat, task: chat, limits: {concurrency: 3}}"
    steps = (
        f"steps:\n  - {{name: one, endpoint: {endpoint}, prompt: '{{{{ text }}}}'}}\n"
        f"  - {{name: two, prompt: 'Say {{{{ steps.one.output }}}}', endpoint: {endpoint}}}\n"
    )
    project.write("tickets.yaml", SPEC.replace('prompt: "Summarize: {{ text }}"\n', "") + steps)
    assert project.run("tickets.yaml").code == 0
    assert len(workspace.calls) == 20
    assert len(project.manifest()["limits"]) == 1


def test_failed_rows_exit_1_and_are_tried_again(project: Project, workspace: FakeWorkspace) -> None:
    project.rows(5, t2="[too-long]", t3="[guardrail]")
    said = project.run("tickets.yaml")
    assert said.code == 1
    records = project.records()
    assert [record["status"] for record in records] == ["ok", "ok", "error", "error", "ok"]
    assert records[2]["error"]["class"] == "context_length"
    assert records[3]["error"]["class"] == "content_filter"
    assert records[2]["output"] is None
    assert "T-2: context_length" in said.err
    assert "success  0.6  wanted at least 1  missed by 0.4" in said.err
    workspace.calls.clear()
    assert project.run("tickets.yaml").code == 1
    assert len(workspace.calls) == 2


def test_a_gate_says_how_many_failures_are_too_many(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.rows(5, t2="[too-long]")
    project.write("tickets.yaml", SPEC + "gates: {success: {min: 0.8}}\n")
    assert project.run("tickets.yaml").code == 0
    assert project.run("tickets.yaml", "--set", "gates.success.min=0.81").code == 1


def test_faults_of_the_server_are_tried_again(project: Project, workspace: FakeWorkspace) -> None:
    workspace.script([throttle(at=2, retry_after=0.1), fail(503, at=5)])
    said = project.run("tickets.yaml")
    assert said.code == 0
    assert len(workspace.calls) == 12
    requests = project.manifest()["requests"]
    assert (requests["retried"], requests["waited"]) == (1, 1)
    assert "1 tried again" in said.err


def test_equal_rows_share_one_request(project: Project, workspace: FakeWorkspace) -> None:
    project.rows(6, t1="same", t3="same", t5="same")
    assert project.run("tickets.yaml").code == 0
    assert len(workspace.calls) == 4
    outputs = [record["output"] for record in project.records()]
    assert outputs[1] == outputs[3] == outputs[5]


def test_a_limit_writes_part_and_is_not_paid_twice(
    project: Project, workspace: FakeWorkspace
) -> None:
    assert project.run("tickets.yaml", "--limit", "4").code == 0
    assert len(project.records("out/tickets.part.jsonl")) == 4
    assert project.manifest("out/tickets.part.run.json")["selection"] == {"limit": 4}
    assert not (project.folder / "out/tickets.jsonl").exists()
    assert project.run("tickets.yaml").code == 0
    assert len(workspace.calls) == 10


def test_ids_take_their_rows(project: Project, workspace: FakeWorkspace) -> None:
    assert project.run("tickets.yaml", "--ids", "T-7,T-2", "--ids", "T-5").code == 0
    assert [record["id"] for record in project.records("out/tickets.part.jsonl")] == [
        "T-2",
        "T-5",
        "T-7",
    ]


def test_a_sample_is_the_same_for_the_same_seed(project: Project, workspace: FakeWorkspace) -> None:
    def drawn(seed: str) -> list[str]:
        project.run("tickets.yaml", "--sample", "4", "--seed", seed)
        return [record["id"] for record in project.records("out/tickets.part.jsonl")]

    first, again, other = drawn("1"), drawn("1"), drawn("2")
    assert first == again != other
    assert len(first) == 4
    assert first == sorted(first)


def test_results_go_to_standard_output(project: Project, workspace: FakeWorkspace) -> None:
    said = project.run("tickets.yaml", "--out", "-", "--limit", "3")
    assert said.code == 0
    assert [record["id"] for record in said.records] == ["T-0", "T-1", "T-2"]
    assert "3 rows, 3 ok" in said.err
    assert not list(project.folder.glob("out/*.jsonl"))


def test_results_go_where_out_says(project: Project, workspace: FakeWorkspace) -> None:
    assert project.run("tickets.yaml", "--out", "here/all.jsonl", "--limit", "3").code == 0
    assert len(project.records("here/all.jsonl")) == 3
    assert project.manifest("here/all.run.json")["results"]["path"] == "all.jsonl"
    assert (project.folder / "out/tickets.jsonl.journal").is_dir()


def test_the_extension_of_out_tells_the_format(project: Project, workspace: FakeWorkspace) -> None:
    assert project.run("tickets.yaml", "--out", "all.csv").code == 0
    assert project.bytes("all.csv").startswith(b"id,status,output,")


@pytest.mark.parametrize("name", ["rows.jsonl", "tickets.yaml", "../project/rows.jsonl"])
def test_results_never_take_the_place_of_what_they_are_made_from(
    name: str, project: Project, workspace: FakeWorkspace
) -> None:
    before = project.bytes(name)
    said = project.run("tickets.yaml", "--out", name)
    assert said.code == 2
    assert "the results would overwrite" in said.err
    assert project.bytes(name) == before
    assert workspace.calls == []


def test_devices_are_not_replaced_by_results(project: Project, workspace: FakeWorkspace) -> None:
    place = project.folder / "pipe"
    os.mkfifo(place)
    said = project.run("tickets.yaml", "--out", "pipe")
    assert said.code == 2
    assert "pipe is no regular file" in said.err
    assert place.is_fifo()


@pytest.mark.parametrize("name", [".", "", "out"])
def test_folders_are_not_replaced_by_results(
    name: str, project: Project, workspace: FakeWorkspace
) -> None:
    (project.folder / "out").mkdir()
    said = project.run("tickets.yaml", "--out", name)
    assert said.code == 2
    assert "is a folder; the results are one file; add a file name" in said.err
    assert workspace.calls == []


def test_an_endless_grace_is_one(project: Project, workspace: FakeWorkspace) -> None:
    assert project.run("tickets.yaml", "--grace", "inf", "--limit", "1").code == 0
    said = project.run("tickets.yaml", "--grace", "nan")
    assert said.code == 2
    assert "--grace wants a number of seconds" in said.err


def test_a_target_that_is_not_there_is_all_that_is_wrong(project: Project) -> None:
    project.write("a.yaml", "name: a\nsource: rows.jsonl\nprompt: x\ntargets: {b: {repeats: 2}}\n")
    said = project.run("a.yaml", "--target", "c")
    assert said.code == 2
    assert said.err == "--target: there is no target 'c'; there is only 'b'\n1 problem\n"


def test_replaying_sends_nothing(project: Project, workspace: FakeWorkspace) -> None:
    project.run("tickets.yaml")
    before = project.bytes()
    asked = len(workspace.requests)
    assert project.run("tickets.yaml", "--replay").code == 0
    assert len(workspace.requests) == asked
    assert project.bytes() == before


def test_replaying_needs_no_credentials(
    project: Project, workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run("tickets.yaml")
    monkeypatch.delenv("DATABRICKS_TOKEN")
    monkeypatch.delenv("DATABRICKS_HOST")
    (project.folder / "out/tickets.jsonl").unlink()
    assert project.run("tickets.yaml", "--replay").code == 0
    assert len(project.records()) == 10


def test_what_the_journal_cannot_answer_leaves_the_results_alone(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.run("tickets.yaml")
    before = project.bytes()
    project.rows(11)
    said = project.run("tickets.yaml", "--replay")
    assert said.code == 1
    assert "T-10: unanswered" in said.err
    assert "left as they are" in said.err
    assert project.bytes() == before
    assert len(workspace.calls) == 10


def test_fresh_asks_for_everything_again(project: Project, workspace: FakeWorkspace) -> None:
    project.run("tickets.yaml")
    assert project.run("tickets.yaml", "--fresh").code == 0
    assert len(workspace.calls) == 20
    assert project.run("tickets.yaml").code == 0
    assert len(workspace.calls) == 20


def test_only_errors_asks_again_for_answers_that_would_not_do(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.write("functions.py", FUNCTIONS)
    project.write("tickets.yaml", SPEC + "transforms: {output: 'functions:unlucky'}\n")
    project.rows(6)
    assert project.run("tickets.yaml").code == 1
    assert project.run("tickets.yaml").code == 1
    assert len(workspace.calls) == 6, "a journalled answer is read again, not asked for again"
    assert project.run("tickets.yaml", "--only-errors").code == 1
    assert len(workspace.calls) == 7
    assert project.manifest()["requests"]["sent"] == 1


@pytest.mark.parametrize("processes", [1, 2])
def test_only_errors_leaves_what_is_ok_alone(
    project: Project, workspace: FakeWorkspace, processes: int
) -> None:
    """Of a row that is asked several times only those that failed are asked again, and that the
    endpoint refuses now makes no record an error that was none."""
    limits = f"limits: {{processes: {processes}}}\n"
    project.write("tickets.yaml", SPEC + "repeats: 3\n" + limits)
    project.rows(3)
    assert project.run("tickets.yaml").code == 0
    lines = project.bytes().splitlines(keepends=True)
    broken = {**json.loads(lines[4]), "status": "error", "output": None}
    broken["error"] = {"class": "malformed", "message": "x", "retryable": False}
    lines[4] = json.dumps(broken, separators=(",", ":")).encode() + b"\n"
    (project.folder / "out/tickets.jsonl").write_bytes(b"".join(lines))
    workspace.script([Fault(every=1, status=403, body={"message": "not now"})])
    assert project.run("tickets.yaml", "--only-errors").code == 1
    after = project.bytes().splitlines(keepends=True)
    assert [one for one in range(9) if after[one] != lines[one]] == [4]
    assert project.records()[4]["error"]["class"] == "rejected"
    assert len(workspace.calls) == 9 + 1


SHARING = """\
name: tickets
source: {path: rows.jsonl, id: id}
endpoint: {adapter: databricks, name: chat, task: chat}
steps:
  - {name: all, prompt: "What holds for all?"}
  - {name: own, prompt: "About {{ text }}."}
  - {name: end, prompt: "{{ steps.all.output }} {{ steps.own.output }}", transforms: {output: HOOK}}
sink: out/tickets.jsonl
"""
CHOOSY = (
    "def check(text, *, row):\n    if row['id'] == 'T-1':\n"
    "        raise ValueError('no')\n    return text\n"
)


def test_only_errors_keeps_the_answers_that_other_records_rest_on(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.write("functions.py", CHOOSY)
    project.write("tickets.yaml", SHARING.replace("HOOK", "'functions:check'"))
    project.rows(3)
    assert project.run("tickets.yaml").code == 1
    assert len(workspace.calls) == 1 + 3 + 3
    before = project.bytes()
    assert project.run("tickets.yaml", "--only-errors").code == 1
    asked = [call.body.decode() for call in workspace.calls[7:]]
    assert len(asked) == 2
    assert not any('"What holds for all' in body for body in asked)
    assert "About ticket number 1" in asked[0]
    assert project.bytes() == before
    assert project.run("tickets.yaml").code == 1
    assert len(workspace.calls) == 7 + 2, "nobody's answers have changed"


def test_a_row_that_speaks_of_errors_is_no_error(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.write("rows.jsonl", '{"id":"T-0","text":"a","status":"error"}\n')
    assert project.run("tickets.yaml").code == 0
    assert project.run("tickets.yaml", "--only-errors").code == 0
    assert len(workspace.calls) == 1


def test_a_summary_for_programs(project: Project, workspace: FakeWorkspace) -> None:
    project.rows(4, t1="[too-long]")
    said = project.run("tickets.yaml", "--json", "--quiet")
    assert said.code == 1
    assert said.err == ""
    summary = said.summary
    assert summary["exit_code"] == 1
    assert summary["counts"] == {"rows": 4, "ok": 3, "error": 1, "filtered": 0, "truncated": 0}
    assert summary["requests"]["sent"] == 4
    [run] = summary["runs"]
    assert run["status"] == "finished"
    assert run["results"].endswith("out/tickets.jsonl")
    assert run["first_failures"][0]["class"] == "context_length"
    assert [gate["met"] for gate in run["gates"]] == [False]


def test_answers_cut_by_max_tokens_are_told(project: Project, workspace: FakeWorkspace) -> None:
    said = project.run("tickets.yaml", "--set", "params.max_tokens=2")
    assert "10 answers were cut by max_tokens" in said.err
    assert {record["finish_reason"] for record in project.records()} == {"length"}
    assert project.manifest()["counts"]["truncated"] == 10


def test_several_specs_run_one_after_the_other(project: Project, workspace: FakeWorkspace) -> None:
    project.write("specs/a.yaml", second_spec("a"))
    project.write("specs/b.yaml", second_spec("b", "other"))
    project.write("specs/_base.yaml", "prompt: incomplete\n")
    said = project.run("specs/*.yaml")
    assert said.code == 0
    assert len(project.records("specs/out/a.jsonl")) == 10
    assert len(project.records("specs/out/b.jsonl")) == 10
    assert "a: 10 rows" in said.err
    assert "b: 10 rows" in said.err


def test_the_worst_exit_code_wins_and_the_rest_still_runs(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.write("a.yaml", second_spec("a", endpoint="nowhere", rows="rows.jsonl"))
    project.write("b.yaml", second_spec("b", rows="rows.jsonl"))
    said = project.run("a.yaml", "b.yaml")
    assert said.code == 3
    assert len(project.records("out/b.jsonl")) == 10


def test_specs_with_one_sink_are_refused(project: Project, workspace: FakeWorkspace) -> None:
    project.write("other.yaml", SPEC.replace("Summarize", "Shorten"))
    said = project.run("tickets.yaml", "other.yaml")
    assert said.code == 2
    assert "tickets.yaml and other.yaml both write out/tickets.jsonl" in said.err
    assert workspace.requests == []


def test_requests_are_logged_without_credentials(
    project: Project, workspace: FakeWorkspace
) -> None:
    said = project.run("tickets.yaml", "-v", "--limit", "1")
    assert "databricks chat: 200 in" in said.err
    assert "ticket number" not in said.err


def second_spec(
    name: str, word: str = "Summarize", endpoint: str = "chat", rows: str = "../rows.jsonl"
) -> str:
    return f"""\
name: {name}
source: {{path: {rows}, id: id}}
endpoint: {{adapter: databricks, name: {endpoint}, task: chat}}
prompt: "{word}: {{{{ text }}}}"
sink: out/{name}.jsonl
"""


FUNCTIONS = """\
def unlucky(text):
    if "number 3" in text:
        raise ValueError("not this one")
    return text
"""


def test_a_price_gives_records_and_run_their_cost(project: Project, workspace) -> None:
    price = "endpoint.price={input_per_million: 2, output_per_million: 10, currency: EUR}"
    said = project.run("tickets.yaml", "--set", price, "--json")
    records = project.records()
    for record in records:
        usage = record["usage"]
        cost = (usage["input_tokens"] * 2 + usage["output_tokens"] * 10) / 1e6
        assert record["cost"] == pytest.approx(cost)
    total = pytest.approx(sum(record["cost"] for record in records), abs=1e-6)
    assert said.summary["runs"][0]["cost"] == {
        "currency": "EUR",
        "spent": total,
        "answers": total,
        "run": total,
    }
    again = project.run("tickets.yaml", "--set", price, "--fresh", "--replay", "--json")
    assert again.code == 2  # the two contradict each other
    project.run("tickets.yaml", "--set", price, "--set", "sink.omit=[row]")
    nothing = {"currency": "EUR", "spent": 0, "answers": total, "run": 0}
    assert project.manifest()["cost"] == nothing


def test_tokens_of_joined_calls_count_as_spent(project: Project, workspace) -> None:
    endpoint = "endpoint={adapter: databricks, name: embeddings, task: embeddings, batch_size: 4}"
    said = project.run("tickets.yaml", "--set", endpoint, "--json")
    assert said.code == 0, said.err
    assert len(workspace.calls) == 3
    alone = project.run(
        "tickets.yaml", "--set", endpoint, "--set", "endpoint.batch_size=1", "--fresh", "--json"
    )
    assert said.summary["runs"][0]["tokens"]["spent"] == alone.summary["runs"][0]["tokens"]["spent"]
    assert said.summary["runs"][0]["tokens"]["spent"]["input_tokens"] > 0


def test_results_do_not_replace_what_is_no_results_file(project: Project, workspace) -> None:
    project.write("helper.py", "x = 1\n")
    said = project.run("tickets.yaml", "--out", "helper.py")
    assert said.code == 2
    assert "helper.py is there and is no results file" in said.err
    assert project.bytes("helper.py") == b"x = 1\n"
    assert not workspace.calls


def test_ids_that_are_no_rows_are_named(project: Project, workspace) -> None:
    said = project.run("tickets.yaml", "--ids", "T-1,T-99")
    assert [record["id"] for record in project.records("out/tickets.part.jsonl")] == ["T-1"]
    assert "no row    has the id T-99" in said.err


def test_rows_that_share_an_id_are_told(project: Project, workspace) -> None:
    rows = [{"id": name, "text": f"text {n}."} for n, name in enumerate("abacadaebbc")]
    project.write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    said = project.run("tickets.yaml")
    assert said.code == 0
    assert "same id   6 rows have the id of an earlier one (a, b, c, …): --only-errors" in said.err
    said = project.run("tickets.yaml", "--limit", "3", "--set", "repeats=2")
    assert "same id   1 row has the id of an earlier one (a)" in said.err
    assert "same id" not in project.run("tickets.yaml", "--limit", "2", "--set", "repeats=2").err
    no_id = project.run("tickets.yaml", "--set", "source.id=null")
    assert (no_id.code, "same id" in no_id.err) == (0, False)


def test_of_many_such_ids_some_are_named(project: Project, workspace) -> None:
    wrong = ",".join(f"X-{number}" for number in range(8))
    said = project.run("tickets.yaml", "--ids", f"T-1,T-1,{wrong}")
    assert len(project.records("out/tickets.part.jsonl")) == 1
    assert "has the id X-4" in said.err
    assert "nor any of 3 more ids" in said.err


@pytest.mark.parametrize("words", [["run"], ["render"], ["plan"], ["run", "--engine", "local"]])
@pytest.mark.parametrize(
    ("source", "mend"),
    [
        ("{path: rows.jsonl, id: id}", "source.id is 'id': ids are the values of that column"),
        ("{path: rows.jsonl}", "without source.id rows are known by their hash"),
        ("{path: rows.jsonl, id: id, where: 'id == \"T-1\"'}", "source.where leaves rows out"),
    ],
)
def test_ids_of_which_none_is_a_row_are_a_mistake(
    project: Project, workspace: FakeWorkspace, words: list[str], source: str, mend: str
) -> None:
    project.write("tickets.yaml", SPEC.replace("{path: rows.jsonl, id: id}", source))
    said = project.run(*words, "tickets.yaml", "--ids", "T-98,T-99")
    assert said.code == 2
    assert "no row has the id 'T-98', 'T-99'; " in said.err
    assert mend in said.err
    assert workspace.requests == []
    assert "tickets.part.jsonl" not in project.files()


def test_a_replay_that_lacks_answers_leaves_no_partial_file(project: Project, workspace) -> None:
    assert project.run("tickets.yaml", "--replay").code == 1
    assert not (project.folder / "out").exists() or not project.files()
