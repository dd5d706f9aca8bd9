"""References: where functions are looked for, and what is said when they are not there."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dbrun.errors import SpecError
from dbrun.spec import modules
from dbrun.spec.model import Reference
from dbrun.spec.references import Resolver, check_signature
from dbrun.types import Mark

FUNCTIONS = '''"""Functions of a pipeline."""

from os import path as _path

LIMIT = 3


def trim(row):
    return {**row, "text": row["text"].strip()}


def parse_label(text):
    return text.lower()


class Tool:
    @staticmethod
    def run(text):
        return text
'''

Refer = Callable[..., Reference]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project" / "pipelines"
    folder.mkdir(parents=True)
    (folder / "functions.py").write_text(FUNCTIONS)
    return tmp_path / "project"


@pytest.fixture
def refer(project: Path) -> Refer:
    def make(path: str, folder: str = "pipelines") -> Reference:
        return Reference(
            path=path,
            folder=str(project / folder),
            project=str(project),
            where=Mark(file="pipelines/triage.yaml", line=16, column=11),
            key="transforms.row",
        )

    return make


def problem_of(reference: Reference) -> str:
    with pytest.raises(SpecError) as caught:
        Resolver().resolve(reference)
    return str(caught.value)


@pytest.mark.parametrize(
    "path",
    ["functions:trim", "functions.trim", "functions:Tool.run", "functions.Tool.run"],
)
def test_a_function_beside_the_file_is_found(refer: Refer, path: str) -> None:
    assert Resolver().find(refer(path)) is None
    assert callable(Resolver().resolve(refer(path)))


def test_installed_packages_come_first(refer: Refer, project: Path) -> None:
    (project / "pipelines" / "json.py").write_text("def dumps(value): return 'mine'\n")
    assert Resolver().resolve(refer("json:dumps"))([1]) == "[1]"


@pytest.mark.parametrize("name", ["code", "test", "this_is_nowhere_installed"])
def test_what_the_installed_module_lacks_is_looked_for_beside(
    refer: Refer, project: Path, name: str
) -> None:
    (project / "pipelines" / f"{name}.py").write_text("def mine(row): return row\n")
    assert Resolver().find(refer(f"{name}:mine")) is None
    assert Resolver().resolve(refer(f"{name}:mine"))(7) == 7


def test_where_the_command_was_started_does_not_matter(
    refer: Refer, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "functions.py").write_text("def trim(row): return 'root'\n")
    (project / "helpers.py").write_text("def help(): return 'root'\n")
    (project / "pipelines" / "helpers.py").write_text("def help(): return 'beside'\n")
    (project / "pipelines" / "uses.py").write_text(
        "import helpers\n\ndef f():\n    return helpers.help()\n"
    )
    elsewhere = project / "lib"
    elsewhere.mkdir()
    (elsewhere / "on_the_path.py").write_text("def f(): return 'path'\n")
    monkeypatch.syspath_prepend(str(elsewhere))
    monkeypatch.syspath_prepend(str(project))
    resolver = Resolver()
    assert resolver.resolve(refer("functions:trim"))({"text": " a "}) == {"text": "a"}
    assert resolver.resolve(refer("uses:f"))() == "beside"
    assert resolver.resolve(refer("on_the_path:f"))() == "path"


def test_folders_are_packages_without_an_init_file(refer: Refer, project: Path) -> None:
    (project / "shared" / "deep").mkdir(parents=True)
    (project / "shared" / "deep" / "tools.py").write_text("def f(): return 1\n")
    assert Resolver().find(refer("shared.deep.tools:f")) is None
    assert Resolver().resolve(refer("shared.deep.tools:f"))() == 1
    assert "there is no module 'shared.deep'" in problem_of(refer("shared.deep:f"))


def test_the_projects_root_comes_last(refer: Refer, project: Path) -> None:
    (project / "functions.py").write_text(
        "def trim(row): return 'root'\ndef other(row): return 1\n"
    )
    resolver = Resolver()
    assert resolver.resolve(refer("functions:trim"))({"text": " a "}) == {"text": "a"}
    assert resolver.resolve(refer("functions:other"))({}) == 1


def test_two_folders_never_collide(refer: Refer, project: Path) -> None:
    other = project / "elsewhere"
    other.mkdir()
    (other / "functions.py").write_text("def trim(row): return 'other'\n")
    resolver = Resolver()
    assert resolver.resolve(refer("functions:trim"))({"text": ""}) == {"text": ""}
    assert resolver.resolve(refer("functions:trim", "elsewhere"))({}) == "other"
    assert "functions" not in sys.modules


def test_modules_import_their_siblings(refer: Refer, project: Path) -> None:
    folder = project / "pipelines"
    (folder / "helpers.py").write_text("def double(x):\n    return 2 * x\n")
    (folder / "package").mkdir()
    (folder / "package" / "__init__.py").write_text("from .inner import double_too\n")
    (folder / "package" / "inner.py").write_text("from ..helpers import double as double_too\n")
    (folder / "uses.py").write_text(
        "import json\nimport helpers\nimport package.inner\nfrom helpers import double\n"
        "from .package import double_too\n\n"
        "def at_once(x):\n    return double(x) + helpers.double(x)\n\n"
        "def later(x):\n    from package import double_too as late\n"
        "    return late(x) + double_too(x)\n\n"
        "def dotted(x):\n    return package.inner.double_too(x)\n"
    )
    before = list(sys.path)
    resolver = Resolver()
    assert resolver.resolve(refer("uses:at_once"))(1) == 4
    assert resolver.resolve(refer("uses:later"))(1) == 4
    assert resolver.resolve(refer("uses:dotted"))(1) == 2
    assert resolver.resolve(refer("package.inner:double_too"))(2) == 4
    assert sys.path == before
    assert not {"helpers", "uses", "package"} & sys.modules.keys()
    assert not list(project.rglob("__pycache__"))


def test_a_sibling_stands_in_for_what_an_installed_module_lacks(
    refer: Refer, project: Path
) -> None:
    (project / "pipelines" / "code.py").write_text("def mine():\n    return 5\n")
    (project / "pipelines" / "uses.py").write_text(
        "from code import mine\nfrom code import InteractiveConsole\n"
        "\ndef f():\n    return mine()\n"
    )
    assert Resolver().resolve(refer("uses:f"))() == 5


def test_an_edited_module_is_loaded_again(refer: Refer, project: Path) -> None:
    file = project / "pipelines" / "functions.py"
    first = Resolver()
    assert first.resolve(refer("functions:parse_label"))("A") == "a"
    file.write_text(FUNCTIONS.replace("lower", "upper"))
    assert Resolver().resolve(refer("functions:parse_label"))("a") == "A"


def test_a_module_that_another_thread_is_just_importing_is_not_taken_away(
    refer: Refer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is known from before its file is read."""
    read = modules._Loader.get_data

    def meanwhile(loader: Any, path: str) -> bytes:
        monkeypatch.setattr(modules._Loader, "get_data", read)
        other = threading.Thread(target=modules.forget_if_edited, args=[loader.name.split(".")[0]])
        other.start()
        other.join()
        return read(loader, path)

    monkeypatch.setattr(modules._Loader, "get_data", meanwhile)
    assert Resolver().resolve(refer("functions:parse_label"))("A") == "a"


