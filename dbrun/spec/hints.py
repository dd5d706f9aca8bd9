"""What to say of a key that is not known: the key that was meant, if that can be told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ..spelling import nearest
from .nodes import Path

PARAMS: Final = (
    "temperature",
    "max_tokens",
    "max_completion_tokens",
    "top_p",
    "top_k",
    "n",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "logprobs",
    "logit_bias",
    "response_format",
    "reasoning_effort",
    "tools",
    "tool_choice",
)
"""Generation parameters, as people write them where none stand."""

_NO_PICKLES = "leave it out: functions are named by their paths, and nothing is pickled"
_OF_PROXIES = "write adapter: databricks-proxy, cluster_id and port"

_ANYWHERE: Mapping[str, str] = {
    "allow_dangerous_deserialization": _NO_PICKLES,
    "endpoint_name": "the endpoint's name is endpoint.name",
    "extra_params": "write params",
    "model_kwargs": "write params",
    "generation_config": "write params",
    "transform_input_fn": "write transforms.input",
    "transform_output_fn": "write transforms.output",
    "cluster_id": "write adapter: databricks-proxy and cluster_id, in endpoint",
    "cluster_driver_port": "write port, in endpoint",
    "api_token": "write token, in endpoint",
    "use_responses_api": "write task: responses, in endpoint",
    "system": "write messages, with a turn of role system",
    "system_prompt": "write messages, with a turn of role system",
    "assert": "write scores",
    "defaultTest": "write scores",
    "include": "write extends",
    "imports": "write extends",
    "variables": "write vars",
    "providers": "write endpoint, or endpoints",
    "prompts": "write prompt, or steps, or a matrix of prompts",
    "environments": "write targets",
    "profiles": "write targets",
    "retries": "write limits.attempts",
    "max_retries": "write limits.attempts",
    "timeout": "write limits.timeout",
    "concurrency": "write limits.concurrency",
    "max_concurrency": "write limits.concurrency",
    "batch_size": "write endpoint.batch_size",
    "model": "write endpoint.name for databricks, endpoint.model for openai",
    "inputs": "write source",
    "input": "write source; a function goes into transforms.input",
    "dataset": "write source",
    "output": "write sink; a function goes into transforms.output",
    "output_path": "write sink",
    "outputPath": "write sink",
    **{name: f"write params.{name}" for name in PARAMS},
}

_WHICH: Mapping[str, str] = {
    "name": "write name",
    "cluster_id": "write cluster_id",
    "model": "write model",
    "function": "write function",
    "body": "write it into body",
    "url": "leave it out: url says which model it is",
}
"""Adapters' options that say which model to ask → what to write for another's. As in the mappings
below, of several options the first one that an adapter has is meant."""

_ADDRESS: Mapping[str, str] = {
    "base_url": "write base_url",
    "url": "write url",
    "host": "write host",
}
_KEY: Mapping[str, str] = {
    "token": "write token",
    "api_key": "write api_key",
    "body": 'write headers: {Authorization: {env: NAME, prefix: "Bearer "}}',
}

_OF_ADAPTERS: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(("name", "endpoint_name", "served_model"), _WHICH),
    **dict.fromkeys(("model", "model_name", "model_id", "deployment", "deployment_name"), _WHICH),
    **dict.fromkeys(("url", "base_url", "api_base", "openai_api_base", "endpoint_url"), _ADDRESS),
    **dict.fromkeys(("host", "uri", "address", "server", "workspace_url"), _ADDRESS),
    "endpoint": {"name": "write name", **_ADDRESS},
    **dict.fromkeys(("token", "api_key", "api_token", "openai_api_key", "access_token"), _KEY),
}
"""Options of some adapters, and what they are called elsewhere → what other adapters have."""

_IN_ENDPOINT: Mapping[str, str] = {
    "type": "write adapter",
    "provider": "write adapter",
    "cluster_driver_port": "write port",
    "allow_dangerous_deserialization": _NO_PICKLES,
    "prompt": "write prompt at the top of the spec, or in the step",
    "messages": "write messages at the top of the spec, or in the step",
    "databricks_uri": "write profile",
    "target_uri": "write profile",
    "workspace_client": "write profile",
    "use_responses_api": "write task: responses",
    "timeout": "write limits.timeout",
    "concurrency": "write limits.concurrency",
    "stop": "write stop at the top of the spec, or in the step",
    "params": "write params at the top of the spec, or in the step",
}

_ROLES = frozenset({"system", "user", "assistant", "developer", "tool", "human", "ai"})
_IN_LIMITS: Mapping[str, str] = {
    **dict.fromkeys(("retries", "max_retries", "tries"), "write attempts"),
    **dict.fromkeys(("rps", "qps"), "write requests_per_second"),
    "rpm": "write requests_per_minute",
    "rph": "write requests_per_hour",
    "tpm": "write tokens_per_minute",
    **dict.fromkeys(("max_concurrency", "parallel", "threads", "workers"), "write concurrency"),
    **dict.fromkeys(("budget", "max_budget", "max_spend"), "write max_cost"),
    **dict.fromkeys(("errors", "max_errors"), "write max_failures"),
    "request_timeout": "write timeout",
}

_SCORES: Mapping[str, str] = {
    **dict.fromkeys(("exact_match", "exact", "match"), "equals"),
    **dict.fromkeys(("includes", "substring"), "contains"),
    "icontains": "contains, with ignore_case: true",
    **dict.fromkeys(("llm_judge", "llm_as_judge", "llm-rubric", "rubric", "model"), "judge"),
    **dict.fromkeys(("rouge", "rouge_l", "token_f1", "f1", "bleu"), "similarity"),
    **dict.fromkeys(("json", "is_json", "is-json", "schema"), "json_schema"),
    **dict.fromkeys(("function", "custom", "javascript"), "python"),
}
"""Kinds of scores, as other tools call them."""

_IN_JOB: Mapping[str, str] = {
    "new_cluster": "write compute",
    "cluster": "write compute",
    "serverless": "write compute: serverless",
    "cron": "write schedule.quartz_cron_expression",
    "max_retries": "write task.max_retries",
    "retries": "write task.max_retries",
    "timeout": "write timeout_seconds",
    "libraries": "write task.libraries",
    "dependencies": "write environments",
    "notifications": "write email_notifications",
}

_IN_STEP: Mapping[str, str] = {
    "system": "write messages, with a turn of role system",
    "if": "write when",
    "input": "write transforms.input",
    "output": "write transforms.output",
    "transform_input_fn": "write transforms.input",
    "transform_output_fn": "write transforms.output",
    "model": "write endpoint",
    "extra_params": "write params",
    "model_kwargs": "write params",
    **{name: f"write params.{name}" for name in PARAMS},
}


def for_unknown(path: Path, key: str, known: Iterable[str], *, elsewhere: str = "") -> str:
    """The hint for the unknown *key* of the mapping at *path*, where *known* keys may stand.

    *elsewhere* says where exactly this key would be known.
    """
    names = sorted(known)
    directed = _directed(path, key, names)
    if directed or elsewhere:
        return directed or elsewhere
    if (near := nearest(key, names)) is not None:
        return f"did you mean '{near}'?"
    if (said := _ANYWHERE.get(key)) is not None and path[:1] != ("job",):
        return said if not path else f"{said}, at the top of the spec"
    return f"it takes {', '.join(names)}" if names else ""


def for_option(key: str, names: Iterable[str]) -> str | None:
    """What an adapter whose options are called *names* has in place of another one's *key*."""
    known = frozenset(names)
    meant = _OF_ADAPTERS.get(key, {})
    return next((said for name, said in meant.items() if name in known), None)


