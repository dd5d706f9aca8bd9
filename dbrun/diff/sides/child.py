"""Sides made in a process of their own, so that two versions of a module never meet.

The process finds the modules of the tree that it works in, where that has them, and writes what
it made beside the sides. It lives no longer than who started it: the pipe between them ends with
either.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ...errors import DbrunError, RunError
from ...files import write_whole
from .side import Made, Wanted, make, one_line, prepare

_START = "import sys; sys.path[:] = sys.argv[1:]; from dbrun.diff.sides.child import main; main()"
_OUTCOME = "made.json"


def make_sides(
    wanted: Sequence[Wanted], tree: str, instead_of: str, environ: Mapping[str, str]
) -> list[Made | str]:
    """Make sides of specs in the folder *tree*, which holds an earlier state of *instead_of*.

    Gives for each what was made, or why it cannot be.

    Raises:
        RunError: the process ended before it was done.
    """
    if not wanted:
        return []
    told = {
        "wanted": [one.to_json() for one in wanted],
        "tree": tree,
        "instead_of": instead_of,
        "cwd": counterpart(os.getcwd(), tree, instead_of) or tree,
    }
    words = [sys.executable, "-c", _START, *(part or os.getcwd() for part in sys.path)]
    with subprocess.Popen(  # noqa: S603 - this interpreter
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=dict(environ),
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        try:
            with suppress(BrokenPipeError):  # then it has ended, which is seen below
                process.stdin.write(json.dumps(told).encode() + b"\n")
                process.stdin.flush()
            code = process.wait()
        except BaseException:
            process.kill()
            raise
        with suppress(BrokenPipeError):
            process.stdin.close()
    if code:
        raise RunError(f"the process that replays the base ended with code {code}")
    return [_outcome(one) for one in wanted]


def _outcome(wanted: Wanted) -> Made | str:
    with open(os.path.join(wanted.out, _OUTCOME), encoding="utf-8") as stream:
        said: dict[str, Any] = json.load(stream)
    return Made(**said["made"]) if "made" in said else str(said["trouble"])


def counterpart(path: str, tree: str, instead_of: str) -> str | None:
    """What is in *tree* where *path* is in *instead_of*; None if it is not there."""
    relative = os.path.relpath(os.path.realpath(path), instead_of)
    if os.path.isabs(relative) or relative.split(os.sep)[0] == os.pardir:
        return None
    found = os.path.normpath(os.path.join(tree, relative))
    return found if os.path.exists(found) else None


def main() -> None:
    """The process: read what is wanted, make it, write what came of it."""
    told = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_starter, daemon=True).start()
    tree, instead_of = told["tree"], told["instead_of"]
    sys.stdout = sys.stderr  # for what functions of the user's print
    sys.path[:] = [counterpart(part, tree, instead_of) or part for part in sys.path]
    os.chdir(told["cwd"])
    for said in told["wanted"]:
        wanted = Wanted.from_json(said)
        outcome: dict[str, Any]
        try:
            outcome = {"made": make(prepare(wanted, os.environ)).to_json()}
        except DbrunError as error:
            outcome = {"trouble": one_line(error).replace(os.path.join(tree, ""), "")}
        os.makedirs(wanted.out, exist_ok=True)
        write_whole(os.path.join(wanted.out, _OUTCOME), json.dumps(outcome).encode())


def _end_with_starter() -> None:
    # Not through `sys.stdin`: Python would wait for its lock when it ends.
    while os.read(0, 1):
        pass
    os._exit(1)
