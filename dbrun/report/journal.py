"""What a journal holds and what was done to it, in a person's words and as data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..run.journals.batch_lines import MOST_BYTES, MOST_REQUESTS
from .summary import shown_path
from .words import counted, size, tokens

if TYPE_CHECKING:
    from ..run.journals.batches import Requests
    from ..run.journals.importing import Imported
    from ..run.journals.looking import Found
    from ..run.journals.pruning import Compacted, Pruned
    from ..run.journals.use import Use
    from ..run.offline.survey import Trouble
    from ..types import Json

_WIDTH = 13  # of the left column
_MOST_LISTED = 5


def shown(found: Found) -> str:
    """What a journal holds: its folder, then aligned facts, only those that there are."""
    path = shown_path(found.path)
    if not found.exists:
        return f"{path}: there is no journal yet; the first run makes it"
    return "\n".join([path, *(f"  {title:<{_WIDTH}}{fact}" for title, fact in _facts(found))])


def described(found: Found) -> dict[str, Json]:
    """The same as data; `use` is null where it cannot be told."""
    use = found.use
    return {
        "journal": found.path,
        "exists": found.exists,
        "answers": found.total.answers,
        "bytes": found.total.bytes,
        "files": found.files,
        "damaged": found.damaged,
        "generations": {str(name): found.generations[name] for name in sorted(found.generations)},
        "models": dict(sorted(found.models.items())),
        "tokens": found.tokens.to_json(),
        "remembered": dict(found.facts),
        "use": None if use is None else _use(found, use),
        "trouble": found.trouble,
    }


def _use(found: Found, use: Use) -> dict[str, Json]:
    return {
        "rows": use.rows,
        "used": found.total.answers - found.stale.answers,
        "stale": found.stale.answers,
        "stale_bytes": found.stale.bytes,
        "unanswered": found.unanswered,
        "unrendered_rows": use.unrendered.count,
        "unfinished_rows": use.unfinished.count,
        "unknown": [{"user": name, "why": why} for name, why in use.unknown],
    }


def _facts(found: Found) -> Iterator[tuple[str, str]]:
    files = counted(found.files, "file")
    yield "answers", f"{found.total.answers:,} in {files}, {size(found.total.bytes)}"
    if found.use is None:
        yield "used", f"not known: {found.trouble}"
    else:
        yield from _facts_of_use(found, found.use)
    generations = sorted(found.generations)
    if len(generations) > 1:
        yield "generations", _list(f"{name}: {found.generations[name]:,}" for name in generations)
    if found.models:
        yield "models", _list(f"{name}: {n:,}" for name, n in found.models.most_common())
    if used := tokens(found.tokens.to_json()):
        yield "tokens", used
    if found.damaged:
        yield "damaged", counted(found.damaged, "line") + ", passed over"
    for title, name in zip(_once("remembered"), sorted(found.facts), strict=False):
        yield title, f"{name}: {json.dumps(found.facts[name], ensure_ascii=False)}"


def _facts_of_use(found: Found, use: Use) -> Iterator[tuple[str, str]]:
    rows = counted(use.rows, "row")
    yield "used", f"{found.total.answers - found.stale.answers:,} by {rows}"
    if found.stale.answers:
        yield "stale", f"{found.stale.answers:,}, {size(found.stale.bytes)}: --prune drops them"
    if found.unanswered:
        yield "unanswered", counted(found.unanswered, "request")
    if use.unfinished.count:
        yield "unfinished", f"{counted(use.unfinished.count, 'row')}: later steps are not known yet"
    if use.unrendered.count:
        yield "no request", f"{counted(use.unrendered.count, 'row')}: {use.unrendered.named[0]}"
    for title, (name, why) in zip(_once("not known"), use.unknown, strict=False):
        yield title, f"what {name} asks for: {why}"


def _once(title: str) -> Iterator[str]:
    """*title*, and then nothing for ever."""
    yield title
    while True:
        yield ""


def _list(parts: Iterator[str]) -> str:
    listed = list(parts)
    more = len(listed) - _MOST_LISTED
    return ", ".join(listed[:_MOST_LISTED] + ([f"and {more:,} more"] if more > 0 else []))


def shown_prune(path: str, pruned: Pruned, *, dry_run: bool) -> str:
    """What pruning did, or would do."""
    name, total, dropped = shown_path(path), pruned.total.answers, pruned.dropped
    if not dropped.answers:
        return f"{name}: nothing to drop: {_all(total)} asked for"
    verb = "would be dropped" if dry_run else "dropped"
    stay = "would stay" if dry_run else "stay"
    left = total - dropped.answers
    answers = counted(dropped.answers, "answer")
    return f"{name}: {answers} {verb} ({size(dropped.bytes)}), {left:,} {stay}"


def described_prune(path: str, pruned: Pruned, *, dry_run: bool) -> dict[str, Json]:
    """The same as data."""
    return {
        "journal": path,
        "dry_run": dry_run,
        "answers": pruned.total.answers - pruned.dropped.answers,
        "dropped": pruned.dropped.answers,
        "dropped_bytes": pruned.dropped.bytes,
    }


def shown_compact(path: str, made: Compacted) -> str:
    """What compacting did."""
    name = shown_path(path)
    if (made.files, made.bytes) == (made.files_before, made.bytes_before):
        return f"{name}: nothing to do: {counted(made.files, 'file')}, {size(made.bytes)}"
    before = f"{counted(made.files_before, 'file')}, {size(made.bytes_before)}"
    return f"{name}: {counted(made.files, 'file')}, {size(made.bytes)}; before: {before}"


def described_compact(path: str, made: Compacted) -> dict[str, Json]:
    """The same as data."""
    return {
        "journal": path,
        "files": made.files,
        "bytes": made.bytes,
        "files_before": made.files_before,
        "bytes_before": made.bytes_before,
    }


def _all(answers: int) -> str:
    return "the 1 answer is" if answers == 1 else f"all {counted(answers, 'answer')} are"


def shown_requests(file: str, told: Requests) -> Iterator[str]:
    """What was written of a spec's requests, and what to know before sending them."""
    yield from _named(told.unrendered, "row")
    if told.unrendered.count:
        yield f"{counted(told.unrendered.count, 'row')} without a request"
    have = "has an answer" if told.answered == 1 else "have an answer"
    already = f"; {told.answered:,} {have}" if told.answered else ""
    yield f"{file}: {counted(told.written, 'request')}, {size(told.bytes)}{already}"
    if told.unfinished.count:
        rows = counted(told.unfinished.count, "row")
        yield f"{rows} ask more in later steps: import the answers, then write the others"
    if not told.written:
        return
    if told.models[None]:
        yield (
            f"{counted(told.models[None], 'request')} without a model, which batch APIs want: set "
            "endpoint.model or params.model"
        )
    if len(told.urls) > 1 or len(told.models) > 1:
        what = [*told.urls, *(model for model in told.models if model)]
        yield f"most batch APIs want one URL and one model in a file; here are {', '.join(what)}"
    if told.written > MOST_REQUESTS or told.bytes > MOST_BYTES:
        yield (
            f"OpenAI takes {MOST_REQUESTS:,} requests and {size(MOST_BYTES)} in a file: split it, "
            f"as with split -l {MOST_REQUESTS}; --import takes several files"
        )


