"""What is said to GitHub Actions on standard output: workflow commands.

GitHub Docs, "Workflow commands": `%`, CR and LF are escaped everywhere, `:` and `,` in
properties too.
"""

from __future__ import annotations

from ..types import Problem


def annotation(severity: str, problem: Problem) -> str:
    """*problem* as an annotation of a file."""
    where = problem.where
    places = [f"file={_property(where.file)}"]
    if where.line:
        places += [f"line={where.line}", f"col={where.column}"]
        if problem.length > 1:
            places.append(f"endColumn={where.column + problem.length}")
    said = f"{problem.path}: {problem.message}" if problem.path else problem.message
    said = f"{said}; {problem.hint}" if problem.hint else said
    return f"::{severity} {','.join(places)}::{_data(said)}"


def remark(severity: str, said: str) -> str:
    """An annotation of the whole run."""
    return f"::{severity} title=dbrun::{_data(said)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
