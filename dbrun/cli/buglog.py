"""The log that an unexpected exception leaves: fit for an issue, without credentials."""

from __future__ import annotations

import os
import platform
import re
import shlex
import tempfile
import traceback
from collections.abc import Mapping, Sequence

from .. import __version__

_SPEAKING = re.compile(r"token|secret|passw|credential|api_?key|auth|cookie", re.IGNORECASE)
_PATTERNS = (
    re.compile(r"\bdapi[0-9a-f]{8,}[-0-9]*"),
    re.compile(r"\b(?:sk|pk|gh[a-z]|glpat|hf)[-_][A-Za-z0-9_-]{8,}"),
    re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_.-]+"),
    re.compile(r"(?i)(?<=bearer )[^\s'\"]+"),
    re.compile(r"(?<=://)[^/\s@]+(?=@)"),
)
_SHORTEST = 6  # characters; shorter values would blot out ordinary words
_VALUES = ("--var", "--set")


def write_bug_log(error: Exception, words: Sequence[str]) -> str | None:
    """Write the log of *error* into the folder for temporary files; its path, None if it cannot."""
    text = without_secrets(_log(error, words))
    try:
        fd, path = tempfile.mkstemp(prefix="dbrun-bug-", suffix=".md")
        with os.fdopen(fd, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
    except OSError:
        return None
    return path


def without_secrets(text: str, environ: Mapping[str, str] | None = None) -> str:
    """*text* with `***` for what has the form of a credential, or is one of the environment's."""
    environ = os.environ if environ is None else environ
    secrets = {
        value
        for name, value in environ.items()
        if _SPEAKING.search(name) and len(value) >= _SHORTEST
    }
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    for pattern in _PATTERNS:
        text = pattern.sub("***", text)
    return text


def _log(error: Exception, words: Sequence[str]) -> str:
    trace = "".join(traceback.format_exception(error)).rstrip("\n")
    return (
        f"### {type(error).__name__} in dbrun {__version__}\n\n"
        f"- command: `dbrun {_shown(words)}`\n"
        f"- Python {platform.python_version()} on {platform.platform()}\n\n"
        f"```\n{trace}\n```\n"
    )


def _shown(words: Sequence[str]) -> str:
    """The command line, without the values that were given to variables and settings."""
    shown: list[str] = []
    for word in words:
        after_value_option = bool(shown) and shown[-1] in _VALUES
        if after_value_option or word.startswith(tuple(f"{name}=" for name in _VALUES)):
            name, sign, _ = word.rpartition("=")
            word = f"{name}{sign}***"
        shown.append(word)
    return shlex.join(shown)
