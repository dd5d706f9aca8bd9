"""Intervals and tests, held to other ways of reckoning them: raw data instead of sums, counting
instead of distributions, and tables that others have published."""

from __future__ import annotations

import itertools
import math
import statistics
import sys

import pytest
from diff.conftest import Results, record
from hypothesis import assume, given
from hypothesis import strategies as st

from dbrun.diff.inference import exact_mcnemar, has_library, paired_t
from dbrun.diff.judging import Judged, value_of
from dbrun.diff.model import Options, ScoreDelta
from dbrun.diff.verdict import require_judged
from dbrun.errors import PluginError

SLEEP = (
    [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
    [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
)
"""Hours of sleep under two drugs (Student 1908, "The probable error of a mean")."""

NUMBERS = st.floats(-1e6, 1e6).map(lambda number: round(number, 3))


def delta(
    old: list[float], new: list[float], better: str = "higher", confidence: float = 0.95
) -> ScoreDelta:
    judged = Judged()
    for before, after in zip(old, new, strict=True):
        judged.add([before], [after])
    return judged.delta("s", better, confidence)  # type: ignore[arg-type]


def test_numbers_that_others_published() -> None:
    found = delta(*SLEEP)
    # R: t.test(extra ~ group, data = sleep, paired = TRUE)
    assert found.delta == pytest.approx(1.58)
    assert found.interval == pytest.approx((0.7001142, 2.4598858), abs=1e-7)
    assert found.p == pytest.approx(0.002833, abs=1e-6)
    assert found.effect == pytest.approx(4.0621 / math.sqrt(10), abs=1e-4)
    assert (found.verdict, found.test, found.measure) == ("better", "t", "d_z")
    # Tables of Student's t: 2.262 at 9 degrees of freedom, 12.706 at 1, 1.984 at 100.
    for count, quantile in ((10, 2.262), (2, 12.706), (101, 1.984)):
        low, high = paired_t(count, 0.0, math.sqrt(count), 0.95).interval
        assert (-low, high) == pytest.approx((quantile, quantile), abs=5e-4)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=40), st.sampled_from([0.9, 0.99]))
def test_a_mean_is_judged_as_from_the_raw_data(
    pairs: list[tuple[float, float]], confidence: float
) -> None:
    from scipy import stats

    old, new = [list(side) for side in zip(*pairs, strict=True)]
    differences = [after - before for before, after in pairs]
    assume(max(differences) - min(differences) > 0.01)
    found = delta(old, new, confidence=confidence)
    known = stats.ttest_rel(new, old)
    interval = known.confidence_interval(confidence)

    assert found.interval is not None
    assert found.interval == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-6)
    assert found.p == pytest.approx(known.pvalue, rel=1e-6, abs=1e-12)
    # Cohen's d_z is the paired t over the root of the number of pairs.
    assert found.effect == pytest.approx(
        known.statistic / math.sqrt(len(pairs)), rel=1e-6, abs=1e-9
    )
    assert found.delta == pytest.approx(math.fsum(differences) / len(pairs), abs=1e-6)
    assert (found.old, found.new) == (
        pytest.approx(math.fsum(old) / len(old), abs=1e-6),
        pytest.approx(math.fsum(new) / len(new), abs=1e-6),
    )
    assert (found.up, found.down) == (
        sum(difference > 0 for difference in differences),
        sum(difference < 0 for difference in differences),
    )


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.sampled_from([0.8, 0.95]))
def test_booleans_are_judged_by_counting(up: int, down: int, rest: int, confidence: float) -> None:
    from scipy import stats

    assume(up + down)
    moved, count = up + down, up + down + rest
    found = exact_mcnemar(up, down, count, confidence)
    fewer = sum(math.comb(moved, k) for k in range(min(up, down) + 1))
    assert found.p == pytest.approx(min(1.0, 2 * fewer / 2**moved))
    share = stats.binomtest(up, moved).proportion_ci(confidence, method="exact")
    ends = [(2 * end - 1) * moved / count for end in (share.low, share.high)]
    assert found.interval == pytest.approx(tuple(ends), abs=1e-9)
    # Test and interval give one answer.
    low, high = found.interval
    assert (low <= 0 <= high) == (found.p >= (1 - confidence) * (1 - 1e-9))


@pytest.mark.parametrize(("up", "down"), [(0, 6), (1, 7), (4, 4), (9, 2), (1, 0)])
def test_booleans_are_judged_as_by_turning_each_either_way(up: int, down: int) -> None:
    seen, moved = abs(up - down), up + down
    as_far = sum(abs(sum(signs)) >= seen for signs in itertools.product((-1, 1), repeat=moved))
    assert exact_mcnemar(up, down, 20, 0.95).p == pytest.approx(as_far / 2**moved)


def test_booleans_have_the_effect_of_those_that_moved() -> None:
    old, new = [True] * 9 + [False] * 3, [False] * 8 + [True] + [True] * 2 + [False]
    found = delta(old, new)
    assert (found.kind, found.test, found.measure) == ("boolean", "mcnemar", "g")
    assert (found.up, found.down, found.effect) == (2, 8, 2 / 10 - 0.5)
    assert found.delta == pytest.approx(-6 / 12)
    assert found.p == pytest.approx(2 * (1 + 10 + 45) / 1024)
    assert found.verdict == "unclear"


