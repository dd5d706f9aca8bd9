"""Registered prompts become templates; what was read once is kept, for versions never change.

They are kept in the journal's folder, in `prompts.json`, so that whoever has the journal can
render, plan and replay without the registry.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Literal, Protocol

from ..errors import DbrunError, PluginError, RunError, SpecError, UserError
from ..files import write_whole
from ..spec.model import MlflowSpec, Spec, StepSpec
from ..spec.prompts import MessageTemplate, Part, Prompt, RegisteredPrompt, Text
from ..spec.templates.mlflow_prompts import from_mlflow
from ..types import NOWHERE, Json, Problem
from .library import PromptText, Server

Mode = Literal["current", "latest_known", "kept"]
"""What an alias stands for: what the registry says now; the same, or what it said last where it
cannot be asked; or what it said last, without asking. Versions are asked for only once."""

FILE = "prompts.json"


class Registry(Protocol):
    """What has prompts: the registry, or a stand-in for it."""

    def prompt(self, wanted: RegisteredPrompt) -> PromptText:
        """The prompt that *wanted* names."""


def read_prompts(
    spec: Spec,
    environ: Mapping[str, str],
    *,
    mode: Mode = "current",
    must_have: bool = True,
    registry: Registry | None = None,
) -> tuple[Spec, tuple[Problem, ...]]:
    """*spec* with its registered prompts read, and what there is to warn of.

    Args:
        environ: tells which registry MLflow would ask.
        must_have: false leaves out, with a warning, what cannot be read for the moment.
        registry: asked in place of the one that the spec names.

    Raises:
        SpecError: there are no such prompts.
        PluginError: mlflow is not installed.
        RunError: the registry cannot be reached or refuses.
    """
    mlflow = spec.mlflow or MlflowSpec()
    kept = _Kept(spec, mlflow, environ)
    asked = registry or Server(mlflow.tracking_uri, mlflow.registry_uri)
    reading = _Reading(asked, kept, mode, must_have)
    steps = tuple(reading.step(step) for step in spec.steps)
    scores = tuple(
        replace(score, step=reading.step(score.step)) if score.step is not None else score
        for score in spec.scores
    )
    kept.write()
    if reading.problems:
        raise SpecError(reading.problems)
    return replace(spec, steps=steps, scores=scores), tuple(reading.warnings)


class _Reading:
    def __init__(self, registry: Registry, kept: _Kept, mode: Mode, must_have: bool) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self._registry = registry
        self._kept = kept
        self._mode = mode
        self._must_have = must_have
        self._found: dict[str, PromptText | None] = {}

    def step(self, step: StepSpec) -> StepSpec:
        wanted = step.prompt.registered
        if wanted is None:
            return step
        if wanted.uri not in self._found:
            self._found[wanted.uri] = self._read(wanted)
        found = self._found[wanted.uri]
        return step if found is None else replace(step, prompt=as_prompt(wanted, found))

    def _read(self, wanted: RegisteredPrompt) -> PromptText | None:
        known = self._kept.find(wanted)
        if known is not None and (wanted.alias is None or self._mode == "kept"):
            return known
        if self._mode == "kept":
            message = f"{wanted.uri} has not been read here yet, and is not asked for now"
            self._lack(wanted, UserError(message, "run once with the registry at hand"))
            return None
        try:
            found = self._registry.prompt(wanted)
        except (RunError, PluginError) as error:
            if known is None or self._mode == "current":
                self._lack(wanted, error)
                return None
            hint = f"version {known.version}, read before, stands in"
            self.warnings.append(_problem(wanted, error.message, hint))
            return known
        except UserError as error:
            self.problems.append(_problem(wanted, error.message, error.hint))
            return None
        self._kept.add(wanted, found, moves=self._mode == "current")
        return found

    def _lack(self, wanted: RegisteredPrompt, error: DbrunError) -> None:
        if self._must_have:
            raise error
        self.warnings.append(_problem(wanted, f"not checked: {error.message}", error.hint))


def as_prompt(wanted: RegisteredPrompt, found: PromptText) -> Prompt:
    """The prompt of a step: one template, or the turns of a chat.

    Raises:
        SpecError: what the registry holds is neither.
    """
    uri = f"prompts:/{wanted.name}/{found.version}"
    if isinstance(found.template, str):
        return Prompt(text=_template(found.template, uri), registered=wanted)
    try:
        turns = tuple(
            MessageTemplate(role=turn["role"], content=_content(turn["content"], f"{uri}#{number}"))
            for number, turn in enumerate(found.template)
        )
    except (KeyError, TypeError) as error:
        message = f"{uri} is neither text nor a list of messages with role and content"
        raise SpecError([_problem(wanted, message, "")]) from error
    return Prompt(messages=turns, registered=wanted)


def _content(content: Any, name: str) -> Text | tuple[Part, ...]:
    if isinstance(content, str):
        return _template(content, name)
    return tuple(_part(part, f"{name}.{number}") for number, part in enumerate(content))


def _part(part: Any, name: str) -> Part:
    """A part of a message (MLflow takes OpenAI's: `{type: text}`, `{type: image_url}`)."""
    if part.get("type") == "text":
        return {"text": _template(part["text"], name)}
    if part.get("type") == "image_url":
        image = dict(part["image_url"])
        return {"image": _template(image.pop("url"), name), **image}
    return dict(part)


def _template(source: str, name: str) -> Text:
    return Text(source=from_mlflow(source), name=name, where=NOWHERE)


def _problem(wanted: RegisteredPrompt, message: str, hint: str) -> Problem:
    length = len(wanted.uri) + 2
    return Problem(where=wanted.where, path=wanted.path, message=message, hint=hint, length=length)


class _Kept:
    """The prompts that were read before: texts by version, versions by alias.

    What was read from one registry does not stand for another's, where it is told which is
    meant; the address itself is not kept, for journals are shared.
    """

    def __init__(self, spec: Spec, mlflow: MlflowSpec, environ: Mapping[str, str]) -> None:
        self._path = os.path.join(spec.journal.path, FILE)
        self._is_off = spec.journal.mode == "off"
        self._registry = _name_of_registry(mlflow, environ)
        self._prompts: dict[str, Any] = {}
        self._aliases: dict[str, Any] = {}
        self._changed = False
        if not self._is_off:
            self._load()

    def find(self, wanted: RegisteredPrompt) -> PromptText | None:
        """What is kept of *wanted*; an alias stands for the version that it stood for last."""
        version = wanted.version
        if wanted.alias is not None:
            version = self._of_ours(self._aliases.get(wanted.uri)).get("version")
        found = self._of_ours(self._prompts.get(f"prompts:/{wanted.name}/{version}"))
        if version is None or "template" not in found:
            return None
        return PromptText(version=version, template=found["template"])

    def add(self, wanted: RegisteredPrompt, found: PromptText, *, moves: bool) -> None:
        """Keep what was read. Only where it *moves* an alias stands for another version now:
        replaying takes the one that the last run took, whoever has looked since."""
        mark = {"registry": self._registry} if self._registry else {}
        text = {"template": found.template, **mark}
        uri = f"prompts:/{wanted.name}/{found.version}"
        before = self._prompts.get(uri), self._aliases.get(wanted.uri)
        self._prompts[uri] = text
        if wanted.alias is not None and (moves or self.find(wanted) is None):
            self._aliases[wanted.uri] = {"version": found.version, **mark}
        self._changed |= before != (self._prompts[uri], self._aliases.get(wanted.uri))

    def write(self) -> None:
        """Put what was added on disk; where that cannot be, it is read again the next time."""
        if not self._changed or self._is_off:
            return
        said = {"version": 1, "prompts": self._prompts, "aliases": self._aliases}
        text = json.dumps(said, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        with suppress(OSError):
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            write_whole(self._path, text.encode("utf-8", "surrogatepass"))

    def _load(self) -> None:
        try:
            with open(self._path, encoding="utf-8", errors="surrogatepass") as stream:
                said = json.load(stream)
        except (OSError, ValueError):
            return
        if isinstance(said, dict) and said.get("version") == 1:
            self._prompts = _mapping(said.get("prompts"))
            self._aliases = _mapping(said.get("aliases"))

    def _of_ours(self, entry: Json) -> Mapping[str, Any]:
        entry = _mapping(entry)
        other = self._registry and entry.get("registry") not in (None, self._registry)
        return {} if other else entry


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _name_of_registry(mlflow: MlflowSpec, environ: Mapping[str, str]) -> str | None:
    """What tells one registry from another; None where only MLflow knows which it would ask."""
    uri = (
        mlflow.registry_uri
        or environ.get("MLFLOW_REGISTRY_URI")
        or mlflow.tracking_uri
        or environ.get("MLFLOW_TRACKING_URI")
    )
    return hashlib.sha256(uri.rstrip("/").encode()).hexdigest()[:16] if uri else None
