"""Connections that break and answers that are none, all in one run.

Of each fault one row has it once and one always. The first is answered where asking again helps;
the second is a failed row that says why. A second run asks only for what failed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from acceptance.faults.bench import SPEC, Bench
from acceptance.faults.ended import Ended
from fakes.faults import LOGIN_PAGE, Fault, cut, drip, fail, login_page, reset, say, stall

NOWHERE = -9999  # so much of the head is cut off that nothing of it is left


@dataclass(frozen=True)
class Case:
    """A fault by its fields; the failed row's error *kind* and what its message *says*; how many
    calls *lost* an answer that the endpoint may have charged for."""

    fault: Fault
    kind: str
    says: str
    lost: int = 3

    def explains(self, record: Mapping[str, Any], retryable: bool) -> bool:
        """Whether *record* is ok, or its error is of this case and can be read."""
        error = record.get("error")
        return error is None or (
            error["class"] == self.kind
            and re.search(self.says, error["message"]) is not None
            and error.get("retryable", False) is retryable
            and len(error["message"]) < 1000
        )


BROKEN = {
    "reset before the answer": Case(reset(), "unavailable", "connection reset"),
    "reset within the head": Case(reset(-30), "unavailable", "connection reset"),
    "reset within the body": Case(reset(20), "unavailable", "connection reset"),
    "closed before the answer": Case(cut(NOWHERE), "unavailable", "closed before an answer"),
    "closed within the head": Case(cut(-30), "unavailable", "closed within the head"),
    "closed within the body": Case(cut(20), "unavailable", "closed within the body"),
    "JSON that ends too soon": Case(Fault(trimmed=60), "unavailable", "cut short within its JSON"),
    "silence": Case(stall(30), "timeout", "no whole answer .* within 1 s"),
    "silence within the head": Case(stall(30, -30), "timeout", "no whole answer .* within 1 s"),
    "silence within the body": Case(stall(30, 20), "timeout", "no whole answer .* within 1 s"),
    "a byte at a time": Case(drip(0.05), "timeout", "no whole answer .* within 1 s"),
    "500": Case(fail(500), "unavailable", "answered 500 INTERNAL_ERROR: Something failed"),
    "502 in HTML": Case(fail(502, "html"), "unavailable", "answered 502 .*Bad Gateway"),
    "503 in HTML": Case(fail(503, "html"), "unavailable", "answered 503 .*Bad Gateway", lost=0),
    "503 without a body": Case(fail(503, "empty"), "unavailable", "answered 503", lost=0),
    "504": Case(fail(504, "plain"), "timeout", "answered 504 .*failed with 504"),
    "a server's fault told with 200": Case(
        say({"error_code": "INTERNAL_ERROR", "message": "out of memory"}),
        "unavailable",
        "INTERNAL_ERROR: out of memory",
    ),
}
"""What is tried again."""

CHOICE = {"index": 0, "finish_reason": "stop"}
DEEP: list[Any] = []
for _ in range(300):
    DEEP = [DEEP]


def wrong(fault: Fault, says: str, lost: int = 2) -> Case:
    """A case of what is no JSON, or no answer by its own account."""
    return Case(fault, "malformed", says, lost)


def odd(body: Any, says: str) -> Case:
    """A case of JSON in which there is no text where it should be: it is kept all the same."""
    return Case(say(body, "application/json"), "malformed", says, lost=0)


WRONG = {
    "an empty body": wrong(say(b""), "200 with an empty body"),
    "no JSON": wrong(say("choices: none", "application/json"), "in place of JSON"),
    "no UTF-8": wrong(say(b'{"choices": "\xff\xfe"}'), "in place of JSON"),
    "JSON that is nested too deep": wrong(say(b"[" * 200_000 + b"]" * 200_000), "nested too deep"),
    "JSON that can be read and hardly be written": wrong(
        say({"choices": [{**CHOICE, "message": {"content": "hi"}}], "more": DEEP}),
        "nested too deep",
    ),
    "a sign-in page": wrong(login_page(), "text/html in place of JSON"),
    "a sign-in page that says it is JSON": wrong(
        say(LOGIN_PAGE, "application/json"), "in place of JSON"
    ),
    "a stream": wrong(say('data: {"choices": []}\n\n', "text/event-stream"), "was not asked to"),
    "nothing to say": wrong(Fault(status=204, body=""), "answered 204 with an empty body"),
    "an error of no known code": wrong(
        say({"error": {"message": "the model is confused"}}),
        "answered 200 with an error: the model is confused",
        lost=0,
    ),
}
"""What is a failed row: asking again would bring the same, and may be paid for."""

ODD = {
    "no object": odd([1, 2], r"choices\[0\]"),
    "null": odd(b"null", r"choices\[0\]"),
    "empty choices": odd({"choices": []}, r"choices\[0\]"),
    "null choices": odd({"choices": None}, r"choices\[0\]"),
    "a choice without a message": odd({"choices": [CHOICE]}, r"message"),
    "content that is a number": odd(
        {"choices": [{**CHOICE, "message": {"content": 7}}]}, "content"
    ),
    "no content": odd(
        {"choices": [{**CHOICE, "message": {"content": None}}]},
        "no text in message.content .finish_reason stop.: it is an object with content",
    ),
}
"""What is a failed row, and an answer that was paid for."""


def test_what_breaks_is_tried_again(bench: Bench) -> None:
    ended = meeting(bench, BROKEN)
    assert ended.code == 1
    assert wrong_records(ended, BROKEN, once="ok", retryable=True) == {}
    count = len(BROKEN)
    ended.says(f"{count} failed", "once|always: ", "run the same command again to try these rows")
    told = ended.requests
    assert (told["sent"], told["retried"], told["waited"]) == (10 + 4 * count, 2 * count, 0)
    assert told["maybe_paid"] == sum(case.lost for case in BROKEN.values())
    bench.mend(lacking=count)


def test_what_is_no_answer_fails_its_row(bench: Bench) -> None:
    ended = meeting(bench, WRONG)
    assert ended.code == 1
    assert wrong_records(ended, WRONG, once="error", retryable=False) == {}
    count = len(WRONG)
    ended.says(f"{2 * count} failed", "--only-errors asks for these rows again")
    assert ended.requests["sent"] == 10 + 2 * count
    assert ended.requests["maybe_paid"] == sum(case.lost for case in WRONG.values())
    bench.mend(lacking=2 * count)


def test_what_says_nothing_fails_its_row_and_is_kept(bench: Bench) -> None:
    ended = meeting(bench, ODD)
    assert ended.code == 1
    assert wrong_records(ended, ODD, once="error", retryable=False) == {}
    ended.says(f"{2 * len(ODD)} failed", "--only-errors asks for these rows again")
    assert ended.requests["maybe_paid"] == 0
    again = bench.run()
    assert again.given == []
    assert again.records == ended.records
    bench.workspace.script([])
    assert bench.run("--only-errors").code == 0
    assert bench.project.bytes() == bench.calm(0)


def test_the_status_of_a_record_is_that_of_the_answer(bench: Bench) -> None:
    bench.workspace.script([Fault(status=204, body="", contains="number 5")])
    assert bench.run().records["T-5"]["error"]["status"] == 204


def test_a_stream_that_a_function_asks_for_is_told_from_one_that_nobody_did(bench: Bench) -> None:
    project = bench.project
    project.write("streams.py", "def on(**asked):\n    return {**asked, 'stream': True}\n")
    project.write("tickets.yaml", SPEC + "transforms: {input: 'streams:on'}\n")
    bench.workspace.script([say('data: {"choices": []}\n\n', "text/event-stream", at=2)])
    said = project.run("tickets.yaml")
    assert said.code == 1
    assert "the endpoint streams its answer; leave 'stream' out of the request" in said.err


def test_the_type_that_json_is_sent_as_does_not_matter(bench: Bench) -> None:
    kinds = ["text/html", "text/plain; charset=latin-1", "application/octet-stream", ""]
    faults = [
        Fault(contains=f"number {number}", headers={"content-type": kind})
        for number, kind in enumerate(kinds)
    ]
    bench.workspace.script(faults)
    assert bench.run().code == 0
    bench.mend(lacking=0)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ("", "Echo: Summarize: ticket number 5 That was 4 words. END"),
        ("params: {max_tokens: 2}\n", ""),
    ],
    ids=["whole", "cut while it was reasoning"],
)
def test_the_parts_of_a_reasoning_model(bench: Bench, limits: str, expected: str) -> None:
    bench.spec(limits, base=SPEC.replace("name: chat", "name: reasoning"))
    bench.workspace.script([reset(contains="number 5", times=1)])
    ended = bench.run()
    assert ended.code == 0
    assert ended.records["T-5"]["output"] == expected
    bench.mend(lacking=0)


def meeting(bench: Bench, cases: Mapping[str, Case]) -> Ended:
    """A run of which, for each case, one row meets the fault once, and one whenever it asks;
    ten rows meet none."""
    rows = [{"id": f"T-{number}", "text": f"ticket number {number}"} for number in range(10)]
    faults = []
    for name, case in cases.items():
        for often, times in (("once", 1), ("always", None)):
            rows.append({"id": f"{name} {often}", "text": f"it is {name}, {often}"})
            faults.append(
                Fault(**{**vars(case.fault), "contains": rows[-1]["text"], "times": times})
            )
    bench.rows(rows)
    bench.workspace.script(faults)
    bench.spec(concurrency=40)
    return bench.run()


def wrong_records(
    ended: Ended, cases: Mapping[str, Case], *, once: str, retryable: bool
) -> dict[str, Any]:
    """The records that are not what the cases expect."""
    wrong: dict[str, Any] = {}
    for name, case in cases.items():
        for often, status in (("once", once), ("always", "error")):
            record = ended.records[f"{name} {often}"]
            if record["status"] != status or not case.explains(record, retryable):
                wrong[record["id"]] = record.get("error", record["status"])
    return wrong
