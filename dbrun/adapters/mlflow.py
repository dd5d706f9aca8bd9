"""An MLflow scoring server (`mlflow models serve`), or a gateway that takes `/invocations`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from ..client.auth import Sender
from ..context import Context
from ..findings import OK, WARN, Check, Finding
from ..spec.model import EndpointSpec
from ..spec.prompts import Text
from ..types import Json
from .classify import Place
from .http import HttpAdapter
from .senders import bearer, make_transport
from .urls import base_of, below
from .wires.base import Wire
from .wires.mlflow import FORMATS, PARAMS_AS, Signature
from .wires.openai import CHAT, COMPLETIONS
from .wires.responses import RESPONSES

WIRES: Mapping[str, Wire] = {"chat": CHAT, "completions": COMPLETIONS, "responses": RESPONSES}
"""Task → its wire, where rows of columns are not what a server takes: the gateway's routes, and
models of MLflow's `ChatModel`, `ChatAgent` and `ResponsesAgent`."""

SIGNATURE_OPTIONS: Mapping[str, Json] = {
    "format": {
        "enum": list(FORMATS),
        "default": "dataframe_split",
        "description": "The envelope of a custom model's rows; dataframe_split suits every "
        "signature.",
    },
    "batch_size": {
        "type": "integer",
        "minimum": 1,
        "default": 1,
        "description": "Rows in one call. Only rows of equal stop and params travel together.",
    },
    "columns": {
        "type": "object",
        "additionalProperties": {"x-kind": "template"},
        "description": "The model's inputs by name, each a template; in place of prompt.",
    },
    "params_as": {
        "enum": list(PARAMS_AS),
        "default": "columns",
        "description": "Send params as further columns of the row, or as MLflow's params.",
    },
}
"""The options of custom models, which Databricks shares."""


class MlflowAdapter(HttpAdapter):
    """`POST {url}/invocations`."""

    options: ClassVar[Mapping[str, Json]] = {
        "type": "object",
        "required": ["url"],
        "properties": {
            "url": {
                "type": "string",
                "pattern": "^https?://",
                "description": "Address of the server; /invocations is added unless it is there.",
            },
            "task": {
                "enum": ["model", *WIRES],
                "default": "model",
                "description": "model sends rows of columns; the others send OpenAI's requests.",
            },
            **SIGNATURE_OPTIONS,
            "token": {
                "x-kind": "credential",
                "description": "A bearer token, as {env: NAME} or {secret: scope/key}.",
            },
        },
    }

    @classmethod
    def create(
        cls, spec: EndpointSpec, context: Context, transport: Sender | None = None
    ) -> MlflowAdapter:
        """An adapter from its options."""
        options = spec.options
        sender = transport or make_transport(spec, context)
        base = base_of(options["url"], "invocations")
        url = below(base, "invocations")
        adapter = cls(
            wire=wire_of(options.get("task", "model"), options),
            url=url,
            spec=spec,
            context=context,
            auth=bearer("token", spec, sender, context),
            place=Place(
                url=url,
                missing=f"check {spec.path}.url",
                credentials=f"set {spec.path}.token: {{env: NAME}}",
            ),
            batch_size=options.get("batch_size", 1),
            transport=sender,
        )
        adapter.identity = {"url": base}
        adapter.columns = column_templates(options, spec)
        return adapter

    def checkup(self, timeout: float) -> list[Check]:
        """The server, the token, and whether the model is loaded (`GET /ping`)."""
        return [
            *super().checkup(timeout),
            Check(
                subject="model",
                after=("server", "credentials"),
                look=lambda: self._is_loaded(timeout),
            ),
        ]

    def _is_loaded(self, timeout: float) -> Iterable[Finding]:
        from ..client.checkup import ask

        headers = {**self.auth.headers(), **self.own_headers()}
        response = ask(self.transport, below(self.identity["url"], "ping"), timeout, headers)
        if response.status == 200:
            return [Finding(state=OK, subject="model", said="is loaded (/ping)")]
        said = f"/ping is answered with {response.status}: this may be a gateway"
        return [Finding(state=WARN, subject="model", said=said, mend="--ask finds out")]


def wire_of(task: str, options: Mapping[str, Any], beside: Iterable[str] = ()) -> Wire:
    """The wire of a task that a model server has; options named in *beside* are fields that go
    beside a custom model's rows."""
    if task in WIRES:
        return WIRES[task]
    columns = tuple(options.get("columns") or ())
    return Signature(
        format=options.get("format", "dataframe_split"),
        columns=columns,
        params_as=options.get("params_as", "columns"),
        beside=tuple(name for name in beside if name in options),
        prompt_kind="any" if columns else "text",
    )


def column_templates(options: Mapping[str, Any], spec: EndpointSpec) -> Mapping[str, Text]:
    """The templates of `columns` by name."""
    return {
        name: template
        if isinstance(template, Text)
        else Text(source=str(template), name=f"{spec.path}.columns.{name}", where=spec.where)
        for name, template in (options.get("columns") or {}).items()
    }
