"""The Jinja environment: immutable, strict, bounded, without clock and chance."""

from __future__ import annotations

import functools
import posixpath
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.runtime import Context, StrictUndefined, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer

from . import bounds, filters
from .loading import ProjectFiles

_PLAIN = frozenset({str, int, float, bool, list, tuple, dict, range, type(None)})
_SIZED = ("batch", "center", "indent", "round", "slice")


class UndefinedName(jinja2.UndefinedError):
    """A name that is not there: *name*, and the *owner* it was looked up in (`missing` for the
    scope itself)."""

    def __init__(self, message: str, name: Any, owner: Any) -> None:
        super().__init__(message)
        self.name = name
        self.owner = owner


class _Undefined(StrictUndefined):
    __slots__ = ()

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,
        name: str | None = None,
        exc: type[jinja2.TemplateRuntimeError] = jinja2.UndefinedError,
    ) -> None:
        super().__init__(hint, obj, name, exc)
        if hint is None and exc is jinja2.UndefinedError:
            known = functools.partial(UndefinedName, name=name, owner=obj)
            self._undefined_exception = known  # type: ignore[assignment]

    def __repr__(self) -> str:
        # A list that holds an undefined name must not print as `[Undefined]`.
        return str(self)


class _Loader(jinja2.BaseLoader):
    def __init__(self, files: ProjectFiles) -> None:
        self._files = files

    def get_source(
        self, environment: jinja2.Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        try:
            return self._files.read(template), None, None
        except ValueError as error:
            raise jinja2.TemplateNotFound(template, str(error)) from error


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of one pipeline's templates. *own* are the user's filters; failures name
    their files from *project*."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})
    concat = staticmethod(bounds.joined)

    def __init__(
        self, files: ProjectFiles, own: Mapping[str, Callable[..., Any]], project: str
    ) -> None:
        super().__init__(
            undefined=_Undefined,
            loader=_Loader(files),
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            cache_size=-1,
            finalize=printable,
        )
        self._files = files
        self.budget = bounds.Budget()
        self.binop_table = dict(bounds.BINARY)
        self.globals.pop("lipsum")
        self.globals["range"] = self.budget.range
        self.filters.pop("random")
        for name in _SIZED:
            self.filters[name] = bounds.sized(self.filters[name])
        self.filters.update(
            format=bounds.formatted,
            tojson=filters.tojson,
            truncate_tokens=filters.truncate_tokens,
            _turns=self.budget.turns,
            _fitting=bounds.fitting,
        )
        for name, function in own.items():
            self.filters[name] = filters.user_filter(name, function, project)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """The item of a mapping, else the attribute."""
        if isinstance(obj, dict):
            found = obj.get(attribute, missing)
            if found is not missing:
                return found
        return super().getattr(obj, attribute)

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call *obj* from a template, within bounds."""
        self.budget.spend(bounds.CALL)
        bounds.check_call(obj, (*args, *kwargs.values()))
        return super().call(context, obj, *args, **kwargs)

    def join_path(self, template: str, parent: str) -> str:
        """What the file name *template* means in the template named *parent*."""
        self.budget.spend()
        return self._files.join(template, posixpath.dirname(parent))

    def _generate(self, source: nodes.Template, *args: Any, **kwargs: Any) -> str:
        # Jinja's documented hook between parsing and compiling.
        return super()._generate(_Bounding().visit(source), *args, **kwargs)


class _Bounding(NodeTransformer):
    """Counts the turns of every loop and measures every text joined by `~`."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        node.iter = _filtered(node.iter, "_turns")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(node, "_fitting")


def _filtered(node: nodes.Node, name: str) -> nodes.Filter:
    return nodes.Filter(
        node, name, [], [], None, None, lineno=node.lineno, environment=node.environment
    )


def printable(value: Any) -> Any:
    """*value*, refused if its text would be an address in memory."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Undefined):
        return str(value)  # raises, and says which name it is
    if isinstance(value, Iterator):
        raise bounds.Refused("a generator has no text; put |list or |join(', ') behind it")
    if callable(value):
        name = getattr(value, "__name__", None) or getattr(value, "name", None) or "it"
        raise bounds.Refused(f"'{name}' is a function, not a column; call it", str(name))
    kind: Any = type(value)
    if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
        raise bounds.Refused(f"a {kind.__name__} has no text")
    return value
