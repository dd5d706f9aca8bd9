"""A stand-in for MLflow's client, put on the path by tests: the calls that dbrun makes of it.

The server is a JSON file, whose path is the tracking URI. What the real one refuses is refused:
other values of a param, other kinds of entities. An address on port 1 refuses connections. The
same calls are made of a real server in `tests_heavy/mlflow`.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from .entities import DatasetInput, Metric, Param, RunTag


class MlflowException(Exception):
    def __init__(self, message: str, error_code: str = "INTERNAL_ERROR") -> None:
        super().__init__(f"{error_code}: {message}")
        self.error_code = error_code


class MlflowClient:
    def __init__(self, tracking_uri: str | None = None, registry_uri: str | None = None) -> None:
        self.tracking_uri = tracking_uri or os.environ["MLFLOW_TRACKING_URI"]
        self._registry_uri = registry_uri or self.tracking_uri

    def get_experiment_by_name(self, name: str) -> Any:
        found = self._read()["experiments"].get(name)
        return SimpleNamespace(**found) if found else None

    def create_experiment(self, name: str) -> str:
        state = self._read()
        if name in state["experiments"]:
            raise MlflowException(f"'{name}' exists", "RESOURCE_ALREADY_EXISTS")
        number = str(len(state["experiments"]) + 1)
        state["experiments"][name] = {"experiment_id": number, "lifecycle_stage": "active"}
        self._write(state)
        return number

    def search_runs(self, experiments: list[str], filter_string: str, max_results: int) -> Any:
        _, name, middle, value, _ = filter_string.replace("'", "`").split("`")
        assert (filter_string.split(".")[0], middle) == ("tags", " = ")
        found = [
            run
            for run in self._read()["runs"].values()
            if run["experiment"] in experiments and run["tags"].get(name) == value
        ]
        return [_as_run(run) for run in found[:max_results]]

    def create_run(self, experiment: str, start_time: int, tags: Any, run_name: str) -> Any:
        state = self._read()
        run = {
            "id": uuid.uuid4().hex,
            "experiment": experiment,
            "status": "RUNNING",
            "times": [start_time, None],
            "tags": {**tags, "mlflow.runName": run_name},
            "params": {},
            "metrics": {},
            "inputs": [],
            "artifacts": {},
        }
        state["runs"][run["id"]] = run
        self._write(state)
        return _as_run(run)

    def log_batch(
        self,
        run: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Param] = (),
        tags: Sequence[RunTag] = (),
    ) -> None:
        assert len(params) <= 100
        assert len(tags) <= 100
        assert all(isinstance(one.value, str) for one in (*params, *tags))
        state = self._read()
        kept = state["runs"][run]
        for one in params:
            if kept["params"].setdefault(one.key, one.value) != one.value:
                raise MlflowException(f"{one.key} has another value", "INVALID_PARAMETER_VALUE")
        kept["metrics"].update({one.key: one.value for one in metrics})
        kept["tags"].update({one.key: one.value for one in tags})
        self._write(state)

    def log_inputs(self, run: str, datasets: Sequence[DatasetInput]) -> None:
        state = self._read()
        kept = state["runs"][run]["inputs"]
        for one in datasets:
            assert len(one.dataset.digest) <= 36
            said = [vars(one.dataset), {tag.key: tag.value for tag in one.tags}]
            kept += [said] if said not in kept else []
        self._write(state)

    def log_artifact(self, run: str, path: str) -> None:
        state = self._read()
        file = Path(path)
        state["runs"][run]["artifacts"][file.name] = file.read_text(encoding="utf-8")
        self._write(state)

    def set_tag(self, run: str, name: str, value: str) -> None:
        self.log_batch(run, tags=[RunTag(name, value)])

    def delete_tag(self, run: str, name: str) -> None:
        state = self._read()
        del state["runs"][run]["tags"][name]
        self._write(state)

    def set_terminated(self, run: str, status: str, end_time: int) -> None:
        state = self._read()
        state["runs"][run]["status"] = status
        state["runs"][run]["times"][1] = end_time
        self._write(state)

    def get_prompt_version(self, name: str, version: str) -> Any:
        versions = self._prompt(name)["versions"]
        if version not in versions:
            raise MlflowException(f"no version {version}", "RESOURCE_DOES_NOT_EXIST")
        return SimpleNamespace(name=name, version=int(version), template=versions[version])

    def get_prompt_version_by_alias(self, name: str, alias: str) -> Any:
        aliases = self._prompt(name)["aliases"]
        if alias not in aliases:
            raise MlflowException(f"Prompt alias {alias} not found.", "INVALID_PARAMETER_VALUE")
        return self.get_prompt_version(name, aliases[alias])

    def _prompt(self, name: str) -> Any:
        self.tracking_uri, kept = self._registry_uri, self.tracking_uri
        prompts = self._read()["prompts"]
        self.tracking_uri = kept
        if name not in prompts:
            raise MlflowException(f"Prompt with name={name} not found", "RESOURCE_DOES_NOT_EXIST")
        return prompts[name]

    def _read(self) -> Any:
        if self.tracking_uri.endswith(":1"):
            raise MlflowException(
                f"API request to {self.tracking_uri}/api failed with exception "
                "(Caused by NewConnectionError([Errno 111] Connection refused))"
            )
        state = json.loads(Path(self.tracking_uri).read_text(encoding="utf-8"))
        state["calls"] = state.get("calls", 0) + 1
        self._write(state)
        if (refusal := state.get("refusal")) is not None:
            raise MlflowException(*refusal)
        return state

    def _write(self, state: Any) -> None:
        Path(self.tracking_uri).write_text(json.dumps(state), encoding="utf-8")


def _as_run(run: Any) -> Any:
    info = SimpleNamespace(run_id=run["id"], experiment_id=run["experiment"])
    return SimpleNamespace(info=info, data=SimpleNamespace(tags=dict(run["tags"])))
