"""Answers in pieces: what each event of a stream adds, and the whole answer at its end.

Foundation Model API reference, "Streaming"; OpenAI API reference, streaming of chat, completions
and responses; MLflow ChatAgent and ResponsesAgent, `predict_stream`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from ...types import Json
from .base import unexpected
from .common import text_of_parts


class Streamed(Protocol):
    """One answer on its way, put together from events."""

    @property
    def is_whole(self) -> bool:
        """Whether an event has said that the answer ends here."""

    @property
    def may_just_end(self) -> bool:
        """Whether what came so far is of a kind whose end is told by no event."""

    def add(self, event: Json) -> str:
        """The text that *event* adds. Raises `Malformed` if it is no event of this wire."""

    def complaint(self, event: Json) -> Json:
        """The error that *event* is, if it is one."""

    def body(self) -> Json:
        """The answer so far, in the form that it has when it comes whole."""


class _Base:
    """What the streams of all wires have in common."""

    def __init__(self) -> None:
        self._is_whole = False
        self._head: dict[str, Json] = {}
        self._usage: Json = None

    @property
    def is_whole(self) -> bool:
        """As `Streamed.is_whole`."""
        return self._is_whole

    @property
    def may_just_end(self) -> bool:
        """As `Streamed.may_just_end`."""
        return False

    def complaint(self, event: Json) -> Json:
        """An event with an error in place of content."""
        if not isinstance(event, dict) or event.get("choices"):
            return None
        return event if event.get("error") or "error_code" in event else None

    def _note(self, event: Mapping[str, Json]) -> None:
        for name in ("id", "created", "model"):
            if event.get(name) is not None:
                self._head.setdefault(name, event[name])
        # Each chunk counts from the start (Foundation Model APIs): the last one counts.
        self._usage = event.get("usage") or self._usage

    def _whole(self, **parts: Json) -> dict[str, Json]:
        usage = {} if self._usage is None else {"usage": self._usage}
        return {**self._head, **parts, **usage}


class StreamedChat(_Base):
    """Chunks of a chat: `choices[0].delta`; an agent's have a `delta` and no choices."""

    def __init__(self) -> None:
        super().__init__()
        self._content: str | None = None
        self._refusal = ""
        self._calls: dict[int, dict[str, Any]] = {}
        self._reason: Json = None
        self._messages: dict[Json, str] = {}

    @property
    def may_just_end(self) -> bool:
        """An agent's stream may end when its generator does."""
        return bool(self._messages)

    def add(self, event: Json) -> str:
        """The text of the first choice's delta; thoughts are passed over."""
        if not isinstance(event, dict):
            raise unexpected(event, "choices in an event of its stream")
        self._note(event)
        if isinstance(event.get("delta"), dict) and not event.get("choices"):
            return self._of_agent(event["delta"], event.get("finish_reason"))
        if "choices" not in event and "usage" not in event:
            raise unexpected(event, "choices in an event of its stream")
        text = ""
        for choice in event.get("choices") or ():
            if isinstance(choice, dict) and choice.get("index", 0) == 0:
                text += self._of_choice(choice)
        return text

    def body(self) -> Json:
        """A chat completion of one choice, or an agent's messages."""
        if self._messages:
            said = [
                {"role": "assistant", "content": text, "id": name}
                for name, text in self._messages.items()
            ]
            return self._whole(messages=said, finish_reason=self._reason)
        # A stream does not tell no text from an empty one.
        text = self._content if self._calls or self._refusal else self._content or ""
        message: dict[str, Json] = {"role": "assistant", "content": text}
        if self._calls:
            message["tool_calls"] = [call for _, call in sorted(self._calls.items())]
        if self._refusal:
            message["refusal"] = self._refusal
        choice = {"index": 0, "message": message, "finish_reason": self._reason}
        return self._whole(object="chat.completion", choices=[choice])

    def _of_choice(self, choice: Mapping[str, Json]) -> str:
        if choice.get("finish_reason"):
            self._reason, self._is_whole = choice["finish_reason"], True
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            delta = choice.get("message")  # an answer that is one chunk
        if not isinstance(delta, dict):
            delta = {"content": choice.get("text")}
        if isinstance(delta.get("refusal"), str):
            self._refusal += delta["refusal"]
        for call in delta.get("tool_calls") or ():
            self._add_call(call)
        text = _text(delta.get("content"))
        if text is not None:
            self._content = (self._content or "") + text
        return text or ""

    def _add_call(self, part: Json) -> None:
        if not isinstance(part, dict):
            return
        place = part.get("index")
        call = self._calls.setdefault(place if isinstance(place, int) else len(self._calls), {})
        for name, value in part.items():
            if name == "function" and isinstance(value, dict):
                function = call.setdefault("function", {})
                for key, piece in value.items():
                    if isinstance(piece, str):
                        function[key] = function.get(key, "") + piece
            elif name != "index" and value is not None:
                call[name] = value

    def _of_agent(self, delta: Mapping[str, Json], reason: Json) -> str:
        self._reason = reason or self._reason
        if delta.get("role") not in (None, "assistant"):
            return ""
        text = _text(delta.get("content")) or ""
        name = delta.get("id")
        self._messages[name] = self._messages.get(name, "") + text
        return text


