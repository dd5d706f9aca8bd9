"""The public names, and what importing them costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import dbrun
from dbrun import errors

HEAVY = ("yaml", "jsonschema", "requests", "jinja2", "click", "rich", "pyarrow", "databricks")


def test_all_is_sorted_and_there() -> None:
    assert list(dbrun.__all__) == sorted(dbrun.__all__)
    for name in dbrun.__all__:
        assert getattr(dbrun, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = dbrun.lod


def test_importing_dbrun_imports_nothing_it_does_not_need() -> None:
    code = f"import sys, dbrun; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def all_errors(base: type = errors.DbrunError) -> list[type]:
    return [base, *(one for child in base.__subclasses__() for one in all_errors(child))]


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_every_error_survives_a_pickle(kind: type) -> None:
    import pickle

    problem = dbrun.errors.Problem(where=dbrun.types.Mark(file="a.yaml"), path="x", message="no")
    error = kind([problem]) if kind is errors.SpecError else kind("what went wrong")
    for name, value in {"status": 429, "retry_after": 2.5, "maybe_paid": True}.items():
        if hasattr(error, name):
            setattr(error, name, value)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert vars(again) == vars(error)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = errors.__doc__ or ""
    for kind in all_errors():
        if kind.__module__ == "dbrun.errors":
            assert f" {kind.__name__} " in drawn.replace("\n", " "), kind
