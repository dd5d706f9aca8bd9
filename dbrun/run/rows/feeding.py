"""The items of a pipeline: what its source gives, filtered, selected, transformed, repeated."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from itertools import islice

from ...errors import RowError, UserError
from ...sources.base import Source
from ...spec.model import SourceSpec, Spec
from ...spec.templates import scope
from ...types import Json, Row
from ..opening import Opened
from ..transforms import Rows
from .items import (
    NOBODY,
    AskAgain,
    Item,
    RowTransform,
    Selection,
    expand,
    filter_rows,
    identify,
    select,
)


def feed(
    spec: Spec,
    parts: Opened,
    source: Source,
    *,
    selection: Selection = Selection(),  # noqa: B008 - frozen
    ask_again: AskAgain = NOBODY,
) -> Iterator[Item]:
    """The items that *selection* takes of *source*, in order; *source* is read as they are taken.

    *ask_again* are items whose journalled answers are not to be taken.

    Raises:
        SourceError: the rows cannot be read, or have not the id that they should have.
        UserError: *selection* names ids, and no row has any of them.
    """
    rows = selected_rows(spec, parts, source, selection)
    if selection.ids is not None:
        rows = _at_least_one(rows, selection.ids, spec.source)
    return expanded(rows, parts, repeats=spec.repeats, ask_again=ask_again)


def _at_least_one(rows: Iterator[Row], ids: Collection[str], source: SourceSpec) -> Iterator[Row]:
    first = next(rows, None)
    if first is None:
        some, more = sorted(ids)[:5], len(ids) - 5
        named = ", ".join(f"'{row_id}'" for row_id in some) + (
            f", … {more} more" if more > 0 else ""
        )
        mend = f"source.id is '{source.id}': ids are the values of that column"
        if source.id is None:
            mend = "without source.id rows are known by their hash, the 'id' of their records"
        if source.filter is not None:
            mend += "; source.where leaves rows out"
        raise UserError(f"no row has the id {named}", mend)
    yield first
    yield from rows


def selected_rows(spec: Spec, parts: Opened, source: Source, selection: Selection) -> Iterator[Row]:
    """The rows that *selection* takes of *source*, before any transform. Raises as `feed`."""
    wanted = spec.source
    rows = identify(source.rows(), wanted.id)
    if wanted.filter is not None:
        keep = parts.templates.expression(wanted.filter)
        rows = filter_rows(
            rows, lambda values: keep.evaluate(scope(values, spec.vars, {})), wanted.limit
        )
    elif wanted.limit is not None:
        rows = islice(rows, wanted.limit)
    return select(rows, selection)


def expanded(
    rows: Iterator[Row],
    parts: Opened,
    *,
    repeats: int,
    ask_again: AskAgain = NOBODY,
) -> Iterator[Item]:
    """The items of *rows*: for each outcome of the row transform one for each variant, then one
    for each repeat."""
    branches = parts.branches
    if all(branch.spec.row == branches[0].spec.row for branch in branches):
        transform = _row_transform(parts)
        names = [branch.name for branch in branches]
        yield from expand(rows, transform, repeats=repeats, ask_again=ask_again, variants=names)
        return
    index = 0
    for row in rows:
        for branch in branches:
            own = _row_transform(branch)
            for item in expand(
                iter([row]), own, repeats=repeats, ask_again=ask_again, variants=[branch.name]
            ):
                yield replace(item, index=index)
                index += 1


def _row_transform(parts: Opened) -> RowTransform | None:
    """What the `row` functions make of a row; what they raise, without credentials."""
    if parts.row is None:
        return None
    apply, keep = parts.row.apply, parts.discretion.keep

    def transform(values: Mapping[str, Json]) -> Rows:
        try:
            return apply(values)
        except RowError as error:
            keep(error)
            raise

    return transform
