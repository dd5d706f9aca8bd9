"""`dbrun test SPEC…`: the offline tests of specs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import click

from ..errors import EXIT_OK, EXIT_UNMET, SinkError, SpecError, UserError
from .options import Overlay, many_specs, overlaid
from .output import prints_aside, write_json, write_line, write_text
from .session import Session, session_of, talkative
from .specs import load_all, spec_paths

if TYPE_CHECKING:
    from ..report.outcomes import Line
    from ..run.offline.rehearsal import Outcome
    from ..run.pipeline import Pipeline

Found = dict[str, "list[Outcome]"]


@click.command("test", short_help="Run the offline tests of specs.")
@many_specs
@overlaid
@click.option(
    "-k",
    "words",
    multiple=True,
    metavar="TEXT",
    help="Only tests whose name holds this text, in any case. Repeatable: any of them will do.",
)
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json", "github", "junit"]),
    default="text",
    show_default=True,
    help="How to report: for people, for programs, as annotations of GitHub, as JUnit XML.",
)
@click.option(
    "--record", metavar="ID", help="Add a test to the spec: the row of this id, its answers kept."
)
@click.option("--name", metavar="TEXT", help="With --record: what the new test is called.")
@talkative
@click.pass_context
def command(
    context: click.Context,
    /,
    specs: tuple[str, ...],
    overlay: Overlay,
    words: tuple[str, ...],
    style: str,
    record: str | None,
    name: str | None,
) -> int:
    """Run the tests that specs have in their `tests`. Nothing is sent or written, and neither
    credentials nor models are needed.

    Exits 0 if all passed (a spec without tests says so), 1 if one failed, 2 if a spec is broken
    or -k fits no test.

    With --record, add a test instead: a row of the source, with the answers that the journal
    holds, and what comes of them now.
    """
    session = session_of(context)
    if record is not None:
        if words or style != "text":
            raise click.UsageError("-k and --format do not go with --record", context)
        return _record(specs, overlay, session, record, name)
    if name is not None:
        raise click.UsageError("--name goes with --record", context)
    return _test(specs, overlay, session, words, style)


def _test(
    specs: Sequence[str], overlay: Overlay, session: Session, words: Sequence[str], style: str
) -> int:
    paths = list(dict.fromkeys(spec_paths(specs, keep_lone_fragment=False)))
    if not paths:
        session.say("nothing to test: there are only fragments (_*.yaml)")
    pipelines = load_all(paths, overlay, prompts="kept")
    found: Found = {}
    for path, pipeline in zip(paths, pipelines, strict=True):
        found[path] = _outcomes(path, pipeline, words, session)
    if words and not any(found.values()) and any(one.spec.tests for one in pipelines):
        names = [case.name for one in pipelines for case in one.spec.tests]
        raise UserError(f"no test fits -k {' -k '.join(words)}", f"there are {_listed(names)}")
    _REPORTS[style](found)
    failed = any(not outcome.passed for outcomes in found.values() for outcome in outcomes)
    return EXIT_UNMET if failed else EXIT_OK


def _outcomes(
    path: str, pipeline: Pipeline, words: Sequence[str], session: Session
) -> list[Outcome]:
    """What became of the tests of a spec whose names hold one of *words*."""
    from ..run.offline.rehearsal import Rehearsal
    from ..run.opening import Surroundings

    spec = pipeline.spec
    if not spec.tests:
        session.say(f"{path}: has no tests")
        return []
    wanted = [case for case in spec.tests if _fits(case.name, words)]
    if not wanted:
        return []
    around = Surroundings(environ=os.environ, registry=pipeline.registry, debug=session.debug)
    with prints_aside():
        rehearsal = Rehearsal(spec, around)
        outcomes = list(rehearsal.run(wanted))
    for note in rehearsal.notes:
        session.say(f"{path}: {note}")
    return outcomes


def _fits(name: str, words: Sequence[str]) -> bool:
    return not words or any(word.lower() in name.lower() for word in words)


def _listed(names: Sequence[str]) -> str:
    shown = [f"'{name}'" for name in names[:8]]
    return ", ".join(shown) + (", …" if len(names) > len(shown) else "")


def _as_text(found: Found) -> None:
    from ..report.outcomes import failure_lines, summary

    for outcomes in found.values():
        for outcome in outcomes:
            if not outcome.passed:
                for line in failure_lines(outcome):
                    _write(line)
                write_line("")
    tested = {path: outcomes for path, outcomes in found.items() if outcomes}
    for path, outcomes in tested.items():
        _write(summary(outcomes), f"{path}: ")
    if len(tested) > 1:
        _write(summary([outcome for outcomes in tested.values() for outcome in outcomes]))


_COLOURS: Mapping[str, str | None] = {
    "plain": None,
    "failed": "red",
    "expected": "green",
    "got": "red",
    "passed": "green",
}


def _write(line: Line, lead: str = "") -> None:
    colour = _COLOURS[line.kind] if _is_coloured() else None
    write_line(lead + (click.style(line.text, fg=colour) if colour else line.text))


def _is_coloured() -> bool:
    """Whether a person is looking who has not asked for plain text (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _as_json(found: Found) -> None:
    from ..report.outcomes import to_json

    said = [to_json(path, outcome) for path, outcomes in found.items() for outcome in outcomes]
    write_json(said, indent=2)


def _as_github(found: Found) -> None:
    from ..report.outcomes import problems_of
    from ..report.workflow import annotation

    for outcomes in found.values():
        for outcome in outcomes:
            for problem in problems_of(outcome):
                write_line(annotation("error", problem))


def _as_junit(found: Found) -> None:
    from ..report.junit import to_xml

    write_text(to_xml(found))


_REPORTS: dict[str, Callable[[Found], None]] = {
    "text": _as_text,
    "json": _as_json,
    "github": _as_github,
    "junit": _as_junit,
}


def _record(
    specs: Sequence[str], overlay: Overlay, session: Session, row: str, name: str | None
) -> int:
    """Add a test to the one spec there is."""
    from ..run.offline.remembering import make_test
    from ..run.opening import Surroundings
    from ..spec.append import with_test
    from ..spec.files import read_text

    paths = spec_paths(specs)
    if len(paths) != 1:
        raise UserError(f"--record adds to one spec, and there are {len(paths)}", "name one")
    (path,) = paths
    old = read_text(path)
    (pipeline,) = load_all([path], overlay, prompts="kept")
    around = Surroundings(environ=os.environ, registry=pipeline.registry, debug=session.debug)
    with prints_aside():
        test = make_test(pipeline.spec, around, row, name)
    _check_unchanged(path, old)
    new = with_test(path, old, test, [case.where for case in pipeline.spec.tests])
    with _alone(path) as tried:
        _replace(path, old, new, overlay, tried)
    session.say(f"{path}: added the test '{test['name']}'")
    return EXIT_OK


@contextmanager
def _alone(path: str) -> Iterator[str]:
    """A file beside *path* to try it in, held so that no other command writes *path* meanwhile."""
    from ..client.journal.disk import BINARY
    from ..client.journal.lock import is_at, try_lock

    tried = f"{path}.recording"
    try:
        fd = os.open(tried, os.O_RDWR | os.O_CREAT | BINARY, 0o666)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        if try_lock(fd) is False or not is_at(fd, tried):
            raise _changed(path)
        try:
            yield tried
        finally:
            with suppress(OSError):  # Windows refuses: it stays, for the next one to use
                os.remove(tried)
    finally:
        os.close(fd)


def _replace(path: str, old: str, new: str, overlay: Overlay, tried: str) -> None:
    """Put the text *new* in place of *old*, if it is a spec and nobody was faster."""
    from ..files import write_whole

    target = os.path.realpath(path)
    try:
        mode = os.stat(target).st_mode & 0o7777
        with open(tried, "wb") as stream:
            stream.write(new.encode())
        load_all([tried], overlay, prompts="kept")
        _check_unchanged(path, old)
        write_whole(target, new.encode())
        os.chmod(target, mode)
    except SpecError as error:
        first = error.problems[0]
        said = f"{path}: the test cannot be in a spec: {first.path}: {first.message}"
        raise UserError(said, first.hint) from error
    except OSError as error:
        raise _unwritable(path, error) from error


def _check_unchanged(path: str, text: str) -> None:
    """Raises `UserError` if somebody has changed the file since its *text* was read."""
    from ..spec.files import read_text

    if read_text(path) != text:
        raise _changed(path)


def _changed(path: str) -> UserError:
    return UserError(f"{path} was changed meanwhile", "run the same command again")


def _unwritable(path: str, error: OSError) -> SinkError:
    said = f"{path} cannot be written: {(error.strerror or str(error)).lower()}"
    return SinkError(said, "mend this and run the same command again")
