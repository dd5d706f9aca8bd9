"""What is wrong with a text that is no YAML: PyYAML's finding in words that help."""

from __future__ import annotations

from typing import Any

_ADVICE = {
    "mapping values are not allowed here": "check the indentation, or quote text that holds ': '",
    "could not find expected ':'": "a key needs ': ' after it, and a long text '|' before it",
    "expected <block end>, but found": "check the indentation, and that brackets and quotes close",
    "did not find expected": "check the indentation, and that brackets and quotes close",
    "expected ',' or": "check that brackets and quotes close",
    "that cannot start any token": "put the text in quotes",
    "found unknown escape character": "in double quotes, write a backslash as \\\\",
    "'<document start>'": "a spec is one YAML mapping",
    "found undefined tag handle": "put the text in quotes",
}


def syntax_problem(error: Exception, text: str) -> tuple[int, str, str]:
    """Where a parser stumbled, over what, and what to do, of one of its errors."""
    opening: Any = getattr(error, "context_mark", None)
    mark: Any = getattr(error, "problem_mark", None) or opening
    start = min(mark.index, len(text)) if mark is not None else 0
    message = getattr(error, "problem", None) or "cannot be read as YAML"
    context = str(getattr(error, "context", None) or "")
    if opening is not None and "end" in message and "stream" in message:
        kind = "quote" if "quoted" in context else "bracket"
        return start if "node" in context else opening.index, f"a {kind} is not closed", "close it"
    if "\\t" in message or text[start : start + 1] == "\t":
        return start, "a tab", "YAML wants spaces"
    hint = next((hint for part, hint in _ADVICE.items() if part in message), "")
    return start, f"{context}: {message}" if context else message, hint
