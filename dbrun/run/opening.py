"""From the recipe to the thing that runs: adapters created, limits shared, templates compiled."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any

from ..adapters.base import Adapter
from ..client.journal import Journal, Keys
from ..client.limits import Limiter
from ..client.retry import WARMUP, Breaker, RetryPolicy
from ..clock import Clock
from ..context import Context, Memory
from ..errors import DbrunError, SpecError
from ..frozen import frozen
from ..registry import Registry
from ..spec.model import EndpointSpec, Spec, StepSpec
from ..spec.references import Resolver
from ..spec.response import output_check
from ..spec.templates import Templates, compile_prompt
from ..types import NOWHERE, Json, Problem
from .asking.asker import Asker
from .asking.counters import Counters
from .asking.spending import Purse
from .asking.tokens import TokenEstimate
from .asking.trying import Caller
from .discretion import Discretion
from .judging.scoring import OpenScore
from .plugins import create_adapter, create_scorer
from .steps import Step
from .transforms import InputTransforms, OutputTransforms, RowTransforms

if TYPE_CHECKING:
    pass


@frozen
class Surroundings:
    """What a run takes from outside: environment, clock, plugins, and whether it may send."""

    environ: Mapping[str, str]
    registry: Registry = field(default_factory=Registry)
    clock: Clock = field(default_factory=Clock)
    offline: bool = False
    debug: bool = False


@frozen
class Opened:
    """The parts of an open pipeline; *name* is that of the variant, where there is a matrix.

    Those of a spec with a matrix are its first variant's, and *variants* has them all.
    """

    name: str | None = None
    spec: Spec
    steps: tuple[Step, ...]
    scores: tuple[OpenScore, ...]
    askers: tuple[Asker, ...]
    row: RowTransforms | None
    discretion: Discretion
    templates: Templates
    context: Context
    variants: tuple[Opened, ...] = ()

    @property
    def branches(self) -> tuple[Opened, ...]:
        """The parts of each variant of a matrix; these themselves where there is none."""
        return self.variants or (self,)

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """The steps of all variants."""
        return tuple(step for branch in self.branches for step in branch.steps)

    def calls_at_once(self) -> int:
        """How many calls the limits let through at a time, over all endpoints."""
        return sum(asker.limiter.limit for asker in self.askers)


def make_context(spec: Spec, around: Surroundings, memory: Memory) -> tuple[Context, Templates]:
    """What the plugins of *spec* are created with, and the templates of the spec."""
    resolver = Resolver()
    templates = Templates(
        project=spec.project,
        folder=spec.folder,
        filters={name: resolver.resolve(reference) for name, reference in spec.filters.items()},
    )
    context = Context(
        folder=spec.folder,
        project=spec.project,
        environ=around.environ,
        clock=around.clock,
        memory=memory,
        resolve=resolver.resolve,
        template=templates.compile,
        expression=templates.expression,
        offline=around.offline,
        max_connections=_most_connections(spec, around.registry),
        debug=around.debug,
    )
    return context, templates


def bare_context(around: Surroundings) -> Context:
    """What an adapter is created with outside a pipeline: the current folder, no memory."""
    folder = os.getcwd()
    return Context(
        folder=folder,
        project=folder,
        environ=around.environ,
        clock=around.clock,
        resolve=Resolver().resolve,
        template=Templates(project=folder, folder=folder).compile,
    )


@contextmanager
def opened(
    spec: Spec,
    around: Surroundings,
    *,
    journal: Journal,
    counters: Counters,
    halt: threading.Event,
    purse: Purse | None = None,
) -> Iterator[Opened]:
    """The parts of *spec*, open; closed on leaving.

    Raises:
        UserError: a plugin is missing or an option must be given.
        RunError: an endpoint or its credentials are not there.
    """
    with ExitStack() as stack:
        context, templates = make_context(spec, around, journal)
        discretion = Discretion(spec, around.environ)
        askers: list[tuple[EndpointSpec, Asker]] = []

        def ask(endpoint: EndpointSpec) -> Asker:
            asker = _find(askers, endpoint)
            if asker is None:
                adapter = create_adapter(endpoint, around.registry, context)
                stack.callback(adapter.close)
                discretion.trust(adapter)
                adapter.prepare()
                asker = make_asker(adapter, endpoint, journal, counters, halt, around.clock, purse)
                askers.append((_bare(endpoint), asker))
            return asker

        try:
            made = [
                open_branch(one, ask, around, context, templates, discretion)
                for one in spec.branches
            ]
            known = tuple(asker for _, asker in askers)
            yield joined(spec, [replace(one, askers=known) for one in made])
        except DbrunError as error:
            discretion.keep(error)
            raise


def joined(spec: Spec, branches: Sequence[Opened]) -> Opened:
    """The parts of *spec*, given those of each of its branches."""
    names = [variant.name for variant in spec.variants]
    named = zip(names, branches, strict=False)
    variants = tuple(replace(one, name=name) for name, one in named)
    return replace(branches[0], variants=variants)


def open_branch(
    spec: Spec,
    ask: Callable[[EndpointSpec], Asker],
    around: Surroundings,
    context: Context,
    templates: Templates,
    discretion: Discretion,
) -> Opened:
    """The parts of one variant, or of all there is."""

    def open_step(step: StepSpec) -> Step:
        return _step(spec, step, ask(step.endpoint), context, templates, discretion)

    steps = tuple([open_step(step) for step in spec.steps])
    scores = tuple(
        OpenScore(
            name=score.name,
            of=templates.expression(score.of) if score.of is not None else None,
            scorer=create_scorer(score, around.registry, context),
            judge=open_step(score.step) if score.step is not None else None,
        )
        for score in spec.scores
    )
    row = None
    if spec.row:
        row = RowTransforms([(reference, context.resolve(reference)) for reference in spec.row])  # type: ignore[misc]
    return Opened(
        spec=spec,
        steps=steps,
        scores=scores,
        askers=(),
        row=row,
        discretion=discretion,
        templates=templates,
        context=context,
    )


def make_asker(
    adapter: Adapter,
    endpoint: EndpointSpec,
    journal: Journal,
    counters: Counters,
    halt: threading.Event,
    clock: Clock,
    purse: Purse | None = None,
) -> Asker:
    """What asks *endpoint* for many threads: its limits, tries and breaker around the adapter."""
    limits = endpoint.limits
    counted = (
        limits.tokens_per_minute,
        limits.input_tokens_per_minute,
        limits.output_tokens_per_minute,
    )
    counts_tokens = any(limit is not None for limit in counted)
    spends = purse is not None and endpoint.price is not None
    warmup = min(WARMUP, limits.retry_for) if limits.warmup is None else limits.warmup
    caller = Caller(
        adapter,
        limiter=Limiter(limits, limits.concurrency or adapter.concurrency, clock),
        policy=RetryPolicy(attempts=limits.attempts, retry_for=limits.retry_for, warmup=warmup),
        breaker=Breaker(limits.retry_for, clock, warmup),
        counters=counters,
        clock=clock,
        timeout=limits.timeout,
        halt=halt,
        tokens=TokenEstimate() if counts_tokens or spends else None,
        purse=purse,
        price=endpoint.price,
    )
    return Asker(
        adapter, caller, journal=journal, counters=counters, halt=halt, price=endpoint.price
    )


def _step(
    spec: Spec,
    step: StepSpec,
    asker: Asker,
    context: Context,
    templates: Templates,
    discretion: Discretion,
) -> Step:
    adapter = asker.adapter
    schema = step.response_schema
    params: dict[str, Json] = dict(step.params)
    if schema is not None and schema.mode == "native":
        form = adapter.native_schema(schema.schema, step.name)
        if not form:  # what the endpoint does may be known only now
            raise SpecError([no_native_form(step)])
        params.update(form)
    identity: Json = adapter.identity
    if step.endpoint.identity is not None:
        identity = step.endpoint.identity
    resolve: Any = context.resolve
    has_prompt = step.prompt.text or step.prompt.messages or step.prompt.column
    return Step(
        name=step.name,
        place=f"steps.{step.name}" if len(spec.steps) > 1 else None,
        asker=asker,
        prompt=compile_prompt(step.prompt, templates) if has_prompt else None,
        columns={name: templates.compile(text) for name, text in adapter.columns.items()},
        params=params,
        stop=step.stop,
        send_stop=step.endpoint.send_stop,
        when=templates.expression(step.when) if step.when else None,
        input=InputTransforms([(reference, resolve(reference)) for reference in step.input]),
        output=OutputTransforms([(reference, resolve(reference)) for reference in step.output]),
        check=output_check(schema.schema) if schema else None,
        reasks=schema.reask if schema else 0,
        keys=Keys(step.endpoint.adapter, identity),
        share=spec.journal.share,
        discretion=discretion,
        has_functions=bool(step.input or step.output or spec.filters),
        price=step.endpoint.price,
        places=step.places,
    )


def no_native_form(step: StepSpec) -> Problem:
    """The problem of a native `response_schema` on an endpoint that has no form for one."""
    prefix = f"{step.path}." if step.path else ""
    task = step.endpoint.options.get("task")
    of_task = f" with the task {task}" if task not in (None, "auto") else ""
    return Problem(
        where=NOWHERE if step.response_schema is None else step.response_schema.where,
        path=f"{prefix}response_schema.mode",
        message=f"{step.endpoint.adapter}{of_task} has no native form of response_schema",
        hint="leave `mode` out: the output is then checked when it has come",
    )


def _find(askers: list[tuple[EndpointSpec, Asker]], endpoint: EndpointSpec) -> Asker | None:
    # Steps on one endpoint share its limits, its connections and its credentials.
    bare = _bare(endpoint)
    return next((asker for known, asker in askers if known == bare), None)


def _bare(endpoint: EndpointSpec) -> EndpointSpec:
    return replace(endpoint, where=NOWHERE, marks={}, path="")


def _most_connections(spec: Spec, registry: Registry) -> int:
    most = 1
    for step in spec.asked:
        concurrency = step.endpoint.limits.concurrency
        if concurrency is None:
            concurrency = registry.get("adapters", step.endpoint.adapter).concurrency
        most = max(most, concurrency.high)
    return most
