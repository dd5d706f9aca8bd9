"""Pairing records, and what becomes of them."""

from __future__ import annotations

import random
from typing import Any

import pytest
from diff.conftest import Results, record

from dbrun.diff import spilling
from dbrun.diff.model import Options
from dbrun.errors import UserError

KEY = "1" * 64


@pytest.mark.parametrize(
    ("old", "new", "became", "across"),
    [
        (record("a"), record("a"), "same", {}),
        (record("a"), record("a", key=KEY), "same", {"asked_anew": 1}),
        (record("a"), record("a", "another"), "changed", {}),
        (record("a", key=None), record("a", "another"), "changed", {"unknown": 1}),
        (record("a", row={"n": 1}), record("a", row={"n": 2}), "same", {"rows": 1}),
        (record("a", 1), record("a", 1.0), "same", {}),
        (record("a", 1), record("a", True), "changed", {}),
        (record("a", {"x": [1]}), record("a", {"x": [True]}), "changed", {}),
        (record("a", None), record("a", 0), "changed", {}),
        (record("a"), record("a", error="timeout"), "failing", {}),
        (record("a"), record("a", None, status="filtered"), "failing", {}),
        (record("a", error="timeout"), record("a"), "fixed", {}),
        (record("a", error="timeout"), record("a", error="rejected"), "broken", {}),
        (record("a", scores={"s": 2}), record("a", scores={"s": 1}), "same", {"worse": 1}),
        (record("a", scores={"s": 1}), record("a", scores={"s": 2}), "same", {}),
    ],
)
def test_each_pair_of_records_is_one_thing(
    results: Results, old: dict[str, Any], new: dict[str, Any], became: str, across: dict[str, int]
) -> None:
    counts = results.compared([old], [new]).counts
    kinds = {
        name: getattr(counts, name)
        for name in ("same", "changed", "failing", "fixed", "broken", "unanswered")
    }
    assert {name: number for name, number in kinds.items() if number} == {became: 1}
    told = {name: getattr(counts, name) for name in ("asked_anew", "unknown", "rows", "worse")}
    assert {name: number for name, number in told.items() if number} == across
    assert (counts.old, counts.new, counts.paired) == (1, 1, 1)


def test_records_that_one_side_has_alone_are_counted_and_named(results: Results) -> None:
    found = results.compared([record("a"), record("b")], [record("c"), record("b")])
    assert (found.counts.only_old, found.counts.only_new, found.counts.paired) == (1, 1, 1)
    assert (found.removed, found.added) == (("a",), ("c",))


def test_equal_ids_are_paired_in_their_order(results: Results) -> None:
    old = [record("a", "1"), record("a", "2")]
    assert results.compared(old, old).counts.same == 2
    assert results.compared(old, old[::-1]).counts.changed == 2


@pytest.mark.parametrize("in_memory", [0, 3, 500])
def test_order_does_not_matter(
    results: Results, monkeypatch: pytest.MonkeyPatch, in_memory: int
) -> None:
    monkeypatch.setattr(spilling, "MOST_IN_MEMORY", in_memory)
    old = [record(f"{n}\ud800é\n", f"{n}", scores={"s": n}) for n in range(40)]
    new = [record(f"{n}\ud800é\n", f"{n}!", scores={"s": n + 1}) for n in range(10, 50)]
    random.Random(7).shuffle(new)
    found = results.compared(old, new)
    assert found.counts.changed == found.counts.paired == 30
    assert (found.counts.only_old, found.counts.only_new) == (10, 10)
    assert found.parts[0].scores[0].delta == 1
    assert set(found.added) == {f"{n}\ud800é\n" for n in range(40, 50)}


def test_nothing_in_common_is_no_comparison(results: Results) -> None:
    with pytest.raises(UserError, match="no id is in both"):
        results.compared([record("a")], [record("b")])
    with pytest.raises(UserError, match="OLD has the variants x; NEW has y, no variant"):
        results.compared([record("a", variant="x")], [record("a", variant="y"), record("b")])
    for sides in ([], []), ([record("a")], []), ([], [record("a")]):
        found = results.compared(*sides)
        assert (found.parts, found.rows) == ((), ())
        assert (found.old.records, found.new.records) == tuple(map(len, sides))


