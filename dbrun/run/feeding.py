"""The items of a pipeline: what its source gives, filtered, selected, transformed, repeated."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from ..sources.base import Source
from ..spec.model import Spec
from ..spec.templates import scope
from .items import Item, Selection, expand, filter_rows, identify, select
from .opening import Opened


def feed(
    spec: Spec,
    parts: Opened,
    source: Source,
    *,
    selection: Selection = Selection(),  # noqa: B008 - frozen
    ask_again: frozenset[str] = frozenset(),
) -> Iterator[Item]:
    """The items that *selection* takes of *source*, in order; *source* is read as they are taken.

    *ask_again* are ids of items whose journalled answers are not to be taken.

    Raises:
        SourceError: the rows cannot be read, or have not the id that they should have.
    """
    wanted = spec.source
    rows = identify(source.rows(), wanted.id)
    if wanted.filter is not None:
        keep = parts.templates.expression(wanted.filter)
        rows = filter_rows(
            rows, lambda values: keep.evaluate(scope(values, spec.vars, {})), wanted.limit
        )
    elif wanted.limit is not None:
        rows = islice(rows, wanted.limit)
    rows = select(rows, selection)
    transform = parts.row.apply if parts.row else None
    return expand(rows, transform, repeats=spec.repeats, ask_again=ask_again)
