"""Specs whose sink and journal are on volumes that this machine has not mounted.

They are worked on in mirrors on local disk: in the spec their paths take the place of those on
the volume as soon as it is loaded, so that nothing else knows of it. What is here sees that the
mirror has what the volume has before it is read, and the volume what the mirror has afterwards.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ...client.journal import Journal, SinkLock
from ...errors import RunError, SinkError, UserError
from ...files import file_digest
from ...spec.model import Spec
from ...storage import is_away, lacking_root, make_mirrors, mirror_of, mirrored
from ..keeping.places import results_path
from ..keeping.sharing import sink_name
from ..manifest import manifest_path
from ..opening import Surroundings
from ..options import RunOptions
from ..result import Run


def at_home(spec: Spec, environ: Mapping[str, str]) -> Spec:
    """*spec* with mirrors in place of what is on volumes elsewhere, if it is known which workspace
    has them; touches neither network nor disk."""
    table = spec.sink.table
    errors = table.errors if table is not None else None
    paths = (spec.sink.path, spec.journal.path, errors or "")
    if not any(is_away(path, environ) for path in paths):
        return spec
    from ...client.volumes import known_url

    url = known_url(environ)
    if url is None:  # running it says so
        return spec

    def home(path: str) -> str:
        return mirror_of(path, url) if is_away(path, environ) else path

    if table is not None and errors is not None:
        table = replace(table, errors=home(errors))
    return replace(
        spec,
        sink=replace(spec.sink, path=home(spec.sink.path), table=table),
        journal=replace(spec.journal, path=home(spec.journal.path)),
    )


def options_at_home(options: RunOptions, environ: Mapping[str, str]) -> RunOptions:
    """*options* with a mirror in place of an `--out` on a volume elsewhere; as `at_home`."""
    if options.out is None or not is_away(options.out, environ):
        return options
    from ...client.volumes import known_url

    url = known_url(environ)
    return replace(options, out=mirror_of(options.out, url)) if url else options


def sink_lock(spec: Spec, around: Surroundings) -> SinkLock:
    """The right to write the sink of *spec*, and its journal beside runs of other sinks.

    Raises:
        RunError: the journal is on a volume, and no workspace is known.
    """
    journal = spec.journal
    if mirrored(journal.path) is None:
        refuse_away(journal.path, around.environ)
        return SinkLock(journal.path, sink_name(spec), clock=around.clock)
    return journal_lock(journal.path, around, journal.publish_every)


def journal_lock(path: str, around: Surroundings, publish_every: float = 30.0) -> SinkLock:
    """The right to write the journal at *path* alone.

    Raises:
        RunError: it is on a volume, and no workspace is known.
    """
    refuse_away(path, around.environ)
    if mirrored(path) is None:
        return SinkLock(path, clock=around.clock)
    from ...client.journal.away import AwayLock

    return AwayLock(path, around.environ, clock=around.clock, every=publish_every)


def catch_up(path: str, around: Surroundings) -> None:
    """Have the journal at *path* hold what the volume has, if it is the mirror of one.

    Raises:
        RunError: it cannot be fetched, and nothing of it is here.
    """
    if mirrored(path) is not None:
        from ...client.journal.away import fetch_journal

        fetch_journal(path, around.environ, around.clock)


@contextmanager
def unlocked_journal(spec: Spec, around: Surroundings) -> Iterator[Journal]:
    """The journal of *spec*, to read and to write beside whatever run is at it.

    Raises:
        RunError: it cannot be read, or on leaving be brought to its volume.
    """
    path = spec.journal.path
    refuse_away(path, around.environ)
    catch_up(path, around)
    journal = Journal.open(
        path,
        mode=spec.journal.mode,
        clock=around.clock,
        publish_every=spec.journal.publish_every,
    )
    try:
        yield journal
    finally:
        journal.close()
    if mirrored(path) is not None:
        from ...client.journal.away import send_journal

        send_journal(path, around.environ, around.clock)


def read_journal(path: str, around: Surroundings, mode: str = "replay") -> Journal:
    """The journal at *path*, for reading. Raises `RunError` as `catch_up`."""
    catch_up(path, around)
    return Journal.open(path, mode=mode, writable=False, clock=around.clock)


def refuse_away(path: str, environ: Mapping[str, str]) -> None:
    """Raises `RunError` if *path* is on a volume elsewhere, of nobody knows which workspace, or on
    storage of Databricks that is not here: a folder of that name would be a disk's own."""
    if is_away(path, environ):
        from ...client.volumes import refuse_unknown

        refuse_unknown(path, environ)
    elif root := lacking_root(path):
        raise RunError(f"{path}: there is no {root}", "check the path, and that it is mounted here")


def brought(path: str, around: Surroundings) -> str:
    """Where the results at *path* can be read: fetched, if they are on a volume elsewhere.

    Raises:
        RunError: they cannot be fetched, or no workspace is known.
    """
    if not is_away(path, around.environ):
        return path
    from ...client.volumes import known_url, refuse_unknown

    refuse_unknown(path, around.environ)
    home = mirror_of(path, known_url(around.environ) or "")
    fetch_results(home, around)
    return home


