"""Secret values: where they come from, and how they are kept out of everything else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..errors import AuthError, DbrunError
from ..types import Json

_TELLTALE = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w\-.~+/]{8,}=*"), r"\1 ***"),
    (re.compile(r"\bdapi[0-9a-f]{16,}(-\d+)?\b"), "***"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"), "***"),
)
"""What a credential looks like wherever it stands: headers, personal tokens, JSON web tokens."""


class Secret:
    """A value that prints as `***`; `reveal` is the only way to it, and it does not pickle."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for a header about to be sent."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not pickled: the process that uses it reads it for itself")


SecretReader = Callable[[str, str], str]
"""(scope, key) → the value of a Databricks secret."""


def read_credential(
    reference: Mapping[str, Json], path: str, environ: Mapping[str, str], read_secret: SecretReader
) -> Secret:
    """The value that `{env: NAME}` or `{secret: scope/key}` names; *path* is the option's, with
    its place in the file where there is one.

    Raises:
        AuthError: if it is not there, or can be no part of a header.
        DbrunError: what *read_secret* raises, said of this secret.
    """
    if "env" in reference:
        name = str(reference["env"])
        value, source = environ.get(name, ""), f"environment variable {name}"
        if not value.strip():
            raise AuthError(f"{path}: {source} is not set", "export it before the run")
    else:
        scope, _, key = str(reference.get("secret", "")).partition("/")
        if not scope or not key:
            raise AuthError(
                f"{path}: names no credential", "write {env: NAME} or {secret: scope/key}"
            )
        source = f"secret {scope}/{key}"
        try:
            value = read_secret(scope, key)
        except DbrunError as error:
            _say_of(source, path, error)
            raise
    return checked(value, f"{path}: {source}")


def _say_of(secret: str, path: str, error: DbrunError) -> None:
    """Have *error* say where *secret* was wanted, and which it is."""
    if error.message.startswith(secret):
        say_again(error, f"{path}: {error.message}")
        return
    # Who wants a secret need not know that it takes a login, and to where.
    say_again(error, f"{path}: {secret} cannot be read: {error.message}")
    if isinstance(error, AuthError) and error.hint:
        error.hint += "; outside Databricks write {env: NAME} in its place"


def checked(value: str, source: str) -> Secret:
    """*value* as a secret, without the white space around it; *source* is where it stands.

    Raises:
        AuthError: if it can be no part of a header.
    """
    value = value.strip()
    if not value.isascii() or not value.isprintable():
        raise AuthError(f"{source} holds characters that a header cannot", "set it anew")
    return Secret(value)


class Headers:
    """The `headers` option: literal values, and credentials that are read at first use.

    *place_of* tells how messages name the place of `headers.NAME`.
    """

    def __init__(
        self,
        declared: Mapping[str, Json],
        place_of: Callable[[str], str],
        environ: Mapping[str, str],
        read_secret: SecretReader,
    ) -> None:
        self._declared = declared
        self._place_of = place_of
        self._environ = environ
        self._read_secret = read_secret
        self.secrets: list[Secret] = []

    def resolve(self) -> dict[str, str]:
        """Every header with its value. Raises `AuthError` as `read_credential` does."""
        return {name: self._value(name, value) for name, value in self._declared.items()}

    def _value(self, name: str, value: Json) -> str:
        if not isinstance(value, Mapping):
            return str(value)
        place = self._place_of(f"headers.{name}")
        secret = read_credential(value, place, self._environ, self._read_secret)
        self.secrets.append(secret)
        return str(value.get("prefix", "")) + secret.reveal()


def mask(text: str, secrets: Iterable[Secret] = ()) -> str:
    """*text* with every known secret, and all that looks like a credential, as `***`."""
    for secret in secrets:
        value = secret.reveal()
        if len(value) >= 4:
            text = _within_cut(text.replace(value, "***"), value)
    for pattern, replacement in _TELLTALE:
        text = pattern.sub(replacement, text)
    return text


def _within_cut(text: str, value: str) -> str:
    """*text*, if it was cut off (`…`) within *value*, cut off before it."""
    if text.endswith("…"):
        for end in range(len(value) - 1, 3, -1):
            if text.endswith(f"{value[:end]}…"):
                return f"{text[: -end - 1]}***…"
    return text


def say_again(error: DbrunError, clean: str) -> None:
    """Have *error* say *clean* in place of its message."""
    if clean != error.message:
        if error.args[:1] == (error.message,):
            error.args = (clean, *error.args[1:])
        error.message = clean
