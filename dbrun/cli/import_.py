"""`dbrun import FILE… --out RESULTS`: what other tools wrote as results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..errors import EXIT_OK
from .session import Session, session_of, talkative
from .writing import STANDARD_OUTPUT, refuse_results_place, written_records

if TYPE_CHECKING:
    from ..interop.importing import Imported

_KINDS = ("openai-batch", "promptfoo")
_ENDINGS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".csv", ".csv.gz", ".csv.zst", ".parquet")


@click.command("import", short_help="Make results of what other tools wrote.")
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path())
@click.option(
    "--out",
    required=True,
    metavar="RESULTS",
    type=click.Path(),
    help="Where the results go; '-' is standard output.",
)
@click.option("--from", "kind", type=click.Choice(_KINDS), help="Which format; else it is seen.")
@click.option(
    "--rows",
    metavar="FILE",
    type=click.Path(),
    help="With openai-batch: the rows that were asked about. The results get their order.",
)
@click.option(
    "--id",
    "column",
    metavar="COLUMN",
    help="The column of the rows, or promptfoo's variable, that custom_id or the id is.",
)
@talkative
@click.pass_context
def command(
    context: click.Context,
    /,
    files: tuple[str, ...],
    out: str,
    kind: str | None,
    rows: str | None,
    column: str | None,
) -> int:
    """Make results of the result lines of OpenAI's Batch API, or of promptfoo's JSON Lines.

    \b
    dbrun import output.jsonl errors.jsonl --rows rows.jsonl --id id --out out/batch.jsonl
    dbrun import promptfoo.jsonl --id ticket --out out/promptfoo.jsonl

    Nothing is written if a line cannot be read. FILE may be '-', and end in .gz or .zst.
    Batches whose requests `dbrun journal SPEC --requests` wrote are better taken into the
    journal of their spec: dbrun journal SPEC --import FILE.
    """
    from ..interop.importing import Given, import_results
    from ..registry import Registry
    from ..spec.formats import format_of

    refuse_results_place(out, [*files, *([rows] if rows else [])], _ENDINGS)
    format = "jsonl" if out == STANDARD_OUTPUT else str(format_of(out))
    given = Given(files=files, kind=kind, id=column, rows=rows)
    with written_records(out, format) as write:
        told = import_results(given, Registry(), write)
    _say(session_of(context), out, told)
    return EXIT_OK


def _say(session: Session, out: str, told: Imported) -> None:
    from ..report.words import counted

    where = "standard output" if out == STANDARD_OUTPUT else out
    said = f"wrote {where}: {counted(told.records, 'record')}"
    if told.errors:
        classes = ", ".join(f"{name} {count:,}" for name, count in told.errors.most_common())
        said += f", {told.errors.total():,} of them not ok ({classes})"
    session.say(said)
    if told.rows is None and told.are_keys:
        session.say(
            "the ids are keys of requests: `dbrun journal SPEC --import FILE` knows which rows "
            "they are of"
        )
    if told.strangers:
        session.say(f"{counted(told.strangers, 'record')} of no row; at the end, without a row")
        if not told.met:
            session.say("no custom_id is the id of a row: name the rows' column of ids with --id")
