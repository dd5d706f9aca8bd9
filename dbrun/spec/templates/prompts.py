"""From a prompt and a row to the request's `prompt` or `messages`.

Each message is rendered on its own: a template makes a string, never the structure, so a row
can add neither a turn nor a role.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ...errors import RenderError, SpecError
from ...frozen import frozen
from ...types import Json, Problem
from ..prompts import MessageTemplate, Part, Prompt, Text, texts
from .images import image_url
from .places import missing_item

if TYPE_CHECKING:
    from .front import Template, Templates

_IMAGE_KEYS = ("detail",)
"""Keys of an image part that stand beside `url` on the wire (OpenAI API reference, image parts);
further keys stand beside `type`."""


@frozen
class CompiledPrompt:
    """A prompt, ready to be rendered for any row.

    *names* are the names that its templates look up; *columns* the columns of a row that they
    cannot do without, as far as the text tells.
    """

    text: Template | None = None
    messages: tuple[_Message, ...] | None = None
    column: str | None = None
    names: frozenset[str] = frozenset()
    columns: frozenset[str] = frozenset()

    def fields(self, scope: dict[str, Any], images_folder: str | None) -> dict[str, Json]:
        """`{"prompt": text}` or `{"messages": [...]}` for one row.

        *images_folder* is the folder that local images must lie below; None forbids them.

        Raises:
            RenderError: a template failed, an image cannot be sent, or the row's own messages
                are none.
        """
        if self.text is not None:
            return {"prompt": self.text.render(scope)}
        if self.messages is not None:
            return {"messages": [one.render(scope, images_folder) for one in self.messages]}
        return {"messages": _own_messages(scope, self.column or "")}


@frozen
class _Message:
    role: str
    content: Template | tuple[_Part, ...]

    def render(self, scope: dict[str, Any], images_folder: str | None) -> dict[str, Json]:
        if isinstance(self.content, tuple):
            parts = [part.render(scope, images_folder) for part in self.content]
            return {"role": self.role, "content": parts}
        return {"role": self.role, "content": self.content.render(scope)}


@frozen
class _Part:
    text: Template | None
    image: Template | None
    rest: Mapping[str, Json]

    def render(self, scope: dict[str, Any], images_folder: str | None) -> dict[str, Json]:
        if self.text is not None:
            return {"type": "text", "text": self.text.render(scope), **self.rest}
        if self.image is not None:
            try:
                image = {"url": image_url(self.image.render(scope).strip(), images_folder)}
            except ValueError as error:
                raise RenderError(str(error), self.image.place) from error
            beside = {name: self.rest[name] for name in _IMAGE_KEYS if name in self.rest}
            others = {name: one for name, one in self.rest.items() if name not in beside}
            return {"type": "image_url", "image_url": {**image, **beside}, **others}
        return dict(self.rest)


def compile_prompt(prompt: Prompt, templates: Templates) -> CompiledPrompt:
    """*prompt* with its templates compiled.

    Raises:
        SpecError: with the problems of all templates that are not well formed.
    """
    made: dict[int, Template] = {}
    problems: list[Problem] = []
    for text in texts(prompt):
        try:
            made[id(text)] = templates.compile(text)
        except SpecError as error:
            problems.extend(error.problems)
    if problems:
        raise SpecError(problems)
    columns = {column for template in made.values() for column in template.columns}
    return CompiledPrompt(
        text=made[id(prompt.text)] if prompt.text is not None else None,
        messages=tuple(_message(one, made) for one in prompt.messages)
        if prompt.messages is not None
        else None,
        column=prompt.column,
        names=frozenset(name for template in made.values() for name in template.names),
        columns=frozenset(columns | ({prompt.column} if prompt.column is not None else set())),
    )


def _message(given: MessageTemplate, made: Mapping[int, Template]) -> _Message:
    if isinstance(given.content, Text):
        return _Message(role=given.role, content=made[id(given.content)])
    parts = tuple(_part(part, made) for part in given.content)
    return _Message(role=given.role, content=parts)


def _part(given: Part, made: Mapping[int, Template]) -> _Part:
    return _Part(
        text=made.get(id(given.get("text"))),
        image=made.get(id(given.get("image"))),
        rest={name: one for name, one in given.items() if name not in ("text", "image")},
    )


def _own_messages(scope: Mapping[str, Any], column: str) -> list[Json]:
    row = scope["row"]
    if column not in row:
        raise RenderError(missing_item(column, row, scope), f"messages.column {column}")
    messages = row[column]
    problem = _what_is_wrong(messages)
    if problem:
        raise RenderError(f"column '{column}' is no list of messages: {problem}", column)
    return [dict(message) for message in messages]


def _what_is_wrong(messages: Json) -> str:
    if isinstance(messages, str):
        return "it is text; let transforms.row parse it"
    if not isinstance(messages, list) or not messages:
        return "it is empty" if messages == [] else f"it is {_kind(messages)}"
    for number, message in enumerate(messages):
        if not isinstance(message, Mapping):
            return f"[{number}] is {_kind(message)}, not a mapping with role and content"
        if not isinstance(message.get("role"), str) or not message["role"]:
            return f"[{number}] has no role"
        content = message.get("content")
        calls = message.get("tool_calls")
        if not isinstance(content, (str, list)) and not (content is None and calls):
            return f"[{number}].content is {_kind(content)}, not text or a list of parts"
    return ""


def _kind(value: Json) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    nouns: Mapping[type, str] = {int: "a number", float: "a number", str: "text", list: "a list"}
    return nouns.get(type(value), "a mapping")
