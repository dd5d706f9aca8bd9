"""Worker processes at one run: items dealt to them, what they make handed out in source order."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from queue import Empty, SimpleQueue
from threading import Event
from typing import Any, cast

from ...client.journal.claims import MOST, remove_claims
from ...client.waiting import blocking
from ...errors import DbrunError, Interrupted, RunError, UserError
from ...types import Record
from ..asking.counters import Counters
from ..asking.spending import Purse
from ..rows.items import Item
from .colleague import Colleague, Inbox
from .messages import Assignment, Outline, pack
from .standing import Standing
from .supply import Supply

_log = logging.getLogger(__name__)
_TICK = 0.1  # seconds
_AT_ONCE = 256  # items in one message
_LEAVE = 10.0  # seconds for a process that is to leave: to say what it counted, and to publish
_HURRY = 0.5  # the same after a second interrupt
_MOST_REPLACED = 3  # processes of a run: what goes on killing them is ours, or a row's


class Crew:
    """One pass over *items* by worker processes, one for each of *assignments*.

    Like an `Executor`: results come in order, a slow item holds up nobody until the *window* is
    full, *halt* is set when feeding must stop, and *grace* is what is in flight then allowed. What
    processes count goes to *counters*, *standings* and *models* (for each endpoint one of the
    former, two of the latter); *purse* is what they may spend. *segments* are those of the
    journal that they have written.

    A process that is lost is replaced, a few times: another one gets its share of the limits and
    the items that it had at hand. What it had journalled is found there.
    """

    def __init__(
        self,
        items: Iterator[Item],
        assignments: Sequence[Assignment],
        *,
        window: int,
        group: int,
        may_wait: bool,
        halt: Event,
        grace: float,
        counters: Counters,
        standings: Sequence[Standing],
        models: Sequence[Counter[str]],
        purse: Purse | None,
    ) -> None:
        self._items = items
        self._assignments = assignments
        self._window = max(window, group)
        self._group = group
        self._may_wait = may_wait
        self._halt = halt
        self._grace = grace
        self._counters = counters
        self._standings = standings
        self._models = models
        self._purse = purse
        self._inbox: Inbox = SimpleQueue()
        self._crew: list[Colleague] = []
        self._results: dict[int, Record] = {}
        self._dealt = self._given = 0
        self._again: deque[tuple[int, Any]] = deque()
        self._replaced = 0
        self._error: BaseException | None = None
        self._interrupt: Interrupted | None = None
        self._is_abandoned = False
        self.segments: list[str] = []
        self._hearing: Mapping[str, Callable[..., None]] = {
            "ready": self._ready,
            "told": self._take_back,
            "take": self._take,
            "settle": self._settle,
            "log": self._log,
            "error": self._fail,
            "done": self._done,
        }

    def interrupt(self, reason: Interrupted) -> None:
        """Stop feeding; let what is in flight finish for the grace, then raise *reason*.

        A second call stops waiting at once. Safe to call from a signal handler.
        """
        if self._interrupt is not None:
            self._is_abandoned = True
        self._interrupt = self._interrupt or reason
        self._halt.set()

    def run(self, tick: Callable[[], None] = lambda: None) -> Iterator[Record]:
        """What was made of each item, in order; *tick* is called some ten times a second.

        Those are records, or what to whoever counts looks like them (`Outline`).

        Raises:
            UserError: the pipeline cannot travel to another process.
            RunError: a process cannot be started; or what one met, or that too many were lost:
                after all that was in flight has ended (or the grace) and every result before the
                first gap was handed out.
            Interrupted: after `interrupt`.
        """
        try:
            supply = Supply(self._items, self._may_wait, lambda: self._inbox.put((None, None)))
            self._start()
            deadline: float | None = None
            while True:
                self._deal(supply)
                self._hear(_TICK)
                yield from self._in_order()
                tick()
                if all(one.is_done or one.is_gone for one in self._crew):
                    break
                if self._halt.is_set():
                    self._tell_all("halt")
                    deadline = deadline or time.monotonic() + self._grace
                    if time.monotonic() > deadline or self._is_abandoned:
                        break
            error = self._interrupt or self._error
            if error is not None:
                raise error
            if self._given < self._dealt or not supply.is_over:
                raise RuntimeError("worker processes ended before all was done")
        finally:
            self._close()

    def _start(self) -> None:
        for assignment in self._assignments:
            self._crew.append(self._new(assignment))
        for one, assignment in zip(self._crew, self._assignments, strict=True):
            try:
                one.assign(assignment)
            except Exception as error:  # whatever a plugin's parts raise when they are pickled
                raise UserError(
                    f"limits.processes: the pipeline cannot travel to another process: {error}",
                    "set limits.processes to 1",
                ) from error

    def _new(self, assignment: Assignment) -> Colleague:
        try:
            return Colleague(assignment.number, self._inbox)
        except OSError as error:
            raise RunError(
                f"worker process {assignment.number + 1} cannot be started: {error}",
                "set limits.processes lower",
            ) from error

    def _replace(self, lost: Colleague) -> None:
        """Have another process do what was given to the one that was *lost*.

        Its number is new: by the number others know what it has journalled.
        """
        said, number = lost.lost(), len(self._crew)
        if self._replaced == _MOST_REPLACED or number >= MOST:
            mend = "run the same command again to continue"
            raise RunError(said, f"{mend}; if memory is short, lower limits.processes")
        self._replaced += 1
        _log.warning("%s; another takes its place, what it had in flight is asked again", said)
        share = next(one for one in self._assignments if one.number == lost.number)
        assignment = replace(share, number=number)
        self._assignments = [*self._assignments, assignment]
        for standing in self._standings:
            standing.lost(lost.number)
        one = self._new(assignment)
        self._crew.append(one)
        one.assign(assignment)
        self._again.extend(sorted(lost.items.items()))

    def _deal_again(self) -> bool:
        """Give what lost processes had at hand to others; whether all of it is given."""
        while self._again:
            one = max(self._crew, key=lambda one: one.room(self._group))
            if one.room(self._group) < self._group:
                return False
            for _ in range(min(self._group, len(self._again))):
                number, item = self._again.popleft()
                one.give(number, [item])
        return True

    def _deal(self, supply: Supply) -> None:
        """Give every process as many items as it has room for."""
        while not self._halt.is_set() and self._deal_again() and not supply.is_over:
            one = max(self._crew, key=lambda one: one.room(self._group))
            room = min(one.room(self._group), self._window - (self._dealt - self._given), _AT_ONCE)
            room -= room % self._group
            items = supply.take(room) if room > 0 else []
            if not items:
                return
            one.give(self._dealt, list(map(pack, items)))
            self._dealt += len(items)
        if supply.error is not None:
            self._fail_with(supply.error)
        elif supply.is_over and not self._again:
            self._tell_all("end")

    def _tell_all(self, word: str) -> None:
        """Say *word* to everybody who has not heard it yet."""
        for one in self._crew:
            one.tell_once(word)

    def _hear(self, seconds: float) -> None:
        """Take in what was said; wait for it for so many seconds."""
        with suppress(Empty):
            self._heard(*self._inbox.get(timeout=seconds))
            for _ in range(self._inbox.qsize()):
                self._heard(*self._inbox.get_nowait())

    def _heard(self, who: Colleague | None, message: Any) -> None:
        if who is None:
            return
        if message is not None:
            kind, *said = message
            self._hearing[kind](who, *said)
            return
        who.is_gone = True
        self._forget(who)
        if who.is_done:
            return
        try:
            if self._halt.is_set():
                self._fail_with(RunError(who.lost(), "run the same command again to continue"))
            else:
                self._replace(who)
        except RunError as error:
            self._fail_with(error)

    def _ready(self, who: Colleague, limit: int) -> None:
        who.is_ready, who.limit = True, limit

    def _take_back(
        self, who: Colleague, told: Sequence[tuple[int, Any]], counts: Any, paces: Any
    ) -> None:
        results = self._results
        for number, said in told:
            results[number] = cast(Record, Outline(*said)) if type(said) is tuple else said
        who.took_back([number for number, _ in told], time.monotonic())
        self._counters.add_in(counts, *self._models)
        who.limit = 0
        for standing, pace in zip(self._standings, paces, strict=True):
            standing.told(who.number, pace)
            who.limit += pace.limit

    def _take(self, who: Colleague, token: int, amount: float, beside: float) -> None:
        assert self._purse is not None
        answer: float | DbrunError | None = None
        try:
            again = True
            while answer is None and again:
                answer, again = blocking(self._purse.try_take(amount, beside))
        except DbrunError as error:
            answer = error
        if isinstance(answer, float):
            who.reserved.append(answer)
        who.tell("money", token, answer)

    def _settle(self, who: Colleague, taken: float, cost: float) -> None:
        if self._purse is not None:
            who.reserved.remove(taken)
            self._purse.settle(taken, cost)

    def _log(self, who: Colleague, name: str, level: int, text: str) -> None:
        logging.getLogger(name).log(level, "%s", text)

    def _fail(self, who: Colleague, error: BaseException | None, trace: str) -> None:
        self._fail_with(error or RuntimeError(f"in worker process {who.number + 1}:\n{trace}"))

    def _fail_with(self, error: BaseException) -> None:
        self._error = self._error or error
        self._halt.set()

    def _done(self, who: Colleague, segments: Sequence[str]) -> None:
        who.is_done = True
        self.segments += segments
        self._forget(who)

    def _forget(self, who: Colleague) -> None:
        """The process makes no calls any more. Of one that was lost nobody knows what became of
        those in flight: a cap must hold, so they are taken for paid."""
        for standing in self._standings:
            standing.gone(who.number)
        if self._purse is not None:
            for taken in who.reserved:
                self._purse.settle(taken, 0.0 if who.is_done else taken)
            who.reserved.clear()

    def _in_order(self) -> Iterator[Record]:
        while (record := self._results.pop(self._given, None)) is not None:
            self._given += 1
            yield record

    def _close(self) -> None:
        """See every process ended: in good order as far as there is time."""
        self._halt.set()
        try:
            for one in self._crew:
                if not one.is_assigned:
                    one.kill()
            self._tell_all("halt")
            if self._interrupt is None and self._error is None:  # else the grace is over
                self._hear_out(self._grace)
            self._tell_all("leave")
            hurry, self._is_abandoned = self._is_abandoned, False
            self._hear_out(_HURRY if hurry else _LEAVE)
        finally:
            for one in self._crew:
                if not one.is_done:
                    one.kill()
                    self._forget(one)
            for one in self._crew:
                one.end()
            for claims in {assignment.claims for assignment in self._assignments}:
                remove_claims(claims)

    def _hear_out(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not all(one.is_done or one.is_gone for one in self._crew):
            left = until - time.monotonic()
            if left <= 0 or self._is_abandoned:
                return
            self._hear(min(left, _TICK))
