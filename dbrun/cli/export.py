"""`dbrun export RESULTS --to FORMAT`: results in the formats of other tools."""

from __future__ import annotations

import click

from ..errors import EXIT_OK
from .session import session_of, talkative
from .writing import STANDARD_OUTPUT, refuse_results_place, written_records, written_whole

_FORMATS = ("openai-batch", "lm-eval", "promptfoo", "csv", "parquet")


@click.command("export", short_help="Write results for other tools.")
@click.argument("results", metavar="RESULTS", type=click.Path())
@click.option("--to", required=True, type=click.Choice(_FORMATS), help="Which format to write.")
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(),
    help="Where it goes; '-' is standard output. Default: beside the results.",
)
@click.option("--variant", metavar="NAME", help="Only the records of this variant of a matrix.")
@click.option(
    "--target-column",
    metavar="COLUMN",
    help="With lm-eval: the column of the rows that holds the expected answer.",
)
@talkative
@click.pass_context
def command(
    context: click.Context,
    /,
    results: str,
    to: str,
    out: str | None,
    variant: str | None,
    target_column: str | None,
) -> int:
    """Write results in the format of another tool, one line a record.

    \b
    openai-batch   result lines of OpenAI's Batch API, by custom_id
    lm-eval        samples of lm-evaluation-harness, as --log_samples writes them
    promptfoo      results of promptfoo: lines, or with --out NAME.json what
                   `promptfoo import` takes
    csv, parquet   tables: a column for each field, in CSV for each column of the rows
    """
    from ..interop.exporting import ENDINGS, TABLES, Wanted, export
    from ..registry import Registry
    from ..report.reading import check
    from ..report.words import counted
    from ..run.manifest import stem

    session = session_of(context)
    session.only_shows = out == STANDARD_OUTPUT
    check(results)
    if target_column is not None and to != "lm-eval":
        raise click.UsageError("--target-column goes with --to lm-eval", context)
    endings = ENDINGS[to]
    file = out or stem(results) + (endings[0] if to in TABLES else f".{to}{endings[0]}")
    if to in TABLES and file == STANDARD_OUTPUT:
        raise click.UsageError(f"--to {to} makes a file; name it with --out", context)
    refuse_results_place(file, [results], endings)
    wanted = Wanted(
        path=results,
        to=to,
        variant=variant,
        target=target_column,
        whole=file.lower().endswith(".json"),
    )
    writer = written_records(file, to) if to in TABLES else written_whole(file)
    with writer as write:
        told = export(wanted, Registry(), write)
    if file != STANDARD_OUTPUT:
        failed = f", {told.failed:,} of them not ok" if told.failed else ""
        session.say(f"wrote {file}: {counted(told.records, 'record')}{failed}")
    return EXIT_OK
