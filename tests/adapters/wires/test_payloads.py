"""Every wire against bodies as servers send them: `tests/payloads/<wire>/<case>.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dbrun.adapters.base import Request
from dbrun.adapters.wires.base import Wire
from dbrun.adapters.wires.driver_proxy import PROMPT
from dbrun.adapters.wires.mlflow import Signature
from dbrun.adapters.wires.openai import CHAT, COMPLETIONS, EMBEDDINGS
from dbrun.adapters.wires.responses import RESPONSES
from dbrun.types import Response, Usage

PAYLOADS = Path(__file__).parents[2] / "payloads"
CASES = sorted(PAYLOADS.glob("*/*.json"))
FIXED = {
    "chat": CHAT,
    "completions": COMPLETIONS,
    "embeddings": EMBEDDINGS,
    "responses": RESPONSES,
    "prompt": PROMPT,
}


def wire_of(path: Path, case: dict[str, Any]) -> Wire:
    if path.parent.name != "signature":
        return FIXED[path.parent.name]
    options = dict(case.get("options", {}))
    options["columns"] = tuple(options.get("columns", ()))
    return Signature(**options)


@pytest.fixture(params=CASES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def case(request: pytest.FixtureRequest) -> tuple[Wire, dict[str, Any]]:
    told = json.loads(request.param.read_text(encoding="utf-8"))
    return wire_of(request.param, told), told


def test_a_request_is_encoded_as_recorded(case: tuple[Wire, dict[str, Any]]) -> None:
    wire, told = case
    if "fields" in told:
        asked = Request(fields=told["fields"], params=frozenset(told.get("params", ())))
        assert wire.encode(asked) == told["body"]


def test_an_answer_is_decoded_as_expected(case: tuple[Wire, dict[str, Any]]) -> None:
    wire, told = case
    expected = told["expected"]
    usage = Usage(**expected["usage"]) if "usage" in expected else None
    assert wire.decode(told["answer"]) == Response(
        value=expected["value"],
        finish_reason=expected.get("finish_reason"),
        usage=usage,
        body=told["answer"],
        model=expected.get("model"),
    )


def test_encoding_leaves_the_request_alone(case: tuple[Wire, dict[str, Any]]) -> None:
    wire, told = case
    if "fields" in told:
        fields = json.loads(json.dumps(told["fields"]))
        wire.encode(Request(fields=fields, params=frozenset(told.get("params", ()))))
        assert fields == told["fields"]


def test_there_are_payloads_of_every_wire() -> None:
    assert {path.parent.name for path in CASES} == {*FIXED, "signature"}
