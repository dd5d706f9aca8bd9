"""The models that a fake workspace serves: deterministic, strict, and honest about `stop`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fakes.server import Reply, as_json

KNOWN = {"How are you?": "I am happy to hear that you are in good health."}
ENVELOPES = ("dataframe_split", "dataframe_records", "inputs", "instances")
FIELDS = {
    "chat": "messages max_tokens temperature top_p top_k n stop stream response_format tools "
    "tool_choice logprobs top_logprobs reasoning_effort",
    "completions": "prompt max_tokens temperature top_p top_k n stop stream echo suffix "
    "use_raw_prompt error_behavior",
    "embeddings": "input instruction",
    "responses": "input instructions max_output_tokens temperature top_p tools reasoning text "
    "stream",
}
"""What a foundation model's gateway knows; any other field is refused."""


class Refusal(Exception):
    """A request that a model refuses, as a reply."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.reply = as_json(body, status)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One serving endpoint. *kind* is one of `KINDS`; *task*, *endpoint_type* and *entity* are
    what the workspace tells of it, None for what it does not tell; *told* goes over all that.
    *served* are its served entities, among which the traffic is split."""

    kind: str
    task: str | None = None
    endpoint_type: str | None = None
    entity: Mapping[str, Any] | None = None
    readable: bool = True
    ready: bool = True
    model: str = "fake-model-1"
    told: Mapping[str, Any] = field(default_factory=dict)
    served: tuple[str, ...] = ("1",)

    @property
    def is_foundation(self) -> bool:
        """Whether it is one of the workspace's own models, which refuse what they do not know."""
        return "foundation_model" in (self.entity or {})

    def detail(self, name: str) -> dict[str, Any]:
        """The answer to GET /api/2.0/serving-endpoints/{name}."""
        told: dict[str, Any] = {
            "name": name,
            "id": hashlib.sha256(name.encode()).hexdigest()[:32],
            "state": {
                "ready": "READY" if self.ready else "NOT_READY",
                "config_update": "NOT_UPDATING",
            },
            "permission_level": "CAN_QUERY",
            "config": {
                "config_version": 3,
                "served_entities": [self._entity(name, version) for version in self.served],
                "traffic_config": {
                    "routes": [
                        {
                            "served_entity_name": f"{name}-{version}",
                            "traffic_percentage": 100 // len(self.served),
                        }
                        for version in self.served
                    ]
                },
            },
        }
        if self.task is not None:
            told["task"] = self.task
        if self.endpoint_type is not None:
            told["endpoint_type"] = self.endpoint_type
        return {**told, **self.told}

    def serving(self, name: str, body: bytes) -> str:
        """The served entity that answers *body*."""
        return f"{name}-{self.served[hashlib.sha256(body).digest()[0] % len(self.served)]}"

    def _entity(self, name: str, version: str) -> dict[str, Any]:
        entity = {"name": f"{name}-{version}", **(self.entity or {})}
        if self.served != ("1",) and "entity_name" in entity:
            entity["entity_version"] = version
        return entity


def speak(prompt: str, stop: Any = None, max_tokens: int | None = None) -> tuple[str, str]:
    """The answer to *prompt* and its finish reason; `stop` and `max_tokens` (words) cut it.

    Brackets in the prompt make trouble: `[boom]` raises, `[too-long]` is too long, `[guardrail]`
    is blocked.
    """
    if "[too-long]" in prompt:
        message = "This model's maximum context length is 8192 tokens. Please reduce the length."
        raise Refusal(400, {"error_code": "BAD_REQUEST", "message": message})
    if "[guardrail]" in prompt:
        message = {"message": "blocked", "finishReason": "input_guardrail_triggered"}
        raise Refusal(400, message)
    text = KNOWN.get(prompt) or f"Echo: {prompt} That was {len(prompt.split())} words. END"
    words = text.split(" ")
    reason = "stop"
    if max_tokens is not None and len(words) > max_tokens:
        text, reason = " ".join(words[:max_tokens]), "length"
    ends = [end for end in (text.find(word) for word in stop or ()) if end >= 0]
    return (text[: min(ends)], "stop") if ends else (text, reason)


