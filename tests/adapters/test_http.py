"""One call: what is sent, what comes back, what is refused, and what is never said."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from adapters.conftest import Canned, response

from dbrun.adapters.base import Request
from dbrun.adapters.mlflow import MlflowAdapter
from dbrun.adapters.openai import OpenAIAdapter
from dbrun.adapters.payload import unsendable
from dbrun.context import Context
from dbrun.errors import (
    AuthError,
    EndpointError,
    EndpointMissing,
    Malformed,
    RateLimited,
    Rejected,
    Unavailable,
)

OK = '{"model":"m-1","choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}'
KEY = "sk-0123456789abcdef"
ENVIRON = {"KEY": KEY, "EXTRA": "extra-secret-value"}

Open = Callable[..., Any]


def chat(open_adapter: Open, *replies: Any, **spec: Any) -> tuple[OpenAIAdapter, Canned]:
    transport = Canned(*replies)
    options = {"base_url": "https://h/v1", "model": "m", **spec.pop("options", {})}
    environ = spec.pop("environ", ENVIRON)
    made = open_adapter(OpenAIAdapter, options, environ=environ, transport=transport, **spec)
    return made, transport


def ask(adapter: Any, prompt: Any = "hi", **fields: Any) -> Any:
    body = adapter.encode(Request(fields={"prompt": prompt, **fields}))
    (answer,) = adapter.call([body], 5.0)
    return answer


def test_what_is_sent(open_adapter: Open) -> None:
    adapter, transport = chat(open_adapter, response(OK), options={"api_key": {"env": "KEY"}})
    ask(adapter, "Grüße\u2028", stop=["\n"])
    (sent,) = transport.sent
    assert (sent.method, sent.url) == ("POST", "https://h/v1/chat/completions")
    assert sent.body == (
        '{"model":"m","messages":[{"role":"user","content":"Grüße\u2028"}],"stop":["\\n"]}'.encode()
    )
    assert sent.headers == {
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Authorization": f"Bearer {KEY}",
    }
    assert transport.timeouts == [5.0]


def test_an_answer_is_kept_byte_for_byte(open_adapter: Open) -> None:
    adapter, _ = chat(open_adapter, response(OK + "\n", served_model_name="served-2"))
    answer = ask(adapter)
    assert answer.raw == OK.encode()
    assert answer.body == json.loads(OK)
    assert answer.model == "served-2"
    assert adapter.decode(answer.body).value == "hi"


def test_without_a_header_the_body_names_the_model(open_adapter: Open) -> None:
    adapter, _ = chat(open_adapter, response(OK))
    assert ask(adapter).model == "m-1"


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(json.loads(OK), indent=1),
        OK.replace(":[", ":\r["),
        OK.replace('"stop"', '"stop","score":NaN'),
        OK.replace('"stop"', '"stop","score":-Infinity'),
        OK.replace('"stop"', '"stop","score":1e999'),
        "\ufeff" + OK,
    ],
    ids=["many lines", "carriage return", "NaN", "infinity", "beyond a double", "mark"],
)
def test_what_no_journal_line_can_hold_is_kept_parsed(open_adapter: Open, body: str) -> None:
    adapter, _ = chat(open_adapter, response(body))
    answer = ask(adapter)
    assert answer.raw is None
    assert json.loads(json.dumps(answer.body, allow_nan=False)) == answer.body
    assert answer.body["choices"][0].get("score") is None


def test_text_that_looks_like_an_odd_number_changes_nothing(open_adapter: Open) -> None:
    adapter, _ = chat(open_adapter, response(OK.replace('"hi"', '"NaN is 1e999"')))
    assert adapter.decode(ask(adapter).body).value == "NaN is 1e999"


def test_headers_of_the_spec_are_sent(open_adapter: Open) -> None:
    headers = {"X-Team": "nlp", "X-Key": {"env": "EXTRA", "prefix": "Key "}, "accept": "*/*"}
    adapter, transport = chat(open_adapter, response(OK), headers=headers)
    ask(adapter)
    assert transport.sent[0].headers == {
        "Content-Type": "application/json",
        "X-Team": "nlp",
        "X-Key": "Key extra-secret-value",
        "accept": "*/*",
    }


def test_an_authorization_header_of_the_spec_beats_the_option(open_adapter: Open) -> None:
    adapter, transport = chat(
        open_adapter,
        response(OK),
        headers={"authorization": {"env": "EXTRA", "prefix": "Basic "}},
        options={"api_key": {"env": "KEY"}},
    )
    ask(adapter)
    sent = transport.sent[0].headers
    assert {name: value for name, value in sent.items() if name.lower() == "authorization"} == {
        "authorization": "Basic extra-secret-value"
    }


def test_send_stop_false_keeps_the_stop_out(open_adapter: Open) -> None:
    adapter, transport = chat(open_adapter, response(OK), send_stop=False)
    ask(adapter, stop=["X"])
    assert "stop" not in json.loads(transport.sent[0].body or b"")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"logit_bias": {"a": [1.0, float("inf")]}}, r"logit_bias\.a\[1\] is inf"),
        ({"tags": {1: 2}}, "tags has the key 1, which is no text"),
        ({"x": {1, 2}}, "x is of type set"),
    ],
)
def test_what_is_no_json_is_refused_before_it_is_sent(
    open_adapter: Open, fields: dict[str, Any], said: str
) -> None:
    adapter, transport = chat(open_adapter, response(OK))
    with pytest.raises(Rejected, match=said):
        ask(adapter, **fields)
    assert not transport.sent


def test_what_json_can_hold_is_sendable() -> None:
    assert unsendable({"a": [1, 2.5, "x", None, True, (1,), {"b": {}}]}) is None


def test_a_lone_surrogate_travels_as_its_escape(open_adapter: Open) -> None:
    adapter, transport = chat(open_adapter, response(OK))
    ask(adapter, "a\ud800b")
    assert b"a\\ud800b" in (transport.sent[0].body or b"")


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (response(""), "200 with an empty body"),
        (response(b" \n", 204), "204 with an empty body"),
        (response("<title>Sign In</title>", kind="text/html; charset=x"), "text/html in place"),
        (response("<title>Sign In</title>", kind="text/html"), "Sign In"),
        (response("hello", kind="text/plain"), "text/plain in place of JSON: hello"),
        (response('{"choices": oh'), "broken application/json in place of JSON"),
        (response(b"\xff\xfe\xfa{}"), "not in UTF-8, in place of JSON"),
        (response("[" * 200_000), "nested too deep"),
        (response("data: {}\n\n", kind="text/event-stream"), "it was not asked to"),
        (response('{"error":"odd"}'), "200 with an error: odd"),
    ],
)
def test_an_answer_that_is_none_is_malformed(open_adapter: Open, reply: Any, said: str) -> None:
    adapter, _ = chat(open_adapter, reply)
    with pytest.raises(Malformed, match=said) as caught:
        ask(adapter)
    assert caught.value.status == reply.status


def test_an_answer_that_ends_too_soon_is_cut_short(open_adapter: Open) -> None:
    adapter, _ = chat(open_adapter, response('{"choices": ['))
    with pytest.raises(Unavailable, match="cut short within its JSON") as caught:
        ask(adapter)
    assert caught.value.maybe_paid


def test_an_error_with_status_200_is_what_its_code_says(open_adapter: Open) -> None:
    body = '{"error":{"message":"slow down","code":429,"retry_after":7}}'
    adapter, _ = chat(open_adapter, response(body))
    with pytest.raises(RateLimited, match="slow down") as caught:
        ask(adapter)
    assert caught.value.retry_after == 7


def test_an_answer_beside_an_error_is_an_answer(open_adapter: Open) -> None:
    adapter, _ = chat(open_adapter, response(OK[:-1] + ',"error":"a warning"}'))
    assert adapter.decode(ask(adapter).body).value == "hi"


def test_a_redirect_is_not_followed(open_adapter: Open) -> None:
    location = "https://login.example.com/start"
    adapter, transport = chat(open_adapter, response("", 302, location=location))
    with pytest.raises(EndpointMissing, match=r"redirects \(302\) to login.example.com/start"):
        ask(adapter)
    assert len(transport.sent) == 1


@pytest.mark.parametrize(
    ("status", "headers", "kind", "wait"),
    [
        (429, {"retry_after": "2"}, RateLimited, 2.0),
        (429, {"x_ratelimit_reset": "3"}, RateLimited, 3.0),
        (503, {"retry_after": "2"}, RateLimited, 2.0),
        (503, {"x_ratelimit_reset": "3"}, Unavailable, None),
        (500, {"retry_after": "2"}, Unavailable, 2.0),
        (500, {"x_ratelimit_reset": "3"}, Unavailable, None),
    ],
)
def test_who_is_told_to_wait(
    open_adapter: Open, status: int, headers: dict[str, str], kind: type, wait: float | None
) -> None:
    adapter, _ = chat(open_adapter, response("", status, **headers))
    with pytest.raises(EndpointError) as caught:
        ask(adapter)
    assert type(caught.value) is kind
    assert caught.value.retry_after == wait


def test_refused_credentials_are_read_again_once(open_adapter: Open) -> None:
    environ = {"KEY": "old"}
    replies = [response("", 401), response(OK), response(OK)]
    adapter, transport = chat(
        open_adapter, *replies, options={"api_key": {"env": "KEY"}}, environ=environ
    )
    adapter.auth.headers()
    environ["KEY"] = "new-key"
    ask(adapter)
    ask(adapter)
    sent = [request.headers["Authorization"] for request in transport.sent]
    assert sent == ["Bearer old", "Bearer new-key", "Bearer new-key"]


def test_credentials_refused_after_a_refresh_end_the_run(open_adapter: Open) -> None:
    adapter, transport = chat(
        open_adapter,
        response('{"error":{"message":"bad key"}}', 401),
        options={"api_key": {"env": "KEY"}},
    )
    with pytest.raises(AuthError, match=r"refuses endpoint\.api_key.*bad key") as caught:
        ask(adapter)
    assert caught.value.hint == "check endpoint.api_key"
    assert len(transport.sent) == 2


def test_credentials_of_an_external_provider_are_not_ours(open_adapter: Open) -> None:
    nested = json.dumps(
        {"external_model_provider": "openai", "external_model_error": {"error": "invalid token"}}
    )
    body = json.dumps({"error_code": "PERMISSION_DENIED", "message": nested})
    adapter, transport = chat(open_adapter, response(body, 401))
    with pytest.raises(Rejected, match="openai: invalid token"):
        ask(adapter)
    assert len(transport.sent) == 1


def test_a_header_s_credential_is_read_again_too(open_adapter: Open) -> None:
    environ = {"KEY": "old"}

    def serve(request: Any) -> Any:
        environ["KEY"] = "new"
        return response(OK) if request.headers["Authorization"] == "new" else response("", 401)

    adapter, transport = chat(
        open_adapter, serve, headers={"Authorization": {"env": "KEY"}}, environ=environ
    )
    ask(adapter)
    assert len(transport.sent) == 2


def test_many_refused_together_refresh_once(open_adapter: Open) -> None:
    reads = []
    together = threading.Barrier(8, timeout=10)

    class Environ(dict[str, str]):
        def get(self, name: str, default: Any = None) -> Any:
            if name == "KEY":
                reads.append(name)
                return f"key-{len(reads)}"
            return super().get(name, default)

    def serve(request: Any) -> Any:
        if request.headers["Authorization"] == "Bearer key-1":
            together.wait()
            return response("", 401)
        return response(OK)

    adapter, transport = chat(
        open_adapter, serve, options={"api_key": {"env": "KEY"}}, environ=Environ()
    )
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(adapter), range(8)))
    assert len(answers) == 8
    assert len(reads) == 2
    assert len(transport.sent) == 16
    assert adapter.auth.generation == 1


def test_a_key_that_is_not_set_is_told_at_the_first_call(open_adapter: Open) -> None:
    adapter, transport = chat(open_adapter, response(OK), options={"api_key": {"env": "NOPE"}})
    with pytest.raises(AuthError, match=r"endpoint.api_key: environment variable NOPE is not set"):
        ask(adapter)
    assert not transport.sent


@pytest.mark.parametrize(
    "reply",
    [
        response(f'{{"message":"you sent Bearer {KEY} and {{}}"}}', 400),
        response(f"no such key: {KEY}", 401),
        response(f"<title>{KEY}</title>", kind="text/html"),
        response(f'{{"error":"x {KEY}"}}'),
        response('{"message":"extra-secret-value"}', 500),
        response('{"message":"dapi0123456789abcdef0123456789abcdef-2"}', 500),
        Unavailable(f"cut short after Authorization: Bearer {KEY}", maybe_paid=True),
    ],
)
def test_no_message_holds_a_credential(open_adapter: Open, reply: Any) -> None:
    adapter, _ = chat(
        open_adapter,
        reply,
        options={"api_key": {"env": "KEY"}},
        headers={"X-Key": {"env": "EXTRA"}},
    )
    with pytest.raises((EndpointError, AuthError)) as caught:
        ask(adapter)
    said = f"{caught.value} {caught.value.args} {caught.value!r}"
    assert "***" in said
    for secret in (KEY, "extra-secret-value", "dapi0123456789abcdef0123456789abcdef"):
        assert secret not in said


@pytest.mark.parametrize("debug", [False, True])
def test_a_model_s_stack_trace_is_for_debugging(open_adapter: Open, debug: bool) -> None:
    body = '{"error_code":"BAD_REQUEST","message":"m","stack_trace":"Traceback: x\\n /opt/x.py"}'
    transport = Canned(response(body, 400))
    adapter = open_adapter(
        MlflowAdapter, {"url": "http://h"}, context=Context(debug=debug), transport=transport
    )
    with pytest.raises(Rejected) as caught:
        ask(adapter)
    assert ("Traceback" in caught.value.message) is debug


def test_rows_of_a_batch_get_their_own_answers(open_adapter: Open) -> None:
    transport = Canned(response('{"predictions":["A","B"]}', served_model_name="m-7"))
    adapter = open_adapter(
        MlflowAdapter, {"url": "http://h/", "batch_size": 2}, transport=transport
    )
    bodies = [adapter.encode(Request(fields={"prompt": prompt})) for prompt in "ab"]
    answers = adapter.call(bodies, 5.0)
    assert [answer.body for answer in answers] == [{"predictions": ["A"]}, {"predictions": ["B"]}]
    assert [answer.raw for answer in answers] == [None, None]
    assert [answer.model for answer in answers] == ["m-7", "m-7"]
    assert transport.sent[0].url == "http://h/invocations"


def test_closing_closes_the_transport(open_adapter: Open) -> None:
    adapter, transport = chat(open_adapter, response(OK))
    adapter.close()
    assert transport.closed
