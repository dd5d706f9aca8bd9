"""The local engine: one processor, threads as the limits allow, results in source order."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Any

from ...canonical import digest
from ...client.journal import Journal, SinkLock
from ...errors import EXIT_OK, EXIT_UNMET, DbrunError, Interrupted, TooManyFailures, UserError
from ...files import open_in
from ...registry import Registry
from ...sinks.base import Sink
from ...sources.base import Source
from ...spec.formats import format_of
from ...spec.model import SinkSpec, Spec
from ...types import Json, Record
from ..asking import Workers
from ..counters import Counters
from ..executor import Executor
from ..feeding import feed
from ..gates import verdicts
from ..manifest import part_path
from ..opening import Opened, Surroundings, create_sink, create_source, function_digests, opened
from ..options import Observer, Progress, RunOptions
from ..processor import Item, Processor
from ..recording import Recorder
from ..result import Run
from ..tally import Tally

_ENOUGH_ROWS = 50  # a ratio of failures means nothing before


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
    mode = "replay" if options.replay else "refresh" if options.fresh else spec.journal.mode
    with ExitStack() as stack:
        if mode != "replay":
            stack.enter_context(SinkLock(spec.journal.path))
        journal = Journal.open(
            spec.journal.path, mode=mode, writable=mode != "replay", clock=around.clock
        )
        stack.callback(journal.close)
        around = replace(around, offline=around.offline or mode == "replay")
        return _LocalRun(spec, options, around, journal, mode, rows, observe).run()


class _LocalRun:
    """One run, from the open journal to the results in place."""

    def __init__(
        self,
        spec: Spec,
        options: RunOptions,
        around: Surroundings,
        journal: Journal,
        mode: str,
        rows: Iterable[Mapping[str, Json]] | None,
        observe: Observer,
    ) -> None:
        self._spec = spec
        self._options = options
        self._around = around
        self._journal = journal
        self._mode = mode
        self._rows = rows
        self._observe = observe
        self._tally = Tally()
        self._counters = Counters()
        self._halt = threading.Event()

    def run(self) -> Run:
        """The whole run."""
        spec = self._spec
        ask_again = failed_ids(spec) if self._options.only_errors else frozenset()
        since = self._generation()
        path = results_path(spec, self._options)
        _refuse_places(spec, path)
        registry = self._around.registry
        wanted = _sink_spec(spec, self._options, registry)
        sink = create_sink(wanted, path, self._options.stream, registry)
        with opened(
            spec, self._around, journal=self._journal, counters=self._counters, halt=self._halt
        ) as parts:
            source = create_source(spec.source, parts.context, self._around.registry, self._rows)
            recorder = Recorder(spec, self._options, self._around.clock, path)
            sink.open()
            try:
                recorder.start(parts, function_digests(spec))
                self._drive(parts, source, sink, ask_again, since)
                return self._finish(recorder, parts, source, sink, path)
            except DbrunError as error:
                recorder.stop(error, self._tally, self._counters, parts)
                raise
            finally:
                sink.close()

    def _generation(self) -> int:
        if self._mode == "refresh":
            return self._journal.begin_generation("fresh", self._command())
        if self._options.only_errors:
            return self._journal.begin_generation("only-errors", self._command())
        return 0

    def _command(self) -> str:
        """What makes a command the same one, whose unfinished generation it continues."""
        return digest(self._options.selection.to_json())

    def _drive(
        self, parts: Opened, source: Source, sink: Sink, ask_again: frozenset[str], since: int
    ) -> None:
        processor = Processor(
            parts.steps,
            variables=self._spec.vars,
            images_folder=source.folder,
            since=since,
            send=self._mode != "replay",
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
            workers=Workers(parts.askers, self._around.clock),
            window=self._spec.limits.window,
            group=processor.group,
            halt=self._halt,
            grace=self._options.grace,
        )
        tick = self._ticker(parts, self._total(parts, source))
        with _signals(executor.interrupt, self._options.handle_signals):
            for record in executor.run(tick):
                sink.write(record)
                self._tally.add(record)
                if record.status == "error":
                    self._check_failures()

    def _total(self, parts: Opened, source: Source) -> int | None:
        """The records to come, where that can be told before the rows are read."""
        selection, wanted = self._options.selection, self._spec.source
        if wanted.filter is not None or parts.row is not None or selection.ids is not None:
            return None
        rows = source.count()
        if rows is None:
            return None
        most = (wanted.limit, selection.sample, selection.limit)
        return min([rows, *(limit for limit in most if limit is not None)]) * self._spec.repeats

    def _ticker(self, parts: Opened, total: int | None) -> Callable[[], None]:
        clock = self._around.clock
        progress = Progress(
            tally=self._tally, counters=self._counters, askers=parts.askers, total=total
        )
        synced = seen = clock.now()

        def tick() -> None:
            nonlocal synced, seen
            now = clock.now()
            if now - seen >= 0.1:
                seen = now
                self._observe(progress)
            if now - synced >= 1.0:
                # A power cut loses a second of answers at the most; a killed process none.
                self._journal.sync()
                synced = now

        return tick

    def _check_failures(self) -> None:
        allowed = self._spec.limits.max_failures
        if allowed is None:
            return
        failed, rows = self._tally.errors, self._tally.rows
        is_ratio = 0 < allowed < 1  # 0 is a count: none may fail
        if (failed > allowed * rows and rows >= _ENOUGH_ROWS) if is_ratio else failed > allowed:
            _, kind, message = self._tally.first_failures[0]
            raise TooManyFailures(
                f"{failed} of {rows} rows failed, more than limits.max_failures ({allowed:g}) "
                f"allows; the first: {kind}: {message}",
                "mend the cause, or raise the limit, and run the same command again",
            )

    def _finish(
        self, recorder: Recorder, parts: Opened, source: Source, sink: Sink, path: str | None
    ) -> Run:
        judged = verdicts(self._spec.gates, self._tally)
        met = all(verdict.met for verdict in judged if not verdict.warn)
        exit_code = EXIT_OK if met else EXIT_UNMET
        replay = self._mode == "replay"
        if replay and self._tally.by_error["unanswered"]:
            # What is not known is no result: the file that is there stays as it is.
            recorder.abandon(exit_code, self._tally, self._counters, parts)
        else:
            sink.commit()
            recorder.finish(
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
        )


def results_path(spec: Spec, options: RunOptions) -> str | None:
    """Where a run's results go: None for a stream."""
    if options.out == "-":
        return None
    if options.out is not None:
        return os.path.abspath(options.out)
    return part_path(spec.sink.path) if options.selection.is_partial else spec.sink.path


