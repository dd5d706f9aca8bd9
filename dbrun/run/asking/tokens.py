"""Tokens of a request before it is sent, for what counts them: rates, and what a run may spend."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence

from ...encoding import encoder
from ...types import Json, Usage

CHARACTERS = 4.0
"""Characters of JSON that make a token, until an endpoint has told better."""

DENSEST = 2.0
"""Characters of JSON that make a token where text is dense, until an endpoint has told better."""

OUTPUTS = 256.0
"""Tokens of an answer, until an endpoint has told better."""

MOST_TOKENS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
"""Names of the parameter that bounds the tokens of an answer."""

_MEMORY = 20  # answers over which the means are taken
_IMAGE = 6000  # characters that an image in a request is taken for, some 1,500 tokens
_write = encoder(plain_only=True)  # how a value is spelled makes no difference to its length


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
        self._fewest_characters: float | None = None
        self._most_outputs: float | None = None
        self._answered = 0

    def before(self, bodies: Sequence[Json]) -> tuple[int, int]:
        """Estimated (input, output) tokens of one call."""
        inputs = int(sum(map(size_of, bodies)) / self._characters)
        outputs = sum(most_tokens(body) or self._outputs for body in bodies)
        return inputs, int(outputs)

    def most(self, bodies: Sequence[Json]) -> tuple[int, int, float]:
        """The most (input, output) tokens of one call, as far as can be told, and beside how many
        others.

        Input is by the densest text seen so far. Where `max_tokens` does not bound the output, it
        is the longest answer so far, which the next may exceed: beside more calls than have been
        answered it is not safe to say so. Where all is bounded the number is infinite.
        """
        characters = self._fewest_characters or DENSEST
        inputs = math.ceil(sum(map(size_of, bodies)) / characters)
        usual = OUTPUTS if self._most_outputs is None else self._most_outputs
        bounds = [most_tokens(body) for body in bodies]
        outputs = sum(usual if bound is None else bound for bound in bounds)
        return inputs, math.ceil(outputs), self._answered if None in bounds else math.inf

    def after(
        self, usages: Sequence[Usage | None], bodies: Sequence[Json]
    ) -> tuple[int, int] | None:
        """What the call for *bodies* really used, or None where the endpoint does not tell."""
        known = [usage for usage in usages if usage is not None]
        inputs = sum(usage.input_tokens or 0 for usage in known)
        outputs = sum(usage.output_tokens or 0 for usage in known)
        with self._lock:
            self._answered += 1
            if not known:
                return None
            each = outputs / len(bodies)
            self._outputs += (each - self._outputs) / _MEMORY
            self._most_outputs = max(each, self._most_outputs or 0.0)
            if inputs:
                seen = sum(map(size_of, bodies)) / inputs
                self._characters += (seen - self._characters) / _MEMORY
                self._fewest_characters = min(seen, self._fewest_characters or seen)
        return inputs, outputs


def size_of(body: Json) -> int:
    """The length of *body* as JSON, in bytes: nearly its characters.

    An image that lies in it as a data URL counts as what it is worth in tokens.
    """
    text = _write(body)
    return len(text) if b";base64," not in text else len(_write(_without_images(body)))


def most_tokens(body: Json) -> int | None:
    """How many tokens the answers to *body* may have; None where that is left open."""
    if type(body) is not dict:
        return None
    params = body.get("params")  # where MLflow has them
    for place in (body, params) if type(params) is dict else (body,):
        for name in MOST_TOKENS:
            if name in place and type(most := place[name]) is int:
                return most * _answers(place)
    return None


def _answers(params: Mapping[str, Json]) -> int:
    """How many answers the endpoint is asked to make of one request."""
    if "n" not in params and "best_of" not in params:
        return 1
    asked = [params[name] for name in ("n", "best_of") if name in params]
    return max([1, *(count for count in asked if type(count) is int)])


def _without_images(value: Json) -> Json:
    if isinstance(value, str):
        is_data = value.startswith("data:") and ";base64," in value[:100]
        return "x" * _IMAGE if is_data else value
    if isinstance(value, Mapping):
        return {name: _without_images(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_images(item) for item in value]
    return value
