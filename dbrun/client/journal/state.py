"""What a journal remembers beside answers: generations, facts about endpoints, and what results
were made of."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from typing import Any

from ...storage import wants_whole_files
from ...types import Json
from .disk import make_folder, reported, sync_file, sync_folder, write_all, write_anew
from .lock import create_locked, locked

NAME = "state.json"
"""The file, in the journal's folder."""

_COPY = "state.json.copy"
_BESIDE = ".partial"


def generation_in(text: str) -> int:
    """The newest generation that a state file of this *text* tells of."""
    with contextlib.suppress(ValueError):
        return int(_sane(json.loads(text))["generation"])
    return 1


class State:
    """One small JSON file, read when opened and written whole at every change.

    A file that cannot be understood counts as empty: generations are also told by the answers,
    and facts can be found out again. Without *folder* (or not *writable*) changes stay in
    memory. Where nothing can be moved into place, the file and a copy of it are written one after
    the other, so that one of them is always whole.
    """

    def __init__(self, folder: str | None, writable: bool) -> None:
        self._folder = folder
        self._writable = writable and folder is not None
        self._said = self._read()

    @property
    def generation(self) -> int:
        """The newest generation that was begun; 1 at first."""
        return int(self._said["generation"])

    @property
    def facts(self) -> dict[str, Json]:
        """All facts, by name."""
        return dict(self._said["facts"])

    def recall(self, name: str) -> Json:
        """The fact called *name*, or None."""
        return self._said["facts"].get(name)

    def settled(self, results: str) -> Json:
        """What is kept of the results of this name, or None."""
        return self._said["results"].get(results)

    def settle(self, results: str, value: Json) -> None:
        """Keep *value* of the results of this name."""
        if self._said["results"].get(results) != value:
            self._change(lambda said: said["results"].update({results: value}))

    def remember(self, name: str, value: Json) -> None:
        """Keep *value* as the fact called *name*."""
        if name in self._said["facts"] and self._said["facts"][name] == value:
            return
        self._change(lambda said: said["facts"].update({name: value}))

    def begin(self, kind: str, fingerprint: str, newest: int) -> int:
        """The unfinished generation of this *kind* and *fingerprint*, or one after *newest*."""
        self._said = self._merged()
        known = self._said["open"].get(kind)
        if known is not None and known["fingerprint"] == fingerprint:
            return int(known["generation"])
        generation = max(newest, self.generation) + 1

        def change(said: dict[str, Any]) -> None:
            said["generation"] = generation
            said["open"][kind] = {"fingerprint": fingerprint, "generation": generation}

        self._change(change)
        return generation

    def end(self, kind: str) -> None:
        """Close the unfinished generation of *kind*."""
        self._change(lambda said: said["open"].pop(kind, None))

    def _change(self, change: Any) -> None:
        said = self._merged()
        change(said)
        self._said = said
        if self._writable:
            self._write()

    def _merged(self) -> dict[str, Any]:
        """What the file says now: other processes may have remembered more meanwhile."""
        said = self._read() if self._writable else self._said
        return {
            "facts": {**self._said["facts"], **said["facts"]} if said else {},
            "generation": max(said["generation"], self._said["generation"]),
            "open": dict(said["open"]),
            "results": {**self._said["results"], **said["results"]},
        }

    def _read(self) -> dict[str, Any]:
        for name in (NAME, _COPY) if self._folder is not None else ():
            path = os.path.join(self._folder or "", name)
            with (
                reported(path),
                contextlib.suppress(FileNotFoundError, ValueError),
                open(path, encoding="utf-8") as file,
            ):
                return _sane(json.load(file))
        return _sane(None)

    def _write(self) -> None:
        """Written beside and moved into place: a kill leaves the old file or the new one."""
        assert self._folder is not None
        path = os.path.join(self._folder, NAME)
        said = {name: part for name, part in self._said.items() if name != "results" or part}
        text = json.dumps(said, indent=1, sort_keys=True) + "\n"
        with reported(path):
            make_folder(self._folder)
            if wants_whole_files(self._folder):
                for name in (_COPY, NAME):
                    write_anew(os.path.join(self._folder, name), text.encode("ascii"))
                return
            beside, fd = self._create_beside(path)
            try:
                try:
                    write_all(fd, text.encode("ascii"))
                    sync_file(fd)
                finally:
                    os.close(fd)
                os.replace(beside, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(beside)
                raise
            sync_folder(self._folder)

    def _create_beside(self, path: str) -> tuple[str, int]:
        """A new file of our own, once those that killed processes left are cleared away."""
        assert self._folder is not None
        make_folder(self._folder)
        for name in os.listdir(self._folder):
            if name.startswith(NAME + ".") and name.endswith(_BESIDE):
                dead = os.path.join(self._folder, name)
                with locked(dead) as found, contextlib.suppress(OSError):
                    if found is not None:
                        os.unlink(dead)
        while True:
            make_folder(self._folder)
            beside = f"{path}.{secrets.token_hex(4)}{_BESIDE}"
            fd = create_locked(beside)
            if fd >= 0:
                return beside, fd


def _sane(said: Any) -> dict[str, Any]:
    """The parts of *said* that are as this module writes them."""
    said = said if isinstance(said, dict) else {}
    facts, generation, unfinished = (said.get(name) for name in ("facts", "generation", "open"))
    results = said.get("results")
    return {
        "facts": facts if isinstance(facts, dict) else {},
        "results": results if isinstance(results, dict) else {},
        "generation": generation if type(generation) is int and generation > 0 else 1,
        "open": {
            kind: known
            for kind, known in (unfinished.items() if isinstance(unfinished, dict) else ())
            if isinstance(known, dict)
            and type(known.get("generation")) is int
            and isinstance(known.get("fingerprint"), str)
        },
    }
