"""What is asked, as a pipeline file says it: templates, messages, and what answers must satisfy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from ..frozen import frozen
from ..types import NOWHERE, Json, Mark


@frozen
class Text:
    """The source of a template. *name* is how messages call it (a file's path or `prompt`).

    For a template of its own file, *line* is 0; for one inside the spec, *where* is its mark.
    *folder* is that of the spec that wrote it, where its includes start; None for the pipeline's.
    """

    source: str
    name: str
    where: Mark = NOWHERE
    file: str | None = None
    folder: str | None = None


Part: TypeAlias = Mapping[str, Any]
"""A part of a message's content: `text` and `image` are `Text`, other keys JSON values."""


@frozen
class MessageTemplate:
    """One turn: *content* is a template or a sequence of parts."""

    role: str
    content: Text | tuple[Part, ...]


@frozen
class RegisteredPrompt:
    """A prompt of MLflow's registry: *name*, and its *version* or an *alias* of one.

    *where* is the mark of its URI in the spec, *path* the place of the key.
    """

    name: str
    version: int | None = None
    alias: str | None = None
    where: Mark = NOWHERE
    path: str = "prompt.mlflow"

    @property
    def uri(self) -> str:
        """`prompts:/name/version` or `prompts:/name@alias`."""
        return f"prompts:/{self.name}" + (f"@{self.alias}" if self.alias else f"/{self.version}")


@frozen
class Prompt:
    """What is asked: exactly one of the first three is set.

    A *registered* one has none of them until the registry (or what is kept of it) was read.
    """

    text: Text | None = None
    messages: tuple[MessageTemplate, ...] | None = None
    column: str | None = None
    registered: RegisteredPrompt | None = None


def texts(prompt: Prompt) -> Iterator[Text]:
    """The templates of *prompt*."""
    if prompt.text is not None:
        yield prompt.text
    for message in prompt.messages or ():
        if isinstance(message.content, Text):
            yield message.content
            continue
        for part in message.content:
            yield from (value for value in part.values() if isinstance(value, Text))


@frozen
class ResponseSchema:
    """What the output must satisfy. *mode*: `check` or `native`; *reask*: times to ask again.

    *where* is the mode's mark.
    """

    schema: Json
    mode: str = "check"
    reask: int = 0
    where: Mark = NOWHERE
