"""A worker process from its first message to its last."""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any

from ...client.journal import Journal
from ...client.journal.claims import Claims, remove_claims
from ...errors import EXIT_INCOMPLETE, DbrunError, SinkError, UserError
from ...sinks.base import encode_line
from ...types import Record
from ..asking.asker import Asker
from ..asking.counters import Counters
from ..opening import Opened, opened
from ..processing import make_processor
from .bench import Bench
from .channel import Channel, standard_streams
from .messages import Assignment, Pace, told, unpack
from .till import Till

_SYNC = 1.0  # seconds


def main() -> None:
    """What a worker process runs."""
    with suppress(ValueError, OSError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever deals hears of it, and tells us
    channel = standard_streams()
    try:
        assignment = channel.receive()
    except Exception as error:  # whatever importing a plugin's parts raises
        problem = UserError(
            f"limits.processes: the pipeline cannot travel to another process: {error}",
            "set limits.processes to 1",
        )
        channel.send(("error", problem, ""))
        channel.send(("done", []))
        return
    if assignment is None:
        return
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    Worker(channel, assignment).run()


class Worker:
    """Opens the pipeline, does what comes by the channel, and tells what came of it."""

    def __init__(self, channel: Channel, assignment: Assignment) -> None:
        self._channel = channel
        self._task = assignment
        self._clock = assignment.around.clock
        self._halt = threading.Event()
        self._counters = Counters()
        self._is_over = False
        self._written: list[str] = []
        self._listener: threading.Thread | None = None
        self._histories: list[tuple[float, int, str] | None] = []

    def run(self) -> None:
        """All of it. Errors are told to whoever deals."""
        try:
            with self._logging():
                self._work()
        except BaseException as error:
            self._send_error(error)
        finally:
            self._is_over = True
            with suppress(OSError):
                self._channel.send(("done", self._written))
            if self._listener is not None:
                self._listener.join(_SYNC)

    def _work(self) -> None:
        task = self._task
        spec = task.spec
        till = Till(spec.limits.max_cost or 0.0, self._clock, self._channel.send)
        with ExitStack() as stack:
            journal = stack.enter_context(
                Journal.open(
                    spec.journal.path,
                    mode=task.mode,
                    writable=task.mode != "replay",
                    clock=self._clock,
                    publish_every=spec.journal.publish_every,
                )
            )
            if task.claims is not None:
                claims = stack.enter_context(closing(Claims(task.claims)))
                journal.share(claims, among=True)
            parts = stack.enter_context(
                opened(
                    spec,
                    task.around,
                    journal=journal,
                    counters=self._counters,
                    halt=self._halt,
                    purse=till if task.paid else None,
                )
            )
            self._do(parts, journal, till)

    def _do(self, parts: Opened, journal: Journal, till: Till) -> None:
        task = self._task
        processor = make_processor(
            task.spec,
            parts,
            images_folder=task.images_folder,
            since=task.since,
            send=task.send,
        )

        bench = Bench(
            processor.process,
            workers=parts.calls_at_once,
            group=processor.group,
            hand_over=lambda done: self._tell(done, parts.askers),
            halt=self._halt,
            clock=self._clock,
        )
        listener = threading.Thread(
            target=self._listen, args=(bench, till), name="dbrun-listener", daemon=True
        )
        listener.start()
        self._listener = listener
        self._channel.send(("ready", parts.calls_at_once()))
        try:
            with _syncing(journal, bench):
                bench.run()
        finally:
            self._written = journal.written
        if bench.error is not None:
            raise bench.error

    def _listen(self, bench: Bench, till: Till) -> None:
        while (message := self._channel.receive()) is not None:
            kind = message[0]
            if kind == "items":
                _, first, packed = message
                bench.put(list(enumerate(map(unpack, packed), first)))
            elif kind == "money":
                till.answer(message[1], message[2])
            elif kind == "end":
                bench.complete()
            elif kind == "halt":
                bench.stop()
            else:
                bench.abandon()
        if not self._is_over:
            # Whoever deals is gone, by a kill for instance. What was answered is journalled;
            # the same command asks for the rest, and must not find us at it, too.
            remove_claims(self._task.claims)
            os._exit(EXIT_INCOMPLETE)

    def _tell(self, done: Sequence[tuple[int, Record]], askers: Sequence[Asker]) -> None:
        task = self._task
        said: list[tuple[int, Any]]
        if task.whole:
            said = list(done)
        else:
            add, omit = task.add, task.omit
            said = [
                (number, told(record, encode_line(record.to_json(add, omit))))
                for number, record in done
            ]
        models = [one for asker in askers for one in (asker.models, asker.reused)]
        counts = self._counters.take_out(*models)
        self._channel.send(("told", said, counts, self._paces(askers)))

    def _paces(self, askers: Sequence[Asker]) -> list[Pace]:
        """How each limit stands; its history only if there is more of it than was told."""
        paces = []
        self._histories = self._histories or [None] * len(askers)
        for number, asker in enumerate(askers):
            limiter = asker.limiter
            history = limiter.history
            is_told = self._histories[number] == history[-1]
            self._histories[number] = history[-1]
            paces.append(
                Pace(
                    limit=limiter.limit,
                    in_flight=limiter.in_flight,
                    held_for=limiter.held_for,
                    waited=limiter.waited,
                    started=limiter.started,
                    history=() if is_told else tuple(history),
                )
            )
        return paces

    def _send_error(self, error: BaseException) -> None:
        trace = "".join(traceback.format_exception(error))
        with suppress(OSError):
            if isinstance(error, DbrunError):
                self._channel.send(("error", error, trace))
            else:
                self._channel.send(("error", None, trace))

    @contextmanager
    def _logging(self) -> Iterator[None]:
        """What dbrun logs here is said where the run is."""
        logger = logging.getLogger("dbrun")
        logger.setLevel(self._task.level)
        logger.propagate = False
        logger.addHandler(_Forwarding(self._channel))
        yield


@contextmanager
def _syncing(journal: Journal, bench: Bench) -> Iterator[None]:
    """Have the disk hold the journal once a second, where no call waits for it."""
    is_over = threading.Event()

    def sync() -> None:
        while not is_over.wait(_SYNC):
            try:
                journal.sync()
            except SinkError as error:
                bench.fail(error)

    thread = threading.Thread(target=sync, name="dbrun-sync", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


class _Forwarding(logging.Handler):
    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            self._channel.send(("log", record.name, record.levelno, record.getMessage()))
