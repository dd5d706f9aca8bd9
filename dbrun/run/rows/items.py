"""From a source's rows to the items that are processed: selection, identity, row transform."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias

from ...canonical import digest
from ...errors import RowError, SourceError
from ...frozen import frozen
from ...types import Failure, Json, Row

RowTransform = Callable[
    [Mapping[str, Json]], Mapping[str, Json] | Sequence[Mapping[str, Json]] | None
]


AskAgain: TypeAlias = "Mapping[tuple[str, str | None, int | None], frozenset[str]]"
"""Items by id, variant and repeat whose journalled answers are not to be taken → the keys of
those that are, for records that are ok rest on them."""

NOBODY: AskAgain = {}


@frozen
class Item:
    """What makes one record: a row after `transforms.row`, times variant, times repeat.

    *failure* is what went wrong before the item could be processed; *dropped* that the row
    transform dropped it; *ask_again* that its journalled answers are not to be taken, but those
    to the keys in it.
    """

    id: str
    index: int
    values: Mapping[str, Json]
    repeat: int | None = None
    variant: str | None = None
    failure: Failure | None = None
    dropped: bool = False
    ask_again: frozenset[str] | None = None

    def since(self, key: str, generation: int) -> int:
        """From which generation on answers to *key* will do: from *generation* if it is to be
        asked again, else from the first."""
        return generation if self.ask_again is not None and key not in self.ask_again else 0


@frozen
class Selection:
    """Which rows of the source a run takes: all of them, unless something is set.

    *sample* rows are drawn with *seed*, without replacement, and kept in source order; *ids*
    are row ids; *limit* counts the rows that the rest left over.
    """

    limit: int | None = None
    sample: int | None = None
    seed: int = 0
    ids: frozenset[str] | None = None

    @property
    def is_partial(self) -> bool:
        """Whether fewer than all rows may be taken."""
        return self.limit is not None or self.sample is not None or self.ids is not None

    def to_json(self) -> dict[str, Json]:
        """The parts that are set, for the manifest."""
        said: dict[str, Json] = {}
        if self.limit is not None:
            said["limit"] = self.limit
        if self.sample is not None:
            said["sample"] = self.sample
            said["seed"] = self.seed
        if self.ids is not None:
            said["ids"] = sorted(self.ids)
        return said


def identify(
    rows: Iterable[tuple[str, Mapping[str, Json]]], id_column: str | None
) -> Iterator[Row]:
    """Rows with their ids: the column's value as text, else the hash of the values.

    Raises:
        SourceError: a row has no value in the id column.
    """
    for index, (where, values) in enumerate(rows):
        if id_column is None:
            yield Row(id=row_hash(values), index=index, values=values)
            continue
        value = values.get(id_column)
        if value is None:
            raise SourceError(
                f"{where}: the row has no '{id_column}', which source.id names",
                "give every row an id, or remove source.id (a row is then known by its hash)",
            )
        yield Row(
            id=value if isinstance(value, str) else _as_text(value), index=index, values=values
        )


def row_hash(values: Mapping[str, Json]) -> str:
    """What identifies a row without an id column: 64 bits of the digest of its values."""
    return digest(values)[:16]


def select(rows: Iterator[Row], selection: Selection) -> Iterator[Row]:
    """The rows that *selection* takes, in source order."""
    if selection.ids is not None:
        wanted = {row_id.partition("#")[0] for row_id in selection.ids} | selection.ids
        rows = (row for row in rows if row.id in wanted)
    if selection.sample is not None:
        rows = iter(_reservoir(rows, selection.sample, random.Random(selection.seed)))
    if selection.limit is not None:
        rows = islice(rows, selection.limit)
    return rows


def filter_rows(
    rows: Iterator[Row], keep: Callable[[Mapping[str, Json]], Any], limit: int | None
) -> Iterator[Row]:
    """The rows for which *keep* is true, at most *limit* of them.

    Raises:
        SourceError: the expression fails on a row.
    """

    def kept() -> Iterator[Row]:
        for row in rows:
            try:
                if keep(row.values):
                    yield row
            except RowError as error:
                where = f"{error.where}: " if error.where else ""
                raise SourceError(
                    f"{where}source.where fails on row '{row.id}': {error.message}"
                ) from error

    return islice(kept(), limit)


def expand(
    rows: Iterator[Row],
    transform: RowTransform | None,
    *,
    repeats: int = 1,
    ask_again: AskAgain = NOBODY,
    variants: Sequence[str | None] = (None,),
) -> Iterator[Item]:
    """Items in order: each row through the row transform, each outcome for each of the
    *variants*, and each of these *repeats* times.

    A row that the transform drops is an item too (its record says `filtered`); so is one on
    which it fails. *ask_again* are items whose journalled answers are not to be taken.
    """
    if transform is None and repeats == 1 and len(variants) == 1:  # the usual case
        (variant,) = variants
        for index, row in enumerate(rows):
            again = ask_again.get((row.id, variant, None))
            yield Item(id=row.id, index=index, values=row.values, variant=variant, ask_again=again)
        return
    index = 0
    for row in rows:
        for item_id, values, failure, dropped in _outcomes(row, transform):
            for variant in variants:
                for number in range(1, repeats + 1):
                    repeat = number if repeats > 1 else None
                    yield Item(
                        id=item_id,
                        index=index,
                        values=values,
                        repeat=repeat,
                        variant=variant,
                        failure=failure,
                        dropped=dropped,
                        ask_again=ask_again.get((item_id, variant, repeat)),
                    )
                    index += 1


def _outcomes(
    row: Row, transform: RowTransform | None
) -> Iterator[tuple[str, Mapping[str, Json], Failure | None, bool]]:
    if transform is None:
        yield row.id, row.values, None, False
        return
    try:
        made = transform(row.values)
    except RowError as error:
        yield row.id, row.values, error.failure(), False
        return
    if made is None:
        yield row.id, row.values, None, True
    elif isinstance(made, Mapping):
        yield row.id, made, None, False
    else:
        for number, values in enumerate(made):
            yield f"{row.id}#{number}", values, None, False


def _reservoir(rows: Iterator[Row], size: int, generator: random.Random) -> list[Row]:
    # Algorithm R (Vitter 1985): memory for the sample only, one pass over the source.
    chosen = list(islice(rows, size))
    for seen, row in enumerate(rows, start=len(chosen) + 1):
        place = generator.randrange(seen)
        if place < size:
            chosen[place] = row
    return sorted(chosen, key=lambda row: row.index)


def _as_text(value: Json) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, sort_keys=True)
