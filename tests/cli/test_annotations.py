"""Problems as annotations of GitHub."""

from __future__ import annotations

import pytest

from dbrun.cli.validate import annotation
from dbrun.types import Mark, Problem


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        (
            Problem(
                where=Mark(file="a.yaml", line=3, column=5),
                path="endpoint.nmae",
                message="unknown key",
                hint="did you mean 'name'?",
                length=4,
            ),
            "::error file=a.yaml,line=3,col=5,endColumn=9"
            "::endpoint.nmae: unknown key; did you mean 'name'?",
        ),
        (
            Problem(where=Mark(file="a,b:c%.yaml"), path="", message="100%\r\nwrong: a, b"),
            "::error file=a%2Cb%3Ac%25.yaml::100%25%0D%0Awrong: a, b",
        ),
    ],
)
def test_what_would_be_read_as_syntax_is_escaped(problem: Problem, expected: str) -> None:
    assert annotation("error", problem) == expected
