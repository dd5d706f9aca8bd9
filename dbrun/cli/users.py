"""Who shares a journal: the specs that were named, under the target asked for and all others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import SpecError
from .options import Overlay
from .specs import load_all
from .targets import target_names

if TYPE_CHECKING:
    from ..run.journals.use import Users
    from ..spec.model import Spec


def users_by_journal(paths: Sequence[str], overlay: Overlay) -> list[Users]:
    """The specs at *paths*, those of one journal together, in the order of the paths.

    Raises:
        SpecError: with every problem of every spec, under the target that was asked for.
    """
    from ..run.journals.use import Users

    named: dict[str, list[Spec]] = {}
    for pipeline in load_all(paths, overlay):
        named.setdefault(pipeline.spec.journal.path, []).append(pipeline.spec)
    others: dict[str, list[tuple[str, Spec]]] = {path: [] for path in named}
    unread: list[tuple[str, str]] = []
    for path in paths:
        for name, other in _others(path, overlay):
            if isinstance(other, SpecError):
                unread.append((name, str(other.problems[0])))
                continue
            known = others.get(other.journal.path)
            if known is None or other in named[other.journal.path]:
                continue
            known.append((name, other))
    return [Users(named=specs, others=others[path], unread=unread) for path, specs in named.items()]


def _others(path: str, overlay: Overlay) -> Iterator[tuple[str, Spec | SpecError]]:
    """The spec at *path* under each of its targets, or why it cannot be had."""
    for target in target_names([path]):
        name = f"target '{target}' of {path}"
        try:
            (pipeline,) = load_all([path], replace(overlay, target=target))
        except SpecError as error:
            yield name, error
        else:
            yield name, pipeline.spec
    if overlay.target is not None:
        # What is no spec without a target has never run without one.
        try:
            (pipeline,) = load_all([path], replace(overlay, target=None))
        except SpecError:
            return
        yield f"{path} without --target", pipeline.spec
