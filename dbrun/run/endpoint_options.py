"""Keywords of `dbrun.endpoint` as the parts that a spec would give."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..errors import UserError
from ..spec.hints import PARAMS, for_name, for_option
from ..spec.model import Concurrency, Limits, Reference

CREDENTIALS = ("token", "api_key")
_LEAVE_OUT = "leave it out"
_ELSEWHERE: Mapping[str, str] = {
    "databricks_uri": "write profile, or host and token",
    "target_uri": "write profile, or host and token",
    "workspace_client": "write profile, or host and token",
    "cluster_id": "write endpoint('databricks-proxy', cluster_id=…, port=…)",
    "cluster_driver_port": "write port",
    "model_kwargs": "write params",
    "extra_params": "write params",
    "timeout": "write limits={'timeout': …}",
    "max_retries": "write limits={'attempts': …}, which is one more",
    "use_responses_api": "write task='responses'",
    "use_ai_gateway": "write endpoint('openai', base_url=…, model=…)",
    "use_ai_gateway_native_api": "write endpoint('openai', base_url=…, model=…)",
    "streaming": f"{_LEAVE_OUT}: stream() streams",
    "stream_usage": f"{_LEAVE_OUT}: records tell their usage",
    "allow_dangerous_deserialization": f"{_LEAVE_OUT}: nothing is pickled",
}
"""Names that people bring along from elsewhere → what to do here."""


def meant_by(name: str, known: Iterable[str]) -> str:
    """What to write in place of the keyword *name*, where an adapter has the options *known*."""
    if name in PARAMS:
        return f"write params={{'{name}': …}}"
    names = frozenset(known)
    said = _ELSEWHERE.get(name) or for_option(name, names)
    return said if said is not None else for_name(name, names)


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
