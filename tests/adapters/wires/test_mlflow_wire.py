"""The MLflow scoring protocol: columns, envelopes, batches, predictions of every shape."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbrun.adapters.base import Request
from dbrun.adapters.wires.mlflow import FORMATS, Signature
from dbrun.errors import Malformed, Rejected


def encode(wire: Signature, params: tuple[str, ...] = (), **fields: Any) -> Any:
    return wire.encode(Request(fields=fields, params=frozenset(params)))


def test_the_order_of_columns_does_not_depend_on_the_order_of_params() -> None:
    wire = Signature()
    one = encode(wire, temperature=1, prompt="a", stop=["x"], alpha=2)
    other = encode(wire, alpha=2, stop=["x"], prompt="a", temperature=1)
    assert one == other
    assert one["dataframe_split"]["columns"] == ["prompt", "stop", "alpha", "temperature"]


def test_columns_of_the_spec_take_the_place_of_prompt_and_messages() -> None:
    wire = Signature(columns=("question", "messages"), format="inputs")
    body = encode(wire, prompt="p", messages="m", question="q", max_tokens=5)
    assert body == {"inputs": [{"question": "q", "messages": "m", "max_tokens": 5}]}


def test_params_that_are_columns_of_the_spec_stay_columns() -> None:
    wire = Signature(columns=("k",), params_as="params", format="inputs")
    body = encode(wire, ("k", "t"), prompt="p", k="3", t=0.5)
    assert body == {"inputs": [{"k": "3"}], "params": {"t": 0.5}}


def test_a_request_without_columns_is_refused() -> None:
    with pytest.raises(Rejected, match="no column"):
        encode(Signature(columns=("q",)), prompt="p")


@pytest.mark.parametrize("form", FORMATS)
def test_rows_of_a_call_have_one_set_of_columns(form: str) -> None:
    wire = Signature(format=form)
    with_stop = encode(wire, prompt="a", stop=["x"])
    assert wire.group(with_stop) == wire.group(encode(wire, prompt="b", stop=["x"]))
    assert wire.group(with_stop) != wire.group(encode(wire, prompt="b", stop=["y"]))
    assert wire.group(with_stop) != wire.group(encode(wire, prompt="b"))


@pytest.mark.parametrize("params_as", ["columns", "params"])
def test_rows_of_other_params_travel_apart(params_as: str) -> None:
    wire = Signature(params_as=params_as)
    warm = encode(wire, ("t",), prompt="a", t=1)
    assert wire.group(warm) != wire.group(encode(wire, ("t",), prompt="a", t=0))
    assert wire.group(warm) == wire.group(encode(wire, ("t",), prompt="b", t=1))


def test_columns_that_are_the_row_s_own_may_differ() -> None:
    wire = Signature(columns=("question",))
    assert wire.group(encode(wire, question="a")) == wire.group(encode(wire, question="b"))
    plain = Signature()
    one, other = (encode(plain, prompt="p", context=text) for text in "ab")
    assert plain.group(one) == plain.group(other)


@given(
    prompts=st.lists(st.text(), min_size=2, max_size=6),
    form=st.sampled_from(FORMATS),
    params_as=st.sampled_from(["columns", "params"]),
)
def test_joined_rows_come_apart_as_if_asked_alone(
    prompts: list[str], form: str, params_as: str
) -> None:
    wire = Signature(format=form, params_as=params_as)
    bodies = [encode(wire, ("t",), prompt=prompt, t=1, stop=["x"]) for prompt in prompts]
    joined = wire.join(bodies)
    rows = joined[form]["data"] if form == "dataframe_split" else joined[form]
    assert len(rows) == len(prompts)
    assert joined.get("params") == bodies[0].get("params")
    told = {"predictions": [prompt.upper() for prompt in prompts], "databricks_output": {}}
    parts = wire.split(told, len(prompts))
    assert [wire.decode(part).value for part in parts] == told["predictions"]
    assert all(part["databricks_output"] == {} for part in parts)


def test_the_body_of_a_row_alone_is_not_that_of_a_joined_call() -> None:
    wire = Signature()
    bodies = [encode(wire, prompt="a"), encode(wire, prompt="b")]
    wire.join(bodies)
    assert bodies[0] == {"dataframe_split": {"columns": ["prompt"], "data": [["a"]]}}


def test_a_bare_list_comes_apart_too() -> None:
    assert Signature().split(["a", "b"], 2) == [["a"], ["b"]]


@pytest.mark.parametrize(
    "body", [{"predictions": ["a"]}, {"predictions": ["a", "b", "c"]}, ["a"], {"predictions": "a"}]
)
def test_another_number_of_predictions_is_malformed(body: Any) -> None:
    with pytest.raises(Malformed, match="2 rows were sent and"):
        Signature().split(body, 2)


@pytest.mark.parametrize("body", [{}, {"prediction": [1]}, None, 7])
def test_no_predictions_are_malformed(body: Any) -> None:
    with pytest.raises(Malformed, match="no predictions"):
        Signature().decode(body)


@pytest.mark.parametrize("body", [{"predictions": []}, {"predictions": [1, 2]}, []])
def test_one_row_has_one_prediction(body: Any) -> None:
    with pytest.raises(Malformed, match="1 row was sent and"):
        Signature().decode(body)
