"""What a schema cannot check: templates compile, functions exist, prompt and endpoint agree."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..adapters.base import Adapter
from ..context import Context
from ..errors import SourceError, SpecError, UserError
from ..registry import Registry
from ..spec.hints import for_name
from ..spec.model import Reference, ScoreSpec, Spec, StepSpec
from ..spec.prompts import Text, texts
from ..spec.references import Resolver
from ..spec.signatures import check_signature
from ..spec.templates import Templates, compile_prompt
from ..types import NOWHERE, Mark, Problem
from .opening import no_native_form
from .plugins import create_adapter, create_scorer, create_source

IN_JOB = "DBRUN_JOB"
"""The variable that the entry point for jobs sets on job compute: there it knows where it is."""

_RESERVED = {
    "prompt": "write it beside params",
    "messages": "write it beside params",
    "stream": "leave it out: answers are taken whole",
}
"""Names that the request gives another meaning."""

_UNKNOWN = {
    "vars": "declare it under vars",
    "steps": "a template sees the steps before its own",
}
"""What to do about a name that is not there."""

Columns = dict[Text, frozenset[str]]
"""Template → the columns that it cannot do without; in templates of scores, `output` is known."""

_SEEN_BY_SCORES = frozenset({"output"})
_SEEN_BY_BODIES = frozenset({"prompt", "messages", "stop", "params"})


def check(
    spec: Spec,
    registry: Registry,
    *,
    import_functions: bool = True,
    environ: Mapping[str, str] | None = None,
) -> tuple[Columns, list[Problem]]:
    """The columns that the templates of *spec* need, for the lint of unknown ones; and warnings.

    Args:
        import_functions: false looks for functions without importing a module.
        environ: tells whether this is a job of Databricks.

    Raises:
        SpecError: with every problem that was found.
    """
    columns: Columns = {}
    problems: list[Problem] = []
    warnings: list[Problem] = []
    for branch in spec.branches:
        checks = _Checks(branch, registry, import_functions)
        problems += checks.problems()
        columns.update(checks.columns)
        warnings += checks.warnings
    problems += _sink_in_job(spec, environ or {})
    if problems:
        raise SpecError(list(dict.fromkeys(problems)))
    return columns, list(dict.fromkeys(warnings))


def source_columns(spec: Spec, registry: Registry) -> frozenset[str] | None:
    """The columns of the source, where they can be known before reading it."""
    if any(branch.row for branch in spec.branches):
        return None  # the row transform may make any column
    try:
        columns: frozenset[str] | None = create_source(
            spec.source, Context(folder=spec.folder, project=spec.project, offline=True), registry
        ).columns()
    except (SourceError, UserError):
        return None  # a source that is made by an earlier task is no fault of the spec
    return columns


class _Checks:
    def __init__(self, spec: Spec, registry: Registry, import_functions: bool) -> None:
        self.columns: Columns = {}
        self.warnings: list[Problem] = []
        self._spec = spec
        self._registry = registry
        self._import = import_functions
        self._resolver = Resolver()
        self._earlier: list[str] = []
        """The steps that a template may name where we are."""
        self._templates = Templates(
            project=spec.project, folder=spec.folder, filters=self._filters()
        )
        self._context = Context(
            folder=spec.folder,
            project=spec.project,
            resolve=self._resolve,
            template=self._templates.compile,
            offline=True,
        )

    def problems(self) -> list[Problem]:
        """Everything wrong with the spec that this room can tell."""
        found = list(self._functions())
        found += self._source()
        found += self._columns()
        for step in self._spec.steps:
            found += self._step(step)
            self._earlier.append(step.name)
        for score in self._spec.scores:
            found += self._score(score)
        return list(dict.fromkeys(found))

    def _functions(self) -> Iterator[Problem]:
        spec = self._spec
        for name, reference in spec.filters.items():
            yield from self._function(reference, "filter", f"templates.filters.{name}")
        for reference in spec.row:
            yield from self._function(reference, "row", "transforms.row")
        for step in spec.steps:
            prefix = f"{step.path}." if step.path else ""
            for reference in step.input:
                yield from self._function(reference, "input", f"{prefix}transforms.input", step)
            for reference in step.output:
                yield from self._function(reference, "output", f"{prefix}transforms.output")
        for score in spec.scores:
            for name, value in score.options.items():
                if isinstance(value, Reference):
                    yield from self._function(value, "score", f"{score.path}.{name}")

    def _function(
        self, reference: Reference, hook: str, path: str, step: StepSpec | None = None
    ) -> Iterator[Problem]:
        if not self._import:
            problem = self._resolver.find(reference)
            if problem is not None:
                yield problem
            return
        try:
            function = self._resolver.resolve(reference)
        except SpecError as error:
            yield from error.problems
            return
        names = {*reference.kwargs, *(_request_names(step) if step else ())}
        wrong = check_signature(function, hook, names)
        if wrong:
            yield Problem(
                where=reference.where,
                path=reference.key or path,
                message=f"{reference.path} {wrong}",
                length=len(reference.path),
            )

    def _source(self) -> Iterator[Problem]:
        spec = self._spec.source
        try:
            create_source(spec, self._context, self._registry)
        except SpecError as error:
            yield from error.problems
        except UserError as error:
            yield _said(error, spec.where, "source")
        if spec.filter is not None:
            yield from self._compiles(spec.filter, self._templates.expression)

    def _columns(self) -> Iterator[Problem]:
        table = self._spec.sink.table
        for text in (table.columns or {}).values() if table is not None else ():
            try:
                self._templates.expression(text)
            except SpecError as error:
                yield from error.problems

    def _step(self, step: StepSpec, known: frozenset[str] = frozenset()) -> Iterator[Problem]:
        for name, mend in _RESERVED.items():
            if name in step.params:
                prefix = f"{step.path}." if step.path else ""
                yield Problem(
                    where=step.where,
                    path=f"{prefix}params.{name}",
                    message=f"'{name}' is no generation parameter",
                    hint=mend,
                )
        try:
            prompt = compile_prompt(step.prompt, self._templates)
            if prompt.names:
                for text in texts(step.prompt):
                    yield from self._compiles(text, self._templates.compile, known)
        except SpecError as error:
            yield from error.problems
        if step.when is not None:
            yield from self._compiles(step.when, self._templates.expression)
        try:
            adapter = create_adapter(step.endpoint, self._registry, self._context)
        except SpecError as error:
            yield from error.problems
            return
        except UserError as error:
            yield _said(error, step.endpoint.where, step.endpoint.path)
            return
        try:
            for text in adapter.columns.values():
                yield from self._compiles(text, self._templates.compile, known)
            for text in step.endpoint.options.values():
                if isinstance(text, Text):
                    yield from self._compiles(
                        text, self._templates.compile, known | _SEEN_BY_BODIES
                    )
            yield from self._agreement(step, adapter)
            self.warnings += self._arguments(step, adapter)
        finally:
            adapter.close()

    def _score(self, score: ScoreSpec) -> Iterator[Problem]:
        if score.of is not None:
            yield from self._compiles(score.of, self._templates.expression, _SEEN_BY_SCORES)
        if score.step is not None:
            yield from self._step(score.step, _SEEN_BY_SCORES)
        for value in score.options.values():
            if isinstance(value, Text):
                yield from self._compiles(value, self._templates.compile, _SEEN_BY_SCORES)
        try:
            create_scorer(score, self._registry, self._context)
        except SpecError as error:
            yield from error.problems
        except UserError as error:
            yield _said(error, score.where, score.path)

    def _compiles(
        self,
        text: Text,
        compile_one: Callable[[Text], Any],
        known: frozenset[str] = frozenset(),
    ) -> Iterator[Problem]:
        try:
            compiled = compile_one(text)
        except SpecError as error:
            yield from error.problems
            return
        self.columns[text] = compiled.columns - known
        for member in sorted(compiled.members):
            word, _, name = member.partition(".")
            there = self._spec.vars if word == "vars" else self._earlier
            if name not in there:
                what = "variable" if word == "vars" else "earlier step"
                yield Problem(
                    where=text.where,
                    path="" if text.file else text.name,
                    message=f"there is no {what} '{name}'",
                    hint=for_name(name, there) or _UNKNOWN[word],
                )

    def _agreement(self, step: StepSpec, adapter: Adapter) -> Iterator[Problem]:
        """Prompt and endpoint are of one kind (where the kind is known without asking)."""
        has_messages = step.prompt.messages is not None or step.prompt.column is not None
        prefix = f"{step.path}." if step.path else ""
        if adapter.prompt_kind == "text" and has_messages:
            yield Problem(
                where=step.places.get("messages", step.where),
                path=f"{prefix}messages",
                message="this endpoint takes a text, not messages",
                hint="write `prompt`, or set the endpoint's task to chat",
            )
        schema = step.response_schema
        if schema is not None and schema.mode == "native" and not _is_native(adapter):
            yield no_native_form(step)

    def _arguments(self, step: StepSpec, adapter: Adapter) -> Iterator[Problem]:
        """A function that is asked finds what it needs in requests, as far as they are known."""
        lacking = getattr(adapter, "lacking", None)
        # An input transform may make any request, a prompt of a registry is not known yet.
        if lacking is None or not self._import or step.input or step.prompt.registered is not None:
            return
        names = _request_names(step)
        if wants := lacking(names):
            there = ", ".join([*sorted(names), "params", "row"])
            yield Problem(
                where=step.endpoint.mark("function"),
                path=f"{step.endpoint.path}.function",
                message=f"the function wants {', '.join(wants)}, which requests have not",
                hint=f"they have {there}; kwargs gives it others",
            )

    def _filters(self) -> Mapping[str, Callable[..., Any]]:
        """The user's filters; one that cannot be had stands in, so that templates still compile."""
        found: dict[str, Callable[..., Any]] = {}
        for name, reference in self._spec.filters.items():
            try:
                found[name] = self._resolver.resolve(reference) if self._import else _stand_in
            except SpecError:
                found[name] = _stand_in
        return found

    def _resolve(self, reference: Reference) -> Callable[..., Any]:
        if self._import:
            return self._resolver.resolve(reference)
        problem = self._resolver.find(reference)
        if problem is not None:
            raise SpecError([problem])
        return _stand_in