def test_a_module_made_by_hand_counts_as_installed(
    refer: Refer, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("made_by_hand")
    module.f = lambda: 3  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "made_by_hand", module)
    assert Resolver().resolve(refer("made_by_hand:f"))() == 3


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (
            "functions:trmi",
            "pipelines/triage.yaml:16:11: transforms.row: cannot import 'functions:trmi': "
            "module 'functions' has no 'trmi'; it has trim, parse_label, Tool",
        ),
        ("functions.trmi", "module 'functions' has no 'trmi'; it has trim, parse_label, Tool"),
        ("functions:Tool.rum", "class 'functions.Tool' has no 'rum'; it has run"),
        ("functions:LIMIT", "'functions:LIMIT' is no function but a int"),
        ("asyncio:sleep", "'asyncio:sleep' is async, and nothing would await it; write a plain"),
        (
            "functons:trim",
            "cannot import 'functons:trim': there is no module 'functons' among the installed "
            "packages, beside the file, or at the project's root; did you mean 'functions'?",
        ),
        ("trim", "'trim' is no path to a function; write package.module:function"),
        ("functions.py:trim", "'functions.py:trim' is no path to a function; write functions:trim"),
        ("a/b.py:trim", "'a/b.py:trim' is no path to a function; write a.b:trim"),
        (".functions:trim", "'.functions:trim' is no path to a function"),
        ("functions:", "'functions:' is no path to a function"),
        ("lambda: 1", "'lambda: 1' is no path to a function"),
        ("broken:f", "cannot import 'broken:f': pipelines/broken.py:3 raised NameError: name"),
        (
            "missing:f",
            "pipelines/missing.py:1 raised ModuleNotFoundError: No module named 'numpyy'",
        ),
        ("no_python:f", "cannot import 'no_python:f': no_python.py:2 is no Python"),
        ("exits:f", "pipelines/exits.py:1 raised SystemExit: 3"),
    ],
)
def test_what_cannot_be_found_is_said(refer: Refer, project: Path, path: str, said: str) -> None:
    folder = project / "pipelines"
    (folder / "broken.py").write_text("import os\n\nnothing_of_the_kind\n")
    (folder / "missing.py").write_text("import numpyy\n")
    (folder / "no_python.py").write_text("x = 1\ndef f(:\n")
    (folder / "exits.py").write_text("raise SystemExit(3)\n")
    assert said in problem_of(refer(path))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("functions:trim", None),
        ("functions:LIMIT", None),
        (
            "functions:trmi",
            "module 'functions' has no 'trmi'; it has LIMIT, trim, parse_label, Tool",
        ),
        ("functons:trim", "did you mean 'functions'?"),
        ("explodes:f", None),
        ("explodes:g", "module 'explodes' has no 'g'; it has f"),
        ("no_python:f", "no_python.py:1 is no Python"),
        ("starred:anything", None),
        ("json:dumps", None),
        ("math:sqrt", None),
        ("os.path:join", None),
        ("trim", "is no path to a function"),
    ],
)
def test_finding_imports_nothing(refer: Refer, project: Path, path: str, said: str | None) -> None:
    folder = project / "pipelines"
    (folder / "explodes.py").write_text("raise RuntimeError\nif True:\n    def f(): pass\n")
    (folder / "no_python.py").write_text("def f(:\n")
    (folder / "starred.py").write_text("from os import *\n")
    before = set(sys.modules)
    problem = Resolver().find(refer(path))
    assert (problem is None) == (said is None)
    assert said is None or said in str(problem)
    assert {name for name in set(sys.modules) - before if name.count(".")} == set()


