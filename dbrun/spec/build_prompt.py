"""Prompts: one template, the turns of a chat, or a column that holds them."""

from __future__ import annotations

from typing import Any

from .nodes import Node, Path, dotted, plain
from .prompts import MessageTemplate, Part, Prompt, RegisteredPrompt, Text
from .site import Site


def has_prompt(node: Node) -> bool:
    """Whether a step (or the spec itself) has a prompt of any form."""
    return node.get("prompt") is not None or node.get("messages") is not None


def build_prompt(site: Site, node: Node, path: Path) -> Prompt | None:
    """The prompt of a step; None if a problem was noted."""
    key = "prompt" if node.get("prompt") is not None else "messages"
    at, written = (*path, key), site.sound((*path, key), node.get(key))
    if written is None:
        return None
    if (column := written.get("column")) is not None:
        return Prompt(column=column.value)
    if (uri := written.get("mlflow")) is not None:
        return Prompt(registered=_registered(uri, (*at, "mlflow")))
    if key == "prompt":
        text = site.template(written, at)
        return Prompt(text=text) if text is not None else None
    turns = [_message(site, one, (*at, index)) for index, one in enumerate(written.value)]
    messages = tuple(turn for turn in turns if turn is not None)
    return Prompt(messages=messages) if len(messages) == len(turns) else None


def _registered(uri: Node, path: Path) -> RegisteredPrompt:
    named, _, alias = uri.value.removeprefix("prompts:/").partition("@")
    name, _, version = named.partition("/")
    return RegisteredPrompt(
        name=name,
        version=int(version) if version else None,
        alias=alias or None,
        where=uri.at.mark,
        path=dotted(path),
    )


def _message(site: Site, node: Node, path: Path) -> MessageTemplate | None:
    role, written, at = node.value["role"], node.value["content"], (*path, "content")
    content: Text | tuple[Part, ...] | None
    if isinstance(written.value, list):
        content = tuple(_part(site, one, (*at, index)) for index, one in enumerate(written.value))
    else:
        content = site.template(written, at)
    return MessageTemplate(role=role.value, content=content) if content is not None else None


def _part(site: Site, node: Node, path: Path) -> Part:
    part: dict[str, Any] = {}
    for key, child in node.value.items():
        is_template = key in ("text", "image") and isinstance(child.value, str)
        part[key] = site.text(child, (*path, key)) if is_template else plain(child)
    return part
