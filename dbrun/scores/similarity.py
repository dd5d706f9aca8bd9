"""How much of an expected text a value has, by words in common."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from ..context import Context
from ..errors import PluginError
from ..spec.model import ScoreSpec
from ..types import Json, Score
from .base import EXPECTED, Expected, Subject, as_text

_Metric = Callable[[Sequence[str], Sequence[str]], float]

# A word is a run of letters and digits; in scripts that put no space between words, each
# character is one (Han, Hiragana, Katakana).
_SPACELESS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(f"[{_SPACELESS}]|[^\\W_{_SPACELESS}]+")


class Similarity:
    """From 0 (no word in common) to 1.

    `rouge_l` is ROUGE-L (Lin 2004) as an F-measure: twice the longest common subsequence of
    words over the words of both. `token_f1` takes words in any order. Both leave capitals and
    punctuation out of account.
    """

    options: ClassVar[Mapping[str, Json]] = {
        "type": "object",
        "required": ["expected"],
        "properties": {
            "expected": EXPECTED,
            "metric": {
                "enum": ["rouge_l", "token_f1"],
                "default": "rouge_l",
                "description": "Words in their order, or in any order.",
            },
        },
    }

    def __init__(self, expected: Expected, metric: _Metric) -> None:
        self._expected = expected
        self._metric = metric

    @classmethod
    def create(cls, spec: ScoreSpec, context: Context) -> Similarity:
        """A scorer from its options.

        Raises:
            SpecError: the template is not well formed.
            PluginError: `rouge_l` is asked for and rapidfuzz is not installed.
        """
        named = spec.options.get("metric", "rouge_l")
        return cls(Expected(spec, context), token_f1 if named == "token_f1" else _rouge_l())

    def score(self, subject: Subject) -> Score:
        """A number from 0 to 1. Raises `RenderError`."""
        expected = words(as_text(self._expected.of(subject)))
        return Score(value=round(self._metric(words(as_text(subject.value)), expected), 6))


def words(text: str) -> list[str]:
    """The words of *text* in small letters."""
    return _WORD.findall(text.casefold())


def token_f1(found: Sequence[str], expected: Sequence[str]) -> float:
    """The harmonic mean of precision and recall of words, each counted as often as it is there."""
    if not found and not expected:
        return 1.0
    common = (Counter(found) & Counter(expected)).total()
    return 2 * common / (len(found) + len(expected))


def _rouge_l() -> _Metric:
    try:
        from rapidfuzz.distance import Indel
    except ImportError as error:
        raise PluginError(
            "rouge_l needs rapidfuzz, which is not installed",
            "pip install 'dbrun[scores]', or write metric: token_f1",
        ) from error

    def rouge_l(found: Sequence[str], expected: Sequence[str]) -> float:
        # What is neither inserted nor deleted is the longest common subsequence: the share of
        # both that it makes is the F-measure.
        return float(Indel.normalized_similarity(found, expected))

    return rouge_l
