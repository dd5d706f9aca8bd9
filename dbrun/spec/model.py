"""The pipeline file, complete: frozen values with every default applied.

`spec.build` makes these from valid data; nothing downstream looks at the YAML again. Paths
are absolute, references know the folder of the file that wrote them, and credentials are
still references (`{env: NAME}`), never values. A `Spec` pickles.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from ..frozen import frozen
from ..types import NOWHERE, Json, Mark, Usage
from .case import Case
from .prompts import Prompt, ResponseSchema, Text


@frozen
class Reference:
    """A dotted path to a function: `package.module:function`, with what it is called with.

    *folder* is the folder of the file that wrote it, *project* the project's root: the two
    places, in this order and after installed packages, where the module is looked for.
    *from_raw* hands an output transform the whole response body instead of the text.
    """

    path: str
    folder: str
    project: str
    kwargs: Mapping[str, Json] = field(default_factory=dict)
    from_raw: bool = False
    where: Mark = NOWHERE
    key: str = ""


@frozen
class Concurrency:
    """Calls in flight: adaptive between *low* and *high* from *start*; fixed when all are equal."""

    start: int = 8
    low: int = 1
    high: int = 64

    @classmethod
    def fixed(cls, calls: int) -> Concurrency:
        """A limit that never moves."""
        return cls(start=calls, low=calls, high=calls)


@frozen
class Limits:
    """Contract of `limits`: rates per unit of time, tries, seconds. None means no limit.

    *concurrency* None leaves the choice to the adapter's default.
    """

    concurrency: Concurrency | None = None
    requests_per_second: float | None = None
    requests_per_minute: float | None = None
    requests_per_hour: float | None = None
    tokens_per_minute: float | None = None
    input_tokens_per_minute: float | None = None
    output_tokens_per_minute: float | None = None
    attempts: int = 6
    retry_for: float = 1800.0
    timeout: float = 600.0
    warmup: float | None = None
    window: int = 10_000
    processes: int = 1
    max_failures: float | None = None
    max_cost: float | None = None


@frozen
class Price:
    """What tokens cost, per million, in *currency*."""

    input_per_million: float = 0.0
    output_per_million: float = 0.0
    currency: str = "USD"

    def of(self, usage: Usage) -> float:
        """What the tokens of *usage* cost."""
        inputs = (usage.input_tokens or 0) * self.input_per_million
        outputs = (usage.output_tokens or 0) * self.output_per_million
        return (inputs + outputs) / 1e6


@frozen
class EndpointSpec:
    """An adapter's name, its own *options*, and the options common to all adapters."""

    adapter: str
    options: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, Json] = field(default_factory=dict)
    verify: bool | str = True
    send_stop: bool = True
    identity: str | None = None
    price: Price | None = None
    limits: Limits = field(default_factory=Limits)
    where: Mark = NOWHERE
    marks: Mapping[str, Mark] = field(default_factory=dict)
    path: str = "endpoint"

    def mark(self, option: str) -> Mark:
        """Where the value of *option* is written."""
        return self.marks.get(option, self.where)

    def at(self, option: str) -> str:
        """Where *option* is written and what it is called, as messages begin; of what no file
        says, just what it is called."""
        where, name = self.mark(option), f"{self.path}.{option}"
        return name if where == NOWHERE else f"{where}: {name}"


@frozen
class StepSpec:
    """One prompt of a pipeline.

    *places* are the marks of what a request's fields come from: of `prompt` or `messages`, of
    each of `params`, of `stop` and of `response_schema`.
    """

    name: str
    endpoint: EndpointSpec
    prompt: Prompt
    stop: tuple[str, ...] = ()
    params: Mapping[str, Json] = field(default_factory=dict)
    response_schema: ResponseSchema | None = None
    input: tuple[Reference, ...] = ()
    output: tuple[Reference, ...] = ()
    when: Text | None = None
    path: str = ""
    where: Mark = NOWHERE
    places: Mapping[str, Mark] = field(default_factory=dict)


@frozen
class ScoreSpec:
    """One judgement of each record: the plug-in's *kind* and *options*.

    *of* is the expression that is judged; None for a score that looks at the whole record.
    *better* is `higher` or `lower`. *step* is what a judge is asked; None for all other scores.
    """

    kind: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    of: Text | None = None
    better: str = "higher"
    step: StepSpec | None = None
    where: Mark = NOWHERE
    marks: Mapping[str, Mark] = field(default_factory=dict)
    path: str = ""

    def mark(self, option: str) -> Mark:
        """Where the value of *option* is written."""
        return self.marks.get(option, self.where)


