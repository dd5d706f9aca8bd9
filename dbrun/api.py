"""dbrun as a library: the functions that the command line is made of."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .errors import SpecError, UserError
from .registry import Registry
from .run.pipeline import Pipeline
from .run.travel.away import at_home
from .spec.load import load_spec
from .types import Json, Problem

if TYPE_CHECKING:
    from .run.endpoint import Endpoint
    from .tracking.prompts import Mode


def load(
    path: str | os.PathLike[str],
    *,
    target: str | None = None,
    vars: Mapping[str, Json] | None = None,
    variables: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    registry: Registry | None = None,
    import_functions: bool = True,
    prompts: Mode = "current",
) -> Pipeline:
    """The pipeline of the file at *path*, read, merged and checked.

    Args:
        target: the overlay to lay over the spec (`--target`).
        vars: values of declared variables, as JSON values.
        variables: the same as text (`--var`), read by the declared values' types.
        overrides: `a.b.c=value` settings (`--set`), values in YAML.
        environ: where `${NAME}` is looked up; the process's environment unless given.
        registry: the plugins it may use.
        import_functions: false names functions without importing them.
        prompts: what an alias of MLflow's registry stands for: `current` asks the registry,
            `latest_known` takes what it said last where it cannot be asked, `kept` never asks.

    Raises:
        SpecError: with every problem found, each with its place in the file.
        UserError: an argument is of another kind than these.
        RunError: a registered prompt cannot be read.
    """
    return _load(
        path,
        target=target,
        vars=vars,
        variables=variables,
        overrides=overrides,
        environ=environ,
        registry=registry,
        import_functions=import_functions,
        prompts=prompts,
    )


def _load(
    path: str | os.PathLike[str],
    *,
    target: str | None = None,
    vars: Mapping[str, Json] | None = None,
    variables: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    registry: Registry | None = None,
    import_functions: bool = True,
    prompts: Mode = "current",
    must_have_prompts: bool = True,
) -> Pipeline:
    _refuse_other_kinds(path, vars, overrides)
    registry = registry or Registry()
    loaded = load_spec(
        os.fspath(path),
        target=target,
        variables=variables or {},
        typed_variables=vars or {},
        overrides=overrides,
        environ=os.environ if environ is None else environ,
        registry=registry,
    )
    spec, warnings = loaded.spec, loaded.warnings
    spec = at_home(spec, os.environ if environ is None else environ)
    if any(step.prompt.registered for step in spec.asked):
        from .tracking.prompts import read_prompts

        spec, more = read_prompts(
            spec,
            os.environ if environ is None else environ,
            mode=prompts,
            must_have=must_have_prompts,
        )
        warnings = (*warnings, *more)
    return Pipeline.from_spec(
        spec,
        registry,
        warnings=warnings,
        import_functions=import_functions,
        environ=environ,
    )


def _refuse_other_kinds(path: object, vars: object, overrides: object) -> None:
    """A text is a sequence of letters, and a notebook has no type checker."""
    if not isinstance(path, str | os.PathLike):
        raise UserError(
            f"path wants the path of a spec, found an object of {type(path).__name__}",
            "write the spec into a file; overrides=[…] changes values of it",
        )
    if vars is not None and not isinstance(vars, Mapping):
        found = "a text" if isinstance(vars, str) else f"an object of {type(vars).__name__}"
        raise UserError(f"vars wants a mapping, found {found}", "write vars={'name': value}")
    if isinstance(overrides, str | Mapping):
        found = "a text" if isinstance(overrides, str) else "a mapping"
        raise UserError(
            f"overrides wants a list of settings, found {found}", "write overrides=['a.b=value']"
        )


def validate(path: str | os.PathLike[str], **options: Any) -> tuple[list[Problem], list[Problem]]:
    """The problems and the warnings of the file at *path*; takes what `load` takes.

    Everything is checked that can be without calling an endpoint. A registered prompt that cannot
    be read for the moment is a warning; untrusted specs (`import_functions=False`) have nobody
    asked for theirs.
    """
    mode = "latest_known" if options.get("import_functions", True) else "kept"
    try:
        pipeline = _load(path, **{"prompts": mode, "must_have_prompts": False, **options})
    except SpecError as error:
        return list(error.problems), []
    return [], list(pipeline.warnings)


def endpoint(
    adapter: str,
    *,
    transform_input_fn: Callable[..., Any] | None = None,
    transform_output_fn: Callable[..., Any] | None = None,
    params: Mapping[str, Json] | None = None,
    stop: Sequence[str] | str = (),
    limits: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    registry: Registry | None = None,
    **options: Any,
) -> Endpoint:
    """A model endpoint to be asked from Python.

    Args:
        adapter: a name of the registry (`databricks`, `openai`, `mlflow`, `local`, …).
        transform_input_fn: called with the request's parts as keywords (`prompt`, `stop`, every
            param); returns the request mapping to send.
        transform_output_fn: called with the text of the answer (custom models: the prediction);
            returns what `invoke` gives back.
        params: generation parameters of every request.
        stop: strings at which an answer ends.
        limits: as the spec's `limits`.
        options: the adapter's own options (`name`, `host`, `token`, …); credentials may be
            given as text or as `{"env": NAME}` or `{"secret": "scope/key"}`.

    Raises:
        UserError: an unknown adapter or option.
    """
    from .run.endpoint import make_endpoint
    from .run.opening import Surroundings

    around = Surroundings(
        environ=os.environ if environ is None else environ, registry=registry or Registry()
    )
    return make_endpoint(
        adapter,
        around=around,
        transform_input_fn=transform_input_fn,
        transform_output_fn=transform_output_fn,
        params=params,
        stop=stop,
        limits=limits,
        **options,
    )
