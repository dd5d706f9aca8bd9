"""The Jinja environment: immutable, strict, bounded, without clock and chance."""

from __future__ import annotations

import functools
import posixpath
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.runtime import Context, StrictUndefined, TemplateReference, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer

from . import bounds, filters
from .loading import ProjectFiles

_PLAIN = frozenset({str, int, float, bool, list, tuple, dict, range, type(None)})
_NO_COLUMNS = frozenset({"range", "dict", "cycler", "joiner", "namespace", "self"})
_FUNCTION_KINDS = (types.BuiltinFunctionType, types.FunctionType, types.MethodType, type)
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
            _value=no_function,
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
    """Counts the turns of every loop, measures every text joined by `~`, and has functions
    called: a filter would take them for values, and find an address in memory."""

    _called: nodes.Node | None = None

    def visit_Call(self, node: nodes.Call) -> nodes.Node:
        self._called = node.node  # the next to be visited
        return self.generic_visit(node)

    def visit_Name(self, node: nodes.Name) -> nodes.Node:
        if node.name not in _NO_COLUMNS or node.ctx != "load":
            return node
        return self._as_value(node)

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:
        return self._as_value(node)

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        return self._as_value(node)

    def _as_value(self, node: nodes.Name | nodes.Getattr | nodes.Getitem) -> nodes.Node:
        is_called = node is self._called
        if not isinstance(node, nodes.Name):
            self._called = node.node  # one that is looked into may be anything
        self.generic_visit(node)
        return node if is_called or node.ctx != "load" else _filtered(node, "_value")

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
        raise _not_called(value)
    kind: Any = type(value)
    if kind.__str__ is object.__str__ and kind.__repr__ is object.__repr__:
        raise bounds.Refused(f"a {kind.__name__} has no text")
    return value


def no_function(value: Any) -> Any:
    """*value*, refused if it is a function: whatever is made of it would hold an address."""
    if isinstance(value, TemplateReference):
        raise bounds.Refused(
            "'self' is the template, not a column; that would be row['self']", "self"
        )
    if isinstance(value, _FUNCTION_KINDS):
        raise _not_called(value)
    return value


def _not_called(function: Any) -> bounds.Refused:
    name = getattr(function, "__name__", None) or getattr(function, "name", None) or "it"
    return bounds.Refused(f"'{name}' is a function, not a column; call it", str(name))
