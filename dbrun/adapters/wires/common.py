"""What the OpenAI family of wires shares: finish reasons, token counts, text in parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ...types import Json, Usage

FINISH: Mapping[str, str] = {
    # OpenAI and the Foundation Model APIs; then Anthropic, Cohere, Gemini, Bedrock, TGI.
    **dict.fromkeys(
        ("stop", "end_turn", "stop_sequence", "eos", "eos_token", "complete", "completed"), "stop"
    ),
    **dict.fromkeys(
        ("length", "max_tokens", "max_output_tokens", "model_length", "max_length"), "length"
    ),
    **dict.fromkeys(
        (
            "content_filter",
            "content_filtered",
            "safety",
            "recitation",
            "blocklist",
            "prohibited_content",
            "spii",
            "refusal",
            "guardrail_intervened",
            "input_guardrail_triggered",
            "output_guardrail_triggered",
        ),
        "content_filter",
    ),
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use", "function_call"), "tool_calls"),
}
"""A provider's word in lower case → one of `types.FINISH_REASONS`."""


def finish_reason(word: Json) -> str | None:
    """A provider's finish reason in common terms; None where it gave none."""
    if not isinstance(word, str) or not word:
        return None
    return FINISH.get(word.lower(), "unknown")


def usage_of(body: Json) -> Usage | None:
    """The token counts of an answer; what it does not tell stays unknown.

    Reads OpenAI's chat and completions names, those of the Responses API, and the cache and
    reasoning counts that Databricks puts beside them (Foundation Model API reference: usage).
    """
    told = body.get("usage") if isinstance(body, dict) else None
    if not isinstance(told, dict):
        return None
    get = told.get
    into = get("prompt_tokens_details") or get("input_tokens_details")
    out = get("completion_tokens_details") or get("output_tokens_details")
    cached = into.get("cached_tokens") if isinstance(into, dict) else None
    reasoning = out.get("reasoning_tokens") if isinstance(out, dict) else None
    counts = (
        get("prompt_tokens", get("input_tokens")),
        get("completion_tokens", get("output_tokens")),
        get("total_tokens"),
        get("cache_read_input_tokens") if cached is None else cached,
        get("reasoning_tokens") if reasoning is None else reasoning,
    )
    inputs, outputs, total, cached, reasoning = [
        count if count is None or (type(count) is int and 0 <= count < _NO_COUNT) else _count(count)
        for count in counts
    ]
    if inputs is outputs is total is cached is reasoning is None:
        return None
    return Usage(
        input_tokens=inputs,
        output_tokens=outputs,
        total_tokens=total,
        cached_input_tokens=cached,
        reasoning_tokens=reasoning,
    )


_NO_COUNT = 1 << 40
"""So many tokens are none: a sum with them would say nothing."""


def _count(value: Json) -> int | None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _NO_COUNT:
        return value
    return None


def text_of_parts(parts: Iterable[Json]) -> str | None:
    """The text parts of a list content joined; None if there is none.

    Reasoning models answer with a list of `reasoning` and `text` parts, and a truncated answer
    may lack the latter (Databricks documentation: query reasoning models).
    """
    texts = [text for part in parts if (text := _text_of_part(part)) is not None]
    return "".join(texts) if texts else None


def _text_of_part(part: Json) -> str | None:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or part.get("type") not in ("text", "output_text", None):
        return None
    text = part.get("text")
    return text if isinstance(text, str) else None
