"""Any OpenAI-compatible server: OpenAI, vLLM, llama.cpp, gateways."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from ..client.auth import Sender
from ..context import Context
from ..findings import FAIL, OK, WARN, Check, Finding
from ..spec.model import EndpointSpec
from ..spelling import nearest
from ..types import Json
from .classify import Place
from .complaint import read
from .http import HttpAdapter
from .senders import bearer, make_transport
from .urls import base_of, below
from .wires.base import Wire
from .wires.openai import CHAT, COMPLETIONS, EMBEDDINGS
from .wires.responses import RESPONSES

TASKS: Mapping[str, tuple[Wire, str]] = {
    "chat": (CHAT, "chat/completions"),
    "completions": (COMPLETIONS, "completions"),
    "embeddings": (EMBEDDINGS, "embeddings"),
    "responses": (RESPONSES, "responses"),
}
"""Task → its wire, and its path below `base_url` (OpenAI API reference)."""


class OpenAIAdapter(HttpAdapter):
    """`POST {base_url}/chat/completions` and its siblings."""

    options: ClassVar[Mapping[str, Json]] = {
        "type": "object",
        "required": ["base_url"],
        "properties": {
            "base_url": {
                "type": "string",
                "pattern": "^https?://",
                "description": "Address of the API up to its version, such as "
                "https://api.openai.com/v1; a path behind it that the task adds may stand there.",
            },
            "model": {"type": "string", "description": "The model's name; many servers need it."},
            "task": {
                "enum": list(TASKS),
                "default": "chat",
                "description": "What the model does.",
            },
            "api_key": {
                "x-kind": "credential",
                "description": "The key, as {env: NAME} or {secret: scope/key}.",
            },
            "batch_size": {
                "type": "integer",
                "minimum": 1,
                "default": 1,
                "description": "Rows in one call, for completions and embeddings.",
            },
        },
    }

    @classmethod
    def create(
        cls, spec: EndpointSpec, context: Context, transport: Sender | None = None
    ) -> OpenAIAdapter:
        """An adapter from its options."""
        options = spec.options
        sender = transport or make_transport(spec, context)
        wire, path = TASKS[options.get("task", "chat")]
        base = base_of(options["base_url"], path)
        url = below(base, path)
        model = options.get("model")
        adapter = cls(
            wire=wire,
            url=url,
            spec=spec,
            context=context,
            auth=bearer("api_key", spec, sender, context),
            place=Place(
                url=url,
                missing=f"check {spec.path}.base_url and {spec.path}.model",
                credentials=f"check {spec.path}.api_key",
            ),
            fixed={"model": model} if model else None,
            batch_size=options.get("batch_size", 1),
            transport=sender,
        )
        adapter.identity = {"base_url": base}
        return adapter

    def checkup(self, timeout: float) -> list[Check]:
        """The server, the key, and whether the server lists the model (`GET /models`)."""
        return [
            *super().checkup(timeout),
            Check(
                subject="model",
                after=("server", "credentials"),
                look=lambda: self._is_listed(timeout),
            ),
        ]

    def _is_listed(self, timeout: float) -> Iterator[Finding]:
        from ..client.checkup import ask

        headers = {**self.auth.headers(), **self.own_headers()}
        url = below(self.identity["base_url"], "models")
        response = ask(self.transport, url, timeout, headers)
        complaint = read(response.status, response.body)
        if response.status in (401, 403):
            said = f"{self.auth.source} is refused ({response.status}: {complaint.message})"
            mend = f"check {self.spec.path}.api_key"
            yield Finding(state=FAIL, subject="credentials", said=self.auth.mask(said), mend=mend)
            return
        told = complaint.body if isinstance(complaint.body, dict) else {}
        listed = told.get("data")
        if response.status != 200 or not isinstance(listed, list):
            said = f"the server lists no models ({response.status})"
            yield Finding(state=WARN, subject="model", said=said, mend="--ask finds out")
            return
        names = [str(entry.get("id")) for entry in listed if isinstance(entry, dict)]
        model = self.spec.options.get("model")
        if model is None or model in names:
            said = f"{model} is listed" if model else f"none is named; {len(names)} are listed"
            yield Finding(state=OK, subject="model", said=said)
            return
        near = nearest(model, names)
        known = ", ".join(sorted(names)[:5]) + (", …" if len(names) > 5 else "")
        mend = f"did you mean '{near}'?" if near else f"there are {known or 'none'}"
        said = f"the server does not list {model}"
        yield Finding(state=WARN, subject="model", said=said, mend=mend)

    def describe(self) -> Mapping[str, Json]:
        """The adapter, the URL and the model."""
        return {**super().describe(), **self._fixed}
