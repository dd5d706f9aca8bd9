"""The purse of a run as a worker process sees it: it is asked for by messages."""

from __future__ import annotations

import copy
import itertools
import threading
from collections.abc import Callable
from typing import Any

from ...client.waiting import Gate, Pause
from ...clock import Clock
from ...errors import DbrunError, Interrupted
from ..asking.spending import LOOK_UP, Bid, Purse

_PATIENCE = 0.5  # seconds until somebody who waits for an answer looks for it again


class Till(Purse):
    """Money for calls, of a purse that another process has; *send* tells it what is wanted."""

    def __init__(self, cap: float, clock: Clock, send: Callable[[Any], None]) -> None:
        super().__init__(cap, clock)
        self._send = send
        self._tokens = itertools.count()
        self._waiting: dict[int, Gate] = {}
        self._answers: dict[int, float | DbrunError | None] = {}

    async def take(self, bid: Bid, stop: threading.Event) -> float:
        """Reserve what *bid* asks for a call about to be made; give it back with `settle`.

        Raises:
            SpendCap: there is not enough left for it.
            SinkError: it cannot be put on record.
            Interrupted: *stop* was set meanwhile.
        """
        while True:
            answer = await self._ask(*bid())
            if isinstance(answer, DbrunError):
                raise copy.copy(answer)
            if answer is not None:
                return answer
            if await Pause(self._clock, LOOK_UP, stop):
                raise Interrupted("stopped before this request was sent")

    def settle(self, taken: float, cost: float) -> None:
        """The call that *taken* was reserved for has cost *cost* (0: it was not answered)."""
        self._send(("settle", taken, cost))

    def answer(self, token: int, answer: float | DbrunError | None) -> None:
        """What the owner of the purse says to question number *token*. From any thread."""
        self._answers[token] = answer
        if (gate := self._waiting.get(token)) is not None:
            gate.open()

    async def _ask(self, amount: float, beside: float) -> float | DbrunError | None:
        token = next(self._tokens)
        gate = self._waiting[token] = Gate(_PATIENCE)
        try:
            self._send(("take", token, amount, beside))
            while not await gate and token not in self._answers:
                gate = self._waiting[token] = Gate(_PATIENCE)
            return self._answers.pop(token)
        finally:
            del self._waiting[token]
