"""A pipeline as a Python object: it pickles, runs, streams and processes."""

from __future__ import annotations

import pickle
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dbrun
from dbrun.errors import SourceError, SpecError, UserError

SPEC = """\
name: shout
source: {path: rows.jsonl, id: id}
endpoint: {adapter: python, function: "functions:shout"}
prompt: "{{ text }}"
sink: out/shout.jsonl
"""
FUNCTIONS = """\
calls = []

def shout(prompt):
    calls.append(prompt)
    if prompt == "bad":
        raise ValueError("no")
    return prompt.upper()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    rows = "".join(f'{{"id":"r{number}","text":"text {number}"}}\n' for number in range(10))
    (tmp_path / "rows.jsonl").write_text(rows)
    (tmp_path / "spec.yaml").write_text(SPEC)
    return tmp_path / "spec.yaml"


def test_a_run_and_what_it_gives_back(path: Path) -> None:
    run = dbrun.load(path).run()
    assert run.exit_code == 0
    assert [record["output"] for record in run.results] == [f"TEXT {n}" for n in range(10)]
    assert run.manifest["requests"]["sent"] == 10
    assert [verdict.met for verdict in run.verdicts] == [True]
    written = (path.parent / "out/shout.run.json").read_bytes()
    assert dbrun.load(path).run().manifest["requests"]["sent"] == 0
    # A run that sent nothing and changed no record leaves the record of the one before.
    assert (path.parent / "out/shout.run.json").read_bytes() == written


def test_a_notebook_shows_a_line_of_each(path: Path) -> None:
    pipeline = dbrun.load(path)
    assert repr(pipeline) == f"<Pipeline 'shout' of {str(path)!r}>"
    said = repr(pipeline.run(limit=2, out=str(path.parent / "x.jsonl")))
    assert said.startswith("<Run exit_code=0 counts={'rows': 2, 'ok': 2, 'error': 0, ")
    assert "x.jsonl" in said
    assert len(said) < 200 + len(str(path))


@pytest.mark.parametrize(
    ("name", "are_lines"),
    [("x.jsonl.gz", True), ("x.txt", True), ("x.out", True), ("a.jsonl/x.csv", False)],
)
def test_results_are_read_whatever_they_are_called(path: Path, name: str, are_lines: bool) -> None:
    run = dbrun.load(path).run(limit=1, out=str(path.parent / name))
    if are_lines:
        assert [record["output"] for record in run.results] == ["TEXT 0"]
    else:
        with pytest.raises(ValueError, match="not written as JSON Lines"):
            _ = run.results


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"path": {"name": "x"}}, "path wants the path of a spec, found an object of dict"),
        ({"vars": ["day"]}, "vars wants a mapping, found an object of list"),
        ({"vars": "day=1"}, "vars wants a mapping, found a text; write vars={'name': value}"),
        ({"overrides": "repeats=2"}, "overrides wants a list of settings, found a text"),
        ({"overrides": {"repeats": 2}}, "found a mapping; write overrides=\\['a.b=value'\\]"),
    ],
)
def test_arguments_of_another_kind(path: Path, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        dbrun.load(**{"path": path, **arguments})


@pytest.mark.parametrize(
    ("signature", "more", "said"),
    [
        ("prompt", "", None),
        ("prompt, params, row", "", None),
        ("**request", "", None),
        ("prompt, stop=None", "", None),
        ("text", "", "wants text, which requests have not; they have prompt, params, row; kwargs"),
        ("prompt, stop", "", "wants stop, which requests have not"),
        ("prompt, stop", "stop: x\n", None),
        ("prompt, n", "params: {n: 1}\n", None),
        ("prompt, n", "", "wants n, which requests have not"),
        ("text", "transforms: {input: 'functions:free'}\n", None),
    ],
)
def test_a_function_that_wants_what_requests_have_not(
    path: Path, signature: str, more: str, said: str | None
) -> None:
    free = "def free(**request):\n    return {'text': 'x'}\n"
    (path.parent / "functions.py").write_text(f"def shout({signature}):\n    return 'x'\n{free}")
    path.write_text(SPEC + more)
    problems, warnings = dbrun.validate(path)
    assert problems == []
    assert len(warnings) == (said is not None)
    if said is not None:
        assert f"spec.yaml:3:39: endpoint.function: the function {said}" in str(warnings[0])
    assert dbrun.validate(path, import_functions=False) == ([], [])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"fresh": True, "replay": True}, "fresh and replay exclude each other: one asks for"),
        ({"only_errors": True, "replay": True}, "only_errors and replay exclude each other"),
        ({"only_errors": True, "fresh": True}, "only_errors and fresh exclude each other: fresh"),
    ],
)
def test_what_contradicts_itself_is_refused(path: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        dbrun.load(path).run(**given)
    assert not (path.parent / "out").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"limit": "3"}, "limit wants a whole number of at least 1, found '3'"),
        ({"limit": 0}, "limit wants a whole number of at least 1, found 0"),
        ({"sample": 2.5}, "sample wants a whole number of at least 1, found 2.5"),
        ({"ids": "r1"}, "ids wants a list of ids, found a text; write ids=['r1']"),
    ],
)
def test_rows_that_nobody_can_take(path: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        dbrun.load(path).run(**given)
    assert str(caught.value) == said
    assert not (path.parent / "out").exists()


def test_the_flags_of_the_command_line_are_keywords(path: Path) -> None:
    pipeline = dbrun.load(path)
    first = pipeline.run(limit=3)
    assert first.path is not None
    assert first.path.endswith("shout.part.jsonl")
    assert first.manifest["counts"]["rows"] == 3
    assert [record["id"] for record in pipeline.run(ids=["r7", "r1"]).results] == ["r1", "r7"]
    # r0, r1, r2 and r7 were answered already.
    assert pipeline.run().manifest["requests"] == {
        **first.manifest["requests"],
        "sent": 6,
        "reused": 4,
        "by_status": {"200": 6},
    }
    assert pipeline.run(replay=True).exit_code == 0
    assert pipeline.run(fresh=True).manifest["requests"]["sent"] == 10


def test_ids_that_no_row_has_are_named_unless_rows_were_cut_off(path: Path) -> None:
    pipeline = dbrun.load(path)
    assert pipeline.run(ids=["r1", "r98", "r99"]).missing_ids == ("r98", "r99")
    assert pipeline.run(ids=["r1", "r2"], limit=1).missing_ids == ()


def test_rows_of_ones_own(path: Path) -> None:
    run = dbrun.load(path).run(rows=[{"id": "x", "text": "a"}, {"id": "y", "text": "bad"}])
    assert [(record["id"], record["status"]) for record in run.results] == [
        ("x", "ok"),
        ("y", "error"),
    ]
    assert run.exit_code == 1


def test_a_stream_is_lazy_and_in_order(path: Path) -> None:
    taken = 0

    def rows() -> Iterator[dict[str, str]]:
        nonlocal taken
        while True:
            taken += 1
            yield {"id": str(taken), "text": f"n{taken}"}

    before = threading.active_count()
    records = dbrun.load(path).stream(rows())
    assert [next(records)["output"] for _ in range(3)] == ["N1", "N2", "N3"]
    records.close()  # type: ignore[attr-defined]
    assert taken < 20_000
    end = time.monotonic() + 10
    while threading.active_count() > before:  # those that called the endpoint end by themselves
        assert time.monotonic() < end
        time.sleep(0.005)


def test_one_row(path: Path) -> None:
    pipeline = dbrun.load(path)
    assert pipeline.process({"id": "x", "text": "hi"})["output"] == "HI"
    assert pipeline.process({"id": "x", "text": "bad"})["error"]["class"] == "rejected"
    with pytest.raises(SourceError, match="the row has no 'id'"):
        pipeline.process({"text": "hi"})


def test_it_pickles_with_all_it_needs(path: Path) -> None:
    pipeline = dbrun.load(path)
    again = pickle.loads(pickle.dumps(pipeline))
    assert again.spec == pipeline.spec
    assert again.digest == pipeline.digest
    assert again.process({"id": "x", "text": "hi"})["output"] == "HI"


def test_a_wrong_file_raises_all_its_problems(path: Path) -> None:
    path.write_text(SPEC.replace("prompt:", "promt:").replace("name: shout", "name: a b"))
    with pytest.raises(SpecError) as caught:
        dbrun.load(path)
    assert len(caught.value.problems) >= 2
    problems, warnings = dbrun.validate(path)
    assert problems == list(caught.value.problems)
    assert warnings == []


def test_a_relative_sink_is_refused_in_a_job(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = {"DATABRICKS_RUNTIME_VERSION": "15.4"}
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    with pytest.raises(SpecError, match=r"sink: a relative sink would be lost .* /Volumes/"):
        dbrun.load(path, environ=job)
    usual = path.with_name("usual.yaml")
    usual.write_text(SPEC.replace("sink: out/shout.jsonl\n", ""))
    with pytest.raises(SpecError, match=r"usual\.yaml: sink: a relative sink would be lost"):
        dbrun.load(usual, environ=job)
    assert dbrun.load(path, environ={}).spec.name == "shout"
    away = [f"sink={path.parent}/results.jsonl"]
    assert dbrun.load(path, environ=job, overrides=away).spec.sink.path.endswith("results.jsonl")


@pytest.mark.parametrize("name", ["prompt", "messages", "stream"])
def test_params_do_not_take_the_prompts_place(path: Path, name: str) -> None:
    path.write_text(SPEC + f"params: {{{name}: true}}\n")
    with pytest.raises(SpecError, match=f"params.{name}: '{name}' is no generation parameter"):
        dbrun.load(path)


def test_columns_that_are_not_there_are_warned_of(path: Path) -> None:
    path.write_text(SPEC.replace("{{ text }}", "{{ txet }}"))
    (warning,) = dbrun.load(path).warnings
    assert "the source has no column 'txet'; did you mean 'text'?" in str(warning)


def test_an_id_column_that_is_not_there_is_warned_of(path: Path) -> None:
    path.write_text(SPEC.replace("id: id", "id: idd"))
    (warning,) = dbrun.load(path).warnings
    assert str(warning).endswith("source.id: the source has no column 'idd'; did you mean 'id'?")


def test_a_native_form_that_is_not_there_is_told_at_its_place(path: Path) -> None:
    path.write_text(SPEC + "response_schema:\n  mode: native\n  schema: {type: object}\n")
    with pytest.raises(SpecError, match=r"spec.yaml:7:9: .*python has no native form"):
        dbrun.load(path)


MEMBERS = """\
name: s
vars: {tone: x}
source: {rows: [{text: a}]}
endpoint: {adapter: openai, base_url: "http://127.0.0.1:9/v1", model: m}
steps:
  - {name: one, prompt: "{{ vars.ton }} {{ vars.get('q') }} {{ vars.z | default('') }}"}
  - name: two
    when: "steps.one.output and steps['zz']"
    prompt: "{% if steps.onee.output %}{{ steps.two.output }}{% endif %}"
sink: o.jsonl
scores: [{type: contains, expected: "{{ steps.two.output }} {{ vars.nope }}"}]
"""


def test_variables_and_steps_that_are_not_there_are_named(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(MEMBERS)
    problems, _ = dbrun.validate(tmp_path / "s.yaml", environ={})
    assert [f"{one.path}: {one.message}; {one.hint}" for one in problems] == [
        "steps.one.prompt: there is no variable 'ton'; did you mean 'tone'?",
        "steps.two.prompt: there is no earlier step 'onee'; did you mean 'one'?",
        "steps.two.prompt: there is no earlier step 'two'; there is only 'one'",
        "steps.two.when: there is no earlier step 'zz'; there is only 'one'",
        "scores[0].expected: there is no variable 'nope'; there is only 'tone'",
    ]
