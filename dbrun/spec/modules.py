"""Finding modules without importing them, and loading those beside a pipeline privately.

Each folder becomes a package with a name of its own (`_dbrun_` and a hash of its path), whose
modules are imported through the ordinary machinery: relative imports, packages and pickling
work. Inside such a module `import helpers` finds an installed package first and a file of the
same folder second. `sys.path` is never touched, and no bytecode is written beside pipelines.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import importlib.machinery
import importlib.util
import inspect
import os
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

from ..frames import innermost_below
from ..spelling import nearest
from .parsing import parsed

_PREFIX = "_dbrun_"
_PACKAGES = {"site-packages", "dist-packages"}
_LOCK = threading.Lock()
_LOOKING = threading.Lock()


def is_installed(module: str) -> bool:
    """Whether *module* is Python's own or belongs to an installed package.

    What can be imported for another reason (the current folder, `PYTHONPATH`) is not: which
    function a pipeline means must not depend on where the command was started.
    """
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top == __name__.partition(".")[0]:
        return True
    spec = _importable(top)
    if spec is None:
        return False
    origin = spec.origin or next(iter(spec.submodule_search_locations or ()), "")
    return not os.path.isabs(origin) or bool(_PACKAGES & set(origin.split(os.sep)))


def find(module: str, folder: str | None) -> ModuleSpec | None:
    """The spec of *module* among all that can be imported (*folder* None), or in *folder* under
    its private name. Nothing is imported."""
    with _LOOKING:  # of two threads at it, one would meet what the other has taken away
        importlib.invalidate_caches()  # a file written a moment ago counts
    if folder is not None:
        return _in_folders(f"{_package(folder)}.{module}", module, [os.path.realpath(folder)])
    name, *rest = module.split(".")
    spec = _importable(name)
    for depth, part in enumerate(rest):
        if spec is None:
            return None
        if spec.submodule_search_locations is None:
            # A module that stands for another without being its package's: `os.path`.
            return getattr(sys.modules.get(module), "__spec__", None)
        places = list(spec.submodule_search_locations)
        name = f"{name}.{part}"
        try:
            spec = _search(name, places)
        except KeyError:
            # A folder in a folder, neither with an `__init__`: it is known once imported.
            return _in_folders(module, ".".join(rest[depth:]), places)
    # A folder without modules is a namespace package: nothing that could hold a function.
    return spec if spec is not None and spec.loader is not None else None


def private_package(name: str) -> str | None:
    """The private package that the module *name* belongs to, if it does."""
    top = name.partition(".")[0]
    return top if top.startswith(_PREFIX) else None


def forget_if_edited(package: str) -> None:
    """Drop the loaded modules of a private package if one of their files has changed."""
    with _LOCK:
        loaded = {
            name: module for name, module in sys.modules.items() if name.startswith(f"{package}.")
        }
        if any(_is_edited(module) for module in loaded.values()):
            for name in loaded:
                del sys.modules[name]


def names_in(spec: ModuleSpec) -> list[str] | None:
    """The names that a module defines, read from its source; None if that cannot be told.

    Raises:
        SyntaxError: the source is no Python.
    """
    if not spec.origin or not spec.origin.endswith(".py"):
        return None
    tree = parsed(importlib.util.decode_source(_bytes(spec.origin)), spec.origin)
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            return None
    for statement in _statements(tree.body):
        names.extend(_defined(statement))
    return None if "__getattr__" in names else names


def source_of(spec: ModuleSpec, attribute: str) -> bytes:
    """The module's source text, line ends made alike; its bytes where there is no source.

    Of a module without a file (a notebook's) it is the source of *attribute*.
    """
    if not spec.origin or not os.path.isfile(spec.origin):
        try:
            return inspect.getsource(getattr(sys.modules[spec.name], attribute)).encode()
        except (KeyError, AttributeError, TypeError, OSError):
            return spec.name.encode()
    data = _bytes(spec.origin)
    return importlib.util.decode_source(data).encode() if spec.origin.endswith(".py") else data


def near(module: str, folders: Iterable[str]) -> str | None:
    """The module of *folders* whose name is nearest to *module*."""
    known = {
        name[:-3]
        for folder in folders
        if os.path.isdir(folder)
        for name in os.listdir(folder)
        if name.endswith(".py")
    }
    return nearest(module, sorted(known))


def place_of(error: BaseException, spec: ModuleSpec, project: str) -> str | None:
    """`functions.py:3`: the innermost line of the module's folder that *error* passed."""
    if not spec.origin:
        return None
    return innermost_below(error, os.path.dirname(spec.origin), project)


def _package(folder: str) -> str:
    """The private package of *folder*, made if it is not there yet."""
    path = os.path.realpath(folder)
    name = _PREFIX + hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    with _LOCK:
        if name not in sys.modules:
            package = ModuleType(name, f"The modules of {path}.")
            package.__path__ = [path]
            package.__spec__ = ModuleSpec(name, None, is_package=True)
            sys.modules[name] = package
        if not any(finder is _Finder for finder in sys.meta_path):
            sys.meta_path.insert(0, _Finder)
    return name


def _in_folders(name: str, module: str, folders: Sequence[str]) -> ModuleSpec | None:
    """The spec, under *name*, of the file that *module* is below one of *folders*."""
    for folder in folders:
        stem = os.path.join(folder, *module.split("."))
        endings = (os.sep + "__init__.py", *importlib.machinery.all_suffixes())
        for path in (stem + ending for ending in endings):
            if os.path.isfile(path):
                return importlib.util.spec_from_file_location(name, path)
    return None


def _importable(top: str) -> ModuleSpec | None:
    loaded = sys.modules.get(top)
    if loaded is not None and getattr(loaded, "__spec__", None) is None:
        return ModuleSpec(top, _Loader(top, ""))  # made by hand, or __main__
    return _search(top, None)


def _search(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        spec = finder.find_spec(name, path)
        if spec is not None:
            return spec
    return None


class _Loader(SourceFileLoader):
    """Loads a private module: no bytecode, and imports that see the files beside it."""

    digest = ""

    def get_code(self, fullname: str) -> CodeType:
        # Cached bytecode is told by a time in whole seconds; an edit within one is missed.
        path = self.get_filename(fullname)
        data = self.get_data(path)
        self.digest = _digest(data)
        return self.source_to_code(data, path)

    def exec_module(self, module: ModuleType) -> None:
        package = module.__name__.partition(".")[0]
        own = dict(vars(builtins))
        own["__import__"] = _importer(package)
        module.__dict__["__builtins__"] = own
        super().exec_module(module)


class _Finder:
    """Finds the modules of private packages; knows no others."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(_PREFIX) or path is None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(fullname, spec.loader.path)
        return spec


def _importer(package: str) -> Callable[..., Any]:
    """`__import__` for the modules of a private *package*: a sibling stands in for a module
    that is not installed, or that lacks what is imported from it."""

    siblings: dict[str, bool] = {}
    installed: dict[str, bool] = {}

    def own(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if not level and top not in siblings:
            siblings[top] = _has_sibling(package, top)
            installed[top] = siblings[top] and is_installed(top)
        if level or not siblings[top]:
            return __import__(name, globals, locals, fromlist, level)
        if installed[top]:
            module = __import__(name, globals, locals, fromlist, level)
            if not fromlist or all(part == "*" or hasattr(module, part) for part in fromlist):
                return module
        return _import_sibling(package, name, fromlist)

    return own


def _import_sibling(package: str, name: str, fromlist: Sequence[str]) -> ModuleType:
    full = f"{package}.{name}"
    if fromlist:
        # The machinery imports submodules named in the list.
        return __import__(full, {}, {}, fromlist, 0)
    importlib.import_module(full)
    return sys.modules[f"{package}.{name.partition('.')[0]}"]


def _has_sibling(package: str, top: str) -> bool:
    found = sys.modules.get(package)
    return found is not None and _Finder.find_spec(f"{package}.{top}", found.__path__) is not None


def _is_edited(module: ModuleType) -> bool:
    spec = module.__spec__
    if spec is None or not spec.origin or not isinstance(spec.loader, _Loader):
        return False
    if not spec.loader.digest:  # another thread is just about to read it
        return False
    return not os.path.isfile(spec.origin) or _digest(_bytes(spec.origin)) != spec.loader.digest


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _bytes(path: str) -> bytes:
    with open(path, "rb") as stream:
        return stream.read()


def _statements(body: Iterable[ast.stmt]) -> Iterable[ast.stmt]:
    # Names may be defined under a condition: `try: import x`, `if sys.version_info …`.
    for statement in body:
        yield statement
        for part in ("body", "orelse", "finalbody"):
            if isinstance(statement, (ast.If, ast.Try, ast.With, ast.For, ast.While)):
                yield from _statements(getattr(statement, part, ()))
        for handler in getattr(statement, "handlers", ()):
            yield from _statements(handler.body)


def _defined(statement: ast.stmt) -> list[str]:
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return [statement.name]
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return [(alias.asname or alias.name).partition(".")[0] for alias in statement.names]
    if isinstance(statement, ast.Assign):
        names = [node for target in statement.targets for node in ast.walk(target)]
        return [node.id for node in names if isinstance(node, ast.Name)]
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return [statement.target.id]
    return []