def _refuse_delta(spec: Spec, around: Surroundings) -> None:
    table = spec.sink.table
    if table is not None and table.kind == "delta" and is_away(table.name, around.environ):
        raise UserError(
            f"{table.name}: a Delta table on a volume can be written on compute of its workspace "
            "only",
            "name a table as catalog.schema.name with a warehouse_id, or write it elsewhere",
        )


def _check_place(path: str, around: Surroundings) -> None:
    """Raises `SinkError` if nothing can be sent to the place that *path* mirrors: better to hear
    of it before anything is paid for."""
    there = mirrored(path) or path
    try:
        with _volumes(around) as volumes:
            if volumes.is_folder(there):
                raise IsADirectoryError(errno.EISDIR, "it is a folder")
            volumes.make_folder(os.path.dirname(there))
    except OSError as error:
        why = error.strerror or str(error)
        raise SinkError(
            f"{there}: cannot be written: {why}",
            "add a file name"
            if isinstance(error, IsADirectoryError)
            else "ask for WRITE VOLUME, or choose another sink",
        ) from error


class Delivery:
    """Results of a run on their way to a volume; nothing where they stay on this machine.

    Raises:
        RunError: what the volume has cannot be read.
    """

    def __init__(self, spec: Spec, options: RunOptions, around: Surroundings) -> None:
        path = results_path(spec, options)
        refuse_away(path or "", around.environ)
        _refuse_delta(spec, around)
        self._around = around
        self._errors = spec.sink.table.errors if spec.sink.table is not None else None
        self._before: bytes | None = None
        if options.only_errors:
            fetch_results(spec.sink.path, around)
        if path is not None and mirrored(path):
            _check_place(path, around)
            self._before = fetch_manifest(path, around)

    def send(self, run: Run) -> Run:
        """Bring what *run* put in place to the volume, the manifest last; gives *run* back. What
        is there already stays as it is.

        Raises:
            SinkError: it cannot be done; says where it is kept.
        """
        if self._errors is not None and mirrored(self._errors) and os.path.exists(self._errors):
            _send(self._errors, self._around)
        path = run.path
        if path is None or not mirrored(path) or run.manifest.get("status") != "finished":
            return run
        manifest = manifest_path(path)
        if not _is_known(self._before, path) or not _is_there(path, self._around):
            _send(path, self._around)
            self._before = None
        if self._before != _bytes(manifest):
            _send(manifest, self._around)
        return run


def fetch_manifest(results: str, around: Surroundings) -> bytes | None:
    """Have the manifest of *results*, if they are a mirror, be what the volume has; gives it, or
    None if it has none.

    Raises:
        RunError: it cannot be read.
    """
    path = manifest_path(results)
    there = mirrored(path)
    if there is None:
        return None
    try:
        with _volumes(around) as volumes:
            if volumes.look(there) is None:
                with contextlib.suppress(FileNotFoundError):
                    os.remove(path)
                return None
            data: bytes = volumes.read(there)
        make_mirrors()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        return data
    except OSError as error:
        raise RunError(f"{there}: cannot be read: {error.strerror or error}") from error


def fetch_results(path: str, around: Surroundings) -> None:
    """Have *path*, if it is a mirror, and its manifest hold what the volume has.

    Raises:
        RunError: they cannot be fetched.
    """
    there = mirrored(path)
    if there is None:
        return
    manifest = fetch_manifest(path, around)
    if _is_known(manifest, path):
        return
    try:
        with _volumes(around) as volumes:
            volumes.fetch(there, path)
    except FileNotFoundError:
        with contextlib.suppress(FileNotFoundError):
            os.remove(path)
    except OSError as error:
        raise RunError(f"{there}: cannot be read: {error.strerror or error}") from error


def _send(path: str, around: Surroundings) -> None:
    there = mirrored(path)
    assert there is not None, "no mirror"
    try:
        with _volumes(around) as volumes:
            volumes.make_folder(os.path.dirname(there))
            volumes.send(path, there)
    except OSError as error:
        why = error.strerror or str(error)
        raise SinkError(
            f"{there}: cannot be written: {why}; what was to go there is kept on this machine",
            "mend this and run the same command again; it continues",
        ) from error


def _is_there(path: str, around: Surroundings) -> bool:
    """Whether the volume has a file as large as *path*."""
    there = mirrored(path)
    assert there is not None, "no mirror"
    try:
        with _volumes(around) as volumes:
            found = volumes.look(there)
    except OSError:  # sending will say so
        return False
    return found is not None and found.size == os.path.getsize(path)


def _is_known(manifest: bytes | None, path: str) -> bool:
    """Whether *manifest* tells of results with the bytes of *path*."""
    try:
        told: Any = json.loads(manifest or b"{}").get("results") or {}
        return bool(told.get("sha256") == file_digest(path))
    except (OSError, ValueError, AttributeError):
        return False


def _bytes(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def _volumes(around: Surroundings) -> Any:
    from ...client.volumes import Volumes

    return Volumes(around.environ, around.clock)
