"""Layers: what a spec extends, its targets, and what the command line lays over it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dbrun.errors import SpecError
from dbrun.registry import Registry
from dbrun.spec.layers import Merged, merge_layers
from dbrun.spec.load import is_fragment, load_spec
from dbrun.spec.nodes import Findings


def merge(folder: Path, files: Mapping[str, str], **given: Any) -> tuple[Merged, list[str]]:
    """The files' `x.yaml` with all that it extends, and what was wrong."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    findings = Findings()
    usual: dict[str, Any] = {
        "target": None,
        "overrides": (),
        "variables": (),
        "typed_variables": {},
        "findings": findings,
    }
    found = merge_layers(str(folder / "x.yaml"), **{**usual, **given})
    return found, [str(problem) for problem in findings.problems]


def refused(folder: Path, files: Mapping[str, str]) -> list[str]:
    """What is said of files that cannot be merged, without the folder's name."""
    with pytest.raises(SpecError) as raised:
        merge(folder, files)
    return [str(one).replace(f"{folder}{os.sep}", "") for one in raised.value.problems]


def test_a_parent_of_two_parents_is_read_once(tmp_path: Path) -> None:
    found, _ = merge(
        tmp_path,
        {
            "x.yaml": "extends: [a/one.yaml, two.yaml]\nname: x\n",
            "a/one.yaml": "extends: ../base.yaml\nstop: [one]\n",
            "two.yaml": "extends: base.yaml\nrepeats: 2\n",
            "base.yaml": "stop: [base]\nrepeats: 1\ndescription: d\n",
        },
    )
    # Left to right: what the second parent inherits lies over what the first one wrote.
    assert found.data == {"stop": ["base"], "repeats": 2, "description": "d", "name": "x"}
    assert found.places["repeats",].file == str(tmp_path / "two.yaml")
    assert found.places["stop", 0].line == 1


def test_a_spec_that_extends_itself(tmp_path: Path) -> None:
    assert refused(tmp_path, {"x.yaml": "extends: ./x.yaml\n"}) == [
        "x.yaml:1:10: extends: the specs extend each other in a circle: x.yaml → x.yaml; cut it"
    ]


def test_circles_are_seen_through_links(tmp_path: Path) -> None:
    (tmp_path / "link.yaml").symlink_to(tmp_path / "x.yaml")
    said = refused(tmp_path, {"x.yaml": "extends: link.yaml\n"})
    assert "circle: x.yaml → x.yaml" in said[0]


def test_long_chains_end(tmp_path: Path) -> None:
    files = {f"p{n}.yaml": f"extends: p{n + 1}.yaml\n" for n in range(150)}
    said = refused(tmp_path, {"x.yaml": "extends: p0.yaml\n", **files})
    assert said == ["p99.yaml:1:10: extends: more than 100 specs extend one another; extend fewer"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("extends: 5\n", "extends: wants a path or a list of paths, found a number"),
        ("extends: [a.yaml, '']\n", "extends: wants a path or a list of paths, found a list"),
        ("extends: nowhere.yaml\n", "extends: there is no file nowhere.yaml"),
        ("extends: folder\n", "extends: folder is no file"),
        ("extends: '${BASE}.yaml'\n", "extends: no '${…}' is replaced in extends"),
        ('extends: "a\\0b"\n', "extends: there is no file a b"),
    ],
)
def test_extends_that_leads_nowhere(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert refused(tmp_path, {"x.yaml": text})[0].partition(": ")[2].startswith(said)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.csv", "rows.jsonl.gz", "rows.PARQUET"])
def test_rows_are_no_spec(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text('{"a": 1}\n{"a": 2}\n')
    with pytest.raises(SpecError) as caught:
        load_spec(str(tmp_path / name), registry=Registry(entry_points=False), environ={})
    said = "holds rows or results and is no spec; name a YAML file"
    assert [str(one) for one in caught.value.problems] == [f"{tmp_path / name}: {said}"]


def test_every_broken_file_is_reported(tmp_path: Path) -> None:
    files = {"x.yaml": "extends: [a.yaml, b.yaml, c.yaml]\n", "a.yaml": "a: [", "b.yaml": "- 1\n"}
    assert [one.split(": ")[0] for one in refused(tmp_path, files)] == [
        "a.yaml:1:5",
        "b.yaml:1:1",
        "x.yaml:1:27",
    ]


def test_targets(tmp_path: Path) -> None:
    text = (
        "repeats: 1\ndefault_target: a\ntargets: {a: {repeats: 2}, b: {repeats: 3, stop: null}}\n"
    )
    files = {"x.yaml": f"stop: [s]\n{text}"}
    found, _ = merge(tmp_path, files)
    assert (found.data, found.target) == ({"stop": ["s"], "repeats": 2}, "a")
    found, _ = merge(tmp_path, files, target="b")
    assert (found.data, found.target) == ({"repeats": 3}, "b")
    with pytest.raises(SpecError) as caught:
        merge(tmp_path, files, target="c")
    assert [str(one) for one in caught.value.problems] == [
        "--target: there is no target 'c'; there are a, b"
    ]


@pytest.mark.parametrize(
    ("override", "data"),
    [
        ("repeats=2", {"repeats": 2}),
        ("params.a=x: y", {"params": {"z": 0, "a": {"x": "y"}}}),
        ("params.a={b: 1}", {"params": {"a": {"b": 1}, "z": 0}}),
        ("params.z=", {"params": {}}),
        ("params.z=null", {"params": {}}),
        ("params.z='null'", {"params": {"z": "null"}}),
        ("params.z=a=b", {"params": {"z": "a=b"}}),
        ("steps.s.stop=[a]", {"steps": [{"name": "s", "prompt": "p", "stop": ["a"]}]}),
        ("steps.s.prompt=null", {"steps": [{"name": "s"}]}),
        ("steps.s=null", {"steps": []}),
        ("vars.a=5", {"vars": {"a": 5}}),
    ],
)
def test_settings(override: str, data: dict[str, Any], tmp_path: Path) -> None:
    text = "params: {z: 0}\nsteps: [{name: s, prompt: p}]\nvars: {a: 1}\n"
    found, said = merge(tmp_path, {"x.yaml": text}, overrides=[override])
    assert said == []
    before = {"params": {"z": 0}, "steps": [{"name": "s", "prompt": "p"}], "vars": {"a": 1}}
    assert found.data == {**before, **data}


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("repeats", "--set: cannot read 'repeats'; write --set a.b.c=value"),
        ("=5", "--set: cannot read ''; write --set a.b.c=value"),
        ("a..b=5", "--set: cannot read 'a..b'; write --set a.b.c=value"),
        ("extends=x", "--set: extends: cannot be set; use --target, or edit the spec"),
        ("steps.t.stop=a", "--set: steps.t.stop: there is no step 't'; there is only 's'"),
        ("steps.s=5", "--set: steps.s: wants a mapping, found a number"),
        ("stop=[a", "--set: stop: a bracket is not closed; close it"),
        ("stop=[.nan]", "--set: stop: .nan is no number that JSON can hold"),
    ],
)
def test_settings_that_cannot_be(override: str, said: str, tmp_path: Path) -> None:
    _, found = merge(tmp_path, {"x.yaml": "steps: [{name: s}]\n"}, overrides=[override])
    assert len(found) == 1
    assert found[0].startswith(said)