def chat(endpoint: Endpoint, body: dict[str, Any]) -> Reply:
    """A foundation model's chat; *reasoning* answers with parts."""
    _only_known("chat", body)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refusal(400, {"error_code": "BAD_REQUEST", "message": "messages is required"})
    prompt = _content(messages[-1])
    text, reason = speak(prompt, _stop(body), body.get("max_tokens"))
    content: Any = text
    if (body.get("response_format") or {}).get("type") == "json_schema":
        content = text = _by_schema(body["response_format"]["json_schema"]["schema"], text)
    if endpoint.kind == "reasoning":
        thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}
        content = [thought] if reason == "length" else [thought, {"type": "text", "text": text}]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content},
        "finish_reason": reason,
    }
    told = {
        "id": _id("chatcmpl", body),
        "object": "chat.completion",
        "created": 1721875529,
        "model": endpoint.model,
        "choices": [{**choice, "index": index} for index in range(body.get("n", 1))],
        "usage": _usage(" ".join(_content(message) for message in messages), text),
    }
    return _streamed_chat(told, content) if body.get("stream") else as_json(told)


def external(endpoint: Endpoint, body: dict[str, Any]) -> Reply:
    """A chat of another provider: a null stop is refused as such, and `[provider]` in a prompt is
    what the provider itself refuses, which is told within the message."""
    if "[provider]" in str(body.get("messages")):
        inner = {"type": "invalid_request_error", "message": "temperature: range: 0..1"}
        nested = {
            "external_model_provider": "anthropic",
            "external_model_error": {"type": "error", "error": inner},
        }
        raise Refusal(400, {"error_code": "BAD_REQUEST", "message": json.dumps(nested)})
    if "stop" in body and body["stop"] is None:
        message = "INVALID_PARAMETER_VALUE: stop was not of type List[String]: null"
        raise Refusal(400, {"error_code": "INVALID_PARAMETER_VALUE", "message": message})
    return chat(endpoint, body)


def completions(endpoint: Endpoint, body: dict[str, Any]) -> Reply:
    """A foundation model's completions, of one prompt or a list."""
    _only_known("completions", body)
    prompts = body.get("prompt")
    prompts = [prompts] if isinstance(prompts, str) else prompts or []
    choices = []
    for prompt in prompts:
        text, reason = speak(prompt, _stop(body), body.get("max_tokens"))
        for _ in range(body.get("n", 1)):
            choices.append({"index": len(choices), "text": text, "finish_reason": reason})
    told = {"id": _id("cmpl", body), "object": "text_completion", "model": endpoint.model}
    said = " ".join(choice["text"] for choice in choices)
    told = {**told, "choices": choices, "usage": _usage(" ".join(prompts), said)}
    if not body.get("stream"):
        return as_json(told)
    last = {**choices[0], "text": ""}
    chunks = [{"index": 0, "text": word, "finish_reason": None} for word in _words(said)]
    return as_events([{**told, "choices": [chunk]} for chunk in [*chunks, last]])


def embeddings(endpoint: Endpoint, body: dict[str, Any]) -> Reply:
    """Three numbers for each text."""
    _only_known("embeddings", body)
    texts = body.get("input")
    texts = [texts] if isinstance(texts, str) else texts or []
    data = [
        {"object": "embedding", "index": index, "embedding": vector(text)}
        for index, text in enumerate(texts)
    ]
    words = sum(len(text.split()) for text in texts)
    usage = {"prompt_tokens": words, "total_tokens": words}
    return as_json({"object": "list", "model": endpoint.model, "data": data, "usage": usage})


def vector(text: str) -> list[float]:
    """The embedding of *text*."""
    return [byte / 256 for byte in hashlib.sha256(text.encode()).digest()[:3]]


def agent(endpoint: Endpoint, body: dict[str, Any]) -> Reply:
    """An MLflow ChatAgent: the reply has messages and no choices, its chunks have a delta."""
    text, _ = speak(_content(body["messages"][-1]), _stop(body))
    if body.get("stream"):
        said = {"role": "assistant", "id": "msg-1"}
        return as_events(
            [{"delta": {**said, "content": word}} for word in _words(text)], done=False
        )
    return as_json({"messages": [{"role": "assistant", "content": text, "id": "msg-1"}]})


def responses(endpoint: Endpoint, body: dict[str, Any]) -> Reply:
    """The Responses API."""
    _only_known("responses", body)
    given = body.get("input")
    prompt = given if isinstance(given, str) else _content(given[-1])
    text, _ = speak(prompt)
    said = {"type": "output_text", "text": text, "annotations": []}
    item = {"type": "message", "role": "assistant", "content": [said]}
    words = _usage(prompt, text)
    usage = {
        "input_tokens": words["prompt_tokens"],
        "output_tokens": words["completion_tokens"],
        "total_tokens": words["total_tokens"],
    }
    told = {"status": "completed", "model": endpoint.model, "output": [item], "usage": usage}
    told = {"id": _id("resp", body), "object": "response", **told}
    if not body.get("stream"):
        return as_json(told)
    deltas = [{"type": "response.output_text.delta", "delta": word} for word in _words(text)]
    done = {"type": "response.output_item.done", "item": item}
    end = {"type": "response.completed", "response": told}
    return as_events([{"type": "response.created"}, *deltas, done, end], done=False)


