"""Where in a user's code something was raised, said without a traceback."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from types import CodeType
from typing import Any

_LONGEST = 500


def raised(error: BaseException) -> str:
    """`raised KeyError: 'label'`: the exception on one line."""
    said = " ".join(str(error).split())
    if len(said) > _LONGEST:
        said = said[: _LONGEST - 1] + "…"
    name = type(error).__name__
    return f"raised {name}: {said}" if said else f"raised {name}"


def user_frame(
    error: BaseException, function: Callable[..., Any], project: str | None = None
) -> str | None:
    """`functions.py:12`: the innermost line of the traceback that lies in the folder of
    *function*'s file; None if there is none.

    The file is named from *project* if it lies below it, else as its module is imported, so
    that the text is the same on every machine.
    """
    code = _code_of(function)
    if code is None:
        return None
    folder = os.path.dirname(code.co_filename)
    found = None
    trace = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        file = frame.f_code.co_filename
        if frame.f_code is code or _is_below(file, folder):
            found = f"{_shown(file, frame.f_globals, project)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found


def _code_of(function: Any) -> CodeType | None:
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    if not hasattr(function, "__code__") and callable(function):
        # A class or an object that can be called: its own method is where its file is.
        method = "__init__" if isinstance(function, type) else "__call__"
        function = getattr(function, method, None)
    code = getattr(function, "__code__", None)
    return code if isinstance(code, CodeType) else None


def _is_below(file: str, folder: str) -> bool:
    if not folder or not file.startswith(folder + os.sep):
        return False
    return "site-packages" not in file[len(folder) :]


def _shown(file: str, names: dict[str, Any], project: str | None) -> str:
    if project:
        root = os.path.realpath(project) + os.sep
        real = os.path.realpath(file)
        if real.startswith(root) and "site-packages" not in real[len(root) :]:
            return real[len(root) :].replace(os.sep, "/")
    name = str(names.get("__name__", ""))
    base = os.path.basename(file)
    parts = name.split(".")[:-1] if "." in name and not name.startswith("_dbrun_") else []
    return "/".join([*parts, base])
