"""Records as results hold them, from hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from dbrun import errors
from dbrun.spec.response import output_check
from dbrun.spec.schema import read_schema
from dbrun.types import USAGE_FIELDS


def kinds(cls: type[errors.RowError]) -> Iterator[type[errors.RowError]]:
    """*cls* and all that are of it."""
    yield cls
    for below in cls.__subclasses__():
        yield from kinds(below)


SOME = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Enough of records as varied as these; a busy machine takes its time to think of them."""

TEXT = st.text(max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(-1e9, 1e9) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
COUNT = st.integers(0, 2**40 - 1)  # more is taken for no count
USAGE = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(USAGE_FIELDS, COUNT),
)
CLASSES = [cls.kind for cls in kinds(errors.RowError)]
ERROR = st.fixed_dictionaries(
    {"class": st.sampled_from(CLASSES), "message": TEXT, "retryable": st.booleans()},
    optional={"status": st.integers(400, 599), "where": TEXT},
)
SCORES = st.dictionaries(
    TEXT,
    st.fixed_dictionaries(
        {"value": st.none() | st.booleans() | st.floats(-1e9, 1e9)},
        optional={"explanation": TEXT},
    ),
    max_size=3,
)
COMMON: dict[str, Any] = {"id": st.text(min_size=1, max_size=12)}
BESIDE: dict[str, Any] = {
    "variant": TEXT,
    "repeat": st.integers(1, 9),
    "usage": USAGE,
    "cost": st.floats(0, 1e6),
    "row": st.dictionaries(TEXT, JSON, max_size=2),
    "key": st.binary(min_size=32, max_size=32).map(bytes.hex),
}
REASONS = ("stop", "length", "content_filter", "tool_calls", "unknown")
OK = st.fixed_dictionaries(
    {**COMMON, "status": st.just("ok"), "output": JSON},
    optional={**BESIDE, "finish_reason": st.sampled_from(REASONS), "scores": SCORES},
)
FAILED = st.fixed_dictionaries(
    {**COMMON, "status": st.just("error"), "output": st.none(), "error": ERROR}, optional=BESIDE
)
FILTERED = st.fixed_dictionaries(
    {**COMMON, "status": st.just("filtered"), "output": st.none()}, optional={"row": BESIDE["row"]}
)
RECORDS = OK | FAILED | FILTERED


@pytest.fixture(scope="session")
def check() -> Callable[[Any], str | None]:
    """What is wrong with a record, by its schema."""
    return output_check(read_schema("record"))
