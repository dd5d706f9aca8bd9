"""Credentials that expire, are renewed, are refused once, or for ever."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from acceptance.faults.bench import SPEC, Bench
from fakes.faults import Fault, fail, say
from fakes.workspace import CLIENT

EXPIRED = {"error_code": "403", "message": "Invalid access token."}
REFUSALS = {
    "401": fail(401, "empty"),
    "401 in HTML": fail(401, "html"),
    "401 with a number for a code": say({"error_code": 401, "message": "who?"}, status=401),
    "403 in plain words": say("Invalid Token", status=403),
    "403 in HTML": say(
        "<html><body><pre>Error 403 Invalid access token.</pre></body></html>", status=403
    ),
    "403 that speaks of the token": say(EXPIRED, status=403),
}


@pytest.fixture(params=["a token", "a service principal"])
def login(request, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """The bench with a token that never changes, or with one that is fetched when needed."""
    if request.param == "a service principal":
        service_principal(monkeypatch)
    yield bench
    for secret in (CLIENT[1], "oauth-token-"):
        assert bench.holders_of(secret) == []
        assert not any(secret in said for said in bench.project.said)


def service_principal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens of an hour, for an id and a secret, in place of the one that never changes."""
    monkeypatch.delenv("DATABRICKS_TOKEN")
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", CLIENT[0])
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", CLIENT[1])


def test_refused_and_good_again(login: Bench) -> None:
    for number, refusal in enumerate(REFUSALS.values()):
        refusal.at = 2 + 2 * number
    login.spec(concurrency=1)
    login.workspace.script(REFUSALS.values())
    ended = login.run()
    assert ended.code == 0
    assert len(ended.given) == 10 + len(REFUSALS)
    login.mend(lacking=0)


def test_all_in_flight_refused_and_good_again(bench: Bench) -> None:
    bench.spec(concurrency=3)
    bench.workspace.latency = 0.05  # so that three are in flight before the first is refused
    bench.workspace.script([say(EXPIRED, status=403, delay=0.05, at=range(4, 7))])
    assert bench.run().code == 0
    bench.workspace.latency = 0
    bench.mend(lacking=0)


@pytest.mark.parametrize("name", ["401", "403 that speaks of the token"])
def test_refused_for_ever(login: Bench, name: str) -> None:
    """After two answers every call is refused: the run ends when a fresh token is, too."""
    login.workspace.script([replace(REFUSALS[name], at=range(3, 1000))])
    ended = login.run()
    assert ended.code == 3
    ended.says("dbrun: .* refuses .*: .*40[13].*; ")
    assert not [row for row, record in ended.records.items() if record["status"] == "error"]
    assert len(ended.given) <= 2 + 2 * 4, "once more after the refresh, by those in flight"
    login.mend(lacking=8)


def test_tokens_that_do_not_live_as_long_as_the_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    service_principal(monkeypatch)
    bench.workspace.lifetime = 0.6
    bench.workspace.latency = 0.25
    bench.spec(concurrency=2)
    ended = bench.run()
    assert ended.code == 0, ended.err
    assert sum("oidc" in call.path for call in bench.workspace.requests) >= 2
    bench.workspace.lifetime = 3600
    bench.mend(lacking=0)


def test_one_token_is_fetched_for_each_expiry(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tokens of a second are renewed after half of it: so often, and no more, they are fetched."""
    service_principal(monkeypatch)
    bench.workspace.lifetime = 1.0
    bench.workspace.latency = 0.12
    bench.rows([{"id": str(number), "text": f"text {number}"} for number in range(60)])
    bench.spec(concurrency=4)
    started = time.monotonic()
    ended = bench.run()
    assert ended.code == 0, ended.err
    lives = (time.monotonic() - started) / (bench.workspace.lifetime / 2)
    late = len(ended.given) - 60  # calls of a machine so busy that their token had expired
    assert 2 <= bench.workspace.tokens_given <= lives + 1 + late
    calls = [call for call in bench.workspace.requests if "oidc" not in call.path]
    sent = {call.headers["authorization"] for call in calls}
    assert late or len(sent) == bench.workspace.tokens_given, "every token was used"
    bench.workspace.lifetime = 3600
    bench.mend(lacking=0)


def test_a_token_that_is_revoked_in_mid_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    service_principal(monkeypatch)
    bench.workspace.latency = 0.1
    process = bench.start()
    with bench.watching() as started:
        bench.wait_for(lambda: len(bench.workspace.calls) >= 4)
        bench.workspace.revoke()
        said = bench.finish(process)
    assert bench.end(said, started()).code == 0
    assert bench.workspace.tokens_given == 2, "one for all that were in flight"
    bench.mend(lacking=0)


OAUTH = {
    "down": (fail(503, path="oidc"), "gives no OAuth token \\(503\\)"),
    "refuses": (fail(401, path="oidc"), "gives no OAuth token \\(401\\).*service principal"),
    "resets": (Fault(reset=True, path="oidc"), "connection reset"),
}


@pytest.mark.parametrize(("fault", "says"), OAUTH.values(), ids=OAUTH)
def test_no_token_to_be_had(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, fault: Fault, says: str
) -> None:
    service_principal(monkeypatch)
    bench.spec(attempts=50, retry_for=2)
    bench.workspace.script([fault])
    ended = bench.run()
    assert ended.code == 3
    ended.says(says)
    assert ended.records == {}
    assert ended.given == []
    bench.mend(lacking=10)


def test_a_token_endpoint_that_is_away_for_a_moment(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    service_principal(monkeypatch)
    bench.spec(attempts=5)
    bench.workspace.script([fail(503, path="oidc", times=1)])
    ended = bench.run()
    assert ended.code == 0
    assert ended.requests["by_status"] == {"200": 10}, "what fetched a token is no request"
    assert ended.requests["retried"] == 0
    bench.mend(lacking=0)


def test_a_token_out_of_the_workspace_s_secrets(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.workspace.tokens["dapi-kept-as-a-secret"] = float("inf")
    bench.workspace.secrets["team", "token"] = "dapi-kept-as-a-secret"
    spec = SPEC.replace("task: chat", "task: chat, token: {secret: team/token}")
    bench.spec(base=spec)
    ended = bench.run()
    assert ended.code == 0, ended.err
    sent = {call.request.headers["authorization"] for call in ended.given}
    assert sent == {"Bearer dapi-kept-as-a-secret"}
    assert [call.request.path for call in ended.others] == [
        "/api/2.0/secrets/get",
        "/api/2.0/serving-endpoints/chat",  # what the manifest tells of it
    ]
    assert bench.holders_of("dapi-kept-as-a-secret") == []
    bench.spec(base=spec.replace("team/token", "team/tokne"))
    bench.rows([{"id": "new", "text": "new"}])
    refused = bench.run()
    assert refused.code == 3
    refused.says("secret team/tokne cannot be read .*: the scope has no such key; see `databricks")
    assert refused.given == []
