"""The OpenAI family: chat, completions and embeddings as Databricks and many others speak them.

Databricks Foundation Model API reference; endpoints of agents (MLflow ChatAgent) answer with
`messages` in place of `choices`. Servers refuse unknown fields, so only what was set is sent.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...canonical import canonical
from ...errors import ContentFilter, Malformed, Rejected
from ...types import Json, Response
from ..base import Request
from .base import Alone, Unconstrained, malformed, sendable, text_of, unexpected
from .common import finish_reason, text_of_parts, usage_of

if TYPE_CHECKING:
    from .streamed import Streamed


class Chat(Alone):
    """`messages` in, `choices[0].message` out."""

    prompt_kind = "chat"
    answer_keys = frozenset({"choices", "messages"})
    batch_url = "/v1/chat/completions"

    def encode(self, request: Request) -> Json:
        """The request's fields with `messages`; a prompt becomes one user message."""
        body = sendable(request.fields)
        if "messages" not in body:
            if "prompt" not in body:
                raise Rejected(
                    "the request has neither prompt nor messages; let transforms.input return one"
                )
            body = {"messages": [{"role": "user", "content": body.pop("prompt")}], **body}
        else:
            body.pop("prompt", None)
        return body

    def decode(self, body: Json) -> Response:
        """The text of the first choice; of an agent, that of its last message."""
        if isinstance(body, dict) and not body.get("choices") and body.get("messages"):
            return _agent_reply(body)
        choice = _first_choice(body)
        message = choice.get("message")
        if not isinstance(message, dict):
            if not isinstance(choice.get("text"), str):
                raise unexpected(choice, "choices[0].message")
            message = {"content": choice["text"]}
        reason = finish_reason(choice.get("finish_reason", choice.get("finishReason")))
        value, reason = _said(message, reason)
        return Response(
            value=value,
            finish_reason=reason,
            usage=usage_of(body),
            body=body,
            model=model_of(body),
        )

    def native_schema(self, schema: Json, name: str) -> Mapping[str, Json]:
        """`response_format` of type `json_schema`, strict."""
        form = {"name": name, "schema": schema, "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": form}}

    def body_of(self, text: str) -> Json:
        """One choice with a message of the assistant."""
        message = {"role": "assistant", "content": text}
        return {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}

    def streamed(self) -> Streamed | None:
        """Chunks with a `delta`."""
        from .streamed import StreamedChat

        return StreamedChat()


class Completions(Unconstrained):
    """`prompt` in, `choices[*].text` out; several prompts may share a call."""

    prompt_kind = "text"
    batches = True
    answer_keys = frozenset({"choices"})
    batch_url = "/v1/completions"

    def encode(self, request: Request) -> Json:
        """The request's fields; there must be a prompt."""
        body = sendable(request.fields)
        return {"prompt": text_of(body), **body}

    def decode(self, body: Json) -> Response:
        """The text of the first choice."""
        choice = _first_choice(body)
        text = choice.get("text")
        if text is None and isinstance(choice.get("message"), dict):
            text = choice["message"].get("content")
        reason = finish_reason(choice.get("finish_reason"))
        if not isinstance(text, str):
            if reason == "content_filter":
                raise withheld()
            raise unexpected(choice, "choices[0].text")
        return Response(
            value=text,
            finish_reason=reason,
            usage=usage_of(body),
            body=body,
            model=model_of(body),
        )

    def body_of(self, text: str) -> Json:
        """One choice with a text."""
        return {"choices": [{"index": 0, "text": text, "finish_reason": "stop"}]}

    def streamed(self) -> Streamed | None:
        """Chunks with a `text`."""
        from .streamed import StreamedCompletion

        return StreamedCompletion()

    def group(self, body: Json) -> Hashable:
        """Equal in all but the prompt; a prompt that is a list travels alone."""
        return _all_but("prompt", body)

    def join(self, bodies: Sequence[Json]) -> Json:
        """One request with a list of prompts."""
        return {**bodies[0], "prompt": [body["prompt"] for body in bodies]}

    def split(self, body: Json, count: int) -> list[Json]:
        """Choices by their `index`; with `n` choices a prompt, *n* in a row belong together.

        Token counts of a joined call cannot be told apart, so they are left out.
        """
        choices = _in_order(body, "choices")
        if not choices or len(choices) % count:
            raise _miscounted(len(choices), count)
        each = len(choices) // count
        return [
            _part_of(body, "choices", choices[start : start + each])
            for start in range(0, len(choices), each)
        ]


