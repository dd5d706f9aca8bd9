"""Generation parameters that every language model knows: their names, and what was written for
those that are numbers."""

from __future__ import annotations

from typing import Final

from ..spelling import nearest
from ..types import Json
from .hints import PARAMS
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
_KNOWN: Final = frozenset({*PARAMS, *_WHOLE, *_NUMBERS})
_OTHERS: Final = frozenset(
    {
        *("reasoning", "top_logprobs", "top_n", "top_a", "min_k", "min_tokens", "typical_p"),
        *("repetition_penalty", "repeat_penalty", "length_penalty", "n_predict", "n_probs"),
    }
)
"""Further parameters that some servers know, lest they be taken for slips."""

_OF_MODELS: Final = ("openai", "databricks", "databricks-proxy", "local", "mlflow")
"""Adapters whose requests are read by a language model, unless the task is `model`."""


def lint_params(params: Node | None, path: Path, endpoint: EndpointSpec, found: Findings) -> None:
    """Note slips in names, and what stands where every endpoint wants a number.

    Params are sent in the endpoint's own names as they are written, so this is no error; null
    in them is an affair of merging.
    """
    if not _asks_a_model(endpoint):
        return
    for name, node in entries(params).items():
        if node.value is not None and name not in _OTHERS and (near := nearest(name, _KNOWN)):
            if near == name:
                _lint_number(name, node, (*path, name), found)
                continue
            message = f"few endpoints know '{name}', which is sent as it is"
            found.add(node.key_place, (*path, name), message, f"did you mean '{near}'?")


def _lint_number(name: str, node: Node, path: Path, found: Findings) -> None:
    if name in _WHOLE or name in _NUMBERS:
        if not _is_number(node.value):
            kind = "a whole number" if name in _WHOLE else "a number"
            message = f"endpoints want {kind}, found {shown(node)}, which is sent as it is"
            found.add(node.place, path, message, _mend(node))
        elif name in _WHOLE and node.value != int(node.value):
            message = f"endpoints want a whole number, found {shown(node)}, which is sent as it is"
            found.add(node.place, path, message)


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
