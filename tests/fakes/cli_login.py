"""A `databricks` command that gives the tokens it is told to, as `databricks auth token` does."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from pathlib import Path

from fakes.workspace import FakeWorkspace

_PROGRAM = """\
#!/bin/sh
echo "$@" >> {calls}
if [ "$1" = version ]; then
    echo '{{"Major":0,"Minor":230,"Patch":0,"Version":"0.230.0"}}'
else
    cat {token}
fi
exit
"""


class FakeCli:
    """The command, in the folder `bin` of *home*; nobody is logged in until a token is given."""

    def __init__(self, home: Path, workspace: FakeWorkspace) -> None:
        self._workspace = workspace
        self._token, self._calls = home / "token.json", home / "calls"
        program = home / "bin" / "databricks"
        program.parent.mkdir()
        program.write_text(_PROGRAM.format(token=self._token, calls=self._calls), encoding="utf-8")
        program.chmod(0o755)
        os.truncate(program, 2 << 20)  # smaller ones are taken for the CLI of another age

    def give(self, value: str, seconds: float) -> None:
        """Give the token *value* from now on; it lives so many seconds."""
        # In local time, as the real one: databricks-sdk looks at no offset.
        expiry = (datetime.now() + timedelta(seconds=seconds)).astimezone()
        when = expiry.isoformat(timespec="microseconds")
        told = {"access_token": value, "token_type": "Bearer", "expiry": when}
        self._token.write_text(json.dumps(told), encoding="utf-8")
        self._workspace.tokens[value] = float("inf")

    @property
    def asked(self) -> int:
        """How often a token was asked for."""
        return sum("auth token" in line for line in self._calls.read_text().splitlines())
