"""The page itself: a template, a style, a program and the data, in one file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup

from ... import __version__
from ..words import visible
from .blocks import script_json
from .facts import Results, details, table, tiles

_SCRIPTS = ("text", "diff", "data", "charts", "grid", "detail", "app")
"""Parts of the program, in their order; one scope holds all."""


def pieces(
    title: str, results: Sequence[Results], blocks: Iterable[str], about: Mapping[str, Any]
) -> Iterator[str]:
    """The text of the page, piece by piece; *about* is what the program is told besides rows."""
    script = _script()
    heads, rows = table(results)
    library = asset("uPlot.iife.min.js")
    return (
        environment()
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
            style=Markup(asset("uPlot.min.css") + asset("report.css")),  # noqa: S704 - our own
            library=Markup(library),  # noqa: S704 - vendored
            script=Markup(script),  # noqa: S704 - our own
            licence=Markup(asset("uPlot.LICENSE")),  # noqa: S704 - vendored
            hashes=" ".join(f"'sha256-{digest(text)}'" for text in (library, script)),
            blocks=(Markup(block) for block in blocks),  # noqa: S704 - made by `blocks.script_json`
            about=Markup(script_json(about)),  # noqa: S704 - `<` is escaped
        )
    )


def environment() -> jinja2.Environment:
    """Templates are files beside the report's; everything they are given is escaped."""
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(asset),
    )
    environment.filters["visible"] = visible
    environment.filters["pretty"] = _pretty
    return environment


def _pretty(value: Any) -> str:
    import json

    return visible(json.dumps(value, indent=2, ensure_ascii=False))


def _script() -> str:
    parts = "\n".join(asset(f"{name}.js") for name in _SCRIPTS)
    return f'(() => {{\n"use strict";\n{parts}\n}})();\n'


def digest(text: str) -> str:
    """As a content security policy names a script (CSP Level 3, "hash-source")."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def asset(name: str) -> str:
    """The text of a part of the page."""
    return (files(__package__) / "assets" / name).read_text(encoding="utf-8")
