"""Keywords of `dbrun.endpoint` as the parts that a spec would give."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import UserError
from ..spec.model import Concurrency, Limits, Reference

CREDENTIALS = ("token", "api_key")
LEGACY = {
    "endpoint_name": "name",
    "api_token": "token",
    "cluster_driver_port": "port",
    "model_kwargs": "params",
    "extra_params": "params",
    "temperature": "params={'temperature': …}",
    "max_tokens": "params={'max_tokens': …}",
}
"""Names that people bring along from elsewhere → what to write here."""


def literals(
    options: Mapping[str, Any], environ: Mapping[str, str]
) -> tuple[dict[str, Any], Mapping[str, str]]:
    """Credentials given as arguments become references, as adapters know them.

    In a file a literal credential is an error; in a program it may come from anywhere.
    """
    made = dict(options)
    given: dict[str, str] = {}
    for name in CREDENTIALS:
        if isinstance(made.get(name), str):
            given[f"DBRUN_ARGUMENT_{name.upper()}"] = made[name]
            made[name] = {"env": f"DBRUN_ARGUMENT_{name.upper()}"}
    return made, ChainMap(given, dict(environ)) if given else environ


def limits_of(limits: Mapping[str, Any]) -> Limits:
    """*limits* as the spec's `limits` would be read.

    Raises:
        UserError: for a limit that there is not.
    """
    given = dict(limits)
    concurrency = given.get("concurrency")
    if isinstance(concurrency, int):
        given["concurrency"] = Concurrency.fixed(concurrency)
    elif isinstance(concurrency, Mapping):
        given["concurrency"] = Concurrency(
            start=concurrency.get("start", 8),
            low=concurrency.get("min", 1),
            high=concurrency.get("max", 64),
        )
    elif concurrency == "auto":
        given["concurrency"] = Concurrency()
    try:
        return Limits(**given)
    except TypeError as error:
        raise UserError(f"limits: {error}") from error


def chain(
    name: str, function: Callable[..., Any] | None
) -> list[tuple[Reference, Callable[..., Any]]]:
    """A function as a list of transforms: none or one."""
    if function is None:
        return []
    path = f"{getattr(function, '__module__', '?')}:{getattr(function, '__qualname__', name)}"
    return [(Reference(path=path, folder="", project="", key=name), function)]