@frozen
class SourceSpec:
    """Where rows come from: the plugin's *kind* and *options*; what holds for every kind."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    id: str | None = None
    filter: Text | None = None
    limit: int | None = None
    where: Mark = NOWHERE


@frozen
class TableSpec:
    """A table that is written from the records when a run has finished.

    *kind* is the plugin: `delta` for the folder *name* (absolute), `table` for *name* in Unity
    Catalog, written through *warehouse* or, without one, a Spark session. *mode* is `merge` (by
    the columns *key*), `overwrite` (of the rows for which *where* is true, in SQL; `all`) or
    `append`. *columns* are expressions by column; None makes columns of the records' *fields*.
    *errors* is an absolute path for the records that are not ok.
    """

    kind: str
    name: str
    mode: str = "merge"
    key: tuple[str, ...] = ()
    where: str | None = None
    fields: tuple[str, ...] = ()
    columns: Mapping[str, Text] | None = None
    errors: str | None = None
    warehouse: str | None = None


@frozen
class SinkSpec:
    """Where records go: *path* is absolute; *kind* the plugin (`jsonl`, `csv`, …).

    *publish*: `always`, or only `if_met`. With a *table* the file at *path* lies in the journal's
    folder, and the table is written from it.
    """

    path: str
    kind: str = "jsonl"
    add: frozenset[str] = frozenset()
    omit: frozenset[str] = frozenset()
    publish: str = "always"
    where: Mark = NOWHERE
    table: TableSpec | None = None


@frozen
class JournalSpec:
    """Where answers are kept: *path* is absolute; *mode* `reuse`, `refresh`, `replay` or `off`."""

    path: str
    mode: str = "reuse"
    share: bool = True
    publish_every: float = 30.0


@frozen
class EngineSpec:
    """Where the pipeline runs; *partitions* is how many parts Spark deals the rows to."""

    kind: str = "local"
    partitions: int | None = None
    where: Mark = NOWHERE


@frozen
class Gate:
    """Bounds on a measure of the run; *warn* is a bound that only says so."""

    min: float | None = None
    max: float | None = None
    warn: float | None = None


@frozen
class JobSpec:
    """A Databricks job that runs the spec.

    *keys* are a bundle job's own, as written, `${…}` left for the bundle. *cluster* is the
    cluster of the job's own; None for serverless. *parameters* are the defaults of the variables
    that each run of the job may be given, as text. *task* holds keys of the task.
    """

    keys: Mapping[str, Json] = field(default_factory=dict)
    cluster: Mapping[str, Json] | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    task: Mapping[str, Json] = field(default_factory=dict)
    where: Mark = NOWHERE


@frozen
class MlflowSpec:
    """Where and how runs are logged, and where registered prompts are read.

    Without *experiment* nothing is logged. A URI that is None is left to MLflow's own settings.
    *artifacts* are of `manifest` and `results`.
    """

    experiment: str | None = None
    tracking_uri: str | None = None
    registry_uri: str | None = None
    run_name: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    artifacts: frozenset[str] = frozenset({"manifest", "results"})
    where: Mark = NOWHERE


@frozen
class Spec:
    """A pipeline file after merging, with every default applied.

    *merged* is the merged data as written, `${NAME}` unresolved: what manifests and digests see.
    *columns* are the columns that templates may name, where they are known before reading. With a
    matrix it is the first variant's, and *variants* has them all.
    """

    name: str
    file: str
    folder: str
    project: str
    source: SourceSpec
    steps: tuple[StepSpec, ...]
    sink: SinkSpec
    journal: JournalSpec
    description: str = ""
    vars: Mapping[str, Json] = field(default_factory=dict)
    row: tuple[Reference, ...] = ()
    repeats: int = 1
    limits: Limits = field(default_factory=Limits)
    engine: EngineSpec = field(default_factory=EngineSpec)
    filters: Mapping[str, Reference] = field(default_factory=dict)
    scores: tuple[ScoreSpec, ...] = ()
    gates: Mapping[str, Gate] = field(default_factory=dict)
    job: JobSpec | None = None
    mlflow: MlflowSpec | None = None
    gated_variants: tuple[str, ...] | None = None
    merged: Mapping[str, Json] = field(default_factory=dict)
    target: str | None = None
    variants: tuple[VariantSpec, ...] = ()
    tests: tuple[Case, ...] = ()

    @property
    def branches(self) -> tuple[Spec, ...]:
        """The spec of each variant; the spec itself where it has no matrix."""
        return tuple(variant.spec for variant in self.variants) or (self,)

    @property
    def each(self) -> int:
        """How many records a row makes: one for each variant and repeat."""
        return len(self.branches) * self.repeats

    @property
    def asked(self) -> tuple[StepSpec, ...]:
        """All that is asked for a row: the steps, then the judges among the scores, of each
        variant."""
        if self.variants:
            return tuple(step for variant in self.variants for step in variant.spec.asked)
        if not self.scores:
            return self.steps
        return (*self.steps, *(score.step for score in self.scores if score.step is not None))


@frozen
class VariantSpec:
    """One variant of a matrix: its *name*, its *values* by dotted path, and its whole *spec*."""

    name: str
    values: Mapping[str, Json]
    spec: Spec


def better(spec: Spec) -> dict[str, str]:
    """For each score of *spec* which direction is good."""
    return {score.name: score.better for score in spec.scores}
