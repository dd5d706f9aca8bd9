"""`dbrun journal SPEC…`: what is in the journal; prune, compact, export and fill it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ..clock import Clock
from ..errors import EXIT_OK, EXIT_UNMET, UserError
from .options import Overlay, json_option, many_specs, overlaid
from .output import prints_aside, write_json, write_line
from .session import Session, session_of, talkative
from .specs import load_all, spec_paths
from .users import users_by_journal
from .writing import STANDARD_OUTPUT, writing

if TYPE_CHECKING:
    from ..run.journals.use import Users
    from ..run.opening import Surroundings
    from ..spec.model import Spec
    from ..types import Json

_WORDS = ("show", "prune", "compact", "export", "requests", "import")
_ACTIONS = ("prune", "compact", "export", "requests", "imports")
_SAY_EVERY = 10.0  # seconds


@click.command("journal", short_help="Show the journal of answers; prune, export or fill it.")
@many_specs
@overlaid
@click.option("--prune", is_flag=True, help="Drop the answers that no row asks for any more.")
@click.option("--dry-run", is_flag=True, help="With --prune: only say what would be dropped.")
@click.option(
    "--force",
    is_flag=True,
    help="With --prune: even if later steps or other targets may yet ask for them.",
)
@click.option("--compact", is_flag=True, help="Make one file of the journal's files.")
@click.option(
    "--export", metavar="FILE", type=click.Path(), help="Write all answers, as a batch gives them."
)
@click.option(
    "--requests",
    metavar="FILE",
    type=click.Path(),
    help="Write the requests that have no answer yet, as a batch takes them.",
)
@click.option(
    "--import",
    "imports",
    metavar="FILE",
    multiple=True,
    type=click.Path(),
    help="Take in the answers that a batch gave back. Repeatable.",
)
@click.option("--fresh", is_flag=True, help="With --import: in place of answers that are there.")
@json_option("Print JSON to standard output.")
@talkative
@click.pass_context
def command(
    context: click.Context,
    /,
    specs: tuple[str, ...],
    overlay: Overlay,
    **given: Any,
) -> int:
    """Show what the journal of SPEC holds, and how much of it the present rows still ask for.

    Nothing is ever sent. An answer is stale when no row of the spec, under any of its targets,
    asks for it any more: the prompt, a parameter or the row has changed. Specs that share a
    journal are named together.

    \b
    Run a spec through a batch API, at its price, and use the answers as if dbrun had asked:
      dbrun journal SPEC --requests requests.jsonl     the requests as OpenAI Batch input
      …send the file, fetch what comes back…
      dbrun journal SPEC --import output.jsonl         its lines are matched by custom_id
      dbrun SPEC                                       writes the results, asks for the rest

    FILE may be '-' for standard input or output, and end in .gz or .zst. Exits 1 if a row has no
    request, or if lines of an imported file are no answers of a batch.
    """
    action = _action(given, context)
    if specs[0] in _WORDS and not os.path.exists(specs[0]):
        option = f" --{specs[0]}" if specs[0] != "show" else ""
        raise click.UsageError(
            f"'{specs[0]}' is no spec; write dbrun journal SPEC{option}", context
        )
    paths = spec_paths(specs)
    if not paths:
        raise UserError("there are only fragments (_*.yaml)")
    session = session_of(context)
    session.only_shows = STANDARD_OUTPUT in (given["export"], given["requests"])
    call = _Call(session, as_json=given["as_json"])
    if action in ("export", "requests", "imports"):
        if len(paths) > 1:
            raise click.UsageError(f"{_option(action)} takes one spec, not several", context)
        spec = load_all(paths, overlay)[0].spec
        if action == "imports":
            return call.take_in(spec, given["imports"], fresh=given["fresh"])
        return call.write(spec, given[action], requests=action == "requests")
    with prints_aside():
        groups = users_by_journal(paths, overlay)
    if action == "prune":
        return call.prune(groups, dry_run=given["dry_run"], force=given["force"])
    return call.compact(groups) if action == "compact" else call.show(groups)


def _option(name: str) -> str:
    return "--import" if name == "imports" else f"--{name.replace('_', '-')}"


def _action(given: Mapping[str, Any], context: click.Context) -> str | None:
    """The one thing to do; None is showing. Refuses options that do not go together."""
    wanted = [name for name in _ACTIONS if given[name]]
    if len(wanted) > 1:
        names = " and ".join(map(_option, wanted[:2]))
        raise click.UsageError(f"{names} exclude each other: one thing at a time", context)
    action = wanted[0] if wanted else None
    for name, owner in (("dry_run", "prune"), ("force", "prune"), ("fresh", "imports")):
        if given[name] and action != owner:
            raise click.UsageError(f"{_option(name)} goes with {_option(owner)}", context)
    if given["as_json"] and STANDARD_OUTPUT in (given["export"], given["requests"]):
        names = f"--json and '{_option(str(action))} -'"
        raise click.UsageError(f"{names} both write to standard output", context)
    return action


class _Call:
    """One call of the command: what it does, and how it says so."""

    def __init__(self, session: Session, *, as_json: bool) -> None:
        self._session = session
        self._as_json = as_json
        self._clock = Clock()
        self._said = self._clock.now()

    def show(self, groups: Sequence[Users]) -> int:
        """Print what the journals hold."""
        from ..report.journal import described, shown
        from ..run.journals.looking import look
        from .buglog import without_secrets

        found = []
        for users in groups:
            with prints_aside():
                found.append(look(users, self._around(), self._watch))
        if self._as_json:
            self._print([described(one) for one in found])
        else:
            for one in found:
                write_line(without_secrets(shown(one)))
        return EXIT_OK

    def prune(self, groups: Sequence[Users], *, dry_run: bool, force: bool) -> int:
        """Drop what nobody asks for."""
        from ..report.journal import described_prune, shown_prune
        from ..run.journals.pruning import prune

        done: list[Json] = []
        for users in self._there(groups):
            with prints_aside():
                pruned = prune(users, self._around(), self._watch, dry_run=dry_run, force=force)
            self._session.say(shown_prune(users.journal, pruned, dry_run=dry_run))
            done.append(described_prune(users.journal, pruned, dry_run=dry_run))
        self._print(done)
        return EXIT_OK

    def compact(self, groups: Sequence[Users]) -> int:
        """Make one file of many."""
        from ..report.journal import described_compact, shown_compact
        from ..run.journals.pruning import compact

        done: list[Json] = []
        for users in self._there(groups):
            made = compact(users.journal, self._around())
            self._session.say(shown_compact(users.journal, made))
            done.append(described_compact(users.journal, made))
        self._print(done)
        return EXIT_OK

    def write(self, spec: Spec, file: str, *, requests: bool) -> int:
        """Write answers or requests to *file*."""
        from ..report.journal import described_requests, shown_requests
        from ..report.words import counted
        from ..run.journals.batches import export_answers, write_requests
        from ..run.journals.looking import exists

        if not requests and not exists(spec.journal.path, self._around()):
            raise UserError(
                f"there is no journal at {spec.journal.path}", f"run it first: dbrun {spec.file}"
            )
        name = "standard output" if file == STANDARD_OUTPUT else file
        around = self._around()
        with writing(file, spec) as write:
            if not requests:
                count = export_answers(spec.journal.path, around, write)
                self._session.say(f"{name}: {counted(count, 'answer')}")
                self._print([{"file": file, "answers": count}])
                return EXIT_OK
            with prints_aside():
                told = write_requests(spec, around, write, self._watch)
        for line in shown_requests(name, told):
            self._session.say(line)
        self._print([described_requests(file, told)])
        return EXIT_UNMET if told.unrendered.count else EXIT_OK

    def take_in(self, spec: Spec, files: Sequence[str], *, fresh: bool) -> int:
        """Take the answers in *files* into the journal."""
        from ..report.journal import described_import, shown_import
        from ..run.journals.importing import import_answers

        with prints_aside():
            told = import_answers(spec, self._around(), files, self._watch, fresh=fresh)
        for line in shown_import(spec.file, told):
            self._session.say(line)
        self._print([described_import(told)])
        fits = told.taken or told.known or told.failed
        return EXIT_OK if fits and not told.foreign.count else EXIT_UNMET

    def _watch(self, rows: int) -> None:
        """Say every few seconds how far it is: rows are looked at some ten thousand a second."""
        if self._clock.now() - self._said >= _SAY_EVERY:
            self._said = self._clock.now()
            self._session.say(f"{rows:,} rows looked at")

    def _around(self) -> Surroundings:
        from ..registry import Registry
        from ..run.opening import Surroundings

        return Surroundings(environ=os.environ, registry=Registry(), debug=self._session.debug)

    def _there(self, groups: Sequence[Users]) -> Iterator[Users]:
        """The groups that have a journal; of others it is said that there is none."""
        from ..report.summary import shown_path
        from ..run.journals.looking import exists

        for users in groups:
            if exists(users.journal, self._around()):
                yield users
            else:
                path = shown_path(users.journal)
                self._session.say(f"{path}: there is no journal, so nothing to do")

    def _print(self, said: Sequence[Json]) -> None:
        """What was done, as data: one object, or a list where there are several journals."""
        if self._as_json:
            write_json(said[0] if len(said) == 1 else list(said), indent=2)
