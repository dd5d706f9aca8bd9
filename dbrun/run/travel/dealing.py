"""Dealing the items of a run to partitions, so that rows that make the same request meet.

Requests are equal if their keys are, and the key tells the partition: whatever a partition sends,
no other one does. Where a key is quickly told it is told here; where functions of the user's have
a say in it, or a step before, partitions tell it of their rows, which are then dealt again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ...canonical import digest
from ...spec.model import Spec
from ..opening import Opened
from ..processor import Processor, Story
from ..rows.items import Item
from .parcels import packed


class Dealing(Protocol):
    """Takes rows, each with the key of its next request ("" if not known)."""

    def put(self, key: str, item: bytes) -> None:
        """Deal one row."""


def first_round(spec: Spec, parts: Opened) -> int:
    """Through how many steps rows are taken in the first round; none if their keys are to be
    told first."""
    is_late = any(branch.steps[0].has_functions for branch in parts.branches)
    return 0 if spec.journal.share and is_late else 1


def rounds(spec: Spec, parts: Opened) -> int:
    """Through how many steps and judges rows are taken in the last round."""
    return max(stages(spec, branch) for branch in parts.branches)


def stages(spec: Spec, branch: Opened) -> int:
    """How often a variant's rows are dealt, or would be if no key was told at once: for each step,
    and for each judge unless rows never share what they ask."""
    judges = [score for score in branch.scores if score.judge is not None]
    return len(branch.steps) + (len(judges) if spec.journal.share else 0)


def deal(
    spec: Spec, parts: Opened, items: Iterable[Item], dealing: Dealing, images_folder: str | None
) -> None:
    """Put every one of *items* into *dealing*.

    Raises:
        RunError: the rows cannot be read.
    """
    processors = {
        branch.name: Processor(
            branch.steps, variables=branch.spec.vars, images_folder=images_folder
        )
        for branch in parts.branches
    }
    first = {branch.name: branch.steps[0] for branch in parts.branches}
    tells_key = first_round(spec, parts) == 1
    for item in items:
        key = ""
        if not spec.journal.share:
            key = digest(item.id)
        elif tells_key:
            story = Story(item=item, failure=item.failure)
            asking = None
            if story.is_open:
                asking = processors[item.variant].compose(first[item.variant], story)
            key = asking.question.key if asking is not None else ""
        dealing.put(key, packed(item))
