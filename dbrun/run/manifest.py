"""The record of a run: what ran, on what, with what outcome. Pure data, beside the results."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from .. import __version__
from ..canonical import digest
from ..spec.model import Spec
from ..spec.prompts import MessageTemplate, Prompt, Text
from ..types import Json

MANIFEST_VERSION = 1
EXTENSIONS = (".jsonl", ".json", ".ndjson", ".csv", ".tsv", ".parquet", ".gz", ".zst")
"""Extensions of results files."""

_PACKAGES = (
    "click",
    "jinja2",
    "jsonschema",
    "pyyaml",
    "requests",
    "rich",
    "databricks-sdk",
    "mlflow",
    "mlflow-skinny",
    "xllamacpp",
)


def manifest_path(results: str) -> str:
    """Where the manifest of a results file lies: `<stem>.run.json` beside it."""
    return stem(results) + ".run.json"


def stem(results: str) -> str:
    """A results path without its extensions: `out/a.jsonl.gz` → `out/a`."""
    base = results
    for _ in range(2):
        root, extension = os.path.splitext(base)
        if extension.lower() in EXTENSIONS:
            base = root
    return base


def part_path(results: str) -> str:
    """Where a run over some of the rows writes: `out/a.jsonl.gz` → `out/a.part.jsonl.gz`."""
    base = stem(results)
    return base + ".part" + results[len(base) :]


def unmet_path(results: str) -> str:
    """Where results go that `publish: if_met` keeps back: `out/a.jsonl` → `out/a.unmet.jsonl`."""
    base = stem(results)
    return base + ".unmet" + results[len(base) :]


def describe_recipe(spec: Spec, functions: Mapping[str, str]) -> dict[str, Json]:
    """The part of a manifest that is known before the first row."""
    return {
        "name": spec.name,
        "target": spec.target,
        "spec": dict(spec.merged),
        "spec_digest": digest(_storable(spec.merged)),
        "git": git_state(spec.folder),
        "digests": {
            "templates": {name: _sha256(text) for name, text in _templates(spec)},
            "functions": dict(functions),
        },
        "versions": versions(),
    }


def is_same_recipe(one: Json, other: Json) -> bool:
    """Whether two merged specs differ in nothing but where they run and their limits, those of
    endpoints included."""
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return False
    return digest(_unlimited(one, True)) == digest(_unlimited(other, True))


def _unlimited(part: Any, is_whole: bool = False) -> Json:
    if isinstance(part, Mapping):
        has_limits = is_whole or "adapter" in part
        return {
            str(name): _unlimited(value)
            for name, value in part.items()
            if not (has_limits and name == "limits") and not (is_whole and name == "engine")
        }
    return [_unlimited(item) for item in part] if isinstance(part, (list, tuple)) else part


def versions() -> dict[str, Json]:
    """Versions of dbrun, of Python, and of the packages that shape a run."""
    installed = _installed()
    packages = {name: installed[name] for name in _PACKAGES if name in installed}
    return {"dbrun": __version__, "python": platform.python_version(), "packages": packages}


def _installed() -> dict[str, str]:
    """Versions of the installed packages by name, as the names of their folders tell.

    (Binary distribution format, "The .dist-info directory"; reading the metadata inside takes
    longer than all else that a run does before its first request.)
    """
    found: dict[str, str] = {}
    for folder in sys.path:
        with contextlib.suppress(OSError):
            for entry in os.listdir(folder or "."):
                name, _, rest = entry.partition("-")
                version, ending = os.path.splitext(rest)
                if ending in (".dist-info", ".egg-info"):
                    found.setdefault(name.lower().replace("_", "-"), version.partition("-")[0])
    return found


def git_state(folder: str) -> Json:
    """The commit that *folder* is at and whether files differ from it; None outside git."""
    told = _git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    if told is None:
        return None
    # git-status(1), "Porcelain Format Version 2": a header says `# branch.oid <commit>`, or
    # `(initial)`; whatever line is no header is a file that differs.
    headers = [line for line in told.splitlines() if line.startswith("# ")]
    commit = next((line.split()[2] for line in headers if line.startswith("# branch.oid ")), None)
    if commit in (None, "(initial)"):
        return None
    return {"commit": commit, "dirty": len(told.splitlines()) > len(headers)}


def git_branch(folder: str) -> str | None:
    """The branch that *folder* is on; None outside git and where no branch is checked out."""
    branch = _git(folder, "rev-parse", "--abbrev-ref", "HEAD")
    return None if branch in (None, "HEAD") else branch


def run_id(now: datetime) -> str:
    """A name for a run that sorts by time: `20261122T201538Z-3f9c`."""
    return now.strftime("%Y%m%dT%H%M%SZ") + "-" + os.urandom(2).hex()


def _git(folder: str, *words: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command, no shell
            ["git", "--no-optional-locks", "-C", folder, *words],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _templates(spec: Spec) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    names = [f"{variant.name}/" for variant in spec.variants] or [""]
    for name, branch in zip(names, spec.branches, strict=True):
        for step in branch.asked:
            for text in _texts(step.prompt):
                found.append((f"{name}{step.name}:{text.name}", text.source))
    return found


def _texts(prompt: Prompt) -> list[Text]:
    if prompt.text is not None:
        return [prompt.text]
    texts: list[Text] = []
    for message in prompt.messages or ():
        texts.extend(_message_texts(message))
    return texts


def _message_texts(message: MessageTemplate) -> Sequence[Text]:
    if isinstance(message.content, Text):
        return [message.content]
    return [value for part in message.content for value in part.values() if isinstance(value, Text)]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _storable(value: Any) -> Json:
    if isinstance(value, Mapping):
        return {str(key): _storable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_storable(item) for item in value]
    return value
