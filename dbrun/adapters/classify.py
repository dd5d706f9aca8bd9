"""From an answer's status and body to the error it is: the one table of contract section 5.

| answer | error | then |
|---|---|---|
| 401; 403 that calls the token invalid | `AuthError` | asked again once with fresh credentials |
| a rate limit of 0, disabled, its cluster not running | `EndpointMissing` | ends the run |
| 3xx; 404 | `EndpointMissing` | ends the run |
| 402; a code that says that nobody pays | `AuthError` | ends the run |
| a context-length code; 413; 400 or 422 about the context | `ContextLength` | the row fails |
| a guardrail's code | `ContentFilter` | the row fails |
| 429; 503 with `Retry-After` | `RateLimited` | waited for |
| 403 `PERMISSION_DENIED` of the workspace itself | `AuthError` | ends the run |
| 503 that says it is loading or starting | `Warming` | waited for, up to `warmup` |
| 408, 504: the server gave up waiting | `TimedOut` | tried again |
| 425, 500, 502, 503 and other 5xx but 501 and 505 | `Unavailable` | tried again |
| other 403; 401 of a provider behind it | `Refused` | the row fails; the run, if it began so |
| 405, 501 | `Refused` | ends the run, if it began so |
| anything else | `Rejected` | the row fails |

Machine codes are believed before prose: servers echo prompts in their messages, and a prompt may
say anything.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from ..errors import (
    AuthError,
    ContentFilter,
    ContextLength,
    DbrunError,
    EndpointMissing,
    Malformed,
    RateLimited,
    Refused,
    Rejected,
    RunError,
    TimedOut,
    Unavailable,
    Warming,
)
from ..frozen import frozen
from .complaint import Complaint, phrase

CONTEXT_CODES = frozenset(
    {
        "context_length_exceeded",  # OpenAI, vLLM, Databricks external models
        "exceed_context_size_error",  # llama.cpp
        "string_above_max_length",  # OpenAI
        "context_window_exceeded",
        "model_context_window_exceeded",  # Anthropic
    }
)
FILTER_CODES = frozenset(
    {
        "content_filter",  # OpenAI, Azure OpenAI
        "content_policy_violation",
        "responsibleaipolicyviolation",
        "input_guardrail_triggered",  # Databricks AI guardrails
        "output_guardrail_triggered",
        "guardrail_intervened",
    }
)
MODEL_CODES = frozenset({"model_not_found", "invalid_model", "model_not_supported"})
PAYMENT_CODES = frozenset(
    {
        "insufficient_quota",  # OpenAI, as 429
        "billing_hard_limit_reached",
        "billing_not_active",
        "billing_error",  # Anthropic
    }
)
STATUS_OF_CODE = {
    # MLflow's error codes, which Databricks shares (MLflow `exceptions`).
    "request_limit_exceeded": 429,
    "resource_exhausted": 429,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "internal_error": 500,
    "bad_gateway": 502,
    "temporarily_unavailable": 503,
    "overloaded_error": 503,
    "deadline_exceeded": 504,
    "request_timeout": 408,
    "permission_denied": 400,
    "bad_request": 400,
    "invalid_parameter_value": 400,
    "invalid_request_error": 400,
}
"""Codes that come inside an answer of status 200 → the status that they stand for."""

# Patterns as texts: compiled when the first server complains, which most never do.
_CONTEXT = (
    r"(?i)maximum (context|model|input|sequence|prompt) length|context ?window ?exceed|"
    r"exceed\w* (the |its )?(model's |available |maximum |max )*context|"
    r"exceed\w* (the )?(max\w* .{0,30}tokens|.{0,30}context ?window)|too many (input )?tokens|"
    r"tokens \+ `max_new_tokens` must be|(prompt|input|request) (is )?too (long|large)"
)
_NO_MODEL = (
    # LiteLLM's proxy, Mistral; a message may quote the name.
    r"(?i)(invalid|unknown|no such) model( name)?\b(?! input| output| param| config)|"
    r"\bmodel\b\W{0,3}[\w./:@-]*\W{0,3}(does not exist|not found|is not available)"
)
_SWITCHED_OFF = (
    r"(?i)rate limit (of|is|(is |was )?set to) 0\b(?!\.\d)|temporarily disabled due to|"
    r"cluster\b.{0,80}\b(is not running|not in a usable state|is terminated|does not exist)"
)
_STARTING = (
    # Scaled to zero, a serving endpoint says so until a replica is up (Databricks, "Debug model
    # serving timeouts"); llama.cpp and others while they load their weights.
    r"(?i)\b(loading|starting|warming)\b|scal\w+ (up|from zero|to zero)|not (yet )?ready"
)
_UNKNOWN_FIELD = (
    r"(?i)unknown field \W{0,2}(?P<a>\w+)|"
    r"un(?:supported|known|recognized) (?:request )?(?:parameter|argument|field)s?"
    r"(?: supplied)?:? \W{0,2}(?P<b>\w+)|"
    r"does not support (?:the )?\W?(?P<c>\w+)\W? parameter|"
    r"\W(?P<d>\w+)\W? (?:is|was) not supported with this model|"
    r"(?P<e>\w+): extra inputs are not permitted|"
    r"unsupported value: \W{0,2}(?P<g>\w+)|"
    r"additional properties are not allowed \(\W(?P<f>\w+)\W"
)
_NO_LISTS = (
    # MLflow, a column that is an array within `instances` or a mapping of `inputs`.
    r"(?i)only handle 1-dimensional arrays|setting an array element with a sequence"
)
_SCHEMA_KEYWORD = (
    # Databricks, gpt-oss: `Invalid JSON schema - the "pattern" keyword is not supported`.
    r"(?i)\bschema\b.{0,40}\W(\w+)\W? keyword is not supported"
)
_MISSING_INPUTS = r"(?i)model is missing inputs (\[[^\]]*\])"
_INPUTS = frozenset(
    {"prompt", "messages", "input", "inputs", "instances", "dataframe_split", "dataframe_records"}
)
_TIMEOUTS = frozenset({408, 504})
_MAYBE_PAID = frozenset({408, 500, 502, 504})
PATIENCE = 5
"""Refusals at the start of a run that may yet be for what the rows say."""


@frozen
class Place:
    """How messages speak of an endpoint: its *url*; what to do when it is *missing*, when it asks
    for other *rights*, when the *credentials* are refused. *method* and *adapter* are how it is
    called."""

    url: str
    missing: str = "check the address in the spec"
    rights: str = "ask its owner for access"
    credentials: str = "check the credentials in the spec"
    method: str = "POST"
    adapter: str = ""


def error_of(
    status: int, complaint: Complaint, place: Place, retry_after: float | None = None
) -> DbrunError:
    """The error that an answer of *status* other than 2xx is, by the module's table."""
    said = _said(status, complaint)
    if status in (400, 403, 429) and re.search(_SWITCHED_OFF, complaint.message):
        return EndpointMissing(f"{place.url} is switched off: {said}", "name another endpoint")
    if status == 407:
        return AuthError(
            f"the proxy on the way to {place.url} refuses: {said}",
            "correct user and password in HTTPS_PROXY",
        )
    if status == 404:
        return EndpointMissing(f"{place.url} is not there: {said}", place.missing)
    if status == 402 or complaint.codes & PAYMENT_CODES:
        return AuthError(
            f"{place.url} wants to be paid: {said}",
            "look after the account's credit, then run the same command to continue",
        )
    if complaint.codes & CONTEXT_CODES or status == 413 or _speaks_of_context(status, complaint):
        return ContextLength(said, status)
    if complaint.codes & FILTER_CODES:
        return ContentFilter(said, status)
    if status == 429 or (status == 503 and retry_after is not None):
        return RateLimited(said, status, retry_after)
    if status == 403 and "permission_denied" in complaint.codes and not complaint.provider:
        return AuthError(f"access to {place.url} is denied: {said}", place.rights)
    if status == 503 and re.search(_STARTING, complaint.message):
        return Warming(said, status)
    if status in _TIMEOUTS:
        return TimedOut(said, status, retry_after, maybe_paid=True)
    if status == 425 or (status >= 500 and status not in (501, 505)):
        return Unavailable(said, status, retry_after, maybe_paid=status in _MAYBE_PAID)
    if status in (401, 403, 405, 501):
        return _shut(status, said, place)
    if status in (400, 422) and _names_no_model(complaint):
        verdict = EndpointMissing(f"{place.url} knows no such model: {said}", place.missing)
        return _refusal(said, status, verdict, patience=PATIENCE)
    rejected = Rejected(said + _mend(complaint), status)
    rejected.parameter = unknown_field(complaint)
    if re.search(_SCHEMA_KEYWORD, complaint.message):
        rejected.parameter = "response_format"
    return rejected


