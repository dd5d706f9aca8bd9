"""The fake is believed by many tests: what it promises is checked here."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from fakes import workspace as workspace_module
from fakes.workspace import (
    CLUSTER,
    FakeWorkspace,
    Fault,
    cut,
    delay,
    login_page,
    reset,
    throttle,
)

from dbrun.client.transport import HttpRequest, HttpResponse, Transport
from dbrun.errors import Unavailable

PROGRAM = Path(__file__).parent / "workspace.py"
CHAT = "/serving-endpoints/chat/invocations"
HI: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
OCTETS = {"content_type": "application/octet-stream"}
Ask = Callable[..., HttpResponse]


@pytest.fixture
def workspace() -> Iterator[FakeWorkspace]:
    with FakeWorkspace() as fake:
        yield fake


@pytest.fixture
def send() -> Iterator[Callable[..., HttpResponse]]:
    with Transport(environ={}) as transport:

        def make(url: str, body: Any = None, method: str = "POST", **headers: str) -> HttpResponse:
            raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            request = HttpRequest(method=method, url=url, headers=headers, body=raw)
            return transport.send(request, 5.0)

        yield make


@pytest.fixture
def ask(workspace: FakeWorkspace, send: Callable[..., HttpResponse]) -> Ask:
    def make(path: str, body: Any = None, method: str = "POST", **headers: str) -> HttpResponse:
        bearer = f"Bearer {workspace.token}"
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return send(workspace.url + path, body, method, Authorization=bearer, **headers)

    return make


def test_credentials_are_wanted(
    workspace: FakeWorkspace, send: Callable[..., HttpResponse]
) -> None:
    basic = base64.b64encode(f"token:{workspace.token}".encode()).decode()
    url = workspace.url + CHAT
    assert send(url, HI).status == 401
    assert send(url, HI, Authorization="Bearer nope").status == 403
    assert send(url, HI, Authorization=f"Basic {basic}").status == 200


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("chat", {**HI, "seed": 1}, 'unknown field \\"seed\\"'),
        ("external", {**HI, "stop": None}, "List[String]: null"),
        ("custom", {"dataframe_records": [], "inputs": []}, "exactly one of the input fields"),
        ("custom", {"dataframe_records": [{"x": 1}]}, "missing inputs ['prompt']"),
        (
            "custom",
            {"dataframe_records": [{"prompt": "a", "stop": []}, {"prompt": "b"}]},
            "Failed to convert column stop",
        ),
        ("custom", {"dataframe_records": [{"prompt": "a", "stop": None}]}, "convert column stop"),
        ("custom", {"inputs": {"prompt": ["a"]}}, "array element with a sequence"),
        ("custom", {"inputs": [{"prompt": "[boom]"}]}, "stack_trace"),
        ("chat", [], "no JSON object"),
    ],
)
def test_models_are_strict(ask: Ask, name: str, body: Any, said: str) -> None:
    answer = ask(f"/serving-endpoints/{name}/invocations", body)
    assert answer.status == 400
    assert said in answer.body.decode()


def test_the_unified_form_is_answered_with_a_bare_list(ask: Ask) -> None:
    answer = ask("/serving-endpoints/custom/invocations", {"prompt": "a b", "stop": [" b"]})
    assert json.loads(answer.body) == ["Echo: a"]


def test_a_stream_ends_with_done_and_counts_as_it_goes(ask: Ask) -> None:
    answer = ask(CHAT, {**HI, "stream": True})
    events = answer.body.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(event.removeprefix("data: ")) for event in events[:-2]]
    text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks)
    assert text == "Echo: hi That was 1 words. END"
    counts = [chunk["usage"]["completion_tokens"] for chunk in chunks]
    assert counts == sorted(counts)


def test_faults_happen_in_their_turn(workspace: FakeWorkspace, ask: Ask) -> None:
    workspace.script([throttle(at=1), login_page(every=3), delay(0.01, contains="slow"), cut(at=4)])
    statuses = [ask(CHAT, HI).status for _ in range(3)]
    assert statuses == [429, 200, 200]
    with pytest.raises(Unavailable):
        ask(CHAT, HI)
    workspace.script([reset(times=1)])
    with pytest.raises(Unavailable):
        ask(CHAT, HI)
    assert ask(CHAT, HI).status == 200
    assert len(workspace.calls) == 6
    assert workspace.distinct_bodies == 1
    assert workspace.peak_in_flight == 1


def test_tokens_expire_by_the_clock(send: Callable[..., HttpResponse]) -> None:
    basic = "Basic " + base64.b64encode(b"client-id-1:client-secret-1").decode()
    form = b"grant_type=client_credentials&scope=all-apis"
    with FakeWorkspace(lifetime=0.0) as workspace:
        told = send(workspace.url + "/oidc/v1/token", form, Authorization=basic)
        token = json.loads(told.body)["access_token"]
        answer = send(workspace.url + CHAT, HI, Authorization=f"Bearer {token}")
    assert (told.status, answer.status) == (200, 403)


def test_files_of_volumes(ask: Ask) -> None:
    path = "/api/2.0/fs/files/Volumes/main/default/v/c.jsonl"
    assert ask(path, b"x", "PUT", **OCTETS).status == 204
    assert ask(path, b"y", "PUT", **OCTETS).status == 409
    assert ask(path + "?overwrite=true", b"y", "PUT", **OCTETS).status == 204
    assert ask(path + "?overwrite=true", b"y", "PUT").status == 415
    assert ask(path.replace("/c", "/sub/c"), b"y", "PUT", **OCTETS).status == 404
    assert ask(path.replace("/v/", "/w/"), b"y", "PUT", **OCTETS).status == 404
    assert ask(path, None, "GET").body == b"y"
    assert ask(path, None, "DELETE").status == 204
    assert ask(path, None, "GET").status == 404


def test_what_a_file_of_a_volume_is_like(workspace: FakeWorkspace, ask: Ask) -> None:
    path = "/api/2.0/fs/files/Volumes/main/default/v/c.jsonl"
    ask(path, b"12345", "PUT", **OCTETS)
    bearer = {"Authorization": f"Bearer {workspace.token}"}
    told = requests.head(workspace.url + path, headers=bearer, timeout=5)
    assert (told.status_code, told.headers["content-length"], told.content) == (200, "5", b"")
    part = ask(path, None, "GET", Range="bytes=3-")
    assert (part.status, part.body, part.headers["content-range"]) == (206, b"45", "bytes 3-4/5")
    since = {"If-Unmodified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"}
    assert ask(path, None, "GET", **since).status == 412


def test_folders_of_volumes(workspace: FakeWorkspace, ask: Ask) -> None:
    path = "/api/2.0/fs/directories/Volumes/main/default/v"
    assert ask(path + "/a/b", b"", "PUT").status == 204
    assert ask(path + "/a", None, "DELETE").status == 400
    workspace.volumes.put("/Volumes/main/default/v/c", b"12")
    workspace.volumes.page = 1
    first = json.loads(ask(path, None, "GET").body)
    assert [one["name"] for one in first["contents"]] == ["a"]
    rest = json.loads(ask(f"{path}?page_token={first['next_page_token']}", None, "GET").body)
    assert [(one["name"], one["file_size"]) for one in rest["contents"]] == [("c", 2)]
    assert "next_page_token" not in rest
    assert ask(path + "/none", None, "GET").status == 404


def test_a_stream_can_break(workspace: FakeWorkspace, ask: Ask) -> None:
    workspace.script([cut(200, at=1), Fault(at=2, trimmed=200)])
    with pytest.raises(Unavailable):
        ask(CHAT, {**HI, "stream": True})
    unfinished = ask(CHAT, {**HI, "stream": True}).body
    assert unfinished.startswith(b"data: {")
    assert b"[DONE]" not in unfinished
    assert ask(CHAT, {**HI, "stream": True}).body.endswith(b"data: [DONE]\n\n")


def test_requests_are_kept_as_they_came(workspace: FakeWorkspace, ask: Ask) -> None:
    ask(CHAT + "?a=b", b' {"messages": [{"role":"user","content":"hi"}]}')
    (kept,) = workspace.calls
    assert (kept.method, kept.path, kept.query) == ("POST", CHAT, {"a": ["b"]})
    assert kept.body == b' {"messages": [{"role":"user","content":"hi"}]}'
    assert kept.headers["authorization"] == f"Bearer {workspace.token}"


def test_where_tokens_are_given_is_told_if_it_is_to_be(
    workspace: FakeWorkspace, send: Callable[..., HttpResponse]
) -> None:
    probe = f"{workspace.url}/.well-known/databricks-config"
    assert send(probe, None, "GET").status == 404
    workspace.metadata = True
    oidc = json.loads(send(probe, None, "GET").body)["oidc_endpoint"]
    told = send(f"{oidc}/.well-known/oauth-authorization-server", None, "GET")
    assert json.loads(told.body)["token_endpoint"] == f"{workspace.url}/oidc/v1/token"


TABLE = re.findall(r"[\w/]+\.py::\w+", workspace_module.__doc__ or "")


@pytest.mark.parametrize("name", TABLE)
def test_what_relies_on_it_is_there(name: str) -> None:
    file, _, test = name.partition("::")
    text = (PROGRAM.parent.parent / file).read_text(encoding="utf-8")
    assert re.search(rf"^def {test}\(", text, re.MULTILINE)


def test_who_am_i_tells_the_workspace_s_id(ask: Ask) -> None:
    me = ask("/api/2.0/preview/scim/v2/Me", None, "GET")
    assert me.headers["x-databricks-org-id"] == "1234567890"


def test_as_a_program_it_logs_every_request(
    tmp_path: Path, send: Callable[..., HttpResponse]
) -> None:
    log, script = tmp_path / "requests.log", tmp_path / "script.json"
    script.write_text(json.dumps([{"at": 2, "status": 503}]), encoding="utf-8")
    command = [sys.executable, str(PROGRAM), "--port", "0", "--log", str(log), "--token", "t"]
    process = subprocess.Popen(
        [*command, "--script", str(script)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        path = f"/driver-proxy-api/o/0/{CLUSTER}/7777"
        statuses = [
            send(url + path, {"prompt": "hi"}, Authorization="Bearer t").status for _ in range(2)
        ]
    finally:
        process.kill()
        process.communicate()
    assert statuses == [200, 503]
    digest = hashlib.sha256(b'{"prompt": "hi"}').hexdigest()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["n"] for line in lines] == [1, 2]
    assert {(line["method"], line["path"], line["body"]) for line in lines} == {
        ("POST", path, digest)
    }
