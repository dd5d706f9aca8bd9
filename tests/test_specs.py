"""Whole pipeline files: folders that must load, and folders with the report they must produce.

A case is a folder with a `pipeline.yaml`. `given.json` holds what the command line would give:
`target`, `overrides`, `variables`, `environ`, and `path` if the spec has another place. In
`valid/`, `expected.json` maps dotted paths into the loaded spec to their values; in `invalid/`,
`expected.txt` is the whole report.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dbrun.errors import SpecError
from dbrun.registry import Registry
from dbrun.spec.document import parse
from dbrun.spec.load import Loaded, load_spec
from dbrun.spec.nodes import dotted, plain
from dbrun.spec.problems import render_problems
from dbrun.spec.show import show

SPECS = Path(__file__).parent / "specs"


def cases(kind: str) -> list[Any]:
    """The folders of a kind, each named in the report of pytest."""
    folders = sorted(path for path in (SPECS / kind).iterdir() if path.is_dir())
    return [pytest.param(path, id=path.name) for path in folders]


def load(folder: Path) -> Loaded:
    """The spec of a case, read with what its `given.json` gives."""
    file = folder / "given.json"
    given = json.loads(file.read_text()) if file.exists() else {}
    return load_spec(
        given.pop("path", "pipeline.yaml"),
        registry=Registry(entry_points=False),
        environ=given.pop("environ", {}),
        **given,
    )


def text_of(file: str) -> str | None:
    """The text of a file that problems lie in."""
    try:
        return Path(file).read_bytes().decode()
    except ValueError:
        return None


@pytest.mark.parametrize("folder", cases("invalid"))
def test_reports(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(SpecError) as raised:
        load(folder)
    report = render_problems(raised.value.problems, text_of)
    assert report == (folder / "expected.txt").read_text(encoding="utf-8")


def as_json(value: Any, folder: str) -> Any:
    """A spec as JSON, with paths that start at *folder* as a dot."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: as_json(getattr(value, name), folder) for name in names}
    if isinstance(value, Mapping):
        return {key: as_json(item, folder) for key, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, (list, tuple)):
        return [as_json(item, folder) for item in value]
    if isinstance(value, str) and (value == folder or value.startswith(folder + os.sep)):
        return "." + value[len(folder) :]
    return value


def facts(loaded: Loaded, folder: str) -> dict[str, Any]:
    """What `expected.json` speaks of."""
    places = loaded.merged.places.items()
    return {
        **as_json(loaded.spec, folder),
        "warnings": [str(warning) for warning in loaded.warnings],
        "places": {
            dotted(path): f"{place.file}:{place.line}" if place.line else place.file
            for path, place in places
        },
    }


def find(data: Any, path: str) -> Any:
    """The value at a dotted path; None if there is none."""
    head, _, rest = path.partition(".")
    if head == "places":
        return data["places"].get(rest)
    value = data[int(head)] if isinstance(data, list) else data.get(head)
    return find(value, rest) if rest and value is not None else value


@pytest.mark.parametrize("folder", cases("valid"))
def test_loads(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    found = facts(load(folder), str(folder))
    assert {path: find(found, path) for path in expected} == expected


@pytest.mark.parametrize("folder", cases("valid"))
def test_is_shown_as_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    merged = load(folder).merged
    again = parse(show(merged), file="shown.yaml", folder=str(folder))
    assert plain(again) == merged.data
