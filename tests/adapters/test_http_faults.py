"""Calls over real connections to a server that misbehaves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fakes.workspace import FakeWorkspace, cut, fail, login_page, reset, short, stall, throttle

from dbrun.adapters.base import Request
from dbrun.adapters.databricks import DatabricksAdapter
from dbrun.adapters.openai import OpenAIAdapter
from dbrun.errors import (
    EndpointError,
    Malformed,
    RateLimited,
    Rejected,
    TimedOut,
    Unavailable,
    Unreachable,
)

Open = Callable[..., Any]


def ask(adapter: Any, prompt: str = "hi") -> Any:
    (answer,) = adapter.call([adapter.encode(Request(fields={"prompt": prompt}))], 5.0)
    return answer


FAULTS = [
    (throttle(), RateLimited, 429, None),
    (throttle(2), RateLimited, 429, 2.0),
    (throttle("body"), RateLimited, 429, 1.0),
    (fail(500), Unavailable, 500, None),
    (fail(502, "html"), Unavailable, 502, None),
    (fail(503, "empty"), Unavailable, 503, None),
    (fail(504, "plain"), TimedOut, 504, None),
    (fail(400, "plain"), Rejected, 400, None),
    (reset(), Unavailable, None, None),
    (cut(5), Unavailable, None, None),
    (stall(0.2), Unavailable, None, None),
    (login_page(), Malformed, 200, None),
]


@pytest.mark.parametrize(
    ("fault", "kind", "status", "wait"), FAULTS, ids=[str(number) for number in range(len(FAULTS))]
)
def test_faults_over_a_real_connection(
    workspace: FakeWorkspace,
    open_adapter: Open,
    fault: Any,
    kind: type,
    status: int | None,
    wait: float | None,
) -> None:
    adapter = served(open_adapter, workspace)
    workspace.script([fault])
    with pytest.raises(EndpointError) as caught:
        ask(adapter)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.retry_after) == (status, wait)
    workspace.script([])
    assert adapter.decode(ask(adapter).body).value == "Echo: hi That was 1 words. END"


def test_a_date_to_wait_for_is_understood(workspace: FakeWorkspace, open_adapter: Open) -> None:
    adapter = served(open_adapter, workspace)
    workspace.script([throttle("date")])
    with pytest.raises(RateLimited) as caught:
        ask(adapter)
    assert caught.value.retry_after is not None
    assert 0 <= caught.value.retry_after <= 1


def test_too_few_predictions_over_a_real_connection(
    workspace: FakeWorkspace, open_adapter: Open
) -> None:
    adapter = served(open_adapter, workspace, "custom", batch_size=3)
    workspace.script([short()])
    bodies = [adapter.encode(Request(fields={"prompt": prompt})) for prompt in "abc"]
    with pytest.raises(Malformed, match="3 rows were sent and 2 predictions came"):
        adapter.call(bodies, 5.0)


def test_a_slow_answer_times_out(workspace: FakeWorkspace, open_adapter: Open) -> None:
    adapter = served(open_adapter, workspace)
    workspace.script([stall(5)])
    body = adapter.encode(Request(fields={"prompt": "hi"}))
    with pytest.raises(TimedOut):
        adapter.call([body], 0.05)


def test_nobody_there_is_unreachable(open_adapter: Open) -> None:
    adapter = open_adapter(OpenAIAdapter, {"base_url": "http://127.0.0.1:9/v1"})
    with pytest.raises(Unreachable):
        ask(adapter)


def served(open_adapter: Open, workspace: FakeWorkspace, name: str = "chat", **more: Any) -> Any:
    """An adapter for an endpoint of the fake workspace."""
    options = {"name": name, **more}
    return open_adapter(DatabricksAdapter, options, environ=workspace.environ)
