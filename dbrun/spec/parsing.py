"""Python source as a tree, in any number of threads."""

from __future__ import annotations

import ast
import threading

_PARSING = threading.Lock()


def parsed(source: str | bytes, file: str = "<source>") -> ast.Module:
    """The tree of *source*. Raises `SyntaxError` or `ValueError` if it is no Python.

    Up to Python 3.12 an interpreter counts the depth of only one tree at a time: two threads that
    make one are both told that the "recursion depth" does not match, if the one waits for the
    other in the middle of it (where the collector of garbage calls Python functions).
    """
    with _PARSING:
        return ast.parse(source, file)
