"""`dbrun report RESULTS…`: results as one HTML page."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from ..errors import EXIT_OK, UserError
from ..storage import is_away
from .session import session_of, talkative

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..report.html.writing import Page

_STANDARD_OUTPUT = "-"


@click.command("report", short_help="Make an HTML page of results.")
@click.argument("results", nargs=-1, required=True, metavar="RESULTS…", type=click.Path())
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(),
    help="Where the page goes; '-' is standard output. Default: beside the results, with .html; "
    "report.html for several.",
)
@talkative
@click.pass_context
def command(context: click.Context, /, results: tuple[str, ...], out: str | None) -> int:
    """Make one HTML page of results: summary, charts, all records, variants side by side.

    The page needs no network and nothing beside it. Several results are compared:

    \b
    dbrun report out/summaries.jsonl
    dbrun report old/summaries.jsonl out/summaries.jsonl --out compared.html
    """
    from ..registry import Registry
    from ..report.html.writing import made_page
    from ..report.words import counted, size
    from ..run.opening import Surroundings
    from ..run.travel.away import brought

    around = Surroundings(environ=os.environ)
    file = out or _beside(results)
    results = tuple(brought(path, around) for path in results)
    _refuse_place(file, results)
    with made_page(results, Registry()) as page:
        written = _write(file, page)
    if file != _STANDARD_OUTPUT:
        said = f"wrote {file}: {counted(page.records, 'record')}, {size(written)}"
        if page.left_out:
            said += f"; {page.left_out:,} of them are counted, but not shown: the page is full"
        session_of(context).say(said)
    return EXIT_OK


def _write(file: str, page: Page) -> int:
    """Write *page* whole; gives its size in bytes."""
    from ..run.keeping.places import discard_partial
    from ..sinks.file import PartialFile
    from .output import byte_writer

    if file == _STANDARD_OUTPUT:
        write = byte_writer()
        for piece in page.pieces:
            write(piece.encode("utf-8", "backslashreplace"))
        return 0
    made = PartialFile(file, compress=False)
    made.open()
    try:
        for piece in page.pieces:
            made.write_line(piece.encode("utf-8", "backslashreplace"))
        made.commit()
    except BaseException:
        made.close()
        discard_partial(file)
        raise
    return made.size or 0


def _beside(results: Sequence[str]) -> str:
    from ..run.manifest import stem

    if is_away(results[0]):  # the page is for whoever sits here
        results = [os.path.basename(path) for path in results]
    if len(results) == 1:
        return f"{stem(results[0])}.html"
    return os.path.join(os.path.dirname(results[0]), "report.html")


def _refuse_place(file: str, results: Sequence[str]) -> None:
    """Raises `UserError` if *file* is nothing that a page may be written over."""
    if file == _STANDARD_OUTPUT or not os.path.exists(file):
        return
    if not os.path.isfile(file):
        raise UserError(f"{file} is no regular file", "name a file with --out")
    if any(os.path.exists(one) and os.path.samefile(file, one) for one in results):
        raise UserError(f"{file} is among the results and would be lost", "name another --out")
    if not file.lower().endswith((".html", ".htm")):
        raise UserError(f"{file} is there and is no HTML file", "name another --out")