def _shut(status: int, said: str, place: Place) -> Refused:
    """Nobody is let in, or nobody who calls like this."""
    if status in (405, 501):
        by = f" (adapter {place.adapter})" if place.adapter else ""
        verdict = EndpointMissing(f"{place.url} takes no {place.method}{by}: {said}", place.missing)
        return _refusal(said, status, verdict, patience=1)
    denied = AuthError(
        f"{place.url} refuses everything that it was asked, {PATIENCE} times: {said}",
        f"{place.rights}; if it is the rows' text that is refused, try others with --sample",
    )
    return _refusal(f"{said}; {place.rights}", status, denied, patience=PATIENCE)


def _refusal(said: str, status: int, verdict: RunError, *, patience: int) -> Refused:
    error = Refused(said, status)
    error.patience, error.verdict = patience, verdict
    return error


def _names_no_model(complaint: Complaint) -> bool:
    """Whether it is the model that a server knows nothing of, which most answer with 404."""
    return bool(complaint.codes & MODEL_CODES or re.search(_NO_MODEL, complaint.message))


def refused(status: int, complaint: Complaint, place: Place, source: str) -> AuthError:
    """The error for credentials that are refused after a refresh; *source* says whence they are."""
    said = _said(status, complaint)
    return AuthError(f"{place.url} refuses {source}: {said}", place.credentials)


