"""The layers of a spec, merged in order: what it extends, the file, a target, `--set`, `--var`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from ..errors import SpecError
from ..types import Json
from . import hints
from .document import parse, read
from .files import shown
from .formats import format_of
from .matrix import covered_by
from .merge import laid_at, overlay
from .nodes import Findings, Node, Path, Place, plain, walk
from .variables import with_variables
from .wording import found

_LAYERING = ("extends", "targets", "default_target")
_NOT_IN_TARGET = frozenset({*_LAYERING, "version"})
_MOST_PARENTS = 100
_OF_ROWS = ("jsonl", "csv", "parquet")


class Merged:
    """A spec with all layers merged, `${NAME}` as written, and where each value came from.

    *others* holds, for each target that was not chosen, its overlay and the spec as it would be
    with it.
    """

    def __init__(
        self, *, root: Node, target: str | None, others: Mapping[str, tuple[Node, Node]]
    ) -> None:
        self.root = root
        self.target = target
        self.others = others

    @cached_property
    def data(self) -> Json:
        """The ordinary data."""
        return plain(self.root)

    @cached_property
    def places(self) -> Mapping[Path, Place]:
        """Where each value was written."""
        return {path: node.at for path, node in walk(self.root)}


def merge_layers(
    path: str,
    *,
    target: str | None,
    overrides: Sequence[str],
    variables: Iterable[tuple[str, str]],
    typed_variables: Mapping[str, Json],
    findings: Findings,
) -> Merged:
    """The spec at *path* with everything laid over it. What is wrong with a layer is noted.

    Raises:
        SpecError: if a file cannot be read or makes no sense, with every problem found.
    """
    root = _Reader(findings).merged(path)
    if root is None or findings:
        raise SpecError(findings.problems)
    parts = dict(root.value)
    parts.pop("extends", None)
    targets = _targets(parts.pop("targets", None), findings)
    name = _chosen(target, parts.pop("default_target", None), targets, findings)
    if name is not None and name not in targets:
        raise SpecError(findings.problems)  # what else is wrong depends on what is laid over it
    base, given = root.with_value(parts), list(variables)

    def laid(overlaid: Node | None, findings: Findings) -> Node:
        root = base if overlaid is None else overlay(base, overlaid) or base
        for text in overrides:
            root = _override(root, text, findings)
        for name in dict.fromkeys([*(name for name, _ in given), *typed_variables]):
            if covered_by(["vars", name], root) is not None:
                place = Place(file="--var", folder=os.getcwd())
                message = "every variant of the matrix has a value of its own here"
                findings.add(place, ("vars", name), message, "leave it out")
        return with_variables(root, given, typed_variables, findings)

    others = {
        other: (overlaid, laid(overlaid, Findings()))
        for other, overlaid in targets.items()
        if other != name
    }
    chosen = targets.get(name) if name is not None else None
    return Merged(root=laid(chosen, findings), target=name, others=others)


class _Reader:
    """Reads a spec and what it extends, each file once."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._seen: dict[str, Node | None] = {}

    def merged(self, path: str, chain: tuple[str, ...] = ()) -> Node | None:
        """The spec at *path* over its parents; None if a problem was noted."""
        real = os.path.realpath(path)
        if real not in self._seen:
            self._seen[real] = self._read(path, (*chain, real))
        return self._seen[real]

    def _read(self, path: str, chain: tuple[str, ...]) -> Node | None:
        if format_of(path) in _OF_ROWS and os.path.isfile(path):
            place = Place(file=shown(path), folder=os.path.dirname(path))
            self._findings.add(
                place, (), "holds rows or results and is no spec", "name a YAML file"
            )
            return None
        try:
            root = read(path).root
        except SpecError as error:
            self._findings.take(error.problems)
            return None
        if not isinstance(root.value, dict):
            hint = "the smallest spec has the keys name, source, endpoint and prompt"
            self._findings.add(root.at, (), f"wants a mapping, found {found(root)}", hint)
            return None
        base: Node | None = None
        for parent in self._parents(root):
            layer = self._parent(parent, chain)
            if layer is not None:
                base = overlay(base, layer)
        return overlay(base, root)

    def _parents(self, root: Node) -> list[Node]:
        extends = root.get("extends")
        if extends is None or extends.value is None:
            return []
        named = extends.value if isinstance(extends.value, list) else [extends]
        if not all(isinstance(one.value, str) and one.value for one in named):
            message = f"wants a path or a list of paths, found {found(extends)}"
            self._findings.add(extends.place, ("extends",), message)
            return []
        return named

    def _parent(self, named: Node, chain: tuple[str, ...]) -> Node | None:
        path = os.path.join(named.at.folder, named.value)
        problem = self._refused(named.value, path, chain)
        if problem is None:
            return self.merged(path, chain)
        message, hint = problem
        self._findings.add(named.at, ("extends",), message, hint)
        return None

    def _refused(self, name: str, path: str, chain: tuple[str, ...]) -> tuple[str, str] | None:
        if "${" in name:
            return "no '${…}' is replaced in extends", "write the path"
        if "\0" in name or not os.path.exists(path):
            return f"there is no file {name}", "paths start at the folder of this file"
        if not os.path.isfile(path):
            return f"{name} is no file", "name a spec"
        real = os.path.realpath(path)
        if real in chain:
            names = [os.path.basename(one) for one in (*chain[chain.index(real) :], real)]
            return f"the specs extend each other in a circle: {' → '.join(names)}", "cut it"
        if len(chain) > _MOST_PARENTS:
            return f"more than {_MOST_PARENTS} specs extend one another", "extend fewer"
        return None


