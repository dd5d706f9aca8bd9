"""An adapter that does as a script says, and a clock that is a number."""

from __future__ import annotations

import threading
from datetime import datetime, timezone

from dbrun.adapters.base import Answer
from dbrun.clock import Clock
from dbrun.errors import Malformed, Rejected
from dbrun.types import Response, Usage


class Ticking(Clock):
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def wall(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=timezone.utc)

    def sleep(self, seconds: float, stop: threading.Event | None = None) -> bool:
        self.slept.append(seconds)
        self.time += seconds
        return stop is not None and stop.is_set()


class Scripted:
    """An adapter that fails as *script* says (None: it does not), then echoes; `bad` bodies are
    always refused."""

    prompt_kind = "any"
    identity = "scripted"
    columns = {}  # noqa: RUF012

    def __init__(
        self, *script: Exception | None, batch_size: int = 1, bad: tuple[str, ...] = ()
    ) -> None:
        self.script = list(script)
        self.batch_size = batch_size
        self.bad = bad
        self.calls: list[list[str]] = []

    def group(self, body: str) -> str:
        return body[0]

    def call(self, bodies, timeout):
        self.calls.append(list(bodies))
        if self.script and (error := self.script.pop(0)) is not None:
            raise error
        if any(body in self.bad for body in bodies):
            raise Rejected("a bad row", 400)
        return [Answer(body=f"re:{body}") for body in bodies]

    def decode(self, body):
        if body == "re:odd":
            raise Malformed("no answer in it", 200)
        return Response(value=body, usage=Usage(input_tokens=1, output_tokens=2))
