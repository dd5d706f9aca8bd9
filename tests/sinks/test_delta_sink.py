"""Delta tables as sinks: what is merged, replaced and appended, once, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from deltalake import DeltaTable, write_deltalake

from dbrun.context import Context
from dbrun.errors import SinkError
from dbrun.sinks.base import SinkAround
from dbrun.sinks.delta import DeltaSink
from dbrun.spec.model import SinkSpec, TableSpec
from dbrun.spec.prompts import Text
from dbrun.spec.templates import Templates
from dbrun.types import Failure, Mark, Record, StepResult

FIELDS = ("id", "status", "output", "cost", "row")


def text(source: str) -> Text:
    return Text(source=source, name="sink.columns", where=Mark(file="x.yaml", line=3))


def record(name: str, output: Any = "one", **changes: Any) -> Record:
    known: dict[str, Any] = {
        "id": name,
        "index": 0,
        "status": "ok",
        "row": {"n": 1, "day": "2026-11-22"},
        "output": output,
        "last": StepResult(output="one", key="k"),
    }
    return Record(**{**known, **changes})


def failed(name: str) -> Record:
    failure = Failure(kind="timeout", message="late", retryable=True)
    return record(name, None, status="error", failure=failure)


Publish = Callable[..., DeltaSink]


@pytest.fixture
def publish(tmp_path: Path) -> Publish:
    def run(*records: Record, run: str = "r1", earlier: Any = None, **table: Any) -> DeltaSink:
        known = {"key": ("id",), "fields": FIELDS, **table}
        if known.get("mode", "merge") != "merge":
            known["key"] = ()
        spec = SinkSpec(
            path=str(tmp_path / "journal/x.jsonl"),
            table=TableSpec(kind="delta", name=str(tmp_path / "t"), **known),
        )
        templates = Templates(project=str(tmp_path), folder=str(tmp_path))
        context = Context(project=str(tmp_path), expression=templates.expression)
        around = SinkAround(context=context, variables={"day": "monday"}, run=run, earlier=earlier)
        sink = DeltaSink.create_within(spec, around)
        sink.open()
        try:
            for one in records:
                sink.write(one)
            sink.commit()
        finally:
            sink.close()
        return sink

    return run


def rows(folder: Path) -> list[dict[str, Any]]:
    found = DeltaTable(str(folder / "t")).to_pyarrow_table().to_pylist()
    return sorted(found, key=lambda row: (row.get("id") or "", row.get("output") or ""))


def outputs(folder: Path) -> Mapping[str, Any]:
    return {row["id"]: row["output"] for row in rows(folder)}


def make_table(folder: Path, **columns: Any) -> None:
    write_deltalake(str(folder / "t"), pyarrow.table(columns), mode="append")


def test_a_table_that_is_not_there_is_made(tmp_path: Path, publish: Publish) -> None:
    sink = publish(record("a", "one"), record("b", {"x": [1]}), failed("c"))
    assert rows(tmp_path) == [
        {"id": "a", "status": "ok", "output": "one", "cost": None, "row": _ROW},
        {"id": "b", "status": "ok", "output": '{"x": [1]}', "cost": None, "row": _ROW},
        {"id": "c", "status": "error", "output": None, "cost": None, "row": _ROW},
    ]
    assert DeltaTable(str(tmp_path / "t")).version() == 0
    assert sink.published["rows"] == 3
    assert sink.published["version"] == 0
    lines = (tmp_path / "journal/x.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["a", "b", "c"]
    assert [path.name for path in (tmp_path / "journal").iterdir()] == ["x.jsonl"]


_ROW = '{"n": 1, "day": "2026-11-22"}'


@pytest.mark.parametrize(
    ("values", "kind", "stored"),
    [
        ([1, 2], "long", [1, 2]),
        ([1, 2.5], "double", [1.0, 2.5]),
        ([True, False], "string", ["true", "false"]),
        (["a", 1], "string", ["a", "1"]),
        ([None, None], "string", [None, None]),
    ],
)
def test_the_kind_of_outputs(
    tmp_path: Path, publish: Publish, values: list[Any], kind: str, stored: list[Any]
) -> None:
    publish(*(record(str(number), value) for number, value in enumerate(values)))
    (output,) = (
        field for field in DeltaTable(str(tmp_path / "t")).schema().fields if field.name == "output"
    )
    assert output.type.type == kind
    assert [row["output"] for row in rows(tmp_path)] == stored


def test_merge_replaces_by_key_but_never_ok_by_not_ok(tmp_path: Path, publish: Publish) -> None:
    publish(record("a", "old"), failed("b"), record("c", "old"), record("d", "old"))
    publish(record("a", "new"), record("b", "new"), failed("c"), record("e", "new"), run="r2")
    assert outputs(tmp_path) == {"a": "new", "b": "new", "c": "old", "d": "old", "e": "new"}
    assert {row["id"]: row["status"] for row in rows(tmp_path)}["c"] == "ok"
    assert DeltaTable(str(tmp_path / "t")).version() == 1


def test_a_failure_replaces_a_failure(tmp_path: Path, publish: Publish) -> None:
    fields = (*FIELDS, "error")
    publish(failed("a"), fields=fields)
    other = Failure(kind="rejected", message="no", retryable=False)
    publish(record("a", None, status="error", failure=other), fields=fields, run="r2")
    assert json.loads(rows(tmp_path)[0]["error"])["class"] == "rejected"


def test_without_a_status_a_failure_replaces_nothing(tmp_path: Path, publish: Publish) -> None:
    columns = {"id": text("id"), "said": text("output")}
    publish(record("a", "old"), failed("b"), columns=columns)
    publish(failed("a"), record("b", "new"), failed("c"), columns=columns, run="r2")
    assert rows(tmp_path) == [
        {"id": "a", "said": "old"},
        {"id": "b", "said": "new"},
        {"id": "c", "said": None},
    ]


def test_overwrite_replaces_what_where_says(tmp_path: Path, publish: Publish) -> None:
    columns = {"id": text("id"), "day": text("vars.day")}
    make_table(tmp_path, id=["old", "other"], day=["monday", "sunday"])
    publish(record("a"), mode="overwrite", where="day = 'monday'", columns=columns)
    assert rows(tmp_path) == [{"id": "a", "day": "monday"}, {"id": "other", "day": "sunday"}]
    publish(record("b"), mode="overwrite", where="all", columns=columns, run="r2")
    assert rows(tmp_path) == [{"id": "b", "day": "monday"}]


def test_overwrite_refuses_rows_outside_of_where(tmp_path: Path, publish: Publish) -> None:
    columns = {"id": text("id"), "day": text("vars.day")}
    make_table(tmp_path, id=["old"], day=["sunday"])
    with pytest.raises(SinkError, match="the table cannot be written"):
        publish(record("a"), mode="overwrite", where="day = 'sunday'", columns=columns)
    assert rows(tmp_path) == [{"id": "old", "day": "sunday"}]
    assert not (tmp_path / "journal/x.jsonl").exists()


def test_append_happens_once_a_run(tmp_path: Path, publish: Publish) -> None:
    first = publish(record("a"), mode="append")
    again = publish(record("a"), record("late"), mode="append")  # the run was continued
    assert list(outputs(tmp_path)) == ["a"]
    assert again.published["appended_by"] == first.published["appended_by"] == "r1"
    publish(record("a"), mode="append", run="r2")
    assert len(rows(tmp_path)) == 2


def test_a_finished_append_of_the_same_rows_is_not_repeated(
    tmp_path: Path, publish: Publish
) -> None:
    first = publish(record("a"), mode="append")
    earlier = {"table": first.published}
    second = publish(record("a"), mode="append", run="r2", earlier=earlier)
    assert len(rows(tmp_path)) == 1
    assert second.published["appended_by"] == "r1"
    publish(record("b"), mode="append", run="r3", earlier={"table": second.published})
    assert len(rows(tmp_path)) == 2


def test_columns_are_expressions_over_the_record(tmp_path: Path, publish: Publish) -> None:
    columns = {
        "summary": text("output.summary"),
        "day": text("{{ row.day }}"),
        "who": text("vars.day"),
        "good": text("status == 'ok'"),
        "tokens": text("usage.total_tokens if usage else none"),
        "id": Text(source="id", name="sink.columns.id"),
    }
    publish(record("a", {"summary": "short"}), failed("b"), columns=columns)
    told = {"who": "monday", "tokens": None, "day": "2026-11-22"}
    assert rows(tmp_path) == [
        {"id": "a", "summary": "short", "good": True, **told},
        {"id": "b", "summary": None, "good": False, **told},
    ]


def test_a_column_that_fails_on_an_ok_record_is_said(publish: Publish) -> None:
    with pytest.raises(SinkError, match=r"sink\.columns\.summary fails on row 'a': "):
        publish(
            record("a", {"other": 1}), columns={"id": text("id"), "summary": text("output.x.y")}
        )


def test_values_become_the_types_of_the_table(tmp_path: Path, publish: Publish) -> None:
    schema = pyarrow.schema(
        [
            ("id", pyarrow.string()),
            ("day", pyarrow.date32()),
            ("at", pyarrow.timestamp("us", "UTC")),
            ("price", pyarrow.decimal128(10, 2)),
            ("labels", pyarrow.list_(pyarrow.string())),
            ("n", pyarrow.int32()),
            ("extra", pyarrow.string()),
        ]
    )
    write_deltalake(str(tmp_path / "t"), schema.empty_table(), mode="append")
    names = ("day", "at", "price", "labels", "n")
    columns = {"id": text("id"), **{name: text(f"output.{name}") for name in names}}
    good = {
        "day": "2026-11-22",
        "at": "2026-11-22T08:00:00Z",
        "price": 1.25,
        "labels": ["x"],
        "n": 3,
    }
    for mode in ("merge", "append"):
        publish(record("a", good), columns=columns, mode=mode)
    (one, other) = rows(tmp_path)
    assert one == other
    assert str(one["day"]) == "2026-11-22"
    assert str(one["price"]) == "1.25"
    assert one["labels"] == ["x"]
    assert one["extra"] is None

    for name, bad in (("day", "soon"), ("n", "3x"), ("labels", 4), ("n", True)):
        with pytest.raises(SinkError, match=f"row 'b' has .* for column '{name}', which is"):
            publish(record("a", good), record("b", {**good, name: bad}), columns=columns)


def test_errors_go_elsewhere(tmp_path: Path, publish: Publish) -> None:
    errors = tmp_path / "errors.jsonl"
    publish(record("a"), failed("b"), errors=str(errors))
    assert list(outputs(tmp_path)) == ["a"]
    assert [json.loads(line)["id"] for line in errors.read_text().splitlines()] == ["b"]
    publish(record("a"), record("b"), errors=str(errors), run="r2")
    assert errors.read_text() == ""


def test_equal_rows_are_one(tmp_path: Path, publish: Publish) -> None:
    publish(record("a"), record("b"), record("a"), failed("b"))
    assert outputs(tmp_path) == {"a": "one", "b": "one"}


def test_different_rows_of_one_key_are_refused(tmp_path: Path, publish: Publish) -> None:
    with pytest.raises(SinkError, match=r"records that differ have the same key \(id 'a'\)"):
        publish(record("a", "one"), record("a", "two"))
    assert not (tmp_path / "t").exists()


def test_a_key_without_value_is_refused(publish: Publish) -> None:
    columns = {"id": text("id"), "n": text("row.n if id == 'a' else none")}
    with pytest.raises(SinkError, match=r"sink\.key: row 'b' has no 'n'"):
        publish(record("a"), record("b"), columns=columns, key=("n",))


def test_a_table_without_the_columns_is_refused_before_anything_is_asked(
    tmp_path: Path, publish: Publish
) -> None:
    make_table(tmp_path, id=["x"], status=["ok"])
    with pytest.raises(SinkError, match="the table has no column 'output', 'cost', 'row'; add"):
        publish()


def test_another_folder_is_left_alone(tmp_path: Path, publish: Publish) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t/notes.txt").touch()
    with pytest.raises(SinkError, match="t: there is something that is no Delta table"):
        publish()


def test_no_rows_make_an_empty_table(tmp_path: Path, publish: Publish) -> None:
    assert publish().published["rows"] == 0
    assert rows(tmp_path) == []


def test_many_rows_are_written_in_batches(tmp_path: Path, publish: Publish) -> None:
    many = [record(f"{number:05d}", number) for number in range(3000)]
    publish(*many)
    publish(*many[::-1], run="r2")
    assert [row["output"] for row in rows(tmp_path)] == list(range(3000))
