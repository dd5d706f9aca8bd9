"""Files of other tools to results: what their lines tell becomes records that dbrun knows."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from ..context import Context
from ..errors import SourceError, Unanswered, UserError
from ..registry import Registry
from ..run.journals.batch_lines import ForeignLine, read_object
from ..run.journals.line_files import kept_file, lines_of, refuse_missing
from ..run.rows.items import identify
from ..sinks.base import encode_line
from ..spec.formats import format_on_disk
from ..spec.response import output_check
from ..spec.schema import read_schema
from ..types import Json, Row
from . import openai_batch, promptfoo
from .joining import Spool
from .lines import Found, failed, merged, ordered

Write = Callable[[bytes], None]
Files = Sequence[tuple[str, str]]
"""What each file is called, and where it is."""

KINDS = ("openai-batch", "promptfoo")


@dataclass(slots=True, kw_only=True)
class Imported:
    """What was made: *records*, *errors* by class; *rows* is how many there were to join,
    *strangers* how many records belong to none of them, *met* how many of the rows have records;
    *are_keys* says that the ids are keys of requests, which a journal knows."""

    records: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    rows: int | None = None
    strangers: int = 0
    met: int = 0
    are_keys: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What is to be imported: *files*, of which *kind* (None finds out), the column that holds
    the *id*, and the file of *rows* that the records are of."""

    files: Sequence[str]
    kind: str | None = None
    id: str | None = None
    rows: str | None = None


def import_results(given: Given, registry: Registry, write: Write) -> Imported:
    """Write the records that the files tell of, as lines of results.

    Raises:
        UserError: a line is none of the format; the message has its place.
        SourceError: a file, or the rows, cannot be read.
    """
    refuse_missing(given.files, "name a file that the tool wrote")
    for name in given.files:
        if name.lower().endswith((".yaml", ".yml")):
            raise UserError(
                f"{name}: import reads results, and this is what would make some",
                f"`dbrun validate {name}` says of a config's keys what to write here",
            )
        if name.lower().endswith(".json"):
            raise UserError(
                f"{name}: import reads JSON Lines, not one document",
                "promptfoo writes lines, too: promptfoo export eval ID -o NAME.jsonl",
            )
    told = Imported()
    with ExitStack() as stack:
        files = [(name, kept_file(name, stack)) for name in given.files]
        kind = given.kind or _kind_of(files)
        if kind == "promptfoo":
            if given.rows is not None:
                raise UserError("--rows: results of promptfoo bring their rows, as vars")
            records = _of_promptfoo(files, given.id)
        else:
            records = _of_batches(files, told)
        records = _counted(records, told)
        if given.rows is None:
            for record in records:
                write(encode_line(record))
        else:
            spool = stack.enter_context(Spool())
            for record in records:
                spool.put(str(record["id"]), encode_line(record))
            _join(spool, _rows(given.rows, given.id, registry), told, write)
    if not told.records:
        raise UserError(f"{given.files[0]}: there are no results to import")
    return told


def _kind_of(files: Files) -> str:
    """The format of *files*, by their first line."""
    for where, line in lines_of(files):
        try:
            said = read_object(line)
        except ForeignLine as error:
            raise _wrong(where, error) from error
        if "custom_id" in said:
            return "openai-batch"
        if "testIdx" in said or "promptIdx" in said:
            return "promptfoo"
        raise UserError(
            f"{where}: these are no results of OpenAI's Batch API or of promptfoo",
            "import takes JSON Lines of either",
        )
    raise UserError(f"{files[0][0]}: there are no results to import")


def _of_batches(files: Files, told: Imported) -> Iterator[dict[str, Json]]:
    seen = _Seen()
    check = _checker()
    for where, line in lines_of(files):
        with _At(where):
            found = openai_batch.from_line(line)
            record = merged(found, check)
        seen.add(record, where, f"custom_id '{_short(str(found.record['id']))}'")
        told.are_keys |= found.ours is None and "key" in record
        yield record


def _of_promptfoo(files: Files, column: str | None) -> Iterator[dict[str, Json]]:
    names = _Names(files, column)
    seen, cells, check = _Seen(), _Seen(), _checker()
    for where, line in lines_of(files):
        with _At(where):
            said = read_object(line)
            cell = promptfoo.cell_of(said, column)
            found = promptfoo.from_result(said)
            if found.ours is None:
                found = Found(record={**found.record, **names.of(cell)})
            record = merged(found, check)
        test = {"id": cell.test, "variant": f"{cell.provider}\0{cell.prompt}"}
        cells.add(test, where, f"test {_short(cell.test)} of this provider and prompt")
        seen.add(record, where, f"the result of test '{_short(str(record['id']))}'")
        yield record


