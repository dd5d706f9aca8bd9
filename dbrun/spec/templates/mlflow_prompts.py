"""Prompts of MLflow's registry as templates of ours, so that both render the same text.

MLflow (`PromptVersion.format`) knows two forms. A text that holds a tag, `{% … %}`, is Jinja with
Jinja's own handling of newlines. In any other only `{{ name }}` is replaced, and every other
brace is meant as it stands.
"""

from __future__ import annotations

import re

import jinja2

_VARIABLE = re.compile(
    r"\{\{\s*[a-zA-Z_][a-zA-Z0-9_]*(?:\.[a-zA-Z_][a-zA-Z0-9_]*)*\s*\}\}",
)
_OPENING = re.compile(r"\{(?=[{%#]|\Z)")
_CLOSING = re.compile(r"(?<![-+])([%#]\})")
_BRACE = "{{ '{' }}"
_OPEN = ("block_begin", "comment_begin", "raw_begin", "raw_end")
_CLOSE = ("block_end", "comment_end", "raw_end")


def from_mlflow(source: str) -> str:
    """The template that renders as MLflow renders *source*.

    Text that is not well-formed Jinja is given back as it is; compiling it says what is wrong.
    """
    if "{%" in source and "%}" in source:
        return _from_jinja(source)
    found: list[str] = []
    end = 0
    for variable in _VARIABLE.finditer(source):
        found += [_literal(source[end : variable.start()]), variable[0]]
        end = variable.end()
    return "".join([*found, _literal(source[end:])])


def _literal(text: str) -> str:
    """*text* with every brace written out that Jinja, or the variable behind it, would take."""
    return _OPENING.sub(_BRACE, text)


def _from_jinja(source: str) -> str:
    """*source* with `+` in its tags, which keeps the blanks around them that we would drop."""
    try:
        tokens = list(jinja2.Environment(autoescape=False).lex(source))  # noqa: S701 - no HTML
    except jinja2.TemplateSyntaxError:
        return source
    return "".join(_kept(kind, text) for _, kind, text in tokens)


def _kept(kind: str, text: str) -> str:
    if kind in _OPEN and text[2:3] not in ("-", "+"):
        text = f"{text[:2]}+{text[2:]}"
    return _CLOSING.sub(r"+\1", text, count=1) if kind in _CLOSE else text
