"""The `python` adapter: what a function is called with, and what becomes of what it does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dbrun.adapters.base import Request
from dbrun.adapters.python import PythonAdapter
from dbrun.context import Context
from dbrun.errors import RateLimited, Rejected, SpecError
from dbrun.spec.model import Reference
from dbrun.spec.references import Resolver

Open = Callable[..., Any]
SCOPE = {"row": {"id": 7}, "vars": {}, "steps": {}}


def adapter(function: Callable[..., Any], **more: Any) -> PythonAdapter:
    return PythonAdapter(function, name="m:f", identity={}, **more)


def ask(function: Callable[..., Any], more: dict[str, Any] | None = None, **fields: Any) -> Any:
    made = adapter(function, **(more or {}))
    body = made.encode(Request(fields=fields, params=frozenset({"t"}), scope=SCOPE))
    (answer,) = made.call([body], 5.0)
    return made.decode(answer.body).value


def everything(**request: Any) -> Any:
    return request


def named(prompt: str, stop: list[str] | None = None) -> Any:
    return {"prompt": prompt, "stop": stop}


def with_row(prompt: str, row: dict[str, Any], params: dict[str, Any]) -> Any:
    return {"prompt": prompt, "row": row, "params": params}


@pytest.mark.parametrize(
    ("function", "fields", "value"),
    [
        (
            everything,
            {"prompt": "p", "stop": ["X"], "t": 1},
            {"prompt": "p", "stop": ["X"], "t": 1},
        ),
        (everything, {"messages": []}, {"messages": []}),
        (named, {"prompt": "p", "stop": ["X"], "t": 1}, {"prompt": "p", "stop": ["X"]}),
        (named, {"prompt": "p", "stop": []}, {"prompt": "p", "stop": None}),
        (with_row, {"prompt": "p", "t": 1}, {"prompt": "p", "row": {"id": 7}, "params": {"t": 1}}),
        (lambda prompt: None, {"prompt": "p"}, None),
        (lambda prompt: [1, {"a": 2.5}], {"prompt": "p"}, [1, {"a": 2.5}]),
    ],
)
def test_a_function_gets_the_keywords_that_it_takes(
    function: Callable[..., Any], fields: dict[str, Any], value: Any
) -> None:
    assert ask(function, **fields) == value


def test_kwargs_of_the_spec_are_added_and_win() -> None:
    assert ask(everything, {"kwargs": {"t": 9}}, prompt="p", t=1) == {"prompt": "p", "t": 9}


def test_send_stop_false_holds_here_too() -> None:
    assert ask(named, {"send_stop": False}, prompt="p", stop=["X"])["stop"] is None


def test_what_a_function_lacks_is_named() -> None:
    with pytest.raises(Rejected, match="m:f wants prompt, which the request has not"):
        ask(named, messages=[])


def test_what_a_function_raises_fails_the_row_and_is_not_tried_again() -> None:
    def broken(prompt: str) -> str:
        raise KeyError("label")

    with pytest.raises(Rejected, match=r"m:f raised KeyError: 'label' at .*test_python\.py:\d+"):
        ask(broken, prompt="p")


def test_a_function_may_say_what_kind_of_failure_it_is() -> None:
    def busy(prompt: str) -> str:
        raise RateLimited("later", 429, 3.0)

    with pytest.raises(RateLimited, match="later"):
        ask(busy, prompt="p")


@pytest.mark.parametrize("value", [{1: 2}, object(), float("nan"), {"a": {1, 2}}])
def test_what_json_cannot_hold_is_no_answer(value: Any) -> None:
    with pytest.raises(Rejected, match="m:f returned what JSON cannot hold"):
        ask(lambda prompt: value, prompt="p")


@pytest.fixture
def module(tmp_path: Path) -> Path:
    file = tmp_path / "fake_models.py"
    file.write_text("def answer(prompt, k=1):\n    return prompt * k\n")
    return file


def opened(open_adapter: Open, folder: Path, function: Any, **options: Any) -> Any:
    context = Context(folder=str(folder), project=str(folder), resolve=Resolver().resolve)
    return open_adapter(PythonAdapter, {"function": function, **options}, context=context)


def test_the_function_is_found_beside_the_spec(open_adapter: Open, module: Path) -> None:
    made = opened(open_adapter, module.parent, "fake_models:answer", kwargs={"k": 2})
    body = made.encode(Request(fields={"prompt": "ab"}))
    assert made.call([body], 1.0)[0].body == "abab"
    assert made.describe()["function"] == "fake_models:answer"


def test_the_identity_changes_with_the_source(open_adapter: Open, module: Path) -> None:
    def identity(**options: Any) -> Any:
        return opened(open_adapter, module.parent, "fake_models:answer", **options).identity

    before = identity()
    assert before == identity()
    assert before["function"] == "fake_models:answer"
    assert identity(kwargs={"k": 3}) != before
    module.write_text(module.read_text() + "# edited\n")
    assert identity() != before


def test_a_reference_is_taken_as_it_is(open_adapter: Open, module: Path) -> None:
    folder = str(module.parent)
    reference = Reference(path="fake_models:answer", folder=folder, project=folder, kwargs={"k": 3})
    made = opened(open_adapter, module.parent, reference)
    assert made.call([{"prompt": "a"}], 1.0)[0].body == "aaa"


def test_a_function_that_is_not_there_is_told(open_adapter: Open, module: Path) -> None:
    with pytest.raises(SpecError) as caught:
        opened(open_adapter, module.parent, "fake_models:anwser")
    assert caught.value.problems[0].path == "endpoint.function"


@pytest.mark.parametrize("ending", [SystemExit, GeneratorExit])
def test_a_function_that_leaves_fails_the_row_only(ending: type[BaseException]) -> None:
    def leaves(prompt: str) -> str:
        raise ending

    with pytest.raises(Rejected, match=f"m:f raised {ending.__name__}"):
        ask(leaves, prompt="p")


def test_answers_without_end_fail_the_row() -> None:
    def endless(prompt: str) -> Any:
        found: list[Any] = []
        found.append(found)
        return found

    with pytest.raises(Rejected, match="returned what JSON cannot hold: it holds itself"):
        ask(endless, prompt="p")
    with pytest.raises(Rejected, match="it is a number of thousands of digits"):
        ask(lambda prompt: 10**5000, prompt="p")


def test_a_stop_of_another_kind_is_refused() -> None:
    with pytest.raises(Rejected, match="the request's stop is no text and no list of texts"):
        ask(named, prompt="p", stop=5)
