"""A Databricks workspace on the loopback: serving, driver proxy, OAuth, secrets, files.

    with FakeWorkspace() as workspace:
        workspace.url, workspace.token, workspace.requests
        workspace.script([throttle(at=3, retry_after=1), reset(at=5)])

As a program it prints its URL and serves until it is ended:

    python tests/fakes/workspace.py --port 0 --log requests.log --latency 0.05

What it imitates, and the tests that rely on it or check it (`test_fake_workspace.py` looks whether
they are there):

| of a workspace | tests |
|---|---|
| where OAuth tokens are given, told without credentials | client/login/test_sdk_chain.py::test_oauth_of_a_service_principal client/login/test_sdk_chain.py::test_a_host_that_does_not_tell_where_it_gives_tokens |
| credentials: bearer, basic, missing, wrong | fakes/test_fake_workspace.py::test_credentials_are_wanted |
| endpoints by name and kind, with and without a type, forbidden, missing | adapters/test_databricks.py::test_auto_finds_out_what_an_endpoint_does adapters/test_databricks.py::test_a_look_that_is_forbidden_tells_to_set_the_task adapters/test_databricks.py::test_a_name_that_is_not_there_is_answered_with_near_ones |
| models that refuse what they do not know | fakes/test_fake_workspace.py::test_models_are_strict |
| ids of requests, kept for inference tables: taken by all but foundation models | acceptance/test_request_ids.py::test_one_for_each_row_whatever_is_tried_again acceptance/test_request_ids.py::test_a_foundation_model_takes_none |
| one served model of several | adapters/test_databricks.py::test_a_served_model_has_its_own_path |
| the driver proxy: an application, a model server, the workspace's id, the cluster | adapters/test_driver_proxy.py::test_the_body_is_flat_and_the_answer_any_json adapters/test_driver_proxy.py::test_a_model_server_on_the_driver adapters/test_driver_proxy.py::test_a_wrong_org_is_told_with_what_to_check adapters/test_driver_proxy.py::test_a_cluster_that_is_off_ends_the_run acceptance/test_doctor_endpoints.py::test_clusters |
| the AI gateway's own paths | test_migrate.py::test_the_yaml_sends_what_the_class_sent |
| OAuth tokens of a service principal: refused clients, short lives, counted | client/test_auth.py::test_a_service_principal_gets_a_token client/test_auth.py::test_a_wrong_client_is_told_without_its_secret fakes/test_fake_workspace.py::test_tokens_expire_by_the_clock acceptance/faults/test_logins.py::test_one_token_is_fetched_for_each_expiry |
| tokens that are taken back | acceptance/faults/test_logins.py::test_a_token_that_is_revoked_in_mid_run |
| secrets: no scope, no key, no permission | client/login/test_workspace.py::test_what_is_wrong_with_a_secret_is_told acceptance/faults/test_logins.py::test_a_token_out_of_the_workspace_s_secrets |
| who asks, the workspace's id, its clock | fakes/test_fake_workspace.py::test_who_am_i_tells_the_workspace_s_id acceptance/test_doctor_workspace.py::test_clocks |
| SQL: statements that are run, parameters, results in parts behind links, failures | client/sql/test_warehouse.py::test_a_result_in_parts client/sql/test_warehouse.py::test_what_fails_is_said sinks/test_unity.py::test_merge_replaces_by_key_but_never_ok_by_not_ok |
| files and folders of volumes | fakes/test_fake_workspace.py::test_files_of_volumes fakes/test_fake_workspace.py::test_folders_of_volumes acceptance/test_volumes_away.py::test_one_file acceptance/test_volumes_away.py::test_what_cannot_be_read_is_said |
| faults: each error of the serving API, word for word | acceptance/faults/test_wire_reference.py::test_what_is_waited_for acceptance/faults/test_wire_reference.py::test_what_is_tried_again acceptance/faults/test_wire_reference.py::test_what_is_refused_fails_its_row_and_is_asked_once acceptance/faults/test_throttling.py::test_what_no_request_can_pass_ends_the_run_at_once acceptance/faults/test_logins.py::test_refused_and_good_again |
| faults: 429 with seconds, a date, seconds in the body, nothing | acceptance/faults/test_throttling.py::test_a_storm_passes_and_nobody_fails adapters/test_http_faults.py::test_a_date_to_wait_for_is_understood |
| faults: resets, silence, answers that are cut, HTML, empty bodies, other bytes than UTF-8 | acceptance/faults/test_broken_answers.py::test_what_breaks_is_tried_again acceptance/faults/test_broken_answers.py::test_what_is_no_answer_fails_its_row |
| faults: fewer predictions than rows | adapters/test_http_faults.py::test_too_few_predictions_over_a_real_connection |
| faults: streams that are cut, and that end without saying so | fakes/test_fake_workspace.py::test_a_stream_can_break |
| faults: cold starts | adapters/test_http_faults.py::test_a_slow_answer_times_out |
| requests as they came: method, path, query, headers, raw body | fakes/test_fake_workspace.py::test_requests_are_kept_as_they_came adapters/test_legacy_parity.py::test_nothing_is_sent_that_nobody_set adapters/test_legacy_parity.py::test_no_stop_is_ever_null_or_empty adapters/test_legacy_parity.py::test_headers_on_the_wire |
"""  # noqa: E501 - a table

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from email.utils import formatdate
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

