"""The recipe: a spec whose every name has been found to exist. It pickles; nothing is open."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field

from ..canonical import digest
from ..errors import UserError
from ..frozen import frozen
from ..registry import Registry
from ..spec.lint import brace_lints, expected_lints, id_lint, template_lints
from ..spec.model import Spec
from ..types import Json, Problem, Record
from .asking.counters import Counters
from .asking.spending import make_purse
from .checks import check, source_columns
from .executor import Executor
from .opening import Opened, Surroundings, opened
from .options import EXCLUDE, Observer, RunOptions
from .processing import Variants, make_processor
from .processor import Processor
from .result import Run
from .rows.feeding import expanded
from .rows.items import Item, Selection, identify
from .travel.away import unlocked_journal


@frozen
class Pipeline:
    """A pipeline file, read, merged and checked.

    *warnings* are what is allowed and still unwise; *registry* are the plugins it may use.
    """

    spec: Spec
    warnings: tuple[Problem, ...] = ()
    registry: Registry = field(default_factory=Registry)

    @classmethod
    def from_spec(
        cls,
        spec: Spec,
        registry: Registry | None = None,
        *,
        warnings: Iterable[Problem] = (),
        import_functions: bool = True,
        environ: Mapping[str, str] | None = None,
    ) -> Pipeline:
        """The recipe of *spec*.

        Args:
            import_functions: false names functions without importing them (untrusted specs).
            environ: tells whether this is a job of Databricks; the process's unless given.

        Raises:
            SpecError: with every template that does not compile, function that is not found,
                plugin that is missing.
        """
        registry = registry or Registry()
        around = os.environ if environ is None else environ
        needed, more = check(spec, registry, import_functions=import_functions, environ=around)
        columns = source_columns(spec, registry)
        if columns is not None:
            more += [
                *id_lint(spec.source, columns),
                *template_lints(needed, columns, spec=spec),
                *brace_lints(spec, columns),
                *expected_lints(spec.scores, columns),
            ]
        return cls(spec=spec, warnings=(*warnings, *more), registry=registry)

    def __repr__(self) -> str:
        # A notebook shows what stands last in a cell, and the whole spec would fill screens.
        steps = "" if len(self.spec.steps) == 1 else f", {len(self.spec.steps)} steps"
        variants = f", {len(self.spec.variants)} variants" if self.spec.variants else ""
        return f"<Pipeline {self.spec.name!r} of {self.spec.file!r}{steps}{variants}>"

    @property
    def digest(self) -> str:
        """What identifies the recipe: the digest of the merged spec as written."""
        return digest(self.spec.merged)

    def run(
        self,
        *,
        rows: Iterable[Mapping[str, Json]] | None = None,
        limit: int | None = None,
        sample: int | None = None,
        seed: int = 0,
        ids: Iterable[str] | None = None,
        only_errors: bool = False,
        fresh: bool = False,
        replay: bool = False,
        out: str | None = None,
        observe: Observer = lambda progress: None,
        environ: Mapping[str, str] | None = None,
    ) -> Run:
        """Run the pipeline over its source and put the results in place.

        Args:
            rows: taken instead of the source where given.
            limit, sample, seed, ids: which rows to take (`--limit`, `--sample`, `--seed`, `--ids`).
            only_errors: ask again for rows whose record on disk is an error.
            fresh: ask for everything anew.
            replay: never send; take answers from the journal.
            out: a path for the results, instead of the spec's sink.
            observe: called some ten times a second with the `Progress`.
            environ: where credentials are looked up; the process's environment unless given.

        Raises:
            UserError: something to fix first; nothing was sent.
            RunError: the run could not finish; running again continues it.
        """
        asked = {"only_errors": only_errors, "fresh": fresh, "replay": replay}
        for one, other, why in EXCLUDE:
            if asked[one] and asked[other]:
                raise UserError(f"{one} and {other} exclude each other: {why}")
        options = RunOptions(
            selection=_selection(limit, sample, seed, ids),
            only_errors=only_errors,
            fresh=fresh,
            replay=replay,
            out=out,
        )
        engine = self.registry.get("engines", self.spec.engine.kind)
        around = self._around(environ)
        run: Run = engine(self.spec, options, around, rows=rows, observe=observe)
        return run

    def stream(
        self,
        rows: Iterable[Mapping[str, Json]],
        *,
        environ: Mapping[str, str] | None = None,
    ) -> Iterator[dict[str, Json]]:
        """The records of *rows*, in order and one after another, in bounded memory.

        Answers are taken from the journal and kept there; no results file is written. Of
        `limits.max_cost` every stream has the whole to itself.

        Raises:
            RunError: no row can succeed, or the stream has spent what it may.
        """
        halt = threading.Event()
        with self._processor(environ, halt) as (processor, parts):
            source = self.registry.get("sources", "rows").create({"rows": rows}, parts.context)
            found = identify(source.rows(), self.spec.source.id)
            executor: Executor[Item, Record] = Executor(
                processor.process,
                expanded(found, parts, repeats=self.spec.repeats),
                workers=parts.calls_at_once,
                window=self.spec.limits.window,
                group=processor.group,
                halt=halt,
            )
            for record in executor.run():
                yield record.to_json(self.spec.sink.add, self.spec.sink.omit)

    def process(
        self, row: Mapping[str, Json], *, environ: Mapping[str, str] | None = None
    ) -> dict[str, Json]:
        """The record of one row. For many rows use `stream`, which keeps connections open.

        Where the row transform makes several rows of it, the first one's record is given.

        Raises:
            RunError: no row can succeed.
        """
        return next(iter(list(self.stream([row], environ=environ))))

    def _around(self, environ: Mapping[str, str] | None) -> Surroundings:
        return Surroundings(
            environ=os.environ if environ is None else environ, registry=self.registry
        )

    @contextmanager
    def _processor(
        self, environ: Mapping[str, str] | None, halt: threading.Event
    ) -> Iterator[tuple[Processor | Variants, Opened]]:
        around = self._around(environ)
        spec = self.spec
        with (
            unlocked_journal(spec, around) as journal,
            opened(
                spec,
                around,
                journal=journal,
                counters=Counters(),
                halt=halt,
                purse=make_purse(spec, around.clock),
            ) as parts,
        ):
            processor = make_processor(spec, parts, images_folder=spec.folder)
            yield processor, parts


def _selection(
    limit: int | None, sample: int | None, seed: int, ids: Iterable[str] | None
) -> Selection:
    """The rows that the arguments of `run` name; what the command line refuses is refused here."""
    for name, number in (("limit", limit), ("sample", sample)):
        if number is not None and (not isinstance(number, int) or number < 1):
            raise UserError(f"{name} wants a whole number of at least 1, found {number!r}")
    if isinstance(ids, str):
        raise UserError("ids wants a list of ids, found a text", f"write ids=[{ids!r}]")
    wanted = frozenset(ids) if ids is not None else None
    return Selection(limit=limit, sample=sample, seed=seed, ids=wanted)
