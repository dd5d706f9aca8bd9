"""Generation parameters that are numbers everywhere, and what was written for them."""

from __future__ import annotations

from typing import Final

from ..types import Json
from .model import EndpointSpec
from .nodes import Findings, Node, Path, entries
from .scalars import NotJson, read_plain
from .wording import shown

_WHOLE: Final = frozenset(
    {"max_tokens", "max_completion_tokens", "max_output_tokens", "n", "seed", "top_k"}
)
_NUMBERS: Final = frozenset(
    {"temperature", "top_p", "min_p", "frequency_penalty", "presence_penalty"}
)
_OF_MODELS: Final = ("openai", "databricks", "databricks-proxy", "local", "mlflow")
"""Adapters whose requests are read by a language model, unless the task is `model`."""


def lint_params(params: Node | None, path: Path, endpoint: EndpointSpec, found: Findings) -> None:
    """Note what stands where every endpoint that knows the parameter wants a number.

    Params are sent in the endpoint's own names as they are written, so this is no error; null
    in them is an affair of merging.
    """
    if not _asks_a_model(endpoint):
        return
    for name, node in entries(params).items():
        if node.value is None or not (name in _WHOLE or name in _NUMBERS):
            continue
        if not _is_number(node.value):
            kind = "a whole number" if name in _WHOLE else "a number"
            message = f"endpoints want {kind}, found {shown(node)}, which is sent as it is"
            found.add(node.place, (*path, name), message, _mend(node))
        elif name in _WHOLE and node.value != int(node.value):
            message = f"endpoints want a whole number, found {shown(node)}, which is sent as it is"
            found.add(node.place, (*path, name), message)


def _asks_a_model(endpoint: EndpointSpec) -> bool:
    usual = "model" if endpoint.adapter in ("mlflow", "databricks-proxy") else "chat"
    task = endpoint.options.get("task", usual)
    return endpoint.adapter in _OF_MODELS and task != "model"


def _is_number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _mend(node: Node) -> str:
    if isinstance(node.value, str) and node.raw is None and node.value.strip():
        try:
            if _is_number(read_plain(node.value.strip())):
                return f"write {node.value.strip()} without quotes"
        except NotJson:
            pass
    return "write a number"
