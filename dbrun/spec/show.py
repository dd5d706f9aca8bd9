"""The merged spec as YAML, each value with the file and line that it came from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from ..types import Json
from .layers import Merged
from .nodes import Node, Place, from_plain
from .scalars import reads_as_text

_PLAIN = re.compile(r"[A-Za-z0-9_./$+~-][A-Za-z0-9_./$+~@%^()=-]*( [A-Za-z0-9_./$+~@%^()=-]+)*")
_BLOCK = re.compile(r"[^\s][^\r\x85\u2028\u2029]*\n", re.DOTALL)
_ESCAPED = re.compile("[\x00-\x1f\x7f-\xa0\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_WIDEST = 80


def show(merged: Merged) -> str:
    """YAML that reads as the merged spec, `${NAME}` as written, with comments telling where each
    value was written."""
    return "".join(f"{line}\n" for line in _mapping(merged.root, 0)) or "{}\n"


def in_yaml(data: Mapping[str, Json], depth: int) -> list[str]:
    """The lines of YAML that read as *data*, *depth* levels (of two spaces) deep."""
    nowhere = Place(file="", folder="")
    return list(_mapping(from_plain(data, nowhere), depth))


def _mapping(node: Node, depth: int) -> Iterator[str]:
    for key, child in node.value.items():
        yield from _entry(f"{'  ' * depth}{_scalar(key)}:", child, depth)


def _entry(lead: str, node: Node, depth: int) -> Iterator[str]:
    """The lines of a value after its key, or after the dash of a list."""
    if isinstance(node.value, str) and _is_block(node.value):
        yield from _block(lead, node, depth)
    elif _is_leaf(node):
        yield f"{lead} {_flow(node)}{_origin(node)}"
    elif isinstance(node.value, dict):
        yield lead
        yield from _mapping(node, depth + 1)
    else:
        yield lead
        for item in node.value:
            yield from _item(item, depth + 1)


def _item(node: Node, depth: int) -> Iterator[str]:
    if isinstance(node.value, dict) and node.value:
        first, *rest = _mapping(node, depth + 1)
        yield f"{'  ' * depth}- {first.lstrip()}"
    else:
        first, *rest = _entry("-", node, depth)
        yield f"{'  ' * depth}{first}"
    yield from rest


def _block(lead: str, node: Node, depth: int) -> Iterator[str]:
    yield f"{lead} |{_origin(node)}"
    for line in node.value[:-1].split("\n"):
        yield f"{'  ' * (depth + 1)}{line}" if line else ""


def _is_leaf(node: Node) -> bool:
    """Whether a value is written on one line: scalars, and short lists of them."""
    if isinstance(node.value, list):
        scalars = all(not isinstance(one.value, (dict, list)) for one in node.value)
        alike = {(one.at.file, one.at.line) for one in node.value}
        return scalars and len(alike) <= 1 and len(_flow(node)) <= _WIDEST
    return not isinstance(node.value, dict) or not node.value


def _is_block(text: str) -> bool:
    return "\n" in text[:-1] and bool(_BLOCK.fullmatch(text)) and not _odd(text)


def _odd(text: str) -> bool:
    lines = text[:-1].split("\n")
    return "\t" in text or bool(_ESCAPED.search(text.replace("\n", ""))) or not lines[-1].strip()


def _flow(node: Node) -> str:
    if isinstance(node.value, list):
        return f"[{', '.join(_scalar(one.value, in_list=True) for one in node.value)}]"
    return "{}" if node.value == {} else _scalar(node.value)


def _scalar(value: object, *, in_list: bool = False) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    if _PLAIN.fullmatch(value) and reads_as_text(value) and not value.startswith(("-", "~")):
        return value
    quoted = json.dumps(value, ensure_ascii=False)
    return _ESCAPED.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)


def _origin(node: Node) -> str:
    at = node.at
    if not at.file:
        return ""
    return f"  # {at.file}:{at.line}" if at.line else f"  # {at.file}"