class Embeddings(Unconstrained):
    """`input` in, `data[*].embedding` out; several texts may share a call."""

    prompt_kind = "text"
    batches = True
    answer_keys = frozenset({"data"})
    batch_url = "/v1/embeddings"

    def encode(self, request: Request) -> Json:
        """The prompt as `input`; an embedding knows no stop strings."""
        body = sendable(request.fields)
        body.pop("stop", None)
        text = body.pop("input", None) or text_of(body)
        body.pop("prompt", None)
        return {"input": text, **body}

    def decode(self, body: Json) -> Response:
        """The vector; a list of vectors if the request asked for several by itself."""
        vectors = [_vector(item) for item in _in_order(body, "data")]
        if not vectors:
            raise unexpected(body, "data[0].embedding")
        return Response(
            value=vectors[0] if len(vectors) == 1 else vectors,
            usage=usage_of(body),
            body=body,
            model=model_of(body),
        )

    def group(self, body: Json) -> Hashable:
        """Equal in all but the text; an input that is a list travels alone."""
        return _all_but("input", body)

    def join(self, bodies: Sequence[Json]) -> Json:
        """One request with a list of texts."""
        return {**bodies[0], "input": [body["input"] for body in bodies]}

    def split(self, body: Json, count: int) -> list[Json]:
        """Vectors by their `index`; token counts of a joined call cannot be told apart."""
        vectors = _in_order(body, "data")
        if len(vectors) != count:
            raise _miscounted(len(vectors), count)
        return [_part_of(body, "data", [vector]) for vector in vectors]


def model_of(body: Json) -> str | None:
    """The build of the model that answered, where the body names it."""
    model = body.get("model") if isinstance(body, dict) else None
    return model if isinstance(model, str) and model else None


def _first_choice(body: Json) -> Mapping[str, Any]:
    choices = body.get("choices") if isinstance(body, dict) else None
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise unexpected(body, "choices[0]")
    first: Mapping[str, Any] = choices[0]
    return first


def _said(message: Mapping[str, Json], reason: str | None) -> tuple[Json, str | None]:
    """The value of a message, and its finish reason as far as the message decides it.

    Text is what counts; without it the calls of tools, else a refusal. An empty text is an answer,
    no text at all is one only if the tokens were used up before it (by reasoning).
    """
    content, refusal = message.get("content"), message.get("refusal")
    if isinstance(content, list):
        refusal = refusal or _refusal_in(content)
        content = text_of_parts(content)
    if content is not None and not isinstance(content, str):
        raise unexpected(content, "text in message.content")
    calls = message.get("tool_calls") or _function_call(message)
    if calls and not content:
        return calls, "tool_calls"
    if not content and (refusal or reason == "content_filter"):
        raise withheld(refusal)
    if content is None and reason != "length":
        raise unexpected(message, f"text in message.content (finish_reason {reason})")
    return content or "", reason


def withheld(refusal: Json = None) -> ContentFilter:
    """The error for an answer that is a refusal, or was filtered away."""
    said = f": {refusal}" if isinstance(refusal, str) and refusal else ""
    return ContentFilter(f"the endpoint withheld its answer{said}", status=200)


def _refusal_in(parts: Iterable[Json]) -> Json:
    """What a part of type `refusal` says (OpenAI API reference: chat messages)."""
    return next(
        (
            part.get("refusal")
            for part in parts
            if isinstance(part, dict) and part.get("type") == "refusal"
        ),
        None,
    )


def _function_call(message: Mapping[str, Json]) -> Json:
    call = message.get("function_call")
    return [{"type": "function", "function": call}] if call else None


def _agent_reply(body: Mapping[str, Json]) -> Response:
    """An MLflow ChatAgent's reply: the last message of the assistant is the answer."""
    messages = [message for message in body["messages"] if isinstance(message, dict)]
    spoken = [message for message in messages if message.get("role") == "assistant"]
    if not spoken:
        raise unexpected(body, "message of the assistant")
    value, reason = _said(spoken[-1], finish_reason(body.get("finish_reason")))
    return Response(
        value=value, finish_reason=reason, usage=usage_of(body), body=body, model=model_of(body)
    )


def _in_order(body: Json, name: str) -> list[dict[str, Json]]:
    """The items of a list that carry their place as `index`; where none does, as they came."""
    items = body.get(name) if isinstance(body, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise unexpected(body, f"list {name}")
    places = [item.get("index") for item in items]
    if len(items) == 1 or not all(isinstance(place, int) for place in places):
        return items
    if sorted(places) != list(range(len(items))):
        raise malformed(f"the answer's {name} are numbered {places}")
    return sorted(items, key=lambda item: item["index"])


def _part_of(body: Mapping[str, Json], name: str, items: Iterable[Mapping[str, Json]]) -> Json:
    """*body* with only *items* in its list, as if they had been asked for alone."""
    alone = {key: value for key, value in body.items() if key != "usage"}
    alone[name] = [{**item, "index": place} for place, item in enumerate(items)]
    return alone


def _vector(item: Mapping[str, Json]) -> Json:
    vector = item.get("embedding")
    if not isinstance(vector, (list, str)) or not vector:
        raise unexpected(item, "embedding")
    return vector


def _all_but(name: str, body: Mapping[str, Json]) -> Hashable:
    if not isinstance(body.get(name), str):
        return object()  # equal to nothing else
    return canonical({key: value for key, value in body.items() if key != name})


def _miscounted(got: int, count: int) -> Malformed:
    return malformed(f"{count} rows were sent in one call and {got} answers came")


CHAT = Chat()
COMPLETIONS = Completions()
EMBEDDINGS = Embeddings()
