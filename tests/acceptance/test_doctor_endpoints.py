"""`dbrun doctor` on what is asked: endpoints, clusters, servers, functions, models."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from acceptance.conftest import SPEC, Project
from acceptance.doctoring import HEAD, NOBODY, failing, lines
from fakes.origin import Origin, ok
from fakes.workspace import CLUSTER, FakeWorkspace

from dbrun.adapters import local_model


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("name: chta", "there is no serving endpoint 'chta' on 127.0.0.1:"),
        ("name: asleep", "endpoint: 'asleep' is not ready; look at its events"),
        ("name: forbidden", "'forbidden' may not be looked at, but perhaps be queried; set"),
        ("name: chat, served_model: chat-2", "serves nothing that is called 'chat-2'; set"),
        ("name: chat, token: {env: NOT_SET}", "environment variable NOT_SET is not set; export"),
        ("name: chat, token: {secret: a/b}", "there is no scope 'a'; see `databricks secrets"),
        ("name: chat, profile: nope", "no profile 'nope'"),
    ],
)
def test_endpoints_that_will_not_do(
    project: Project, workspace: FakeWorkspace, options: str, found: str
) -> None:
    project.write("tickets.yaml", SPEC.replace("name: chat, task: chat", options))
    said = project.run("doctor", "tickets.yaml")
    assert said.code == 3
    (line,) = failing(said)
    assert found in line


def test_an_endpoint_whose_task_is_set_may_hide(project: Project, workspace: FakeWorkspace) -> None:
    project.write("tickets.yaml", SPEC.replace("name: chat,", "name: forbidden,"))
    said = project.run("doctor", "tickets.yaml")
    assert said.code == 0
    assert lines(said, "endpoint") == [
        "warn  endpoint: 'forbidden' may not be looked at, but perhaps be queried; --ask finds out"
    ]


PROXY = f"adapter: databricks-proxy, cluster_id: {CLUSTER}, port: 7777"


@pytest.mark.parametrize(
    ("options", "state", "found"),
    [
        (PROXY, "RUNNING", [f"ok    cluster: {CLUSTER} is running"]),
        (
            PROXY,
            "TERMINATED",
            [f"fail  cluster: {CLUSTER} is terminated; start it, and the application on it"],
        ),
        (
            PROXY.replace(CLUSTER, "0000-x"),
            "RUNNING",
            ["fail  cluster: Cluster 0000-x does not exist; check endpoint.cluster_id"],
        ),
        (
            f"{PROXY}, org_id: '7'",
            "RUNNING",
            [
                f"ok    cluster: {CLUSTER} is running",
                "warn  org id: is 7, and the workspace's is 1234567890; set endpoint.org_id to "
                "'1234567890'",
            ],
        ),
    ],
)
def test_clusters(
    project: Project, workspace: FakeWorkspace, options: str, state: str, found: list[str]
) -> None:
    workspace.clusters[CLUSTER] = state
    project.write("tickets.yaml", HEAD + f"endpoint: {{{options}}}\n")
    said = project.run("doctor", "tickets.yaml")
    assert lines(said, "cluster", "org id") == found
    assert said.code == (3 if any(line.startswith("fail") for line in found) else 0)
    assert workspace.calls == []


@pytest.fixture
def models() -> Iterator[Origin]:
    """An OpenAI-compatible server that lists two models, whatever it is asked."""
    listed = {"data": [{"id": "llama-8b"}, {"id": "llama-70b"}]}
    with Origin(ok(json.dumps(listed).encode(), "Content-Type: application/json")) as origin:
        yield origin


@pytest.mark.parametrize(
    ("model", "line"),
    [
        ("model: llama-8b, ", "ok    model: llama-8b is listed"),
        ("model: llama-9b, ", "warn  model: the server does not list llama-9b; did you mean"),
        ("model: gpt, ", "warn  model: the server does not list gpt; there are llama-70b, llama-8"),
        ("", "ok    model: none is named; 2 are listed"),
    ],
)
def test_models_of_an_openai_server(
    project: Project, models: Origin, monkeypatch: pytest.MonkeyPatch, model: str, line: str
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-not-to-be-seen")
    endpoint = f"adapter: openai, base_url: '{models.url('/v1')}', {model}api_key: {{env: MY_KEY}}"
    project.write("tickets.yaml", HEAD + f"endpoint: {{{endpoint}}}\n")
    said = project.run("doctor", "tickets.yaml")
    assert said.code == 0
    assert lines(said, "model")[0].startswith(line)
    assert lines(said, "credentials") == ["ok    credentials: api_key is set"]
    assert [request.lines[0] for request in models.requests] == [
        "GET / HTTP/1.1",
        "GET /v1/models HTTP/1.1",
    ]
    assert models.requests[0].header("authorization") is None
    assert "sk-not" not in said.out


@pytest.mark.parametrize(
    ("status", "line"),
    [
        ("401 Unauthorized", "fail  credentials: endpoint.api_key is refused (401: "),
        ("404 Not Found", "warn  model: the server lists no models (404); --ask finds out"),
    ],
)
def test_an_openai_server_that_will_not_tell(
    project: Project, monkeypatch: pytest.MonkeyPatch, status: str, line: str
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-not-to-be-seen")
    with Origin(ok(b"", status="204 No Content"), ok(b"sk-not-to-be-seen", status=status)) as it:
        endpoint = f"adapter: openai, base_url: '{it.url('/v1')}', api_key: {{env: MY_KEY}}"
        project.write("tickets.yaml", HEAD + f"endpoint: {{{endpoint}, model: m}}\n")
        said = project.run("doctor", "tickets.yaml")
    assert line in said.out
    assert "sk-not" not in said.out


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ("adapter: openai, model: m, base_url: 'URL'", ["fail  server: cannot connect"]),
        (
            "adapter: openai, model: m, base_url: 'URL', api_key: {env: NOT_SET}",
            [
                "fail  server: cannot connect",
                "fail  credentials: tickets.yaml:5:80: endpoint.api_key: environment",
            ],
        ),
        ("adapter: mlflow, url: 'URL'", ["fail  server: cannot connect"]),
        ("adapter: http, url: 'URL', body: {}, text: a", ["fail  server: cannot connect"]),
    ],
)
def test_servers_that_are_not_there(project: Project, options: str, found: list[str]) -> None:
    project.write("tickets.yaml", HEAD + f"endpoint: {{{options.replace('URL', NOBODY)}}}\n")
    said = project.run("doctor", "tickets.yaml", "--ask")
    assert said.code == 3
    assert len(failing(said)) == len(found)
    assert all(line.startswith(one) for line, one in zip(failing(said), found, strict=True))


@pytest.mark.parametrize(
    ("status", "line"),
    [
        ("200 OK", "ok    model: is loaded (/ping)"),
        ("404 Not Found", "warn  model: /ping is answered with 404: this may be a gateway; --ask"),
    ],
)
def test_a_scoring_server_of_mlflow(project: Project, status: str, line: str) -> None:
    with Origin(ok(b"\n", status=status)) as it:
        project.write("tickets.yaml", HEAD + f"endpoint: {{adapter: mlflow, url: '{it.url()}'}}\n")
        said = project.run("doctor", "tickets.yaml")
    assert said.code == 0
    assert lines(said, "model")[0].startswith(line)
    assert it.requests[-1].lines[0] == "GET /ping HTTP/1.1"


def test_a_function(project: Project) -> None:
    project.write("mine.py", "print('loud')\ndef echo(prompt):\n    return prompt\n")
    project.write("tickets.yaml", HEAD + "endpoint: {adapter: python, function: 'mine:echo'}\n")
    said = project.run("doctor", "tickets.yaml", "--ask")
    assert said.code == 0
    assert lines(said, "function") == ["ok    function: mine:echo is importable"]
    assert said.out.count("'Say OK.'") == 1
    assert "loud" not in said.out


def test_a_model_that_is_not_installed(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_model, "find", lambda: None)
    monkeypatch.setattr(local_model, "engine_installed", lambda: False)
    project.write("tickets.yaml", HEAD + "endpoint: {adapter: local}\n")
    said = project.run("doctor", "tickets.yaml")
    assert said.code == 3
    assert "dbrun local install" in failing(said)[0]


def test_steps_on_one_endpoint_are_one(project: Project, workspace: FakeWorkspace) -> None:
    steps = "".join(f"  - {{name: {name}, prompt: hello}}\n" for name in ("a", "b"))
    project.write(
        "tickets.yaml", SPEC.replace('prompt: "Summarize: {{ text }}"\n', "") + "steps:\n" + steps
    )
    said = project.run("doctor", "tickets.yaml")
    assert len(lines(said, "host")) == 1
