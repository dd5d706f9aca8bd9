"""A web application on a cluster's driver: a flat JSON object in, any JSON out."""

from __future__ import annotations

from ...errors import Rejected
from ...types import Json, Response
from ..base import Request
from .base import Alone, sendable


class FlatPrompt(Alone):
    """`{"prompt": …, "stop": […], …}` in; the whole parsed answer is the value."""

    prompt_kind = "any"
    answer_keys: frozenset[str] = frozenset()

    def encode(self, request: Request) -> Json:
        """The request's fields as they are."""
        body = sendable(request.fields)
        if not body:
            raise Rejected("the request is empty; write a prompt")
        return body

    def body_of(self, text: str) -> Json:
        """The text itself."""
        return text

    def decode(self, body: Json) -> Response:
        """The parsed JSON, of any type."""
        return Response(value=body, body=body)


PROMPT = FlatPrompt()
