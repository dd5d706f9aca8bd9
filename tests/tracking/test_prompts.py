"""Registered prompts: read, kept, and what stands in for them without the registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dbrun.errors import PluginError, RunError, SpecError, UserError
from dbrun.registry import Registry
from dbrun.spec.load import load_spec
from dbrun.spec.model import Spec
from dbrun.spec.prompts import RegisteredPrompt, Text
from dbrun.tracking.library import PromptText
from dbrun.tracking.prompts import Mode, read_prompts


class Prompts:
    """A registry that counts what it is asked for."""

    def __init__(self, *versions: Any, **aliases: int) -> None:
        self.versions = versions
        self.aliases = aliases
        self.asked: list[str] = []
        self.error: Exception | None = None

    def prompt(self, wanted: RegisteredPrompt) -> PromptText:
        self.asked.append(wanted.uri)
        if self.error is not None:
            raise self.error
        version = wanted.version or self.aliases.get(wanted.alias or "", 0)
        if not 1 <= version <= len(self.versions):
            raise UserError(f"there is no {wanted.uri}", "check it")
        return PromptText(version=version, template=self.versions[version - 1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").touch()
    return tmp_path


def spec_of(folder: Path, prompt: str = "prompts:/sum/1", **keys: Any) -> Spec:
    if "steps" not in keys:
        keys = {"endpoint": {"adapter": "local"}, "prompt": {"mlflow": prompt}, **keys}
    path = folder / "x.yaml"
    path.write_text(json.dumps({"name": "x", "source": {"rows": []}, **keys}))
    return load_spec(str(path), environ={}, registry=Registry(entry_points=False)).spec


def source_of(spec: Spec, step: int = 0) -> str:
    text = spec.steps[step].prompt.text
    assert text is not None
    return text.source


def kept(folder: Path) -> Any:
    return json.loads((folder / "out/x.jsonl.journal/prompts.json").read_text(encoding="utf-8"))


def test_a_text_becomes_the_template_of_its_step(folder: Path) -> None:
    spec, warnings = read_prompts(spec_of(folder), {}, registry=Prompts("Say {{ text }}"))
    text = spec.steps[0].prompt.text
    assert text == Text(source="Say {{ text }}", name="prompts:/sum/1")
    assert warnings == ()


def test_a_chat_becomes_messages(folder: Path) -> None:
    template = [
        {"role": "system", "content": "Be {{ kind }}"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "{{ text }}"},
                {"type": "image_url", "image_url": {"url": "{{ photo }}", "detail": "low"}},
                {"type": "input_audio", "input_audio": {}},
            ],
        },
    ]
    spec, _ = read_prompts(spec_of(folder), {}, registry=Prompts(template))
    system, user = spec.steps[0].prompt.messages or ()
    assert system.content == Text(source="Be {{ kind }}", name="prompts:/sum/1#0")
    assert user.content == (
        {"text": Text(source="{{ text }}", name="prompts:/sum/1#1.0")},
        {"image": Text(source="{{ photo }}", name="prompts:/sum/1#1.1"), "detail": "low"},
        {"type": "input_audio", "input_audio": {}},
    )


@pytest.mark.parametrize("template", [[{"role": "user"}], [7], 7])
def test_what_is_no_prompt_is_refused_at_its_line(folder: Path, template: Any) -> None:
    with pytest.raises(SpecError, match=r"prompt\.mlflow: prompts:/sum/1 is neither text nor"):
        read_prompts(spec_of(folder), {}, registry=Prompts(template))


def test_each_step_has_its_own_and_each_is_read_once(folder: Path) -> None:
    steps = [
        {"name": name, "endpoint": {"adapter": "local"}, "prompt": {"mlflow": uri}}
        for name, uri in [("a", "prompts:/sum/1"), ("b", "prompts:/sum/2"), ("c", "prompts:/sum/1")]
    ]
    registry = Prompts("one", "two")
    spec, _ = read_prompts(spec_of(folder, steps=steps), {}, registry=registry)
    assert [source_of(spec, step) for step in range(3)] == ["one", "two", "one"]
    assert registry.asked == ["prompts:/sum/1", "prompts:/sum/2"]


def test_a_judge_may_have_one_too(folder: Path) -> None:
    judge = {
        "type": "judge",
        "name": "good",
        "endpoint": {"adapter": "local"},
        "prompt": {"mlflow": "prompts:/judge/1"},
        "value": "good",
    }
    wanted = spec_of(folder, scores=[judge])
    spec, _ = read_prompts(wanted, {}, registry=Prompts("Is it good?"))
    assert [step.prompt.text and step.prompt.text.source for step in spec.asked] == [
        "Is it good?",
        "Is it good?",
    ]


def test_a_version_is_read_once_and_kept(folder: Path) -> None:
    read_prompts(spec_of(folder), {}, registry=Prompts("one"))
    later = Prompts("another")
    spec, _ = read_prompts(spec_of(folder), {}, registry=later)
    assert source_of(spec) == "one"
    assert later.asked == []
    assert kept(folder)["prompts"] == {"prompts:/sum/1": {"template": "one"}}


def test_an_alias_is_asked_for_every_time(folder: Path) -> None:
    spec, _ = read_prompts(
        spec_of(folder, "prompts:/sum@prod"), {}, registry=Prompts("one", "two", prod=1)
    )
    assert source_of(spec) == "one"
    spec, _ = read_prompts(
        spec_of(folder, "prompts:/sum@prod"), {}, registry=Prompts("one", "two", prod=2)
    )
    assert source_of(spec) == "two"
    assert spec.steps[0].prompt.text == Text(source="two", name="prompts:/sum/2")
    assert kept(folder)["aliases"] == {"prompts:/sum@prod": {"version": 2}}
    assert set(kept(folder)["prompts"]) == {"prompts:/sum/1", "prompts:/sum/2"}


def test_who_only_looks_moves_no_alias(folder: Path) -> None:
    wanted = spec_of(folder, "prompts:/sum@prod")
    for mode, prod, asked in [("latest_known", 1, "one"), ("latest_known", 2, "two")]:
        spec, _ = read_prompts(wanted, {}, mode=mode, registry=Prompts("one", "two", prod=prod))
        assert source_of(spec) == asked
    spec, _ = read_prompts(wanted, {}, mode="kept", registry=Prompts())
    assert source_of(spec) == "one"


@pytest.mark.parametrize("error", [RunError("down"), PluginError("no library")])
def test_where_an_alias_cannot_be_asked_for_the_last_version_stands_in(
    folder: Path, error: Exception
) -> None:
    wanted = spec_of(folder, "prompts:/sum@prod")
    registry = Prompts("one", prod=1)
    read_prompts(wanted, {}, registry=registry)
    registry.error = error
    spec, (warning,) = read_prompts(wanted, {}, mode="latest_known", registry=registry)
    assert source_of(spec) == "one"
    assert str(warning).endswith(f": prompt.mlflow: {error}; version 1, read before, stands in")
    assert warning.where.line == 1

    spec, warnings = read_prompts(wanted, {}, mode="kept", registry=registry)
    assert (source_of(spec), warnings) == ("one", ())
    assert len(registry.asked) == 2

    with pytest.raises(type(error)):
        read_prompts(wanted, {}, registry=registry)


@pytest.mark.parametrize("mode", ["current", "latest_known"])
def test_what_was_never_read_and_cannot_be_is_an_error_or_a_warning(
    folder: Path, mode: Mode
) -> None:
    registry = Prompts()
    registry.error = RunError("down", "mend it")
    with pytest.raises(RunError, match="down"):
        read_prompts(spec_of(folder), {}, mode=mode, registry=registry)
    spec, (warning,) = read_prompts(
        spec_of(folder), {}, mode=mode, must_have=False, registry=registry
    )
    assert spec.steps[0].prompt.text is None
    assert str(warning).endswith(": prompt.mlflow: not checked: down; mend it")


def test_nobody_is_asked_where_nobody_may_be(folder: Path) -> None:
    registry = Prompts("one")
    with pytest.raises(UserError, match="prompts:/sum/1 has not been read here yet"):
        read_prompts(spec_of(folder), {}, mode="kept", registry=registry)
    assert registry.asked == []
    assert not (folder / "out").exists()


def test_what_is_not_there_is_a_problem_of_the_spec(folder: Path) -> None:
    with pytest.raises(SpecError) as caught:
        read_prompts(spec_of(folder, "prompts:/sum/7"), {}, registry=Prompts("one"))
    (problem,) = caught.value.problems
    assert str(problem).endswith(": prompt.mlflow: there is no prompts:/sum/7; check it")
    assert (problem.where.line, problem.length) == (1, len('"prompts:/sum/7"'))


@pytest.mark.parametrize(
    ("then", "now", "stands"),
    [
        ({}, {}, True),
        ({}, {"MLFLOW_TRACKING_URI": "http://b"}, True),
        ({"MLFLOW_TRACKING_URI": "http://a"}, {}, True),
        ({"MLFLOW_TRACKING_URI": "http://a"}, {"MLFLOW_TRACKING_URI": "http://a/"}, True),
        ({"MLFLOW_TRACKING_URI": "http://a"}, {"MLFLOW_TRACKING_URI": "http://b"}, False),
        ({"MLFLOW_TRACKING_URI": "http://a"}, {"MLFLOW_REGISTRY_URI": "http://b"}, False),
    ],
)
def test_one_registry_does_not_stand_for_another(
    folder: Path, then: dict[str, str], now: dict[str, str], stands: bool
) -> None:
    read_prompts(spec_of(folder), then, registry=Prompts("one"))
    spec, _ = read_prompts(spec_of(folder), now, registry=Prompts("another"))
    assert source_of(spec) == ("one" if stands else "another")
    assert "http" not in json.dumps(kept(folder))


def test_without_a_journal_nothing_is_kept(folder: Path) -> None:
    registry = Prompts("one")
    for _ in range(2):
        read_prompts(spec_of(folder, journal={"mode": "off"}), {}, registry=registry)
    assert len(registry.asked) == 2
    assert not (folder / "out").exists()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"version": 2, "prompts": {}}',
                                  '{"version": 1, "prompts": [], "aliases": 3}',
                                  '{"version": 1, "prompts": {"prompts:/sum/1": 3}}'])  # fmt: skip
def test_a_damaged_file_is_read_anew(folder: Path, text: str) -> None:
    file = folder / "out/x.jsonl.journal/prompts.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    spec, _ = read_prompts(spec_of(folder), {}, registry=Prompts("one"))
    assert source_of(spec) == "one"
    assert kept(folder)["prompts"] == {"prompts:/sum/1": {"template": "one"}}


def test_a_folder_that_takes_no_files_does_no_harm(folder: Path) -> None:
    (folder / "out").write_text("in the way")
    spec, _ = read_prompts(spec_of(folder), {}, registry=Prompts("one"))
    assert source_of(spec) == "one"


def test_a_spec_without_registered_prompts_stays_as_it_is(folder: Path) -> None:
    spec = spec_of(
        folder, steps=[{"name": "a", "endpoint": {"adapter": "local"}, "prompt": "hello"}]
    )
    assert read_prompts(spec, {}) == (spec, ())
