"""What is allowed and still unwise: warnings in the form of problems."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping

from ..spelling import nearest
from ..types import Problem
from . import hints
from .build_score import is_gate_of_the_run
from .dynamic import lint_references
from .formats import STANDARD_INPUT, format_of
from .lint_params import lint_params
from .model import EndpointSpec, ScoreSpec, SinkSpec, SourceSpec, Spec, StepSpec
from .nodes import Findings, Node, Path, entries, item_part
from .prompts import Text, texts

_MOST_STOPS = 4
_STARTS = ("schedule", "trigger", "triggers", "continuous")
"""The keys of a job that have it run again and again."""

_BRACED = re.compile(r"(?<![{$%])\{ ?(\w+) ?\}(?!\})")
_DELIMITERS = {";": '";"', "\t": '"\\t"', "|": '"|"', ":": '":"'}
"""What may separate the columns of a CSV file → how that is written in a spec."""

_KEYWORD = re.compile(
    r"\$.*|type|enum|const|format|pattern|(pattern|additional|unevaluated)Properties|properties|"
    r"required|propertyNames|dependent(Required|Schemas)|dependencies|(prefix|additional|"
    r"unevaluated)Items|items|((min|max)C|c)ontains|(min|max)(Properties|Items|Length)|uniqueItems|"
    r"(exclusiveM|m)(inimum|aximum)|multipleOf|(all|any|one)Of|not|if|then|else|definitions"
)
"""Words of JSON Schema (drafts 6 to 2020-12) by which a value may fail to satisfy one."""

_ALWAYS_THERE = frozenset({"row", "vars", "steps"})


def lint(written: Node, resolved: Node, spec: Spec) -> list[Problem]:
    """Warnings that need the spec alone. *written* is the merged data with `${…}` in place."""
    findings = Findings()
    shared = _sharing_is_unsaid(resolved)
    for (path, node), step in zip(_steps(resolved), spec.steps, strict=True):
        _lint_stop(node.get("stop"), (*path, "stop"), step, findings)
        _lint_schema(node.get("response_schema"), (*path, "response_schema"), step, findings)
        lint_params(node.get("params"), (*path, "params"), step.endpoint, findings)
        if shared:
            _lint_temperature(node.get("params"), (*path, "params"), findings)
    for path, node, judge in _judges(resolved, spec):
        lint_params(node.get("params"), (*path, "params"), judge.endpoint, findings)
    _lint_sharing(resolved.get("journal"), spec, findings)
    _lint_sink(written, findings)
    _lint_ending(resolved.get("sink"), spec.sink, findings)
    _lint_schedule(written, findings)
    lint_references(written.get("job"), findings)
    _lint_gates(resolved.get("gates"), spec, findings)
    return list(findings.problems)


def template_lints(
    names: Mapping[Text, Iterable[str]],
    columns: Iterable[str],
    *,
    known: Iterable[str] = (),
    spec: Spec | None = None,
) -> list[Problem]:
    """Warnings for template variables that are no column of the source.

    Args:
        names: the variables that each template uses.
        columns: the columns of the source.
        known: further names that templates may use.
        spec: whose variables and steps may have been meant.
    """
    found = frozenset(columns)
    meant: dict[str, str] = {}
    if spec is not None:
        if len(spec.steps) > 1:
            meant |= {step.name: f"write steps.{step.name}.output" for step in spec.steps}
        meant |= {name: f"write vars.{name}" for name in spec.vars}
    there = found | _ALWAYS_THERE | frozenset(known)
    return [
        Problem(
            where=text.where,
            path="" if text.file else text.name,
            message=f"the source has no column '{name}'",
            hint=meant.get(name) or _for_column(name, found),
        )
        for text, used in names.items()
        for name in sorted(set(used) - there)
    ]


def id_lint(source: SourceSpec, columns: Iterable[str]) -> list[Problem]:
    """A warning if the column that identifies rows is none of the source's *columns*."""
    found = frozenset(columns)
    if source.id is None or source.id in found:
        return []
    message = f"the source has no column '{source.id}'"
    hint = _for_column(source.id, found)
    return [Problem(where=source.where, path="source.id", message=message, hint=hint)]


