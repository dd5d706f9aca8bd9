"""What is logged of a call: who was asked, how it ended, how long it took, how large it was.

Neither headers nor bodies are: they hold credentials and people's data.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...errors import EndpointError
from ...types import Json

if TYPE_CHECKING:
    from ...adapters.base import Adapter, Answer

_log = logging.getLogger(__name__)


def log_answers(
    adapter: Adapter, bodies: Sequence[Json], answers: Sequence[Answer], seconds: float
) -> None:
    """Log a call that brought *answers* after *seconds*."""
    if _log.isEnabledFor(logging.INFO):
        received = sum(len(answer.raw or _as_json(answer.body)) for answer in answers)
        _log.info("%s, received %d", _call(adapter, bodies, "200", seconds), received)


def log_failure(
    adapter: Adapter,
    bodies: Sequence[Json],
    error: EndpointError,
    seconds: float,
    delay: float | None,
) -> None:
    """Log a call that failed after *seconds* and is tried again after *delay*, or not at all."""
    if _log.isEnabledFor(logging.INFO):
        said = error.kind if error.status is None else f"{error.status} {error.kind}"
        after = "given up" if delay is None else f"again in {delay:.1f} s"
        _log.info("%s, %s", _call(adapter, bodies, said, seconds), after)


def _call(adapter: Adapter, bodies: Sequence[Json], ended: str, seconds: float) -> str:
    told = adapter.describe()
    name = " ".join(str(told[part]) for part in ("adapter", "name") if part in told)
    rows = f"{len(bodies)} rows, " if len(bodies) > 1 else ""
    sent = sum(len(_as_json(body)) for body in bodies)
    return f"{name}: {ended} in {seconds * 1000:.0f} ms, {rows}sent {sent} bytes"


def _as_json(value: Json) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "backslashreplace"
    )
