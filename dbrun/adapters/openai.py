"""Any OpenAI-compatible server: OpenAI, vLLM, llama.cpp, gateways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import urlsplit, urlunsplit

from ..client.auth import Sender
from ..context import Context
from ..spec.model import EndpointSpec
from ..types import Json
from .classify import Place
from .http import HttpAdapter, bearer, make_transport
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
                "https://api.openai.com/v1.",
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
        url = below(options["base_url"], path)
        model = options.get("model")
        adapter = cls(
            wire=wire,
            url=url,
            spec=spec,
            context=context,
            auth=bearer(options.get("api_key"), f"{spec.path}.api_key", sender, context),
            place=Place(
                url=url,
                missing=f"check {spec.path}.base_url and {spec.path}.model",
                credentials=f"check {spec.path}.api_key",
            ),
            fixed={"model": model} if model else None,
            batch_size=options.get("batch_size", 1),
            transport=sender,
        )
        adapter.identity = {"base_url": options["base_url"].rstrip("/")}
        return adapter

    def describe(self) -> Mapping[str, Json]:
        """The adapter, the URL and the model."""
        return {**super().describe(), **self._fixed}


def below(base: str, path: str) -> str:
    """*path* below *base*, whose query (an API version, say) is kept."""
    parts = urlsplit(base)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{path}", fragment=""))
