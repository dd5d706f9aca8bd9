"""`dbrun doctor`: what it says of a project that is well, and of each thing that can be wrong."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from acceptance.conftest import SPEC, Project, Said
from fakes.certificates import make_certificates
from fakes.origin import Origin, ok
from fakes.server import Server, as_json
from fakes.volume import volume
from fakes.workspace import CLIENT, CLUSTER, TOKEN, FakeWorkspace, Fault, delay, login_page

from dbrun.adapters import local_model

HEAD = "name: tickets\nsource: {path: rows.jsonl, id: id}\nprompt: hello\nsink: out/t.jsonl\n"
NOBODY = "http://127.0.0.1:9"  # the port of a service that is gone for decades


def lines(said: Said, *subjects: str) -> list[str]:
    """What was said of *subjects*, the host's pace aside."""
    found = [line for line in said.out.splitlines() if line[6:].startswith(subjects)]
    return [line.partition(" in 0.")[0] for line in found]


def failing(said: Said) -> list[str]:
    return [line for line in said.out.splitlines() if line.startswith("fail")]


def test_a_project_that_is_well(project: Project, workspace: FakeWorkspace) -> None:
    said = project.run("doctor", "tickets.yaml")
    assert said.code == 0
    about, extras, *rest = said.out.splitlines()
    assert about.startswith("ok    dbrun: 0.")
    assert extras.startswith("ok    extras: ")
    folder = project.folder / "out"
    assert [line.partition(" in 0.")[0] for line in rest if "free" not in line] == [
        "ok    source: rows.jsonl:1 can be read; columns id, text",
        f"ok    host: {workspace.url} answers",
        "ok    clock: agrees with the server's",
        "ok    login: someone@example.com, by DATABRICKS_TOKEN",
        "ok    endpoint: 'chat' is ready",
        "ok    endpoint: serves system.ai.fake",
        "ok    task: chat (llm/v1/chat)",
        "ok    permission: CAN_QUERY",
        f"ok    sink: {folder} (to be made) takes new files, appends and renames",
        "ok    journal: there is none yet",
    ]
    assert said.err == "no model is asked anything; --ask asks each endpoint one tiny question\n"
    assert workspace.calls == []
    assert not folder.exists()


def test_as_json(project: Project, workspace: FakeWorkspace) -> None:
    project.write("tickets.yaml", SPEC.replace("name: chat,", "name: asleep,"))
    said = project.run("doctor", "tickets.yaml", "--json")
    assert said.code == 3
    told = json.loads(said.out)
    assert told["healthy"] is False
    assert {"state": "fail", "check": "endpoint", "spec": "tickets.yaml"}.items() <= next(
        check.items() for check in told["checks"] if check["state"] == "fail"
    )
    assert all({"state", "check", "found"} <= check.keys() for check in told["checks"])


def test_one_tiny_question_if_it_is_wanted(project: Project, workspace: FakeWorkspace) -> None:
    said = project.run("doctor", "tickets.yaml", "--ask")
    assert said.code == 0
    assert said.err == ""
    (body,) = workspace.bodies()
    assert body == {"messages": [{"role": "user", "content": "Say OK."}], "max_tokens": 16}
    assert "'Echo: Say OK. That was 2 words. END'" in said.out
    assert not (project.folder / "out").exists()


@pytest.mark.parametrize("name", ["completions", "embeddings", "custom", "agent", "reasoning"])
def test_a_question_suits_its_endpoint(
    project: Project, workspace: FakeWorkspace, name: str
) -> None:
    project.write("tickets.yaml", SPEC.replace("name: chat, task: chat", f"name: {name}"))
    said = project.run("doctor", "tickets.yaml", "--ask")
    assert failing(said) == []
    assert len(workspace.calls) == 1


@pytest.mark.parametrize(
    ("column", "state"), [("{{ params.n }}", "ok"), ("{{ text }}", "warn")], ids=["param", "row"]
)
def test_a_question_has_the_params_of_the_spec(project: Project, column: str, state: str) -> None:
    body = f"{{q: '{{{{ prompt }}}}', n: '{column}'}}"
    with closing(Server(lambda call: as_json({"said": "OK"}))) as server:
        server.start()
        project.write(
            "tickets.yaml",
            "name: tickets\nsource: {path: rows.jsonl, id: id}\nprompt: a\nparams: {n: 3}\n"
            f"endpoint: {{adapter: http, url: '{server.url}', body: {body}}}\n",
        )
        said = project.run("doctor", "tickets.yaml", "--ask")
    assert lines(said, "ask")[0].startswith(state)