def _sink_in_job(spec: Spec, environ: Mapping[str, str]) -> Iterator[Problem]:
    """On job compute a relative sink lies on a disk that is gone when the job has ended."""
    # Notebooks, where a person looks at the file at once, run in IPython; but so may jobs.
    told = IN_JOB in environ
    if not told and ("DATABRICKS_RUNTIME_VERSION" not in environ or "IPython" in sys.modules):
        return
    if (problem := lost_with_the_machine(spec)) is not None:
        yield problem


def lost_with_the_machine(spec: Spec) -> Problem | None:
    """The problem of a relative sink in a job, whose machine is gone when it has ended."""
    written = spec.merged.get("sink")
    name = "sink"
    if isinstance(written, Mapping) and "table" in written:
        name, written = "journal", spec.merged.get("journal")
    path = written.get("path") if isinstance(written, Mapping) else written
    if str(path).startswith("${") or (path is not None and os.path.isabs(str(path))):
        return None  # what the environment of the job holds, only the job knows
    # The usual sink is written nowhere: then the file is named that could.
    where = Mark(file=spec.source.where.file) if spec.sink.where == NOWHERE else spec.sink.where
    return Problem(
        where=where,
        path=name,
        message=f"a relative {name} would be lost with the job's machine",
        hint="write it to /Volumes/<catalog>/<schema>/<volume>/…",
    )


def _is_native(adapter: Adapter) -> bool:
    return bool(adapter.native_schema({"type": "object"}, "output"))


def _stand_in(value: Any, *arguments: Any, **named: Any) -> Any:
    return value


def _request_names(step: StepSpec) -> set[str]:
    """The keywords that an `input` function is sure to be called with."""
    has_messages = step.prompt.messages is not None or step.prompt.column is not None
    names = set(step.params)
    if has_messages or step.prompt.text is not None:
        names.add("messages" if has_messages else "prompt")
    if step.stop:
        names.add("stop")
    return names


def _said(error: UserError, where: Mark, path: str) -> Problem:
    return Problem(where=where, path=path, message=error.message, hint=error.hint)
