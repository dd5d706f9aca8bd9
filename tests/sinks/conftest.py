"""Records, and sinks that write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from dbrun.registry import Registry
from dbrun.spec.model import SinkSpec
from dbrun.types import Failure, Record, StepResult, Usage

LENIENT = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])

TEXTS = st.text(st.characters(exclude_characters="\0"))  # csv of Python 3.10 cannot read these

KINDS = ["jsonl", "csv", "parquet"]


def record(number: int = 0, **changes: Any) -> Record:
    known: dict[str, Any] = {
        "id": f"T-{number}",
        "index": number,
        "status": "ok",
        "row": {"text": "a", "n": number},
        "output": "one",
        "last": StepResult(
            output="one", finish_reason="stop", usage=Usage(input_tokens=3), key="k"
        ),
    }
    return Record(**{**known, **changes})


FAILED = record(
    1,
    status="error",
    output=None,
    failure=Failure(kind="timeout", message="late", retryable=True),
    last=None,
)


def create(kind: str, path: Path | str, **options: Any) -> Any:
    spec = SinkSpec(path=str(path), kind=kind, **options)
    return Registry(entry_points=False).get("sinks", kind).create(spec)


def write(kind: str, path: Path | str, records: list[Record], **options: Any) -> Any:
    sink = create(kind, path, **options)
    sink.open()
    try:
        for one in records:
            sink.write(one)
        sink.commit()
    finally:
        sink.close()
    return sink
