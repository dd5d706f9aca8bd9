"""Compiled templates and expressions, and the object that compiles them."""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from jinja2 import TemplateSyntaxError, nodes
from jinja2.environment import Template as JinjaTemplate
from jinja2.parser import Parser

from ...errors import RenderError, SpecError
from ...values import plain
from ..prompts import Text
from . import bounds
from .analysis import look_into
from .failures import describe, innermost, problem
from .loading import ProjectFiles
from .places import Origin, find_column
from .sandbox import Sandbox, printable

_VALUE = "_value"
_ONE_EXPRESSION = re.compile(r"\s*\{\{(?:(?!\{\{|\}\}).)*\}\}\s*", re.DOTALL)
_BRACES = re.compile(r"(\s*)(\{\{[-+]?)(.*?)[-+]?\}\}\s*", re.DOTALL)


class Compiler:
    """Compiles templates by Jinja; see `front.Templates`, which takes the same."""

    def __init__(
        self,
        *,
        project: str,
        folder: str,
        filters: Mapping[str, Callable[..., Any]] | None = None,
        known: Mapping[str, str] | None = None,
    ) -> None:
        self._project = project
        self._files = ProjectFiles(project, known)
        self._folder = self._files.name_of(folder)
        self._sandbox = Sandbox(self._files, filters or {}, project)

    @property
    def loaded(self) -> Mapping[str, str]:
        """The text of every file included so far, by its path from the project's root."""
        return self._files.loaded

    def compile(self, text: Text) -> Template:
        """The template of *text*.

        Raises:
            SpecError: it is not well formed, or names a filter or a file that is not there.
        """
        # Jinja drops one final newline of everything it reads; inline text is to keep it.
        kept = "\n" if text.file is None and text.source.endswith("\n") else ""
        with self._problems(text):
            return Template(self, text, self._parse(text.source + kept, self._name(text)))

    def expression(self, text: Text) -> Expression:
        """The expression of *text*; braces around the whole of it may be written or left out.

        Raises:
            SpecError: it is not well formed.
        """
        with self._problems(text):
            found = _BRACES.fullmatch(text.source)
            # Braces make room for blanks, so that columns stay true.
            source = f"{found[1]}{' ' * len(found[2])}{found[3]}" if found else text.source
            if not source.strip():
                raise TemplateSyntaxError("the expression is empty", 1)
            parser = Parser(self._sandbox, source, self._name(text), state="variable")
            value = parser.parse_expression()
            if not parser.stream.eos:
                rest = parser.stream.current
                raise TemplateSyntaxError(f"unexpected '{rest.value}'", rest.lineno)
            assign = nodes.Assign(nodes.Name(_VALUE, "store"), value, lineno=1)
            tree = nodes.Template([assign], lineno=1)
            tree.set_environment(self._sandbox)
            return Expression(self, text, tree)

    def _parse(self, source: str, name: str) -> nodes.Template:
        return self._sandbox.parse(source, name)

    def _find(self, written: str, parent: str) -> tuple[str, nodes.Template]:
        file = self._sandbox.join_path(written, parent)
        return file, self._parse(self._files.read(file), file)

    def _load(self, text: Text, tree: nodes.Template) -> JinjaTemplate:
        sandbox = self._sandbox
        code = sandbox.compile(tree, self._name(text), "<template>")
        # A plain mapping: Jinja's own is a chain of two, and costs more than all of a render.
        return sandbox.template_class.from_code(sandbox, code, dict(sandbox.globals))

    def _names(self, text: Text, tree: nodes.Template) -> tuple[set[str], set[str], set[str]]:
        self._sandbox.budget.left = bounds.MAX_STEPS
        return look_into(tree, self._name(text), self._sandbox.globals, self._find)

    def _name(self, text: Text) -> str:
        # The folder of this name is where the template's own includes start.
        if text.file is not None:
            return self._files.name_of(text.file)
        folder = self._folder if text.folder is None else self._files.name_of(text.folder)
        return posixpath.join(folder, f"<{text.name}>")

    def _origin(self, text: Text) -> Origin:
        return Origin(text, self._project)

    @contextmanager
    def _problems(self, text: Text) -> Iterator[None]:
        try:
            yield
        except (TemplateSyntaxError, RecursionError) as error:
            if isinstance(error, RecursionError):
                error = TemplateSyntaxError("the template is nested too deep", 1)
            filters = self._sandbox.filters
            raise SpecError(
                [problem(error, text, self._origin(text), self._files, filters)]
            ) from error

    def _failed(
        self, error: BaseException, origin: Origin, jinja: JinjaTemplate, seen: Mapping[str, Any]
    ) -> NoReturn:
        message, needle = describe(error, seen)
        text = origin.text
        template, line = innermost(error) or (jinja, 1)
        included = self._files.loaded.get(template.name or "")
        if template is jinja or included is None:
            place = origin.place(*find_column(text.source, line, needle))
        else:
            line, column = find_column(included, line, needle)
            place = f"{template.name}:{line}:{column}"
        raise RenderError(message, place) from error


