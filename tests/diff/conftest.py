"""Results files made for a test, and what comparing two of them finds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dbrun.diff.comparing import compare
from dbrun.diff.model import Comparison, Options
from dbrun.diff.reading import read_side


def record(id: str, output: Any = "an answer", **more: Any) -> dict[str, Any]:
    """A record that is ok, unless *more* says otherwise; `scores` are plain values."""
    made = {"id": id, "status": "ok", "output": output, "key": "0" * 64, **more}
    if "error" in more:
        made |= {"status": "error", "output": None}
        made["error"] = {"class": more["error"], "message": "it went wrong", "retryable": False}
    if "scores" in more:
        made["scores"] = {
            name: value if isinstance(value, dict) else {"value": value}
            for name, value in more["scores"].items()
        }
    return made


class Results:
    """A folder with results files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(
        self,
        name: str,
        records: Iterable[Mapping[str, Any]],
        manifest: Mapping[str, Any] | None = None,
    ) -> str:
        """Write *records*, and *manifest* beside them; gives the path."""
        path = self.folder / name
        path.write_text("".join(json.dumps(one) + "\n" for one in records), encoding="utf-8")
        if manifest is not None:
            beside = self.folder / (name.split(".")[0] + ".run.json")
            beside.write_text(json.dumps(manifest), encoding="utf-8")
        return str(path)

    def compared(
        self,
        old: Iterable[Mapping[str, Any]],
        new: Iterable[Mapping[str, Any]],
        options: Options | None = None,
        manifests: tuple[Mapping[str, Any] | None, Mapping[str, Any] | None] = (None, None),
    ) -> Comparison:
        """What comparing *old* and *new* finds."""
        paths = (
            self.write("old.jsonl", old, manifests[0]),
            self.write("new.jsonl", new, manifests[1]),
        )
        return compare(read_side(paths[0], "OLD"), read_side(paths[1], "NEW"), options)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path)