class StreamedCompletion(_Base):
    """Chunks of a completion: `choices[0].text`."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self._reason: Json = None

    def add(self, event: Json) -> str:
        """The text that is added to the first choice."""
        if not isinstance(event, dict) or not {"choices", "usage"} & event.keys():
            raise unexpected(event, "choices in an event of its stream")
        self._note(event)
        added = ""
        for choice in event.get("choices") or ():
            if isinstance(choice, dict) and choice.get("index", 0) == 0:
                if choice.get("finish_reason"):
                    self._reason, self._is_whole = choice["finish_reason"], True
                added += choice["text"] if isinstance(choice.get("text"), str) else ""
        self._text += added
        return added

    def body(self) -> Json:
        """A completion of one choice."""
        choice = {"index": 0, "text": self._text, "finish_reason": self._reason}
        return self._whole(object="text_completion", choices=[choice])


class StreamedResponse(_Base):
    """Events of the Responses API, which tell their kind as `type`."""

    _LAST = ("response.completed", "response.incomplete")

    def __init__(self) -> None:
        super().__init__()
        self._items: list[Json] = []
        self._spoken = ""
        self._text = ""
        self._told: Json = None

    @property
    def may_just_end(self) -> bool:
        """An agent's stream may end when its generator does, after an item that is whole."""
        return bool(self._items) and not self._spoken

    def add(self, event: Json) -> str:
        """The text of a delta; of an item that came without deltas, all of its text."""
        if not isinstance(event, dict) or not isinstance(event.get("type"), str):
            raise unexpected(event, "type in an event of its stream")
        kind = event["type"]
        text = ""
        if kind == "response.output_text.delta":
            text = str(event.get("delta") or "")
            self._spoken += text
        elif kind == "response.output_item.done":
            item = event.get("item")
            self._items.append(item)
            text = "" if self._spoken else _text_of_item(item)
            self._spoken = ""
        elif kind in self._LAST:
            self._told, self._is_whole = event.get("response"), True
        self._text += text
        return text

    def complaint(self, event: Json) -> Json:
        """`error`, `response.failed`, or an error as on other wires."""
        if isinstance(event, dict) and event.get("type") == "error":
            return event.get("error") or event
        if isinstance(event, dict) and event.get("type") == "response.failed":
            told = event.get("response")
            return (told.get("error") if isinstance(told, dict) else None) or event
        return super().complaint(event)

    def body(self) -> Json:
        """The response as its last event tells it, else the items that came."""
        told = dict(self._told) if isinstance(self._told, dict) else {"status": "completed"}
        if not told.get("output"):
            said = {"type": "output_text", "text": self._text}
            message = {"type": "message", "role": "assistant", "content": [said]}
            told["output"] = self._items or ([message] if self._text else [])
        return told


def _text(content: Json) -> str | None:
    if isinstance(content, list):
        return text_of_parts(content)
    return content if isinstance(content, str) else None


def _text_of_item(item: Json) -> str:
    content = item.get("content") if isinstance(item, dict) else None
    if not isinstance(item, dict) or item.get("type") != "message":
        return ""
    return _text(content) or ""
