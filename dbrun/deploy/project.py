"""A project to start from: the files in `project/`, some of them for bundles only."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from importlib import metadata

from .. import __version__
from ..errors import RunError, UserError
from ..spec.schema import read_schema

SPEC = "pipelines/tickets.yaml"
RESOURCE = "resources/tickets.yml"
JOB_TARGET = "job"
"""The target of the spec that the bundle's job runs."""

_FOR_BUNDLES = ("databricks.yml",)
_MARK = re.compile(r"^#bundle ?", re.MULTILINE)
_MARKED = re.compile(r"^#bundle.*\n", re.MULTILINE)


def project_files(name: str, requirement: str, *, bundle: bool) -> dict[str, str]:
    """The files of a project: path → text.

    Args:
        name: what project and bundle are called; what is odd in it is replaced.
        requirement: the line of a requirements file that installs dbrun.
        bundle: whether the project is a bundle as well.
    """
    words = {"@NAME@": _plain(name), "@REQUIREMENT@": requirement}
    files: dict[str, str] = {}
    for path, text in _templates():
        if path in _FOR_BUNDLES and not bundle:
            continue
        text = (_MARK if bundle else _MARKED).sub("", text)
        for word, value in words.items():
            text = text.replace(word, value)
        files[path] = text
    schema = json.dumps(read_schema(), indent=2, ensure_ascii=False)
    return {**files, "schemas/pipeline.schema.json": schema + "\n"}


def write_new(folder: str, files: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Write those *files* that are not there yet; which were written, and which were kept.

    Raises:
        UserError: the folder is a file.
        RunError: something cannot be written.
    """
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise UserError(f"{folder} is a file", "name a folder; it is made if need be")
    written: list[str] = []
    kept: list[str] = []
    for path, text in files.items():
        whole = os.path.join(folder, path)
        if os.path.lexists(whole):
            kept.append(path)
            continue
        try:
            os.makedirs(os.path.dirname(whole), exist_ok=True)
            with open(whole, "x", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
        except OSError as error:
            raise RunError(
                f"{whole} cannot be written: {(error.strerror or str(error)).lower()}",
                "name a folder that can be made and written",
            ) from error
        written.append(path)
    return written, kept


def requirement() -> str:
    """The line of a requirements file that installs the dbrun that runs: from where this one was
    installed, if that was no package index (PEP 610), else by its version."""
    try:
        text = metadata.distribution("dbrun").read_text("direct_url.json")
        told = json.loads(text or "{}")
    except (metadata.PackageNotFoundError, ValueError):
        told = {}
    url = str(told.get("url") or "")
    if not url:
        return f"dbrun=={__version__}"
    if isinstance(told.get("vcs_info"), dict):
        source = told["vcs_info"]
        url = f"{source.get('vcs')}+{url}@{source.get('commit_id')}"
    return f"dbrun @ {url}"


def _templates() -> Iterator[tuple[str, str]]:
    """The path that each template is for, and its text."""
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "project")
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            whole = os.path.join(folder, name)
            path = os.path.relpath(whole, root).replace(os.sep, "/")
            # Named so that neither git nor the checks of dbrun take them for files of their own.
            path = re.sub(r"(^|/)dot\.", r"\1.", path).replace(".py.txt", ".py")
            with open(whole, encoding="utf-8") as stream:
                yield path, stream.read()


def _plain(name: str) -> str:
    """*name* with letters, digits, `-` and `_` only."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "prompts"
