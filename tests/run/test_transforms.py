"""User functions: what they are given, what they may return, and what is said when they fail."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dbrun.errors import TransformError
from dbrun.run.transforms import InputTransforms, OutputTransforms, RowTransforms
from dbrun.spec.model import Reference
from dbrun.spec.references import Resolver


def hooks(*functions: Any, **options: Any) -> list[tuple[Reference, Callable[..., Any]]]:
    return [
        (Reference(path=f"functions:{one.__name__}", folder="", project="", **options), one)
        for one in functions
    ]


def drop(row: Any) -> Any:
    return None


def drop_all(row: Any) -> Any:
    return []


def twice(row: Any) -> Any:
    return [{**row, "n": 1}, {**row, "n": 2}]


def stream(row: Any) -> Any:
    yield {"n": 1}
    yield {"n": 2}


def once(row: Any) -> Any:
    return [row]


def only_first(row: Any) -> Any:
    return row if row.get("n") == 1 else None


def upper(row: Any) -> Any:
    return {**row, "text": row["text"].upper()}


@pytest.mark.parametrize(
    ("functions", "made"),
    [
        ((), {"text": "a"}),
        ((upper,), {"text": "A"}),
        ((drop,), None),
        ((drop_all,), None),
        ((drop, upper), None),
        ((once,), [{"text": "a"}]),
        ((stream,), [{"n": 1}, {"n": 2}]),
        ((twice, upper), [{"text": "A", "n": 1}, {"text": "A", "n": 2}]),
        ((twice, only_first), [{"text": "a", "n": 1}]),
        ((twice, drop), None),
        ((once, twice), [{"text": "a", "n": 1}, {"text": "a", "n": 2}]),
    ],
)
def test_rows_are_changed_dropped_and_multiplied(functions: Any, made: Any) -> None:
    assert RowTransforms(hooks(*functions)).apply({"text": "a"}) == made


def spoil(row: dict[str, Any]) -> dict[str, Any]:
    row["list"].append(1)
    row["new"] = True
    return row


def test_functions_get_copies() -> None:
    row = {"list": [0], "deep": {"er": [1]}}
    assert RowTransforms(hooks(spoil)).apply(row) == {
        "list": [0, 1],
        "new": True,
        "deep": {"er": [1]},
    }
    assert row == {"list": [0], "deep": {"er": [1]}}

    def output(text: str, *, row: Any, raw: Any, request: Any) -> Any:
        for one in (row, raw, request):
            one.clear()
        return text

    raw, request = {"a": [1]}, {"prompt": "p"}
    OutputTransforms(hooks(output)).apply("t", row=row, raw=raw, request=request)
    assert (raw, request) == ({"a": [1]}, {"prompt": "p"})
    assert row["list"] == [0]


def keep(**request: Any) -> Any:
    return request


def add_row(prompt: str, row: Any, **rest: Any) -> Any:
    return {"prompt": f"{prompt} {row['id']}", **rest}


def rename(prompt: str, **rest: Any) -> Any:
    return {"question": prompt, **rest}


def only_stop(stop: Any = None, **rest: Any) -> Any:
    return {"stop": stop}


@pytest.mark.parametrize(
    ("functions", "made"),
    [
        ((), {"prompt": "p", "temperature": 0}),
        ((keep,), {"prompt": "p", "temperature": 0}),
        ((add_row, rename), {"question": "p 7", "temperature": 0}),
        ((only_stop,), {"stop": None}),
    ],
)
def test_requests_are_changed_in_order(functions: Any, made: Any) -> None:
    request = {"prompt": "p", "temperature": 0}
    assert InputTransforms(hooks(*functions)).apply(request, {"id": 7}) == made


def label(text: str, *, labels: list[str]) -> Any:
    return next(one for one in labels if one in text)


def whole(body: Any) -> Any:
    return body["choices"][0]["text"]


def with_all(text: str, *, row: Any, raw: Any, request: Any) -> Any:
    return [text, row["id"], raw["n"], request["prompt"]]


def test_outputs_chain_with_keywords_and_the_raw_body() -> None:
    around: dict[str, Any] = {
        "row": {"id": 1},
        "raw": {"n": 2, "choices": [{"text": "RAW"}]},
        "request": {"prompt": "p"},
    }
    apply = OutputTransforms(hooks(str.strip, with_all)).apply
    assert apply(" t ", **around) == ["t", 1, 2, "p"]
    apply = OutputTransforms(hooks(whole, from_raw=True)).apply
    assert apply("ignored", **around) == "RAW"
    apply = OutputTransforms(hooks(label, kwargs={"labels": ["x", "bug"]})).apply
    assert apply("a bug", **around) == "bug"


class Scalar:
    """What numpy's scalars look like."""

    shape = ()

    def __init__(self, value: Any) -> None:
        self._value = value

    def item(self) -> Any:
        return self._value


class Colour(str, enum.Enum):
    RED = "red"


class Wide(float):
    def __repr__(self) -> str:
        return "wide"


