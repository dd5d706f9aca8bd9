"""Files that a command writes: whole or not at all, and never over what a spec lives from."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ..errors import UserError
from .output import byte_writer

if TYPE_CHECKING:
    from ..sinks.file import PartialFile
    from ..spec.model import Spec

STANDARD_OUTPUT = "-"


@contextmanager
def writing(file: str, spec: Spec) -> Iterator[Callable[[bytes], None]]:
    """What writes lines to *file*, which is put in place whole at the end; '-' is standard output.

    Raises:
        UserError: there is something at *file* that must not be written over.
        SinkError: it cannot be written.
    """
    if file != STANDARD_OUTPUT:
        _refuse_place(file, spec)
    with written_whole(file) as write:
        yield write


@contextmanager
def written_whole(file: str) -> Iterator[Callable[[bytes], None]]:
    """What writes to *file*, whatever is there; '-' is standard output. Raises `SinkError`."""
    if file == STANDARD_OUTPUT:
        yield byte_writer()
        return
    from ..run.signals import ending_on_sigterm
    from ..sinks.file import PartialFile
    from ..storage import clear_spool

    made = PartialFile(file, suffix=f".{os.getpid()}")  # two at once do not meet
    made.open()
    with _alive(made):
        try:
            with ending_on_sigterm():
                yield made.write_line
                made.commit()
        except BaseException:
            made.close()
            with suppress(OSError):
                os.remove(made.partial)
            if made.is_spooled:
                clear_spool(os.path.dirname(made.partial))
            raise


@contextmanager
def _alive(made: PartialFile) -> Iterator[None]:
    """Hold a lock on the partial file of *made*, and clear away those of the same file that
    nobody holds: their commands were killed."""
    from ..client.journal.lock import locked

    if os.name == "nt":  # a file that is open cannot be renamed there
        yield
        return
    with locked(made.partial):
        stem = made.partial.rpartition(".")[0]
        for left in glob.glob(f"{glob.escape(stem)}.[0-9]*"):
            if left != made.partial:
                with locked(left) as killed, suppress(OSError):
                    if killed is not None:
                        os.remove(left)
        yield


@contextmanager
def written_records(file: str, kind: str) -> Iterator[Callable[[bytes], None]]:
    """What writes records, each a line of JSON, to *file* in the format *kind* of a sink.

    Raises:
        SinkError: it cannot be written.
    """
    if kind == "jsonl":
        with written_whole(file) as write:
            yield write
        return
    from ..registry import Registry
    from ..run.keeping.places import discard_partial
    from ..run.signals import ending_on_sigterm
    from ..spec.model import SinkSpec

    sink = Registry().get("sinks", kind).create(SinkSpec(path=os.path.abspath(file), kind=kind))
    sink.open()
    try:
        with ending_on_sigterm():
            yield sink.write_line
            sink.commit()
    except BaseException:
        sink.close()
        discard_partial(file)
        raise


def refuse_results_place(file: str, inputs: Sequence[str], endings: Sequence[str]) -> None:
    """Raises `UserError` if *file* cannot be written, which is made of *inputs*, or what is there
    is something else than what a name of one of *endings* says."""
    from ..run.keeping.manifest_files import read_manifest
    from ..run.manifest import manifest_path

    if file == STANDARD_OUTPUT:
        return
    if not file.lower().endswith(tuple(endings)):
        wanted = " or ".join(endings)
        raise UserError(f"{file}: the name does not fit", f"it must end in {wanted}")
    if not os.path.exists(file):
        return
    if not os.path.isfile(file):
        raise UserError(f"{file} is no regular file", "'-' is standard output")
    if any(os.path.exists(one) and os.path.samefile(file, one) for one in inputs):
        raise UserError(f"{file} is what is read, and would be lost", "name another --out")
    results = (read_manifest(manifest_path(file)) or {}).get("results")
    if isinstance(results, dict) and results.get("path") == os.path.basename(file):
        raise UserError(f"{file} has the results of a run", "name another --out")


def _refuse_place(file: str, spec: Spec) -> None:
    """Raises `UserError` if *file* is nothing that may be written over."""
    journal = os.path.join(os.path.realpath(spec.journal.path), "")
    if os.path.realpath(file).startswith(journal):
        raise UserError(f"{file} is in the journal's own folder", "name a file elsewhere")
    if not os.path.exists(file):
        return
    if not os.path.isfile(file):
        raise UserError(f"{file} is no regular file", "'-' is standard output")
    source = spec.source.options.get("path")
    for other in (spec.file, spec.sink.path, source):
        if isinstance(other, str) and os.path.exists(other) and os.path.samefile(file, other):
            raise UserError(f"{file} belongs to the spec and would be lost", "name another file")
    if not file.lower().endswith((".jsonl", ".ndjson", ".jsonl.gz", ".jsonl.zst")):
        raise UserError(f"{file} is there and is no JSON Lines file", "name another file")
