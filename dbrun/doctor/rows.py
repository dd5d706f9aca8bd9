"""Whether there are rows to read; only of sources that are read without waiting for anybody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from ..context import Context, may_wait
from ..findings import OK, WARN, Check, Finding
from ..run.opening import Surroundings
from ..run.plugins import create_source
from ..spec.model import Spec
from ..storage import is_away


def rows_check(spec: Spec, context: Context, around: Surroundings) -> Check:
    """Reads the first row."""
    return Check(subject="source", look=lambda: _first(spec, context, around))


def _first(spec: Spec, context: Context, around: Surroundings) -> Iterator[Finding]:
    source = create_source(spec.source, context, around.registry)
    path = str(spec.source.options.get("path", ""))
    if is_away(path, around.environ):
        found: list[str] = getattr(source, "files", list)()
        more = f" and {len(found) - 1:,} more" if len(found) > 1 else ""
        said = f"{found[0] if found else path}{more} can be fetched from the workspace"
        yield Finding(state=OK, subject="source", said=said)
        return
    if may_wait(source):
        said = f"{spec.source.kind}, which is not read before there is a run"
        yield Finding(state=OK, subject="source", said=said)
        return
    rows: Any = source.rows()  # a generator, which has a file open
    with closing(rows):
        first = next(rows, None)
    if first is None:
        said, mend = "has no rows", "look whether it is the right one"
        yield Finding(state=WARN, subject="source", said=said, mend=mend)
        return
    columns = ", ".join(list(first[1])[:8]) + (", …" if len(first[1]) > 8 else "")
    said = f"{first[0]} can be read; columns {columns}"
    yield Finding(state=OK, subject="source", said=said)
