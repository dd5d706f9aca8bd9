"""A value and the place it was written at: what reading, merging and checking hand on.

A `Node` is a mapping, a list or a scalar whose parts are Nodes again, so that a value keeps its
place through merging and substitution. `plain` gives the ordinary data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

from ..frozen import frozen
from ..types import Json, Mark, Problem

Path: TypeAlias = tuple["str | int", ...]
"""The keys and indices that lead to a value; a step of a pipeline is named, not counted."""


class Unknown:
    """The value of a `${…}` that could not be read: reported once, then passed over."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@frozen
class Place:
    """Where something is written: *length* characters from *line* and *column* on.

    *folder* is the folder that relative paths written there start at (absolute).
    """

    file: str
    folder: str
    line: int = 0
    column: int = 0
    length: int = 1

    @property
    def mark(self) -> Mark:
        """The place without its extent."""
        return Mark(file=self.file, line=self.line, column=self.column)


@frozen
class Node:
    """A value, where it is written (*at*) and where its *key* is, if it has one.

    *loose* values have no text of their own to underline: block collections, whose first key is
    on another line, and values left empty. *empty* tells the latter from a written `null`.
    *weight* counts the values in it, itself included. *raw* is what was written where the value
    is that of a `${…}`.
    """

    value: Any
    at: Place
    key: Place | None = None
    loose: bool = False
    empty: bool = False
    weight: int = 1
    raw: str | None = None

    @property
    def place(self) -> Place:
        """What to underline when the value is at fault."""
        return self.key if self.loose and self.key else self.at

    @property
    def key_place(self) -> Place:
        """What to underline when the key is at fault."""
        return self.key or self.at

    def get(self, name: str) -> Node | None:
        """The value of a mapping's key; None if there is none, or this is no mapping."""
        found = self.value.get(name) if isinstance(self.value, dict) else None
        return found if isinstance(found, Node) else None

    def with_value(self, value: Any) -> Node:
        """The same place, another value."""
        return replace(self, value=value)


def entries(node: Node | None) -> Mapping[str, Node]:
    """The keys of a mapping with their values; none, if there is no mapping."""
    return node.value if node is not None and isinstance(node.value, dict) else {}


def plain(node: Node) -> Json:
    """The ordinary data of *node*."""
    value = node.value
    if isinstance(value, dict):
        return {key: plain(child) for key, child in value.items()}
    if isinstance(value, list):
        return [plain(child) for child in value]
    return value


def from_plain(data: Json, at: Place) -> Node:
    """*data* as Nodes that are all written at one place."""
    if isinstance(data, Mapping):
        children = {str(key): replace(from_plain(item, at), key=at) for key, item in data.items()}
        return Node(value=children, at=at)
    if isinstance(data, (list, tuple)):
        return Node(value=[from_plain(item, at) for item in data], at=at)
    return Node(value=data, at=at)


def walk(node: Node, path: Path = ()) -> Iterator[tuple[Path, Node]]:
    """Every value in *node* with its path, outer ones first."""
    yield path, node
    for part, child in children(node, path):
        yield from walk(child, (*path, part))


def children(node: Node, path: Path = ()) -> Iterator[tuple[str | int, Node]]:
    """The direct parts of *node*; steps of a pipeline go by their name."""
    if isinstance(node.value, dict):
        yield from node.value.items()
    elif isinstance(node.value, list):
        for index, child in enumerate(node.value):
            yield (item_part(child, index) if path[-1:] == ("steps",) else index), child


def item_part(item: Node, index: int) -> str | int:
    """How a path calls a step of a pipeline: by its name, else by its index."""
    name = item.get("name")
    return name.value if name is not None and isinstance(name.value, str) else index


def dotted(path: Path) -> str:
    """A path as messages write it: `steps.classify.stop[0]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def one_line(text: str) -> str:
    """*text* with a space for whatever would break the line or move the cursor."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


class Findings:
    """The problems found so far, and which parts of the file they spoil."""

    def __init__(self) -> None:
        self._found: dict[Problem, Path] = {}

    def add(
        self, place: Place, path: Path, message: str, hint: str = "", *, secret: bool = False
    ) -> None:
        """Note a problem at *place* with the value at *path*."""
        problem = Problem(
            where=place.mark,
            path=one_line(dotted(path)),
            message=one_line(message),
            hint=one_line(hint),
            length=place.length,
            secret=secret,
        )
        self._found.setdefault(problem, path)

    def take(self, problems: Iterable[Problem], path: Path = ()) -> None:
        """Note problems that were found elsewhere."""
        for problem in problems:
            self._found.setdefault(problem, path)

    def spoils(self, path: Path) -> bool:
        """Whether a problem lies at, in or around *path*."""
        return any(at[: len(path)] == path or path[: len(at)] == at for at in self._found.values())

    @property
    def problems(self) -> Sequence[Problem]:
        """All of them, by file and place."""
        return sorted(
            self._found,
            key=lambda found: (found.where.file, found.where.line, found.where.column),
        )

    def __bool__(self) -> bool:
        return bool(self._found)
