"""The items that are still to be dealt: read where they are needed, or in a thread aside."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice

from ..rows.items import Item

_MOST = 1024  # items read aside and not taken; more would only cost memory


class Supply:
    """*items* as they are asked for. If the next one *may_wait*, they are read by a thread, which
    calls *notify* when there is something to take.

    *is_over* tells that nothing will come any more, *error* what has ended the reading early.
    """

    def __init__(self, items: Iterator[Item], may_wait: bool, notify: Callable[[], None]) -> None:
        self._items = items
        self._notify = notify
        self._aside: threading.Thread | None = None
        self._read: deque[Item] = deque()
        self._room = threading.Semaphore(_MOST)
        self._is_exhausted = False
        self.error: BaseException | None = None
        if may_wait:
            self._aside = threading.Thread(target=self._read_on, name="dbrun-reader", daemon=True)
            self._aside.start()

    @property
    def is_over(self) -> bool:
        """Whether nothing will come any more."""
        return self._is_exhausted and not self._read

    def take(self, most: int) -> list[Item]:
        """The next items, as many as there are now; never waits for those read aside."""
        if self._aside is not None:
            taken = [self._read.popleft() for _ in range(min(most, len(self._read)))]
            if taken:
                self._room.release(len(taken))
            return taken
        taken = []
        try:
            for item in islice(self._items, most):
                taken.append(item)
            self._is_exhausted = len(taken) < most
        except BaseException as error:  # raised once what came before it is done
            self.error, self._is_exhausted = error, True
        return taken

    def _read_on(self) -> None:
        try:
            for item in self._items:
                self._room.acquire()
                self._read.append(item)
                if len(self._read) == 1:
                    self._notify()
        except BaseException as error:
            self.error = error
        self._is_exhausted = True
        self._notify()
