"""The text at the end of a run, and the same as data. Pure functions of what the run gave back."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from ..storage import mirrored
from .words import counted, money, rows_of, seconds, tokens

if TYPE_CHECKING:
    from ..run.result import Run, Tracked, Verdict
    from ..types import Json

_LONGEST = 160  # characters of a failure's message
_WIDTH = 10  # of the left column
_ANSWERED = frozenset({"invalid_output", "content_filter", "malformed"})
"""Error classes of answers, which the journal keeps if they are JSON."""

_WAS_CUT = "was cut by max_tokens"  # in messages of outputs that are no JSON for that reason
_NOT_OF_THE_MOMENT = frozenset({"render", "transform", "rejected", "context_length"})
"""Error classes that the same command meets again while spec and rows stay as they are."""


def summary(run: Run) -> str:
    """What came of *run*, for a person: a headline, then aligned facts, only those that matter."""
    manifest = run.manifest
    lines = [_headline(manifest)]
    for title, facts in _facts(run):
        for number, fact in enumerate(facts):
            lines.append(f"  {'' if number else title:<{_WIDTH}}{fact}")
    return "\n".join(lines)


def describe(run: Run, spec: str) -> dict[str, Json]:
    """What came of *run*, as data: the parts of its manifest that a program asks for."""
    manifest = run.manifest
    said: dict[str, Json] = {
        "spec": spec,
        "name": manifest["name"],
        "run": manifest["run"],
        "status": manifest["status"],
        "exit_code": run.exit_code,
        "results": None if manifest["status"] == "unanswered" else _place(run),
    }
    parts = (
        "counts",
        "requests",
        "tokens",
        "cost",
        "latency",
        "seconds",
        "stalled_seconds",
        "scores",
        "variants",
        "table",
    )
    for part in parts:
        if part in manifest:
            said[part] = manifest[part]
    said["gates"] = [
        {
            "name": verdict.name,
            "value": verdict.value,
            "wanted": verdict.wanted,
            "met": verdict.met,
            "warn": verdict.warn,
            **({"variant": verdict.variant} if verdict.variant is not None else {}),
            **({"note": verdict.note} if verdict.note else {}),
        }
        for verdict in run.verdicts
    ]
    if run.tracked is not None:
        said["mlflow"] = {
            "experiment": run.tracked.experiment,
            "run": run.tracked.run,
            "url": run.tracked.url,
            "warning": run.tracked.warning,
        }
    said["first_failures"] = [
        {"id": row_id, "class": kind, "message": message, "rows": rows}
        for (row_id, kind, message), rows in _alike(run)
    ]
    return said


def _place(run: Run) -> str | None:
    """Where the results are."""
    return mirrored(run.path) or run.path if run.path is not None else None


def shown_path(path: str) -> str:
    """*path* as a person would write it here: relative where it lies below the current folder."""
    path = mirrored(path) or path
    relative = os.path.relpath(path)
    return path if relative.startswith(os.pardir) else relative


def _headline(manifest: Mapping[str, Any]) -> str:
    counts = manifest["counts"]
    parts = [rows_of(counts["rows"], _each(manifest)), f"{counts['ok']:,} ok"]
    if counts["error"]:
        parts.append(f"{counts['error']:,} failed")
    if counts["filtered"]:
        parts.append(f"{counts['filtered']:,} filtered")
    return f"{manifest['name']}: {', '.join(parts)}, in {seconds(manifest['seconds'])}"


def _each(manifest: Mapping[str, Any]) -> int:
    """How many records a row makes."""
    repeats: int = manifest.get("spec", {}).get("repeats", 1)
    return repeats * max(1, len(manifest.get("variants", {})))


def _facts(run: Run) -> Iterator[tuple[str, list[str]]]:
    """Title and lines of everything worth saying."""
    manifest = run.manifest
    yield "requests", [_requests(manifest["requests"])]
    if (used := _tokens(manifest["tokens"])) is not None:
        yield "tokens", [used]
    if "cost" in manifest:
        yield "cost", [_cost(manifest["cost"])]
    if versions := [line for one in manifest["endpoints"] for line in _versions(one)]:
        yield "models", versions
    if (truncated := manifest["counts"]["truncated"]) > 0:
        were = "answer was" if truncated == 1 else "answers were"
        yield "cut", [f"{truncated:,} {were} cut by max_tokens"]
    if manifest["counts"]["error"]:
        yield "failed", _failures(run)
    if run.missing_ids:
        named = [f"has the id {row_id}" for row_id in run.missing_ids[:5]]
        more = len(run.missing_ids) - len(named)
        yield "no row", [*named, f"nor any of {more:,} more ids"] if more else named
    if run.damaged:
        lines = "1 line was" if run.damaged == 1 else f"{run.damaged:,} lines were"
        yield "journal", [f"{lines} damaged and passed over, as if the answer had never come"]
    if run.shared:
        had = "row has" if run.shared == 1 else "rows have"
        some = ", ".join(run.shared_ids) + (", …" if run.shared > len(run.shared_ids) else "")
        yield (
            "same id",
            [
                f"{run.shared:,} {had} the id of an earlier one ({some}): --only-errors, diff",
                "and tables take them for one; give source.id a column that tells rows apart",
            ],
        )
    if "scores" in manifest:
        yield "scores", score_lines(manifest["scores"])
    if "variants" in manifest:
        yield "variants", variant_lines(manifest["variants"], manifest.get("cost"))
    if run.failed_scores:
        yield (
            "unjudged",
            [f"{name}: row {row_id}: {_short(why)}" for name, row_id, why in run.failed_scores],
        )
    unmet = [_verdict(verdict) for verdict in run.verdicts if not verdict.met]
    if unmet:
        yield "gates", aligned(unmet)
    if run.tracked is not None:
        yield "mlflow", [_tracked(run.tracked)]
    if "table" in manifest:
        yield "table", [_table(manifest["table"])]
    yield "results", [_results(run)]


def _versions(endpoint: Mapping[str, Any]) -> Iterator[str]:
    """Said only where one endpoint's answers come of several versions of its model."""
    models = endpoint.get("models", {})
    others = endpoint.get("reused_of_other_versions", 0)
    if len(models) > 1 or others:
        yield "answers of " + ", ".join(f"{name} ({count:,})" for name, count in models.items())
    if others:
        answers = counted(others, "reused answer")
        yield f"{answers} of a version that answers no more; --fresh asks anew"