def custom(endpoint: Endpoint, body: dict[str, Any]) -> Reply:
    """A custom model of the classic signature: prompt (text), stop (optional array of text)."""
    if "prompt" in body or "messages" in body or "input" in body:
        rows = [{name: value for name, value in body.items() if name in ("prompt", "stop")}]
        return as_json([_predict(endpoint, row) for row in _checked(rows)])
    given = [name for name in ENVELOPES if name in body]
    if len(given) != 1 or set(body) - set(given) - {"params"}:
        message = (
            "The input must be a JSON dictionary with exactly one of the input fields "
            f"{set(ENVELOPES)}. Received dictionary with input fields: {list(body)}."
        )
        raise Refusal(400, {"error_code": "BAD_REQUEST", "message": message})
    rows = _rows(given[0], body[given[0]])
    if given[0] == "instances" and any(isinstance(row.get("stop"), list) for row in rows):
        _bad("SCHEMA_ENFORCEMENT_FAILED: only handle 1-dimensional arrays")
    made = [_predict(endpoint, row) for row in _checked(rows)]
    return as_json({"predictions": made[0] if endpoint.kind.endswith("-bare") else made})


def stubborn(endpoint: Endpoint, body: dict[str, Any]) -> Reply:
    """A chat that gives JSON only when it was told off as often as `[tries=N]` says."""
    said = [message for message in body["messages"] if message["role"] == "assistant"]
    wanted = re.search(r"\[tries=(\d)\]", _content(body["messages"][0]))
    if wanted is None or len(said) < int(wanted[1]):
        return chat(endpoint, body)
    reply = json.loads(chat(endpoint, body).body)
    reply["choices"][0]["message"]["content"] = json.dumps({"label": "a", "tries": len(said)})
    return as_json(reply)


KINDS: Mapping[str, Callable[[Endpoint, dict[str, Any]], Reply]] = {
    "chat": chat,
    "reasoning": chat,
    "external": external,
    "stubborn": stubborn,
    "completions": completions,
    "embeddings": embeddings,
    "agent": agent,
    "responses": responses,
    "custom": custom,
    "custom-dict": custom,
    "custom-series": custom,
    "custom-candidates": custom,
    "custom-number": custom,
    "custom-bare": custom,
    "custom-dict-bare": custom,
}

_FOUNDATION = {"foundation_model": {"name": "system.ai.fake"}}
_CUSTOM = {"entity_name": "main.default.fake", "entity_version": "7"}
_EXTERNAL = {"external_model": {"name": "x-1", "provider": "anthropic", "task": "llm/v1/chat"}}


def _foundation(kind: str, task: str) -> Endpoint:
    entity = _FOUNDATION
    return Endpoint(kind=kind, task=task, endpoint_type="FOUNDATION_MODEL_API", entity=entity)


def standard_endpoints() -> dict[str, Endpoint]:
    """One endpoint of each kind, and some that tell less of themselves."""
    return {
        "chat": _foundation("chat", "llm/v1/chat"),
        "completions": _foundation("completions", "llm/v1/completions"),
        "embeddings": _foundation("embeddings", "llm/v1/embeddings"),
        "reasoning": _foundation("reasoning", "llm/v1/chat"),
        "external": Endpoint(
            kind="external", task="llm/v1/chat", endpoint_type="EXTERNAL_MODEL", entity=_EXTERNAL
        ),
        "stubborn": _foundation("stubborn", "llm/v1/chat"),
        "untyped": Endpoint(kind="chat", entity=_FOUNDATION),
        "custom": Endpoint(kind="custom", entity=_CUSTOM),
        "custom-dict": Endpoint(kind="custom-dict", entity=_CUSTOM),
        "custom-series": Endpoint(kind="custom-series", entity=_CUSTOM),
        "custom-candidates": Endpoint(kind="custom-candidates", task="llama2/chat", entity=_CUSTOM),
        "custom-number": Endpoint(kind="custom-number", entity=_CUSTOM),
        "custom-bare": Endpoint(kind="custom-bare", entity=_CUSTOM),
        "custom-dict-bare": Endpoint(kind="custom-dict-bare", entity=_CUSTOM),
        "agent": Endpoint(kind="agent", task="agent/v2/chat", entity=_CUSTOM),
        "agent-responses": Endpoint(kind="responses", task="agent/v1/responses", entity=_CUSTOM),
        "forbidden": Endpoint(kind="chat", task="llm/v1/chat", readable=False),
        "asleep": Endpoint(kind="chat", task="llm/v1/chat", entity=_FOUNDATION, ready=False),
    }


