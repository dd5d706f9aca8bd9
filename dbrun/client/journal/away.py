"""The right to write a sink whose journal is on a volume that this machine has not mounted."""

from __future__ import annotations

import contextlib
import errno
import logging
import threading
from collections.abc import Mapping
from types import TracebackType

from ...clock import Clock
from ...errors import DbrunError, RunError, SinkError, SinkInUse
from ...storage import make_mirrors, mirrored
from ..volumes import Volumes
from .abroad import Abroad, has_mirror
from .disk import reported, trouble
from .heartbeat import Heartbeat
from .lock import SinkLock
from .spool import Spool

_log = logging.getLogger(__name__)


class AwayBeat(Heartbeat):
    """A run's claim on a sink whose journal is on a volume; *folder* is the mirror's."""

    def __init__(self, folder: str, environ: Mapping[str, str], clock: Clock) -> None:
        super().__init__(folder, clock)
        self._folder = self._there = mirrored(folder) or folder  # what messages name
        # Not that of the mirror itself: a journal that has a spool is taken for one that needs it.
        self._spool = Spool(f"{folder}.away")
        # The next beat is another try, and who leaves does not want to wait.
        self._volumes = Volumes(environ, clock, attempts=2)

    def release(self) -> None:
        """Give the sink back."""
        super().release()
        self._volumes.close()

    def _beat(self) -> None:
        with contextlib.suppress(RunError):  # the login, the network: the next beat may do
            super()._beat()

    def _make_folder(self) -> None:
        self._volumes.make_folder(self._there)

    def _names(self) -> list[str]:
        return [entry.name for entry in self._volumes.listing(self._there)]

    def _is_there(self, token: str) -> bool:
        return self._volumes.look(self._at(token)) is not None

    def _get(self, token: str) -> bytes:
        return self._volumes.read(self._at(token))

    def _put(self, token: str, data: bytes) -> None:
        self._volumes.write(self._at(token), data)

    def _remove(self, token: str) -> None:
        try:
            self._volumes.remove(self._at(token))
        except RunError as error:  # who leaves has said more, or leaves for that very reason
            raise OSError(errno.EIO, str(error)) from error

    def _at(self, token: str) -> str:
        return f"{self._there}/lock-{token}.json"


class AwayLock(SinkLock):
    """A `SinkLock`: on this machine an OS lock in the mirror *folder*, for all others a heartbeat
    on the volume, where runs on compute of the workspace see it as well.

    While it is held, what is new in the mirror goes to the volume every *every* seconds, and the
    rest as it is given back.
    """

    def __init__(
        self, folder: str, environ: Mapping[str, str], *, clock: Clock, every: float = 30.0
    ) -> None:
        super().__init__(folder, clock=clock)
        self._mirror = Abroad(folder, environ, clock)
        self._far = AwayBeat(folder, environ, clock)
        self._time = clock
        self._every = every
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._trouble = ""

    def acquire(self) -> None:
        """Take the lock, and fetch what the volume has. Raises as `SinkLock.acquire`."""
        with reported(self._mirror.folder):
            make_mirrors()
        super().acquire()
        with contextlib.ExitStack() as undo:
            undo.callback(super().release)
            self._far.acquire()
            undo.callback(self._far.release)
            with reported(self._mirror.there):
                self._mirror.fetch()
            undo.pop_all()
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="dbrun-send", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """As `SinkLock.check`."""
        self._far.check()

    def release(self) -> None:
        """Send what is left, and give the lock back.

        Raises:
            SinkError: it cannot be sent; says where it is kept.
        """
        if self._thread is None:
            return
        self._stop.set()
        self._thread.join()
        self._thread = None
        try:
            self._mirror.settle()
        except (OSError, RunError) as error:
            raise SinkError(
                f"journal {self._mirror.there}: {_said(error)}; the answers that it does not hold "
                "yet are kept on this machine",
                "mend this and run the same command again on this machine; it continues",
            ) from error
        finally:
            self._mirror.close()
            self._far.release()
            super().release()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.release()
        except SinkError as failed:
            if error is None:
                raise
            _log.warning("%s", failed)  # what came first says more

    def _run(self) -> None:
        while not self._time.sleep(self._every, self._stop):
            try:
                self._mirror.send()
            except (OSError, DbrunError) as error:
                self._warn(_said(error))
            else:
                self._trouble = ""

    def _warn(self, said: str) -> None:
        """Say it once."""
        if said != self._trouble:
            self._trouble = said
            _log.warning(
                "journal %s: answers cannot be published: %s; they are kept on this machine, and "
                "publishing them is tried again every %g s",
                self._mirror.there,
                said,
                self._every,
            )


def fetch_journal(folder: str, environ: Mapping[str, str], clock: Clock) -> None:
    """Have the mirror *folder* hold what the volume has, for somebody who only reads.

    A run of this machine that is at it sees to that itself; where the volume cannot be asked, the
    mirror has to do.

    Raises:
        RunError: it cannot be fetched, and there is no mirror yet.
    """
    try:
        with reported(folder):
            make_mirrors()
        with (
            SinkLock(folder, clock=clock),
            contextlib.closing(Abroad(folder, environ, clock)) as mirror,
        ):
            mirror.fetch()
    except SinkInUse:
        return
    except (OSError, RunError) as error:
        there = mirrored(folder) or folder
        if not has_mirror(folder):
            raise (trouble(error, there) if isinstance(error, OSError) else error) from error
        _log.warning("journal %s: %s; going by what it held last", there, _said(error))


def send_journal(folder: str, environ: Mapping[str, str], clock: Clock) -> None:
    """Have the volume hold what somebody without the sink's lock wrote to the mirror *folder*.

    A run of this machine that is at it sees to that itself.

    Raises:
        SinkError: it cannot be sent; the next run here does.
    """
    try:
        with (
            SinkLock(folder, clock=clock),
            contextlib.closing(Abroad(folder, environ, clock)) as mirror,
        ):
            mirror.fetch()
            mirror.send()
    except SinkInUse:
        return
    except (OSError, RunError) as error:
        raise SinkError(
            f"journal {mirrored(folder)}: {_said(error)}; the answers that it does not hold yet "
            "are kept on this machine",
            "mend this; the next run here brings them there",
        ) from error


def _said(error: Exception) -> str:
    said = getattr(error, "strerror", None) or str(error)
    return said[:1].lower() + said[1:]
