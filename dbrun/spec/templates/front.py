"""What compiles the templates of a pipeline; Jinja is loaded for those that need it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ..prompts import Text
from .plain import PlainTemplate, split

if TYPE_CHECKING:
    from .compiled import Compiler


def scope(
    values: Mapping[str, Any], vars: Mapping[str, Any], steps: Mapping[str, Any]
) -> dict[str, Any]:
    """What templates see for one row: its columns by name, and `row`, `vars` and `steps`, which
    win over columns of these names. Any column is also `row["its name"]`."""
    return {**values, "row": values, "vars": vars, "steps": steps}


class Expression(Protocol):
    """A compiled expression: evaluates to a value. Used by several threads at once.

    *names* are the names that are looked up in the scope, those of files included under a fixed
    name among them. *columns* are the row's columns that it cannot do without, as far as the
    text tells: named on their own or as `row.name`, and nowhere under `is defined` or `default`.
    *members* are the `vars.name` and `steps.name` that it cannot do without.
    """

    @property
    def text(self) -> Text: ...

    @property
    def names(self) -> frozenset[str]: ...

    @property
    def columns(self) -> frozenset[str]: ...

    @property
    def members(self) -> frozenset[str]: ...

    @property
    def place(self) -> str:
        """Where the text begins, as messages name it."""

    def evaluate(self, scope: dict[str, Any]) -> Any:
        """The value for one row.

        Raises:
            SpecError: a template's text is no expression.
            RenderError: anything that fails, with file, line and column in `where`.
        """


class Template(Expression, Protocol):
    """A compiled template, which renders values to text and can be taken as an expression."""

    def render(self, scope: dict[str, Any]) -> str:
        """The text for one row.

        Raises:
            RenderError: anything that fails, with file, line and column in `where`.
        """

    def value(self, scope: dict[str, Any]) -> Any:
        """What the template stands for in one row: where it is just one `{{ … }}`, the value of
        that, whatever its type; else the text.

        Raises:
            RenderError: anything that fails, with file, line and column in `where`.
        """


class Templates:
    """Compiles the templates of one pipeline.

    *project* is the folder whose files templates may name, *folder* that of the pipeline file,
    *filters* the user's functions by name, *known* the text of files by their path from the
    project's root, for a machine that has no copy of them.
    """

    def __init__(
        self,
        *,
        project: str,
        folder: str,
        filters: Mapping[str, Callable[..., Any]] | None = None,
        known: Mapping[str, str] | None = None,
    ) -> None:
        self._project = project
        self._folder = folder
        self._filters = filters
        self._known = known

    @functools.cached_property
    def _compiler(self) -> Compiler:
        from .compiled import Compiler

        return Compiler(
            project=self._project, folder=self._folder, filters=self._filters, known=self._known
        )

    @property
    def loaded(self) -> Mapping[str, str]:
        """The text of every file included so far, by its path from the project's root."""
        return self._compiler.loaded if "_compiler" in self.__dict__ else dict(self._known or {})

    def compile(self, text: Text) -> Template:
        """The template of *text*.

        Raises:
            SpecError: it is not well formed, or names a filter or a file that is not there.
        """
        # Of a file the final newline is dropped, as Jinja does; inline text keeps it.
        source = text.source if text.file is None else text.source.removesuffix("\n")
        pieces = split(source)
        if pieces is None:
            return self._compiler.compile(text)
        return PlainTemplate(text, pieces, functools.cache(lambda: self._compiler.compile(text)))

    def expression(self, text: Text) -> Expression:
        """The expression of *text*; braces around the whole of it may be written or left out.

        Raises:
            SpecError: it is not well formed.
        """
        return self._compiler.expression(text)
