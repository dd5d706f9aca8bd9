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
    into = _inner(told, "prompt_tokens_details", "input_tokens_details")
    out = _inner(told, "completion_tokens_details", "output_tokens_details")
    usage = Usage(
        input_tokens=_count(told, "prompt_tokens", "input_tokens"),
        output_tokens=_count(told, "completion_tokens", "output_tokens"),
        total_tokens=_count(told, "total_tokens"),
        cached_input_tokens=_first(
            _count(into, "cached_tokens"), _count(told, "cache_read_input_tokens")
        ),
        reasoning_tokens=_first(_count(out, "reasoning_tokens"), _count(told, "reasoning_tokens")),
    )
    return None if usage == Usage() else usage


def _inner(told: Mapping[str, Json], *names: str) -> Mapping[str, Json]:
    for name in names:
        if isinstance(told.get(name), dict):
            found: Mapping[str, Json] = told[name]
            return found
    return {}


def _count(told: Mapping[str, Json], *names: str) -> int | None:
    for name in names:
        value = told.get(name)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None


def _first(*counts: int | None) -> int | None:
    return next((count for count in counts if count is not None), None)


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