def test_a_question_that_is_refused(project: Project, workspace: FakeWorkspace) -> None:
    message = "PERMISSION_DENIED: The endpoint is temporarily disabled due to a Databricks-set "
    body = {"error_code": "PERMISSION_DENIED", "message": f"{message}rate limit of 0."}
    workspace.script([Fault(at=1, status=403, body=body)])
    said = project.run("doctor", "tickets.yaml", "--ask")
    assert said.code == 3
    assert "is switched off" in failing(said)[0]


def test_columns_are_not_guessed(project: Project, workspace: FakeWorkspace) -> None:
    options = "name: custom, task: model, columns: {prompt: '{{ text }}'}"
    project.write("tickets.yaml", SPEC.replace("name: chat, task: chat", options))
    said = project.run("doctor", "tickets.yaml", "--ask")
    (line,) = lines(said, "ask")
    assert line.startswith("warn  ask: the endpoint takes columns of a row")
    assert workspace.calls == []


# --- the workspace ------------------------------------------------------------------------------


def test_without_a_spec(project: Project, workspace: FakeWorkspace) -> None:
    said = project.run("doctor")
    assert said.code == 0
    assert lines(said, "login") == ["ok    login: someone@example.com, by DATABRICKS_TOKEN"]
    assert [request.path for request in workspace.requests] == [
        "/.well-known/databricks-config",
        "/api/2.0/preview/scim/v2/Me",
    ]
    assert "authorization" not in workspace.requests[0].headers


def test_where_nothing_is_set(project: Project) -> None:
    said = project.run("doctor")
    assert said.code == 0
    assert lines(said, "login")[0].startswith("warn  login: no Databricks workspace is set; set")


def test_a_service_principal_is_named(
    project: Project, workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABRICKS_TOKEN")
    monkeypatch.setenv("DATABRICKS_CLIENT_ID", CLIENT[0])
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", CLIENT[1])
    workspace.me = {"userName": CLIENT[0], "displayName": "nightly"}
    said = project.run("doctor")
    assert lines(said, "login") == [
        f"ok    login: {CLIENT[0]} (nightly), by service principal {CLIENT[0]}"
    ]
    monkeypatch.setenv("DATABRICKS_CLIENT_SECRET", "mistyped-secret")
    said = project.run("doctor")
    assert said.code == 3
    assert "gives no OAuth token (401)" in failing(said)[0]
    assert "mistyped-secret" not in said.out


def test_a_token_that_is_refused(project: Project, workspace: FakeWorkspace) -> None:
    workspace.revoke()
    said = project.run("doctor", "tickets.yaml")
    assert said.code == 3
    assert failing(said) == [
        "fail  login: DATABRICKS_TOKEN is refused (403); renew the token, or log in again"
    ]
    assert lines(said, "endpoint", "task") == [], "of which nothing can be known"
    assert lines(said, "sink")


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (
            Fault(path="/Me", status=403, body={"detail": "User not in workspace"}),
            "login: DATABRICKS_TOKEN is known, and not let in (403: User not in workspace); have",
        ),
        (login_page(path="/Me"), "does not answer as a workspace (200); check the host"),
        (Fault(path="/Me", status=404, body={}), "does not answer as a workspace (404); check"),
        (Fault(path="/Me", reset=True), "login: 127.0.0.1:"),
        (
            Fault(
                path="/.well-known",
                status=307,
                headers={"location": "/login.html?error=private-link-validation-error:1"},
            ),
            "lets nobody in from this network: it wants a private link; run where",
        ),
    ],
)
def test_what_else_may_be_wrong_with_a_workspace(
    project: Project, workspace: FakeWorkspace, fault: Fault, found: str
) -> None:
    workspace.script([fault])
    said = project.run("doctor", "tickets.yaml")
    assert said.code == 3
    (line,) = failing(said)
    assert found in line


