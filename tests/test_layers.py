"""Imports point down, and each outside library comes in by its own door."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "dbrun"

LAYERS = {
    "types": 0, "errors": 0, "clock": 0, "canonical": 0, "frames": 0, "values": 0, "": 0,
    "encoding": 0, "frozen": 0, "spelling": 0, "storage": 0, "findings": 0, "json_in_text": 0,
    "files": 1, "registry": 1, "spec": 1,
    "client": 2, "context": 2,
    "adapters": 3, "sources": 3, "sinks": 3, "scores": 3, "tracking": 3,
    "run": 4, "run.engines": 5,
    "doctor": 5,
    "report": 6, "deploy": 6, "bundle": 9,
    "api": 7, "diff": 7, "interop": 7, "cli": 8, "ci": 8, "__main__": 9,
}  # fmt: skip
"""Room → floor. A room may import from its own floor's own room and from any floor below."""

ROOMS_OF_RUN = (
    "rows", "asking", "judging", "keeping", "processes", "travel", "offline", "journals", "engines"
)  # fmt: skip
"""The rooms within `run/`, from the ground up. What lies beside them ties them together."""

PLUGIN_ROOMS = ("adapters", "sources", "sinks", "scores")

DOORS = {
    "yaml": {"spec/document", "spec/nodes", "spec/show", "deploy/resource"},
    "jsonschema": {"spec/schema", "spec/response"},
    "jinja2": {"spec/", "report/html"},
    "markupsafe": {"report/html"},
    "requests": {"client/"},
    "databricks": {"client/login/auth_sdk", "client/sql/spark_sql", "bundle", "deploy/task_values"},
    "pyarrow": {"client/delta", "sources/", "sinks/", "run/engines/spark_tasks"},
    "deltalake": {"client/delta"},
    "pyspark": {"run/engines/spark_session", "client/sql/spark_sql"},
    "click": {"cli/"},
    "rich": {"cli/"},
    "xllamacpp": {"adapters/local"},
    "mlflow": {"tracking/library"},
    "jmespath": {"adapters/", "scores/judge"},
    "rapidfuzz": {"scores/similarity"},
    "scipy": {"diff/inference"},
}
"""Outside library → the modules (by prefix) that may import it."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def room_of(module: str) -> str:
    if module.startswith("run.engines"):
        return "run.engines"
    return module.split(".", 1)[0]


def imports_of(path: Path) -> Iterator[tuple[str, bool]]:
    """(absolute module, is it only for type checking) of every import in *path*."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    package = ["dbrun", *path.relative_to(PACKAGE).parts[:-1]]
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) in typing_only
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
                base += node.module.split(".") if node.module else []
            else:
                base = (node.module or "").split(".")
            for alias in node.names:
                yield ".".join([*base, alias.name]), id(node) in typing_only


def inner(imported: str) -> str | None:
    """The module of dbrun that an imported name lives in."""
    if imported.split(".")[0] != "dbrun":
        return None
    parts = imported.split(".")[1:]
    while parts:
        path = PACKAGE.joinpath(*parts)
        if path.with_suffix(".py").exists() or (path / "__init__.py").exists():
            return ".".join(parts)
        parts.pop()
    return ""


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_arrows_point_down(path: Path) -> None:
    room = room_of(name_of(path))
    wrong = []
    for imported, typing_only in imports_of(path):
        target = inner(imported)
        if target is None or typing_only:
            continue
        other = room_of(target)
        if other == room:
            continue
        if LAYERS[other] > LAYERS[room] or (LAYERS[other] == LAYERS[room] and LAYERS[room] == 3):
            wrong.append(imported)
        if (
            room in ("run", "run.engines", "doctor", "report", "diff")
            and other in PLUGIN_ROOMS
            and not target.endswith(".base")
        ):
            wrong.append(f"{imported} (plugins come through the registry)")
    assert not wrong


def test_every_room_of_run_is_known() -> None:
    rooms = {path.parent.name for path in MODULES if path.parent.parent == PACKAGE / "run"}
    assert rooms == set(ROOMS_OF_RUN)


@pytest.mark.parametrize("path", sorted((PACKAGE / "run").glob("*/*.py")), ids=name_of)
def test_arrows_within_run_point_down(path: Path) -> None:
    floor = ROOMS_OF_RUN.index(path.parent.name)
    wrong = []
    for imported, typing_only in imports_of(path):
        parts = (inner(imported) or "").split(".")
        is_room = parts[0] == "run" and len(parts) > 2 and not typing_only
        if is_room and ROOMS_OF_RUN.index(parts[1]) > floor:
            wrong.append(imported)
    assert not wrong


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_outside_libraries_come_in_by_their_doors(path: Path) -> None:
    place = path.relative_to(PACKAGE).with_suffix("").as_posix()
    wrong = [
        imported
        for imported, _ in imports_of(path)
        for library in [imported.split(".")[0]]
        if library in DOORS and not any(place.startswith(door) for door in DOORS[library])
    ]
    assert not wrong
