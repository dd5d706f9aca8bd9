"""The local engine: one processor, as many calls at once as the limits allow, source order."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ...client.journal import Journal, SinkLock
from ...context import may_wait
from ...errors import EXIT_OK, EXIT_UNMET, DbrunError
from ...sinks.base import Sink, SinkAround
from ...sources.base import Source, pin
from ...spec.model import Spec
from ...types import Json, Record
from ..asking.counters import Counters
from ..asking.spending import Purse, make_purse
from ..executor import Executor
from ..judging.gates import judge_run
from ..judging.tally import Tally
from ..keeping.ground import Ground, is_clean, tally_of, told_again
from ..keeping.intake import Intake
from ..keeping.places import discard_partial, failed_items, refuse_place, results_path, sink_spec
from ..keeping.recording import Recorder
from ..keeping.sharing import begin_generation, sharing
from ..keeping.tracked import check_tracking, track, track_stopped
from ..manifest import unmet_path
from ..opening import Opened, Surroundings, opened
from ..options import Observer, Progress, RunOptions
from ..plugins import create_sink, create_source, function_digests
from ..processing import make_processor
from ..result import Run
from ..rows.feeding import feed
from ..rows.items import NOBODY, AskAgain, Item
from ..signals import stopping_on_signals
from ..ticking import counted_aside, records_to_come, ticker
from ..travel.away import Delivery, catch_up, options_at_home, sink_lock

if TYPE_CHECKING:
    from ..processes.crew import Crew


def run(
    spec: Spec,
    options: RunOptions,
    around: Surroundings,
    *,
    rows: Iterable[Mapping[str, Json]] | None = None,
    observe: Observer = lambda progress: None,
) -> Run:
    """Run *spec* once and put its results in place.

    Args:
        rows: taken instead of the spec's source where given.
        observe: called some ten times a second with the progress.

    Raises:
        UserError: something to fix first; nothing was sent.
        RunError: the run could not finish; the same command continues it.
        Interrupted: it was told to stop; the same command continues it.
    """
    kind = LocalRun
    if max((step.endpoint.limits.processes for step in spec.asked), default=1) > 1:
        from .processes import ProcessRun

        kind = ProcessRun
    return conduct(kind, spec, options, around, rows=rows, observe=observe)


def conduct(
    kind: type[LocalRun],
    spec: Spec,
    options: RunOptions,
    around: Surroundings,
    *,
    rows: Iterable[Mapping[str, Json]] | None = None,
    observe: Observer = lambda progress: None,
) -> Run:
    """`run` by a *kind* of run that may do the asking elsewhere."""
    mode = "replay" if options.replay else "refresh" if options.fresh else spec.journal.mode
    with ExitStack() as stack:
        options = options_at_home(options, around.environ)
        lock = sink_lock(spec, around)
        if mode != "replay":
            stack.enter_context(lock)
        else:
            catch_up(spec.journal.path, around)
        delivery = Delivery(spec, options, around)
        journal = Journal.open(
            spec.journal.path,
            mode=mode,
            writable=mode != "replay",
            clock=around.clock,
            publish_every=spec.journal.publish_every,
        )
        stack.enter_context(journal)
        around = replace(around, offline=around.offline or mode == "replay")
        return delivery.send(kind(spec, options, around, journal, lock, mode, rows, observe).run())


class LocalRun:
    """One run, from the open journal to the results in place."""

    def __init__(
        self,
        spec: Spec,
        options: RunOptions,
        around: Surroundings,
        journal: Journal,
        lock: SinkLock,
        mode: str,
        rows: Iterable[Mapping[str, Json]] | None,
        observe: Observer,
    ) -> None:
        self._spec = spec
        self._options = options
        self._around = around
        self._journal = journal
        self._lock = lock
        self._mode = mode
        self._rows = rows
        self._observe = observe
        self._recorder: Recorder | None = None
        self._tally = Tally()
        self._counters = Counters()
        self._halt = threading.Event()
        self._refused = 0
        self._intake = Intake(spec, options.selection, self._tally)

    def run(self) -> Run:
        """The whole run."""
        spec = self._spec
        ask_again = failed_items(spec) if self._options.only_errors else NOBODY
        since = self._generation()
        path = results_path(spec, self._options)
        registry = self._around.registry
        if self._mode != "replay":
            check_tracking(spec)
        wanted = sink_spec(spec, self._options, registry)
        refuse_place(spec, path, wanted.kind)
        self._recorder = recorder = Recorder(spec, self._options, self._around.clock, path)
        purse = recorder.purse = self._purse(recorder)
        with opened(
            spec,
            self._around,
            journal=self._journal,
            counters=self._counters,
            halt=self._halt,
            purse=purse,
        ) as parts:
            self._check_forecast(purse)
            source = create_source(spec.source, parts.context, self._around.registry, self._rows)
            sink_around = SinkAround(
                context=parts.context,
                variables=spec.vars,
                run=recorder.run,
                earlier=recorder.earlier,
            )
            sink = create_sink(wanted, path, self._options.stream, registry, sink_around)
            recorder.source = pin(source, recorder.source_before)
            ground = None
            if self._rows is None:
                ground = Ground.of(spec, self._options, parts, source, self._journal)
            if ground is not None and (found := ground.stands()) is not None:
                return self._leave(recorder, *found)
            sink.open()
            try:
                recorder.start(parts, function_digests(spec))
                self._drive(parts, source, sink, ask_again, since)
                run = self._finish(recorder, parts, source, sink, path)
                if ground is not None and is_clean(run):
                    ground.keep(self._counters.replies, sink.digest)
                return run
            except DbrunError as error:
                recorder.stop(error, self._tally, self._counters, parts)
                if self._mode != "replay":
                    track_stopped(self._spec, recorder.manifest)
                raise
            finally:
                sink.close()

    def _leave(self, recorder: Recorder, manifest: Mapping[str, Any], replies: int) -> Run:
        """What there is to say of results that are as this run would make them."""
        self._counters.reused = replies
        return Run(
            path=self._spec.sink.path,
            manifest=told_again(manifest, self._counters, recorder),
            exit_code=EXIT_OK,
            verdicts=judge_run(self._spec, tally_of(manifest), self._counters.latency),
            unchanged=True,
        )

    def _purse(self, recorder: Recorder) -> Purse | None:
        """What the run may spend; None if that is not limited or nothing is sent."""
        if self._mode == "replay":
            return None
        return make_purse(
            self._spec,
            self._around.clock,
            spent=recorder.spent_before,
            keep=recorder.keep_spending,
        )

    def _check_forecast(self, purse: Purse | None) -> None:
        """Refuse a run that is bound to exceed what it may spend, if its rows can be read twice.

        The endpoints must be open by now: what they alone can tell is in the journal's memory.

        Raises:
            SpendCap: not even the least that the run is going to cost would fit.
        """
        if purse is None or self._rows is not None:
            return
        from ..offline.planning import check_affordable, make_plan
        from ..offline.survey import is_read_again

        if not is_read_again(self._spec):
            return

        plan = make_plan(self._spec, self._around, self._journal, self._options.selection)
        check_affordable(plan, purse.cap, purse.spent)

    def _generation(self) -> int:
        """That of the answers that will do: any, or those of this run and what it continues."""
        kind = "fresh" if self._mode == "refresh" else "only-errors"
        if kind == "fresh" or self._options.only_errors:
            return begin_generation(self._journal, self._spec, kind, self._options.selection)
        return 0

    def _drive(
        self,
        parts: Opened,
        source: Source,
        sink: Sink,
        ask_again: AskAgain,
        since: int,
    ) -> None:
        send = self._mode != "replay"
        processor = make_processor(
            self._spec, parts, images_folder=source.folder, since=since, send=send
        )
        executor: Executor[Item, Record] = Executor(
            processor.process,
            feed(
                self._spec,
                parts,
                source,
                selection=self._options.selection,
                ask_again=ask_again,
            ),
            workers=parts.calls_at_once,
            window=self._spec.limits.window,
            group=processor.group,
            may_wait=parts.row is not None or may_wait(source),
            halt=self._halt,
            grace=self._options.grace,
            commit=self._keep_answers,
        )
        take = self._intake.into(sink.write)
        if not processor.calls_users:  # who could keep the loop from writing for long
            self._journal.gather()
        with sharing(self._journal), self._under_way(executor, parts, source) as tick:
            # In one thread only a signal's handler can tell of an interrupt.
            if processor.calls_users or may_wait(sink) or not self._options.handle_signals:
                for record in executor.run(tick):
                    take(record)
            else:
                executor.drive(take, tick)

    def _keep_answers(self) -> None:
        """Have the journal hold what was answered. Raises `SinkError`."""
        try:
            self._journal.flush()
        finally:
            # Also what the disk refused when somebody looked up an answer that was not written.
            refused, self._refused = self._refused, self._journal.refused
            if self._refused > refused:
                self._counters.count_lost(self._refused - refused)

    @contextmanager
    def _under_way(
        self, executor: Executor[Item, Record] | Crew, parts: Opened, source: Source
    ) -> Iterator[Callable[[], None]]:
        """Signals stop the *executor* meanwhile; gives what is to be called now and then."""
        options = self._options
        count = functools.partial(records_to_come, self._spec, options.selection, parts, source)
        progress = Progress(
            tally=self._tally,
            counters=self._counters,
            askers=parts.askers,
            count=counted_aside(count),
        )
        with stopping_on_signals(
            executor.interrupt,
            options.handle_signals,
            options.grace,
            lambda: progress.in_flight,
        ):
            yield ticker(self._journal, self._around.clock, progress, self._observe)

    def _finish(
        self, recorder: Recorder, parts: Opened, source: Source, sink: Sink, path: str | None
    ) -> Run:
        judged = judge_run(self._spec, self._tally, self._counters.latency)
        replay = self._mode == "replay"
        manifest: Mapping[str, Json] = {}
        unanswered = self._tally.by_error["unanswered"] + self._tally.measures.unanswered
        met = all(verdict.met for verdict in judged if not verdict.warn)
        exit_code = EXIT_OK if met and not (replay and unanswered) else EXIT_UNMET
        if replay and unanswered:
            # What is not known is no result: the file that is there stays as it is.
            recorder.abandon(exit_code, self._tally, self._counters, parts)
            sink.close()
            discard_partial(path)
        else:
            self._lock.check()
            if path is not None and not met and self._spec.sink.publish == "if_met":
                path = unmet_path(path)
                sink.redirect(path)
                recorder.redirect(path)
            sink.commit()
            manifest = recorder.finish(
                exit_code,
                self._tally,
                self._counters,
                parts,
                source=source,
                sink=sink,
                replay=replay,
            )
        if not replay:
            self._journal.finish()
        return Run(
            path=path,
            manifest=recorder.manifest,
            exit_code=exit_code,
            verdicts=judged,
            first_failures=tuple(self._tally.first_failures),
            alike=self._tally.counts_alike(),
            failed_scores=self._tally.measures.first_failures(),
            missing_ids=tuple(sorted(self._intake.missing_ids)),
            shared_ids=tuple(self._intake.shared_ids),
            shared=self._intake.shared,
            damaged=self._journal.damaged,
            tracked=None if replay else track(self._spec, manifest, path),
        )
