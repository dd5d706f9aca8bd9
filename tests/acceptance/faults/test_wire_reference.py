"""The errors of Model Serving, word for word as seen in the wild, each in the way of one row."""

from __future__ import annotations

import json
from typing import Any

from acceptance.faults.bench import Bench
from fakes.faults import Fault, fail, say


def coded(code: Any, message: str, status: int) -> Fault:
    """The usual form of an error."""
    return say({"error_code": code, "message": message}, status=status)


def limited(message: str) -> Fault:
    """A rate limit, in the words of the Foundation Model APIs or of a custom endpoint."""
    return coded("REQUEST_LIMIT_EXCEEDED", message, 429)


WAITED_FOR = {
    "input tokens": limited(
        "REQUEST_LIMIT_EXCEEDED: Exceeded workspace input tokens per minute rate limit for "
        "databricks-claude. Work with your Databricks account team to request a higher FMAPI rate "
        "limit tier."
    ),
    "output tokens": limited("Exceeded workspace output tokens per minute rate limit for x."),
    "queries": limited(
        "Exceeded workspace QPS rate limit for x. Please use a provisioned throughput Foundation "
        "Model APIs endpoint for a higher rate limit."
    ),
    "workspace": limited("Exceeded workspace rate limit for x"),
    "documented": say(
        {
            "error": {
                "message": "Rate limit exceeded: ITPM limit of 200,000 tokens reached",
                "type": "rate_limit_exceeded",
                "code": 429,
                "limit_type": "input_tokens_per_minute",
                "limit": 200000,
                "current": 200150,
                "retry_after": 1,
            }
        },
        status=429,
    ),
    "concurrency": limited(
        "Too many concurrent requests. Consider increasing the provisioned concurrency of the "
        "served entity."
    ),
    "parallel": limited("Exceeded max number of parallel requests. Please retry later."),
    "quota": limited("Workspace exceeded provisioned concurrency quota"),
    "waking up": coded("TEMPORARILY_UNAVAILABLE", "The endpoint is loading", 503),
}

TRIED_AGAIN = {
    "request timeout": coded("REQUEST_TIMEOUT", "timed out", 408),
    "internal": coded("INTERNAL_ERROR", "An internal error occurred", 500),
    "bad gateway": coded("BAD_GATEWAY", "upstream connect error", 502),
    "bad gateway in HTML": fail(502, "html"),
    "capacity": coded(
        "TEMPORARILY_UNAVAILABLE",
        "Databricks is unable to satisfy this request due to unexpected capacity constraints - "
        "please try again.",
        503,
    ),
    "too long": coded(
        "TEMPORARILY_UNAVAILABLE",
        "The service at /serving-endpoints/x is taking too long to process your request. Please "
        "try again later or try a faster operation.",
        504,
    ),
}

REFUSED = {
    "unknown field": (
        coded("BAD_REQUEST", 'Bad request: json: unknown field "seed"\n', 400),
        "rejected",
    ),
    "unknown field as text": (
        say('Bad request: json: unknown field "seed"', status=400),
        "rejected",
    ),
    "unknown field nested": (
        coded(
            "BAD_REQUEST",
            json.dumps({"error_code": "BAD_REQUEST", "message": 'json: unknown field "seed"'}),
            400,
        ),
        "rejected",
    ),
    "bad value": (
        coded(
            "INVALID_PARAMETER_VALUE",
            "INVALID_PARAMETER_VALUE: stop was not of type List[String]: null",
            400,
        ),
        "rejected",
    ),
    "exception in the model": (
        say(
            {
                "error_code": "BAD_REQUEST",
                "message": "Encountered an unexpected error while evaluating the model. boom",
                "sqlstate": "KAM00",
                "error_class": "MODEL",
                "stack_trace": "Frames of the model",
            },
            status=400,
        ),
        "rejected",
    ),
    "context": (
        coded("BAD_REQUEST", "This model's maximum context length is 8192 tokens.", 400),
        "context_length",
    ),
    "guarded input": (
        say({"finishReason": "input_guardrail_triggered", "message": "blocked"}, status=400),
        "content_filter",
    ),
    "guarded output": (
        say({"finish_reason": "output_guardrail_triggered", "message": "blocked"}, status=400),
        "content_filter",
    ),
    "payload": (say("payload too large", status=413), "context_length"),
    "provider": (
        coded(
            "PERMISSION_DENIED",
            json.dumps({"external_model_provider": "openai", "external_model_error": {"e": 1}}),
            403,
        ),
        "rejected",
    ),
}


def meet(bench: Bench, faults: dict[str, Fault], **limits: Any) -> Any:
    """A run in which each row meets its own fault once."""
    rows = [{"id": name, "text": f"it is {name}."} for name in faults]
    for name, fault in faults.items():
        fault.contains, fault.times = f"it is {name}.", 1
    bench.rows(rows)
    bench.spec(**limits)
    bench.workspace.script(faults.values())
    return bench.run()


def test_what_is_waited_for(bench: Bench) -> None:
    ended = meet(bench, WAITED_FOR, attempts=1)
    assert ended.code == 0
    count = len(WAITED_FOR)
    assert (ended.requests["waited"], ended.requests["sent"]) == (count, 2 * count)
    bench.mend(lacking=0)


def test_what_is_tried_again(bench: Bench) -> None:
    ended = meet(bench, TRIED_AGAIN, attempts=2)
    assert ended.code == 0
    count = len(TRIED_AGAIN)
    assert (ended.requests["retried"], ended.requests["sent"]) == (count, 2 * count)
    bench.mend(lacking=0)


def test_what_is_refused_fails_its_row_and_is_asked_once(bench: Bench) -> None:
    ended = meet(bench, {name: fault for name, (fault, _) in REFUSED.items()})
    assert ended.code == 1
    found = {name: ended.error(name)["class"] for name in REFUSED}
    assert found == {name: kind for name, (_, kind) in REFUSED.items()}
    assert ended.requests["sent"] == len(REFUSED)
    assert ended.requests["retried"] == ended.requests["waited"] == 0
    bench.mend(lacking=len(REFUSED))
