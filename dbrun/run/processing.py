"""From the parts of an open pipeline to the processor that works with them."""

from __future__ import annotations

from collections.abc import Mapping

from ..spec.model import Spec
from ..types import Json
from .opening import Opened
from .processor import Processor
from .scoring import Scores


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
        parts.scores, variables=variables, images_folder=images_folder, since=since, send=send
    )


def make_processor(
    spec: Spec,
    parts: Opened,
    *,
    images_folder: str | None = None,
    since: int = 0,
    send: bool = True,
) -> Processor:
    """The processor of *spec*. Answers of a generation before *since* are not taken for items
    that ask again; *send* false forbids sending."""
    return Processor(
        parts.steps,
        variables=spec.vars,
        images_folder=images_folder,
        since=since,
        send=send,
        scores=make_scores(parts, spec.vars, images_folder=images_folder, since=since, send=send),
    )
