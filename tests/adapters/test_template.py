"""The `http` adapter: bodies of templates, answers read by a JMESPath."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from adapters.conftest import Canned, response

from dbrun.adapters.base import Request
from dbrun.adapters.template import TemplateAdapter
from dbrun.context import Context
from dbrun.errors import Malformed, PluginError, Rejected, RenderError, SpecError
from dbrun.spec.prompts import Text
from dbrun.spec.templates import Templates
from dbrun.types import Usage

Open = Callable[..., Any]
SCOPE = {"row": {"name": "Ann", "n": 3}, "name": "Ann", "n": 3, "vars": {"v": True}, "steps": {}}


@pytest.fixture
def made(open_adapter: Open) -> Callable[..., Any]:
    templates = Templates(project=".", folder=".")

    def make(body: Any, *replies: Any, **options: Any) -> Any:
        given = {"url": "https://h/x", "body": body, **options}
        context = Context(environ={}, template=templates.compile)
        transport = Canned(*replies or (response("{}"),))
        return open_adapter(TemplateAdapter, given, context=context, transport=transport)

    return make


def encode(adapter: Any, **fields: Any) -> Any:
    return adapter.encode(Request(fields=fields, scope=SCOPE))


@pytest.mark.parametrize(
    ("leaf", "value"),
    [
        ("{{ prompt }}", "hi"),
        ("say {{ prompt }}", "say hi"),
        ("{{ n }}", 3),
        ("{{n}}", 3),
        ("n={{ n }}", "n=3"),
        ("{{ row }}", {"name": "Ann", "n": 3}),
        ("{{ vars.v }}", True),
        ("{{ stop }}", ["X"]),
        ("{{ params.top_k }}", 4),
        ("{{ params }}", {"top_k": 4}),
        ("{{ messages }}", [{"role": "user", "content": "hi"}]),
        ("{{ name }}{{ n }}", "Ann3"),
        ("{% if n > 2 %}many{% else %}few{% endif %}", "many"),
        ("no template", "no template"),
        (7, 7),
        (None, None),
        (True, True),
        (["{{ n }}", "x"], [3, "x"]),
        ({"a": {"b": "{{ n }}"}}, {"a": {"b": 3}}),
        (Text(source="{{ n + 1 }}", name="t"), 4),
    ],
)
def test_a_leaf_of_one_expression_keeps_its_type(made: Open, leaf: Any, value: Any) -> None:
    assert encode(made({"x": leaf}), prompt="hi", stop="X", top_k=4) == {"x": value}


def test_stop_is_a_list_even_when_there_is_none(made: Open) -> None:
    assert encode(made({"s": "{{ stop }}"}), prompt="hi") == {"s": []}


def test_messages_are_seen_as_they_are(made: Open) -> None:
    messages = [{"role": "system", "content": "s"}]
    assert encode(made(["{{ messages[0].content }}"]), messages=messages) == ["s"]


def test_a_body_may_be_one_template_of_json(made: Open) -> None:
    adapter = made('{"text": {{ prompt | tojson }}, "n": {{ n }}}')
    assert encode(adapter, prompt='say "hi"\n') == {"text": 'say "hi"\n', "n": 3}


def test_a_template_of_no_json_is_told(made: Open) -> None:
    with pytest.raises(Rejected, match=r"endpoint.body rendered to no JSON: .*filter tojson"):
        encode(made('{"text": "{{ prompt }}"}'), prompt='say "hi"')


def test_a_template_that_fails_costs_its_row(made: Open) -> None:
    with pytest.raises(RenderError, match="nope"):
        encode(made({"x": "{{ nope }}"}), prompt="hi")


def test_a_template_that_is_none_is_told_at_once(made: Open) -> None:
    with pytest.raises(SpecError):
        made({"x": "{{ prompt"})


@pytest.mark.parametrize(
    ("path", "body", "value"),
    [
        ("result.text", {"result": {"text": "hi"}}, "hi"),
        ("items[0]", {"items": [{"a": 1}]}, {"a": 1}),
        ("@", [1, 2], [1, 2]),
        ("ok", {"ok": False}, False),
        (None, {"anything": 1}, {"anything": 1}),
        (None, None, None),
    ],
)
def test_the_output_is_what_the_path_finds(
    made: Open, path: str | None, body: Any, value: Any
) -> None:
    adapter = made({}, **({"text": path} if path else {}))
    assert adapter.decode(body).value == value


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("a.b", {"x": 1, "y": 2}, "finds nothing at a.b in an object with x, y"),
        ("a.b", [], "finds nothing at a.b in a list of 0"),
        ("a.b", "x", "finds nothing at a.b in a string"),
        ("length(a)", {"a": 7}, "cannot read an object with a"),
    ],
)
def test_an_answer_without_it_is_malformed(made: Open, path: str, body: Any, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        made({}, text=path).decode(body)


def test_a_path_that_is_none_names_its_option(made: Open) -> None:
    with pytest.raises(SpecError) as caught:
        made({}, text="a[")
    (problem,) = caught.value.problems
    assert problem.path == "endpoint.text"
    assert "is no JMESPath" in problem.message


def test_jmespath_that_is_not_installed_is_told(
    made: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jmespath", None)
    with pytest.raises(PluginError, match=r"pip install 'dbrun\[http\]'"):
        made({}, text="a")
    assert made({}).decode(1).value == 1


def test_usage_that_is_there_is_counted(made: Open) -> None:
    told = made({}, text="t").decode({"t": "x", "usage": {"prompt_tokens": 3}})
    assert told.usage == Usage(input_tokens=3)


def test_an_error_of_the_application_is_its_answer(made: Open) -> None:
    adapter = made({"p": "{{ prompt }}"}, response('{"error":"no","text":null}'), method="PUT")
    (answer,) = adapter.call([encode(adapter, prompt="hi")], 5.0)
    assert adapter.decode(answer.body).value == {"error": "no", "text": None}
    sent = adapter.transport.sent[0]
    assert (sent.method, sent.url, json.loads(sent.body)) == ("PUT", "https://h/x", {"p": "hi"})


def test_method_and_url_are_the_identity(made: Open) -> None:
    adapter = made({})
    assert adapter.identity == {"method": "POST", "url": "https://h/x"}
    assert adapter.prompt_kind == "any"
