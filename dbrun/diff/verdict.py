"""Whether a comparison can say that nothing got worse."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import PluginError
from .inference import EXTRA
from .model import Comparison


def require_judged(comparisons: Sequence[Comparison]) -> None:
    """Have no score pass unjudged.

    Raises:
        PluginError: there are scores, and what their intervals take is not installed.
    """
    if any(one.lacks_library for one in comparisons):
        raise PluginError("whether a score got worse takes scipy, which is not installed", EXTRA)
