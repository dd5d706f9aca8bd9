"""The options that several commands share, and what a command gets of them."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner

from dbrun.cli.options import json_option, make_overlay, many_specs, overlaid, selected


@click.command("pretend")
@many_specs
@overlaid
@selected
@json_option("Say it as JSON.")
def pretend(**given: Any) -> int:
    """A command that has all of them."""
    click.echo(repr({name: given[name] for name in sorted(given)}))
    return 0


def test_a_command_gets_values_and_not_words() -> None:
    words = ["a.yaml", "-t", "prod", "--var", "day=2", "--set", "stop=[]", "--limit", "3"]
    said = CliRunner().invoke(pretend, [*words, "--ids", "x, y", "--ids", "z", "--json"])
    assert said.exit_code == 0, said.output
    for part in (
        "'as_json': True",
        "target='prod', variables={'day': '2'}, overrides=('stop=[]',)",
        "limit=3",
        "'specs': ('a.yaml',)",
    ):
        assert part in said.output
    assert [name in said.output for name in ("'x'", "'y'", "'z'")] == [True] * 3


def test_help_shows_them_in_one_order() -> None:
    said = CliRunner().invoke(pretend, ["--help"]).output
    names = ["--target", "--var", "--set", "--limit", "--sample", "--seed", "--ids", "--json"]
    assert sorted(names, key=said.index) == names
    assert "pretend [OPTIONS] SPEC…" in said
    assert "Say it as JSON." in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "Missing argument"),
        (["a", "--seed", "1"], "--seed goes with --sample"),
        (["a", "--ids", " , "], "--ids names no row"),
        (["a", "--limit", "0"], "0 is not in the range"),
        (["a", "--set", "x"], "--set x: write it as PATH=VALUE"),
    ],
)
def test_words_that_make_no_sense_are_refused(words: list[str], message: str) -> None:
    said = CliRunner().invoke(pretend, words)
    assert said.exit_code == 2
    assert message in said.output


def test_an_overlay_is_taken_apart() -> None:
    overlay = make_overlay("prod", ["day=a=b", "n=", "day=c"], ["params.stop=[]"])
    assert overlay.target == "prod"
    assert overlay.variables == {"day": "c", "n": ""}
    assert overlay.overrides == ("params.stop=[]",)


@pytest.mark.parametrize(("variables", "overrides"), [(["=x"], []), (["x"], []), ([], ["=x"])])
def test_an_overlay_without_names_is_refused(variables: list[str], overrides: list[str]) -> None:
    with pytest.raises(click.UsageError):
        make_overlay(None, variables, overrides)
