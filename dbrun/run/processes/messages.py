"""What a run and its worker processes tell each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter

from ...frozen import frozen
from ...spec.model import Spec
from ...types import Failure, Json, Record, Score, StepResult, Timing, Usage
from ..opening import Surroundings
from ..rows.items import Item


@frozen
class Assignment:
    """What a worker process is to do: its part of *spec* (limits divided), its *number*.

    *claims* is the path of the claims that it shares with the others; *add* and *omit* are of the
    sink that the records are for, *whole* is true where it takes no ready lines. *paid* tells that
    spending is limited: whoever deals has the purse. *level* is that of the log.
    """

    spec: Spec
    around: Surroundings
    number: int
    mode: str
    since: int
    send: bool
    images_folder: str | None
    claims: str | None
    add: frozenset[str] = frozenset()
    omit: frozenset[str] = frozenset()
    whole: bool = False
    paid: bool = False
    level: int = 0


@frozen
class Pace:
    """How one endpoint's limit stands in one process; moments are of the machine's clock."""

    limit: int
    in_flight: int
    held_for: float
    waited: float
    started: float
    history: tuple[tuple[float, int, str], ...]


_CUT = StepResult(output=None, finish_reason="length")


class Outline:
    """What is counted of a record, beside its line: all that the parent needs to know of it.

    To whoever counts it looks like the record itself.
    """

    __slots__ = (
        "cost",
        "failure",
        "id",
        "last",
        "line",
        "repeat",
        "scores",
        "status",
        "timing",
        "usage",
        "variant",
    )

    def __init__(
        self,
        line: bytes,
        id: str,
        status: str,
        is_cut: bool,
        usage: tuple[int | None, ...] | None,
        cost: float | None,
        failure: Failure | None,
        repeat: int | None = None,
        variant: str | None = None,
        scores: Mapping[str, Score] | None = None,
        latency: float | None = None,
    ) -> None:
        self.line = line
        self.id = id
        self.status = status
        self.last = _CUT if is_cut else None
        self.usage = _usage(*usage) if usage is not None else None
        self.cost = cost
        self.failure = failure
        self.repeat = repeat
        self.variant = variant
        self.scores = scores
        self.timing = Timing(latency=latency, reused=False) if latency is not None else None


def _usage(*counts: int | None) -> Usage:
    inputs, outputs, total, cached, reasoning = counts
    return Usage(
        input_tokens=inputs,
        output_tokens=outputs,
        total_tokens=total,
        cached_input_tokens=cached,
        reasoning_tokens=reasoning,
    )


Told = tuple[
    bytes,
    str,
    str,
    bool,
    "tuple[int | None, ...] | None",
    "float | None",
    "Failure | None",
    "int | None",
    "str | None",
    "Mapping[str, Score] | None",
    "float | None",
]
"""An outline on its way: the arguments of `Outline`."""


def told(record: Record, line: bytes) -> Told:
    """The outline of *record*, to travel."""
    last, usage, timing = record.last, record.usage, record.timing
    # How long calls took is counted where they are made, but for variants, which are compared.
    is_timed = record.variant is not None and timing is not None and not timing.reused
    return (
        line,
        record.id,
        record.status,
        last is not None and last.finish_reason == "length",
        None
        if usage is None
        else (
            usage.input_tokens,
            usage.output_tokens,
            usage.total_tokens,
            usage.cached_input_tokens,
            usage.reasoning_tokens,
        ),
        record.cost,
        record.failure,
        record.repeat,
        record.variant,
        record.scores,
        timing.latency if is_timed and timing is not None else None,
    )


_FIELDS = tuple(Item.__dataclass_fields__)

pack: Callable[[Item], tuple[Json, ...]] = attrgetter(*_FIELDS)
"""An item, to travel: as an object it takes several times as long."""


def unpack(packed: tuple[Json, ...]) -> Item:
    """The item that `pack` made small."""
    return Item(**dict(zip(_FIELDS, packed, strict=True)))


# From the run: ("items", first number, [packed, …]) · ("end",) · ("halt",) · ("leave",)
#               ("money", token, amount | None | error)
# From a worker: ("ready", calls at once) · ("told", [(number, told | record), …], counts, paces)
#                ("take", token, amount, beside) · ("settle", taken, cost)
#                ("log", name, level, text) · ("error", error, trace) · ("done", [segment, …])