def _only_known(task: str, body: Mapping[str, Any]) -> None:
    for name in body:
        if name not in FIELDS[task].split():
            message = f'Bad request: json: unknown field "{name}"\n'
            raise Refusal(400, {"error_code": "BAD_REQUEST", "message": message})


def _stop(body: Mapping[str, Any]) -> list[str]:
    stop = body.get("stop", [])
    if isinstance(stop, str):
        return [stop]
    if not isinstance(stop, list) or not all(isinstance(word, str) for word in stop):
        raise Refusal(400, {"error_code": "BAD_REQUEST", "message": "stop is no list of strings"})
    return stop


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content)
    return str(content)


def _rows(envelope: str, given: Any) -> list[dict[str, Any]]:
    if envelope == "dataframe_split":
        return [dict(zip(given["columns"], row, strict=True)) for row in given["data"]]
    if isinstance(given, dict) and any(isinstance(value, list) for value in given.values()):
        _bad("setting an array element with a sequence")
    return [given] if isinstance(given, dict) else list(given)


def _checked(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for row in rows:
        if "prompt" not in row:
            message = "Model is missing inputs ['prompt']."
            raise Refusal(400, {"error_code": "INVALID_PARAMETER_VALUE", "message": message})
        if not isinstance(row.get("stop", []), list):
            _bad("Failed to convert column stop to type 'Array(string)'.")
    if len({"stop" in row for row in rows}) > 1:
        _bad("Failed to convert column stop to type 'Array(string)'.")
    return rows


def _predict(endpoint: Endpoint, row: Mapping[str, Any]) -> Any:
    if "[boom]" in row["prompt"]:
        _bad("Encountered an unexpected error while evaluating the model. boom")
    text, _ = speak(row["prompt"], row.get("stop"))
    return {
        "custom-dict": {"text": text},
        "custom-dict-bare": {"text": text},
        "custom-series": {"0": text},
        "custom-candidates": {"candidates": [{"text": text}]},
        "custom-number": len(text),
    }.get(endpoint.kind, text)


def _bad(message: str) -> None:
    trace = 'Traceback (most recent call last):\n  File "/opt/model.py", line 7'
    raise Refusal(400, {"error_code": "BAD_REQUEST", "message": message, "stack_trace": trace})


def _usage(asked: str, said: str) -> dict[str, int]:
    into, out = len(asked.split()), len(said.split())
    return {"prompt_tokens": into, "completion_tokens": out, "total_tokens": into + out}


def _id(prefix: str, body: Any) -> str:
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return f"{prefix}_{digest[:12]}"


def _by_schema(schema: Mapping[str, Any], text: str) -> str:
    values: dict[str, Any] = {"integer": len(text), "number": len(text), "boolean": True}
    properties = schema.get("properties", {})
    return json.dumps(
        {
            name: rule["enum"][0] if "enum" in rule else values.get(rule.get("type"), text)
            for name, rule in properties.items()
        }
    )


def as_events(events: list[Any], done: bool = True) -> Reply:
    """Server-sent events, with the mark of the end if *done*."""
    lines = [f"data: {json.dumps(event, ensure_ascii=False)}\n\n" for event in events]
    body = "".join([*lines, *(["data: [DONE]\n\n"] if done else [])]).encode()
    return Reply(200, body, {"content-type": "text/event-stream; charset=utf-8"})


def _words(text: str) -> list[str]:
    """*text* in pieces, a word each."""
    pieces = [piece + " " for piece in text.split(" ")]
    return [*pieces[:-1], pieces[-1][:-1]]


def _streamed_chat(told: dict[str, Any], content: Any) -> Reply:
    """Chunks with the usage so far in each, as Foundation Model APIs send it; the parts of a
    reasoning model's content come as lists."""
    deltas: list[Any] = []
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            deltas += _words(part)
        elif part["type"] == "text":
            deltas += [[{"type": "text", "text": word}] for word in _words(part["text"])]
        else:
            deltas.append([part])
    chunks = []
    for place, delta in enumerate([*deltas, ""]):
        last = place == len(deltas)
        choice = {
            "index": 0,
            "delta": {"content": delta} if last else {"role": "assistant", "content": delta},
            "finish_reason": told["choices"][0]["finish_reason"] if last else None,
        }
        usage = {**told["usage"], "completion_tokens": min(place + 1, len(deltas))}
        chunks.append(
            {**told, "object": "chat.completion.chunk", "choices": [choice], "usage": usage}
        )
    return as_events(chunks)