@pytest.mark.parametrize(
    ("old", "new", "better", "verdict", "note"),
    [
        ([], [], "higher", "unjudged", "no row has it on both sides"),
        ([1.0], [2.0], "higher", "unjudged", "one pair of rows tells no interval"),
        ([1.0, 2.0], [1.0, 2.0], "higher", "same", "equal on every row"),
        ([0.1, 0.2, 0.3], [0.2, 0.3, 0.4], "higher", "better", "by the same amount"),
        ([0.1, 0.2, 0.3], [0.2, 0.3, 0.4], "lower", "worse", "by the same amount"),
        ([True], [False], "higher", "unclear", ""),
        ([True] * 6, [False] * 6, "higher", "worse", ""),
        ([True] * 6, [False] * 6, "lower", "better", ""),
        ([True, True], [True, True], "higher", "same", "equal on every row"),
        ([True, False], [1, 0.5], "higher", "unclear", ""),
        ([1.7e308], [-1.7e308], "higher", "unjudged", "the numbers are too large"),
        ([1e300, 1.0], [-1e300, 2.0], "higher", "unjudged", "the numbers are too large"),
    ],
)
def test_a_verdict_for_every_case(
    old: list[float], new: list[float], better: str, verdict: str, note: str
) -> None:
    found = delta(old, new, better)
    assert found.verdict == verdict
    assert note in found.note


def test_repeats_of_a_row_make_no_more_rows() -> None:
    judged, plain = Judged(), Judged()
    for old, new in ((1.0, 2.0), (3.0, 3.5), (2.0, 1.0)):
        judged.add([old - 1, old + 1, None], [new] * 50)
        plain.add([old], [new])
    found, known = (one.delta("s", "higher", 0.95) for one in (judged, plain))
    assert (found.pairs, found.interval, found.p) == (3, known.interval, known.p)
    assert known.noise is None
    # Three rows of two repeats, each 1 from their mean; three of fifty that agree.
    assert found.noise == pytest.approx(math.sqrt(6 / (3 + 3 * 49)))


@given(st.lists(st.lists(st.integers(-99, 99), min_size=2, max_size=5), min_size=1, max_size=5))
def test_noise_is_the_error_of_an_analysis_of_variance(rows: list[list[int]]) -> None:
    judged = Judged()
    for repeats in rows:
        judged.add(repeats, [sum(repeats)])
    # The mean square within groups: their variances, each by its degrees of freedom.
    within = sum(statistics.variance(repeats) * (len(repeats) - 1) for repeats in rows)
    freedom = sum(len(repeats) - 1 for repeats in rows)
    found = judged.delta("s", "higher", 0.95).noise
    assert found == pytest.approx(math.sqrt(within / freedom), abs=1e-9)


def test_booleans_with_repeats_are_shares() -> None:
    judged = Judged()
    judged.add([True, False], [True, True])
    judged.add([True, True], [True, True])
    assert judged.delta("s", "higher", 0.95).kind == "number"


@pytest.mark.parametrize(
    ("score", "value"),
    [
        ({"value": True}, True),
        ({"value": 2}, 2.0),
        ({"value": float("nan")}, None),
        ({"value": float("inf")}, None),
        ({"value": 10**400}, None),
        ({"value": "1"}, None),
        ({"value": None, "explanation": "it failed"}, None),
        (None, None),
        (3, None),
    ],
)
def test_what_is_no_number_has_failed(score: object, value: float | bool | None) -> None:
    assert value_of(score) is value or value_of(score) == value


def test_rows_without_the_score_on_one_side_are_counted(results: Results) -> None:
    old = [record("a", scores={"s": 1}), record("b", scores={"s": None}), record("c")]
    new = [record("a", scores={"s": None}), record("b", scores={"s": 2}), record("c")]
    found = results.compared(old, new)
    ((score,),) = (part.scores for part in found.parts)
    assert (score.pairs, score.one_sided, score.delta) == (0, 2, None)
    assert "s: only one side has this score, on 2 rows" in found.notes
    failed = [record("a", scores={"s": {"value": None}})]
    assert [note for note in results.compared(failed, failed).notes if "only" in note] == []


@pytest.mark.parametrize(("better", "regressions"), [("higher", 0), ("lower", 1)])
def test_the_manifest_tells_which_direction_is_good(
    results: Results, better: str, regressions: int
) -> None:
    old = [record(f"{n}", scores={"s": n}) for n in range(9)]
    new = [record(f"{n}", scores={"s": n + 1 + n / 100}) for n in range(9)]
    told = {"name": "x", "spec": {"scores": [{"type": "length", "name": "s", "better": better}]}}
    found = results.compared(old, new, manifests=(told, told))
    assert len(found.regressions) == regressions
    assert found.counts.worse == 9 * regressions


def test_without_the_library_there_are_means_and_no_verdict(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert has_library()
    for name in ("scipy", "scipy.special"):
        monkeypatch.setitem(sys.modules, name, None)
    old = [record(f"{n}", scores={"s": n, "b": True}) for n in range(9)]
    new = [record(f"{n}", scores={"s": n / 2, "b": False}) for n in range(9)]
    found = results.compared(old, new)
    assert [(one.delta, one.interval) for one in found.parts[0].scores] == [(-2, None), (-1, None)]
    assert found.lacks_library
    assert not found.regressions
    with pytest.raises(PluginError, match=r"pip install 'dbrun\[stats\]'"):
        require_judged([found])
    # Nothing to be judged needs no library.
    require_judged([results.compared(old, old), results.compared([record("a")], [record("a")])])


def test_the_confidence_is_the_one_asked_for(results: Results) -> None:
    pair = ([record(f"{n}", scores={"s": value}) for n, value in enumerate(side)] for side in SLEEP)
    (part,) = results.compared(*pair, Options(confidence=0.99)).parts
    # R: t.test(…, conf.level = 0.99)
    assert part.scores[0].interval == pytest.approx((0.3158, 2.8440), abs=2e-3)
