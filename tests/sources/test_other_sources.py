"""Rows from the pipeline file, from a program, and from a function."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dbrun.canonical import canonical
from dbrun.context import Context
from dbrun.errors import SourceError
from dbrun.sources.function import FunctionSource
from dbrun.sources.rows import RowsSource
from dbrun.spec.model import Reference
from dbrun.spec.references import Resolver


def test_inline_rows() -> None:
    rows = [{"a": 1}, {"b": ("x",)}]
    source = RowsSource.create({"rows": rows}, Context(folder="/f"))
    assert source.folder == "/f"
    assert source.columns() == {"a", "b"}
    assert source.digest() is None
    made = [("row 1", {"a": 1}), ("row 2", {"b": ["x"]})]
    assert list(source.rows()) == made
    assert list(source.rows()) == made
    assert (
        source.digest() == hashlib.sha256(canonical({"a": 1}) + canonical({"b": ["x"]})).hexdigest()
    )


def test_an_iterator_is_read_once_and_not_ahead() -> None:
    taken = []

    def endless() -> Iterator[dict[str, int]]:
        for number in range(10**9):
            taken.append(number)
            yield {"n": number}

    source = RowsSource(endless(), None)
    assert source.columns() is None
    rows = source.rows()
    assert next(rows) == ("row 1", {"n": 0})
    assert taken == [0]
    with pytest.raises(SourceError, match="the rows were read already"):
        next(source.rows())


def test_rows_that_are_a_table_are_said() -> None:
    class DataFrame:  # what pandas and polars have in common: to go through it gives no rows
        columns = ("a",)

        def __iter__(self) -> Iterator[str]:
            return iter(self.columns)

    table: Any = DataFrame()
    source = RowsSource(table, None)
    with pytest.raises(
        SourceError, match=r"the rows are a DataFrame, .*; hand over table\.to_dict"
    ):
        list(source.rows())


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("text", "row 1: a mapping is wanted, not str"),
        ({"a": float("nan")}, "row 1: a row cannot hold NaN at a"),
        ({"a": {1}}, "row 1: a row cannot hold a set at a"),
        ({3: 1}, "row 1: a row cannot hold a key that is an int (3)"),
    ],
)
def test_rows_that_are_none_are_said(row: Any, said: str) -> None:
    with pytest.raises(SourceError) as caught:
        list(RowsSource([row], None).rows())
    assert str(caught.value) == said


FUNCTIONS = """
closed = []


def rows(count=2, text="x"):
    try:
        for number in range(count):
            yield {"n": number, "text": text}
    finally:
        closed.append(True)


def as_list():
    return [{"n": 1}]


def fails_half_way():
    yield {"n": 1}
    raise KeyError("token")


def fails_at_once():
    raise LookupError("nothing there")


def fails_on_closing():
    try:
        yield {}
    finally:
        raise RuntimeError("late")


def no_mapping():
    yield {"n": 1}
    yield 3


def no_json():
    yield {"when": object}


def one_mapping():
    return {"n": 1}


def number():
    return 3
"""

Make = Callable[..., FunctionSource]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    folder = tmp_path / "pipelines"
    folder.mkdir()
    (folder / "feed.py").write_text(FUNCTIONS)
    resolve = Resolver().resolve
    context = Context(folder=str(folder), project=str(tmp_path), resolve=resolve)

    def source(name: str, **options: Any) -> FunctionSource:
        given = options.pop("given", {})
        reference = Reference(
            path=f"feed:{name}", folder=str(folder), project=str(tmp_path), kwargs=given
        )
        return FunctionSource.create({"function": reference, **options}, context)

    return source


def test_a_function_yields_rows(make: Make) -> None:
    source = make("rows", kwargs={"count": 1}, given={"text": "y"})
    assert list(source.rows()) == [("feed:rows row 1", {"n": 0, "text": "y"})]
    assert list(make("as_list").rows()) == [("feed:as_list row 1", {"n": 1})]
    assert source.columns() is None
    assert source.digest() is None
    assert str(source.folder).endswith("pipelines")


def test_the_generator_is_closed(make: Make) -> None:
    source = make("rows")
    resolve = source._context.resolve
    assert resolve is not None
    closed = resolve(source._reference).__globals__["closed"]
    rows = source.rows()
    next(rows)
    assert closed == []
    rows.close()  # type: ignore[attr-defined]
    assert closed == [True]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "fails_half_way",
            "feed:fails_half_way raised KeyError: 'token' at pipelines/feed.py:19, after 1 rows; "
            "mend the function and run the same command again; what was answered is kept",
        ),
        (
            "fails_at_once",
            "feed:fails_at_once raised LookupError: nothing there at pipelines/feed.py:23, after 0",
        ),
        ("fails_on_closing", "feed:fails_on_closing raised RuntimeError: late"),
        ("no_mapping", "feed:no_mapping row 2: a mapping is wanted, not int"),
        ("no_json", "feed:no_json row 1: a row cannot hold a type at when"),
        ("one_mapping", "feed:one_mapping returned a mapping; it must yield mappings"),
        ("number", "feed:number returned int; it must yield mappings"),
        ("rows(", "is no path to a function"),
    ],
)
def test_what_fails_names_function_file_and_line(make: Make, name: str, said: str) -> None:
    from dbrun.errors import DbrunError

    with pytest.raises(DbrunError) as caught:
        list(make(name).rows())
    assert said in str(caught.value)


def test_wrong_keywords_are_the_functions_failure(make: Make) -> None:
    with pytest.raises(SourceError, match="unexpected keyword argument 'nope'"):
        list(make("rows", kwargs={"nope": 1}).rows())
