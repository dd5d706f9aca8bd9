"""Where in a user's code something was raised, said without a traceback."""

from __future__ import annotations

import functools
import inspect
import os
import re
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

_LONGEST = 500
_FOREIGN = (os.path.dirname(__file__) + os.sep, os.path.dirname(os.__file__) + os.sep, "<")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_CREDENTIAL = re.compile(
    r"(?i)(^|_)(token|secret|password|passwd|(api|access|secret|private)_?key)$"
)
_SHORTEST = 8  # characters of a credential; shorter values are words that a message may hold


def raised(error: BaseException) -> str:
    """`raised KeyError: 'label'`: the exception on one line, without credentials that the
    environment holds under a name that says so."""
    # Addresses differ from run to run, and records must not.
    said = _ADDRESS.sub("", " ".join(_text(error).split()))
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST and _CREDENTIAL.search(name):
            said = said.replace(value, "***")
    if len(said) > _LONGEST:
        said = said[: _LONGEST - 1] + "…"
    name = type(error).__name__
    return f"raised {name}: {said}" if said else f"raised {name}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return ""  # the exception's own `__str__` raises: its class has to say it


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
    return innermost_below(error, os.path.dirname(code.co_filename), project)


def definition(function: Callable[..., Any], project: str | None = None) -> str | None:
    """`functions.py:10`: where *function* begins; None if it has no file."""
    code = _code_of(function)
    if code is None:
        return None
    names = {"__name__": getattr(function, "__module__", "")}
    return f"{_shown(code.co_filename, names, project)}:{code.co_firstlineno}"


def at_work() -> list[str]:
    """`slow (functions.py:12)`: the functions of the user's that other threads are in just now.

    The user's is what belongs neither to Python, nor to installed packages, nor to dbrun.
    """
    here = threading.get_ident()
    found = [_users(frame) for thread, frame in sys._current_frames().items() if thread != here]
    return sorted({one for one in found if one is not None})


def _users(frame: FrameType | None) -> str | None:
    """The innermost of the user's functions among *frame* and its callers."""
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_FOREIGN) and "site-packages" not in file:
            place = _shown(file, frame.f_globals, None)
            return f"{frame.f_code.co_name} ({place}:{frame.f_lineno})"
        frame = frame.f_back
    return None


def innermost_below(error: BaseException, folder: str, project: str | None = None) -> str | None:
    """The innermost line of the traceback that lies in a file below *folder*."""
    found = None
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if _is_below(file, folder):
            found = f"{_shown(file, trace.tb_frame.f_globals, project)}:{trace.tb_lineno}"
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
