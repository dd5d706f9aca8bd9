"""What a spec lacks although a target gives it: the message names the target."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbrun.errors import SpecError
from dbrun.registry import Registry
from dbrun.spec.load import load_spec

TARGETS = """\
name: tickets
{base}
targets:
  local: {{{local}}}
  prod: {{{prod}}}
"""
ROWS = "source: {rows: [{a: 1}]}"
ASKED = f"{ROWS}\nprompt: hi"
ECHO = 'endpoint: {adapter: python, function: "m:f"}'
LARGE = "endpoint: {adapter: databricks, name: large, task: chat}"


def hints(tmp_path: Path, base: str, local: str, prod: str, **given: str) -> dict[str, str]:
    """The hint of each problem, by what it is about."""
    spec = tmp_path / "tickets.yaml"
    spec.write_text(TARGETS.format(base=base, local=local, prod=prod))
    with pytest.raises(SpecError) as caught:
        load_spec(str(spec), environ={}, registry=Registry(), **given)
    return {f"{one.path}: {one.message}": one.hint for one in caught.value.problems}


BOTH = "choose a target that gives it: --target local or --target prod"
VARIABLE = "add --var day=…, or choose --target prod"
ONE = "choose a target that gives it: --target prod"


@pytest.mark.parametrize(
    ("base", "local", "prod", "about", "hint"),
    [
        (ASKED, ECHO, LARGE, ": 'endpoint' is missing", BOTH),
        (ASKED, "params: {}", LARGE, ": 'endpoint' is missing", ONE),
        (f"{LARGE}\nprompt: hi", "params: {}", ROWS, ": 'source' is missing", ONE),
        (
            f"{ASKED}\n{LARGE}\nvars: {{day: null}}",
            "",
            "vars: {day: x}",
            "vars.day: must be given",
            VARIABLE,
        ),
        (
            f"{ROWS}\nsteps: [{{name: one, prompt: hi}}]",
            "params: {}",
            LARGE,
            "steps.one: 'endpoint' is missing",
            ONE,
        ),
    ],
)
def test_targets_that_give_it_are_named(
    tmp_path: Path, base: str, local: str, prod: str, about: str, hint: str
) -> None:
    assert hints(tmp_path, base, local, prod) == {about: hint}


@pytest.mark.parametrize("given", [{}, {"target": "local"}])
def test_what_no_target_gives_is_to_be_written(tmp_path: Path, given: dict[str, str]) -> None:
    told = hints(tmp_path, ASKED, "params: {}", "params: {}", **given)
    assert list(told) == [": 'endpoint' is missing"]
    assert told[": 'endpoint' is missing"].startswith("write {adapter: databricks")


def test_a_target_that_was_chosen_is_not_to_be_changed(tmp_path: Path) -> None:
    told = hints(tmp_path, ASKED, "params: {}", LARGE, target="local")
    assert told[": 'endpoint' is missing"].startswith("write {adapter: databricks")
