"""Files that a command writes: whole or not at all, and never over what a spec lives from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..errors import UserError
from .output import byte_writer

if TYPE_CHECKING:
    from ..spec.model import Spec

STANDARD_OUTPUT = "-"


@contextmanager
def writing(file: str, spec: Spec) -> Iterator[Callable[[bytes], None]]:
    """What writes lines to *file*, which is put in place whole at the end; '-' is standard output.

    Raises:
        UserError: there is something at *file* that must not be written over.
        SinkError: it cannot be written.
    """
    if file == STANDARD_OUTPUT:
        yield byte_writer()
        return
    from ..run.places import discard_partial
    from ..sinks.file import PartialFile

    _refuse_place(file, spec)
    made = PartialFile(file)
    made.open()
    try:
        yield made.write_line
        made.commit()
    except BaseException:
        made.close()
        discard_partial(file)
        raise


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
