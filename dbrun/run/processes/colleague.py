"""One worker process as the run sees it: started, told, listened to, ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, TypeAlias

from .channel import Channel
from .messages import Assignment

_START = (
    "import sys; sys.path[:] = sys.argv[1:]; from dbrun.run.processes.worker import main; main()"
)
_LEAST = 2.0  # items that a process has at hand beside those it works at
_AHEAD = 0.2  # seconds of work that a process has at hand
_SHORTEST = 0.001  # seconds
_PATIENCE = 5.0  # seconds

Inbox: TypeAlias = "SimpleQueue[tuple[Colleague | None, Any]]"
"""What worker processes say, each message with who says it; None for the end of them. Messages
of nobody's say that there is something to read."""


class Colleague:
    """A worker process. *items* are those it has been given and not handed back, by number.

    It is started in a session of its own, so that Ctrl-C on a terminal reaches the run alone.
    It lives no longer than the run: the pipe to it ends with whoever holds it.
    """

    def __init__(self, number: int, inbox: Inbox) -> None:
        self.number = number
        self.items: dict[int, Any] = {}
        self.limit = 1
        self.is_assigned = False
        self.is_ready = False
        self.is_done = False
        self.is_gone = False
        self.reserved: list[float] = []
        self._rate = 0.0
        self._heard = 0.0
        self._words: set[str] = set()
        words = [sys.executable, "-c", _START, *(part or os.getcwd() for part in sys.path)]
        alone: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            alone = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **alone
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._channel = Channel(self._process.stdout, self._process.stdin)
        self._ear = threading.Thread(
            target=self._listen, args=(inbox,), name=f"dbrun-worker-{number}", daemon=True
        )
        self._ear.start()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def assign(self, assignment: Assignment) -> None:
        """Tell it what to do.

        Raises:
            Exception: the assignment cannot be pickled.
        """
        with suppress(OSError):  # it ended before: that is heard by its silence
            self._channel.send(assignment)
        self.is_assigned = True

    def tell(self, *message: Any) -> None:
        """Send *message*; nothing if the process is gone."""
        if self.is_assigned and not self.is_gone:
            with suppress(OSError):
                self._channel.send(message)

    def tell_once(self, word: str) -> None:
        """Send the message that *word* is, unless it was sent before."""
        if word not in self._words:
            self._words.add(word)
            self.tell(word)

    def give(self, first: int, packed: list[Any]) -> None:
        """Give it the items *packed*, numbered from *first*."""
        self.items.update(enumerate(packed, first))
        self.tell("items", first, packed)

    def took_back(self, numbers: Sequence[int], now: float) -> None:
        """It handed the items of these *numbers* back at the moment *now*."""
        for number in numbers:
            del self.items[number]
        rate = len(numbers) / max(_SHORTEST, now - self._heard)
        self._heard = now
        self._rate += (rate - self._rate) / 2

    @property
    def takes_items(self) -> bool:
        """Whether it can be given any."""
        return self.is_ready and not self.is_done and not self.is_gone and "end" not in self._words

    def room(self, group: int) -> int:
        """How many more items it should have at hand, so that it never waits for any.

        Not many more than that: what one has, another does not get.
        """
        if not self.takes_items:
            return 0
        ahead = max(_LEAST * group, self.limit * group / 8, self._rate * _AHEAD)
        return int(self.limit * group + ahead) - len(self.items)

    def end(self) -> None:
        """See the process ended, which has nothing more to do."""
        self.is_gone = True
        self._channel.close_writing()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:  # held up by a thread of somebody else's
            self._process.kill()
            self._process.wait()
        self._ear.join(_PATIENCE)
        with suppress(OSError):
            self._channel.close_reading()

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def lost(self) -> str:
        """Who it was and how it ended, if nobody wanted that."""
        code = self._process.wait()
        how = f"ended with code {code}"
        if code < 0:
            with suppress(ValueError):
                how = f"was killed by signal {-code} ({signal.Signals(-code).name})"
        return f"worker process {self.number + 1} (pid {self.pid}) {how} in the middle of the run"

    def _listen(self, inbox: Inbox) -> None:
        while (message := self._channel.receive()) is not None:
            inbox.put((self, message))
        inbox.put((self, None))