def described_requests(file: str, told: Requests) -> dict[str, Json]:
    """The same as data."""
    return {
        "file": file,
        "requests": told.written,
        "bytes": told.bytes,
        "answered": told.answered,
        "rows": told.rows,
        "unrendered_rows": told.unrendered.count,
        "unfinished_rows": told.unfinished.count,
        "urls": dict(told.urls),
        "models": {model: count for model, count in told.models.items() if model is not None},
        "without_model": told.models[None],
    }


def shown_import(spec: str, told: Imported) -> Iterator[str]:
    """What became of the lines of a batch."""
    for trouble in (told.foreign, told.unasked):
        yield from _named(trouble, "line")
    if told.failed:
        kinds = _list(f"{reason}: {number:,}" for reason, number in told.failed.most_common())
        yield f"{counted(told.failed.total(), 'request')} failed in the batch ({kinds})"
    parts = [f"{told.taken:,} taken"]
    for number, what in (
        (told.known, "answered before"),
        (told.repeated, "twice"),
        (told.failed.total(), "failed"),
        (told.unasked.count, "asked for by no row"),
        (told.foreign.count, "no answers"),
    ):
        if number:
            parts.append(f"{number:,} {what}")
    yield f"{counted(told.lines, 'line')}: {', '.join(parts)}"
    if told.unrendered.count:
        yield f"{counted(told.unrendered.count, 'row')} without a request: dbrun render {spec}"
    if told.left:
        yield f"{counted(told.left, 'request')} without an answer still: dbrun {spec} asks for them"


def described_import(told: Imported) -> dict[str, Json]:
    """The same as data."""
    return {
        "lines": told.lines,
        "taken": told.taken,
        "known": told.known,
        "repeated": told.repeated,
        "failed": dict(told.failed),
        "unasked": told.unasked.count,
        "foreign": told.foreign.count,
        "unanswered": told.left,
        "unrendered_rows": told.unrendered.count,
    }


def _named(trouble: Trouble, noun: str) -> Iterator[str]:
    yield from trouble.named
    more = trouble.count - len(trouble.named)
    if more:
        yield f"and {counted(more, f'more {noun}')} of this kind"
