"""What differs in two recipes: the merged specs, and what their manifests tell by digest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from ..canonical import canonical
from ..report.html.sides import mapping
from ..types import Json
from .model import Change, Side

_ABSENT = object()


def changes(old: Side, new: Side) -> tuple[Change, ...]:
    """All that differs between the recipes of the two sides, as far as they are known."""
    found = list(_spec_changes(spec_of(old), spec_of(new)))
    one, other = old.manifest, new.manifest
    if one is not None and other is not None:
        found += _prompts(one, other, found)
        found += _by_digest("function", _digests(one, "functions"), _digests(other, "functions"))
        found += _served(one, other)
        found += _rows(one, other)
        found += _versions(one, other)
    return tuple(found)


def spec_of(side: Side) -> Mapping[str, Any] | None:
    """The merged spec of *side*; None if it is not known."""
    if side.spec is not None:
        return side.spec
    return mapping((side.manifest or {}).get("spec")) or None


def _spec_changes(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Iterator[Change]:
    if old is None or new is None:
        return
    before, after = (
        # Tests are about the recipe, and no part of it: no answer depends on them.
        dict(_leaves({name: value for name, value in spec.items() if name != "tests"}))
        for spec in (old, new)
    )
    for path in [*before, *(path for path in after if path not in before)]:
        one, other = before.get(path, _ABSENT), after.get(path, _ABSENT)
        if one is _ABSENT or other is _ABSENT or not same(one, other):
            yield _change("spec", path, one, other)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no mapping or list, under its dotted path."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, (list, tuple)) and value:
        for name, inner in zip(_places(value), value, strict=True):
            yield from _leaves(inner, f"{path}{name}")
    elif path:
        yield path, value


def _places(items: Any) -> list[str]:
    """How the items of a list are called: by their names (steps, scores, values of a matrix) if
    all have one of their own, else by their numbers."""
    names = [item.get("name") if isinstance(item, Mapping) else None for item in items]
    if all(isinstance(name, str) for name in names) and len(set(names)) == len(names):
        return [f".{name}" for name in names]
    return [f"[{number}]" for number in range(len(items))]


def _change(what: Literal["spec"], path: str, old: Any, new: Any) -> Change:
    if old is _ABSENT:
        return Change(what=what, path=path, how="added", new=new)
    if new is _ABSENT:
        return Change(what=what, path=path, how="removed", old=old)
    return Change(what=what, path=path, how="changed", old=old, new=new)


def _prompts(
    old: Mapping[str, Any], new: Mapping[str, Any], known: list[Change]
) -> Iterator[Change]:
    """Prompts whose text differs although the spec names the same ones: they are in files."""
    told = [change.path for change in known]
    before, after = _digests(old, "templates"), _digests(new, "templates")
    seen: set[str] = set()
    for name, digest in after.items():
        text = name.split(":", 1)[-1]
        if text in seen or before.get(name, digest) == digest:
            continue
        seen.add(text)
        if not any(_stands_at(path, text) for path in told):
            yield Change(what="prompt", path=text, how="changed")


def _stands_at(path: str, text: str) -> bool:
    """Whether the change at *path* of the spec is one of the text that is called so."""
    return path == text or path.endswith(f".{text}") or f"{text}." in path or f"{text}[" in path


def _by_digest(
    what: Literal["function"], old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[Change]:
    for name in sorted(old.keys() & new.keys()):
        if old[name] != new[name]:
            yield Change(what=what, path=name, how="changed")


def _served(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """Models and versions that answered on one side only."""
    before, after = _models(old), _models(new)
    if before and after and before != after:
        yield Change(
            what="model", path="models", how="changed", old=sorted(before), new=sorted(after)
        )


def _models(manifest: Mapping[str, Any]) -> set[str]:
    endpoints = manifest.get("endpoints")
    return {
        str(name)
        for endpoint in (endpoints if isinstance(endpoints, list) else [])
        for name in mapping(mapping(endpoint).get("models"))
    }


def _rows(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    before = mapping(old.get("digests")).get("source")
    after = mapping(new.get("digests")).get("source")
    if isinstance(before, str) and isinstance(after, str) and before != after:
        yield Change(what="rows", path="source", how="changed")


def _versions(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    before = mapping(old.get("versions")).get("dbrun")
    after = mapping(new.get("versions")).get("dbrun")
    if before and after and before != after:
        yield Change(what="dbrun", path="dbrun", how="changed", old=str(before), new=str(after))


def _digests(manifest: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return mapping(mapping(manifest.get("digests")).get(name))


def same(old: Json, new: Json) -> bool:
    """Whether two JSON values are the same: 1 is 1.0, but no true."""
    if isinstance(old, str) or isinstance(new, str) or old is None or new is None:
        return bool(old == new)
    if old != new:
        return False
    try:
        return canonical(old) == canonical(new)
    except (TypeError, ValueError, RecursionError):
        return True
