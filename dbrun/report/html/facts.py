"""What a page says of results in words and tables: from the manifest, else counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..summary import shown_mean
from ..words import counted, money, seconds
from .sides import Side, is_number, mapping


class Fact(NamedTuple):
    """A tile of the summary: a *value*, what it is, a *note*; *tone* is `good`, `bad` or none."""

    name: str
    value: str
    note: str = ""
    tone: str = ""


@dataclass(slots=True, kw_only=True)
class Results:
    """A results file: its *path* as shown, its *manifest* (empty if there is none), its sides."""

    path: str
    label: str
    manifest: Mapping[str, Any]
    sides: list[Side]
    notes: list[str]

    @property
    def name(self) -> str:
        """The name of the spec that made it."""
        return str(self.manifest.get("name") or self.label)

    @property
    def currency(self) -> str:
        """Of its costs; empty if it is not told."""
        return str(mapping(self.manifest.get("cost")).get("currency") or "")

    @property
    def counts(self) -> Counter[str]:
        """All its records by status."""
        return sum((side.counts for side in self.sides), Counter())


def tiles(results: Results) -> list[Fact]:
    """What matters of one results file, the most important first."""
    counts = results.counts
    rows, failed = counts["rows"], counts["error"]
    facts = [Fact("records", f"{rows:,}", _variants(results))]
    share = f"{counts['ok'] / rows:.1%} of all" if rows else ""
    facts.append(Fact("ok", f"{counts['ok']:,}", share, "" if failed or not rows else "good"))
    errors: Counter[str] = sum((side.errors for side in results.sides), Counter())
    worst = ", ".join(f"{number:,} {kind}" for kind, number in errors.most_common(2))
    facts.append(Fact("failed", f"{failed:,}", worst, "bad" if failed else ""))
    if counts["filtered"]:
        facts.append(Fact("filtered", f"{counts['filtered']:,}", "left out by a transform or step"))
    if counts["truncated"]:
        facts.append(Fact("cut", f"{counts['truncated']:,}", "by max_tokens", "bad"))
    if len(results.sides) == 1:
        facts += [
            Fact(name, _shown(score), _about(score))
            for name, score in scores_of(results, results.sides[0]).items()
        ]
    return [*facts, *_spent(results)]


def _variants(results: Results) -> str:
    return counted(len(results.sides), "variant") if len(results.sides) > 1 else ""


def _spent(results: Results) -> Iterator[Fact]:
    """Tokens, cost, time and requests, as far as they are told."""
    manifest = results.manifest
    tokens: Counter[str] = sum((side.tokens for side in results.sides), Counter())
    answers = mapping(mapping(manifest.get("tokens")).get("answers")) or tokens
    told = [
        f"{answers[name]:,} {word}"
        for name, word in (("input_tokens", "in"), ("output_tokens", "out"))
        if is_number(answers.get(name))
    ]
    if told:
        total = sum(answers[name] for name in ("input_tokens", "output_tokens") if name in answers)
        yield Fact("tokens", f"{total:,}", ", ".join(told))
    cost = mapping(manifest.get("cost"))
    costs = [side.cost for side in results.sides if side.cost is not None]
    if is_number(cost.get("answers")):
        spent = cost.get("spent")
        note = f"{_cost(spent, results.currency)} spent by this run" if is_number(spent) else ""
        yield Fact("cost", money(cost["answers"], results.currency), note)
    elif costs:
        yield Fact("cost", money(sum(costs), results.currency).strip())
    latency = mapping(manifest.get("latency"))
    if is_number(latency.get("p50")):
        note = ", ".join(
            f"{part} {seconds(latency[part])}" for part in ("p90", "p99") if part in latency
        )
        yield Fact("latency", seconds(latency["p50"]), f"half of the answers; {note}")
    requests = mapping(manifest.get("requests"))
    if is_number(requests.get("sent")):
        reused = requests.get("reused")
        note = f"{reused:,} reused" if is_number(reused) else ""
        yield Fact("requests", f"{requests['sent']:,}", f"sent; {note}" if note else "sent")


def table(results: Sequence[Results]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the table that compares all sides; empty if there is but one."""
    sides = [(one, side) for one in results for side in one.sides]
    if len(sides) < 2:
        return [], []
    scores = list(dict.fromkeys(name for one, side in sides for name in scores_of(one, side)))
    heads = ["", "ok", "failed", *scores, "cost", "tokens out", "p50", "p90"]
    rows = [_row(one, side, scores) for one, side in sides]
    empty = {place for place in range(1, len(heads)) if all(row[place] == "–" for row in rows)}
    return (
        [head for place, head in enumerate(heads) if place not in empty],
        [[cell for place, cell in enumerate(row) if place not in empty] for row in rows],
    )