# Found from anywhere: as a program, and by tests that import it under whatever name.
sys.path.insert(0, str(Path(__file__).parent.parent))

from fakes.faults import (
    Fault,
    Script,
    cut,
    delay,
    fail,
    from_json,
    login_page,
    reset,
    short,
    stall,
    throttle,
)
from fakes.models import KINDS, Endpoint, Refusal, speak, standard_endpoints
from fakes.server import Given, Received, Reply, Server, as_json, quoted_parts
from fakes.volumes import FakeVolumes

if TYPE_CHECKING:
    from fakes.warehouse import FakeWarehouse

__all__ = [
    "CLUSTER",
    "TOKEN",
    "Endpoint",
    "FakeWorkspace",
    "Fault",
    "cut",
    "delay",
    "fail",
    "login_page",
    "reset",
    "short",
    "stall",
    "throttle",
]

TOKEN = "dapi" + "0123456789abcdef" * 2
CLIENT = ("client-id-1", "client-secret-1")
CLUSTER = "0101-120000-fake1234"
ORG = "1234567890"


class FakeWorkspace:
    """One workspace.

    *requests* are all that came in, *calls* those to models. *endpoints*, *secrets*, *closed*
    (scopes without permission), *clusters* (their states), *me* and *tokens* may be changed while
    it runs. *lifetime* is the seconds that an OAuth token lives; *tokens_given* counts them.
    *id_tokens* are those of another issuer that it takes for one of its own. *metadata* has it
    tell where it gives them; *ahead* is by how many seconds its clock is.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        token: str = TOKEN,
        latency: float = 0.0,
        log: str | Path | None = None,
        lifetime: float = 3600.0,
    ) -> None:
        self.token = token
        self.tokens: dict[str, float] = {token: float("inf")}
        self.latency = latency
        self.lifetime = lifetime
        self.endpoints = standard_endpoints()
        self.secrets: dict[tuple[str, str], str] = {("scope", "key"): "a-secret-value"}
        self.closed: set[str] = set()
        self.id_tokens: set[str] = set()
        self.clusters = {CLUSTER: "RUNNING"}
        self.me = {"userName": "someone@example.com", "id": "1", "active": True}
        self.ahead = 0.0
        self.volumes = FakeVolumes()
        self.warehouse: FakeWarehouse | None = None
        self.org = "0"
        self.metadata = False
        self.requests: list[Received] = []
        self.calls: list[Received] = []
        self._script = Script()
        self._lock = threading.Lock()
        self.tokens_given = 0
        self._log = open(log, "ab", buffering=0) if log else None  # noqa: SIM115
        self._server = Server(self._answer, port)
        self.url = self._server.url

    def __enter__(self) -> FakeWorkspace:
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        if self._log:
            self._log.close()

    @property
    def environ(self) -> dict[str, str]:
        """The environment of somebody who may use the workspace."""
        return {"DATABRICKS_HOST": self.url, "DATABRICKS_TOKEN": self.token}

    @property
    def distinct_bodies(self) -> int:
        """How many different bodies the models were asked with."""
        return len({(call.path, call.body) for call in self.calls})

    @property
    def peak_in_flight(self) -> int:
        """The most requests that were there at once."""
        return self._server.peak_in_flight

    @property
    def given(self) -> list[Given]:
        """What became of the requests that are over, in the order of their ends."""
        return list(self._server.given)

    @property
    def in_flight(self) -> int:
        """The requests that are being answered now."""
        return self._server.in_flight

    @property
    def connections(self) -> int:
        """How many connections were made."""
        return len(self._server.connections)

    def script(self, faults: Iterable[Fault], seed: int = 0) -> None:
        """Play *faults* from now on; the numbers count model requests since the start."""
        self._script.set(faults, seed)

    def revoke(self, token: str | None = None) -> None:
        """Make *token* (or every one) invalid."""
        with self._lock:
            for name in [token] if token else list(self.tokens):
                self.tokens.pop(name, None)

    def bodies(self) -> list[Any]:
        """The JSON bodies of the calls to models, in order."""
        return [call.json for call in self.calls]

    def _answer(self, request: Received) -> Reply:
        number = self._record(request)
        reply = self._route(request)
        fault = self._script.find(request, number)
        if number:
            reply.delay += self.latency
        else:
            reply.headers.setdefault("date", formatdate(time.time() + self.ahead, usegmt=True))
        return fault.apply(reply) if fault else reply

    def _record(self, request: Received) -> int:
        """The number of a model request, from 1; 0 for any other."""
        with self._lock:
            self.requests.append(request)
            if self._log:
                digest = hashlib.sha256(request.body).hexdigest()
                line = {"n": request.number, "method": request.method, "path": request.path}
                self._log.write(json.dumps({**line, "body": digest}).encode() + b"\n")
            if not _is_model(request.path):
                return 0
            self.calls.append(request)
            return len(self.calls)

    def _route(self, request: Received) -> Reply:
        parts = quoted_parts(request.path)
        if ".well-known" in parts[:2]:
            return self._well_known(parts)
        if parts == ["oidc", "v1", "token"]:
            return self._give_token(request)
        if parts[:1] == ["external"] and self.warehouse is not None:
            return self.warehouse.link(request, parts[1:])
        if refusal := self._refused(request):
            return refusal
        try:
            reply = self._authorized(request, parts)
        except Refusal as refused:
            reply = refused.reply
        if parts[:1] == ["api"]:
            reply.headers["x-databricks-org-id"] = ORG
        return reply

    def _authorized(self, request: Received, parts: list[str]) -> Reply:
        if parts[0] == "serving-endpoints":
            return self._serve(request, parts[1:])
        if parts[0] == "ai-gateway":
            return self._serve(request, parts[3:])
        if parts[0] == "driver-proxy-api":
            return self._drive(request, parts[1:])
        if parts[:3] == ["api", "2.0", "serving-endpoints"]:
            return self._describe(parts[3:])
        if parts[:4] == ["api", "2.0", "secrets", "get"]:
            return self._tell_secret(request)
        if parts == ["api", "2.0", "preview", "scim", "v2", "Me"]:
            return as_json(self.me)
        if parts == ["api", "2.1", "clusters", "get"]:
            return self._tell_cluster(request)
        if parts[:4] == ["api", "2.0", "sql", "statements"] and self.warehouse is not None:
            return self.warehouse.answer(request, parts[4:], self.url)
        if parts[:3] == ["api", "2.0", "fs"] and parts[3] in ("files", "directories"):
            return self.volumes.answer(request)
        return as_json({"error_code": "ENDPOINT_NOT_FOUND", "message": "No API found"}, 404)

    def _refused(self, request: Received) -> Reply | None:
        """401 without credentials, 403 with wrong or old ones."""
        kind, _, value = request.headers.get("authorization", "").partition(" ")
        if kind == "Basic":
            value = base64.b64decode(value).decode().partition(":")[2]
        if kind not in ("Bearer", "Basic") or not value:
            return as_json({"error_code": 401, "message": "Credential was not sent"}, 401)
        with self._lock:
            if self.tokens.get(value, 0.0) > time.monotonic():
                return None
        return as_json({"error_code": "403", "message": "Invalid access token."}, 403)

    def _serve(self, request: Received, parts: list[str]) -> Reply:
        body = _object(request.body)
        headers: dict[str, str] = {}
        if parts[-1] == "invocations" and len(parts) in (2, 4):
            name = parts[0]
            if len(parts) == 4:
                headers["served-model-name"] = parts[2]
        else:
            name = str(body.pop("model", ""))
        endpoint = self.endpoints.get(name)
        if endpoint is None:
            message = "The given endpoint does not exist, please retry after checking."
            raise Refusal(404, {"error_code": "ENDPOINT_NOT_FOUND", "message": message})
        if not endpoint.is_foundation:  # whose gateway knows no such field
            body.pop("client_request_id", None)
        reply = KINDS[endpoint.kind](endpoint, body)
        reply.headers.update(headers or {"served-model-name": endpoint.serving(name, request.body)})
        return reply

    def _drive(self, request: Received, parts: list[str]) -> Reply:
        """`/o/{org}/{cluster}/{port}[/v1/chat/completions]`: an application, or a model server."""
        if parts[:1] != ["o"] or len(parts) < 4 or parts[1] != self.org:
            return Reply(404, b"no such workspace", {"content-type": "text/plain"})
        if parts[2] != CLUSTER:
            return Reply(400, f"Cluster {parts[2]} is not running".encode(), {})
        body = _object(request.body)
        if parts[4:] == ["v1", "chat", "completions"]:
            body.pop("model", None)
            return KINDS["chat"](Endpoint(kind="chat"), body)
        if parts[4:] == ["v1", "completions"]:
            body.pop("model", None)
            return KINDS["completions"](Endpoint(kind="completions"), body)
        if parts[4:] == ["object"]:
            return as_json({"answer": speak(body["prompt"], body.get("stop"))[0], "asked": body})
        return as_json(speak(body["prompt"], body.get("stop"))[0])

    def _describe(self, parts: list[str]) -> Reply:
        if not parts:
            listed = [endpoint.detail(name) for name, endpoint in self.endpoints.items()]
            return as_json({"endpoints": listed})
        endpoint = self.endpoints.get(parts[0])
        if endpoint is None:
            message = f"Endpoint with name '{parts[0]}' does not exist."
            return as_json({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": message}, 404)
        if not endpoint.readable:
            message = "PERMISSION_DENIED: User does not have permission to view this endpoint."
            return as_json({"error_code": "PERMISSION_DENIED", "message": message}, 403)
        return as_json(endpoint.detail(parts[0]))

    def _tell_cluster(self, request: Received) -> Reply:
        cluster = request.query.get("cluster_id", [""])[0]
        if cluster not in self.clusters:
            message = f"Cluster {cluster} does not exist"
            return as_json({"error_code": "INVALID_PARAMETER_VALUE", "message": message}, 400)
        state = self.clusters[cluster]
        return as_json({"cluster_id": cluster, "cluster_name": "shared", "state": state})

    def _well_known(self, parts: list[str]) -> Reply:
        if not self.metadata:
            return Reply(404, b"", {})
        if parts == ["oidc", ".well-known", "oauth-authorization-server"]:
            at = f"{self.url}/oidc/v1"
            return as_json(
                {"authorization_endpoint": f"{at}/authorize", "token_endpoint": f"{at}/token"}
            )
        told = {"oidc_endpoint": f"{self.url}/oidc", "workspace_id": ORG, "account_id": "acc-1"}
        return as_json({**told, "cloud": "AWS"})

    def _give_token(self, request: Received) -> Reply:
        wanted = base64.b64encode(":".join(CLIENT).encode()).decode()
        form = parse_qs(request.body.decode())
        if form.get("grant_type") == ["urn:ietf:params:oauth:grant-type:token-exchange"]:
            if form.get("subject_token", [""])[0] not in self.id_tokens:
                return as_json({"error": "invalid_request", "error_description": "no policy"}, 400)
            return self._new_token()
        if request.headers.get("authorization") != f"Basic {wanted}":
            said = {"error": "invalid_client", "error_description": "Client authentication failed"}
            return as_json(said, 401)
        if form.get("grant_type") != ["client_credentials"] or form.get("scope") != ["all-apis"]:
            return as_json({"error": "invalid_request"}, 400)
        return self._new_token()

    def _new_token(self) -> Reply:
        with self._lock:
            self.tokens_given += 1
            token = f"oauth-token-{self.tokens_given}"
            self.tokens[token] = time.monotonic() + self.lifetime
        told = {"access_token": token, "token_type": "Bearer", "expires_in": self.lifetime}
        return as_json(told)

    def _tell_secret(self, request: Received) -> Reply:
        scope, key = request.query.get("scope", [""])[0], request.query.get("key", [""])[0]
        if scope in self.closed:
            message = f"User {self.me['userName']} does not have READ permission on scope {scope}"
            return as_json({"error_code": "PERMISSION_DENIED", "message": message}, 403)
        value = self.secrets.get((scope, key))
        if value is None:
            message = f"Secret does not exist with scope: {scope} and key: {key}"
            if scope not in {name for name, _ in self.secrets}:
                message = f"Scope {scope} does not exist!"
            return as_json({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": message}, 404)
        return as_json({"key": key, "value": base64.b64encode(value.encode()).decode()})


def _is_model(path: str) -> bool:
    return path.startswith(("/serving-endpoints/", "/driver-proxy-api/", "/ai-gateway/"))


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        message = "Bad request: the body is no JSON object"
        raise Refusal(400, {"error_code": "BAD_REQUEST", "message": message})
    return body


def main() -> None:
    """Serve until ended; the first line of standard output is the URL."""
    parser = argparse.ArgumentParser(description="a Databricks workspace on the loopback")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--token", default=TOKEN)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds a model call takes")
    parser.add_argument("--log", help="file that gets one JSON line for each request")
    parser.add_argument("--script", help="file with a JSON list of faults")
    options = parser.parse_args()
    workspace = FakeWorkspace(
        port=options.port, token=options.token, latency=options.latency, log=options.log
    )
    if options.script:
        faults: list[Mapping[str, Any]] = json.loads(Path(options.script).read_text())
        workspace.script(from_json(faults))
    with workspace:
        print(workspace.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