def for_score(kind: str, known: Iterable[str]) -> str:
    """The hint for a *kind* of score that there is not."""
    meant = _SCORES.get(kind.lower())
    return f"write {meant}" if meant is not None else for_name(kind, known)


def for_name(name: str, known: Iterable[str], *, none: str = "") -> str:
    """The hint for an unknown *name* of something that the spec or a person has named."""
    names = sorted(known)
    if (near := nearest(name, names)) is not None:
        return f"did you mean '{near}'?"
    if len(names) == 1:
        return f"there is only '{names[0]}'"
    return f"there are {', '.join(names)}" if names else none


def _directed(path: Path, key: str, names: list[str]) -> str | None:
    place = path[-1] if path else ""
    if not path:
        return _ANYWHERE.get(key)
    if place == "endpoint" or path[-2:-1] == ("endpoints",):
        if (meant := for_option(key, names)) is not None:
            return meant
        said = _IN_ENDPOINT.get(key)
        target = (said or "").removeprefix("write ")
        # Of two adapters' spellings of one thing, only the one that this adapter has is meant.
        if said is not None and ("." in target or " " in target or target in names):
            return said
        if key in PARAMS or key in ("extra_params", "model_kwargs"):
            return f"{_ANYWHERE[key]}, at the top of the spec or in the step"
        return _OF_PROXIES if key == "cluster_driver_port" else None
    if place == "limits":
        return _IN_LIMITS.get(key)
    if path[-2:-1] == ("messages",) and key in _ROLES:
        role = {"human": "user", "ai": "assistant"}.get(key, key)
        return f"write {{role: {role}, content: …}}"
    if path == ("job",):
        return _IN_JOB.get(key)
    if path[:1] == ("steps",) and len(path) == 2:
        return _IN_STEP.get(key)
    return None
