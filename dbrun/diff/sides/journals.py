"""Several journals read as one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from ...errors import SinkError

_ANSWERS = ".jsonl"


def joined_journal(folders: Sequence[str], beside: str) -> str:
    """The folder of a journal that holds the answers of all *folders*, those that exist.

    It is the first of them if that is the only one; else a folder in *beside*, made of links. In
    a journal, files of names that dbrun does not give count as older than its own.

    Raises:
        SinkError: it cannot be made.
    """
    there = list(dict.fromkeys(os.path.realpath(one) for one in folders if os.path.isdir(one)))
    if len(there) < 2:
        return there[0] if there else folders[0]
    made = os.path.join(beside, "journal")
    try:
        os.makedirs(made)
        for number, folder in enumerate(there):
            for name in sorted(os.listdir(folder)):
                if number == 0 and name != "lock":
                    _link(os.path.join(folder, name), os.path.join(made, name))
                elif name.endswith(_ANSWERS):
                    _link(os.path.join(folder, name), os.path.join(made, f"base-{number}-{name}"))
    except OSError as error:
        raise SinkError(f"{made}: cannot be written: {error.strerror or error}") from error
    return made


def _link(path: str, place: str) -> None:
    try:
        os.symlink(path, place)
    except OSError:  # not everywhere may everybody make links
        if os.path.isfile(path):
            shutil.copyfile(path, place)
