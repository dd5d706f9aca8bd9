"""`{{…}}` in a job: the references that Databricks fills in when a run starts.

Databricks, "What is a dynamic value reference?": a name of no known kind is left as it is, and
the task receives the braces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..spelling import nearest
from .nodes import Findings, Node, walk

_TIME = (
    r"(iso_weekday|is_weekday|iso_date|iso_datetime|year|month|day|hour|minute|second|timestamp_ms)"
)
_NAME = r"[^{}\s]+"
_KNOWN = (
    rf"job\.(id|name|run_id|repair_count|(start_time|trigger\.time)\.{_TIME}|trigger\.{_NAME}"
    rf"|parameters\.{_NAME})"
    rf"|task\.(name|run_id|execution_count|notebook_path)|tasks\.{_NAME}\.{_NAME}"
    rf"|workspace\.(id|url)|backfill\.{_NAME}|input(\.{_NAME})?"
)
_SECRET = rf"secrets/({_NAME}/{_NAME})"
_OF_CLUSTERS = {"spark_env_vars", "spark_conf", "docker_image"}
"""Where secrets are filled in, and nowhere else (Databricks, "Use a secret in a Spark configuration
property or environment variable")."""

_REFERENCE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_COMMON = (
    "job.start_time.iso_date",
    "job.start_time.iso_datetime",
    "job.start_time.timestamp_ms",
    "job.run_id",
    "job.id",
    "job.name",
    "job.repair_count",
    "job.trigger.type",
    "task.name",
    "task.run_id",
    "workspace.id",
    "workspace.url",
    "backfill.iso_datetime",
)


def lint_references(job: Node | None, findings: Findings) -> None:
    """Warn of references in *job* that nothing will be filled in for."""
    if job is None:
        return
    for path, node in walk(job, ("job",)):
        for name in _names(node.value):
            if secret := re.fullmatch(_SECRET, name):
                if _OF_CLUSTERS.isdisjoint(path):
                    message = f"Databricks does not fill in '{{{{{name}}}}}' here"
                    hint = f"let the spec name it where it is needed: {{secret: {secret[1]}}}"
                    findings.add(node.place, path, message, hint)
            elif not re.fullmatch(_KNOWN, name):
                near = nearest(name, _COMMON)
                hint = f"did you mean '{{{{{near}}}}}'?" if near else "see dynamic value references"
                message = f"Databricks fills in nothing for '{{{{{name}}}}}'"
                findings.add(node.place, path, message, hint)


def _names(value: object) -> Iterator[str]:
    if isinstance(value, str) and "{{" in value:
        yield from (match[1].strip() for match in _REFERENCE.finditer(value))