def test_the_digest_follows_the_source_and_not_its_line_ends(refer: Refer, project: Path) -> None:
    file = project / "pipelines" / "functions.py"
    digest = Resolver().source_digest(refer("functions:trim"))
    assert len(digest) == 64
    file.write_bytes(FUNCTIONS.replace("\n", "\r\n").encode())
    assert Resolver().source_digest(refer("functions:trim")) == digest
    file.write_text(FUNCTIONS + "\n# changed\n")
    assert Resolver().source_digest(refer("functions:trim")) != digest
    assert Resolver().source_digest(refer("math:sqrt"))
    with pytest.raises(SpecError):
        Resolver().source_digest(refer("functions:nothing"))


def plain_row(row: Any) -> Any: ...
def no_argument() -> Any: ...
def langchain(**request: Any) -> Any: ...
def two_fields(prompt: str, stop: Any = None) -> Any: ...
def with_row(prompt: str, row: Any, **rest: Any) -> Any: ...
def of_text(text: str, *, row: Any, raw: Any) -> Any: ...
def positional_row(text: str, row: Any) -> Any: ...
def with_option(text: str, *, labels: Any) -> Any: ...


@pytest.mark.parametrize(
    ("function", "hook", "names", "said"),
    [
        (plain_row, "row", (), None),
        (no_argument, "row", (), "cannot be called as fn(row): too many positional arguments"),
        (plain_row, "row", ("x",), "got an unexpected keyword argument 'x'"),
        (langchain, "input", ("prompt", "stop"), None),
        (two_fields, "input", ("prompt", "stop"), None),
        (
            two_fields,
            "input",
            ("prompt", "temperature"),
            "cannot be called as fn(**request): got an unexpected keyword argument "
            "'temperature'; add **request for the fields that it does not name",
        ),
        (two_fields, "input", ("messages",), "missing a required argument: 'prompt'"),
        (with_row, "input", ("prompt", "stop"), None),
        (of_text, "output", (), None),
        (str.lower, "output", (), None),
        (
            positional_row,
            "output",
            (),
            "missing a required argument: 'row'; put a * before it, so that it is keyword-only",
        ),
        (with_option, "output", ("labels",), None),
        (with_option, "output", (), "missing a required"),
        (no_argument, "filter", (), "cannot be called as fn(value)"),
        (plain_row, "filter", (), None),
        (no_argument, "function", (), None),
        (plain_row, "function", (), "cannot be called as fn(**kwargs)"),
        (dict, "row", (), None),
    ],
)
def test_signatures(
    function: Callable[..., Any], hook: str, names: tuple[str, ...], said: str | None
) -> None:
    found = check_signature(function, hook, names)
    assert (found is None) == (said is None)
    assert said is None or said in str(found)
