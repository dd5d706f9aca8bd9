"""The one door to mlflow: a server that takes runs and gives prompts.

MLflow reads its settings (address, credentials, TLS) from its own environment variables and, for
`databricks`, from the workspace's login; see its documentation, "Environment variables".
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import islice
from typing import Any

from ..client.credentials import mask
from ..errors import AuthError, DbrunError, PluginError, RunError, UserError
from ..frozen import frozen
from ..spec.prompts import RegisteredPrompt
from ..types import Json
from .entry import MANIFEST_TAG, RUN_TAG, Entry

NO_EXTRA = "pip install 'dbrun[mlflow]'"

_DEFAULTS = {
    # Nothing is told to anybody who was not named in the spec.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # MLflow's own seven tries keep a person waiting for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
}
_MOST_PARAMS = 100  # params or tags in one call (MLflow REST API, "Log Batch")
_LOUD = ("mlflow", "urllib3.connectionpool", "alembic", "databricks.sdk")
# MLflow calls the value invalid if a prompt has no such alias.
_NO_SUCH = ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE")
_REFUSED = ("UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED")
_CAUSE = re.compile(r"\[Errno -?\d+\] ([\w ]+)|(timed out|certificate verify failed)")
_USER_INFO = re.compile(r"//[^/@\s]+@")
_PAGE = re.compile(r"[.,]? Response body: '\s*<.*")  # of whatever answers there instead
_LONGEST = 300


@frozen
class Logged:
    """Where a run is in MLflow. *again* says that it had been logged as it is before."""

    run: str
    experiment: str
    url: str | None = None
    again: bool = False


@frozen
class PromptText:
    """A prompt as the registry has it: text, or the messages of a chat."""

    version: int
    template: Json


def require() -> None:
    """Raises `PluginError` if mlflow is not installed; it is not imported."""
    if find_spec("mlflow") is None:
        raise PluginError(
            "the key 'mlflow' needs MLflow's client, which is not installed", NO_EXTRA
        )


class Server:
    """A tracking server and its registry; what is None is left to MLflow's own settings."""

    def __init__(self, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        self._tracking_uri = tracking_uri
        self._registry_uri = registry_uri

    def log(self, entry: Entry) -> Logged:
        """Log *entry* as a new run, or go on with the one that has its id.

        Raises:
            PluginError: mlflow is not installed.
            RunError: the server cannot be reached or refuses.
        """
        with self._client("the run is not logged") as client:
            experiment = _experiment(client, entry.experiment)
            found = _find(client, experiment, entry.run)
            if found is None:
                found = client.create_run(
                    experiment, start_time=entry.started, tags=entry.tags, run_name=entry.name
                )
            elif found.data.tags.get(MANIFEST_TAG) == entry.digest:
                return self._logged(client, found, again=True)
            else:
                _forget(client, found, entry)
            _fill(client, found.info.run_id, entry)
            return self._logged(client, found)

    def prompt(self, wanted: RegisteredPrompt) -> PromptText:
        """The prompt that *wanted* names.

        Raises:
            PluginError: mlflow is not installed.
            UserError: there is no such prompt, version or alias.
            RunError: the registry cannot be reached or refuses.
        """
        with self._client(f"{wanted.uri} cannot be read") as client:
            try:
                if wanted.alias is not None:
                    found = client.get_prompt_version_by_alias(wanted.name, wanted.alias)
                else:
                    found = client.get_prompt_version(wanted.name, str(wanted.version))
            except Exception as error:
                if getattr(error, "error_code", "") not in _NO_SUCH:
                    raise
                found = None
            if found is None:
                raise _missing(client, wanted)
            return PromptText(version=int(found.version), template=found.template)

    @contextmanager
    def _client(self, failed: str) -> Iterator[Any]:
        """MLflow's client; its errors are told as ours, after the word of what *failed*."""
        with _settings(), _quiet():
            try:
                from mlflow import MlflowClient
            except ImportError as error:
                raise PluginError(
                    f"{failed}: MLflow's client is not installed", NO_EXTRA
                ) from error
            _hush()  # importing it has set its loggers up
            client = None
            try:
                client = MlflowClient(self._tracking_uri, self._registry_uri)
                yield client
            except DbrunError:
                raise
            except Exception as error:
                raise self._translated(error, client, failed) from error

    def _translated(self, error: Exception, client: Any, failed: str) -> DbrunError:
        server = _shown(client) if client is not None else str(self._tracking_uri or "MLflow")
        code = str(getattr(error, "error_code", ""))
        said = " ".join(str(error).split()).removeprefix(f"{code}: ")
        said = _PAGE.sub("", _USER_INFO.sub("//", mask(said)))
        refused = re.search(r"error code (401|403)", said)
        if code in _REFUSED or refused is not None:
            return AuthError(
                f"{failed}: {server} refuses: {_short(said)}",
                "check MLFLOW_TRACKING_TOKEN, or the workspace's login",
            )
        if (cause := _CAUSE.search(said)) is not None:
            said = (cause[1] or cause[2]).strip().lower()
            return RunError(
                f"{failed}: {server} cannot be reached ({said})",
                "check mlflow.tracking_uri or MLFLOW_TRACKING_URI",
            )
        return RunError(f"{failed}: {server} says: {_short(said)}")

    def _logged(self, client: Any, run: Any, *, again: bool = False) -> Logged:
        server, info = client.tracking_uri, run.info
        place = f"experiments/{info.experiment_id}/runs/{info.run_id}"
        url = f"{_shown(client).rstrip('/')}/#/{place}" if server.startswith("http") else None
        return Logged(run=info.run_id, experiment=info.experiment_id, url=url, again=again)


def _experiment(client: Any, name: str) -> str:
    """The id of the experiment, which is made if it is not there."""
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name))
        except Exception as error:
            if getattr(error, "error_code", "") != "RESOURCE_ALREADY_EXISTS":
                raise
            found = client.get_experiment_by_name(name)  # another run has just made it
    if found.lifecycle_stage != "active":
        raise RunError(
            f"the run is not logged: experiment '{name}' has been deleted",
            "restore it, or name another as mlflow.experiment",
        )
    return str(found.experiment_id)


