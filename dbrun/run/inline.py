"""Calls of functions that may take their time, among coroutines that must not wait for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from ..client.waiting import Aside

T = TypeVar("T")

_SLOW = 0.002  # seconds a call on the average: twenty times what a thread costs
_ENOUGH = 0.05  # seconds in all before a judgement


class Inline:
    """Makes calls where they stand while they are quick, and aside once they prove slow.

    A transform that cuts a string takes a microsecond; one that asks a database keeps everybody
    waiting, unless a thread makes the call.
    """

    def __init__(self) -> None:
        self._spent = 0.0
        self._calls = -1  # the first does not count: it may import what it needs

    @property
    def is_slow(self) -> bool:
        """Whether calls have been taking their time."""
        return self._spent > _ENOUGH and self._spent > self._calls * _SLOW

    async def call(self, function: Callable[[], T]) -> T:
        """What *function* gives or raises."""
        if self.is_slow:
            return await Aside(function)
        begun = time.monotonic()
        try:
            return function()
        finally:
            self._calls += 1
            if self._calls:
                self._spent += time.monotonic() - begun
