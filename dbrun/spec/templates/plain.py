"""Templates that are only text with names between: what most prompts are.

`Summarize: {{ text }}` needs none of Jinja's machinery, whose import takes as long as all else
that a small run imports. Such a template is rendered here as long as each name stands for a
text; whatever else turns up (another kind of value, a name that is not there, too long a text)
is left to Jinja, which gives the same result or says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..prompts import Text

if TYPE_CHECKING:
    from .compiled import Template

_LONGEST = 1 << 20  # characters; whether a longer text is too long, Jinja's bounds tell
_NAMES = re.compile(r"\{\{\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*\}\}", re.ASCII)
_SCOPE_WORDS = frozenset({"row", "vars", "steps"})
_TAKEN = frozenset(
    {"True", "False", "None", "true", "false", "none", "and", "or", "not", "in", "is", "if", "else"}
    | {"for", "recursive", "self", "super", "loop", "caller", "varargs", "kwargs"}
    | {"range", "dict", "cycler", "joiner", "namespace", "lipsum"}
)
"""Names that mean something to Jinja."""


def split(source: str) -> list[str] | None:
    """The pieces of *source*: text, dotted name, text, …, text. None if Jinja must read it."""
    if "{%" in source or "{#" in source or "\r" in source:
        return None
    pieces = _NAMES.split(source)
    if any("{{" in text for text in pieces[::2]) or any(
        text.endswith("{") for text in pieces[:-1:2]
    ):
        return None
    if any(name.partition(".")[0] in _TAKEN for name in pieces[1::2]):
        return None
    return pieces


class PlainTemplate:
    """A template of *pieces* (see `split`). *compiled* gives the template that Jinja makes of it.

    *names*, *columns* and *members* are as those of Jinja's.
    """

    def __init__(self, text: Text, pieces: Sequence[str], compiled: Callable[[], Template]) -> None:
        paths = [name.split(".") for name in pieces[1::2]]
        self.text = text
        self.names = frozenset(path[0] for path in paths)
        self.columns = (self.names - _SCOPE_WORDS) | frozenset(
            path[1] for path in paths if path[0] == "row" and len(path) > 1
        )
        self.members = frozenset(
            ".".join(path[:2]) for path in paths if path[0] in ("vars", "steps") and len(path) > 1
        )
        self._pieces = list(pieces)
        self._slots = [
            (2 * number + 1, path[0], tuple(path[1:])) for number, path in enumerate(paths)
        ]
        self._is_one = len(paths) == 1 and not "".join(pieces[::2]).strip()
        self._compiled = compiled

    @property
    def place(self) -> str:
        """Where the template begins, as messages name it."""
        return self._compiled().place

    def render(self, scope: dict[str, Any]) -> str:
        """The text for one row. Raises `RenderError`."""
        made = self._pieces.copy()
        for slot, name, path in self._slots:
            value = scope.get(name)
            for item in path:
                value = value.get(item) if type(value) is dict else None
            if type(value) is not str:
                return self._compiled().render(scope)
            made[slot] = value
        text = "".join(made)
        return text if len(text) <= _LONGEST else self._compiled().render(scope)

    def evaluate(self, scope: dict[str, Any]) -> Any:
        """The value for one row, the text being taken as an expression.

        Raises:
            SpecError: it is no expression.
            RenderError: it fails.
        """
        return self._compiled().evaluate(scope)

    def value(self, scope: dict[str, Any]) -> Any:
        """What the template stands for in one row; see `front.Template`. Raises `RenderError`."""
        return self._compiled().value(scope) if self._is_one else self.render(scope)