def expected_lints(scores: Iterable[ScoreSpec], columns: Iterable[str]) -> list[Problem]:
    """Warnings for an `expected` that is the name of one of the source's *columns*, bare."""
    found = frozenset(columns)
    expected = [one for score in scores if isinstance(one := score.options.get("expected"), Text)]
    return [
        Problem(
            where=text.where,
            path=text.name,
            message=f"'{text.source}' is a column, but without braces it is just this word",
            hint=f'write "{{{{ {text.source} }}}}"',
            length=len(text.source),
        )
        for text in expected
        if text.source in found
    ]


def brace_lints(spec: Spec, columns: Iterable[str]) -> list[Problem]:
    """Warnings for columns in single braces, as Python's `format` takes them."""
    found = frozenset(columns)
    prompts = [texts(step.prompt) for branch in spec.branches for step in branch.steps]
    return [
        Problem(
            where=text.where,
            path="" if text.file else text.name,
            message=f"'{written[0]}' is sent as it stands, although '{written[1]}' is a column",
            hint=f"write {{{{ {written[1]} }}}}",
        )
        for text in dict.fromkeys(text for prompt in prompts for text in prompt)
        for written in _BRACED.finditer(text.source)
        if written[1] in found
    ]


def _for_column(name: str, columns: frozenset[str]) -> str:
    """The hint for a column called *name* that is not there."""
    if len(columns) == 1:
        (only,) = columns
        for delimiter, written in _DELIMITERS.items():
            if name in only.split(delimiter) and delimiter in only:
                return f"write source.delimiter: {written}"
    return hints.for_name(name, columns)


def _steps(root: Node) -> Iterator[tuple[Path, Node]]:
    steps = root.get("steps")
    if steps is None:
        yield (), root
        return
    for index, node in enumerate(steps.value):
        yield ("steps", item_part(node, index)), node


def _judges(root: Node, spec: Spec) -> Iterator[tuple[Path, Node, StepSpec]]:
    scores = root.get("scores")
    nodes = scores.value if scores is not None else []
    for index, (node, score) in enumerate(zip(nodes, spec.scores, strict=True)):
        if score.step is not None:
            yield ("scores", index), node, score.step


def _lint_stop(node: Node | None, path: Path, step: StepSpec, findings: Findings) -> None:
    if node is None:
        return
    listed = isinstance(node.value, list)
    items = node.value if listed else [node]
    seen: set[str] = set()
    for index, item in enumerate(items):
        at = (*path, index) if listed else path
        if not item.value:
            findings.add(item.at, at, "an empty stop string stops nothing", "remove it")
        elif item.value in seen:
            findings.add(item.at, at, "this stop string is listed twice", "remove one")
        elif "\\n" in item.value or "\\t" in item.value:
            message = "holds a backslash and a letter, not a line break"
            findings.add(item.at, at, message, 'write it in double quotes: "\\n"')
        seen.add(item.value)
    if len(seen) > _MOST_STOPS and _is_chat(step.endpoint, step):
        message = f"{len(seen)} stop strings; many chat endpoints take {_MOST_STOPS} at most"
        findings.add(node.place, path, message, "set endpoint.send_stop: false to cut them here")


def _is_chat(endpoint: EndpointSpec, step: StepSpec) -> bool:
    task = endpoint.options.get("task")
    if task in (None, "auto"):
        chats = endpoint.adapter in ("openai", "local", "databricks")
        return chats or step.prompt.messages is not None
    return bool(task == "chat")


def _lint_schema(node: Node | None, path: Path, step: StepSpec, findings: Findings) -> None:
    wanted = step.response_schema
    if node is None or wanted is None:
        return
    schema = wanted.schema
    if isinstance(schema, dict) and schema and not any(_KEYWORD.fullmatch(key) for key in schema):
        message = "has no word of JSON Schema in it, so any JSON satisfies it"
        first = next(iter(schema))
        hint = f"write {{type: object, properties: {{{first}: {{type: string}}, …}}}}"
        findings.add(node.place, path, message, hint)
        return
    if wanted.mode != "native":
        if _is_of_texts(schema) and not step.output:
            message = "wants a JSON text, quotation marks included, which models seldom answer"
            hint = "for a bare word leave it out, and judge the output with scores: one_of"
            findings.add(node.place, path, message, hint)
        return
    if isinstance(schema, dict) and schema.get("type") == "object" and not schema.get("properties"):
        message = "of an object without properties foundation models make an empty one"
        findings.add(node.place, path, message, "list its properties, or leave mode out")


