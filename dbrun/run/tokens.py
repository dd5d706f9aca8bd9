"""Tokens of a request before it is sent, for the limits that count them."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence

from ..types import Json, Usage


class TokenEstimate:
    """Tokens of a request before it is sent, learnt from what the endpoint reported.

    Input is the length of the body in characters over the ratio seen so far (4 to start with);
    output is `max_tokens` where it is set, for Databricks reserves that much (Foundation Model
    APIs limits and quotas), else the mean of the outputs so far.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._outputs = 256.0

    def before(self, bodies: Sequence[Json]) -> tuple[int, int]:
        """Estimated (input, output) tokens of one call."""
        inputs = sum(len(json.dumps(body)) for body in bodies) // 4
        outputs = 0
        for body in bodies:
            most = body.get("max_tokens") if isinstance(body, dict) else None
            outputs += most if isinstance(most, int) else int(self._outputs)
        return inputs, outputs

    def after(self, usages: Sequence[Usage | None]) -> tuple[int, int] | None:
        """What the call really used, or None where the endpoint does not tell."""
        known = [usage for usage in usages if usage is not None]
        if not known:
            return None
        outputs = sum(usage.output_tokens or 0 for usage in known)
        with self._lock:
            self._outputs += (outputs / len(known) - self._outputs) / 20
        return sum(usage.input_tokens or 0 for usage in known), outputs
