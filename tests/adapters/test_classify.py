"""Every status and body of the wire reference, and the error that it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dbrun.adapters.classify import Place, error_inside, error_of, redirected, refused
from dbrun.adapters.complaint import of, read
from dbrun.client.auth import token_refused
from dbrun.errors import (
    AuthError,
    ContentFilter,
    ContextLength,
    DbrunError,
    EndpointError,
    EndpointMissing,
    Malformed,
    RateLimited,
    Refused,
    Rejected,
    TimedOut,
    Unavailable,
    Warming,
)

PLACE = Place(url="https://h/e/invocations", missing="check the name", rights="ask for *Can Query*")


def coded(code: Any, message: str) -> bytes:
    return json.dumps({"error_code": code, "message": message}).encode()


OFF = "The endpoint is temporarily disabled due to a Databricks-set rate limit of 0."
EXTERNAL = json.dumps(
    {"external_model_provider": "openai", "external_model_error": {"error": {"message": "no"}}}
)
TABLE = [
    (400, coded("BAD_REQUEST", "no"), None, Rejected),
    (400, b"plain text", None, Rejected),
    (400, coded("BAD_REQUEST", "The model raised."), None, Rejected),
    (400, coded("INVALID_PARAMETER_VALUE", "stop was not of …"), None, Rejected),
    (400, b'{"error":{"code":"context_length_exceeded","message":"m"}}', None, ContextLength),
    (400, b'{"error":{"type":"exceed_context_size_error","message":"m"}}', None, ContextLength),
    (500, b'{"error":{"code":"context_length_exceeded","message":"m"}}', None, ContextLength),
    (400, coded("BAD_REQUEST", "This model's maximum context length is 8192"), None, ContextLength),
    (400, coded("BAD_REQUEST", "request exceeds the available context size"), None, ContextLength),
    (400, coded("BAD_REQUEST", "prompt is too long: 9 tokens > 8 maximum"), None, ContextLength),
    (422, b'{"detail":"input too long"}', None, ContextLength),
    *[
        (400, coded("BAD_REQUEST", said), None, ContextLength)
        for said in (
            "litellm.ContextWindowExceededError: this is too much",
            "This model's maximum prompt length is 131072 but the request contains 200000 tokens",
            "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 and 20",
            "The input token count (1200000) exceeds the maximum number of tokens allowed",
            "too many tokens: total number of tokens in the prompt cannot exceed 4081",
            "your input exceeds the context window of this model",
            "the input length exceeds the context length",
            "Input is too long for requested model.",
        )
    ],
    (500, coded("INTERNAL_ERROR", "prompt is too long"), None, Unavailable),
    (413, b"", None, ContextLength),
    (400, b'{"finishReason":"input_guardrail_triggered","message":"m"}', None, ContentFilter),
    (400, b'{"error":{"code":"content_filter","message":"m"}}', None, ContentFilter),
    (401, coded(401, "who"), None, AuthError),
    (403, b"Invalid Token", None, AuthError),
    (403, coded("403", "Invalid access token."), None, AuthError),
    (403, b"<html><body><pre>Error 403 Invalid access token.</pre></body></html>", None, AuthError),
    (402, b"", None, AuthError),
    (402, b'{"error":{"code":402,"message":"Insufficient credits"}}', None, AuthError),
    (429, b'{"error":{"code":"insufficient_quota","message":"your plan"}}', None, AuthError),
    (400, b'{"error":{"code":"billing_hard_limit_reached","message":"m"}}', None, AuthError),
    (403, coded("PERMISSION_DENIED", "you may not"), None, AuthError),
    (403, coded("PERMISSION_DENIED", OFF), None, EndpointMissing),
    (403, coded("PERMISSION_DENIED", EXTERNAL), None, Refused),
    (403, b'{"error":{"message":"region"}}', None, Refused),
    (404, coded("ENDPOINT_NOT_FOUND", "The given endpoint does not exist"), None, EndpointMissing),
    (404, b"<html>", None, EndpointMissing),
    (400, b"Cluster 0101-1 is not running", None, EndpointMissing),
    (405, b'{"detail":"Method Not Allowed"}', None, Refused),
    *[
        (400, body, None, Refused)
        for body in (
            b'{"error":{"message":"m","code":"model_not_found"}}',
            b'{"error":{"message":"/chat/completions: Invalid model name passed in model=x."}}',
            b'{"object":"error","message":"Invalid model: x","type":"invalid_model","code":"1500"}',
            b'{"error":{"message":"The model `x` does not exist"}}',
            b'{"error":"model \'x\' not found"}',
        )
    ],
    *[
        (400, body, None, Rejected)
        for body in (
            b'{"error":{"message":"Invalid model input: prompt"}}',
            b'{"error":{"message":"the model does not support tools"}}',
            b'{"error":{"message":"model output was invalid"}}',
        )
    ],
    (408, coded("REQUEST_TIMEOUT", "slow"), None, TimedOut),
    (409, b"", None, Rejected),
    (415, b"text", None, Rejected),
    (422, b'{"detail":[{"msg":"m"}]}', None, Rejected),
    (425, b"", None, Unavailable),
    (429, coded("REQUEST_LIMIT_EXCEEDED", "slow down"), None, RateLimited),
    (429, b"", 7.0, RateLimited),
    (429, coded("REQUEST_LIMIT_EXCEEDED", "a rate limit of 0 is set"), None, EndpointMissing),
    (429, coded("REQUEST_LIMIT_EXCEEDED", "Rate limit is set to 0."), None, EndpointMissing),
    (429, coded("REQUEST_LIMIT_EXCEEDED", "the rate limit is 0"), None, EndpointMissing),
    (429, coded("REQUEST_LIMIT_EXCEEDED", "a rate limit of 05"), None, RateLimited),
    (429, coded("REQUEST_LIMIT_EXCEEDED", "Rate limit set to 0.5 a second"), None, RateLimited),
    (500, coded("INTERNAL_ERROR", "oh"), None, Unavailable),
    (501, b"", None, Refused),
    (502, b"<html><title>502 Bad Gateway</title></html>", None, Unavailable),
    (503, coded("TEMPORARILY_UNAVAILABLE", "no room"), None, Unavailable),
    (503, coded("TEMPORARILY_UNAVAILABLE", "The endpoint is loading"), None, Warming),
    (503, b'{"error":{"code":503,"message":"Loading model"}}', None, Warming),
    (503, coded("UNAVAILABLE", "Endpoint is scaled to zero"), None, Warming),
    (503, b"<html>", 3.0, RateLimited),
    (504, coded("TEMPORARILY_UNAVAILABLE", "too long to process your request"), None, TimedOut),
    (529, b'{"type":"error","error":{"type":"overloaded_error"}}', None, Unavailable),
]  # fmt: skip


def classified(status: int, body: bytes, retry_after: float | None = None) -> DbrunError:
    complaint = read(status, body)
    if token_refused(status, complaint.message):
        return refused(status, complaint, PLACE, "DATABRICKS_TOKEN")
    return error_of(status, complaint, PLACE, retry_after)


@pytest.mark.parametrize(("status", "body", "retry_after", "kind"), TABLE)
def test_an_answer_is_the_error_of_the_table(
    status: int, body: bytes, retry_after: float | None, kind: type[DbrunError]
) -> None:
    error = classified(status, body, retry_after)
    assert type(error) is kind
    assert "\n" not in error.message
    if isinstance(error, EndpointError):
        assert error.status == status
        assert error.retry_after == (retry_after if kind is RateLimited else None)
    else:
        assert PLACE.url in error.message
        assert error.hint


@pytest.mark.parametrize(
    ("message", "mend"),
    [
        ('Bad request: json: unknown field "seed"\n', "remove params.seed"),
        ("Unrecognized request argument supplied: foo", "remove params.foo"),
        ("Unknown parameter: 'bar'.", "remove params.bar"),
        ("Model m does not support the temperature parameter", "remove params.temperature"),
        (
            "Unsupported value: 'temperature' does not support 0.2 with this model.",
            "remove params.temperature",
        ),
        ('Unsupported parameter: "stop" is not supported with this model.', "send_stop: false"),
        ('Bad request: json: unknown field "prompt"', "set endpoint.task"),
        ('Bad request: json: unknown field "dataframe_records"', "set endpoint.task"),
        ("Model is missing inputs ['prompt', 'q'].", "['prompt', 'q'] are given by endpoint.col"),
        ("Additional properties are not allowed ('k' was unexpected)", "remove params.k"),
    ],
)
def test_a_refused_field_is_told_with_its_mend(message: str, mend: str) -> None:
    error = classified(400, coded("BAD_REQUEST", message))
    assert type(error) is Rejected
    assert mend in error.message
    assert message.strip().rstrip(".") in error.message


def test_a_field_of_fastapi_is_told_with_its_mend() -> None:
    body = {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}
    error = classified(422, json.dumps(body).encode())
    assert error.message.endswith("body.seed: Extra inputs are not permitted; remove params.seed")


def test_permission_and_absence_name_what_to_do() -> None:
    denied = classified(403, coded("PERMISSION_DENIED", "no"))
    assert (denied.hint, denied.exit_code) == ("ask for *Can Query*", 3)
    missing = classified(404, b"")
    assert (missing.hint, missing.exit_code) == ("check the name", 3)
    assert str(missing).startswith(
        "https://h/e/invocations is not there: the endpoint answered 404"
    )


def test_what_may_refuse_everything_says_so_with_what_to_do() -> None:
    place = Place(url="https://h/e", missing="check the url", method="PUT", adapter="http")
    wrong = error_of(405, read(405, b""), place)
    assert isinstance(wrong, Refused)
    assert (wrong.patience, str(wrong.verdict)) == (
        1,
        "https://h/e takes no PUT (adapter http): the endpoint answered 405 Method Not Allowed; "
        "check the url",
    )
    denied = error_of(403, read(403, b"region"), PLACE)
    assert isinstance(denied, Refused)
    assert denied.patience > 1
    assert isinstance(denied.verdict, AuthError)
    assert "region; ask for *Can Query*" in str(denied.verdict)


def test_refused_credentials_are_named_by_their_source() -> None:
    error = classified(401, b"")
    assert error.message.startswith("https://h/e/invocations refuses DATABRICKS_TOKEN")


@pytest.mark.parametrize(
    ("location", "where"),
    [
        ("https://login.example.com/oidc?x=secret", "login.example.com/oidc"),
        ("/login.html?error=private-link-validation-error", "/login.html, a login page"),
        ("http://h/e/invocations", "redirects (302) to http://h/e/invocations"),
        ("", "nowhere"),
    ],
)
def test_a_redirect_names_where_it_leads_but_not_its_query(location: str, where: str) -> None:
    error = redirected(302, location, PLACE)
    assert where in error.message
    assert "secret" not in error.message


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"message": "m", "code": 429}}, RateLimited),
        ({"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "m"}, RateLimited),
        ({"error": {"message": "m", "code": 503}}, Unavailable),
        ({"error_code": "INTERNAL_ERROR", "message": "m"}, Unavailable),
        ({"error": {"message": "m", "code": "context_length_exceeded"}}, ContextLength),
        ({"error": {"message": "m", "code": "content_filter"}}, ContentFilter),
        ({"error_code": "BAD_REQUEST", "message": "m"}, Rejected),
        ({"error": "odd"}, Malformed),
        ({"error": {"message": "m", "code": 404}}, Malformed),
        ({"error_code": "PERMISSION_DENIED", "message": "m"}, Rejected),
    ],
)
def test_an_error_in_a_200_is_classified_by_its_own_code(body: Any, kind: type) -> None:
    error = error_inside(of(body, 200), PLACE)
    assert type(error) is kind
    assert ("odd" if body == {"error": "odd"} else "m") in error.message