def _is_of_texts(schema: object) -> bool:
    """Whether only texts satisfy *schema*, as far as its own words tell."""
    if not isinstance(schema, dict):
        return False
    values = schema.get("enum", [schema["const"]] if "const" in schema else None)
    if isinstance(values, list) and values:
        return all(isinstance(value, str) for value in values)
    return schema.get("type") == "string"


def _sharing_is_unsaid(root: Node) -> bool:
    journal = root.get("journal")
    return journal is None or journal.get("share") is None


def _lint_sharing(journal: Node | None, spec: Spec, findings: Findings) -> None:
    """`share: false` tells rows apart by their ids, and the hashes of equal rows are equal."""
    share = journal.get("share") if journal is not None else None
    if share is None or share.value is not False or spec.source.id is not None:
        return
    if spec.source.kind == "text":  # every row has a path of its own
        return
    rows = spec.source.options.get("rows")
    if rows is not None and len({json.dumps(row, sort_keys=True) for row in rows}) == len(rows):
        return
    message = "equal rows share answers all the same: without source.id a row's id is its hash"
    hint = "write source.id, the column that tells rows apart"
    findings.add(share.place, ("journal", "share"), message, hint)


def _lint_temperature(params: Node | None, path: Path, findings: Findings) -> None:
    node = params.get("temperature") if params is not None else None
    if node is None or not isinstance(node.value, (int, float)) or node.value <= 0:
        return
    message = "equal requests share one answer, although the temperature is above 0"
    hint = "write journal.share: false to ask for each row, or true if that is meant"
    findings.add(node.place, (*path, "temperature"), message, hint)


def _lint_schedule(root: Node, findings: Findings) -> None:
    """Each run of a job that comes round again would find the answers of the one before."""
    journal, sink = root.get("journal"), root.get("sink")
    starts = [name for name in entries(root.get("job")) if name in _STARTS]
    mode = journal.get("mode") if journal is not None else None
    if not starts or (mode is not None and mode.value in ("off", "refresh")):
        return
    path = journal.get("path") if journal is not None else None
    if path is None and sink is not None:
        path = sink.get("path") or sink
    if path is not None and "${" in str(path.value):
        return
    message = "every run shares one journal: what was answered once is not asked again"
    hint = "write journal.path with a variable, such as ${vars.day}, or journal.mode: refresh"
    start = entries(root.get("job"))[starts[0]]
    findings.add(start.key_place, ("job", starts[0]), message, hint)


def _lint_gates(gates: Node | None, spec: Spec, findings: Findings) -> None:
    scores = [score.name for score in spec.scores]
    known = ("success", "rows", "truncated", "cost", "latency_p90", "variants", *scores)
    for name, node in entries(gates).items():
        if name not in scores and not is_gate_of_the_run(name):
            near = nearest(name, known)
            hint = f"did you mean '{near}'?" if near else "a gate that is on nothing is never met"
            message = f"there is no score '{name}'"
            findings.add(node.key_place, ("gates", name), message, hint)


def _lint_ending(node: Node | None, sink: SinkSpec, findings: Findings) -> None:
    """A name that promises what the file will not be."""
    path = (node.get("path") or node) if node is not None else None
    if path is None or not isinstance(path.value, str) or sink.kind != "jsonl":
        return
    ending = os.path.splitext(path.value)[1]
    if node is None or node.get("format") is not None or format_of(path.value) == "jsonl":
        return
    if ending and path.value != STANDARD_INPUT:
        message = f"'{ending}' tells no format of results, so the file will have JSON Lines"
        findings.add(path.place, ("sink",), message, "end it in .jsonl, .csv or .parquet")


def _lint_sink(root: Node, findings: Findings) -> None:
    sink, journal = root.get("sink"), root.get("journal")
    path = (sink.get("path") or sink) if sink is not None else None
    if path is None or not isinstance(path.value, str) or "${" not in path.value:
        return
    if journal is None or journal.get("path") is None:
        message = "the journal lies beside a sink whose path changes, so answers are not reused"
        findings.add(path.place, ("sink",), message, "write journal.path")
