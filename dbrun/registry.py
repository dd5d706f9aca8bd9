"""Plugins by name: built-in tables one can read, entry points of other distributions beside them.

Nothing is imported until it is used, so listing costs nothing and a missing extra matters only
to those who ask for it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from . import __version__
from .errors import PluginError
from .frozen import frozen
from .spelling import nearest

BUILT_IN: Mapping[str, Mapping[str, str]] = {
    "adapters": {
        "databricks": "dbrun.adapters.databricks:DatabricksAdapter",
        "databricks-proxy": "dbrun.adapters.driver_proxy:DriverProxyAdapter",
        "openai": "dbrun.adapters.openai:OpenAIAdapter",
        "mlflow": "dbrun.adapters.mlflow:MlflowAdapter",
        "http": "dbrun.adapters.template:TemplateAdapter",
        "local": "dbrun.adapters.local:LocalAdapter",
        "python": "dbrun.adapters.python:PythonAdapter",
    },
    "sources": {
        "jsonl": "dbrun.sources.jsonl:JsonlSource",
        "json": "dbrun.sources.json:JsonSource",
        "csv": "dbrun.sources.csv:CsvSource",
        "text": "dbrun.sources.text:TextSource",
        "parquet": "dbrun.sources.parquet:ParquetSource",
        "delta": "dbrun.sources.delta:DeltaSource",
        "table": "dbrun.sources.sql:TableSource",
        "query": "dbrun.sources.sql:QuerySource",
        "rows": "dbrun.sources.rows:RowsSource",
        "function": "dbrun.sources.function:FunctionSource",
    },
    "sinks": {
        "jsonl": "dbrun.sinks.jsonl:JsonlSink",
        "csv": "dbrun.sinks.csv:CsvSink",
        "parquet": "dbrun.sinks.parquet:ParquetSink",
        "delta": "dbrun.sinks.delta:DeltaSink",
        "table": "dbrun.sinks.unity:UnityTableSink",
        "stream": "dbrun.sinks.stream:StreamSink",
    },
    "engines": {
        "local": "dbrun.run.engines.local:run",
        "spark": "dbrun.run.engines.spark:run",
    },
    "scores": {
        "equals": "dbrun.scores.text:Equals",
        "contains": "dbrun.scores.text:Contains",
        "regex": "dbrun.scores.text:Regex",
        "one_of": "dbrun.scores.text:OneOf",
        "json_schema": "dbrun.scores.json:JsonSchema",
        "length": "dbrun.scores.text:Length",
        "similarity": "dbrun.scores.similarity:Similarity",
        "judge": "dbrun.scores.judge:Judge",
        "python": "dbrun.scores.python:Python",
    },
}
"""Kind → name → `module:Class`. Third parties use the entry-point groups `dbrun.<kind>`."""


@frozen
class Plugin:
    """One registered name: where its class is, and which distribution brings it."""

    kind: str
    name: str
    target: str
    distribution: str
    version: str


class Registry:
    """The plugins that a process can use. Tests make their own with the plugins they want."""

    def __init__(
        self,
        built_in: Mapping[str, Mapping[str, str]] = BUILT_IN,
        extra: Mapping[str, Mapping[str, type]] | None = None,
        entry_points: bool = True,
    ) -> None:
        self._built_in = built_in
        self._extra = extra or {}
        self._use_entry_points = entry_points
        self._third: dict[str, dict[str, list[Plugin]]] = {}

    def names(self, kind: str) -> list[str]:
        """Every registered name of *kind*, sorted."""
        found = {
            *self._built_in.get(kind, {}),
            *self._extra.get(kind, {}),
            *self._third_parties(kind),
        }
        return sorted(found)

    def knows(self, kind: str, name: str) -> bool:
        """Whether *name* is registered; for built-in names without reading any entry point."""
        own = name in self._extra.get(kind, {}) or name in self._built_in.get(kind, {})
        return own or name in self._third_parties(kind)

    def plugins(self, kind: str) -> list[Plugin]:
        """Every registration of *kind*, in order of name; a name claimed twice is there twice."""
        own = [
            Plugin(kind=kind, name=name, target=target, distribution="dbrun", version=__version__)
            for name, target in self._built_in.get(kind, {}).items()
        ]
        third = [plugin for claims in self._third_parties(kind).values() for plugin in claims]
        return sorted(own + third, key=lambda plugin: (plugin.name, plugin.distribution))

    def get(self, kind: str, name: str) -> Any:
        """The class registered as *name*.

        Raises:
            PluginError: if the name is unknown, claimed twice, or its module does not import.
        """
        if name in self._extra.get(kind, {}):
            return self._extra[kind][name]
        if name in self._built_in.get(kind, {}):
            # Third parties are not looked at for a built-in name unless they claim it too, which
            # `plugins` shows; the entry points cost more to read than everything else here.
            return _load(kind, name, self._built_in[kind][name], "dbrun")
        claims = self._third_parties(kind).get(name, [])
        if not claims:
            raise PluginError(f"unknown {kind[:-1]} '{name}'", suggest(name, self.names(kind)))
        if len(claims) > 1:
            owners = " and ".join(sorted(claim.distribution for claim in claims))
            raise PluginError(
                f"{kind[:-1]} '{name}' is claimed by {owners}", "uninstall one of them"
            )
        return _load(kind, name, claims[0].target, claims[0].distribution)

    def _third_parties(self, kind: str) -> Mapping[str, list[Plugin]]:
        if not self._use_entry_points:
            return {}
        if kind not in self._third:
            from importlib.metadata import entry_points

            found: dict[str, list[Plugin]] = {}
            for point in entry_points(group=f"dbrun.{kind}"):
                dist = point.dist
                plugin = Plugin(
                    kind=kind,
                    name=point.name,
                    target=point.value,
                    distribution=dist.name if dist else "?",
                    version=dist.version if dist else "?",
                )
                found.setdefault(point.name, []).append(plugin)
            self._third[kind] = found
        return self._third[kind]


def suggest(name: str, known: Iterable[str]) -> str:
    """A hint for an unknown *name*: its nearest neighbour, else all there are."""
    known = sorted(known)
    near = nearest(name, known)
    if near is not None:
        return f"did you mean '{near}'? (there are {', '.join(known)})"
    return f"there are {', '.join(known)}"


def _load(kind: str, name: str, target: str, distribution: str) -> Any:
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise PluginError(
            f"{kind[:-1]} '{name}' of {distribution} cannot be loaded from {target}: {error}",
            f"reinstall {distribution}, or ask its author",
        ) from error
