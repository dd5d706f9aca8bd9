"""The right to write a journal without locks: a file that its holder writes ever again.

Each run has a file of its own, `lock-<token>.json`, in the journal's folder, and writes it anew
every few seconds. Whoever finds another's watches it: if it changes, its writer lives and the
journal is refused; if it stays as it is for long enough, its writer is lost and the file is
removed. Runs on one machine need not wait: each also holds an OS lock in the spool on local disk,
which tells at once whether it lives.

A run announces itself only when there is nobody else, and looks again afterwards. Of two that
begin at the same moment at least one sees the other; whoever does steps back and tries again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import re
import secrets
import socket
import threading

from ...clock import Clock
from ...errors import SinkError, SinkInUse
from .disk import BINARY, make_folder, reported, write_anew
from .lock import is_at, try_lock
from .spool import Spool, hold

BEAT = 10.0
"""Seconds between two writings of the file."""

PATIENCE = 90.0
"""Seconds without a change after which its writer counts as lost."""

_LOOK = 1.0
_NAME = re.compile(r"lock-([0-9a-f]{16})\.json")
_TIES = 20

_log = logging.getLogger(__name__)


class Heartbeat:
    """One run's claim on the journal in *folder*, whatever its sink."""

    def __init__(self, folder: str, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._spool = Spool(folder)
        self._token = secrets.token_hex(8)
        self._since = clock.wall().isoformat(timespec="seconds")
        self._beats = 0
        self._held: int | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._usurper = ""

    def acquire(self) -> None:
        """Announce this run once nobody else writes the journal.

        Raises:
            SinkInUse: another run does; says which.
            SinkError: the folder cannot be written.
        """
        self._sweep()
        for _ in range(_TIES):
            for token in self._others():
                self._outlast(token)
            try:
                self._announce()
                is_alone = not self._others()
            except BaseException:
                self._withdraw()
                raise
            if is_alone:
                self._thread = threading.Thread(target=self._run, name="dbrun-beat", daemon=True)
                self._thread.start()
                return
            self._withdraw()
            self._clock.sleep(random.uniform(0.2, 1.0))
        raise self._refusal("")

    def check(self) -> None:
        """Raises `SinkError` if another run took this one for lost and writes the journal now."""
        if self._thread is not None and not self._usurper:
            self._beat()
        if self._usurper:
            raise SinkError(
                f"{self._folder}: this run was not heard of for {PATIENCE:g} s, and another one "
                f"writes the journal now{self._usurper}",
                "run the same command again when that has ended; answers are kept",
            )

    def release(self) -> None:
        """Give the journal back."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._withdraw()

    def _run(self) -> None:
        while not self._clock.sleep(BEAT, self._stop) and not self._usurper:
            self._beat()

    def _beat(self) -> None:
        """Write the file anew; if it was taken away, see who did."""
        with contextlib.suppress(OSError, SinkError):  # the next beat may come through
            if not self._is_there(self._token) and (others := self._others()):
                self._usurper = _named(self._read(others[0]))
                return
            self._write()

    def _announce(self) -> None:
        path = self._local(self._token)
        with reported(path):
            while self._held is None:
                self._spool.make()
                fd = os.open(path, os.O_RDWR | os.O_CREAT | BINARY, 0o600)
                if try_lock(fd) and is_at(fd, path):
                    self._held = fd
                else:  # swept away before it was locked
                    os.close(fd)
        with reported(self._path(self._token)):
            self._make_folder()
            self._write()

    def _withdraw(self) -> None:
        with contextlib.suppress(OSError):
            self._remove(self._token)
        if self._held is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._local(self._token))
            os.close(self._held)
            self._held = None
        self._spool.clear()

    def _write(self) -> None:
        said = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": self._since,
            "at": self._clock.wall().isoformat(timespec="seconds"),
            "beats": self._beats,
        }
        self._beats += 1
        self._put(self._token, json.dumps(said).encode())

    def _sweep(self) -> None:
        """Clear away what runs on this machine left whose files were removed from elsewhere."""
        with contextlib.suppress(OSError):
            for name in os.listdir(self._spool.folder) if self._spool.exists() else ():
                if name.startswith("lock-") and not self._is_there(name[5:]):
                    self._lives_here(name[5:])

    def _others(self) -> list[str]:
        """The tokens of the other runs that have announced themselves."""
        with reported(self._folder):
            try:
                found = [_NAME.fullmatch(name) for name in sorted(self._names())]
            except FileNotFoundError:
                return []
        return [match[1] for match in found if match and match[1] != self._token]

    def _outlast(self, token: str) -> None:
        """See the run *token* gone. Raises `SinkInUse` if it lives."""
        lives = self._lives_here(token)
        if lives is None:
            lives = self._changes(token)
        if lives:
            raise self._refusal(_named(self._read(token)))
        with reported(self._path(token)), contextlib.suppress(FileNotFoundError):
            self._remove(token)

    def _lives_here(self, token: str) -> bool | None:
        """Whether the run lives on this machine; None if it is none of this machine."""
        path = self._local(token)
        if not self._spool.exists() or not os.path.exists(path):
            return None
        fd = hold(path)
        if fd is None:
            return os.path.exists(path)
        with contextlib.suppress(OSError):
            os.unlink(path)
        os.close(fd)
        return False

    def _changes(self, token: str) -> bool:
        """Whether the run's file changes while it is watched."""
        first = self._read(token)
        _log.warning(
            "%s: another run may be writing this journal%s; waiting up to %g s for a sign of life",
            self._folder,
            _named(first),
            PATIENCE,
        )
        until = self._clock.now() + PATIENCE
        while self._clock.now() < until:
            self._clock.sleep(_LOOK)
            now = self._read(token)
            if now is None and not self._is_there(token):
                return False
            if first is None:
                first = now
            elif now is not None and now != first:
                return True
        return False

    def _read(self, token: str) -> bytes | None:
        """What the run's file holds; None if it cannot be read."""
        try:
            return self._get(token)
        except OSError:
            return None

    # What follows is all that asks the storage itself; each raises `OSError`.

    def _make_folder(self) -> None:
        make_folder(self._folder)

    def _names(self) -> list[str]:
        return os.listdir(self._folder)

    def _is_there(self, token: str) -> bool:
        return os.path.exists(self._path(token))

    def _get(self, token: str) -> bytes:
        with open(self._path(token), "rb") as file:
            return file.read()

    def _put(self, token: str, data: bytes) -> None:
        write_anew(self._path(token), data)

    def _remove(self, token: str) -> None:
        os.unlink(self._path(token))

    def _refusal(self, who: str) -> SinkInUse:
        return SinkInUse(
            f"{self._folder}: another run is writing this journal{who}",
            "wait for it or stop it; a run with a journal.path of its own can go beside it",
        )

    def _path(self, token: str) -> str:
        return os.path.join(self._folder, f"lock-{token}.json")

    def _local(self, token: str) -> str:
        return os.path.join(self._spool.folder, f"lock-{token}")


def _named(said: bytes | None) -> str:
    """Who writes, in words; empty where the file does not tell."""
    try:
        told = json.loads(said or b"")
        return f" (process {told['pid']} on {told['host']} since {told['since']})"
    except (ValueError, KeyError, TypeError):
        return ""