def circle() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("returned", "made"),
    [
        ((1, ("a",)), [1, ["a"]]),
        ({"a": Scalar(3)}, {"a": 3}),
        (Scalar(2.5), 2.5),
        (Colour.RED, "red"),
        (Wide(1.5), 1.5),
        (True, True),
        (None, None),
        ("\ud800", "\ud800"),
        (10**30, 10**30),
        (Mapping and {"x": {}}, {"x": {}}),
    ],
)
def test_returned_values_become_plain(returned: Any, made: Any) -> None:
    found = OutputTransforms(hooks(lambda text: returned)).apply("", row={}, raw=None, request={})
    assert found == made
    assert type(found) is type(made)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (float("nan"), "NaN"),
        ({"a": [float("-inf")]}, "infinity at a[0]"),
        ({"a": {1, 2}}, "a set at a"),
        (b"x", "a bytes"),
        ({1: 2}, "a key that is an int (1)"),
        ({"deep": [{None: 1}]}, "a key that is a NoneType (None) at deep[0]"),
        (circle(), "a value that holds itself, or is nested too deep"),
        (object(), "an object"),
        (Scalar(float("nan")), "NaN"),
        (Scalar(object()), "a Scalar"),
    ],
)
def test_what_json_cannot_hold_is_said(returned: Any, said: str) -> None:
    def give(text: str) -> Any:
        return returned

    with pytest.raises(TransformError) as caught:
        OutputTransforms(hooks(give)).apply("", row={}, raw=None, request={})
    assert caught.value.message == f"functions:give returned what JSON cannot hold: {said}"
    assert "test_transforms.py:" in str(caught.value.where)


@pytest.mark.parametrize(
    ("kind", "returned", "said"),
    [
        ("row", "text", "returned text; it must return a row, a list of rows or None"),
        ("row", 3, "returned a number; it must return a row"),
        ("row", [{}, None], "returned a list whose item 1 is None, not a row"),
        ("row", [["a"]], "returned a list whose item 0 is a list, not a row"),
        ("input", None, "returned None; it must return the request mapping"),
        ("input", ["a"], "returned a list; it must return the request mapping"),
    ],
)
def test_returning_the_wrong_kind_is_said(kind: str, returned: Any, said: str) -> None:
    def give(*args: Any, **rest: Any) -> Any:
        return returned

    rows, requests = RowTransforms(hooks(give)), InputTransforms(hooks(give))
    apply = rows.apply if kind == "row" else functools.partial(requests.apply, row={})
    with pytest.raises(TransformError, match=said):
        apply({"a": 1})


FAILING = """
from helpers import deeper


def parse(text):
    return {}[text]


def exits(text):
    raise SystemExit(3)


def interrupted(text):
    raise KeyboardInterrupt


def long(text):
    raise ValueError("x" * 10_000 + "\\nsecond line")


def outside(text):
    import json
    return json.loads(text)


def through_helper(text):
    return deeper(text)


def addressed(text):
    raise ValueError(f"no {object()}")


class Parser:
    def __call__(self, text):
        raise RuntimeError


parser = Parser()
"""


@pytest.fixture
def failing(tmp_path: Path) -> Callable[[str], Any]:
    folder = tmp_path / "pipelines"
    folder.mkdir()
    (folder / "functions.py").write_text(FAILING)
    (folder / "helpers.py").write_text("def deeper(text):\n    raise LookupError('deep')\n")

    def call(name: str) -> Any:
        reference = Reference(path=f"functions:{name}", folder=str(folder), project=str(tmp_path))
        functions = [(reference, Resolver().resolve(reference))]
        return OutputTransforms(functions).apply("label", row={}, raw=None, request={})

    return call


@pytest.mark.parametrize(
    ("name", "said", "where"),
    [
        ("parse", "functions:parse raised KeyError: 'label'", "pipelines/functions.py:6"),
        ("exits", "functions:exits raised SystemExit: 3", "pipelines/functions.py:10"),
        (
            "outside",
            "functions:outside raised JSONDecodeError: Expecting",
            "pipelines/functions.py:23",
        ),
        (
            "through_helper",
            "functions:through_helper raised LookupError: deep",
            "pipelines/helpers.py:2",
        ),
        ("parser", "functions:parser raised RuntimeError", "pipelines/functions.py:36"),
        ("addressed", "raised ValueError: no <object object>", "pipelines/functions.py:31"),
    ],
)
def test_what_raises_names_function_file_and_line(
    failing: Callable[[str], Any], name: str, said: str, where: str
) -> None:
    with pytest.raises(TransformError) as caught:
        failing(name)
    assert said in caught.value.message
    assert caught.value.where == where
    assert caught.value.__cause__ is not None


def test_messages_are_one_short_line(failing: Callable[[str], Any]) -> None:
    with pytest.raises(TransformError) as caught:
        failing("long")
    assert len(caught.value.message) < 600
    assert "\n" not in caught.value.message


def test_an_interrupt_passes(failing: Callable[[str], Any]) -> None:
    with pytest.raises(KeyboardInterrupt):
        failing("interrupted")


def test_a_keyword_given_twice_is_the_functions_failure() -> None:
    with pytest.raises(TransformError, match="multiple values for keyword argument 'prompt'"):
        InputTransforms(hooks(keep, kwargs={"prompt": "x"})).apply({"prompt": "p"}, {})


@pytest.mark.parametrize("ending", [GeneratorExit, SystemExit])
def test_what_ends_a_program_costs_the_row(ending: type[BaseException]) -> None:
    def leaves(text: str) -> Any:
        raise ending

    with pytest.raises(TransformError, match=f"functions:leaves raised {ending.__name__}"):
        OutputTransforms(hooks(leaves)).apply("x", row={}, raw=None, request={})


@pytest.mark.parametrize("stop", [5, [5], {"a": 1}, ["x", None]])
def test_a_stop_that_is_none_is_said(stop: Any) -> None:
    def stopping(**request: Any) -> Any:
        return {**request, "stop": stop}

    with pytest.raises(TransformError, match="functions:stopping returned a stop that is no text"):
        InputTransforms(hooks(stopping)).apply({"prompt": "p"}, {})
