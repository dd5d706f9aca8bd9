"""Keys of the spec format that this version does not run yet: said at their line, never ignored.

One line for each. A feature that comes to run loses its line here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..frozen import frozen
from .nodes import Findings, Node, Path


def _always(node: Node) -> bool:
    return True


@frozen
class Pending:
    """A *path* (`*` is any one key) whose values that *holds* is true of are not run yet."""

    path: tuple[str, ...]
    holds: Callable[[Node], bool] = _always
    label: str = ""

    def matches(self, path: Path) -> bool:
        """Whether *path*, which is as long, is one that this line is about."""
        return all(wanted in ("*", part) for wanted, part in zip(self.path, path, strict=True))


PENDING = (Pending(path=("tests",)),)

_BY_PLACE: Mapping[tuple[Path, int], Sequence[Pending]] = {
    place: tuple(line for line in PENDING if (line.path[:1], len(line.path)) == place)
    for place in {(line.path[:1], len(line.path)) for line in PENDING}
}


def report(node: Node, path: Path, findings: Findings) -> bool:
    """Whether the value at *path* is of a feature to come; if so, that is noted."""
    lines = _BY_PLACE.get((path[:1], len(path)), ())
    line = next((line for line in lines if line.matches(path) and line.holds(node)), None)
    if line is None:
        return False
    label = line.label or ".".join(str(part) for part in path)
    message = f"`{label}` is part of the spec format, but this version of dbrun does not run it yet"
    findings.add(node.key_place, path, message)
    return True
