"""Making a journal smaller: without the answers that nobody asks for, or as one file of many."""

from __future__ import annotations

from dataclasses import dataclass

from ...client.journal import Journal
from ...errors import SinkError, UserError
from ..offline.survey import Watch, short_key, unwatched
from ..opening import Surroundings
from ..travel.away import journal_lock, read_journal
from .use import Count, Use, Users, find_use


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """Pruning dropped (or, only tried, would drop) *dropped* of *total*."""

    total: Count
    dropped: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted:
    """Compacting made *files* of so many *files_before*, and *bytes* of *bytes_before*."""

    files_before: int
    bytes_before: int
    files: int
    bytes: int


def prune(
    users: Users,
    around: Surroundings,
    watch: Watch = unwatched,
    *,
    dry_run: bool = False,
    force: bool = False,
) -> Pruned:
    """Drop the answers that nobody asks for any more; only count them with *dry_run*.

    A kill at any point leaves every answer that is asked for.

    Args:
        force: drop them although other targets or later steps may yet ask for some, or although
            none would be left.

    Raises:
        UserError: what is asked for cannot be told, or another run holds the journal.
        SourceError: the rows cannot be read.
        SinkError: the journal cannot be written.
    """
    path = users.journal
    if dry_run:
        with read_journal(path, around) as journal:
            use = find_use(users, journal, around, watch)
            return _judged(use, journal, force)
    lock = journal_lock(path, around)
    with lock, Journal.open(path, clock=around.clock) as journal:
        use = find_use(users, journal, around, watch)
        pruned = _judged(use, journal, force)
        if pruned.dropped.answers:
            lock.check()
            _fold(journal, use.keys)
        return pruned


def _judged(use: Use, journal: Journal, force: bool) -> Pruned:
    """What goes and what stays.

    Raises:
        UserError: something may be lost that somebody asks for.
    """
    _refuse_unrendered(use)
    total, dropped = Count(), Count()
    for prefix, _, size in journal.extents():
        total.add(size)
        if prefix not in use.keys:
            dropped.add(size)
    if dropped.answers and not force:
        _refuse_unsure(use, total, dropped)
    return Pruned(total=total, dropped=dropped)


def _refuse_unrendered(use: Use) -> None:
    trouble = use.unrendered
    if trouble.count:
        raise UserError(
            f"nothing is dropped: of {trouble.count} of {use.rows} rows it is not known what "
            f"they ask for; the first: {trouble.named[0]}",
            "mend them, or leave them out with source.where",
        )


def _refuse_unsure(use: Use, total: Count, dropped: Count) -> None:
    if dropped.answers == total.answers:
        raise UserError(
            f"nothing is dropped: of {total.answers} answers not one is asked for by the "
            f"{use.rows} rows",
            "check --target, --var, the source and the host; --force drops them all",
        )
    if use.unfinished.count:
        raise UserError(
            f"nothing is dropped: {use.unfinished.count} of {use.rows} rows have no usable answer "
            "in an earlier step, so what later ones ask for is not known; the first: "
            f"{use.unfinished.named[0]}",
            "run the spec first; --force drops what is not asked for as things are",
        )
    if use.unknown:
        name, why = use.unknown[0]
        raise UserError(
            f"nothing is dropped: {name} may ask for some of the answers, and what it asks for is "
            f"not known: {why}",
            "mend that, or drop what is not asked for by others with --force",
        )


def _fold(journal: Journal, keys: set[int]) -> None:
    """Keep the answers to *keys* only.

    Raises:
        SinkError: the journal cannot be folded.
    """
    if not journal.compact(lambda key: short_key(key) in keys):
        raise _not_folded(journal.path)


def compact(path: str, around: Surroundings) -> Compacted:
    """Make one file of the journal's files.

    Raises:
        UserError: another run holds the journal.
        SinkError: the journal cannot be written.
    """
    with journal_lock(path, around), Journal.open(path, clock=around.clock) as journal:
        files, size = journal.segments, journal.bytes_
        if not journal.compact() and files > 1:
            raise _not_folded(path)
        return Compacted(
            files_before=files, bytes_before=size, files=journal.segments, bytes=journal.bytes_
        )


def _not_folded(path: str) -> SinkError:
    return SinkError(
        f"journal {path}: it cannot be folded now: another process is at it, or the disk has no "
        "locks",
        "try again later, or on a disk of this machine",
    )
