"""Resource files: written, read back, compared."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbrun.deploy.merging import merged
from dbrun.deploy.resource import differences, read_jobs, to_yaml
from dbrun.errors import UserError

SCALARS = st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab:{", max_size=3), inner),
    max_leaves=8,
)
QUICK = settings(max_examples=60)  # a busy machine is no fault
JOBS = st.dictionaries(st.text("abc", min_size=1, max_size=3), VALUES, min_size=1, max_size=2)


@QUICK
@given(JOBS)
def test_what_is_written_is_read_back(jobs: dict[str, Any]) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".yml", encoding="utf-8") as file:
        file.write(to_yaml(jobs, "a comment\nof two lines"))
        file.flush()
        assert read_jobs(file.name) == jobs


@QUICK
@given(VALUES, VALUES)
def test_differences_are_told_if_there_are_any(old: Any, new: Any) -> None:
    assert list(differences(old, old)) == []
    same = repr(old) == repr(new)
    told = list(differences(old, new))
    assert same or told or old == new
    assert all(line[0] in "-+ " for line in told)


def test_text_that_reads_as_something_else_is_quoted() -> None:
    text = to_yaml({"a": {"x": "4", "y": "{{job.parameters.day}}", "z": "${var.a}/b", "w": "on"}})
    assert text == (
        "resources:\n  jobs:\n    a:\n      x: '4'\n      y: '{{job.parameters.day}}'\n"
        "      z: ${var.a}/b\n      w: 'on'\n"
    )


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ({"a": 1}, {"a": 2}, ["- a: 1", "+ a: 2"]),
        ({"a": 1}, {"a": True}, ["- a: 1", "+ a: true"]),
        ({"a": 1, "b": {"c": 1}}, {"b": {"c": 1, "d": "x y"}}, ["+ b.d: x y", "- a: 1"]),
        ({"a": [1, 2]}, {"a": [1]}, ["- a[1]: 2"]),
        ({"a": {}}, {"a": []}, ["- a: {}", "+ a: []"]),
        (
            {"tasks": [{"task_key": "run", "n": 1}, {"task_key": "old"}]},
            {"tasks": [{"task_key": "new"}, {"task_key": "run", "n": 2}]},
            [
                "+ tasks[new]: {task_key: new}",
                "- tasks[run].n: 1",
                "+ tasks[run].n: 2",
                "- tasks[old]: {task_key: old}",
            ],
        ),
        (
            {"parameters": [{"name": "a"}, {"name": "b"}]},
            {"parameters": [{"name": "b"}, {"name": "a"}]},
            ["  parameters: in another order"],
        ),
    ],
)
def test_differences_name_their_place(old: Any, new: Any, told: list[str]) -> None:
    assert list(differences(old, new)) == told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "r.yml:1:5: no YAML:"),
        ("resources: {pipelines: {}}", "r.yml holds no resources.jobs"),
        ("- a", "r.yml holds no resources.jobs"),
        ("", "r.yml holds no resources.jobs"),
    ],
)
def test_what_is_no_resource_file_is_said(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r.yml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as raised:
        read_jobs("r.yml")
    assert str(raised.value).startswith(said)


@pytest.mark.parametrize(
    ("base", "over", "both"),
    [
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}}, {"a": {"b": 3, "c": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": [{"name": "x", "d": 1}]}, {"a": [{"x": 1}]}, {"a": [{"x": 1}]}),
        (
            [{"name": "x", "d": 1}, {"name": "y"}],
            [{"name": "y", "d": 2}, {"name": "z"}],
            [{"name": "x", "d": 1}, {"name": "y", "d": 2}, {"name": "z"}],
        ),
    ],
)
def test_merging(base: Any, over: Any, both: Any) -> None:
    assert merged(base, over) == both
