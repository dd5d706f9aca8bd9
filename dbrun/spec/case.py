"""An offline test of a pipeline, as its spec writes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from ..frozen import frozen
from ..types import Json, Mark

LAST = ""
"""Instead of a step's name: the step that was asked last."""


@frozen
class Case:
    """One of a spec's `tests`.

    *answers* are what is answered, by step: a text, or the whole body. *requests* are the parts
    that requests must have, by step or for the `LAST`. *expect* holds `output` and `error`, as
    far as they are given. *variants* None means all. *where* is the test's mark, *marks* those
    of `response`, `request`, `output` and `error`.
    """

    name: str
    row: Mapping[str, Json]
    answers: Mapping[str, Json] = field(default_factory=dict)
    requests: Mapping[str, Json] = field(default_factory=dict)
    expect: Mapping[str, Json] = field(default_factory=dict)
    variants: tuple[str, ...] | None = None
    where: Mark
    marks: Mapping[str, Mark] = field(default_factory=dict)

    def mark(self, part: str) -> Mark:
        """Where *part* is written."""
        return self.marks.get(part, self.where)