def redirected(status: int, location: str, place: Place) -> EndpointMissing:
    """The error for a 3xx: a request with a body and credentials follows no redirect."""
    to = urlsplit(location)
    where = f"{to.netloc}{to.path}" if to.netloc else to.path or "nowhere"
    if to.netloc and to.scheme != urlsplit(place.url).scheme:
        where = f"{to.scheme}://{where}"
    if "login" in where or "private-link" in to.query:
        where += ", a login page: the address is no API or the network blocks it"
    return EndpointMissing(f"{place.url} redirects ({status}) to {where}", place.missing)


def error_inside(
    complaint: Complaint, place: Place, retry_after: float | None = None
) -> DbrunError:
    """The error that came with status 200: by its own code, else the answer is malformed."""
    status = next((int(code) for code in sorted(complaint.codes) if _is_status(code)), 0)
    known = (STATUS_OF_CODE[code] for code in sorted(complaint.codes) if code in STATUS_OF_CODE)
    status = status or next(known, 0)
    if status in (0, 401, 403, 404) and not complaint.codes & (CONTEXT_CODES | FILTER_CODES):
        return Malformed(f"the endpoint answered 200 with an error: {complaint.message}", 200)
    return error_of(status or 400, complaint, place, retry_after)


def _said(status: int, complaint: Complaint) -> str:
    said = f"the endpoint answered {status} {complaint.code or phrase(status)}"
    if complaint.message != phrase(status):
        said = f"{said}: {complaint.message}"
    return f"{said}\n{complaint.trace}" if complaint.trace else said


def _is_status(code: str) -> bool:
    return code.isdigit() and 400 <= int(code) <= 599


def _speaks_of_context(status: int, complaint: Complaint) -> bool:
    return status in (400, 422) and bool(re.search(_CONTEXT, complaint.message))


def unknown_field(complaint: Complaint) -> str | None:
    """The field of the request that the endpoint says it does not take."""
    found = re.search(_UNKNOWN_FIELD, complaint.message)
    return next((group for group in found.groups() if group), None) if found else None


def _mend(complaint: Complaint) -> str:
    """What to do about a field that the endpoint does not know, or one that it misses."""
    if missing := re.search(_MISSING_INPUTS, complaint.message):
        return f"; the model's inputs {missing.group(1)} are given by endpoint.columns"
    if re.search(_NO_LISTS, complaint.message):
        return "; set endpoint.format: dataframe_split, which takes lists such as stop"
    if keyword := re.search(_SCHEMA_KEYWORD, complaint.message):
        return f"; remove '{keyword.group(1)}' from response_schema, or its mode: native"
    name = unknown_field(complaint)
    if name is None:
        return ""
    if name == "response_format":
        return "; leave out response_schema.mode (the answer is then checked when it has come)"
    if name == "stop":
        return "; set endpoint.send_stop: false (the text is then cut when it arrives)"
    if name == "client_request_id":
        return "; this model takes none: remove it from the endpoint"
    if name in _INPUTS:
        return "; this endpoint has another task: set endpoint.task"
    return f"; remove params.{name}"
