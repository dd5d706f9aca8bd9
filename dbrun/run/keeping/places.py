"""Where results go, what they must not take the place of, and what stands there already."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from ...errors import UserError
from ...files import open_in, spool_path
from ...registry import Registry
from ...spec.formats import format_of
from ...spec.model import SinkSpec, Spec
from ...storage import clear_spool
from ...types import Json
from ..manifest import EXTENSIONS, manifest_path, part_path
from ..options import RunOptions
from ..rows.items import AskAgain

_ONE_FILE = frozenset({"jsonl", "csv", "parquet"})
"""Sinks that make a file of their path; others may make a folder."""

_KEY = re.compile(rb'"key":"([0-9a-f]{64})"')


def results_path(spec: Spec, options: RunOptions) -> str | None:
    """Where a run's results go: None for a stream."""
    if options.out == "-":
        return None
    if options.out is not None:
        return os.path.abspath(options.out)
    return part_path(spec.sink.path) if options.selection.is_partial else spec.sink.path


def manifest_place(spec: Spec, options: RunOptions) -> str | None:
    """Where a run's manifest goes: beside its results.

    None for a stream; but where spending is limited, what an unfinished run has spent is kept
    beside the spec's sink even then.
    """
    path = results_path(spec, options)
    if path is None and spec.limits.max_cost is not None and not options.replay:
        path = results_path(spec, replace(options, out=None))
    return manifest_path(path) if path is not None else None


def sink_spec(spec: Spec, options: RunOptions, registry: Registry) -> SinkSpec:
    """The sink; where `--out` names a file, its extension tells the format, as in a spec."""
    kind = format_of(options.out) if options.out is not None else None
    if kind is None or kind not in registry.names("sinks"):
        return spec.sink
    return replace(spec.sink, kind=kind)


def refuse_place(spec: Spec, path: str | None, kind: str) -> None:
    """Raises `UserError` if results, written by the sink *kind*, would take the place of a device,
    of a folder, or of what they are made from: they are put in place by renaming, whatever was
    there before."""
    if path is None or not os.path.exists(path):
        return
    if os.path.isdir(path) and kind in _ONE_FILE:
        raise UserError(f"{path} is a folder; the results are one file", "add a file name")
    if not os.path.isfile(path) and not os.path.isdir(path):
        raise UserError(f"{path} is no regular file", "'--out -' is standard output")
    source = spec.source.options.get("path")
    for made_from in (spec.file, source if isinstance(source, str) else None):
        if (
            made_from is not None
            and os.path.exists(made_from)
            and os.path.samefile(path, made_from)
        ):
            raise UserError(
                f"the results would overwrite {path}, which they are made from",
                "write them to another file",
            )
    is_results = os.path.splitext(path)[1].lower() in EXTENSIONS or os.path.exists(
        manifest_path(path)
    )
    if os.path.isfile(path) and not is_results:
        # A module, a template, a note: whatever it is, no run of ours has written it.
        raise UserError(
            f"{path} is there and is no results file", "name another file, or move it away"
        )


def discard_partial(path: str | None) -> None:
    """Remove the partial results of *path*, which nobody wants."""
    if path is not None:
        whole = os.path.realpath(path)
        for partial in (whole + ".partial", spool_path(whole)):
            with suppress(OSError):
                os.remove(partial)
        clear_spool(os.path.dirname(spool_path(whole)))


def spooled_partial(path: str | None) -> str | None:
    """Where the partial results of *path* are, if they are not beside it."""
    spooled = spool_path(os.path.realpath(path)) if path is not None else ""
    return spooled if os.path.exists(spooled) else None


def failed_items(spec: Spec) -> AskAgain:
    """The items whose records on disk have the status `error`, each with the keys of those of its
    requests whose answers stay: an earlier step had them, and a record that is ok has them, too.
    Another answer would change that record.

    Raises:
        UserError: there are no results to look at, or they are not JSON Lines.
    """
    path = spec.sink.path
    if spec.sink.kind != "jsonl":
        raise UserError("--only-errors reads results as JSON Lines", "set sink.format to jsonl")
    if not os.path.exists(path):
        raise UserError(f"--only-errors: there are no results at {path}", "run without it first")
    failed: dict[tuple[str, str | None, int | None], frozenset[str]] = {}
    with open_in(path) as stream:
        for number, line in enumerate(stream, start=1):
            # Parsing is worth it for few lines only; a row may well hold the same words.
            if b'"status":"error"' in line:
                record = _parsed(line, f"{path}:{number}")
                if record.get("status") == "error":
                    item = (record["id"], record.get("variant"), record.get("repeat"))
                    failed[item] = _earlier(record)
    shared = _in_use(path, frozenset().union(*failed.values()))
    return {item: keys & shared for item, keys in failed.items()}


def _earlier(record: Mapping[str, Any]) -> frozenset[str]:
    """The keys of the steps that *record* got through before it failed."""
    steps = record.get("steps") or {}
    return frozenset(step["key"] for step in steps.values() if "key" in step)


def _in_use(path: str, keys: frozenset[str]) -> frozenset[str]:
    """Those of *keys* that records which are ok have, too."""
    sought = set(keys)
    if not sought:
        return keys
    with open_in(path) as stream:
        for number, line in enumerate(stream, start=1):
            found = sought.intersection(map(bytes.decode, _KEY.findall(line)))
            if found and _parsed(line, f"{path}:{number}").get("status") == "ok":
                sought -= found
                if not sought:
                    break
    return keys - sought


def _parsed(line: bytes, where: str) -> dict[str, Json]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise UserError(
            f"{where}: this is no record: {error}", "run without --only-errors"
        ) from error
    if not isinstance(record, dict) or "id" not in record:
        raise UserError(f"{where}: this is no record", "run without --only-errors")
    return record
