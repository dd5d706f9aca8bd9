"""The local engine in several processes: one sink, one tally, one purse; several processors."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import cast

from ...client.journal.claims import create_claims
from ...client.limits import Limiter
from ...context import may_wait
from ...sinks.base import Sink
from ...sources.base import Source
from ...types import Record
from ..asking.shares import divide_spec, most_parts
from ..keeping.places import sink_spec
from ..opening import Opened
from ..processes.crew import Crew
from ..processes.messages import Assignment, Outline
from ..processes.standing import Standing
from ..rows.feeding import feed
from ..rows.items import AskAgain
from .local import LocalRun

_log = logging.getLogger(__name__)


class ProcessRun(LocalRun):
    """One run whose asking is done by worker processes."""

    def _drive(
        self,
        parts: Opened,
        source: Source,
        sink: Sink,
        ask_again: AskAgain,
        since: int,
    ) -> None:
        count = self._processes()
        if count == 1:
            super()._drive(parts, source, sink, ask_again, since)
            return
        write_line: Callable[[bytes], None] | None = getattr(sink, "write_line", None)
        standings = [Standing() for _ in parts.askers]
        for asker, standing in zip(parts.askers, standings, strict=True):
            # The askers here make no calls; they show how those elsewhere stand.
            asker.caller.limiter = cast(Limiter, standing)
        crew = Crew(
            feed(
                self._spec,
                parts,
                source,
                selection=self._options.selection,
                ask_again=ask_again,
            ),
            self._assignments(count, source, since, takes_lines=write_line is not None),
            window=self._spec.limits.window,
            group=max((step.asker.adapter.batch_size for step in parts.all_steps), default=1),
            may_wait=parts.row is not None or may_wait(source),
            halt=self._halt,
            grace=self._options.grace,
            counters=self._counters,
            standings=standings,
            models=[one for asker in parts.askers for one in (asker.models, asker.reused)],
            purse=self._recorder.purse if self._recorder is not None else None,
        )
        write = sink.write if write_line is None else _writing(write_line)
        take = self._intake.into(write)
        with self._under_way(crew, parts, source) as tick:
            for record in crew.run(tick):
                take(record)
        self._journal.trust(crew.segments)

    def _processes(self) -> int:
        """How many processes there are to be: as many as the limits are enough for."""
        wanted = max(step.endpoint.limits.processes for step in self._spec.asked)
        most = most_parts(self._spec, self._around.registry)
        if wanted > most:
            _log.warning(
                "limits.processes: %d instead of %d, for the limits allow no more to have a call "
                "in flight each",
                most,
                wanted,
            )
        return min(wanted, most)

    def _assignments(
        self, count: int, source: Source, since: int, *, takes_lines: bool
    ) -> list[Assignment]:
        registry = self._around.registry
        around = replace(self._around, environ=dict(self._around.environ))
        sink = sink_spec(self._spec, self._options, registry)
        claims = create_claims(self._journal.path) if self._mode in ("reuse", "refresh") else None
        return [
            Assignment(
                spec=divide_spec(self._spec, count, number, registry),
                around=around,
                number=number,
                mode=self._mode,
                since=since,
                send=self._mode != "replay",
                images_folder=source.folder,
                claims=claims,
                add=sink.add,
                omit=sink.omit,
                whole=not takes_lines,
                paid=self._recorder is not None and self._recorder.purse is not None,
                level=logging.getLogger("dbrun").getEffectiveLevel(),
            )
            for number in range(count)
        ]


def _writing(write_line: Callable[[bytes], None]) -> Callable[[Record], None]:
    def write(record: Record) -> None:
        write_line(cast(Outline, record).line)

    return write
