"""The plugins that a spec names, created; and what is known of its user's own functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

from ..adapters.base import Adapter
from ..context import Context
from ..registry import Registry
from ..sinks.base import Sink, SinkAround
from ..sources.base import Source
from ..spec.model import EndpointSpec, Reference, ScoreSpec, SinkSpec, SourceSpec, Spec
from ..spec.references import Resolver
from ..types import Json

if TYPE_CHECKING:
    from ..scores.base import Scorer


def create_adapter(endpoint: EndpointSpec, registry: Registry, context: Context) -> Adapter:
    """The adapter that *endpoint* names. Touches neither network nor credentials."""
    made: Adapter = registry.get("adapters", endpoint.adapter).create(endpoint, context)
    return made


def create_scorer(score: ScoreSpec, registry: Registry, context: Context) -> Scorer:
    """The scorer that *score* names.

    Raises:
        SpecError: a template, an expression or a function of its options is wrong.
        PluginError: it is not there, or a library that it needs is not installed.
    """
    made: Scorer = registry.get("scores", score.kind).create(score, context)
    return made


def create_source(
    spec: SourceSpec,
    context: Context,
    registry: Registry,
    rows: Iterable[Mapping[str, Json]] | None = None,
) -> Source:
    """The source that *spec* names, or one over *rows* where these are given."""
    kind, options = (spec.kind, spec.options) if rows is None else ("rows", {"rows": rows})
    made: Source = registry.get("sources", kind).create(options, context)
    return made


def create_sink(
    spec: SinkSpec,
    path: str | None,
    stream: IO[bytes] | None,
    registry: Registry,
    around: SinkAround | None = None,
) -> Sink:
    """The sink that *spec* names, writing to *path*, or to *stream* where that is None.

    Records that go elsewhere than to the spec's own path do not go to its table.
    """
    if spec.table is not None and around is not None and path == spec.path:
        wanted: Any = registry.get("sinks", spec.table.kind)
        published: Sink = wanted.create_within(spec, around)
        return published
    if path is None:
        kind: Any = registry.get("sinks", "stream")
        made: Sink = kind(stream, add=spec.add, omit=spec.omit)
        return made
    created: Sink = registry.get("sinks", spec.kind).create(replace(spec, path=path))
    return created


def function_digests(spec: Spec) -> dict[str, str]:
    """The digests of the modules that the spec's functions come from, by dotted path."""
    references = [*spec.filters.values()]
    for branch in spec.branches:
        references += branch.row
        for score in branch.scores:
            references += [one for one in score.options.values() if isinstance(one, Reference)]
    for step in spec.asked:
        references += [*step.input, *step.output]
    resolver = Resolver()
    return {reference.path: resolver.source_digest(reference) for reference in references}