def _find(client: Any, experiment: str, run: str) -> Any:
    runs = client.search_runs([experiment], f"tags.`{RUN_TAG}` = '{run}'", max_results=1)
    return runs[0] if runs else None


def _forget(client: Any, run: Any, entry: Entry) -> None:
    """Take away what was said of the run when it had stopped, and does not hold any more."""
    for name in run.data.tags:
        if name.startswith("dbrun.") and name not in entry.tags:
            client.delete_tag(run.info.run_id, name)


def _fill(client: Any, run: str, entry: Entry) -> None:
    """Log all that *entry* holds; the tag that says so comes last."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

    metrics = [Metric(name, value, entry.ended, 0) for name, value in entry.metrics.items()]
    client.log_batch(run, metrics=metrics)
    for some in _chunks(entry.params):
        client.log_batch(run, params=[Param(name, value) for name, value in some.items()])
    for some in _chunks(entry.tags):
        client.log_batch(run, tags=[RunTag(name, value) for name, value in some.items()])
    if entry.dataset is not None:
        one = entry.dataset
        made = Dataset(one.name, one.digest, one.source_type, one.source)
        context = InputTag("mlflow.data.context", "inference")
        client.log_inputs(run, [DatasetInput(made, [context])])
    if entry.manifest is not None:
        _log_text(client, run, entry.manifest, entry.manifest_name)
    if entry.results is not None:
        client.log_artifact(run, entry.results)
    client.set_tag(run, MANIFEST_TAG, entry.digest)
    client.set_terminated(run, entry.status, entry.ended)


def _log_text(client: Any, run: str, text: str, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, name)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        client.log_artifact(run, path)


def _chunks(items: Mapping[str, str]) -> Iterator[dict[str, str]]:
    rest = iter(items.items())
    while some := dict(islice(rest, _MOST_PARAMS)):
        yield some


def _missing(client: Any, wanted: RegisteredPrompt) -> UserError:
    kind = "version" if wanted.alias is None else "alias"
    message = f"there is no {wanted.uri} in the registry of {_shown(client)}"
    return UserError(message, f"check its name and {kind}")


def _shown(client: Any) -> str:
    """The server's address without user info."""
    return _USER_INFO.sub("//", str(client.tracking_uri))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


@contextmanager
def _settings() -> Iterator[None]:
    """Settings of MLflow that stand as long as nobody has set them otherwise."""
    ours = {name: value for name, value in _DEFAULTS.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            with suppress(KeyError):
                del os.environ[name]


@contextmanager
def _quiet() -> Iterator[None]:
    """What goes wrong is told once, by us."""
    before = {name: logging.getLogger(name).level for name in _LOUD}
    _hush()
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _hush() -> None:
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.CRITICAL)