@pytest.mark.parametrize("override", ["params.z=1", "params={z: 1}", "steps.s.stop=a"])
def test_a_mapping_stays_where_the_file_has_it(override: str, tmp_path: Path) -> None:
    """So that what it lacks is not said of the setting that adds to it."""
    text = "params: {a: 0}\nsteps:\n  - {name: s}\n"
    root = merge(tmp_path, {"x.yaml": text}, overrides=[override])[0].root
    steps = root.value["steps"]
    for node, line in ((root, 1), (root.value["params"], 1), (steps.value[0], 3)):
        assert (node.at.file, node.at.line) == (str(tmp_path / "x.yaml"), line)


VARS = "vars: {text: a, none: null, whole: 1, ratio: 0.5, flag: true, list: [1], map: {a: 1}}\n"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("text", "5", "5"),
        ("text", "", ""),
        ("text", "${HOME}", "$${HOME}"),
        ("none", "true", "true"),
        ("whole", "7", 7),
        ("whole", "7.5", 7.5),
        ("ratio", "2", 2),
        ("flag", "false", False),
        ("list", "[a, 5]", ["a", 5]),
        ("map", "{b: $x}", {"b": "$$x"}),
    ],
)
def test_variables_as_text(name: str, text: str, value: Any, tmp_path: Path) -> None:
    found, said = merge(tmp_path, {"x.yaml": VARS}, variables=[(name, text)])
    assert said == []
    assert found.data["vars"][name] == value
    assert type(found.data["vars"][name]) is type(value)
    assert found.places["vars", name].file == "--var"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("whole", "a"),
        ("whole", "true"),
        ("whole", ""),
        ("flag", "yes"),
        ("flag", "1"),
        ("list", "5"),
        ("list", "[a"),
        ("map", "[a]"),
        ("ratio", ".nan"),
        ("txt", "a"),
    ],
)
def test_variables_of_another_type(name: str, text: str, tmp_path: Path) -> None:
    _, said = merge(tmp_path, {"x.yaml": VARS}, variables=[(name, text)])
    assert len(said) == 1
    assert said[0].startswith(f"--var: vars.{name}: ")


def test_variables_from_python(tmp_path: Path) -> None:
    given = {"text": "$a", "none": [1, None], "whole": 2, "map": {"b": ("c",)}}
    found, said = merge(tmp_path, {"x.yaml": VARS}, typed_variables=given)
    assert said == []
    assert found.data["vars"] == {
        "ratio": 0.5,
        "flag": True,
        "list": [1],
        "text": "$$a",
        "none": [1, None],
        "whole": 2,
        "map": {"b": ["c"]},
    }
    wrong = {"text": 5, "none": {1, 2}, "other": 1, "flag": "true"}
    _, said = merge(tmp_path, {"x.yaml": VARS}, typed_variables=wrong)
    assert [one.split(": ")[1] for one in said] == [f"vars.{name}" for name in wrong]


@pytest.mark.parametrize(
    ("path", "is_one"),
    [("_base.yaml", True), ("a/_b.yaml", True), ("a.yaml", False), ("_a/b.yaml", False)],
)
def test_fragments(path: str, is_one: bool) -> None:
    assert is_fragment(path) == is_one