def _targets(node: Node | None, findings: Findings) -> Mapping[str, Node]:
    if node is None or node.value is None:
        return {}
    if not isinstance(node.value, dict):
        message = f"wants a mapping of targets by name, found {found(node)}"
        findings.add(node.place, ("targets",), message)
        return {}
    targets: dict[str, Node] = {}
    for name, target in node.value.items():
        path: Path = ("targets", name)
        if target.value is None:
            target = target.with_value({})
        if not isinstance(target.value, dict):
            message = f"wants a mapping of keys to replace, found {found(target)}"
            findings.add(target.place, path, message)
            continue
        for key in _NOT_IN_TARGET & target.value.keys():
            message = f"'{key}' cannot stand in a target"
            findings.add(target.value[key].key_place, (*path, key), message, "move it to the top")
        allowed = target.value.items()
        targets[name] = target.with_value({k: v for k, v in allowed if k not in _NOT_IN_TARGET})
    return targets


def _chosen(
    target: str | None, default: Node | None, targets: Mapping[str, Node], findings: Findings
) -> str | None:
    path: Path = ()
    if target is not None:
        default = Node(value=target, at=Place(file="--target", folder=os.getcwd()))
    elif default is not None and default.value is not None:
        path = ("default_target",)
    else:
        return None
    if not isinstance(default.value, str):
        message = f"wants the name of a target, found {found(default)}"
        findings.add(default.place, path, message)
        return None
    if default.value not in targets:
        hint = hints.for_name(default.value, targets, none="the spec has no targets")
        findings.add(default.place, path, f"there is no target '{default.value}'", hint)
    return default.value


def _override(root: Node, text: str, findings: Findings) -> Node:
    place = Place(file="--set", folder=os.getcwd())
    dotted_path, equals, value = text.partition("=")
    parts = dotted_path.strip().split(".")
    if not equals or not all(parts):
        findings.add(place, (), f"cannot read '{dotted_path}'", "write --set a.b.c=value")
        return root
    path = tuple(parts)
    if parts[0] in _LAYERING:
        findings.add(place, path, "cannot be set", "use --target, or edit the spec")
        return root
    if (axis := covered_by(parts, root)) is not None:
        hint = f"--set 'matrix.{axis}=[…]' sets its alternatives"
        findings.add(place, path, "every variant of the matrix has a value of its own here", hint)
        return root
    if parts[0] == "matrix" and len(parts) > 1:
        parts = ["matrix", ".".join(parts[1:])]  # its keys are paths themselves
    if parts[0] == "steps" and not _has_step(root, parts, place, findings):
        return root
    node = _parsed(value, path, place, findings)
    if node is None:
        return root
    if parts[0] == "steps" and len(parts) == 2 and not isinstance(node.value, (dict, type(None))):
        findings.add(place, path, f"wants a mapping, found {found(node)}")
        return root
    return laid_at(root, parts, node, place)


def _parsed(text: str, path: Path, place: Place, findings: Findings) -> Node | None:
    """The value of a setting; nothing at all is null."""
    if not text.strip():
        return Node(value=None, at=place)
    if text.strip() == "-":
        return Node(value="-", at=place)  # standard input, where YAML reads a list of nothing
    try:
        return parse(text, file=place.file, folder=place.folder, place=place)
    except SpecError as error:
        for problem in error.problems:
            findings.add(place, path, problem.message, problem.hint)
        return None


def _has_step(root: Node, parts: Sequence[str], place: Place, findings: Findings) -> bool:
    if len(parts) == 1:
        return True
    steps = root.get("steps")
    listed = steps.value if steps is not None and isinstance(steps.value, list) else []
    names = [str(name.value) for step in listed if (name := step.get("name")) is not None]
    if parts[1] in names:
        return True
    hint = hints.for_name(parts[1], names, none="the spec has no steps")
    findings.add(place, tuple(parts), f"there is no step '{parts[1]}'", hint)
    return False
