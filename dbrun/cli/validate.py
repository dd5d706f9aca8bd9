"""`dbrun validate SPEC…`: everything that can be checked without calling an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from ..errors import EXIT_OK, EXIT_USAGE
from ..report.workflow import annotation
from .options import Overlay, many_specs, overlaid
from .output import prints_aside, write_json, write_line
from .session import Session, session_of, talkative
from .specs import spec_paths
from .trouble import show_problems

if TYPE_CHECKING:
    from ..types import Problem


@click.command("validate", short_help="Check specs without calling an endpoint.")
@many_specs
@overlaid
@click.option(
    "--no-import", is_flag=True, help="Name functions without importing them (untrusted specs)."
)
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="How to report: for people, for programs, as annotations of GitHub.",
)
@talkative
@click.pass_context
def command(
    context: click.Context,
    /,
    specs: tuple[str, ...],
    overlay: Overlay,
    no_import: bool,
    style: str,
) -> int:
    """Check everything that can be checked without calling an endpoint.

    Every problem is reported with its place and, where there is one, the mend. Fragments
    (_*.yaml) are passed over; they are checked with the specs that extend them.
    """
    session = session_of(context)
    paths = spec_paths(specs, keep_lone_fragment=False)
    if not paths:
        session.say("nothing to check: there are only fragments (_*.yaml)")
    findings = [_check(path, overlay, import_functions=not no_import) for path in paths]
    _REPORTS[style](findings, session)
    return EXIT_USAGE if any(finding.problems for finding in findings) else EXIT_OK


class _Finding:
    """What checking one file found."""

    def __init__(self, path: str, problems: list[Problem], warnings: list[Problem]) -> None:
        self.path = path
        self.problems = problems
        self.warnings = warnings


def _check(path: str, overlay: Overlay, *, import_functions: bool) -> _Finding:
    from ..api import validate

    with prints_aside():
        problems, warnings = validate(
            path,
            target=overlay.target,
            variables=overlay.variables,
            overrides=overlay.overrides,
            import_functions=import_functions,
        )
    return _Finding(path, problems, warnings)


def _as_text(findings: Sequence[_Finding], session: Session) -> None:
    for severity, problems in _told_once(findings).items():
        if problems:
            show_problems(problems, session, severity)
    for finding in findings:
        if not finding.problems:
            session.say(f"{finding.path}: ok{_beside(len(finding.warnings))}")


def _told_once(findings: Sequence[_Finding]) -> dict[str, list[Problem]]:
    """All warnings and all problems; a parent's is every child's, and once is enough."""
    told: dict[str, list[Problem]] = {"warning": [], "problem": []}
    for finding in findings:
        for severity, found in (("warning", finding.warnings), ("problem", finding.problems)):
            told[severity] += [problem for problem in found if problem not in told[severity]]
    return told


def _beside(warnings: int) -> str:
    if not warnings:
        return ""
    return f", with {warnings} warning" + ("s" if warnings > 1 else "")


def _as_json(findings: Sequence[_Finding], session: Session) -> None:
    said = [
        {"severity": severity, "spec": finding.path, **_to_json(problem)}
        for finding in findings
        for severity, problems in (("error", finding.problems), ("warning", finding.warnings))
        for problem in problems
    ]
    write_json(said, indent=2)


def _to_json(problem: Problem) -> dict[str, Any]:
    return {
        "file": problem.where.file,
        "line": problem.where.line,
        "column": problem.where.column,
        "length": problem.length,
        "path": problem.path,
        "message": problem.message,
        "hint": problem.hint,
    }


def _as_github(findings: Sequence[_Finding], session: Session) -> None:
    told = set()
    for finding in findings:
        for severity, problems in (("error", finding.problems), ("warning", finding.warnings)):
            for problem in problems:
                line = annotation(severity, problem)
                if line not in told:
                    write_line(line)
                told.add(line)


_REPORTS: dict[str, Callable[[Sequence[_Finding], Session], None]] = {
    "text": _as_text,
    "json": _as_json,
    "github": _as_github,
}