def test_a_host_that_is_not_there(
    project: Project, workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", NOBODY)
    said = project.run("doctor", "tickets.yaml")
    assert said.code == 3
    (line,) = failing(said)
    assert line.startswith("fail  host: cannot connect to 127.0.0.1:9: connection refused; check")


def test_a_host_that_is_none(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", "http://my.host")
    monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
    said = project.run("doctor")
    assert said.code == 3
    assert "DATABRICKS_HOST: plain http would send the token in the clear" in failing(said)[0]


def test_a_host_whose_certificate_nobody_vouches_for(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "tls").mkdir()
    made = make_certificates(tmp_path / "tls")
    answer = ok(b'{"userName": "me"}', "Content-Type: application/json")
    with Origin(answer, tls=made.server) as origin, Plain() as plain:
        monkeypatch.setenv("DATABRICKS_HOST", origin.url())
        monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
        (line,) = failing(project.run("doctor"))
        assert "is not trusted: " in line
        assert line.endswith("REQUESTS_CA_BUNDLE, to the file of the authority that signed it")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", made.authority)
        assert project.run("doctor").code == 0
        monkeypatch.setenv("DATABRICKS_HOST", plain.url(scheme="https"))
        (line,) = failing(project.run("doctor"))
        assert line.endswith("check scheme and port: it may speak plain http, or another TLS")


class Plain(Origin):
    """Takes a TLS handshake for a request that it does not understand."""

    def converse(self, sock: socket.socket, number: int) -> None:
        sock.recv(10)
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_host_that_says_nothing(project: Project, workspace: FakeWorkspace) -> None:
    workspace.script([delay(20, path="/.well-known")])
    said = project.run("doctor", "--timeout", "0.2")
    assert said.code == 3
    assert lines(said, "login") == []
    assert lines(said, "host")[0].startswith("fail  host: no")


@pytest.mark.parametrize(
    ("ahead", "line"),
    [
        (0.0, "ok    clock: agrees with the server's"),
        (30.0, "ok    clock: 30 s behind the server's"),
        (600.0, "warn  clock: 600 s behind the server's; set it by a time server"),
        (-600.0, "warn  clock: 600 s ahead of the server's; set it by a time server"),
    ],
)
def test_clocks(project: Project, workspace: FakeWorkspace, ahead: float, line: str) -> None:
    workspace.ahead = ahead + 0.5 if ahead else 0.0  # the header knows no parts of seconds
    said = project.run("doctor")
    assert said.code == 0
    (found,) = lines(said, "clock")
    number = str(round(abs(ahead)))
    near = [str(round(abs(ahead)) + off) for off in (-1, 0, 1)]
    assert any(found.startswith(line.replace(number, one)) for one in near)


def test_the_proxy_on_the_way_is_named_without_its_password(
    project: Project, workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = ok(b'{"userName": "me"}', "Content-Type: application/json")
    with Origin(answer) as proxy:
        monkeypatch.setenv("http_proxy", f"http://user:hush@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("no_proxy", "")
        said = project.run("doctor")
        proxy._answers[:] = [ok(b"", status="407 Proxy Authentication Required")]
        refused = project.run("doctor")
    assert f" s, by way of the proxy 127.0.0.1:{proxy.port}\n" in said.out
    assert refused.code == 3
    assert "refuses" in failing(refused)[0]
    assert "hush" not in said.out + refused.out


# --- endpoints ----------------------------------------------------------------------------------


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
            ["fail  server: cannot connect", "fail  credentials: endpoint.api_key: environment"],
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


# --- rows and storage ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (None, "fail  source: rows.jsonl: there is no such file"),
        ("", "warn  source: has no rows; look whether it is the right one"),
        ("{broken\n", "fail  source: rows.jsonl:1: not JSON"),
    ],
)
def test_rows(project: Project, workspace: FakeWorkspace, text: str | None, line: str) -> None:
    (project.folder / "rows.jsonl").unlink()
    if text is not None:
        project.write("rows.jsonl", text)
    said = project.run("doctor", "tickets.yaml")
    assert lines(said, "source")[0].startswith(line)


def test_rows_that_somebody_has_yet_to_give_are_not_waited_for(
    project: Project, workspace: FakeWorkspace
) -> None:
    project.write("tickets.yaml", SPEC.replace("path: rows.jsonl", "path: '-'"))
    said = project.run("doctor", "tickets.yaml")
    assert lines(said, "source") == ["ok    source: jsonl, which is not read before there is a run"]


def test_the_journal_and_the_results(project: Project, workspace: FakeWorkspace) -> None:
    assert project.run("tickets.yaml").code == 0
    said = project.run("doctor", "tickets.yaml")
    assert lines(said, "journal", "results") == [
        "ok    journal: 10 answers in 1 file",
        "ok    results: are there, of a finished run",
    ]
    (project.folder / "out/tickets.run.json.partial").write_text("{}")
    (segment,) = (project.folder / "out/tickets.jsonl.journal").glob("*.jsonl")
    text = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(text[0] + b"damaged\n" + b"".join(text[2:]))
    said = project.run("doctor", "tickets.yaml")
    (project.folder / "out/tickets.run.json.partial").unlink()
    assert said.code == 0
    journal, results = lines(said, "journal", "results")
    assert journal.startswith("warn  journal: 9 answers in 1 file; 1 damaged line, which count as")
    assert results == "warn  results: the last run did not finish; the same command continues it"


def test_a_journal_of_its_own_or_none(project: Project, workspace: FakeWorkspace) -> None:
    project.write("tickets.yaml", SPEC + "journal: {path: elsewhere/j}\n")
    said = project.run("doctor", "tickets.yaml")
    assert f"{project.folder / 'elsewhere/j'} (to be made) takes" in lines(said, "journal")[0]
    project.write("tickets.yaml", SPEC + "journal: {mode: 'off'}\n")
    said = project.run("doctor", "tickets.yaml")
    assert lines(said, "journal")[-1].startswith("warn  journal: is off")


def test_the_folders_of_a_table(project: Project, workspace: FakeWorkspace) -> None:
    sink = "sink: {path: lake/tickets, format: delta, errors: bad/tickets.jsonl}"
    project.write("tickets.yaml", SPEC.replace("sink: out/tickets.jsonl", sink))
    project.write("bad", "a file in the way")
    said = project.run("doctor", "tickets.yaml")
    assert said.code == 3
    assert lines(said, "table")[0] == (
        f"ok    table: {project.folder / 'lake'} (to be made) takes new files, appends and renames"
    )
    assert failing(said) == [
        f"fail  errors: {project.folder / 'bad'} is no folder; name another path"
    ]


def test_a_volume(project: Project, workspace: FakeWorkspace, tmp_path: Path) -> None:
    with volume(tmp_path / "volume") as there:
        project.write("tickets.yaml", SPEC.replace("out/tickets", f"{there.path}/out/tickets"))
        os.environ["DBRUN_SPOOL"] = str(tmp_path / "spool")
        try:
            if there.environ:  # then only programs of their own meet it
                said = project.end(
                    project.start(
                        "doctor",
                        "tickets.yaml",
                        command=["env", *(f"{k}={v}" for k, v in there.environ.items())],
                    )
                )
            else:
                said = project.run("doctor", "tickets.yaml")
        finally:
            del os.environ["DBRUN_SPOOL"]
        assert os.listdir(there.path) == []
    assert said.code == 0
    able = lines(said, "sink")[0]
    assert "takes new whole files; what grows is kept in" in able
    assert lines(said, "spool")


# --- the command --------------------------------------------------------------------------------


def test_several_specs_are_told_apart(project: Project, workspace: FakeWorkspace) -> None:
    project.write("other.yaml", SPEC.replace("name: chat,", "name: asleep,"))
    said = project.run("doctor", "tickets.yaml", "other.yaml")
    assert said.code == 3
    texts = said.out.splitlines()
    assert texts.index("tickets.yaml") < texts.index("other.yaml")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["nope.yaml"], "nope.yaml: there is no such file"),
        (["--ask"], "--ask needs a SPEC"),
        (["tickets.yaml", "--timeout", "0"], "--timeout"),
        (["tickets.yaml", "--set", "endpoint.nmae=x"], "endpoint.nmae: unknown key"),
    ],
)
def test_misuse(project: Project, words: list[str], found: str) -> None:
    said = project.run("doctor", *words)
    assert said.code == 2
    assert found in said.err
    assert said.out == ""


def test_a_target_is_laid_over(project: Project, workspace: FakeWorkspace) -> None:
    project.write("tickets.yaml", SPEC + "targets: {dev: {endpoint: {name: asleep}}}\n")
    assert project.run("doctor", "tickets.yaml").code == 0
    assert project.run("doctor", "tickets.yaml", "-t", "dev").code == 3


def test_what_a_run_does_not_need_is_not_imported(project: Project) -> None:
    project.write("mine.py", "def echo(prompt):\n    return prompt\n")
    project.write("tickets.yaml", HEAD + "endpoint: {adapter: python, function: 'mine:echo'}\n")
    code = (
        "import sys; from dbrun.cli.main import main; code = main(['tickets.yaml', '--quiet']); "
        "print(code, [m for m in sys.modules if 'doctor' in m or 'checkup' in m or "
        "m.startswith('databricks')])"
    )
    said = project.end(start(project, code))
    assert said.out.split("\n")[0] == "0 []", said.err


def start(project: Project, code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=project.folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
