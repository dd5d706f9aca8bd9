"""The one entry to reading a pipeline file: from its path to a `Spec`, or to all that is wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ..errors import SpecError
from ..frozen import frozen
from ..registry import Registry
from ..types import Json, Problem
from . import hints
from .build import build
from .check import check, check_part
from .credentials import check_literals, check_urls
from .environment import Environment
from .files import shown
from .layers import Merged, merge_layers
from .lint import lint
from .matrix import Variant, variants
from .model import Spec, VariantSpec
from .nodes import Findings, Node, Path, children, entries, walk
from .offers import offer_targets
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
    matrix = merged.root.get("matrix")
    if matrix is not None:
        check_part(matrix, "matrix", schemas, findings)
    roots = variants(merged.root, findings) if matrix is not None else []
    project = find_project(os.path.dirname(os.path.abspath(path)))
    built: list[tuple[Node, Node, Spec | None]] = []
    for root in [variant.root for variant in roots] or [_without_matrix(merged.root)]:
        resolved = _checked(root, schemas, environ, findings)
        _refuse_missing_variables(resolved, findings)
        made = build(
            resolved if matrix is None else _with_matrix(resolved, matrix),
            file=shown(path),
            site=Site(project=project, schemas=schemas, findings=findings),
            registry=registry,
            merged=merged.data,
            target=merged.target,
        )
        built.append((root, resolved, made))
    _check_other_targets(merged, schemas, environ, findings)
    specs = [made for _, _, made in built if made is not None]
    _refuse_other_rows(specs, roots, matrix, findings)
    _refuse_unknown_variants(merged.root, [variant.name for variant in roots], findings)
    if findings or len(specs) < len(built):
        raise SpecError(_with_offers(findings, merged, schemas, environ))
    found = [
        warning for root, resolved, made in built if made for warning in lint(root, resolved, made)
    ]
    spec = replace(
        specs[0],
        variants=tuple(
            VariantSpec(name=variant.name, values=variant.values, spec=one)
            for variant, one in zip(roots, specs, strict=False)
        ),
    )
    return Loaded(spec=spec, warnings=tuple(dict.fromkeys(found)), merged=merged)


def _without_matrix(root: Node) -> Node:
    return root.with_value({key: one for key, one in root.value.items() if key != "matrix"})


def _with_matrix(root: Node, matrix: Node) -> Node:
    return root.with_value({**root.value, "matrix": matrix})


_SHARED = ("source", "sink", "journal", "limits", "engine", "gates", "filters", "mlflow")
"""What belongs to the run as a whole, and so is the same in all variants."""


def _refuse_other_rows(
    specs: Sequence[Spec], roots: Sequence[Variant], matrix: Node | None, findings: Findings
) -> None:
    """A variable of a variant may stand in what the variants share: that would not do."""
    for name in _SHARED:
        if matrix is not None and any(
            getattr(spec, name) != getattr(specs[0], name) for spec in specs
        ):
            message = f"the variants differ in '{name}', which they share"
            hint = "use no variable of the matrix there"
            findings.add(matrix.place, ("matrix",), message, hint)


def _refuse_unknown_variants(root: Node, names: Sequence[str], findings: Findings) -> None:
    for at, listed in _named_variants(root):
        for index, one in enumerate(listed.value if isinstance(listed.value, list) else ()):
            if isinstance(one.value, str) and one.value not in names:
                hint = hints.for_name(one.value, names, none="the spec has no matrix")
                message = f"there is no variant '{one.value}'"
                findings.add(one.place, (*at, index), message, hint)


def _named_variants(root: Node) -> Iterator[tuple[Path, Node]]:
    """Every list of variants by name."""
    gates, tests = root.get("gates"), root.get("tests")
    if gates is not None and (listed := gates.get("variants")) is not None:
        yield ("gates", "variants"), listed
    for index, test in children(tests) if tests is not None else ():
        given = test.get("given")
        if given is not None and (listed := given.get("variants")) is not None:
            yield ("tests", index, "given", "variants"), listed


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


def _with_offers(
    findings: Findings, merged: Merged, schemas: Schemas, environ: Mapping[str, str]
) -> Sequence[Problem]:
    """What was found; where no target was asked for, with those that give what is missing."""
    if merged.target is not None:
        return findings.problems

    def problems_of(root: Node) -> Sequence[Problem]:
        found = Findings()
        resolved = _checked(root, schemas, environ, found, strict=False)
        _refuse_missing_variables(resolved, found)
        return found.problems

    others = {name: root for name, (_, root) in merged.others.items()}
    return offer_targets(findings.problems, others, problems_of)


def _check_other_targets(
    merged: Merged, schemas: Schemas, environ: Mapping[str, str], findings: Findings
) -> None:
    """Look over the targets that were not asked for, so that a slip in them is found now."""
    known = {(problem.path, problem.message) for problem in findings.problems}
    for overlaid, root in merged.others.values():
        found = Findings()
        if root.get("matrix") is not None:
            continue  # its variants are looked at when the target is chosen
        _checked(root, schemas, environ, found, strict=False)
        places = {place.mark for _, node in walk(overlaid) for place in (node.at, node.key_place)}
        # What is wrong elsewhere may well be right with the target that was asked for.
        findings.take(
            problem
            for problem in found.problems
            if problem.where in places and (problem.path, problem.message) not in known
        )
