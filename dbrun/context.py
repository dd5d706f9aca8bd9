"""All that a plugin may lean on, whatever its kind."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, Protocol

from .clock import Clock
from .frozen import frozen
from .types import Json


class Memory(Protocol):
    """Facts about endpoints that outlive a run (the journal keeps them): hosts, found tasks."""

    def recall(self, name: str) -> Json:
        """What was remembered under *name*, or None."""

    def remember(self, name: str, value: Json) -> None:
        """Keep *value* under *name*."""


class NoMemory:
    """Remembers for the life of the process only."""

    def __init__(self) -> None:
        self._facts: dict[str, Json] = {}

    def recall(self, name: str) -> Json:
        """What was remembered under *name*, or None."""
        return self._facts.get(name)

    def remember(self, name: str, value: Json) -> None:
        """Keep *value* under *name*."""
        self._facts[name] = value


@frozen
class Context:
    """What plugins are created with.

    *folder* is the folder of the pipeline file and *project* the project's root. *resolve* turns
    a `Reference` into the function it names. *template* compiles a template's source into an
    object with `render(scope) -> str` and `evaluate(scope) -> Json`, *expression* an expression's
    into one with `evaluate`. *environ* is where
    credentials by `{env: NAME}` are read. *offline* forbids every call.
    """

    folder: str = "."
    project: str = "."
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    clock: Clock = field(default_factory=Clock)
    memory: Memory = field(default_factory=NoMemory)
    resolve: Callable[[Any], Callable[..., Any]] | None = None
    template: Callable[[Any], Any] | None = None
    expression: Callable[[Any], Any] | None = None
    offline: bool = False
    max_connections: int = 64
    debug: bool = False


def may_wait(part: object) -> bool:
    """Whether a source's next row, or a sink's taking a record, may take its time: standard input
    or output, a program, a service.

    Those of files say no, by `may_wait = False`; they are called where the calls are carried.
    """
    return bool(getattr(part, "may_wait", True))
