"""The folder through which a run and its partitions hand each other rows, records and counts.

It lies in the journal's folder, so on storage that all of them see, and takes whole files only:
each is made beside (or on local disk) and put in place when it is complete. A part that several
workers are at, because Spark repeats it, is done by one of them at a time.

    in-<round>-<part>.jsonl     rows for a part, each line an item
    out-<round>-<part>-*.jsonl  records of it: the number of the row, a space, the record; only
                                what has the digest that its worker told Spark is unpickled
    next-<round>-<part>-*.jsonl rows that go on: the key of the next request, the number, the item
    done-<round>-<part>.json    the report of the worker that finished it
    live-<round>-<part>-*.json  what each worker has counted so far
    ask-, grant-…               what it wants to spend, and what it may (see `allowance`)
    stop                        the run is to end
"""

from __future__ import annotations

import hashlib
import heapq
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import IO, Any

from ...client.journal import SinkLock
from ...errors import Interrupted, SinkError, SinkInUse, UserError
from ...files import copy_whole, file_digest, move, spool_path, write_whole
from ...storage import clear_spool, make_spool, wants_whole_files

_PREFIX = "spark-"
_WORD = b"dbrun\n"
_WAIT = 0.5  # seconds between two tries to take over a part
_MEND = "free space or permissions, then run the same command again; answers are kept"


class Exchange:
    """The folder at *path*; all methods raise `SinkError` if it cannot be read or written."""

    def __init__(self, path: str) -> None:
        self.path = path

    @classmethod
    def make(cls, journal: str) -> Exchange:
        """A new one in the folder of a journal, those of runs that were killed cleared away.

        Only for whoever holds the sink's lock.
        """
        made = cls(os.path.join(journal, _PREFIX + secrets.token_hex(4)))
        with made._writing():
            for name in os.listdir(journal) if os.path.isdir(journal) else ():
                if name.startswith(_PREFIX):
                    shutil.rmtree(os.path.join(journal, name), ignore_errors=True)
            os.makedirs(made.path)
        return made

    def remove(self) -> None:
        """Take the folder away, as far as it can be."""
        shutil.rmtree(self.path, ignore_errors=True)

    def deal(self, number: int, parts: int) -> Dealing:
        """Begin the rows of round *number*."""
        paths = [self._path("in", number, part, ".jsonl") for part in range(parts)]
        return Dealing([self.file(path) for path in paths])

    def rows(self, number: int, part: int) -> Iterator[list[bytes]]:
        """The lines of a part's rows, some hundred at a time."""
        with self._reading(), open(self._path("in", number, part, ".jsonl"), "rb") as stream:
            while lines := stream.readlines(1 << 18):
                yield lines

    def file(self, path: str) -> WholeFile:
        """A file in the making."""
        with self._writing():
            return WholeFile(path)

    def results(self, number: int, part: int, attempt: str) -> WholeFile:
        """The records of a part, in the making."""
        return self.file(self._path("out", number, part, f"-{attempt}.jsonl"))

    def further(self, number: int, part: int, attempt: str) -> WholeFile:
        """The rows of a part that go on, in the making."""
        return self.file(self._path("next", number, part, f"-{attempt}.jsonl"))

    def merged(self, done: Sequence[tuple[int, int, str, str]]) -> Iterator[bytes]:
        """The records of all parts that are *done* (round, part, attempt, digest), in source order.

        Raises:
            SinkError: a file does not hold what its worker wrote, or cannot be read.
        """
        for number, part, attempt, digest in done:
            path = self._path("out", number, part, f"-{attempt}.jsonl")
            with self._reading():
                if file_digest(path) != digest:
                    raise SinkError(f"{path} does not hold what a worker wrote", _MEND)
        yield from (
            line
            for _, line in self._merged(
                "out", [one[:3] for one in done], lambda line: line.partition(b" ")[::2]
            )
        )

    def going_on(self, done: Iterable[tuple[int, int, str]]) -> Iterator[tuple[str, int, bytes]]:
        """The rows that go on: the key of the next request, the number, the item; in order."""

        def read(line: bytes) -> tuple[bytes, bytes]:
            key, _, rest = line.partition(b" ")
            number, _, item = rest.partition(b" ")
            return number, key + b" " + item

        for number, line in self._merged("next", done, read):
            key, _, item = line.partition(b" ")
            yield key.decode(), number, item

    def ask(self) -> None:
        """Put something there that a worker who sees the folder can `answer`."""
        self._write(os.path.join(self.path, "asked"), _WORD)

    def answer(self) -> None:
        """Show that this machine sees the folder and can write to it.

        Raises:
            UserError: it sees another one, or none.
        """
        try:
            with open(os.path.join(self.path, "asked"), "rb") as stream:
                is_seen = stream.read() == _WORD
            if is_seen:
                write_whole(os.path.join(self.path, f"answered-{secrets.token_hex(4)}"), _WORD)
                return
            why = "it is another folder there"
        except OSError as error:
            why = (error.strerror or str(error)).lower()
        raise UserError(
            f"Spark's workers cannot use the journal's folder {os.path.dirname(self.path)}: {why}",
            "set journal.path to storage that driver and workers share, such as "
            "/Volumes/<catalog>/<schema>/<volume>/…",
        )

    def is_answered(self) -> bool:
        """Whether what a worker wrote is seen here."""
        with self._reading():
            return any(name.startswith("answered-") for name in os.listdir(self.path))

    def stop(self) -> None:
        """Tell all partitions to end."""
        with suppress(SinkError):
            self._write(os.path.join(self.path, "stop"), b"\n")

    def is_stopped(self) -> bool:
        """Whether the run is to end, or is gone."""
        return os.path.exists(os.path.join(self.path, "stop")) or not os.path.isdir(self.path)

    def say(
        self, kind: str, number: int, part: int, attempt: str, report: Mapping[str, Any]
    ) -> None:
        """Tell the last of a *kind* of words from, or to, the worker *attempt*."""
        self._write_json(self._path(kind, number, part, f"-{attempt}.json"), report)

    def told(self, kind: str, number: int, part: int, attempt: str) -> dict[str, Any] | None:
        """What was last said of this *kind* from, or to, one worker."""
        return self._read_json(self._path(kind, number, part, f"-{attempt}.json"))

    def say_done(self, number: int, part: int, report: Mapping[str, Any]) -> None:
        """Tell that a part is done."""
        self._write_json(self._path("done", number, part, ".json"), report)

    def done(self, number: int, part: int) -> dict[str, Any] | None:
        """The report of a part that is done."""
        return self._read_json(self._path("done", number, part, ".json"))

    def said(self, kind: str) -> list[dict[str, Any]]:
        """What every worker has last said of this *kind*."""
        with self._reading():
            names = [name for name in os.listdir(self.path) if name.startswith(f"{kind}-")]
        found = (self._read_json(os.path.join(self.path, name)) for name in sorted(names))
        return [report for report in found if report is not None]

    @contextmanager
    def held(self, number: int, part: int) -> Iterator[None]:
        """The right to work on a part. Whoever else has it is waited for, until it is done or
        dead: of two workers that Spark sets to one part, the second sends nothing.

        Raises:
            Interrupted: the run was stopped meanwhile.
        """
        lock = SinkLock(self._path("lock", number, part, ""))
        while True:
            try:
                lock.acquire()
                break
            except SinkInUse:
                if self.is_stopped():
                    raise Interrupted("stopped while another worker was at the same part") from None
                time.sleep(_WAIT)
        try:
            yield
        finally:
            lock.release()

    def _path(self, kind: str, number: int, part: int, ending: str) -> str:
        return os.path.join(self.path, f"{kind}-{number:02}-{part:05}{ending}")

    def _merged(
        self,
        kind: str,
        done: Iterable[tuple[int, int, str]],
        split: Callable[[bytes], tuple[bytes, bytes]],
    ) -> Iterator[tuple[int, bytes]]:
        def lines(stream: IO[bytes]) -> Iterator[tuple[int, bytes]]:
            for line in stream:
                index, rest = split(line.rstrip(b"\n"))
                yield int(index), rest

        with self._reading(), ExitStack() as stack:
            streams = []
            for number, part, attempt in done:
                path = self._path(kind, number, part, f"-{attempt}.jsonl")
                if os.path.exists(path):
                    streams.append(stack.enter_context(open(path, "rb")))
            yield from heapq.merge(*map(lines, streams), key=lambda one: one[0])

    def _write(self, path: str, data: bytes) -> None:
        with self._writing():
            write_whole(path, data)

    def _write_json(self, path: str, said: Mapping[str, Any]) -> None:
        self._write(path, json.dumps(said).encode())

    def _read_json(self, path: str) -> dict[str, Any] | None:
        try:
            with open(path, encoding="utf-8") as stream:
                said = json.load(stream)
        except (OSError, ValueError):  # not there, or just being written
            return None
        return said if isinstance(said, dict) else None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._trouble("written", error) from error

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._trouble("read", error) from error

    def _trouble(self, what: str, error: OSError) -> SinkError:
        why = (error.strerror or str(error)).lower()
        return SinkError(f"{error.filename or self.path} cannot be {what}: {why}", _MEND)


