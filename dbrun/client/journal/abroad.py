"""The mirror of a journal that is on a volume which this machine has not mounted.

A run works on the mirror, an ordinary journal on local disk. Before that, what the volume has and
the mirror has not is fetched; meanwhile and at the end, what is new goes to the volume, in whole
files such as runs on compute of the workspace publish and read (see `publish`, `gather`).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from typing import Any

from ...clock import Clock
from ...storage import make_mirrors, mirrored
from ..volumes import Entry, Volumes
from .disk import make_folder
from .pieces import Extent, line_end, write_piece
from .segment import COMPACTED, is_compacted, new_stem, stem_of
from .state import NAME as STATE
from .state import generation_in

_LARGEST = 32 << 20
"""Bytes of one file at the most, unless a line is longer."""

_MOST_PIECES = 64
"""A segment that is in so many files is sent anew in one."""

_NOTES = "away.json"
_TAKEN = "answers-00000000T000000000000-00000000.jsonl"
"""What a compacted file that was copied to the volume from a disk is called in the mirror."""


class Abroad:
    """The mirror *folder* of a journal, and what it mirrors. For one thread at a time.

    The notes that it keeps in the mirror say which files of the volume the mirror has (*has*: the
    size and time of each), and how far each segment of ours is on the volume (*sent*).
    """

    def __init__(self, folder: str, environ: Mapping[str, str], clock: Clock) -> None:
        there = mirrored(folder)
        assert there is not None, "no mirror"
        self.folder = folder
        self.there = there
        self._clock = clock
        self._volumes = Volumes(environ, clock)
        self._has: dict[str, list[int]] = {}
        self._sent: dict[str, dict[str, Any]] = {}
        self._folded: list[int] = []
        self._state = ""
        self._is_made = False

    def close(self) -> None:
        """Close the connections."""
        self._volumes.close()

    def fetch(self) -> None:
        """Have the mirror hold what the volume has. Raises `OSError`."""
        self._read_notes()
        try:
            found = {one.name: one for one in self._volumes.listing(self.there)}
        except FileNotFoundError:
            found = {}
        make_mirrors()
        make_folder(self.folder)
        if self._lacks_something():
            self._has, self._folded = {}, []
        ours = {name for sent in self._sent.values() for name in sent["pieces"]}
        for name, entry in sorted(found.items()):
            mark = _mark_of(entry)
            if not name.endswith(".jsonl") or name in ours or self._has.get(name) == mark:
                continue
            self._bring(name, _local(name))
            self._has[name] = mark
        self._has = {name: mark for name, mark in self._has.items() if name in found}
        if STATE in found:
            self._take_state()
        self._write_notes()

    def send(self) -> None:
        """Have the volume hold what segments here have more of. Raises `OSError`."""
        for name in sorted(os.listdir(self.folder)):
            if stem_of(name) and name == stem_of(name) + ".jsonl" and name not in self._has:
                self._send_segment(name)
        self._send_state()

    def settle(self) -> None:
        """Have the volume hold one file in place of those that were folded here, if any were.

        Raises:
            OSError: it cannot be done; what the volume has stays.
        """
        self.send()
        path = os.path.join(self.folder, COMPACTED)
        folded = _mark(path)
        if not folded or folded == self._folded:
            return
        here = set(os.listdir(self.folder))
        if any(name in here for name in self._sent):
            return  # somebody still writes
        gone = [name for name in self._has if _local(name) not in here]
        gone += [name for sent in self._sent.values() for name in sent["pieces"]]
        target = f"answers-{new_stem(sorted({*here, *self._has}), self._clock)}.jsonl"
        self._send_extent(target, path, Extent(0, os.path.getsize(path)))
        self._sent.clear()
        self._folded = folded
        for name in gone:
            self._has.pop(name, None)
        self._write_notes()
        for name in gone:
            self._volumes.remove(f"{self.there}/{name}")

    def _lacks_something(self) -> bool:
        """Whether a file is gone from the mirror and cannot have been folded: folders for
        temporary files are cleared out."""
        is_folded = os.path.exists(os.path.join(self.folder, COMPACTED))
        return not is_folded and not all(
            os.path.exists(os.path.join(self.folder, _local(name))) for name in self._has
        )

    def _take_state(self) -> None:
        """Take over what the volume remembers, unless more has happened here since."""
        told = self._volumes.read(f"{self.there}/{STATE}").decode("utf-8", "replace")
        here = self._read(STATE)
        if here in ("", self._state) or generation_in(told) > generation_in(here):
            self._replace(STATE, told)
            self._state = told

    def _bring(self, name: str, local: str) -> None:
        beside = os.path.join(self.folder, f".{local}.fetched")
        try:
            self._volumes.fetch(f"{self.there}/{name}", beside)
            os.replace(beside, os.path.join(self.folder, local))
        except FileNotFoundError:  # folded by somebody else just now: there is a newer one
            pass
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(beside)

    def _send_segment(self, name: str) -> None:
        path = os.path.join(self.folder, name)
        sent = self._sent.setdefault(name, {"done": 0, "number": 0, "pieces": []})
        try:
            size = os.path.getsize(path)
            end = line_end(path, sent["done"], size) if size > sent["done"] else size
            if end > size or not _ends_line(path, end):
                return  # the only new line is being written
            while sent["done"] < end:
                self._send_piece(sent, name, path, end)
        except FileNotFoundError:  # folded by a run of this machine
            return
        if len(sent["pieces"]) >= _MOST_PIECES:
            self._join(sent, name, path)

    def _send_piece(self, sent: dict[str, Any], name: str, path: str, end: int) -> None:
        start = sent["done"]
        until = end if end - start <= _LARGEST else line_end(path, start, start + _LARGEST)
        sent["number"] += 1  # a name is never used twice, not even after a failure
        piece = f"{stem_of(name)}-{sent['number']:06d}.jsonl"
        self._send_extent(piece, path, Extent(start, until))
        sent["pieces"].append(piece)
        sent["done"] = until
        self._write_notes()

    def _join(self, sent: dict[str, Any], name: str, path: str) -> None:
        """Send a segment anew in few files, then remove the many."""
        before, end = list(sent["pieces"]), sent["done"]
        sent.update(done=0, pieces=[])
        try:
            while sent["done"] < end:
                self._send_piece(sent, name, path, end)
        finally:
            sent["pieces"] = before + sent["pieces"]
            sent["done"] = end
        for piece in before:
            self._volumes.remove(f"{self.there}/{piece}")
            sent["pieces"].remove(piece)
        self._write_notes()

    def _send_extent(self, name: str, source: str, extent: Extent) -> None:
        """Send a whole file of these bytes, and note that it is ours."""
        self._make_there()
        beside = os.path.join(self.folder, "outgoing")
        os.makedirs(beside, exist_ok=True)
        path = os.path.join(beside, name)
        try:
            write_piece(path, source, extent)
            arrived = self._volumes.send(path, f"{self.there}/{name}")
            self._has[name] = _mark_of(arrived)
        finally:
            with contextlib.suppress(OSError):
                os.unlink(path)
            with contextlib.suppress(OSError):
                os.rmdir(beside)

    def _send_state(self) -> None:
        state = self._read(STATE)
        if state and state != self._state:
            self._make_there()
            for name in (f"{STATE}.copy", STATE):
                self._volumes.write(f"{self.there}/{name}", state.encode())
            self._state = state
            self._write_notes()

    def _make_there(self) -> None:
        if not self._is_made:
            self._volumes.make_folder(self.there)
            self._is_made = True

    def _read_notes(self) -> None:
        try:
            said = json.loads(self._read(_NOTES) or "{}")
        except ValueError:  # then all is fetched
            said = {}
        self._has, self._sent = said.get("has", {}), said.get("sent", {})
        self._folded, self._state = said.get("folded", []), said.get("state", "")

    def _write_notes(self) -> None:
        said = {
            "has": self._has,
            "sent": self._sent,
            "folded": self._folded,
            "state": self._state,
        }
        self._replace(_NOTES, json.dumps(said))

    def _read(self, name: str) -> str:
        """What a small file of the mirror holds; empty if it is not there."""
        try:
            with open(os.path.join(self.folder, name), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def _replace(self, name: str, text: str) -> None:
        path = os.path.join(self.folder, name)
        with open(f"{path}.away", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(f"{path}.away", path)


def has_mirror(folder: str) -> bool:
    """Whether what was on the volume has been fetched to the mirror *folder* before."""
    return os.path.exists(os.path.join(folder, _NOTES))


def _local(name: str) -> str:
    """What a file of the volume is called in the mirror."""
    return _TAKEN if name == COMPACTED else name


def _mark_of(entry: Entry) -> list[int]:
    """What changes with a file: files that runs publish never do."""
    is_ours = stem_of(entry.name) or (is_compacted(entry.name) and entry.name != COMPACTED)
    return [entry.size] if is_ours else [entry.size, entry.modified]


def _mark(path: str) -> list[int]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return []
    return [found.st_size, found.st_mtime_ns]


def _ends_line(path: str, end: int) -> bool:
    with open(path, "rb") as file:
        file.seek(end - 1)
        return file.read(1) == b"\n"
