"""Tokens of a request before it is sent, for what counts them: rates, and what a run may spend."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from ..encoding import encoder
from ..types import Json, Usage

CHARACTERS = 4.0
"""Characters of JSON that make a token, until an endpoint has told better."""

OUTPUTS = 256.0
"""Tokens of an answer, until an endpoint has told better."""

MOST_TOKENS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
"""Names of the parameter that bounds the tokens of an answer."""

_MEMORY = 20  # answers over which the means are taken
_write = encoder()


class TokenEstimate:
    """Tokens of a request before it is sent, learnt from what the endpoint reported.

    Input is the length of the body's JSON in characters over the ratio seen so far; output is
    `max_tokens` where it is set, for Databricks reserves that much (Foundation Model APIs limits
    and quotas), else the mean of the outputs so far. Safe for threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._characters = CHARACTERS
        self._outputs = OUTPUTS

    def before(self, bodies: Sequence[Json]) -> tuple[int, int]:
        """Estimated (input, output) tokens of one call."""
        inputs = int(sum(map(size_of, bodies)) / self._characters)
        outputs = sum(most_tokens(body) or self._outputs for body in bodies)
        return inputs, int(outputs)

    def after(
        self, usages: Sequence[Usage | None], bodies: Sequence[Json]
    ) -> tuple[int, int] | None:
        """What the call for *bodies* really used, or None where the endpoint does not tell."""
        known = [usage for usage in usages if usage is not None]
        if not known:
            return None
        inputs = sum(usage.input_tokens or 0 for usage in known)
        outputs = sum(usage.output_tokens or 0 for usage in known)
        with self._lock:
            self._outputs += (outputs / len(bodies) - self._outputs) / _MEMORY
            if inputs:
                seen = sum(map(size_of, bodies)) / inputs
                self._characters += (seen - self._characters) / _MEMORY
        return inputs, outputs


def size_of(body: Json) -> int:
    """The length of *body* as JSON, in bytes: nearly its characters."""
    return len(_write(body))


def most_tokens(body: Json) -> int | None:
    """How many tokens the answer to *body* may have; None where that is left open."""
    if not isinstance(body, dict):
        return None
    for name in MOST_TOKENS:
        most = body.get(name)
        if isinstance(most, int) and not isinstance(most, bool):
            return most
    return None
