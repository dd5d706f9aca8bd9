"""Where a spec stands, and how what it writes becomes values: paths, functions, templates."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import SpecError
from ..frozen import frozen
from ..types import Json, Mark
from .files import read_text, shown
from .formats import STANDARD_INPUT
from .model import Reference
from .nodes import UNKNOWN, Findings, Node, Path, children, dotted, plain, walk
from .prompts import Text
from .schema import Rule, Schemas

_MARKERS = (".git", "pyproject.toml", "databricks.yml")


def find_project(folder: str) -> str:
    """The nearest folder upward that is a project's root; *folder* itself if there is none."""
    place = os.path.abspath(folder)
    while True:
        if any(os.path.exists(os.path.join(place, marker)) for marker in _MARKERS):
            return place
        above = os.path.dirname(place)
        if above == place:
            return os.path.abspath(folder)
        place = above


@frozen
class Site:
    """The project of a spec, the rules for its values, and the problems found in it so far."""

    project: str
    schemas: Schemas
    findings: Findings

    def sound(self, path: Path, node: Node | None) -> Node | None:
        """*node*, if nothing in it is known to be wrong."""
        if node is None or self.findings.spoils(path):
            return None
        # What is unknown has been reported where it comes from, which may be elsewhere.
        return None if any(inner.value is UNKNOWN for _, inner in walk(node)) else node

    def path(self, node: Node) -> str:
        """An absolute path; standard input stays `-`."""
        if node.value == STANDARD_INPUT:
            return STANDARD_INPUT
        return os.path.normpath(os.path.join(node.at.folder, os.path.expanduser(node.value)))

    def reference(self, node: Node, path: Path) -> Reference:
        """A function by its dotted path, or `{function, kwargs, from}`."""
        inner = node.get("function")
        named = inner or node
        kwargs, source = node.get("kwargs"), node.get("from")
        return Reference(
            path=named.value,
            folder=named.at.folder,
            project=self.project,
            kwargs=plain(kwargs) if kwargs is not None else {},
            from_raw=source is not None and source.value == "raw",
            where=named.at.mark,
            key=dotted(path),
        )

    def references(self, node: Node | None, path: Path) -> tuple[Reference, ...]:
        """One function or a list of them."""
        if node is None:
            return ()
        if isinstance(node.value, list):
            return tuple(self.reference(one, (*path, at)) for at, one in enumerate(node.value))
        return (self.reference(node, path),)

    def text(self, node: Node, path: Path) -> Text:
        """A template written in the spec."""
        at = node.at
        return Text(source=node.value, name=dotted(path), where=at.mark, folder=at.folder)

    def template(self, node: Node, path: Path) -> Text | None:
        """A template written in the spec, or `{file: path}`; None if the file is not to be had."""
        file = node.get("file")
        return self.text(node, path) if file is None else self._file(file, (*path, "file"))

    def file(self, node: Node, path: Path) -> tuple[str, str] | None:
        """The absolute path and the text of a file that the spec names, noting problems."""
        found = self.path(node)
        try:
            return found, read_text(found).removeprefix("\ufeff")
        except SpecError as error:
            first = error.problems[0]
            message = f"{node.value}: {first.message}"
            if first.where.line:
                message = f"{first.where}: {first.message}"
            self.findings.add(
                node.at, path, message, first.hint or "paths start at this file's folder"
            )
            return None

    def _file(self, node: Node, path: Path) -> Text | None:
        real = os.path.realpath(self.path(node))
        if not real.startswith(os.path.realpath(self.project).rstrip(os.sep) + os.sep):
            message = f"{node.value} lies outside the project"
            self.findings.add(node.at, path, message, "keep template files in the project")
            return None
        found = self.file(node, path)
        if found is None:
            return None
        name = shown(found[0])
        return Text(source=found[1], name=name, where=Mark(file=name), file=found[0])

    def options(
        self, node: Node, rules: Sequence[Rule], path: Path, leave_out: Sequence[str]
    ) -> dict[str, Any]:
        """A plug-in's options: values as data, but for what `x-kind` says they stand for."""
        held = self.schemas.holding(rules, node)
        return {
            key: self._value(child, self.schemas.inside(held, key), (*path, key))
            for key, child in node.value.items()
            if key not in leave_out
        }

    def _value(self, node: Node, rules: Sequence[Rule], path: Path) -> Any:
        held = self.schemas.holding(rules, node)
        kinds = {rule.schema.get("x-kind") for rule in held}
        for kind, make in self._makers.items():
            if kind in kinds:
                return make(node, path)
        parts = [
            (part, self._value(child, self.schemas.below(held, part, node), (*path, part)))
            for part, child in children(node)
        ]
        if isinstance(node.value, dict):
            return {str(part): value for part, value in parts}
        return [value for _, value in parts] if isinstance(node.value, list) else node.value

    @property
    def _makers(self) -> Mapping[str, Callable[[Node, Path], Any]]:
        return {
            "path": lambda node, _: self.path(node) if isinstance(node.value, str) else plain(node),
            "reference": self.reference,
            "template": self._templates,
            "credential": lambda node, _: plain(node),
        }

    def _templates(self, node: Node, path: Path) -> Any:
        """A structure whose texts are templates."""
        if isinstance(node.value, str):
            return self.text(node, path)
        if isinstance(node.value, dict):
            return {key: self._templates(one, (*path, key)) for key, one in node.value.items()}
        if isinstance(node.value, list):
            return [self._templates(one, (*path, at)) for at, one in enumerate(node.value)]
        return node.value


def value_of(node: Node | None, default: Json = None) -> Json:
    """The data of a value that may be absent."""
    return default if node is None else plain(node)
