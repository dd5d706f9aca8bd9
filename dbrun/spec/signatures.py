"""Whether a user's function can be called the way a hook calls it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

_OUTPUT_WORDS = ("row", "raw", "request")
_GIVES = {
    "row": "fn(row)",
    "input": "fn(**request)",
    "output": "fn(text)",
    "filter": "fn(value)",
    "score": "fn(record)",
}


def check_signature(
    function: Callable[..., Any], hook: str, names: Collection[str] = ()
) -> str | None:
    """What is wrong with *function* as a *hook* (`row`, `input`, `output`, `filter`, `score`, or
    any other name for a function called with keywords only); None if nothing is.

    *names* are the keywords it will be called with: its `kwargs`, and for `input` the fields
    of the request. A function whose signature cannot be read (some builtins) passes.
    """
    signature = signature_of(function)
    if signature is None:
        return None
    positional = () if hook not in _GIVES or hook == "input" else (None,)
    keywords = dict.fromkeys(names)
    if hook == "output":
        keywords.update(dict.fromkeys(output_words(signature)))
    if hook == "input" and "row" in named(signature):
        keywords["row"] = None
    if hook == "filter":
        return _check_filter(signature)
    try:
        signature.bind(*positional, **keywords)
    except TypeError as error:
        called = _GIVES.get(hook, "fn(**kwargs)")
        return f"cannot be called as {called}: {error}{_advice(hook, str(error))}"
    return None


def output_words(signature: inspect.Signature) -> list[str]:
    """The keyword-only parameters of an `output` function that the run fills in."""
    return [
        name
        for name, parameter in signature.parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY and name in _OUTPUT_WORDS
    ]


def named(signature: inspect.Signature) -> list[str]:
    """The parameters that can be given by their names."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [name for name, one in signature.parameters.items() if one.kind in kinds]


def signature_of(function: Callable[..., Any]) -> inspect.Signature | None:
    """The signature, or None where it cannot be read."""
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):
        return None


def _check_filter(signature: inspect.Signature) -> str | None:
    parameters: Mapping[str, inspect.Parameter] = signature.parameters
    takes = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.VAR_POSITIONAL,
    )
    if any(one.kind in takes for one in parameters.values()):
        return None
    return "cannot be called as fn(value): it takes no positional argument"


def _advice(hook: str, said: str) -> str:
    if hook == "input" and "unexpected keyword" in said:
        return "; add **request for the fields that it does not name"
    if hook == "output" and any(f"'{word}'" in said for word in _OUTPUT_WORDS):
        return "; put a * before it, so that it is keyword-only"
    return ""
