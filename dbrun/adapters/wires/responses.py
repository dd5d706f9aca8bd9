"""The OpenAI Responses API, as Databricks agents (`agent/v1/responses`) and OpenAI speak it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ...errors import Rejected
from ...types import Json, Response
from ..base import Request
from .base import Alone, sendable, unexpected
from .common import finish_reason, text_of_parts, usage_of
from .openai import model_of, withheld

if TYPE_CHECKING:
    from .streamed import Streamed


class Responses(Alone):
    """`input` in, items of `output` out."""

    prompt_kind = "chat"
    answer_keys = frozenset({"output", "output_text"})
    batch_url = "/v1/responses"

    def encode(self, request: Request) -> Json:
        """The prompt or the messages as `input`.

        The API has no stop strings, so they are not sent; the text is cut when it arrives.
        """
        body = sendable(request.fields)
        body.pop("stop", None)
        prompt, messages = body.pop("prompt", None), body.pop("messages", None)
        if "input" in body:
            return body
        if messages is not None:
            return {"input": [_item(message) for message in messages], **body}
        if prompt is None:
            raise Rejected(
                "the request has neither prompt nor messages; let transforms.input return one"
            )
        return {"input": [{"role": "user", "content": prompt}], **body}

    def native_schema(self, schema: Json, name: str) -> Mapping[str, Json]:
        """`text.format` of type `json_schema`, strict."""
        form = {"type": "json_schema", "name": name, "schema": schema, "strict": True}
        return {"text": {"format": form}}

    def body_of(self, text: str) -> Json:
        """One message item."""
        parts = [{"type": "output_text", "text": text}]
        item = {"type": "message", "role": "assistant", "content": parts}
        return {"status": "completed", "output": [item]}

    def streamed(self) -> Streamed | None:
        """Events with a `type`."""
        from .streamed import StreamedResponse

        return StreamedResponse()

    def decode(self, body: Json) -> Response:
        """The text of all message items joined; without text, the function calls."""
        if not isinstance(body, dict) or not isinstance(body.get("output"), list):
            raise unexpected(body, "list output")
        text = "".join(_texts(body["output"]))
        calls = [item for item in body["output"] if _type(item) == "function_call"]
        reason = _reason(body)
        value: Json = text
        if not text and calls:
            value, reason = calls, "tool_calls"
        elif not text and (refusal := _refusal(body["output"])) is not None:
            raise withheld(refusal)
        elif not text and reason == "content_filter":
            raise withheld()
        elif reason != "length" and not any(_type(item) == "message" for item in body["output"]):
            raise unexpected(body, "message in output")
        return Response(
            value=value,
            finish_reason=reason,
            usage=usage_of(body),
            body=body,
            model=model_of(body),
        )


def _item(message: Json) -> Json:
    """A chat message as an input item: its parts have other names here."""
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list):
        return message
    spoken = "output_text" if message.get("role") == "assistant" else "input_text"
    return {**message, "content": [_part(part, spoken) for part in content]}


def _part(part: Json, spoken: str) -> Json:
    if _type(part) == "text":
        return {**part, "type": spoken}
    image = part.get("image_url") if _type(part) == "image_url" else None
    if isinstance(image, dict):
        return {"type": "input_image", "image_url": image.get("url"), **_beside(image)}
    return part


def _beside(image: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in image.items() if name != "url"}


def _type(item: Json) -> Json:
    return item.get("type") if isinstance(item, dict) else None


def _contents(output: list[Json]) -> Iterator[Json]:
    for item in output:
        if _type(item) == "message":
            yield item.get("content")


def _texts(output: list[Json]) -> Iterator[str]:
    for content in _contents(output):
        if isinstance(content, str):
            yield content
        elif isinstance(content, list):
            yield text_of_parts(content) or ""


def _refusal(output: list[Json]) -> str | None:
    for content in _contents(output):
        for part in content if isinstance(content, list) else ():
            if _type(part) == "refusal":
                return str(part.get("refusal"))
    return None


def _reason(body: Mapping[str, Json]) -> str | None:
    """`status` is `completed` or `incomplete`, the latter with the reason in its details."""
    if body.get("status") == "incomplete":
        details = body.get("incomplete_details")
        word = details.get("reason") if isinstance(details, dict) else None
        return finish_reason(word) or "unknown"
    return finish_reason(body.get("status"))


RESPONSES = Responses()
