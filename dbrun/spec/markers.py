"""The parameter markers of a statement: `:name`."""

from __future__ import annotations

import re

_PIECES = re.compile(
    r"""
    '(?:[^'\\]|\\.|'')*'              # text
    | "(?:[^"\\]|\\.|"")*"            # text, too
    | `(?:[^`]|``)*`                  # a name
    | --[^\n]* | /\*.*?\*/            # comments
    | ::                              # a cast
    | (?P<marker> : (?P<name> [A-Za-z_][A-Za-z0-9_]* ))
    """,
    re.VERBOSE | re.DOTALL,
)


def markers(statement: str) -> list[str]:
    """The names that *statement* marks as parameters, outside of texts, names and comments.

    (Databricks SQL reference, "Named parameter markers".)
    """
    names = (found["name"] for found in _PIECES.finditer(statement) if found["marker"])
    return list(dict.fromkeys(names))
