"""Reading a spec for the job that will run it, whose variables are filled in only then."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ..errors import SpecError
from ..registry import Registry
from ..run.checks import lost_with_the_machine
from ..spec.build_job import named_defaults
from ..spec.layers import merge_layers
from ..spec.load import Loaded, load_spec
from ..spec.nodes import Findings, entries, plain
from ..types import Json


def load_for_job(
    path: str,
    *,
    environ: Mapping[str, str],
    registry: Registry,
    target: str | None = None,
    variables: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
) -> Loaded:
    """The spec at *path* as its job will run it.

    A variable that must be given, and that is a parameter of the job, stands at the parameter's
    default. Takes what `load_spec` takes.

    Raises:
        SpecError: with every problem found, and if its results would be lost with the job.
    """
    given = variables or {}
    defaults = _stand_ins(path, target, overrides)
    loaded = load_spec(
        path,
        environ=environ,
        registry=registry,
        target=target,
        variables=given,
        overrides=overrides,
        typed_variables={name: value for name, value in defaults.items() if name not in given},
    )
    if (problem := lost_with_the_machine(loaded.spec)) is not None:
        raise SpecError([problem])
    return loaded


def _stand_ins(path: str, target: str | None, overrides: Sequence[str]) -> Mapping[str, Json]:
    """The defaults of job parameters, for those variables that have no value yet."""
    findings = Findings()
    merged = merge_layers(
        os.fspath(path),
        target=target,
        overrides=overrides,
        variables=(),
        typed_variables={},
        findings=findings,
    )
    declared = entries(merged.root.get("vars"))
    job = merged.root.get("job")
    return {
        name: plain(default)
        for name, _, default in named_defaults(job.get("parameters") if job is not None else None)
        if default is not None and name in declared and declared[name].value is None
    }