class _Names:
    """Ids, variants and repeats of promptfoo's results, from one pass over all of them.

    A test that is there more than once was repeated; providers and prompts make variants where
    there are several.
    """

    def __init__(self, files: Files, column: str | None) -> None:
        self._column = column
        self._providers: dict[str, int] = {}
        self._prompts: dict[str, int] = {}
        counts: Counter[bytes] = Counter()
        for where, line in lines_of(files):
            with _At(where):
                cell = promptfoo.cell_of(read_object(line), column)
            self._providers.setdefault(cell.provider, len(self._providers) + 1)
            self._prompts.setdefault(cell.prompt, len(self._prompts) + 1)
            counts[self._digest(cell)] += 1
        self._is_repeated = any(count > 1 for count in counts.values())
        self._so_far: Counter[bytes] = Counter()

    def of(self, cell: promptfoo.Cell) -> dict[str, Json]:
        """The fields that identify the result in *cell*, the next one."""
        fields: dict[str, Json] = {"id": cell.named or cell.test}
        parts = []
        for name, value, known in (
            ("endpoint", cell.provider, self._providers),
            ("prompt", cell.prompt, self._prompts),
        ):
            if len(known) > 1:
                parts.append(f"{name}={promptfoo.short_name(value, known[value])}")
        if parts:
            fields["variant"] = ",".join(parts)
        if self._is_repeated:
            digest = self._digest(cell)
            self._so_far[digest] += 1
            fields["repeat"] = self._so_far[digest]
        return fields

    def _digest(self, cell: promptfoo.Cell) -> bytes:
        return _digest((cell.named or cell.test, cell.provider, cell.prompt))


class _Seen:
    """Where records were seen, so that none comes twice; some 200 bytes for each."""

    def __init__(self) -> None:
        self._places: dict[bytes, str] = {}

    def add(self, record: dict[str, Json], where: str, what: str) -> None:
        """Note *record* at *where*. Raises `UserError` if one of its name was there before."""
        name = _digest((record["id"], record.get("variant"), record.get("repeat")))
        before = self._places.setdefault(name, where)
        if before is not where:
            raise UserError(
                f"{where}: {what} was at {before} already", "leave one of the two lines out"
            )


def _counted(records: Iterator[dict[str, Json]], told: Imported) -> Iterator[dict[str, Json]]:
    for record in records:
        told.records += 1
        if record["status"] == "error":
            told.errors[record["error"]["class"]] += 1
        yield record


def _join(spool: Spool, rows: Iterator[Row], told: Imported, write: Write) -> None:
    """Write what lies in *spool* in the order of *rows*, each with its row; the rest behind."""
    told.rows = 0
    for row in rows:
        told.rows += 1
        records = list(spool.take(row.id))
        if not records:
            missing = Unanswered("the imported files hold no answer to this row")
            records = [{"id": row.id, **failed(missing)}]
            told.records += 1
            told.errors["unanswered"] += 1
        else:
            told.met += 1
        for record in records:
            write(encode_line(ordered({**record, "row": row.values})))
    for record in spool.rest():
        told.strangers += 1
        write(encode_line(record))


def _rows(path: str, column: str | None, registry: Registry) -> Iterator[Row]:
    kind = format_on_disk(path)
    if kind is None or not registry.knows("sources", kind):
        raise UserError(
            f"--rows: {path}: the name does not tell a format", "name a .jsonl, .csv or .parquet"
        )
    source = registry.get("sources", kind).create({"path": os.path.abspath(path)}, Context())
    seen: set[bytes] = set()
    try:
        for row in identify(source.rows(), column):
            name = _digest((row.id,))
            if name in seen:
                raise UserError(
                    f"--rows: row {row.index + 1} of {path} has the id '{_short(row.id)}' of an "
                    "earlier one",
                    "name a column of ids that differ with --id",
                )
            seen.add(name)
            yield row
    except SourceError as error:
        hint = error.hint.replace("source.id", "--id") if error.hint else ""
        raise UserError(error.message.replace("source.id", "--id"), hint) from error


class _At:
    """Says of a line that does not fit where it is."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ForeignLine):
            raise _wrong(self._where, error) from error


def _wrong(where: str, error: ForeignLine) -> UserError:
    return UserError(f"{where}: {error}", "nothing was written; mend the file, or fetch it again")


def _checker() -> Callable[[Json], str | None]:
    return output_check(read_schema("record"))


def _digest(parts: tuple[Json, ...]) -> bytes:
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=12).digest()


def _short(text: str) -> str:
    line = "".join(sign if sign.isprintable() else "?" for sign in text)
    return line if len(line) <= 60 else line[:59] + "…"