def _requests(requests: Mapping[str, int]) -> str:
    parts = [f"{requests['sent']:,} sent", f"{requests['reused']:,} reused"]
    if requests["retried"]:
        parts.append(f"{requests['retried']:,} tried again")
    if requests["waited"]:
        parts.append(f"{requests['waited']:,} held back by a rate limit")
    if requests["maybe_paid"]:
        parts.append(f"{requests['maybe_paid']:,} lost after sending")
    return ", ".join(parts)


def _tokens(counts: Mapping[str, Mapping[str, int]]) -> str | None:
    answers, spent = tokens(counts["answers"]), tokens(counts["spent"])
    if answers is None or answers == spent:
        return spent
    return f"{answers}; this run: {spent or 'none'}"


def _cost(cost: Mapping[str, Any]) -> str:
    currency = cost["currency"]
    spent, answers = money(cost["spent"], currency), money(cost["answers"], currency)
    said = spent
    if cost["answers"] != cost["spent"]:
        said += f" by this run; the answers together {answers}"
    if "max_cost" in cost:
        cap, run = money(cost["max_cost"], currency), money(cost["run"], currency)
        said += f"; of limits.max_cost ({cap}) {run} are spent"
    return said


def _failures(run: Run) -> list[str]:
    counts, noun = run.manifest["counts"], "row" if _each(run.manifest) == 1 else "record"
    lines = []
    for (row_id, kind, message), rows in _alike(run):
        others = f" and {counted(rows - 1, noun)} like it" if rows > 1 else ""
        lines.append(f"{row_id}{others}: {kind}: {_short(message)}")
    if counts["error"] > len(lines):
        kinds = ", ".join(f"{number:,} {kind}" for kind, number in counts["errors"].items())
        lines.append(f'in all {kinds}: see the records with "status":"error"')
    lines.append(_mend(counts["errors"], [message for (_, _, message), _ in _alike(run)]))
    return lines


def _alike(run: Run) -> Iterator[tuple[tuple[str, str, str], int]]:
    """The first failures, no two alike, each with the number of rows that failed like it."""
    alone = (1,) * len(run.first_failures)
    return zip(run.first_failures, run.alike or alone, strict=True)


