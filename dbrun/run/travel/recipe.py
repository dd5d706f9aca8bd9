"""A pipeline as it travels to other machines: with the source of its functions and templates.

What lies beside the spec, and not in an installed package, is carried along: the modules that its
functions come from, all that these import from the same folder, and the files that templates
include. Over there it is put on local disk, in the same places below a folder of its own.
"""

from __future__ import annotations

import ast
import hashlib
import os
import pickle
import secrets
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from ...errors import SinkError
from ...frozen import frozen
from ...spec.model import Reference, Spec
from ...spec.parsing import parsed
from ...spec.prompts import Text
from ...storage import make_spool, spool_folder
from ..pipeline import Pipeline

_PLACES: Mapping[type, tuple[str, ...]] = {
    Reference: ("folder", "project"),
    Text: ("file", "folder"),
    Spec: ("file", "folder", "project"),
}
"""The fields that say where something lies on the machine that read the spec."""


@frozen
class Recipe:
    """A *pipeline*, and the *files* that go with it by their absolute path at home."""

    pipeline: Pipeline
    files: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        """What identifies the recipe."""
        found = hashlib.sha256()
        for part in (self.pipeline.digest, *sorted(self.files)):
            found.update(part.encode() + b"\0")
            found.update(self.files.get(part, b"") + b"\0")
        return found.hexdigest()


def packed(pipeline: Pipeline, templates: Mapping[str, str]) -> Recipe:
    """*pipeline* ready to travel; *templates* is the text of included files, by their path from
    the project's root."""
    spec = pipeline.spec
    files = {
        os.path.join(spec.project, *name.split("/")): text.encode()
        for name, text in templates.items()
    }
    named = [(one.row, one.steps, one.scores, one.filters) for one in spec.branches]
    for reference in _references(named):
        top = reference.path.partition(":")[0].partition(".")[0]
        for folder in dict.fromkeys((reference.folder, reference.project)):
            _collect(top, folder, files)
    return Recipe(pipeline=replace(pipeline, warnings=()), files=files)


def unpacked(recipe: Recipe) -> Pipeline:
    """The pipeline of *recipe*, with its files put on this machine's disk.

    Raises:
        SinkError: they cannot be put there.
    """
    folder = spool_folder(f"recipe-{recipe.digest[:16]}")
    root = os.path.join(folder, "files")
    try:
        make_spool(folder)
        if not _holds(root, recipe.files):
            _put(root, recipe.files)
    except OSError as error:
        raise SinkError(
            f"{folder}: the functions of the spec cannot be put there: {error.strerror or error}",
            "mend it, or have DBRUN_SPOOL name a folder of this machine that can be written",
        ) from error
    return replace(recipe.pipeline, spec=_moved(recipe.pipeline.spec, root))


def is_picklable(recipe: Recipe) -> bool:
    """Whether all of *recipe* can be sent; plugins made by hand cannot always."""
    try:
        pickle.dumps(recipe)
    except (pickle.PicklingError, TypeError, AttributeError):
        return False
    return True


def _put(root: str, files: Mapping[str, bytes]) -> None:
    """Write all *files* below *root*: as a whole, for other processes do the same."""
    beside = f"{root}-{secrets.token_hex(4)}"
    try:
        os.makedirs(beside)
        for path, content in files.items():
            place = beside + path
            os.makedirs(os.path.dirname(place), exist_ok=True)
            with open(place, "wb") as stream:
                stream.write(content)
        try:
            os.replace(beside, root)
        except OSError:
            if _holds(root, files):  # somebody else was quicker
                return
            os.replace(root, f"{beside}-old")
            os.replace(beside, root)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(f"{beside}-old", ignore_errors=True)


def _holds(root: str, files: Mapping[str, bytes]) -> bool:
    try:
        for path, content in files.items():
            with open(root + path, "rb") as stream:
                if stream.read() != content:
                    return False
    except OSError:
        return False
    return os.path.isdir(root)


def _moved(value: Any, root: str) -> Any:
    """*value* with every place in it moved below *root*."""
    if is_dataclass(value) and not isinstance(value, type):
        places = _PLACES.get(type(value), ())
        changed = {}
        for one in fields(value):
            before = getattr(value, one.name)
            is_place = one.name in places and isinstance(before, str) and os.path.isabs(before)
            after = root + before if is_place else _moved(before, root)
            if after is not before:
                changed[one.name] = after
        return replace(value, **changed) if changed else value
    if isinstance(value, Mapping):
        made = {name: _moved(item, root) for name, item in value.items()}
        return made if any(made[name] is not value[name] for name in made) else value
    if isinstance(value, (list, tuple)):
        items = [_moved(item, root) for item in value]
        same = all(one is other for one, other in zip(items, value, strict=True))
        return value if same else type(value)(items)
    return value


def _references(value: Any) -> Iterator[Reference]:
    """Every function that is named anywhere in *value*."""
    if isinstance(value, Reference):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for one in fields(value):
            yield from _references(getattr(value, one.name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _references(item)


def _collect(top: str, folder: str, files: dict[str, bytes]) -> None:
    """Add the module or package *top* of *folder*, and what it imports from there."""
    wanted = [top]
    while wanted:
        for path in _sources(os.path.join(folder, wanted.pop())):
            if path not in files:
                with open(path, "rb") as stream:
                    files[path] = stream.read()
                wanted += _imported(files[path])


def _sources(stem: str) -> Iterator[str]:
    if os.path.isfile(stem + ".py"):
        yield stem + ".py"
    for folder, folders, names in os.walk(stem):
        folders[:] = [name for name in folders if name.isidentifier() and name != "__pycache__"]
        yield from (os.path.join(folder, name) for name in sorted(names) if name.endswith(".py"))


def _imported(source: bytes) -> Iterator[str]:
    """The first names of what *source* imports, those that only siblings can be among them."""
    try:
        tree = parsed(source)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module:
                yield node.module.partition(".")[0]
            else:
                yield from (alias.name for alias in node.names)
