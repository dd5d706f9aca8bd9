"""Outcomes of offline tests as JUnit XML, which CI systems read.

There is no standard of it; the elements and attributes here are those that Jenkins' and GitLab's
readers have in common.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from ..run.offline.rehearsal import Outcome
from .outcomes import failure_lines, in_words, name_of

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def to_xml(found: Mapping[str, Sequence[Outcome]]) -> str:
    """The outcomes of each spec as a test suite."""
    root = ElementTree.Element("testsuites")
    for spec, outcomes in found.items():
        seconds = sum(outcome.seconds for outcome in outcomes)
        failures = sum(not outcome.passed for outcome in outcomes)
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=_clean(spec),
            tests=str(len(outcomes)),
            failures=str(failures),
            errors="0",
            time=f"{seconds:.6f}",
        )
        for outcome in outcomes:
            _add(suite, spec, outcome)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _add(suite: ElementTree.Element, spec: str, outcome: Outcome) -> None:
    where = outcome.case.where
    case = ElementTree.SubElement(
        suite,
        "testcase",
        name=_clean(name_of(outcome)),
        classname=_clean(spec),
        file=_clean(where.file),
        line=str(where.line),
        time=f"{outcome.seconds:.6f}",
    )
    if not outcome.passed:
        message = "; ".join(in_words(one) for one in outcome.mismatches)
        failure = ElementTree.SubElement(case, "failure", message=_clean(message))
        failure.text = _clean("\n".join(line.text for line in failure_lines(outcome)))


def _clean(text: str) -> str:
    """*text* without the characters that XML does not allow."""
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
