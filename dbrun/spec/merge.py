"""One mapping over another: the merging rules of a spec, with every value keeping its place.

Mappings merge deeply, lists and scalars replace, `null` removes. The exceptions are the
functions below: kinds, steps, inline response schemas, and prompts of different form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .nodes import Node, Path, Place

_KIND_KEYS = ("adapter", "format", "type")
_KIND_GROUPS = (
    frozenset({"env", "secret"}),
    frozenset({"file", "mlflow", "column"}),
    frozenset({"path", "table", "query", "rows", "function"}),
)
_STRING_FORMS = {"source": "path", "sink": "path", "engine": "type"}
_HOOKS = ("row", "input", "output")
_KEEPS_NULL = ("vars", "body", "kwargs")
RESPONSE_SCHEMA_KEYS = frozenset({"schema", "file", "mode", "reask"})


def overlay(base: Node | None, over: Node, path: Path = ()) -> Node | None:
    """*over* laid over what came before; None if nothing is left of the value at *path*.

    What stands in a target is laid over the spec later: its nulls are kept until then.
    """
    rule = _from_root(path)
    if over.value is None:
        kept = _keeps_null(path) or (base is None and over.empty)
        return over if kept else None
    if rule[-1:] == ("response_schema",) and _is_ours(rule):
        return _overlay_schema(base, over)
    base, over = _same_form(base, over, rule)
    if isinstance(over.value, dict):
        return _overlay_mapping(base, over, path)
    if rule == ("steps",) and isinstance(over.value, list):
        return _overlay_steps(base, over, path)
    return over


def _overlay_mapping(base: Node | None, over: Node, path: Path) -> Node:
    kept: dict[str, Node] = {}
    written = over
    if base is not None and isinstance(base.value, dict) and not _kind_changes(base, over):
        rivals = _rivals(over, _from_root(path))
        kept = {name: node for name, node in base.value.items() if name not in rivals}
        if not over.at.line:  # an option adds to what is written in the file, and stays there
            written = base
    for name, node in over.value.items():
        found = overlay(kept.get(name), node, (*path, name))
        if found is None:
            kept.pop(name, None)
        else:
            kept[name] = found
    return written.with_value(kept)


def _overlay_steps(base: Node | None, over: Node, path: Path) -> Node:
    steps = list(base.value) if base is not None and isinstance(base.value, list) else []
    places = {name: index for index, step in enumerate(steps) if (name := _name_of(step))}
    for step in over.value:
        name = _name_of(step)
        index = places.get(name) if name else None
        before = None if index is None else steps[index]
        found = overlay(before, step, (*path, name or "")) or step
        if index is None:
            steps.append(found)
        else:
            steps[index] = found
    return over.with_value(steps)


def _overlay_schema(base: Node | None, over: Node) -> Node:
    if base is None or not _is_wrapped(over):
        return over
    return over.with_value({**_wrapped(base), **_wrapped(over)})


def _is_wrapped(node: Node) -> bool:
    return isinstance(node.value, dict) and bool(RESPONSE_SCHEMA_KEYS & node.value.keys())


def _wrapped(node: Node) -> dict[str, Node]:
    if not _is_wrapped(node):
        return {"schema": node}
    found = dict(node.value)
    if "file" in found:
        file = found.pop("file")
        found["schema"] = replace(file, value={"file": file}, loose=False)
    return found


def _same_form(base: Node | None, over: Node, path: Path) -> tuple[Node | None, Node]:
    key = _STRING_FORMS.get(str(path[0])) if len(path) == 1 else None
    if path[-2:-1] == ("transforms",) and path[-1] in _HOOKS and _is_ours(path):
        key = "function"
    if key is None or base is None:
        return base, over
    if isinstance(base.value, str) and isinstance(over.value, dict):
        return _as_mapping(base, key), over
    if isinstance(base.value, dict) and isinstance(over.value, str):
        return base, _as_mapping(over, key)
    return base, over


def _as_mapping(node: Node, key: str) -> Node:
    return node.with_value({key: node})


def _kind_changes(base: Node, over: Node) -> bool:
    for key in _KIND_KEYS:
        old, new = base.get(key), over.get(key)
        if old is not None and new is not None and old.value != new.value:
            return True
    return any(
        bool(group & base.value.keys())
        and bool(group & over.value.keys())
        and not group & base.value.keys() & over.value.keys()
        for group in _KIND_GROUPS
    )


def _rivals(over: Node, path: Path) -> set[str]:
    forms: tuple[str, ...]
    if path == ():
        forms = ("prompt", "messages", "steps")
    elif path[:1] == ("steps",) and len(path) == 2:
        forms = ("prompt", "messages")
    else:
        return set()
    written = {form for form in forms if (node := over.get(form)) and node.value is not None}
    return set(forms) - written if written else set()


def _keeps_null(path: Path) -> bool:
    return path[:1] == ("targets",) or any(part in _KEEPS_NULL for part in path[:-1])


def _from_root(path: Path) -> Path:
    return path[2:] if path[:1] == ("targets",) and len(path) > 1 else path


def _is_ours(path: Path) -> bool:
    return path[0] not in ("vars", "params", "targets")


def _name_of(step: Node) -> str | None:
    name = step.get("name")
    return name.value if name is not None and isinstance(name.value, str) else None


def laid_at(root: Node, parts: Sequence[str], node: Node, place: Place) -> Node:
    """*root* with *node*, which is written at *place*, laid over what it has at *parts*."""
    steps = root.get("steps")
    if parts[:1] == ["steps"] and len(parts) == 2 and node.value is None and steps is not None:
        kept = [step for step in steps.value if _name_of(step) != parts[1]]
        return root.with_value({**root.value, "steps": steps.with_value(kept)})
    return overlay(root, _nested(parts, node, place)) or root


def _nested(parts: Sequence[str], node: Node, place: Place) -> Node:
    """*node* as the only value of mappings within each other, from the top of the spec."""
    if parts[:1] == ["steps"] and len(parts) > 1:
        name = Node(value=parts[1], at=place, key=place)
        step = _nested(parts[2:], node, place)
        # What is no mapping is left as it is, for the schema to refuse.
        is_step = isinstance(step.value, dict)
        named = step.with_value({"name": name, **step.value}) if is_step else step
        return Node(value={"steps": Node(value=[named], at=place, key=place)}, at=place)
    for part in reversed(parts):
        node = Node(value={part: replace(node, key=place)}, at=place)
    return node
