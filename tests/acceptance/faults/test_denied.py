"""Endpoints that refuse whoever asks, and those that refuse what one row says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from acceptance.faults.bench import Bench
from fakes.faults import Fault, fail, login_page, say

REGION = say({"error": {"message": "not in your region"}}, status=403)
PAY = say({"error": {"message": "Insufficient Balance"}}, status=402)
QUOTA = say({"error": {"code": "insufficient_quota", "message": "see your plan"}}, status=429)

ROWS = 40


def many_rows(bench: Bench) -> None:
    bench.rows([{"id": f"R-{number}", "text": f"row {number}"} for number in range(ROWS)])


@pytest.mark.parametrize("fault", [PAY, QUOTA], ids=["402", "429 without a plan"])
@pytest.mark.parametrize("answered", [0, 5])
def test_an_account_without_money_ends_the_run_at_once(
    bench: Bench, fault: Fault, answered: int
) -> None:
    many_rows(bench)
    bench.workspace.script([replace(fault, at=range(answered + 1, 1000))])
    ended = bench.run()
    assert ended.code == 3
    ended.says("wants to be paid: .*; look after the account's credit, then run the same command")
    assert len(ended.given) < 30
    bench.mend(lacking=ROWS - answered)


@pytest.mark.parametrize("status", [405, 501])
def test_a_wrong_method_ends_the_run_at_once(bench: Bench, status: int) -> None:
    many_rows(bench)
    bench.workspace.script([fail(status, "empty")])
    ended = bench.run()
    assert ended.code == 3
    ended.says(
        rf"/invocations takes no POST \(adapter databricks\): the endpoint answered {status} .*; "
        "check endpoint.name"
    )
    assert len(ended.given) < 30
    bench.mend(lacking=ROWS)


def test_a_403_for_everything_ends_the_run(bench: Bench) -> None:
    many_rows(bench)
    bench.workspace.script([REGION])
    ended = bench.run()
    assert ended.code == 3
    ended.says("refuses everything that it was asked, 5 times: .*your region; ask its owner")
    assert len(ended.given) < 30
    bench.mend(lacking=ROWS)


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
def test_a_web_page_for_everything_ends_the_run(bench: Bench, kind: str) -> None:
    many_rows(bench)
    page = login_page()
    page.headers["content-type"] = kind
    bench.workspace.script([page])
    ended = bench.run()
    assert ended.code == 3
    ended.says("/invocations answers with a web page in place of JSON: .*; check endpoint.name")
    assert len(ended.given) < 30
    bench.mend(lacking=ROWS)


def test_a_web_page_for_one_text_costs_its_row(bench: Bench) -> None:
    bench.workspace.script([login_page(contains="ticket number 0")])
    ended = bench.run()
    assert ended.code == 1
    ended.says("10 rows, 9 ok", "T-0: malformed: .*text/html in place of JSON")


def test_a_403_for_one_text_costs_its_row(bench: Bench) -> None:
    """A firewall before the endpoint refuses what looks like an attack: other rows go on."""
    fault = replace(REGION, contains="ticket number 0")
    bench.workspace.script([fault])
    ended = bench.run()
    assert ended.code == 1
    ended.says("10 rows, 9 ok", "T-0: rejected: .*403 .*not in your region")
    again = bench.run()
    assert again.code == 1, "answers of the last run count"
    bench.mend(lacking=1)
