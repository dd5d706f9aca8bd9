"""A comparison as a page of its own, in the style of reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .. import __version__
from ..report.html.page import asset, digest, environment
from ..report.words import counted
from . import wording
from .model import Comparison, Part, RowChange


def pieces(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """The text of the page, piece by piece. Everything foreign in it is text, never HTML."""
    script = asset("compared.js")
    return (
        environment()
        .get_template("compared.html")
        .generate(
            title=", ".join(one.title for one in comparisons[:3]),
            version=__version__,
            style=asset("report.css") + asset("compared.css"),
            script=script,
            script_digest=digest(script),
            comparisons=[_described(one) for one in comparisons],
        )
    )


def _described(found: Comparison) -> dict[str, Any]:
    return {
        "title": found.title,
        "verdict": wording.verdict(found),
        "regressions": [wording.regression(one) for one in found.regressions],
        "sides": [("OLD", wording.side(found.old)), ("NEW", wording.side(found.new))],
        "notes": found.notes,
        "parts": [_part(part, found) for part in found.parts],
        "changes": [
            (wording.change_said(one), wording.change_pieces(one)) for one in found.changes
        ],
        "kinds": [
            {
                "title": wording.kind_title(kind, number),
                "rows": [_row(row) for row in rows],
                "more": number - len(rows),
            }
            for kind, number, rows in wording.rows_by_kind(found)
        ],
        "alone": [
            {
                "title": f"{counted(number, 'record')} only in {name}",
                "ids": ids,
                "more": number - len(ids),
            }
            for name, ids, number in wording.alone(found)
        ],
    }


def _part(part: Part, found: Comparison) -> dict[str, Any]:
    heads = list(wording.SCORE_HEADS)
    heads[4] = wording.interval_head(found.confidence)
    return {
        "label": part.label,
        "paired": counted(part.counts.paired, "record"),
        "facts": wording.facts(part.counts),
        "score_heads": heads,
        "scores": [(one.verdict, wording.score_cells(one)) for one in part.scores],
        "total_heads": wording.TOTAL_HEADS,
        "totals": [wording.total_cells(one, found.currency) for one in part.totals],
    }


def _row(row: RowChange) -> dict[str, Any]:
    return {
        "name": wording.row_name(row),
        "facts": wording.row_facts(row),
        "pieces": wording.row_pieces(row),
    }
