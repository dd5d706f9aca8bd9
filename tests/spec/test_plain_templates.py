"""Templates of text and names alone: what Jinja makes of them, without Jinja."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.errors import RenderError, SpecError
from dbrun.spec.prompts import Text
from dbrun.spec.templates import Template, Templates, scope
from dbrun.spec.templates.compiled import Compiler
from dbrun.spec.templates.plain import PlainTemplate, split

PLAIN = Templates(project=".", folder=".")
JINJA = Compiler(project=".", folder=".")

VALUES = {
    "text": "hello",
    "braces": "{{ text }}",
    "empty": "",
    "number": 3,
    "price": 2.0,
    "yes": True,
    "nothing": None,
    "many": ["a", "b"],
    "map": {"inner": "deep", "items": "a column", "list": [1]},
}
SEEN = scope(VALUES, {"day": "Monday", "n": 1}, {"first": {"output": "answer"}})


@pytest.mark.parametrize(
    ("source", "pieces"),
    [
        ("", [""]),
        ("no names", ["no names"]),
        ("{{ text }}", ["", "text", ""]),
        ("a {{text}} b {{\n row.x\t}}", ["a ", "text", " b ", "row.x", ""]),
        ("{ text } and }} and {", ["{ text } and }} and {"]),
        ("{{ text|upper }}", None),
        ("{{ text }} {{ 1 }}", None),
        ("{{ text[0] }}", None),
        ("{{- text }}", None),
        ("{{ text", None),
        ("{% if text %}x{% endif %}", None),
        ("{# note #}{{ text }}", None),
        ("line\r\n{{ text }}", None),
        ("{{ none }}", None),
        ("{{ range }}", None),
        ("{{ loop.index }}", None),
        ("{{ größe }}", None),
        ("{{{ text }}}", None),
    ],
)
def test_what_is_plain(source: str, pieces: list[str] | None) -> None:
    assert split(source) == pieces


def outcome(read: Callable[[dict[str, Any]], Any]) -> Any:
    try:
        return read(SEEN)
    except RenderError as error:
        return f"{type(error).__name__} {error} {error.where}"


def compiled(compiler: Templates | Compiler, text: Text) -> Template | str:
    try:
        return compiler.compile(text)
    except SpecError as error:
        return str(error)


names = st.sampled_from(
    [
        *VALUES, "missing", "row", "vars", "steps", "row.text", "row.missing", "vars.day", "vars.n",
        "steps.first.output", "map.inner", "map.items", "map.nothing", "text.upper", "many.append",
        "number.real", "map.inner.more", "_private", "true", "self", "not", "range", "is",
    ]
)  # fmt: skip
pieces_of_templates = st.lists(
    st.one_of(
        st.text(alphabet="ab {}%#-\n\r\\|.é\u2028", max_size=6),
        st.builds("{{{{{}{}{}}}}}".format, st.sampled_from(["", " ", "\n", "-"]), names,
                  st.sampled_from(["", " ", "|default('-') ", "-", "+"])),
    ),
    max_size=6,
)  # fmt: skip


@given(parts=pieces_of_templates, file=st.sampled_from([None, "prompt.j2"]))
def test_the_same_as_by_jinja(parts: list[str], file: str | None) -> None:
    text = Text(source="".join(parts), name="prompt", file=file)
    ours, theirs = compiled(PLAIN, text), compiled(JINJA, text)
    if isinstance(ours, str) or isinstance(theirs, str):
        assert ours == theirs
        return
    assert (ours.names, ours.columns, ours.place) == (theirs.names, theirs.columns, theirs.place)
    assert outcome(ours.render) == outcome(theirs.render)
    assert outcome(ours.value) == outcome(theirs.value)


def test_a_column_named_as_a_word_of_the_scope() -> None:
    template = PLAIN.compile(Text(source="{{ vars }}", name="prompt"))
    seen = scope({"vars": "a column"}, {"n": 1}, {})
    assert template.render(seen) == "{'n': 1}"


def test_texts_beyond_the_bounds_are_left_to_jinja() -> None:
    template = PLAIN.compile(Text(source="{{ text }}{{ text }}", name="prompt"))
    assert isinstance(template, PlainTemplate)
    long = "x" * (2 << 20)
    assert template.render(scope({"text": long}, {}, {})) == long + long
    with pytest.raises(RenderError, match="characters"):
        template.render(scope({"text": "x" * (20 << 20)}, {}, {}))


def test_evaluating_one() -> None:
    template = PLAIN.compile(Text(source="{{ many }}", name="prompt"))
    assert isinstance(template, PlainTemplate)
    assert template.evaluate(SEEN) == ["a", "b"]


def test_jinja_is_not_loaded_for_them() -> None:
    program = """
import sys
from dbrun.spec.model import Text
from dbrun.spec.templates import Template, Templates, scope
template = Templates(project='.', folder='.').compile(Text(source='Say {{ x }}', name='prompt'))
assert template.render(scope({'x': 'this'}, {}, {})) == 'Say this'
sys.exit('jinja2' in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
