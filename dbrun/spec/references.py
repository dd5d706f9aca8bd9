"""From `package.module:function` to the function, or to what is wrong with it.

A module is looked for among the installed packages, then beside the file that wrote the path,
then at the project's root. The latter two are loaded under module names of their own (see
`private`), so that two pipelines never collide and the import path is left alone.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from ..errors import SpecError
from ..frames import raised
from ..frozen import frozen
from ..types import Problem
from . import modules
from .model import Reference
from .signatures import check_signature

__all__ = ["Resolver", "check_signature"]

_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*(\.[^\W\d]\w*)*)?")
_MOST_NAMES = 12


@frozen
class _Found:
    """A module found for a reference: where it is, and the attributes to follow in it."""

    spec: ModuleSpec
    module: str
    attributes: tuple[str, ...]


class Resolver:
    """Finds the functions that a pipeline names.

    Modules beside pipelines that were edited since another resolver loaded them are loaded
    again.
    """

    def __init__(self) -> None:
        self._fresh: set[str] = set()

    def resolve(self, reference: Reference) -> Callable[..., Any]:
        """The function that *reference* names; this imports its module.

        Raises:
            SpecError: there is no such module or function, or the module fails to import.
        """
        lacking: Problem | None = None
        for found in self._candidates(reference):
            module = self._import(found, reference)
            value: Any = module
            for depth, name in enumerate(found.attributes):
                if not hasattr(value, name):
                    lacking = _lacking(reference, found, depth, name, _names_of(value))
                    break
                value = getattr(value, name)
            else:
                if not callable(value):
                    message = f"'{reference.path}' is no function but a {type(value).__name__}"
                    raise SpecError([_problem(reference, message)])
                if inspect.iscoroutinefunction(value) or inspect.isasyncgenfunction(value):
                    message = f"'{reference.path}' is async, and nothing would await it"
                    hint = "write a plain def, with asyncio.run in it"
                    raise SpecError([_problem(reference, message, hint)])
                return value  # type: ignore[no-any-return]
        raise SpecError([lacking or self._not_found(reference)])

    def find(self, reference: Reference) -> Problem | None:
        """What is wrong with *reference*, as far as can be told without importing anything."""
        lacking: Problem | None = None
        try:
            for found in self._candidates(reference):
                names = modules.names_in(found.spec)
                first = found.attributes[0]
                if names is None or first in names:
                    return None
                lacking = _lacking(reference, found, 0, first, names)
        except SpecError as error:
            return error.problems[0]
        except SyntaxError as error:
            return _problem(reference, _cannot(reference, _syntax(error)))
        return lacking or self._not_found(reference)

    def source_digest(self, reference: Reference) -> str:
        """The SHA-256 of the source text of the module that *reference* names.

        A module without source is known by its bytes, one of the interpreter by its name.

        Raises:
            SpecError: there is no such module.
        """
        for found in self._candidates(reference):
            names = _names_or_none(found.spec)
            if names is not None and found.attributes[0] not in names:
                continue
            return hashlib.sha256(modules.source_of(found.spec, found.attributes[0])).hexdigest()
        problem = self.find(reference) or self._not_found(reference)
        raise SpecError([problem])

    def _candidates(self, reference: Reference) -> Iterator[_Found]:
        path = reference.path
        is_file = ".py:" in path
        if is_file or not _PATH.fullmatch(path) or (":" not in path and "." not in path):
            hint = "write package.module:function"
            if is_file:
                hint = f"write {path.replace('.py:', ':').replace('/', '.')}"
            raise SpecError([_problem(reference, f"'{path}' is no path to a function", hint)])
        places: list[str | None] = list(dict.fromkeys((reference.folder, reference.project)))
        # What is merely importable from where the command was started comes last.
        places.insert(0 if modules.is_installed(path.partition(":")[0]) else len(places), None)
        for place in places:
            for module, attributes in _readings(path):
                spec = modules.find(module, place)
                if spec is not None:
                    yield _Found(spec=spec, module=module, attributes=attributes)
                    break

    def _import(self, found: _Found, reference: Reference) -> ModuleType:
        name = found.spec.name
        try:
            package = modules.private_package(name)
            if package and package not in self._fresh:
                modules.forget_if_edited(package)
                self._fresh.add(package)
            return importlib.import_module(name)
        except SyntaxError as error:
            raise SpecError([_problem(reference, _cannot(reference, _syntax(error)))]) from error
        except (Exception, SystemExit) as error:
            said = raised(error)
            place = modules.place_of(error, found.spec, reference.project)
            what = f"{place} {said}" if place else f"module '{found.module}' {said}"
            raise SpecError([_problem(reference, _cannot(reference, what))]) from error

    def _not_found(self, reference: Reference) -> Problem:
        module = reference.path.partition(":")[0]
        if ":" not in reference.path:
            module = module.rpartition(".")[0]
        what = (
            f"there is no module '{module}' among the installed packages, beside the file, "
            "or at the project's root"
        )
        near = modules.near(module, (reference.folder, reference.project))
        hint = f"did you mean '{near}'?" if near else ""
        return _problem(reference, _cannot(reference, what), hint)


def _readings(path: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    module, colon, attributes = path.partition(":")
    if colon:
        yield module, tuple(attributes.split("."))
        return
    # Without a colon the longest module wins: `package.module.Class.method`.
    parts = path.split(".")
    for end in range(len(parts) - 1, 0, -1):
        yield ".".join(parts[:end]), tuple(parts[end:])


def _problem(reference: Reference, message: str, hint: str = "") -> Problem:
    return Problem(
        where=reference.where,
        path=reference.key,
        message=message,
        hint=hint,
        length=len(reference.path),
    )


def _cannot(reference: Reference, why: str) -> str:
    return f"cannot import '{reference.path}': {why}"


def _lacking(
    reference: Reference, found: _Found, depth: int, name: str, names: list[str]
) -> Problem:
    owner = ".".join([found.module, *found.attributes[:depth]])
    kind = "module" if depth == 0 else "class"
    why = f"{kind} '{owner}' has no '{name}'"
    public = [known for known in names if not known.startswith("_")]
    shown = ", ".join(public[:_MOST_NAMES])
    more = f" and {len(public) - _MOST_NAMES} more" if len(public) > _MOST_NAMES else ""
    hint = f"it has {shown}{more}" if public else "it is empty"
    return _problem(reference, _cannot(reference, why), hint)


def _names_of(owner: Any) -> list[str]:
    if not inspect.ismodule(owner):
        return dir(owner)
    found = {name: value for name, value in vars(owner).items() if callable(value)}
    own = [
        name
        for name, value in found.items()
        if getattr(value, "__module__", None) == owner.__name__
    ]
    return own or list(found)


def _names_or_none(spec: ModuleSpec) -> list[str] | None:
    try:
        return modules.names_in(spec)
    except SyntaxError:
        return None


def _syntax(error: SyntaxError) -> str:
    file = (error.filename or "the module").replace("\\", "/").rpartition("/")[2]
    return f"{file}:{error.lineno or 1} is no Python: {error.msg}"
