"""What of a run is logged, and in which words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dbrun.spec.model import MlflowSpec
from dbrun.tracking.entry import Dataset, Entry, make_entry

MANIFEST: dict[str, Any] = {
    "version": 1,
    "run": "20261122T201538Z-3f9c",
    "status": "finished",
    "started": "2026-11-22T20:15:38Z",
    "finished": "2026-11-22T20:16:38Z",
    "seconds": 60.5,
    "selection": {},
    "name": "summarize",
    "target": "prod",
    "spec": {"source": "../data/rows.jsonl", "endpoint": {"adapter": "databricks"}},
    "spec_digest": "d" * 64,
    "git": {"commit": "c" * 40, "dirty": True},
    "digests": {
        "templates": {"main:prompts:/sum/3": "t" * 64},
        "functions": {"pkg.mod:fn": "f" * 64},
        "source": "s" * 64,
    },
    "versions": {"dbrun": "1.2.3", "python": "3.12", "packages": {}},
    "endpoints": [],
    "counts": {"rows": 3, "ok": 2, "error": 1, "errors": {"timeout": 1}},
    "requests": {"sent": 3, "by_status": {"200": 3}},
    "tokens": {"answers": {"input_tokens": 10}, "spent": {}},
    "cost": {"currency": "USD", "run": 0.5},
    "latency": {"p90": 1.5},
    "exit_code": 1,
    "results": {"path": "out.jsonl", "size": 9, "sha256": "r" * 64},
}


def entry_of(change: dict[str, Any] | None = None, **mlflow: Any) -> Entry:
    return make_entry(
        MlflowSpec(experiment="e", **mlflow),
        {**MANIFEST, **(change or {})},
        file="pipelines/summarize.yaml",
        results="/out/out.jsonl",
        branch="main",
    )


def spec_of(**keys: Any) -> dict[str, Any]:
    return {"spec": {**MANIFEST["spec"], **keys}}


def test_measures_are_the_numbers_of_the_manifest() -> None:
    assert entry_of().metrics == {
        "seconds": 60.5,
        "exit_code": 1.0,
        "counts.rows": 3.0,
        "counts.ok": 2.0,
        "counts.error": 1.0,
        "counts.errors.timeout": 1.0,
        "requests.sent": 3.0,
        "requests.by_status.200": 3.0,
        "tokens.answers.input_tokens": 10.0,
        "cost.run": 0.5,
        "latency.p90": 1.5,
    }


@pytest.mark.parametrize(
    ("spec", "params"),
    [
        ({"vars": {"day": "2026-11-22", "n": 3, "none": None}},
         {"vars.day": "2026-11-22", "vars.n": "3", "vars.none": "null"}),
        ({"params": {"temperature": 0, "top": {"k": 1}}, "stop": ["\n"], "repeats": 2},
         {"params.temperature": "0", "params.top": '{"k": 1}', "stop": '["\\n"]', "repeats": "2"}),
        ({"prompt": "a long text"}, {}),
        ({"prompt": {"mlflow": "prompts:/sum@prod"}}, {"prompt.mlflow": "prompts:/sum@prod"}),
        ({"endpoint": "small"}, {"endpoint": "small"}),
        ({"steps": [{"name": "first", "endpoint": "big", "params": {"top_p": 1}}]},
         {"steps.first.endpoint": "big", "steps.first.params.top_p": "1"}),
        ({"vars": {"wörd é?": "x"}}, {"vars.wörd é_": "x"}),
    ],
)  # fmt: skip
def test_params_are_what_was_asked(spec: dict[str, Any], params: dict[str, str]) -> None:
    own = {} if "endpoint" in spec else {"endpoint.adapter": "databricks"}
    assert entry_of(spec_of(**spec)).params == {**own, **params}


def test_of_an_endpoint_neither_credentials_nor_headers_are_told() -> None:
    endpoint = {
        "adapter": "mlflow",
        "url": "${URL}",
        "batch_size": 4,
        "token": {"env": "TOKEN"},
        "headers": {"X-Team": "a"},
        "limits": {"attempts": 1},
    }
    told = entry_of(spec_of(endpoint=endpoint)).params
    assert told == {
        "endpoint.adapter": "mlflow",
        "endpoint.url": "${URL}",
        "endpoint.batch_size": "4",
    }


def test_tags_say_whose_and_of_which_commit() -> None:
    tags = entry_of(tags={"team": "search", "dbrun.name": "mine"}).tags
    wanted = {
        "mlflow.source.name": "pipelines/summarize.yaml",
        "mlflow.source.git.commit": "c" * 40,
        "mlflow.source.git.branch": "main",
        "dbrun.git.dirty": "true",
        "dbrun.run": MANIFEST["run"],
        "dbrun.target": "prod",
        "dbrun.spec_digest": "d" * 64,
        "dbrun.source_digest": "s" * 64,
        "dbrun.results_digest": "r" * 64,
        "dbrun.templates.main:prompts:/sum/3": "t" * 64,
        "dbrun.functions.pkg.mod:fn": "f" * 64,
        "team": "search",
        "dbrun.name": "mine",
    }
    assert wanted.items() <= tags.items()
    assert "dbrun.error" not in tags


@pytest.mark.parametrize(
    ("status", "wanted"),
    [("finished", "FINISHED"), ("interrupted", "KILLED"), ("failed", "FAILED")],
)
def test_status_is_that_of_mlflow(status: str, wanted: str) -> None:
    assert entry_of({"status": status}).status == wanted


def test_times_are_milliseconds() -> None:
    entry = entry_of()
    assert (entry.started, entry.ended) == (1_795_378_538_000, 1_795_378_598_000)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("a/rows.jsonl", Dataset(name="rows.jsonl", digest="s" * 36, source_type="local",
                                 source='{"uri": "a/rows.jsonl"}')),
        ({"path": "/data"}, Dataset(name="data", digest="s" * 36, source_type="local",
                                    source='{"uri": "/data"}')),
        ({"rows": []}, Dataset(name="summarize", digest="s" * 36, source_type="dbrun",
                               source='{"pipeline": "summarize"}')),
    ],
)  # fmt: skip
def test_rows_are_a_dataset(source: Any, wanted: Dataset) -> None:
    assert entry_of(spec_of(source=source)).dataset == wanted


def test_rows_without_a_digest_are_none() -> None:
    digests = {**MANIFEST["digests"], "source": None}
    assert entry_of({"digests": digests}).dataset is None


def test_artifacts_are_those_that_are_wanted() -> None:
    both = entry_of()
    assert json.loads(both.manifest or "") == MANIFEST
    assert (both.manifest_name, both.results) == ("summarize.run.json", "/out/out.jsonl")
    none = entry_of(artifacts=frozenset())
    assert (none.manifest, none.results) == (None, None)


def test_the_name_is_the_one_that_is_given() -> None:
    assert entry_of().name == "summarize-20261122T201538Z-3f9c"
    assert entry_of(run_name="nightly").name == "nightly"


def test_the_digest_changes_with_the_manifest() -> None:
    assert entry_of().digest == entry_of().digest
    assert entry_of().digest != entry_of({"seconds": 1}).digest


def test_a_run_that_stopped_early_is_an_entry_too() -> None:
    partial = {
        name: value for name, value in MANIFEST.items() if name not in ("finished", "results")
    }
    partial |= {"git": None, "status": "failed", "error": "no way"}
    entry = make_entry(
        MlflowSpec(experiment="e"), partial, file="x.yaml", results=None, branch=None
    )
    assert entry.tags["dbrun.error"] == "no way"
    assert "mlflow.source.git.branch" not in entry.tags
    assert entry.ended == entry.started
