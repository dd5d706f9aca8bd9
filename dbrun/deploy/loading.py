"""Reading a spec for the job that will run it, whose variables are filled in only then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..registry import Registry
from ..spec.build_job import named_defaults
from ..spec.layers import merge_layers
from ..spec.load import Loaded, load_spec
from ..spec.nodes import Findings, Node, entries, plain
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
        SpecError: with every problem found.
    """
    given = variables or {}
    defaults = _stand_ins(_merged(path, target, overrides))
    return load_spec(
        path,
        environ=environ,
        registry=registry,
        target=target,
        variables=given,
        overrides=overrides,
        typed_variables={name: value for name, value in defaults.items() if name not in given},
    )


def has_job(path: str, target: str | None = None) -> bool:
    """Whether the spec at *path* says of itself that it is a job.

    Raises:
        SpecError: it cannot be read.
    """
    return _merged(path, target, ()).get("job") is not None


def _merged(path: str, target: str | None, overrides: Sequence[str]) -> Node:
    """The spec as it is written; what is wrong with it is told when it is loaded."""
    merged = merge_layers(
        path,
        target=target,
        overrides=overrides,
        variables=(),
        typed_variables={},
        findings=Findings(),
    )
    return merged.root


def _stand_ins(root: Node) -> Mapping[str, Json]:
    """The defaults of job parameters, for those variables that have no value yet."""
    declared, job = entries(root.get("vars")), root.get("job")
    return {
        name: plain(default)
        for name, _, default in named_defaults(job.get("parameters") if job is not None else None)
        if default is not None and name in declared and declared[name].value is None
    }