def _sink_spec(spec: Spec, options: RunOptions, registry: Registry) -> SinkSpec:
    """The sink; where `--out` names a file, its extension tells the format, as in a spec."""
    kind = format_of(options.out) if options.out is not None else None
    if kind is None or kind not in registry.names("sinks"):
        return spec.sink
    return replace(spec.sink, kind=kind)


def _refuse_places(spec: Spec, path: str | None) -> None:
    """Raises `UserError` if results would take the place of a device, or of what they are made
    from: they are put in place by renaming, whatever was there before."""
    if path is None or not os.path.exists(path):
        return
    if not os.path.isfile(path) and not os.path.isdir(path):
        raise UserError(f"{path} is no regular file", "'--out -' is standard output")
    source = spec.source.options.get("path")
    for made_from in (spec.file, source if isinstance(source, str) else None):
        if (
            made_from is not None
            and os.path.exists(made_from)
            and os.path.samefile(path, made_from)
        ):
            raise UserError(
                f"the results would overwrite {path}, which they are made from",
                "write them to another file",
            )


def failed_ids(spec: Spec) -> frozenset[str]:
    """The ids of the records on disk whose status is `error`.

    Raises:
        UserError: there are no results to look at, or they are not JSON Lines.
    """
    path = spec.sink.path
    if spec.sink.kind != "jsonl":
        raise UserError("--only-errors reads results as JSON Lines", "set sink.format to jsonl")
    if not os.path.exists(path):
        raise UserError(f"--only-errors: there are no results at {path}", "run without it first")
    failed = set()
    with open_in(path) as stream:
        for number, line in enumerate(stream, start=1):
            # Parsing is worth it for few lines only; a row may well hold the same words.
            if b'"status":"error"' in line:
                record = _parsed(line, f"{path}:{number}")
                if record.get("status") == "error":
                    failed.add(record["id"])
    return frozenset(failed)


def _parsed(line: bytes, where: str) -> dict[str, Json]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise UserError(
            f"{where}: this is no record: {error}", "run without --only-errors"
        ) from error
    if not isinstance(record, dict) or "id" not in record:
        raise UserError(f"{where}: this is no record", "run without --only-errors")
    return record


@contextmanager
def _signals(interrupt: Callable[[Interrupted], None], wanted: bool) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop the run in good order; a second one leaves at once."""
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        code = 130 if number == signal.SIGINT else 143
        name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
        with suppress(RuntimeError, OSError, ValueError):  # whatever was being written just then
            print(f"\n{name}: finishing what is in flight; once more leaves now", file=sys.stderr)
        interrupt(Interrupted(f"interrupted by {name}", code))

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
