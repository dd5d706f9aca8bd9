"""`adapter: local`: a small model in this process, through llama.cpp."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from ..context import Context
from ..errors import PluginError, Rejected, UserError
from ..findings import OK, Check, Finding
from ..spec.model import Concurrency, EndpointSpec
from ..spec.prompts import Text
from ..types import Json, Response
from . import local_model
from .base import Answer, Request
from .local_engine import Engine
from .payload import unsendable
from .wires.openai import CHAT, COMPLETIONS

TASKS: Mapping[str, Any] = {"chat": CHAT, "completions": COMPLETIONS}
CONTEXT = 4096
"""Tokens of prompt and answer together that a model is loaded for, unless told otherwise."""


class LocalAdapter:
    """A GGUF model, asked one question at a time.

    Answers repeat exactly: nothing is cached between questions, and a request without a `seed`
    is sampled with a fixed one. Time limits hold to the next token (or 512 tokens of prompt).
    """

    options: ClassVar[Mapping[str, Json]] = {
        "type": "object",
        "properties": {
            "model": {
                "description": "The embedded model, or {path: file.gguf} for one of your own.",
                "type": ["string", "object"],
                "default": local_model.DEFAULT_MODEL,
                "if": {"type": "string"},
                "then": {"enum": [local_model.DEFAULT_MODEL]},
                "properties": {
                    "path": {
                        "description": "A GGUF file.",
                        "type": "string",
                        "minLength": 1,
                        "x-kind": "path",
                    }
                },
                "required": ["path"],
                "additionalProperties": False,
            },
            "threads": {
                "description": "Threads that compute; by default one less than the cores.",
                "type": "integer",
                "minimum": 1,
            },
            "context": {
                "description": "Tokens of prompt and answer together that there is room for.",
                "type": "integer",
                "minimum": 64,
                "default": CONTEXT,
            },
            "task": {
                "description": "chat takes messages or a prompt, completions a bare prompt.",
                "enum": sorted(TASKS),
                "default": "chat",
            },
        },
    }
    concurrency: ClassVar[Concurrency] = Concurrency.fixed(1)

    def __init__(
        self,
        *,
        file: Path | None,
        threads: int,
        size: int,
        task: str,
        send_stop: bool,
        context: Context,
        model_at: str,
    ) -> None:
        """*file* None is the embedded model; *size* is the number of tokens of its context,
        *model_at* how messages name the place of the option."""
        self._file = file
        self._threads = threads
        self._size = size
        self._task = task
        self._send_stop = send_stop
        self.wire = TASKS[task]
        self._context = context
        self._model_at = model_at
        self._engine: Engine | None = None
        self.identity: Json = None
        self.prompt_kind: str = self.wire.prompt_kind
        self.batch_size = 1
        self.columns: Mapping[str, Text] = {}

    @classmethod
    def create(cls, spec: EndpointSpec, context: Context) -> LocalAdapter:
        """An adapter from its options, already valid. Touches no file."""
        model = spec.options.get("model", local_model.DEFAULT_MODEL)
        return cls(
            file=Path(context.folder, model["path"]) if isinstance(model, Mapping) else None,
            threads=spec.options.get("threads") or usual_threads(),
            size=spec.options.get("context", CONTEXT),
            task=spec.options.get("task", "chat"),
            send_stop=spec.send_stop,
            context=context,
            model_at=spec.at("model"),
        )

    @property
    def name(self) -> str:
        """What the answers call the model."""
        return self._file.stem if self._file else local_model.DEFAULT_MODEL

    def prepare(self) -> None:
        """Find the weights and their digest. Offline, neither package nor weights need be there.

        Raises:
            PluginError: the package or the embedded model is not installed.
            UserError: the file of `model.path` is missing or no GGUF model.
        """
        if self._context.offline:
            self.identity = self._digest(self._file) if self._file else local_model.SMOLLM2.sha256
            return
        local_model.require_engine()
        if self._file is None:
            path = local_model.require_weights()
            # `dbrun local install` has checked the file; its size tells a damaged one.
            self.identity = local_model.SMOLLM2.sha256
        else:
            path = self._file
            self.identity = self._digest(path)
        self._engine = Engine(
            path,
            name=self.name,
            threads=self._threads,
            context=self._size,
            clock=self._context.clock,
            debug=self._context.debug,
        )

    def rehearse(self) -> str | None:
        """Nothing is needed: neither package nor weights."""
        return None

    def checkup(self, timeout: float) -> list[Check]:
        """Whether engine and weights are installed."""
        return [Check(subject="model", look=self._is_installed)]

    def _is_installed(self) -> Iterable[Finding]:
        self.prepare()
        engine = self.describe().get("engine")
        said = f"{self.name} is installed, for {engine}"
        return [Finding(state=OK, subject="model", said=said)]

    def _digest(self, file: Path) -> str:
        """The digest of a model of the user's own; offline, the one that is remembered."""
        fact = f"local weights {file.name}"
        if file.is_file():
            with file.open("rb") as opened:
                if opened.read(4) != b"GGUF":
                    said = f"{self._model_at}.path: {file} is no GGUF model"
                    raise UserError(said, "name a file of one")
            digest = local_model.digest(file)
            self._context.memory.remember(fact, digest)
            return digest
        known = self._context.memory.recall(fact) if self._context.offline else None
        if not isinstance(known, str):
            raise UserError(
                f"{self._model_at}.path: there is no file {file}", "set it to a GGUF file"
            )
        return known

    def encode(self, request: Request) -> Json:
        """The body of the OpenAI wire; nothing is added to what the spec says."""
        if not self._send_stop:
            fields = {name: value for name, value in request.fields.items() if name != "stop"}
            request = replace(request, fields=fields)
        body = self.wire.encode(request)
        if (place := unsendable(body)) is not None:
            raise Rejected(f"the request is no JSON: {place}")
        return body

    def group(self, body: Json) -> Hashable:
        """Everything travels alone."""
        return None

    def call(self, bodies: Sequence[Json], timeout: float) -> Sequence[Answer]:
        """Ask the model, loading it first if this is the first question."""
        if self._engine is None:
            raise PluginError("adapter 'local' was asked before it was prepared")
        return [Answer(body=self._engine.ask(self._task, body, timeout)) for body in bodies]

    def decode(self, body: Json) -> Response:
        """An answer's body in common terms."""
        response: Response = self.wire.decode(body)
        return response

    def native_schema(self, schema: Json, name: str) -> Mapping[str, Json]:
        """The params by which llama.cpp writes nothing that *schema* does not allow."""
        if self._task == "completions":
            return {"json_schema": schema}
        return CHAT.native_schema(schema, name)

    def describe(self) -> Mapping[str, Json]:
        """The model, its weights' digest, and what runs it."""
        from importlib.metadata import version

        engine = f"xllamacpp {version('xllamacpp')}" if local_model.engine_installed() else None
        return {
            "adapter": "local",
            "model": self.name,
            "sha256": self.identity,
            "task": self._task,
            "context": self._size,
            **({"engine": engine} if engine else {}),
        }

    def close(self) -> None:
        """Unload the model."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None


def usual_threads() -> int:
    """One less than the cores this process may use, one at least: with all of them busy, the
    threads of a step wait for each other and everything is several times slower."""
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)) - 1)
    return max(1, (os.cpu_count() or 2) - 1)
