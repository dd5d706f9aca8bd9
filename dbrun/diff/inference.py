"""What the differences of pairs tell: intervals and tests. The distributions are scipy's."""

from __future__ import annotations

import math
from typing import NamedTuple

EXTRA = "pip install 'dbrun[stats]'"


class Estimate(NamedTuple):
    """An *interval* for the true difference, and the *p* of there being none."""

    interval: tuple[float, float]
    p: float


def has_library() -> bool:
    """Whether scipy is installed."""
    try:
        import scipy.special  # noqa: F401 - only whether it is there
    except ImportError:
        return False
    return True


def paired_t(count: int, mean: float, deviation: float, confidence: float) -> Estimate:
    """Student's t for *count* (two or more) differences of this *mean* and standard *deviation*.

    Where all differences are equal the interval has no width.
    """
    from scipy import special

    error = deviation / math.sqrt(count)
    if error == 0:
        return Estimate((mean, mean), 1.0 if mean == 0 else 0.0)
    reach = float(special.stdtrit(count - 1, (1 + confidence) / 2)) * error
    p = 2 * float(special.stdtr(count - 1, -abs(mean) / error))
    return Estimate((mean - reach, mean + reach), min(p, 1.0))


def exact_mcnemar(up: int, down: int, count: int, confidence: float) -> Estimate:
    """Of *count* pairs of booleans *up* became true and *down* became false.

    p is that of the exact test (McNemar 1947): among those that moved, either way is as likely.
    The interval is the one that goes with it, so that it holds 0 unless p is small (Fay 2010,
    "Two-sided exact tests and matching confidence intervals for discrete data"): that of Clopper
    and Pearson for the share that became true of those that moved, as a difference of means.
    """
    from scipy import special

    moved = up + down
    if moved == 0:
        return Estimate((0.0, 0.0), 1.0)
    tail = (1 - confidence) / 2
    low = 0.0 if up == 0 else float(special.betaincinv(up, down + 1, tail))
    high = 1.0 if down == 0 else float(special.betaincinv(up + 1, down, 1 - tail))
    p = min(1.0, 2 * float(special.bdtr(min(up, down), moved, 0.5)))
    share = moved / count
    return Estimate((share * (2 * low - 1), share * (2 * high - 1)), p)
