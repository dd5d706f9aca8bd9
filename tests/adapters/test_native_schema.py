"""`response_schema.mode: native`: each wire's own form for a schema of the answer."""

from __future__ import annotations

from typing import Any

import pytest

from dbrun.adapters.wires.base import Wire
from dbrun.adapters.wires.driver_proxy import PROMPT
from dbrun.adapters.wires.mlflow import Signature
from dbrun.adapters.wires.openai import CHAT, COMPLETIONS, EMBEDDINGS
from dbrun.adapters.wires.responses import RESPONSES

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
FORM = {"name": "judge", "schema": SCHEMA, "strict": True}


@pytest.mark.parametrize(
    ("wire", "params"),
    [
        (CHAT, {"response_format": {"type": "json_schema", "json_schema": FORM}}),
        (RESPONSES, {"text": {"format": {"type": "json_schema", **FORM}}}),
        (COMPLETIONS, {}),
        (EMBEDDINGS, {}),
        (PROMPT, {}),
        (Signature(), {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_form_is_the_wires_own_or_none(wire: Wire, params: Any) -> None:
    assert wire.native_schema(SCHEMA, "judge") == params
