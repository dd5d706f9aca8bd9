"""What is said of a comparison, in the words that all its forms share."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ..report.pieces import Piece, shortened, text_of, word_diff
from ..report.words import counted, money, seconds
from ..types import Json
from .model import (
    KINDS,
    Change,
    Comparison,
    Counts,
    Kind,
    Regression,
    RowChange,
    ScoreDelta,
    Told,
    Total,
)

_KINDS: dict[Kind, str] = {
    "failing": "were ok and are not",
    "worse": "have a score that got worse",
    "changed": "have another output, and no score that got worse",
    "fixed": "were not ok and are",
}
_SINGULAR = {"were": "was", "are": "is", "have": "has", "ask": "asks", "do": "does"}
SCORE_HEADS = ("score", "old", "new", "change", "interval", "p", "effect", "")
TOTAL_HEADS = ("", "old", "new", "change")

_TOTALS = {
    "input_tokens": "tokens in",
    "output_tokens": "tokens out",
    "cost": "cost",
    "latency_p50": "latency p50",
    "latency_p90": "latency p90",
}
_UNJUDGED = "–"


def verdict(comparison: Comparison) -> str:
    """`2 regressions`, or that there is none, or that this cannot be said of any record."""
    number, counts = len(comparison.regressions), comparison.counts
    if not number and counts.paired == counts.unanswered:
        return "nothing to compare"
    return counted(number, "regression") if number else "no regressions"


def side(told: Told) -> str:
    """What is compared: `out/a.jsonl, 10 records, commit 1a2b3c`."""
    parts = [told.label, counted(told.records, "record")]
    parts += [f"target {told.target}"] if told.target else []
    parts += [f"commit {told.commit}"] if told.commit else []
    parts += [told.finished.replace("T", " ").replace("Z", " UTC")] if told.finished else []
    return ", ".join(parts)


def regression(found: Regression) -> str:
    """What got worse, in a line."""
    where = f"{found.part}: " if found.part else ""
    score = found.score
    if score is None:
        said = _agreeing(found.count, "were ok and are not")
        return f"{where}{counted(found.count, 'record')} {said}"
    return (
        f"{where}{score.name} {figure(score.old)} → {figure(score.new)}, worse by "
        f"{figure(abs(score.delta or 0))} ({_interval(score)})"
    )


def kind_title(kind: Kind, number: int) -> str:
    """`2 records that were ok and are not`."""
    return f"{counted(number, 'record')} that {_agreeing(number, _KINDS[kind])}"


def _agreeing(number: int, said: str) -> str:
    """What is *said* of several records, of *number* of them."""
    if number != 1:
        return said
    return " ".join(_SINGULAR.get(word, word) for word in said.split(" "))


def facts(counts: Counts) -> list[tuple[int, str]]:
    """Numbers of records and what became of them, those that are none left out."""
    told = [
        (counts.failing, "were ok and are not"),
        (counts.worse, "have a score that got worse"),
        (counts.changed, "have another output"),
        (counts.fixed, "were not ok and are"),
        (counts.broken, "are not ok on either side"),
        (counts.unanswered, "have no answer in the journal on one side"),
        (counts.asked_anew, "ask otherwise"),
        (counts.rows, "are of another row"),
        (counts.unknown, "do not tell their request"),
        (counts.only_old, "are only in OLD"),
        (counts.only_new, "are only in NEW"),
        (counts.same, "have the same output"),
    ]
    return [(number, _agreeing(number, said)) for number, said in told if number]


def score_cells(score: ScoreDelta) -> list[str]:
    """A row of the table of scores, as SCORE_HEADS."""
    effect = f"{score.measure} {figure(score.effect, True)}" if score.effect is not None else ""
    return [
        score.name,
        figure(score.old),
        figure(score.new),
        figure(score.delta, True),
        interval(score),
        "" if score.p is None else ("<0.001" if score.p < 0.001 else f"{score.p:.3f}"),
        effect,
        about(score),
    ]


def about(score: ScoreDelta) -> str:
    """How far a score can be trusted, in a few words."""
    said: list[str] = [] if score.verdict in ("unjudged", "same") else [score.verdict]
    said += [score.note] if score.note else []
    if score.pairs:
        said.append(f"{counted(score.pairs, 'row')}, {score.up:,} up, {score.down:,} down")
    if score.one_sided:
        said.append(f"{score.one_sided:,} on one side only")
    if score.noise is not None:
        said.append(f"repeats ± {figure(score.noise)}")
    if score.better == "lower":
        said.append("lower is better")
    return "; ".join(said)


def interval(score: ScoreDelta) -> str:
    """`-0.05 to +0.01`."""
    if score.interval is None:
        return _UNJUDGED
    low, high = score.interval
    return f"{figure(low, True)} to {figure(high, True)}"


def _interval(score: ScoreDelta) -> str:
    return f"{interval(score)}; p {score_cells(score)[5]}" if score.interval else score.note


def interval_head(confidence: float) -> str:
    """`95 % interval`."""
    return f"{confidence * 100:g} % interval"


def total_cells(total: Total, currency: str) -> list[str]:
    """A row of the table of totals, as TOTAL_HEADS."""
    change = ""
    if total.old is not None and total.new is not None:
        change = (
            "none" if total.new == total.old else _amount(total, total.new - total.old, currency)
        )
        if total.new > total.old:
            change = f"+{change}"
        if total.old and total.new != total.old:
            change += f" ({(total.new - total.old) / total.old:+.1%})"
    return [
        _TOTALS[total.name],
        _each(total, total.old, total.old_each, currency),
        _each(total, total.new, total.new_each, currency),
        change,
    ]


def _each(total: Total, amount: float | None, each: float | None, currency: str) -> str:
    if amount is None:
        return _UNJUDGED
    said = _amount(total, amount, currency)
    if each is None or total.name == "cost":
        return said
    return f"{said} ({each:,.1f} each)"


def _amount(total: Total, amount: float, currency: str) -> str:
    if total.name == "cost":
        return money(amount, currency).strip()
    if total.name.startswith("latency"):
        return f"{amount * 1000:,.0f} ms" if abs(amount) < 1 else seconds(amount)
    return f"{amount:,.0f}"


def figure(number: float | bool | None, signed: bool = False) -> str:
    """`0.734`, `1,204`, `+0.02`; booleans are `true` and `false`."""
    if number is None:
        return _UNJUDGED
    if isinstance(number, bool):
        return "true" if number else "false"
    sign = "+" if signed and number > 0 else ""
    if number == int(number) and abs(number) < 1e15:
        return f"{sign}{int(number):,}"
    if abs(number) >= 1000:
        return f"{sign}{number:,.1f}" if abs(number) < 1e15 else f"{sign}{number:.3g}"
    return f"{sign}{number:.3g}" if signed else f"{number:.4g}"


def change_pieces(change: Change) -> list[Piece]:
    """What differs in a recipe, as words; empty where only that it differs is known."""
    if change.what in ("prompt", "function", "rows"):
        return []
    old = "" if change.how == "added" else _value(change.old)
    new = "" if change.how == "removed" else _value(change.new)
    if isinstance(change.old, str) and isinstance(change.new, str):
        return shortened(word_diff(old, new))
    return [
        piece for piece in shortened([Piece("-", old), Piece("+", new)], longest=200) if piece.text
    ]


def change_said(change: Change) -> str:
    """Where a recipe differs: `params.temperature`, `prompt prompts/a.j2: its text`."""
    if change.what == "prompt":
        return f"{change.path}: another text"
    if change.what == "function":
        return f"{change.path}: the function's module is another"
    if change.what == "rows":
        return "the rows that were read are others"
    if change.what == "model":
        return "models that answered"
    if change.what == "dbrun":
        return "version of dbrun"
    return change.path if change.how == "changed" else f"{change.path} ({change.how})"


def _value(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def row_name(row: RowChange) -> list[str]:
    """What a record is called: its id, variant, repeat."""
    return [
        row.id,
        *([row.part] if row.part else []),
        *([f"repeat {row.repeat}"] if row.repeat is not None else []),
    ]


def row_facts(row: RowChange) -> list[str]:
    """What happened to a record besides its output."""
    # What failed has no scores, which need not be said.
    judged = row.scores if row.old.status == row.new.status == "ok" else ()
    said = [
        f"{score.name} {figure(score.old)} → {figure(score.new)}"
        + (f" ({score.explanation[:200]})" if score.explanation else "")
        for score in judged
    ]
    if row.request == "changed":
        said.append("asked otherwise")
    if row.row_changed:
        said.append("the row is another")
    return said


def row_pieces(row: RowChange) -> list[Piece]:
    """The words of a record's output that changed; all of it where it failed on one side."""
    old, new = _outcome(row, new=False), _outcome(row, new=True)
    if row.old.status != row.new.status:
        return shortened([Piece("-", old), Piece("+", new)])
    return shortened(word_diff(old, new))


def _outcome(row: RowChange, *, new: bool) -> str:
    seen = row.new if new else row.old
    if seen.status == "ok":
        return text_of(seen.output)
    return f"{seen.status}: {seen.error}" if seen.error else seen.status


def rows_by_kind(comparison: Comparison) -> list[tuple[Kind, int, Sequence[RowChange]]]:
    """For each kind how many records are of it, and the examples that were kept."""
    counts = comparison.counts
    numbers: dict[Kind, int] = {
        "failing": counts.failing,
        "worse": counts.worse,
        "changed": counts.altered,
        "fixed": counts.fixed,
    }
    found: list[tuple[Kind, int, Sequence[RowChange]]] = []
    for kind in KINDS:
        rows = [row for row in comparison.rows if row.kind == kind]
        if rows:
            found.append((kind, numbers[kind], rows))
    return found


def alone(comparison: Comparison) -> list[tuple[str, Sequence[str], int]]:
    """For each side that has records alone: its name, ids of some, and how many there are."""
    counts = comparison.counts
    sides = (
        ("OLD", comparison.removed, counts.only_old),
        ("NEW", comparison.added, counts.only_new),
    )
    return [side for side in sides if side[1]]
