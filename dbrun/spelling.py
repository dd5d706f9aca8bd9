"""What somebody may have meant by a name that there is not."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that *name* is most like, if it is much like one."""
    wanted = name.lower()
    slips = {candidate: _slips(wanted, candidate.lower()) for candidate in known}
    best = min(slips, key=lambda candidate: (slips[candidate], candidate), default=None)
    most = min(1 + (len(name) > 5) + (len(name) > 9), len(name) - 1)
    if best is None or slips[best] > most:
        longer = [one for one in slips if len(name) > 2 and one.lower().startswith(wanted)]
        shortest = min(longer, key=len, default=None)
        is_stem = shortest is not None and all(one.startswith(shortest) for one in longer)
        return shortest if is_stem else None
    return best


def _slips(left: str, right: str) -> int:
    """How many letters to add, drop, change or swap with their neighbour to make *right*."""
    before: list[int] = []
    above = list(range(len(right) + 1))
    for row, letter in enumerate(left, start=1):
        current = [row]
        for column, other in enumerate(right, start=1):
            least = min(above[column] + 1, current[-1] + 1, above[column - 1] + (letter != other))
            swapped = (
                row > 1 and column > 1 and left[row - 2 : row] == right[column - 2 : column][::-1]
            )
            current.append(min(least, before[column - 2] + 1) if swapped else least)
        before, above = above, current
    return above[-1]