def _mend(errors: Mapping[str, int], messages: Sequence[str]) -> str:
    if set(errors) == {"invalid_output"} and all(_WAS_CUT in message for message in messages):
        return "raise params.max_tokens (every row is then asked anew): as it is they are cut again"
    if "unanswered" in errors:
        return "run without --replay to ask for the answers that are missing"
    if not _ANSWERED.isdisjoint(errors):
        return "--only-errors asks for these rows again; otherwise answers kept are read again"
    if set(errors) <= _NOT_OF_THE_MOMENT:
        return "as they are they fail again: mend the spec or the rows, then run the same command"
    return "run the same command again to try these rows again"


def _verdict(verdict: Verdict) -> list[str]:
    value = "-" if verdict.value is None else f"{verdict.value:.6g}"
    said = verdict.note or f"missed by {verdict.by:.3g}"
    return [
        *([verdict.variant] if verdict.variant is not None else []),
        verdict.name,
        value,
        f"wanted {verdict.wanted}",
        f"{said} (a warning)" if verdict.warn else said,
    ]


def variant_lines(
    variants: Mapping[str, Mapping[str, Any]], cost: Mapping[str, Any] | None
) -> list[str]:
    """A table that compares variants by their scores, cost, latency and failures."""
    scores = list(
        dict.fromkeys(name for one in variants.values() for name in one.get("scores", {}))
    )
    rows = [["", "ok", *scores, *(["cost"] if cost else []), "p50", "p90"]]
    for name, one in variants.items():
        counts, latency = one["counts"], one["latency"]
        row = [name, f"{counts['ok']:,}/{counts['rows']:,}"]
        row += [shown_mean(one["scores"][score]) for score in scores]
        if cost:
            row.append(money(one["cost"], cost["currency"]) if "cost" in one else "-")
        row += [seconds(latency[part]) if part in latency else "-" for part in ("p50", "p90")]
        rows.append(row)
    return aligned(rows)


def score_lines(scores: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Name, mean and certainty of each score, aligned."""
    return aligned([[name, *_measured(score)] for name, score in scores.items()])


def _measured(score: Mapping[str, Any]) -> list[str]:
    said = [shown_mean(score)]
    about = []
    if score.get("spread"):
        about.append(f"repeats differ by {score['spread']:.2g}")
    if score["failed"]:
        judged = score["count"] + score["failed"]
        about.append(f"failed on {score['failed']:,} of {judged:,} records")
    return [*said, "; ".join(about)]


def shown_mean(score: Mapping[str, Any]) -> str:
    """`0.812 ± 0.031`: the mean, and twice its standard error where that is known."""
    if score["mean"] is None:
        return "-"
    noise = 2 * score.get("error", 0.0)
    return f"{score['mean']:.3g} ± {noise:.2g}" if noise else f"{score['mean']:.3g}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table whose columns are as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip_longest(*rows, fillvalue="")]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in rows
    ]


def _tracked(tracked: Tracked) -> str:
    if tracked.warning is not None:
        return f"warning: {tracked.warning}"
    where = tracked.url or f"run {tracked.run} of experiment {tracked.experiment}"
    return f"{where} (logged before)" if tracked.again else where


def _table(table: Mapping[str, Any]) -> str:
    name = table["name"]
    done = {"merge": "merged", "overwrite": "put in place", "append": "appended"}[table["mode"]]
    shown = shown_path(name) if os.path.isabs(name) else name
    return f"{shown}: {counted(table['rows'], 'row')} {done}"


def _results(run: Run) -> str:
    if run.manifest["status"] == "unanswered":
        return "left as they are: the journal does not hold every answer"
    if run.path is None:
        return "standard output"
    return shown_path(run.path) + (
        ": as they were, for nothing has changed" if run.unchanged else ""
    )


def _short(message: str) -> str:
    """*message* on one line of a bearable length; what it says to do, at its end, is kept."""
    line = " ".join(message.split())
    if len(line) <= _LONGEST:
        return line
    _, mark, mend = line.rpartition("; ")
    end = f"; {mend}" if mark and len(mend) <= _LONGEST // 2 else ""
    return f"{line[: _LONGEST - 1 - len(end)]}…{end}"