def test_variants_of_one_name_are_paired(results: Results) -> None:
    old = [record("a", variant=name) for name in ("x", "y", "gone")]
    new = [record("a", f"{name}!", variant=name) for name in ("y", "x", "come")]
    found = results.compared(old, new)
    assert [(part.label, part.counts.changed) for part in found.parts] == [("x", 1), ("y", 1)]
    assert (found.old_variants, found.new_variants) == (("gone",), ("come",))
    assert (found.added, found.removed) == ((), ())
    assert [note for note in found.notes if "only" in note] == [
        "only OLD has gone: not compared",
        "only NEW has come: not compared",
    ]


def test_variants_are_paired_as_told(results: Results) -> None:
    both = [record("a", name, variant=name) for name in ("x", "y", "z")]
    options = Options(variants=(("x", "y"), ("x", "z")))
    found = results.compared(both, both, options)
    assert [(part.label, part.counts.changed) for part in found.parts] == [
        ("x → y", 1),
        ("x → z", 1),
    ]
    assert found.new_variants == ("x",)
    plain = results.compared([record("a")], both, Options(variants=((None, "z"),)))
    assert [part.label for part in plain.parts] == ["no variant → z"]


def test_repeats_are_paired_by_number_and_averaged(results: Results) -> None:
    old = [record("a", "x", repeat=n, scores={"s": n}) for n in (1, 2, 3)]
    new = [record("a", "x", repeat=n, scores={"s": n + 2}) for n in (1, 3)]
    found = results.compared(old, new)
    (part,) = found.parts
    assert (part.counts.paired, part.counts.same, part.counts.only_old) == (2, 2, 1)
    (score,) = part.scores
    assert (score.pairs, score.old, score.new, score.delta) == (1, 2, 4, 2)
    # Squared distances of 1, 2, 3 and of 3, 5 from their means, over the degrees of freedom.
    assert score.noise == pytest.approx(((1 + 0 + 1 + 1 + 1) / 3) ** 0.5)


def test_repeats_beside_none(results: Results) -> None:
    found = results.compared([record("a")], [record("a", repeat=1), record("a", repeat=2)])
    assert (found.counts.same, found.counts.only_new) == (1, 1)


def test_repeats_that_stand_apart_are_told(results: Results) -> None:
    apart = [record(id, repeat=n) for n in (1, 2) for id in ("a", "b")]
    assert any("do not stand together" in note for note in results.compared(apart, apart).notes)


def test_unanswered_records_have_failed_unless_they_are_told_apart(results: Results) -> None:
    pair = [record("a")], [record("a", error="unanswered")]
    assert results.compared(*pair).counts.failing == 1
    apart = results.compared(*pair, Options(unanswered_apart=True))
    assert (apart.counts.failing, apart.counts.unanswered) == (0, 1)
    assert not apart.regressions


def test_the_worst_examples_are_kept(results: Results) -> None:
    old = [record(f"{n}", "x", scores={"s": 100, "b": True}) for n in range(9)]
    lost = [5, 1, 9, 0, -3, 5, 9, 2, 8]
    new = [record(f"{n}", "y", scores={"s": 100 - x, "b": x != 5}) for n, x in enumerate(lost)]
    found = results.compared(old, new, Options(rows=3))
    assert [(one.kind, one.id) for one in found.rows] == [
        ("worse", "0"),
        ("worse", "5"),
        ("worse", "2"),
        ("changed", "3"),
        ("changed", "4"),
    ]


def test_tokens_and_cost_are_summed_on_both_sides(results: Results) -> None:
    old = [
        record("a", usage={"input_tokens": 10, "output_tokens": 3}, cost=0.5),
        record("b", usage={"input_tokens": 20}),
    ]
    (part,) = results.compared(old, [record("a"), record("b")]).parts
    assert [(one.name, one.old, one.new, one.old_each) for one in part.totals] == [
        ("input_tokens", 30, None, 15),
        ("output_tokens", 3, None, 3),
        ("cost", 0.5, None, 0.5),
    ]
