"""The variants of a matrix: each a spec of its own, merged with one alternative of every axis."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence

from ..frozen import frozen
from ..types import Json
from . import hints
from .conditions import same
from .merge import laid_at
from .nodes import Findings, Node, Path, entries, plain

ROOTS = (
    "prompt",
    "messages",
    "endpoint",
    "endpoints",
    "stop",
    "params",
    "response_schema",
    "transforms",
    "steps",
    "vars",
)
"""Where the dotted path of an axis may begin."""

_MOST = 1000
_LONGEST = 40  # characters of a value that stands for itself in a name
_SPECIAL = ("include", "exclude")
_NAMES = ("name", "model", "adapter")


@frozen
class Alternative:
    """One value of an axis, called *label*."""

    label: str
    value: Node


@frozen
class Variant:
    """One combination: its *name*, its *values* by dotted path, and the merged spec *root*."""

    name: str
    values: Mapping[str, Json]
    root: Node


def variants(root: Node, findings: Findings) -> list[Variant]:
    """The variants of the spec *root*, which has a `matrix`; problems are noted."""
    matrix = root.get("matrix")
    if matrix is None or not isinstance(matrix.value, dict):
        return []
    axes = _axes(matrix, root, findings)
    count = 1
    for alternatives in axes.values():
        count *= len(alternatives)
    if count > _MOST:
        message = f"makes {count:,} variants; {_MOST:,} are the most"
        findings.add(matrix.place, ("matrix",), message, "take fewer alternatives, or exclude some")
        return []
    combinations = _product(axes)
    kept = _without_excluded(combinations, matrix.get("exclude"), axes, findings)
    kept += _included(matrix.get("include"), axes, root, findings)
    if not kept and not findings:
        findings.add(matrix.place, ("matrix",), "no variant is left", "name an alternative")
    base = root.with_value({key: one for key, one in root.value.items() if key != "matrix"})
    names = _unique([_name(combination) for combination in kept])
    return [
        Variant(
            name=name,
            values={path: plain(one.value) for path, one in combination.items()},
            root=_merged(base, combination),
        )
        for name, combination in zip(names, kept, strict=True)
    ]


def _axes(matrix: Node, root: Node, findings: Findings) -> dict[str, list[Alternative]]:
    axes: dict[str, list[Alternative]] = {}
    for path, node in entries(matrix).items():
        if path in _SPECIAL or not _is_path(path, node, root, findings):
            continue
        if not isinstance(node.value, list) or not node.value:
            continue  # which the schema says
        axes[path] = _labelled(node.value)
    return axes


def _is_path(path: str, node: Node, root: Node, findings: Findings) -> bool:
    first, *rest = path.split(".")
    at: Path = ("matrix", path)
    if first not in ROOTS or not all(rest):
        hint = hints.for_name(first, ROOTS)
        if path in hints.PARAMS:
            hint = f"write params.{path}"
        findings.add(node.key_place, at, "no variant can differ in this", hint)
        return False
    known: Sequence[str] | None = None
    if first == "vars" and rest:
        known = list(entries(root.get("vars")))
    elif first == "steps" and rest:
        steps = root.get("steps")
        listed = steps.value if steps is not None and isinstance(steps.value, list) else []
        known = [str(name.value) for step in listed if (name := step.get("name")) is not None]
    if known is not None and rest[0] not in known:
        what = "variable" if first == "vars" else "step"
        hint = hints.for_name(rest[0], known, none=f"the spec has no {what}s")
        findings.add(node.key_place, at, f"there is no {what} '{rest[0]}'", hint)
        return False
    return True


def _labelled(nodes: Sequence[Node]) -> list[Alternative]:
    """Alternatives with labels that tell them apart."""
    made = []
    for number, node in enumerate(nodes, start=1):
        name, value = node.get("name"), node.get("value")
        if name is not None and value is not None and len(node.value) == 2:
            made.append(Alternative(label=str(name.value), value=value))
        else:
            made.append(Alternative(label=_label(node) or str(number), value=node))
    labels = [one.label for one in made]
    if len(set(labels)) < len(labels):  # files of one name in several folders
        whole = [_file_of(one.value) or one.label for one in made]
        labels = whole if len(set(whole)) == len(whole) else labels
    unique = _unique(labels)
    return [
        Alternative(label=label, value=one.value) for label, one in zip(unique, made, strict=True)
    ]


def _label(node: Node) -> str | None:
    value = node.value
    if isinstance(value, dict):
        file = _file_of(node)
        if file is not None:
            return os.path.basename(file)
        named = [node.get(key) for key in _NAMES]
        return next((str(one.value) for one in named if one and isinstance(one.value, str)), None)
    if isinstance(value, list):
        text = json.dumps(plain(node), ensure_ascii=False)
    else:
        text = value if isinstance(value, str) else json.dumps(value)
    fits = len(text) <= _LONGEST and "\n" not in text and "{{" not in text
    return text if text and fits else None


def _file_of(node: Node) -> str | None:
    file = node.get("file")
    return file.value if file is not None and isinstance(file.value, str) else None


Combination = Mapping[str, Alternative]


def _product(axes: Mapping[str, Sequence[Alternative]]) -> list[Combination]:
    if not axes:
        return []
    return [dict(zip(axes, one, strict=True)) for one in itertools.product(*axes.values())]


def _without_excluded(
    combinations: Sequence[Combination],
    exclude: Node | None,
    axes: Mapping[str, Sequence[Alternative]],
    findings: Findings,
) -> list[Combination]:
    kept = list(combinations)
    for index, one in _items(exclude):
        at: Path = ("matrix", "exclude", index)
        if _strangers(one, at, axes, findings):
            continue
        fitting = [
            combination
            for combination in combinations
            if all(_is(combination[path], node) for path, node in entries(one).items())
        ]
        if not fitting:
            hint = "name alternatives by their value or their name"
            findings.add(one.place, at, "leaves nothing out", hint)
        kept = [combination for combination in kept if combination not in fitting]
    return kept


def _strangers(
    one: Node, at: Path, axes: Mapping[str, Sequence[Alternative]], findings: Findings
) -> bool:
    strange = [path for path in entries(one) if path not in axes]
    for path in strange:
        hint = hints.for_name(path, axes, none="the matrix has no lists of alternatives")
        place = one.value[path].key_place
        findings.add(place, (*at, path), "is none of the matrix's paths", hint)
    return bool(strange)


def _included(
    include: Node | None,
    axes: Mapping[str, Sequence[Alternative]],
    root: Node,
    findings: Findings,
) -> list[Combination]:
    added: list[Combination] = []
    for _, one in _items(include):
        combination: dict[str, Alternative] = {}
        for path, node in entries(one).items():
            if not _is_path(path, node, root, findings):
                continue
            known = next((each for each in axes.get(path, ()) if _is(each, node)), None)
            combination[path] = known or _labelled([node])[0]
        if combination:
            added.append(combination)
    return added


def _items(node: Node | None) -> Iterator[tuple[int, Node]]:
    listed = node.value if node is not None and isinstance(node.value, list) else []
    return ((index, one) for index, one in enumerate(listed) if isinstance(one.value, dict))


def _is(alternative: Alternative, node: Node) -> bool:
    return alternative.label == node.value or same(plain(alternative.value), plain(node))


def _name(combination: Combination) -> str:
    return ",".join(f"{path}={one.label}" for path, one in combination.items())


def _unique(names: Sequence[str]) -> list[str]:
    """*names*, those that are there before with a number behind them."""
    seen: dict[str, int] = {}
    made: list[str] = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique = name if seen[name] == 1 else f"{name}#{seen[name]}"
        while unique in made:
            seen[name] += 1
            unique = f"{name}#{seen[name]}"
        made.append(unique)
    return made


def _merged(base: Node, combination: Combination) -> Node:
    for path, one in combination.items():
        base = laid_at(base, path.split("."), one.value, one.value.at)
    return base


def matrix_paths(root: Node) -> list[str]:
    """The paths in which the variants of *root* differ."""
    matrix = root.get("matrix")
    paths = dict.fromkeys(path for path in entries(matrix) if path not in _SPECIAL)
    include = matrix.get("include") if matrix is not None else None
    for _, one in _items(include):
        paths.update(dict.fromkeys(entries(one)))
    return list(paths)


def covered_by(path: Sequence[str], root: Node) -> str | None:
    """The path of the matrix that a setting of *path* would be overridden by; None if none is."""
    for known in matrix_paths(root):
        parts = known.split(".")
        if list(path[: len(parts)]) == parts:
            return known
    return None
