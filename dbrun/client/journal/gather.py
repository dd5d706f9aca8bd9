"""Folding where a folder takes whole files only.

The folded file is made on local disk, written whole under a name of its own, and read back; only
then are the files that it replaces removed, oldest first. A machine lost in between leaves both,
which say the same. Files are immutable, so those that have their end can be folded whoever wrote
them; one without it may still be on its way, and is removed only once it is old, or if its writer
was a process of this machine that has ended.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable

from ...errors import SinkError
from .compact import Beside, fold
from .disk import reported
from .pieces import Extent, extent_of, write_piece
from .publish import Publisher
from .segment import Segment, is_compacted, names, new_stem, stem_of
from .store import Store

_OLD = 3600.0
"""Seconds after which a file that has no end gets none any more. By the storage's own clock."""

_log = logging.getLogger(__name__)


def gather(store: Store, publisher: Publisher, keep: Callable[[str], bool] | None) -> bool:
    """Publish what is spooled and fold all that is in the folder; False if nothing was folded.

    Raises:
        SinkError: the folder cannot be written; answers are kept where it says. Where all are
            published, that they cannot be folded is no error unless *keep* drops some.
    """
    publisher.finish()
    with publisher.lock:
        try:
            with reported(store.folder):
                return _gather(store, publisher, keep)
        except SinkError as error:
            if keep is not None:
                raise
            _log.warning("%s; all answers are there, in several files", error.message)
            return False


class _Spooled(Beside):
    """The folded file in the making, on local disk."""

    def put_in_place(self, store: Store, compacted: Segment) -> None:
        """Write it whole to its target."""
        write_piece(self.target, self.path, Extent(0, os.path.getsize(self.path)))
        compacted.reopen(self.target)


def _gather(store: Store, publisher: Publisher, keep: Callable[[str], bool] | None) -> bool:
    before = names(store.folder)
    whole = {name for name in before if extent_of(os.path.join(store.folder, name))}
    # Only now: whatever is whole has been read to its end then.
    store.refresh()
    if keep is None and not publisher.waits and len(before) < 2 and all(map(is_compacted, before)):
        return False
    target = os.path.join(store.folder, f"answers-{new_stem(before, store.clock)}.jsonl")
    beside = _Spooled.lock(
        target, store.clock, os.path.join(publisher.spool.make(), "answers.partial")
    )
    if beside is None:
        return False
    try:
        placed = bool(len(store.index)) or keep is not None
        if placed:
            try:
                fold(store, beside, keep)
            except BaseException:
                store.reload()  # some answers were already read from the file that failed
                raise
    finally:
        beside.close()
    whole.update(name for name in before if stem_of(name) in publisher.stems)
    for name in before:
        path = os.path.join(store.folder, name)
        if name in whole or (placed and _is_older(path, target)):
            with contextlib.suppress(OSError):
                os.unlink(path)
            store.files.forget(name)
    for name in publisher.discard():
        store.files.forget(name)
    return True


def _is_older(path: str, than: str) -> bool:
    try:
        return os.stat(than).st_mtime - os.stat(path).st_mtime > _OLD
    except OSError:
        return False
