"""What a journal holds, and what of it is still asked for."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from ...adapters.base import Adapter
from ...client.journal import Entry, Journal
from ...client.journal.segment import names
from ...context import NoMemory
from ...errors import DbrunError, EndpointError
from ...storage import mirrored
from ...types import Json, Response, UsageSum
from ..offline.survey import Watch, unwatched
from ..opening import Surroundings, make_context
from ..plugins import create_adapter
from ..travel.away import catch_up
from .use import Count, Use, Users, find_use


@dataclass(slots=True, kw_only=True)
class Found:
    """What a journal holds. *use* is None where *trouble* kept it from being told.

    *tokens* and *models* are those that the answers tell.
    """

    path: str
    exists: bool
    total: Count = field(default_factory=Count)
    files: int = 0
    damaged: int = 0
    generations: Counter[int] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    tokens: UsageSum = field(default_factory=UsageSum)
    facts: Mapping[str, Json] = field(default_factory=dict)
    use: Use | None = None
    stale: Count = field(default_factory=Count)
    trouble: str | None = None

    @property
    def unanswered(self) -> int:
        """How many distinct requests have no answer yet."""
        used = self.total.answers - self.stale.answers
        return len(self.use.keys) - used if self.use is not None else 0


def exists(path: str, around: Surroundings) -> bool:
    """Whether there is a journal in the folder *path*. Raises `RunError` as `away.catch_up`."""
    if mirrored(path) is None:
        return os.path.isdir(path)
    catch_up(path, around)
    return bool(names(path))


def look(users: Users, around: Surroundings, watch: Watch = unwatched) -> Found:
    """What the journal of *users* holds, and what of it they ask for.

    Raises:
        SinkError: the journal cannot be read.
    """
    path = users.journal
    if not exists(path, around):
        return Found(path=path, exists=False)
    with Journal.open(path, mode="replay", writable=False, clock=around.clock) as journal:
        found = Found(path=path, exists=True, files=journal.segments, facts=journal.facts)
        _read(journal, users, around, found)
        try:
            found.use = find_use(users, journal, around, watch)
        except DbrunError as error:
            found.trouble = str(error)
        known = found.use.keys if found.use is not None else None
        for prefix, generation, size in journal.extents():
            found.generations[generation] += 1
            found.total.add(size)
            if known is not None and prefix not in known:
                found.stale.add(size)
        found.damaged = journal.damaged
    return found


def _read(journal: Journal, users: Users, around: Surroundings, found: Found) -> None:
    """Add up what the answers tell of tokens and models.

    Reading an answer needs neither network nor credentials, and endpoints that are not prepared.
    """
    with ExitStack() as stack:
        adapters: list[Adapter] = []
        for spec in (*users.named, *(other for _, other in users.others)):
            context, _ = make_context(spec, around, NoMemory())
            for step in spec.asked:
                adapter = create_adapter(step.endpoint, around.registry, context)
                stack.callback(adapter.close)
                adapters.append(adapter)
        for _, entry in journal.items():
            response = _response(entry, adapters)
            model = entry.model or (response.model if response else None)
            if model is not None:
                found.models[model] += 1
            if response is not None and response.usage is not None:
                found.tokens.add(response.usage)


def _response(entry: Entry, adapters: Sequence[Adapter]) -> Response | None:
    """The answer as the adapter reads it that can tell the most of it."""
    best = None
    for adapter in adapters:
        try:
            response = adapter.decode(entry.body)
        except EndpointError:
            continue
        if response.usage is not None:
            return response
        best = best or response
    return best
