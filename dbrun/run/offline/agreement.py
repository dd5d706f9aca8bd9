"""Whether a results file and its manifest agree."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ...errors import SourceError, UserError
from ...files import file_digest
from ...registry import Registry
from ...spec.formats import format_of
from ...types import FINISH_REASONS, Json
from ..keeping.manifest_files import read_manifest
from ..manifest import MANIFEST_VERSION, manifest_path
from .verifying import read_records

STATUSES = ("ok", "error", "filtered")
_MOST = 20


def disagreements(path: str, registry: Registry) -> list[str]:
    """What is wrong with the results at *path*; empty if they are as their manifest says.

    Raises:
        UserError: there is no file at *path*, or its format cannot be told.
    """
    if os.path.isdir(path):
        raise UserError(f"{path} is a folder", "name a results file or a spec")
    if not os.path.isfile(path):
        raise UserError(f"{path}: there is no such results file")
    if path.lower().endswith((".run.json", ".run.json.partial")):
        raise UserError(f"{path}: this is a manifest", "name the results that lie beside it")
    kind = format_of(path)
    if kind is None:
        raise UserError(f"{path}: the name does not tell the format of results")
    beside = manifest_path(path)
    manifest = read_manifest(beside)
    if manifest is None:
        there = os.path.exists(beside)
        return [f"{beside}: {'this is none that dbrun wrote' if there else 'there is no manifest'}"]
    version = manifest.get("version")
    if isinstance(version, int) and version > MANIFEST_VERSION:
        said = f"it is of version {version}, and this dbrun knows {MANIFEST_VERSION}"
        return [f"{beside}: {said}; take a newer dbrun"]
    problems = [f"{beside}: {said}" for said in _bytes_differ(path, manifest)]
    counts, odd = _count(path, kind, registry)
    problems += odd
    problems += [f"{beside}: {said}" for said in _counts_differ(counts, manifest)]
    return problems


def _bytes_differ(path: str, manifest: Mapping[str, Any]) -> Iterator[str]:
    results = manifest.get("results")
    if not isinstance(results, Mapping):
        yield "it names no results; the run did not finish"
        return
    if results.get("path") != os.path.basename(path):
        yield f"it describes {results.get('path')}"
    size = os.path.getsize(path)
    if results.get("size") != size:
        yield f"the results have {size} bytes, it says {results.get('size')}"
    elif results.get("sha256") != file_digest(path):
        yield "the results are not the bytes that were written: their SHA-256 differs"


def _counts_differ(counts: Mapping[str, int], manifest: Mapping[str, Any]) -> Iterator[str]:
    told = manifest.get("counts")
    if not isinstance(told, Mapping):
        yield "it counts nothing"
        return
    for name in ("rows", *STATUSES, "truncated"):
        if name in counts and told.get(name) != counts[name]:
            yield f"it counts {told.get(name)} {name}, the results have {counts[name]}"


def _count(path: str, kind: str, registry: Registry) -> tuple[dict[str, int], list[str]]:
    """The records by status, and what is wrong with the first odd ones."""
    found: Counter[str] = Counter()
    odd: list[str] = []
    try:
        for number, record in enumerate(read_records(path, kind, registry), start=1):
            found["rows"] += 1
            found[str(record.get("status"))] += 1
            if kind == "jsonl" and len(odd) < _MOST and (wrong := wrong_with(record)):
                odd.append(f"{path}: record {number}: {wrong}")
    except SourceError as error:
        return {}, [str(error)]
    return {name: found[name] for name in ("rows", *STATUSES)}, odd


def wrong_with(record: Mapping[str, Json]) -> str | None:
    """What keeps *record* from being a line of results; None if nothing does."""
    status = record.get("status")
    if not isinstance(record.get("id"), str):
        return "it has no id"
    if status not in STATUSES:
        return f"its status is {status!r}"
    if "output" not in record:
        return "it has no output"
    if status != "ok" and record["output"] is not None:
        return f"it has an output although its status is '{status}'"
    error = record.get("error")
    if error is not None and (status != "error" or not _is_error(error)):
        return "its error is not what a record's error is"
    if record.get("finish_reason") not in (None, *FINISH_REASONS):
        return f"its finish_reason is {record['finish_reason']!r}"
    return None


def _is_error(error: Json) -> bool:
    return (
        isinstance(error, Mapping)
        and isinstance(error.get("class"), str)
        and isinstance(error.get("message"), str)
    )
