"""What a run gives back to the program that asked for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..types import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether one gate is met: its *name*, the *value* found, what was *wanted*."""

    name: str
    value: float
    wanted: str
    met: bool
    warn: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run.

    *path* is the results file (None when they went to a stream), *manifest* the run's record,
    *exit_code* as the command line would give, *verdicts* one for each gate.
    """

    path: str | None
    manifest: Mapping[str, Json]
    exit_code: int
    verdicts: tuple[Verdict, ...] = ()
    first_failures: tuple[tuple[str, str, str], ...] = field(default_factory=tuple)

    @property
    def results(self) -> Iterator[Mapping[str, Json]]:
        """The records in source order, read from the results file one after another.

        Raises:
            ValueError: the results were not written as JSON Lines.
        """
        from ..sources.jsonl import read_lines

        if self.path is None:
            raise ValueError("the results of this run were not written to a file")
        return (record for _, record in read_lines(self.path))

    def to_pandas(self) -> Any:
        """The records as a pandas DataFrame, one column a field.

        Raises:
            ImportError: pandas is not installed (`pip install pandas`).
        """
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_pandas needs pandas: pip install pandas") from error
        return pandas.DataFrame(list(self.results))
