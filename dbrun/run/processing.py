"""From the parts of an open pipeline to the processor that works with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..spec.model import Spec
from ..types import Json, Record
from .judging.scoring import Scores
from .opening import Opened
from .processor import Processor
from .rows.items import Item


class Variants:
    """The processors of a matrix's variants: each item goes to that of its own."""

    def __init__(self, processors: Mapping[str | None, Processor | Variants]) -> None:
        self._processors = processors

    @property
    def calls_users(self) -> bool:
        """Whether functions of the user's are called in any of them."""
        return any(processor.calls_users for processor in self._processors.values())

    @property
    def group(self) -> int:
        """How many items are best processed together: a batch for each variant."""
        largest = max(processor.group for processor in self._processors.values())
        return largest * len(self._processors) if largest > 1 else 1

    async def process(self, items: Sequence[Item]) -> list[Record]:
        """One record for each item, in order. Raises as `Processor.process` does."""
        if len(items) == 1:
            return await self._processors[items[0].variant].process(items)
        records: dict[int, Record] = {}
        for name, processor in self._processors.items():
            own = [item for item in items if item.variant == name]
            if own:
                for record in await processor.process(own):
                    records[record.index] = record
        return [records[item.index] for item in items]


def make_scores(
    parts: Opened,
    variables: Mapping[str, Json],
    *,
    images_folder: str | None = None,
    since: int = 0,
    send: bool = True,
) -> Scores | None:
    """What judges records; None if the pipeline has no scores."""
    if not parts.scores:
        return None
    return Scores(
        parts.scores,
        variables=variables,
        discretion=parts.discretion,
        images_folder=images_folder,
        since=since,
        send=send,
    )


def make_processor(
    spec: Spec,
    parts: Opened,
    *,
    images_folder: str | None = None,
    since: int = 0,
    send: bool = True,
) -> Processor | Variants:
    """The processor of *spec*. Answers of a generation before *since* are not taken for items
    that ask again; *send* false forbids sending."""
    if parts.variants:
        return Variants(
            {
                branch.name: make_processor(
                    branch.spec, branch, images_folder=images_folder, since=since, send=send
                )
                for branch in parts.variants
            }
        )
    return Processor(
        parts.steps,
        variables=spec.vars,
        images_folder=images_folder,
        since=since,
        send=send,
        scores=make_scores(parts, spec.vars, images_folder=images_folder, since=since, send=send),
    )
