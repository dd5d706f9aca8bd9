"""MLflow's own servers on loopback: one that scores a model, one that tracks runs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
QUIET = {
    **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PYTHONPATH": str(ROOT),
    # MLflow starts its servers by the names of their programs.
    "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")]),
}


@pytest.fixture(scope="session")
def scoring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of `mlflow models serve` with the model of `save_model.py`."""
    folder = tmp_path_factory.mktemp("scoring")
    model = folder / "model"
    subprocess.run([sys.executable, str(HERE / "save_model.py"), str(model)], check=True, env=QUIET)
    words = ["models", "serve", "-m", str(model), "--env-manager", "local"]
    with served(words, folder, "/ping") as url:
        yield url


@pytest.fixture(scope="session")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    """`mlflow server` with a database of its own, serving artifacts."""
    folder = tmp_path_factory.mktemp("tracking")
    words = [
        "server",
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db"),
        *("--artifacts-destination", str(folder / "artifacts")),
        *("--workers", "1"),
    ]
    with served(words, folder, "/health") as url:
        yield Tracking(url)


@contextlib.contextmanager
def served(words: list[str], folder: Path, ready: str) -> Iterator[str]:
    """MLflow's program with *words* on a free port; ended with all its children."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = folder / "server.log"
    with log.open("wb") as stream:
        program = [sys.executable, "-m", "mlflow", *words, "--host", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(
            program, stdout=stream, stderr=stream, env=QUIET, cwd=folder, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert server.poll() is None, log.read_text()
            with contextlib.suppress(OSError), urllib.request.urlopen(url + ready, timeout=5):
                break
            time.sleep(0.2)
        else:
            raise AssertionError(log.read_text())
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


class Tracking:
    """A tracking server as its REST API shows it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """GET, or POST a body; the JSON of the answer."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/api/2.0/{path}", data, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error

    def runs(self, experiment: str) -> list[Any]:
        """The runs of an experiment, the oldest first."""
        found = self.ask(f"mlflow/experiments/get-by-name?experiment_name={experiment}")
        query = {
            "experiment_ids": [found["experiment"]["experiment_id"]],
            "order_by": ["attributes.start_time ASC"],
        }
        return list(self.ask("mlflow/runs/search", query).get("runs", []))

    def data(self, run: Any, part: str) -> dict[str, Any]:
        """The params, metrics or tags of a run as a mapping."""
        return {pair["key"]: pair["value"] for pair in run["data"].get(part, [])}

    def artifact(self, run: Any, name: str) -> bytes:
        """What is in an artifact of a run."""
        info = run["info"]
        path = f"{info['experiment_id']}/{info['run_id']}/artifacts/{name}"
        url = f"{self.url}/api/2.0/mlflow-artifacts/artifacts/{path}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return bytes(answer.read())

    def register(self, name: str, template: Any, alias: str | None = None) -> int:
        """A new version of a prompt, made by MLflow's own client; the number of it."""
        code = (
            "import json, sys; from mlflow import MlflowClient; "
            "url, name, template, alias = json.loads(sys.argv[1]); client = MlflowClient(url); "
            "client.get_prompt(name) or client.create_prompt(name); "
            "version = client.create_prompt_version(name, template).version; "
            "alias and client.set_prompt_alias(name, alias, version); print(version)"
        )
        given = json.dumps([self.url, name, template, alias])
        done = subprocess.run(
            [sys.executable, "-c", code, given],
            check=True,
            capture_output=True,
            text=True,
            env=QUIET,
        )
        return int(done.stdout.splitlines()[-1])


class Project:
    """A folder with a pipeline in it, run by the command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pyproject.toml").touch()

    def dbrun(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`dbrun` with *words*, in a process of its own."""
        return subprocess.run(
            [sys.executable, "-m", "dbrun", *words],
            cwd=self.folder,
            env=QUIET,
            capture_output=True,
            text=True,
            check=False,
        )

    def run(self, spec: Mapping[str, Any], *words: str) -> subprocess.CompletedProcess[str]:
        """Run *spec*, or another command on it that comes first in *words*."""
        (self.folder / "x.yaml").write_text(yaml.safe_dump(dict(spec)))
        command, *rest = words or ("run",)
        return self.dbrun(command, "x.yaml", *rest)

    @property
    def records(self) -> list[Any]:
        """The records of the results."""
        text = (self.folder / "out/x.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    @property
    def manifest(self) -> Any:
        """The manifest beside them."""
        return json.loads((self.folder / "out/x.run.json").read_text(encoding="utf-8"))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)
