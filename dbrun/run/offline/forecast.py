"""How many tokens requests will take that nobody has sent yet, learnt from answers there are."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ...frozen import frozen
from ...types import Json, Usage
from ..asking.tokens import CHARACTERS, DENSEST, OUTPUTS, most_tokens, size_of

_LOOSEST = 16.0  # characters of JSON that make a token where most of them are none of the text
_LONGEST = 1024.0  # tokens of an answer at the most, where nothing tells
_NEAREST = 0.1  # of a forecast: rows to come are never quite like those before


@frozen
class Range:
    """A figure that is not known yet: probably between *low* and *high*."""

    low: float
    expected: float
    high: float

    @classmethod
    def of(cls, exactly: float) -> Range:
        """A figure that is known."""
        return cls(low=exactly, expected=exactly, high=exactly)

    def __add__(self, other: Range) -> Range:
        return Range(
            low=self.low + other.low,
            expected=self.expected + other.expected,
            high=self.high + other.high,
        )

    def scaled(self, low: float, expected: float, high: float) -> Range:
        """Each figure so many times."""
        return Range(low=self.low * low, expected=self.expected * expected, high=self.high * high)

    def at_most(self, most: float) -> Range:
        """The same, with nothing beyond *most*."""
        return Range(
            low=min(self.low, most),
            expected=min(self.expected, most),
            high=min(self.high, most),
        )

    def to_json(self) -> dict[str, Json]:
        """The three figures."""
        return {
            "low": round(self.low, 6),
            "expected": round(self.expected, 6),
            "high": round(self.high, 6),
        }


NOTHING = Range.of(0.0)


@dataclass(slots=True)
class Learnt:
    """Tokens for each unit of a size, learnt one by one; memory does not grow."""

    count: int = 0
    _tokens: float = 0.0
    _size: float = 0.0
    _mean: float = 0.0
    _squares: float = 0.0
    _least: float = math.inf

    def add(self, tokens: float, size: float = 1.0) -> None:
        """Something of this *size* took so many *tokens*."""
        each = tokens / size
        self.count += 1
        self._tokens += tokens
        self._size += size
        self._least = min(self._least, each)
        # Welford 1962: the sum of squared distances from the mean, in one pass.
        before = each - self._mean
        self._mean += before / self.count
        self._squares += before * (each - self._mean)

    def expect(self, number: float, size: float) -> Range:
        """The tokens of *number* things of this *size* together.

        Their sum is as far from the mean's as three standard errors, more with few to learn from:
        the spread of the sum itself, and that of the mean learnt. Nor is *low* below half of what
        they would take if each were as short as the shortest.
        """
        if not number:
            return NOTHING
        spread = math.sqrt(self._squares / (self.count - 1)) if self.count > 1 else self._mean / 2
        error = spread * size / number * math.sqrt(number + number**2 / self.count)
        expected = self._tokens / self._size * size
        margin = max(3 * (1 + 2 / self.count) * error, _NEAREST * expected)
        low = max(expected - margin, min(self._least / 2 * size, expected))
        return Range(low=low, expected=expected, high=expected + margin)


@dataclass(slots=True, kw_only=True)
class Demand:
    """What a step asks for: requests *answered* already, *unsent* ones, and *equal* ones, which
    will take the answer of an unsent one. *has_output* is false for embeddings."""

    has_output: bool = True
    answered: int = 0
    unsent: int = 0
    equal: int = 0
    inputs: Learnt = field(default_factory=Learnt)
    outputs: Learnt = field(default_factory=Learnt)
    old: Learnt = field(default_factory=Learnt)
    """Tokens of answers that nobody asks for any more."""
    _size: int = 0  # of the requests unsent
    _all: int = 0  # requests of any kind, and their size
    _all_size: int = 0
    _bounded: int = 0  # requests unsent with `max_tokens`, and the sums of it
    _bounds: int = 0
    _usual: float = 0.0

    def take_answered(self, body: Json, usage: Usage | None, *, is_new: bool) -> None:
        """A request that has its answer, which took *usage*."""
        self.answered += 1
        if not is_new:
            return
        size = self._note(body)
        if usage is None:
            return
        self.outputs.add(usage.output_tokens or 0)
        if usage.input_tokens:
            self.inputs.add(usage.input_tokens, size)

    def take_unsent(self, body: Json, *, is_new: bool) -> None:
        """A request without an answer."""
        if not is_new:
            self.equal += 1
            return
        self.unsent += 1
        self._size += self._note(body)
        if (most := most_tokens(body)) is not None:
            self._bounded += 1
            self._bounds += most
            self._usual += min(most, OUTPUTS)

    @property
    def learnt(self) -> int:
        """Answers whose lengths are known."""
        return self.outputs.count or self.old.count

    @property
    def size_of_one(self) -> float:
        """The mean size of a request; 0 where there is none."""
        return self._all_size / self._all if self._all else 0.0

    def tokens(self) -> tuple[Range, Range]:
        """The tokens (in, out) of the requests unsent."""
        return self._inputs(self.unsent, self._size), self._outputs()

    def tokens_of(self, more: Range, size: float, most: int | None) -> tuple[Range, Range]:
        """The tokens (in, out) of so many *more* requests, each of about this *size*, with answers
        of at *most* so many tokens."""
        if not more.high:
            return NOTHING, NOTHING
        inputs = self._inputs(more.high, more.high * size)
        outputs = self._answers(more.high)
        if most is not None:
            outputs = outputs.at_most(more.high * most)
        shares = (more.low / more.high, more.expected / more.high)
        # What is asked later holds answers that nobody has seen yet.
        return inputs.scaled(*shares, 2.0), outputs.scaled(*shares, 1.0)

    def _note(self, body: Json) -> int:
        size = size_of(body)
        self._all += 1
        self._all_size += size
        return size

    def _inputs(self, number: float, size: float) -> Range:
        if self.inputs.count:
            return self.inputs.expect(number, size)
        return Range(low=size / _LOOSEST, expected=size / CHARACTERS, high=size / DENSEST)

    def _outputs(self) -> Range:
        free = self.unsent - self._bounded
        if not self.has_output:
            return NOTHING
        if self.learnt:
            told = self._answers(self.unsent)
        else:
            told = Range(
                low=float(self.unsent),
                expected=self._usual + free * OUTPUTS,
                high=self._bounds + free * _LONGEST,
            )
        return told if free else told.at_most(self._bounds)

    def _answers(self, number: float) -> Range:
        if not self.has_output:
            return NOTHING
        if self.outputs.count:
            return self.outputs.expect(number, number)
        if not self.old.count:
            return Range(low=number, expected=number * OUTPUTS, high=number * _LONGEST)
        # The requests were others: how much that changes, nobody knows.
        told = self.old.expect(number, number)
        half, twice = told.expected / 2, told.expected * 2
        return Range(low=min(told.low, half), expected=told.expected, high=max(told.high, twice))
