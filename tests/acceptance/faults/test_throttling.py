"""Endpoints that ask to wait: for a while, which must not show, and for ever, which ends the run.

A wait is no try. An endpoint that only ever asks to wait has no answer for any row, so no row
has failed: the run ends with 3 and the same command continues it.
"""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from acceptance.faults.bench import Bench
from fakes.faults import Fault, fail, redirect, say, stall, throttle

TOO_MANY = {"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "slow down"}
STORMS = {
    "429": throttle(),
    "429 with seconds": throttle(1),
    "429 with no seconds at all": throttle(0),
    "429 with a date": throttle("date"),
    "429 with seconds in the body": throttle("body"),
    "429 with milliseconds": Fault(status=429, body="", headers={"Retry-After-Ms": "300"}),
    "429 with a wait that is none": throttle("soon"),
    "429 in HTML": fail(429, "html"),
    "429 told with 200": say(TOO_MANY),
    "503 with seconds": Fault(status=503, body="", headers={"Retry-After": "1"}),
}


def test_a_storm_passes_and_nobody_fails(bench: Bench) -> None:
    """Each row is turned away in its own way, and has one try."""
    bench.rows([{"id": name, "text": f"it is {name}."} for name in STORMS])
    bench.spec(attempts=1)
    for name, fault in STORMS.items():
        fault.contains, fault.times = f"it is {name}.", 1
    bench.workspace.script(STORMS.values())
    ended = bench.run()
    assert ended.code == 0
    told = ended.requests
    assert (told["waited"], told["sent"]) == (len(STORMS), 2 * len(STORMS))
    assert (told["retried"], told["maybe_paid"]) == (0, 0)
    ended.says("10 rows, 10 ok", "10 held back by a rate limit")
    bench.mend(lacking=0)


def test_everybody_is_held_back_by_one(bench: Bench) -> None:
    bench.workspace.script([throttle(1, at=5)])
    ended = bench.run()
    assert ended.code == 0
    assert ended.manifest["stalled_seconds"] >= 0.9
    bench.mend(lacking=0)


FOR_EVER = {
    "429": (throttle(), r"only ever asked to wait|no answer for", "429"),
    "429 for longer than we wait": (throttle(3600), "only ever asked to wait", "429"),
    "503 in HTML": (fail(503, "html"), r"no answer for \d+ s", "503"),
    "503 with seconds": (
        Fault(status=503, body="", headers={"Retry-After": "1"}),
        r"only ever asked to wait|no answer for",
        "503",
    ),
    "503 while it starts": (
        Fault(status=503, body={"message": "The endpoint is scaled to zero and starting"}),
        r"only ever asked to wait|no answer for",
        "503",
    ),
}


@pytest.mark.parametrize(("fault", "says", "status"), FOR_EVER.values(), ids=FOR_EVER)
def test_for_ever_ends_the_run_and_no_row_has_failed(
    bench: Bench, fault: Fault, says: str, status: str
) -> None:
    bench.workspace.script([fault])
    check_given_up(bench, says, status, lacking=10)


LATER = ["429 for longer than we wait", "503 in HTML"]


@pytest.mark.parametrize("name", LATER)
def test_so_it_does_after_some_answers(bench: Bench, name: str) -> None:
    fault, says, status = FOR_EVER[name]
    bench.workspace.script([replace(fault, at=range(5, 1000))])
    check_given_up(bench, says, status, lacking=6)


def check_given_up(bench: Bench, says: str, status: str, lacking: int) -> None:
    """The run ends soon after two seconds without an answer, and all but its answers is open."""
    bench.spec(attempts=50, retry_for=2)
    ended = bench.run()
    assert ended.code == 3
    ended.says(says, f"answered {status}", "run the same command")
    assert not [row for row, record in ended.records.items() if record["status"] == "error"]
    assert ended.manifest["status"] == "failed"
    assert ended.manifest["seconds"] < 6
    bench.mend(lacking=lacking)


AT_ONCE = {
    "a rate limit of 0": (
        say(
            {"error_code": "PERMISSION_DENIED", "message": "PERMISSION_DENIED: rate limit of 0."},
            status=403,
        ),
        "is switched off: .*rate limit of 0",
    ),
    "a rate limit of 0 as 429": (
        say({"error_code": "REQUEST_LIMIT_EXCEEDED", "message": "rate limit of 0"}, status=429),
        "is switched off: .*rate limit of 0",
    ),
    "an endpoint that is gone": (
        say({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such endpoint"}, status=404),
        "is not there: .*404",
    ),
    "a sign-in page to go to": (
        redirect("https://login.example/oidc", 302),
        r"redirects \(302\) to https://login.example/oidc, a login page",
    ),
    "access denied": (
        say({"error_code": "PERMISSION_DENIED", "message": "no CAN_QUERY"}, status=403),
        "access to .* is denied",
    ),
}


@pytest.mark.parametrize(("fault", "says"), AT_ONCE.values(), ids=AT_ONCE)
def test_what_no_request_can_pass_ends_the_run_at_once(
    bench: Bench, fault: Fault, says: str
) -> None:
    fault.at = range(5, 1000)
    bench.workspace.script([fault])
    ended = bench.run()
    assert ended.code == 3
    ended.says(f"dbrun: .*{says}.*; ")
    assert not [row for row, record in ended.records.items() if record["status"] == "error"]
    assert len(ended.given) <= 8, "nothing was sent after the first refusal was known"
    bench.mend(lacking=6)


def test_so_it_does_while_other_calls_hang(bench: Bench) -> None:
    """Nobody waits ten minutes for the rest of a run that cannot go on."""
    bench.spec(timeout=60)
    gone, _ = AT_ONCE["an endpoint that is gone"]
    bench.workspace.script([stall(60, at=1), replace(gone, at=None)])
    begun = time.monotonic()
    ended = bench.run("--grace", "0.5", abandoned=1)
    assert time.monotonic() - begun < 10
    assert ended.code == 3
    ended.says("is not there: .*404")
    bench.mend(lacking=10)
