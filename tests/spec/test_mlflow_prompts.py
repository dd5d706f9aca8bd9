"""Prompts of MLflow render with us as they render there."""

from __future__ import annotations

import re
from pathlib import Path

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.spec.prompts import Text
from dbrun.spec.templates import Templates, scope
from dbrun.spec.templates.mlflow_prompts import from_mlflow

VALUES = {"text": "TEXT", "a": {"b": "AB"}, "items": [1, 2]}


def rendered(source: str) -> str:
    folder = str(Path(__file__).parent)
    template = Templates(project=folder, folder=folder).compile(
        Text(source=from_mlflow(source), name="prompts:/x/1")
    )
    return template.render(scope(VALUES, {}, {}))


def replaced(source: str) -> str:
    """What MLflow makes of a prompt without tags: only variables are replaced."""
    return re.sub(r"\{\{\s*text\s*\}\}", "TEXT", source)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("Say {{ text }}", "Say TEXT"),
        ("{{text}}{{  text }}\n", "TEXTTEXT\n"),
        ("{{ a.b }}", "AB"),
        ("{{{ text }}}", "{TEXT}"),
        ("{# a note #} {{ two words }} {{ }}", "{# a note #} {{ two words }} {{ }}"),
        ('{"json": {"a": 1}}', '{"json": {"a": 1}}'),
        ("100 {% alone {{ text }}", "100 {% alone TEXT"),
        ("\n {{ text }} \n\n", "\n TEXT \n\n"),
        ("{{ text | upper }}", "{{ text | upper }}"),
        ("", ""),
    ],
)
def test_without_tags_only_variables_are_replaced(source: str, wanted: str) -> None:
    assert rendered(source) == wanted


@given(st.lists(st.sampled_from(["{{ text }}", "{", "}", "{%", "#}", "{#", " ", "\n", "'", "1"])))
def test_no_other_brace_means_anything(pieces: list[str]) -> None:
    source = "".join(pieces)
    if "{%" in source and "%}" in source:
        return
    assert rendered(source) == replaced(source)


@pytest.mark.parametrize(
    "source",
    [
        "{% if text %}\n  yes\n{% else %}\n  no\n{% endif %}\nend\n",
        "a\n  {%- for item in items %}\n  - {{ item }}\n{% endfor -%}\n b",
        "{% if text == '%}' %}never{% endif %} {# note #}\n\n{{ text }}",
        " {% raw %}\n{{ text }}{% endraw %}\n",
        "{% raw -%} {{ text }} {%- endraw -%} x",
        "{%+ if text +%}\n y{% endif %}\n",
        "{% set t = {'b': 1} %}\n{{ t.b }}",
    ],
)
def test_with_tags_it_is_jinja_blanks_included(source: str) -> None:
    there = jinja2.Environment(autoescape=False).from_string(source).render(VALUES)
    assert rendered(source) == there


def test_what_is_not_well_formed_is_left_to_be_complained_of() -> None:
    assert from_mlflow("{% if %} {{ '") == "{% if %} {{ '"