class _Compiled:
    """What templates and expressions have in common; see `front.Template`."""

    def __init__(self, templates: Compiler, text: Text, tree: nodes.Template) -> None:
        names, columns, members = templates._names(text, tree)
        self.text = text
        self.names = frozenset(names)
        self.columns = frozenset(columns)
        self.members = frozenset(members)
        self._templates = templates
        self._origin = templates._origin(text)
        self._budget = templates._sandbox.budget
        self._jinja = templates._load(text, tree)
        self._pieces = self._jinja.root_render_func

    @property
    def place(self) -> str:
        """Where the template begins, as messages name it."""
        return self._origin.place(1, 1)


class Template(_Compiled):
    """A template that Jinja compiled; see `front.Template`."""

    def render(self, scope: dict[str, Any]) -> str:
        """The text for one row.

        Raises:
            RenderError: anything that fails, with file, line and column in `where`.
        """
        self._budget.left = bounds.MAX_STEPS
        try:
            return bounds.joined(self._pieces(self._jinja.new_context(scope)))
        except (Exception, SystemExit) as error:
            self._templates._failed(error, self._origin, self._jinja, scope)

    def evaluate(self, scope: dict[str, Any]) -> Any:
        """The value for one row, the text being taken as an expression.

        Raises:
            SpecError: it is no expression.
            RenderError: anything that fails, with file, line and column in `where`.
        """
        return self._expression.evaluate(scope)

    def value(self, scope: dict[str, Any]) -> Any:
        """What the template stands for in one row: where it is just one `{{ … }}`, the value of
        that, whatever its type; else the text.

        Raises:
            RenderError: anything that fails, with file, line and column in `where`.
        """
        return self.evaluate(scope) if self._is_one else self.render(scope)

    @functools.cached_property
    def _is_one(self) -> bool:
        return _ONE_EXPRESSION.fullmatch(self.text.source) is not None

    @functools.cached_property
    def _expression(self) -> Expression:
        return self._templates.expression(self.text)


class Expression(_Compiled):
    """A compiled expression: evaluates to a value. Used by several threads at once."""

    def evaluate(self, scope: dict[str, Any]) -> Any:
        """The value for one row.

        Raises:
            RenderError: anything that fails, with file, line and column in `where`.
        """
        self._budget.left = bounds.MAX_STEPS
        context = self._jinja.new_context(scope)
        try:
            for _ in self._pieces(context):
                pass
            value = context.vars[_VALUE]
            if isinstance(value, (list, tuple, dict, Iterator)):
                return plain(list(value) if isinstance(value, Iterator) else value)
            return printable(value)
        except (Exception, SystemExit) as error:
            self._templates._failed(error, self._origin, self._jinja, scope)
