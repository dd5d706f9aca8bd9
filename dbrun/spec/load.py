"""The one entry to reading a pipeline file: from its path to a `Spec`, or to all that is wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ..errors import SpecError
from ..frozen import frozen
from ..registry import Registry
from ..types import Json, Problem
from .build import build
from .check import check
from .credentials import check_literals, check_urls
from .environment import Environment
from .files import shown
from .layers import Merged, merge_layers
from .lint import lint
from .model import Spec
from .nodes import Findings, Node, entries, walk
from .schema import Schemas
from .site import Site, find_project


@frozen
class Loaded:
    """A spec, what is unwise in it, and the merged data with the origin of every value."""

    spec: Spec
    warnings: tuple[Problem, ...]
    merged: Merged


def load_spec(
    path: str,
    *,
    environ: Mapping[str, str],
    registry: Registry,
    target: str | None = None,
    variables: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    overrides: Sequence[str] = (),
    typed_variables: Mapping[str, Json] | None = None,
) -> Loaded:
    """The pipeline file at *path*, merged, checked and complete.

    Args:
        environ: where `${NAME}` is looked up.
        registry: the plug-ins that it may name.
        target: the overlay to lay over it (`--target`), else its `default_target`.
        variables: values of its variables as text (`--var`), read by the declared values' types.
        overrides: `a.b.c=value` (`--set`), values in YAML.
        typed_variables: values of its variables as JSON values.

    Raises:
        SpecError: with every problem that was found.
    """
    given = variables.items() if isinstance(variables, Mapping) else variables
    findings = Findings()
    merged = merge_layers(
        path,
        target=target,
        overrides=overrides,
        variables=list(given),
        typed_variables=typed_variables or {},
        findings=findings,
    )
    schemas = Schemas(registry)
    resolved = _checked(merged.root, schemas, environ, findings)
    _refuse_missing_variables(resolved, findings)
    _check_other_targets(merged, schemas, environ, findings)
    project = find_project(os.path.dirname(os.path.abspath(path)))
    spec = build(
        resolved,
        file=shown(path),
        site=Site(project=project, schemas=schemas, findings=findings),
        registry=registry,
        merged=merged.data,
        target=merged.target,
    )
    if spec is None or findings:
        raise SpecError(findings.problems)
    return Loaded(spec=spec, warnings=tuple(lint(merged.root, resolved, spec)), merged=merged)


def is_fragment(path: str) -> bool:
    """Whether a file is there only to be extended: `_*.yaml`."""
    return os.path.basename(path).startswith("_")


def _checked(
    root: Node,
    schemas: Schemas,
    environ: Mapping[str, str],
    findings: Findings,
    *,
    strict: bool = True,
) -> Node:
    """*root* with `${…}` replaced, its problems noted."""
    check_literals(root, schemas, findings)
    resolved = Environment(schemas, environ, findings, strict=strict).resolve(root)
    check_urls(resolved, schemas, findings)
    check(resolved, schemas, findings)
    return resolved


def _refuse_missing_variables(root: Node, findings: Findings) -> None:
    for name, node in entries(root.get("vars")).items():
        if node.value is None:
            path = ("vars", name)
            findings.add(node.key_place, path, "must be given", f"add --var {name}=…")


def _check_other_targets(
    merged: Merged, schemas: Schemas, environ: Mapping[str, str], findings: Findings
) -> None:
    """Look over the targets that were not asked for, so that a slip in them is found now."""
    for overlaid, root in merged.others.values():
        found = Findings()
        _checked(root, schemas, environ, found, strict=False)
        places = {place.mark for _, node in walk(overlaid) for place in (node.at, node.key_place)}
        # What is wrong elsewhere may well be right with the target that was asked for.
        findings.take(problem for problem in found.problems if problem.where in places)
