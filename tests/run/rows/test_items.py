"""Rows become items: identity, selection, filter, row transform, repeats."""

from __future__ import annotations

import pytest

from dbrun.errors import RenderError, SourceError, TransformError
from dbrun.run.rows.items import Selection, expand, filter_rows, identify, row_hash, select


def rows_of(*values, id_column=None):
    named = ((f"rows:{number}", value) for number, value in enumerate(values, start=1))
    return identify(named, id_column)


def test_the_id_is_the_columns_value_as_text() -> None:
    rows = list(rows_of({"k": "a"}, {"k": 7}, {"k": 1.5}, {"k": True}, id_column="k"))
    assert [row.id for row in rows] == ["a", "7", "1.5", "true"]
    assert [row.index for row in rows] == [0, 1, 2, 3]


@pytest.mark.parametrize("values", [{}, {"k": None}])
def test_a_row_without_its_id_is_named(values) -> None:
    with pytest.raises(SourceError, match=r"rows:1: the row has no 'k', which source\.id names"):
        list(rows_of(values, id_column="k"))


def test_without_an_id_column_equal_rows_share_their_hash() -> None:
    one, two, three = rows_of({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1})
    assert one.id == two.id == row_hash({"a": 1, "b": 2})
    assert one.id != three.id


def test_selection_by_ids_keeps_source_order_and_knows_pieces() -> None:
    rows = rows_of(*({"k": name} for name in "abcd"), id_column="k")
    assert [row.id for row in select(rows, Selection(ids=frozenset({"d", "b#1"})))] == ["b", "d"]


def test_a_sample_is_drawn_by_its_seed_in_source_order() -> None:
    def drawn(seed: int) -> list[int]:
        rows = rows_of(*({"n": number} for number in range(1000)))
        return [row.index for row in select(rows, Selection(sample=20, seed=seed))]

    assert drawn(1) == drawn(1) == sorted(drawn(1))
    assert drawn(1) != drawn(2)
    assert len(set(drawn(1))) == 20


def test_a_sample_takes_each_row_equally_often() -> None:
    counts = [0] * 10
    for seed in range(2000):
        rows = rows_of(*({"n": number} for number in range(10)))
        for row in select(rows, Selection(sample=3, seed=seed)):
            counts[row.index] += 1
    assert min(counts) > 500
    assert max(counts) < 700


def test_limit_counts_what_the_sample_left() -> None:
    rows = rows_of(*({"n": number} for number in range(50)))
    assert len(list(select(rows, Selection(sample=10, limit=4)))) == 4


def test_filter_reads_no_further_than_its_limit() -> None:
    def rows():
        yield from rows_of(*({"n": number} for number in range(6)))
        raise AssertionError("read on")

    kept = filter_rows(rows(), lambda values: values["n"] % 2, 2)
    assert [row.values["n"] for row in kept] == [1, 3]


def test_a_filter_that_fails_names_the_row() -> None:
    def keep(values):
        raise RenderError("'x' is undefined", "x.yaml:2:9")

    said = r"^x\.yaml:2:9: source\.where fails on row 'a': 'x' is undefined"
    with pytest.raises(SourceError, match=said):
        list(filter_rows(rows_of({"k": "a"}, id_column="k"), keep, None))


def items_of(transform, *values, **more):
    return list(expand(rows_of(*values, id_column="k"), transform, **more))


def test_one_row_makes_none_one_or_many_items() -> None:
    def transform(values):
        made = {"drop": None, "many": [{"part": 1}, {"part": 2}], "none": []}
        return made.get(values["k"], {"k": values["k"], "more": 1})

    items = items_of(transform, {"k": "one"}, {"k": "drop"}, {"k": "many"})
    assert [(item.id, item.dropped) for item in items] == [
        ("one", False),
        ("drop", True),
        ("many#0", False),
        ("many#1", False),
    ]
    assert items[0].values == {"k": "one", "more": 1}
    assert items[1].values == {"k": "drop"}  # what was dropped is shown as it came
    assert [item.index for item in items] == [0, 1, 2, 3]


def test_a_failing_row_transform_costs_its_row_only() -> None:
    def transform(values):
        if values["k"] == "bad":
            raise TransformError("f raised ValueError: no", "f.py:3")
        return values

    good, bad, after = items_of(transform, {"k": "a"}, {"k": "bad"}, {"k": "b"})
    assert good.failure is None
    assert after.failure is None
    assert bad.failure is not None
    assert (bad.failure.kind, bad.failure.where) == ("transform", "f.py:3")


def test_repeats_are_counted_from_one() -> None:
    items = items_of(None, {"k": "a"}, {"k": "b"}, repeats=2)
    assert [(item.id, item.repeat) for item in items] == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert items_of(None, {"k": "a"})[0].repeat is None
