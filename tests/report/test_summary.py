"""The text at the end of a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dbrun.report.summary import describe, summary
from dbrun.run.result import Run, Verdict

COUNTS = {"rows": 3, "ok": 3, "error": 0, "filtered": 0, "truncated": 0, "errors": {}}
REQUESTS = {"sent": 3, "reused": 0, "retried": 0, "waited": 0, "maybe_paid": 0, "by_status": {}}
MANIFEST: dict[str, Any] = {
    "name": "tickets",
    "run": "20261122T201538Z-3f9c",
    "status": "finished",
    "seconds": 3.21,
    "counts": COUNTS,
    "requests": REQUESTS,
    "tokens": {"answers": {}, "spent": {}},
    "latency": {"p50": 0.1},
    "stalled_seconds": 0.0,
    "endpoints": [{"adapter": "openai", "models": {"m-1": 3}}],
}


def run(
    *,
    verdicts: tuple[Verdict, ...] = (),
    failures: tuple[tuple[str, str, str], ...] = (),
    **more: Any,
) -> Run:
    manifest = {**MANIFEST, **more}
    for part, usual in (("counts", COUNTS), ("requests", REQUESTS)):
        manifest[part] = {**usual, **more.get(part, {})}
    return Run(
        path="out/tickets.jsonl",
        manifest=manifest,
        exit_code=0,
        verdicts=verdicts,
        first_failures=failures,
    )


def test_of_a_plain_run() -> None:
    assert summary(run()) == (
        "tickets: 3 rows, 3 ok, in 3.2 s\n"
        "  requests  3 sent, 0 reused\n"
        "  results   out/tickets.jsonl"
    )


ONE = {"counts": COUNTS, "latency": {}}


@pytest.mark.parametrize(
    ("manifest", "headline"),
    [
        ({"spec": {"repeats": 3}, "counts": {"rows": 12}}, "12 records of 4 rows, 3 ok"),
        (
            {"spec": {}, "variants": {"a": ONE, "b": ONE}, "counts": {"rows": 2}},
            "2 records of 1 row",
        ),
        ({"spec": {"repeats": 2}, "variants": {"a": ONE}, "counts": {"rows": 3}}, ": 3 records, 3"),
    ],
)
def test_records_are_told_from_rows(manifest: dict[str, Any], headline: str) -> None:
    assert headline in summary(run(**manifest)).splitlines()[0]


def test_several_versions_of_a_model_are_told() -> None:
    endpoints = [{"adapter": "a"}, {"adapter": "b", "models": {"m-1": 2, "m-2": 1000}}]
    assert "  models    answers of m-1 (2), m-2 (1,000)\n" in summary(run(endpoints=endpoints))


@pytest.mark.parametrize(
    ("errors", "mend"),
    [
        ({"render": 2, "rejected": 1}, "as they are they fail again: mend the spec or the rows"),
        ({"render": 2, "timeout": 1}, "run the same command again to try these rows again"),
    ],
)
def test_the_mend_fits_the_errors(errors: Any, mend: str) -> None:
    assert mend in summary(run(counts={"error": 3, "errors": errors}))


def test_of_a_run_with_everything() -> None:
    told = summary(
        run(
            seconds=754,
            counts={
                "rows": 1200,
                "ok": 1190,
                "error": 7,
                "filtered": 3,
                "truncated": 1,
                "errors": {"rejected": 6, "invalid_output": 1},
            },
            requests={"sent": 1000, "reused": 200, "retried": 4, "waited": 2, "maybe_paid": 1},
            tokens={
                "answers": {"input_tokens": 41_200, "output_tokens": 1_100},
                "spent": {"input_tokens": 40_000, "output_tokens": 1_000},
            },
            cost={"currency": "USD", "spent": 0.0123, "answers": 0.0131},
            failures=(("T-1", "rejected", "bad\n request"), ("T-2", "invalid_output", "x" * 500)),
            verdicts=(
                Verdict(name="success", value=0.99417, wanted="at least 1", met=False, by=0.00583),
                Verdict(name="rows", value=1200, wanted="at least 1", met=True),
                Verdict(
                    name="truncated", value=0.1, wanted="at most 0", met=False, warn=True, by=0.1
                ),
            ),
        )
    )
    assert told == (
        "tickets: 1,200 rows, 1,190 ok, 7 failed, 3 filtered, in 12 min 34 s\n"
        "  requests  1,000 sent, 200 reused, 4 tried again, 2 held back by a rate limit,"
        " 1 lost after sending\n"
        "  tokens    41,200 in, 1,100 out; this run: 40,000 in, 1,000 out\n"
        "  cost      0.0123 USD by this run; the answers together 0.0131 USD\n"
        "  cut       1 answer was cut by max_tokens\n"
        "  failed    T-1: rejected: bad request\n"
        f"            T-2: invalid_output: {'x' * 159}…\n"
        '            in all 6 rejected, 1 invalid_output: see the records with "status":"error"\n'
        "            --only-errors asks for these rows again; otherwise answers kept are"
        " read again\n"
        "  gates     success    0.99417  wanted at least 1  missed by 0.00583\n"
        "            truncated  0.1      wanted at most 0   missed by 0.1 (a warning)\n"
        "  results   out/tickets.jsonl"
    )


def test_failures_that_are_alike_are_told_once() -> None:
    failures = (("T-1", "rejected", "no seed"), ("T-9", "timeout", "late"))
    counts = {"error": 1002, "errors": {"rejected": 1000, "timeout": 2}}
    made = replace(run(counts=counts, failures=failures), alike=(1000, 2))
    told = summary(made)
    assert "failed    T-1 and 999 rows like it: rejected: no seed\n" in told
    assert "          T-9 and 1 row like it: timeout: late\n" in told
    assert [one["rows"] for one in describe(made, "a.yaml")["first_failures"]] == [1000, 2]


@pytest.mark.parametrize(
    ("second", "mend"),
    [
        (
            "steps.b: the answer was cut by max_tokens, so the output is not JSON",
            "raise params.max",
        ),
        ("the output is not JSON", "--only-errors asks for these rows again"),
    ],
)
def test_answers_that_were_cut_are_not_to_be_asked_for_again(second: str, mend: str) -> None:
    first = "the answer was cut by max_tokens, so the output is not JSON"
    failures = (("T-1", "invalid_output", first), ("T-2", "invalid_output", second))
    told = summary(run(counts={"error": 2, "errors": {"invalid_output": 2}}, failures=failures))
    assert f"            {mend}" in told


def test_a_long_message_keeps_what_it_says_to_do() -> None:
    failures = (("T", "rejected", f"{'x' * 300}; y; remove params.seed"),)
    told = summary(run(counts={"error": 1, "errors": {"rejected": 1}}, failures=failures))
    assert "x…; remove params.seed\n" in told


def test_of_a_replay_that_lacks_answers() -> None:
    counts = {"rows": 3, "ok": 2, "error": 1, "errors": {"unanswered": 1}}
    told = summary(run(status="unanswered", counts=counts, failures=(("T", "unanswered", "none"),)))
    assert "results   left as they are" in told
    assert "run without --replay" in told


def test_a_run_that_spent_nothing_says_so() -> None:
    told = summary(run(tokens={"answers": {"total_tokens": 5}, "spent": {}}))
    assert "tokens    5 in all; this run: none" in told


def test_as_data() -> None:
    verdict = Verdict(name="success", value=1.0, wanted="at least 1", met=True)
    said = describe(run(verdicts=(verdict,), failures=(("T", "render", "no"),)), "a.yaml")
    assert said["spec"] == "a.yaml"
    assert said["results"] == "out/tickets.jsonl"
    assert said["counts"]["rows"] == 3
    assert said["gates"] == [
        {"name": "success", "value": 1.0, "wanted": "at least 1", "met": True, "warn": False}
    ]
    assert said["first_failures"] == [{"id": "T", "class": "render", "message": "no", "rows": 1}]
    assert "cost" not in said


@pytest.mark.parametrize("status", ["finished", "unanswered"])
def test_results_are_named_only_where_there_are_some(status: str) -> None:
    said = describe(run(status=status), "a.yaml")
    assert (said["results"] is None) == (status == "unanswered")