def _row(results: Results, side: Side, scores: Sequence[str]) -> list[str]:
    judged = scores_of(results, side)
    told = manifest_of(results, side)
    cost = told.get("cost")
    latency = mapping(told.get("latency"))
    return [
        side.label,
        f"{side.counts['ok']:,}/{side.counts['rows']:,}",
        f"{side.counts['error']:,}",
        *(_shown(judged[name]) if name in judged else "–" for name in scores),
        _cost(cost if is_number(cost) else side.cost, results.currency),
        f"{side.tokens['output_tokens']:,}" if side.tokens["output_tokens"] else "–",
        *(
            seconds(latency[part]) if is_number(latency.get(part)) else "–"
            for part in ("p50", "p90")
        ),
    ]


def _cost(amount: Any, currency: str) -> str:
    return "–" if amount is None else money(amount, currency).strip()


def manifest_of(results: Results, side: Side) -> Mapping[str, Any]:
    """What the manifest tells of one side."""
    if side.variant is None:
        return results.manifest
    return mapping(mapping(results.manifest.get("variants")).get(side.variant))


def scores_of(results: Results, side: Side) -> dict[str, Mapping[str, Any]]:
    """The scores of a side: the manifest's, which know how certain they are, else counted."""
    told = mapping(manifest_of(results, side).get("scores"))
    counted_here = side.scores()
    return {
        name: mapping(told.get(name)) if is_sound(told.get(name)) else mine
        for name, mine in {**{str(name): {} for name in told}, **counted_here}.items()
        if is_sound(told.get(name)) or mine
    }


def is_sound(score: Any) -> bool:
    """Whether a manifest's *score* has what is read of it."""
    mean = mapping(score).get("mean", "")
    return (mean is None or is_number(mean)) and all(
        is_number(mapping(score).get(name, 0)) for name in ("error", "failed", "count")
    )


def _shown(score: Mapping[str, Any]) -> str:
    return shown_mean(score)


def _about(score: Mapping[str, Any]) -> str:
    about = f"mean of {score.get('count', 0):,}"
    return f"{about}; failed on {score['failed']:,}" if score.get("failed") else about


def details(results: Results) -> list[tuple[str, str]]:
    """Where the results come from: what a reader asks for second."""
    manifest = results.manifest
    git = mapping(manifest.get("git"))
    commit = str(git.get("commit") or "")[:12]
    versions = mapping(manifest.get("versions"))
    found = [
        ("results", results.path),
        ("run", str(manifest.get("run") or "")),
        ("finished", str(manifest.get("finished") or "").replace("T", " ").replace("Z", " UTC")),
        ("took", seconds(manifest["seconds"]) if is_number(manifest.get("seconds")) else ""),
        ("target", str(manifest.get("target") or "")),
        ("rows", _selection(mapping(manifest.get("selection")))),
        ("commit", f"{commit} (with changes)" if commit and git.get("dirty") else commit),
        ("spec", str(manifest.get("spec_digest") or "")[:12]),
        ("dbrun", str(versions.get("dbrun") or "")),
        ("Python", str(versions.get("python") or "")),
        *((f"endpoint {n}", said) for n, said in enumerate(_endpoints(manifest), start=1)),
    ]
    return [(name, said) for name, said in found if said]


def _selection(selection: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {len(value) if isinstance(value, list) else value}"
        for name, value in selection.items()
        if value is not None
    )


def _endpoints(manifest: Mapping[str, Any]) -> Iterator[str]:
    endpoints = manifest.get("endpoints")
    for endpoint in endpoints if isinstance(endpoints, list) else []:
        told = [str(mapping(endpoint).get(name) or "") for name in ("adapter", "name", "url")]
        models = ", ".join(str(name) for name in mapping(mapping(endpoint).get("models")))
        yield " ".join(part for part in [*told, f"({models})" if models else ""] if part)
