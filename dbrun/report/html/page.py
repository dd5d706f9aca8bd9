"""The page itself: a template, a style, a program and the data, in one file."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from ... import __version__
from .blocks import script_json
from .facts import Results, details, table, tiles

_SCRIPTS = ("text", "diff", "data", "charts", "grid", "detail", "app")
"""Parts of the program, in their order; one scope holds all."""

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def visible(text: Any) -> str:
    """*text* with what cannot be seen, or turns around what follows, written as its number."""
    return _UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", str(text))


def pieces(
    title: str, results: Sequence[Results], blocks: Iterable[str], about: Mapping[str, Any]
) -> Iterator[str]:
    """The text of the page, piece by piece; *about* is what the program is told besides rows."""
    script = _script()
    heads, rows = table(results)
    library = _asset("uPlot.iife.min.js")
    return (
        _environment()
        .get_template("page.html")
        .generate(
            title=title,
            version=__version__,
            results=[
                {
                    "label": one.label,
                    "name": one.name,
                    "tiles": tiles(one),
                    "details": details(one),
                    "spec": one.manifest.get("spec"),
                    "notes": one.notes,
                }
                for one in results
            ],
            heads=heads,
            rows=rows,
            style=Markup(_asset("uPlot.min.css") + _asset("report.css")),  # noqa: S704 - our own
            library=Markup(library),  # noqa: S704 - vendored
            script=Markup(script),  # noqa: S704 - our own
            licence=Markup(_asset("uPlot.LICENSE")),  # noqa: S704 - vendored
            hashes=" ".join(f"'sha256-{_digest(text)}'" for text in (library, script)),
            blocks=(Markup(block) for block in blocks),  # noqa: S704 - made by `blocks.script_json`
            about=Markup(script_json(about)),  # noqa: S704 - `<` is escaped
        )
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(_asset),
    )
    environment.filters["visible"] = visible
    environment.filters["pretty"] = _pretty
    return environment


def _pretty(value: Any) -> str:
    import json

    return visible(json.dumps(value, indent=2, ensure_ascii=False))


def _script() -> str:
    parts = "\n".join(_asset(f"{name}.js") for name in _SCRIPTS)
    return f'(() => {{\n"use strict";\n{parts}\n}})();\n'


def _digest(text: str) -> str:
    """As a content security policy names a script (CSP Level 3, "hash-source")."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _asset(name: str) -> str:
    return (files(__package__) / "assets" / name).read_text(encoding="utf-8")
