"""The log of a bug: all that is needed to mend it, and no credential."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from dbrun.cli.buglog import without_secrets, write_bug_log


@pytest.mark.parametrize(
    "secret",
    [
        "dapi0123456789abcdef0123456789abcdef-2",
        "sk-proj-abcdefghijklmnop",
        "ghp_abcdefghijklmnopqrstuvwxyz",
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJtZSJ9.c2lnbmF0dXJl",
    ],
)
def test_what_has_the_form_of_a_credential_is_masked(secret: str) -> None:
    assert without_secrets(f"before {secret} after", {}) == "before *** after"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("https://me:secret@host/path", "https://***@host/path"),
        ("an ordinary sentence about tokens", "an ordinary sentence about tokens"),
    ],
)
def test_credentials_in_their_places_are_masked(text: str, expected: str) -> None:
    assert without_secrets(text, {}) == expected


def test_values_of_the_environment_are_masked_by_the_variables_name() -> None:
    environ = {"MY_TOKEN": "open-sesame", "MY_WORD": "ordinary", "API_KEY": "short"}
    text = "open-sesame and ordinary and short"
    assert without_secrets(text, environ) == "*** and ordinary and short"


def test_values_given_on_the_command_line_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    words = ["run", "a.yaml", "--var", "pin=12345", "--set=params.user=me", "--set", "x.y=z"]
    path = write_bug_log(ValueError("odd"), words)
    assert path is not None
    text = Path(path).read_text()
    assert "run a.yaml --var 'pin=***' '--set=params.user=***' --set 'x.y=***'" in text
    assert "12345" not in text
    assert "ValueError: odd" in text


def test_without_a_place_for_it_there_is_no_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    assert write_bug_log(ValueError("odd"), []) is None
