"""The Spark engine: rows are dealt to partitions, each of which is a small local run.

Rows go out and records come back through files in the journal's folder, which driver and workers
share; Spark only says who works on what. So rows and records are never in memory as a whole, and
all of it works wherever Spark has `mapInArrow`: classic, Connect, serverless.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from ...errors import DbrunError, Interrupted, RunError, UserError
from ...sinks.base import Sink
from ...sources.base import Source
from ...spec.model import Spec
from ...types import Json, Record
from ..asking.asker import Asker
from ..asking.shares import most_parts
from ..judging.gates import check_failures
from ..judging.tally import Tally
from ..keeping.intake import Intake
from ..keeping.reports import Remote, add_counters, joined_tally, latest, take_in_endpoints
from ..opening import Opened, Surroundings
from ..options import Observer, Progress, RunOptions
from ..pipeline import Pipeline
from ..processes.messages import Outline
from ..result import Run
from ..rows.feeding import feed
from ..rows.items import AskAgain
from ..signals import stopping_on_signals
from ..travel.allowance import Bank, open_bank
from ..travel.credentials import with_credentials
from ..travel.dealing import deal, first_round, rounds
from ..travel.exchange import Exchange
from ..travel.parcels import received
from ..travel.partition import Share
from ..travel.recipe import packed
from .local import LocalRun, conduct
from .spark_session import Job, Session, SparkSession, require
from .spark_tasks import Order, do_part, heard, look_around, python_version

_PARTITIONS = 4
_LATE = 5.0  # seconds after the grace in which partitions end by themselves
_RELOAD = 1.0

_log = logging.getLogger(__name__)


def run(
    spec: Spec,
    options: RunOptions,
    around: Surroundings,
    *,
    rows: Iterable[Mapping[str, Json]] | None = None,
    observe: Observer = lambda progress: None,
) -> Run:
    """Run *spec* once in Spark partitions and put its results in place; as the local engine.

    Raises:
        UserError: something to fix first; nothing was sent.
        RunError: the run could not finish; the same command continues it.
        Interrupted: it was told to stop; the same command continues it.
    """
    if not options.replay:  # which the driver does alone, and without Spark
        check(spec)
        require()
    return conduct(SparkRun, spec, options, around, rows=rows, observe=observe)


def check(spec: Spec) -> None:
    """Refuse what partitions cannot keep.

    Raises:
        UserError: a journal that is off.
    """
    if spec.journal.mode == "off":
        raise UserError(
            "engine spark needs a journal, and journal.mode is off: Spark may do a partition "
            "twice, and only the journal keeps it from being paid for twice",
            "set journal.mode to reuse",
        )


class SparkRun(LocalRun):
    """One run whose asking is done by Spark's workers."""

    _bank: Bank | None = None

    def open_session(self) -> Session:
        """Find Spark. Raises `RunError`."""
        return SparkSession.open(self._spec.name)

    def _drive(
        self,
        parts: Opened,
        source: Source,
        sink: Sink,
        ask_again: AskAgain,
        since: int,
    ) -> None:
        if self._mode == "replay":  # nothing is sent: there is nothing to spread
            super()._drive(parts, source, sink, ask_again, since)
            return
        self._ending: DbrunError | None = None
        self._parts = parts
        self._finished: list[dict[str, Any]] = []
        session = self.open_session()  # Spark takes Ctrl-C for itself as it starts
        with stopping_on_signals(
            self._interrupt, self._options.handle_signals, self._options.grace + _LATE
        ):
            exchange = Exchange.make(self._spec.journal.path)
            try:
                self._work(session, exchange, parts, source, sink, ask_again, since)
            finally:
                if self._bank is not None:
                    self._bank.close()
                self._count(exchange)
                exchange.remove()

    def _work(
        self,
        session: Session,
        exchange: Exchange,
        parts: Opened,
        source: Source,
        sink: Sink,
        ask_again: AskAgain,
        since: int,
    ) -> None:
        spec, options = self._spec, self._options
        self._warn(session)
        travelling, environ = with_credentials(spec, parts, self._around)
        pipeline = Pipeline(spec=travelling, registry=self._around.registry)
        count = self._partitions(session)
        if self._recorder is not None:
            self._bank = open_bank(self._recorder, exchange, count)
        order = Order(
            recipe=packed(pipeline, parts.templates.loaded),
            folder=exchange.path,
            round=0,
            share=Share(
                parts=count,
                mode=self._mode,
                since=since,
                images_folder=source.folder,
                grace=options.grace,
            ),
            environ=environ,
            python=python_version(),
            whole=not hasattr(sink, "write_line"),
        )
        self._look_around(session, exchange, order)
        items = feed(spec, parts, source, selection=options.selection, ask_again=ask_again)
        steps, last = first_round(spec, parts), rounds(spec, parts)
        dealing = exchange.deal(0, count)
        try:
            deal(spec, parts, self._unless_stopped(items), dealing, source.folder)
            dealing.commit()
        finally:
            dealing.close()
        total, rows, number = dealing.rows, dealing.rows, 0
        while rows:
            share = replace(order.share, steps=steps if steps < last else None)
            now = replace(order, round=number, share=share)
            done = self._round(session, exchange, now, parts, total)
            if steps >= last:
                break
            number, steps = number + 1, steps + 1
            rows = self._deal_again(exchange, number, count, done)
        self._collect(exchange, sink, total, order.whole)

    def _interrupt(self, reason: Interrupted) -> None:
        self._ending = self._ending or reason

    def _unless_stopped(self, items: Iterable[Any]) -> Iterable[Any]:
        for item in items:
            if self._ending is not None:
                raise self._ending
            yield item

    def _partitions(self, session: Session) -> int:
        """Among how many partitions rows are dealt: as many as the limits are enough for."""
        spec = self._spec
        slots = session.slots
        wanted = spec.engine.partitions or slots or _PARTITIONS
        most = most_parts(spec, self._around.registry)
        if wanted > most:
            _log.warning(
                "%d partitions instead of %d: limits allow no more to have a call in flight each",
                most,
                wanted,
            )
        count = min(wanted, most)
        if slots is not None and count > slots:
            _log.warning(
                "Spark works on %d of the %d partitions at a time; the limits of the others are "
                "idle meanwhile",
                slots,
                count,
            )
        return count

    def _warn(self, session: Session) -> None:
        if session.speculates:
            _log.warning(
                "spark.speculation is on: a second worker that Spark sets to a partition waits "
                "for the first and sends nothing, so it only takes up room; switch it off"
            )

    def _look_around(self, session: Session, exchange: Exchange, order: Order) -> None:
        """Have one worker open the pipeline, before anything is paid for."""
        exchange.ask()
        (report,) = self._wait_for(session.start(look_around, order, 1), exchange, None, 0)
        if "error" in report:
            raise heard(report["error"])
        if not exchange.is_answered():
            raise UserError(
                f"what Spark's workers write to {self._spec.journal.path} is not seen here",
                "set journal.path to storage that driver and workers share, such as "
                "/Volumes/<catalog>/<schema>/<volume>/…",
            )

    def _round(
        self,
        session: Session,
        exchange: Exchange,
        order: Order,
        parts: Opened,
        total: int,
    ) -> Sequence[tuple[int, int, str]]:
        """Have all partitions of a round done; which files hold what they made."""
        job = session.start(do_part, order, order.share.parts)
        reports = self._wait_for(job, exchange, parts, total)
        errors = [heard(report["error"]) for report in reports if "error" in report]
        self._finished += [report for report in reports if "error" not in report]
        if self._ending is not None:
            raise self._ending
        for error in sorted(errors, key=lambda one: isinstance(one, Interrupted)):
            raise error
        return [(report["round"], report["part"], report["attempt"]) for report in reports]

    def _wait_for(
        self, job: Job, exchange: Exchange, parts: Opened | None, total: int
    ) -> list[dict[str, Any]]:
        """The reports of all partitions; meanwhile progress is shown, and failures are counted."""
        clock = self._around.clock
        loaded, ending_since = clock.now(), None
        try:
            while not job.wait(0.1):
                now = clock.now()
                if self._bank is not None and self._ending is None:
                    self._bank.look()
                if parts is not None and now - loaded >= _RELOAD:
                    loaded = now
                    self._look_at_live(exchange, parts, total)
                if self._ending is not None:
                    if ending_since is None:
                        ending_since = now
                        exchange.stop()
                    if now - ending_since > self._options.grace + _LATE:
                        raise self._ending
            return job.reports(self._ending)
        finally:
            if not job.is_over:
                exchange.stop()
                job.cancel()

    def _look_at_live(self, exchange: Exchange, parts: Opened, total: int) -> None:
        reports = exchange.said("live")
        self._tally = joined_tally(latest(reports))
        if self._ending is None:
            try:
                check_failures(self._spec, self._tally)
            except RunError as error:
                self._ending = error
        counters = type(self._counters)()
        add_counters(counters, reports)
        remote = [cast(Asker, Remote(reports))]
        self._observe(
            Progress(
                tally=self._tally,
                counters=counters,
                askers=remote,
                count=lambda: total or None,
            )
        )

    def _deal_again(
        self, exchange: Exchange, number: int, count: int, done: Sequence[tuple[int, int, str]]
    ) -> int:
        """Deal the rows that go on to the next step; how many there are."""
        dealing = exchange.deal(number, count)
        try:
            for key, _, item in self._unless_stopped(exchange.going_on(done)):
                dealing.put(key, item)
            dealing.commit()
        finally:
            dealing.close()
        return dealing.rows

    def _collect(self, exchange: Exchange, sink: Sink, total: int, whole: bool) -> None:
        """Write the records of all partitions in source order."""
        files = [
            (report["round"], report["part"], report["attempt"], report["digest"])
            for report in self._finished
        ]
        self._tally = Tally()
        self._intake = Intake(self._spec, self._options.selection, self._tally)

        def write(record: Record) -> None:
            if whole:
                sink.write(record)
            else:
                sink.write_line(cast(Outline, record).line)  # type: ignore[attr-defined]

        take = self._intake.into(write)
        for data in self._unless_stopped(exchange.merged(files)):
            take(received(data, whole))
        if self._tally.rows != total:
            raise RunError(
                f"of {total} records {self._tally.rows} came back from Spark's partitions",
                "run the same command again; all answers are in the journal",
            )

    def _count(self, exchange: Exchange) -> None:
        """Add up what all workers counted, those that were lost on the way included."""
        if not os.path.isdir(exchange.path):
            return
        try:
            live = exchange.said("live")
        except DbrunError:
            live = []
        known = {report["attempt"] for report in self._finished}
        lost = [report for report in live if report["attempt"] not in known]
        if not self._tally.rows:
            measures = self._tally.measures
            self._tally = joined_tally(latest([*self._finished, *lost]))
            self._tally.measures = measures
        add_counters(self._counters, [*self._finished, *lost])
        told = take_in_endpoints(self._parts.askers, [*self._finished, *lost])
        if self._recorder is not None and told:
            self._recorder.limits = told