class WholeFile:
    """A file that is put in place when it is complete; on leaving without, there is none."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lines = 0
        self._is_spooled = wants_whole_files(os.path.dirname(path))
        self._beside = spool_path(path) if self._is_spooled else path + ".partial"
        if self._is_spooled:
            make_spool(os.path.dirname(self._beside))
        self._digest = hashlib.sha256()
        self._stream = open(self._beside, "wb")  # noqa: SIM115 - closed by `commit` or `close`

    def write(self, *parts: bytes) -> None:
        """Add a line of these parts, one space between them. Raises `SinkError`."""
        try:
            line = b" ".join(parts) + b"\n"
            self._stream.write(line)
            self._digest.update(line)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise SinkError(f"{self._beside} cannot be written: {why}", _MEND) from error
        self.lines += 1

    @property
    def digest(self) -> str:
        """The SHA-256 of what was written."""
        return self._digest.hexdigest()

    def commit(self) -> None:
        """Put it in place. Raises `SinkError`."""
        try:
            self._stream.close()
            if self._is_spooled:
                copy_whole(self._beside, self.path)
                self._clear()
            else:
                move(self._beside, self.path)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise SinkError(f"{self.path} cannot be written: {why}", _MEND) from error

    def close(self) -> None:
        """Let go of it."""
        self._stream.close()
        self._clear()

    def _clear(self) -> None:
        with suppress(OSError):
            os.remove(self._beside)
        if self._is_spooled:
            clear_spool(os.path.dirname(self._beside))

    def __enter__(self) -> WholeFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Dealing:
    """The rows of one round, dealt so that rows that make the same request meet."""

    def __init__(self, files: list[WholeFile]) -> None:
        self._files = files
        self.rows = 0

    def put(self, key: str, item: bytes) -> None:
        """Deal one row; *key* is that of its next request, "" if that is not known or none."""
        part = int(key[:15], 16) if key else self.rows
        self._files[part % len(self._files)].write(item)
        self.rows += 1

    def commit(self) -> None:
        """All rows are dealt. Raises `SinkError`."""
        for file in self._files:
            file.commit()

    def close(self) -> None:
        """Let go of all files."""
        for file in self._files:
            file.close()
