"""Credentials are named, never written: literals where one belongs are problems.

What is found is never repeated: its problems are marked secret, and their messages say where the
text stands, not what it says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .nodes import Findings, Node, Path
from .schema import Rule, Schemas

_SPEAKING_HEADER = re.compile("auth|key|token|secret|cookie", re.IGNORECASE)
_SECRET_REFERENCE = re.compile(r"\{\{\s*secrets/([^/\s]+/[^/\s}]+)\s*\}\}")
_VARIABLE = re.compile(r"(.*)\$\{(\w+)[^}]*\}", re.DOTALL)
USER_INFO = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://([^/?#\s'\"@]+)@")
KEY_IN_QUERY = re.compile(
    r"[?&;]((?:[^=&;#\s]*[-_.])?(?:api_?key|access_?key|key|token|access_?token|secret|sig|signature"
    r"|password|passwd|pwd|auth|credential|code))=([^&;#\s'\"]+)",
    re.IGNORECASE,
)
_FREE_TEXT = {
    (name,) for name in ("messages", "description", "rows", "vars", "response_schema", "tests")
}


def check_literals(root: Node, schemas: Schemas, findings: Findings) -> None:
    """Note literals where a credential belongs. *root* is as written, `${…}` in place."""
    for path, node, rules in schemas.walk(root, _is_described):
        if node.value is None or isinstance(node.value, (dict, list)):
            continue
        if any(rule.schema.get("x-kind") == "credential" for rule in rules):
            findings.add(node.at, path, "wants a credential by name", _advice(node), secret=True)
        elif isinstance(node.value, str) and is_speaking_header(path):
            message = "a header of this name wants a credential by name"
            findings.add(node.at, path, message, _advice(node), secret=True)


def is_speaking_header(path: Path) -> bool:
    """Whether *path* is that of a header whose name tells of a credential."""
    return path[-2:-1] == ("headers",) and bool(_SPEAKING_HEADER.search(str(path[-1])))


def check_urls(root: Node, schemas: Schemas, findings: Findings) -> None:
    """Note user info and keys in URLs. *root* has every `${…}` replaced."""
    for path, node in _urls(root, schemas):
        if USER_INFO.search(node.value):
            hint = "name the credential in token, api_key or headers"
            if path[:1] == ("mlflow",):
                hint = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            findings.add(node.at, path, "user info in a URL", hint, secret=True)
        if KEY_IN_QUERY.search(node.value):
            hint = "send it as a header: {env: NAME}"
            findings.add(node.at, path, "a key in a URL's query", hint, secret=True)


def _urls(root: Node, schemas: Schemas) -> Iterator[tuple[Path, Node]]:
    for path, node, _ in schemas.walk(root, _may_hold_urls):
        if isinstance(node.value, str):
            yield path, node


def _is_described(path: Path, rules: Sequence[Rule]) -> bool:
    return bool(rules)


def _may_hold_urls(path: Path, rules: Sequence[Rule]) -> bool:
    is_template = any(rule.schema.get("x-kind") == "template" for rule in rules)
    return not is_template and path[-1:] not in _FREE_TEXT


def _advice(node: Node) -> str:
    text = node.value if isinstance(node.value, str) else ""
    if (secret := _SECRET_REFERENCE.fullmatch(text.strip())) is not None:
        return f"write {{secret: {secret[1]}}}"
    if (variable := _VARIABLE.fullmatch(text)) is not None:
        prefix = f', prefix: "{variable[1]}"' if variable[1].strip().lower() == "bearer" else ""
        return f"write {{env: {variable[2]}{prefix}}}"
    return "write {env: NAME} or {secret: scope/key}"
