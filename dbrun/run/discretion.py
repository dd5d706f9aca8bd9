"""Keeping credentials out of what the user's functions say: they see the whole environment.

Those in variables whose names say what they are are gone already, by `frames.raised`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, TypeVar

from ..client.credentials import Secret, mask, say_again
from ..errors import DbrunError, Unanswered
from ..spec.model import Spec
from ..types import Json

_Error = TypeVar("_Error", bound=DbrunError)


class Discretion:
    """Takes credentials out of errors.

    It knows those of *environ* that *spec* names, and those that the adapters which it was told
    to `trust` have come to know.
    """

    def __init__(self, spec: Spec, environ: Mapping[str, str]) -> None:
        self._spec = spec
        self._environ = environ
        self._adapters: list[Any] = []

    def trust(self, adapter: object) -> None:
        """Have *adapter* take out what it knows, too; any that has no `masked` knows nothing."""
        if hasattr(adapter, "masked"):
            self._adapters.append(adapter)

    def keep(self, error: _Error) -> _Error:
        """*error* without credentials; if there were any, without what it was raised from."""
        if isinstance(error, Unanswered):  # our own words, perhaps for a million rows
            return error
        said = error.message
        say_again(error, mask(said, self._secrets))
        for adapter in self._adapters:
            adapter.masked(error)
        if error.message != said:
            error.__cause__, error.__suppress_context__ = None, True
        return error

    @cached_property
    def _secrets(self) -> list[Secret]:
        values = {self._environ.get(name, "").strip() for name in _named(self._spec)}
        return [Secret(value) for value in sorted(values, key=len, reverse=True)]


def _named(spec: Spec) -> Iterator[str]:
    """The variables that the spec's endpoints name as credentials."""
    for step in spec.asked:
        given: list[Json] = [*step.endpoint.options.values(), *step.endpoint.headers.values()]
        yield from (str(one["env"]) for one in given if isinstance(one, Mapping) and "env" in one)
