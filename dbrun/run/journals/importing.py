"""Answers that a batch API gave back, taken into the journal as if they had been asked for here.

A line is known by its request's key, or, in a pipeline of one step, by its row's id. Files are
streamed; every answer is in the journal before the next line is read, so that a kill loses
nothing, and the same command again goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from ...adapters.base import Answer
from ...client.journal import Journal
from ...errors import EndpointError, Malformed, UserError
from ...spec.model import Spec
from ..offline.survey import Survey, Trouble, Watch, short_key, surveying, unwatched
from ..opening import Surroundings
from ..travel.away import journal_lock
from .batch_lines import BatchAnswer, ForeignLine, is_key, read_answer
from .line_files import kept_file, lines_of, refuse_missing

_MEND = "what was read before is kept; mend the file and run the same command again"
_ANSWERED, _TAKEN = -1, -2
"""Of a request, in place of the step that waits for its answer: it has one from before this
import, or from it."""


@dataclass(slots=True, kw_only=True)
class Imported:
    """What became of the *lines*: *taken* into the journal; *known*, whose request had an answer;
    *repeated*, whose request another line has answered; *failed*, by reason; *unasked*, which no
    row asks for; *foreign*, which are no answers. *left* requests have no answer still, and the
    rows *unrendered* have no request."""

    lines: int = 0
    taken: int = 0
    known: int = 0
    repeated: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    unasked: Trouble = field(default_factory=Trouble)
    foreign: Trouble = field(default_factory=Trouble)
    left: int = 0
    unrendered: Trouble = field(default_factory=Trouble)


def import_answers(
    spec: Spec,
    around: Surroundings,
    paths: Sequence[str],
    watch: Watch = unwatched,
    *,
    fresh: bool = False,
) -> Imported:
    """Take the answers in the files at *paths* into the journal of *spec*.

    Args:
        paths: `-` is standard input; `.gz` and `.zst` are decompressed.
        fresh: let them take the place of answers that are there.

    Raises:
        UserError: a file is not there; what the spec asks for cannot be told; another run holds
            the journal.
        SourceError: rows or a file cannot be read; what came before is kept.
        SinkError: the journal cannot be written.
    """
    _check(spec, paths)
    with ExitStack() as stack:
        every = spec.journal.publish_every
        stack.enter_context(journal_lock(spec.journal.path, around, every))
        journal = stack.enter_context(
            Journal.open(
                spec.journal.path,
                clock=around.clock,
                publish_every=every,
            )
        )
        survey = stack.enter_context(surveying(spec, around, journal, watch))
        files = [(name, kept_file(name, stack)) for name in paths]
        work = _Import(survey, journal, fresh)
        took = work.go_through(files)
        # Answers bring the requests of later steps, and their answers may be there as well.
        while took and survey.asks_in_turn and work.told.unasked.count:
            took = work.go_through(files)
        if work.taken:
            journal.compact()
        return work.told


class _Import:
    """One import: what is asked for, and what became of the lines in the latest pass over them."""

    def __init__(self, survey: Survey, journal: Journal, fresh: bool) -> None:
        self.told = Imported()
        self.taken = 0
        self._left = 0
        self._survey = survey
        self._journal = journal
        self._fresh = fresh
        # By short key, what stands for a million requests in some hundred megabytes: the number
        # of the step that waits (twice, plus one if there is an answer), or what has become of it.
        self._asked: dict[int, int] = {}
        self._by_id: dict[str, bytes | None] | None = None

    def go_through(self, files: Sequence[tuple[str, str]]) -> bool:
        """Judge every line, and take the answers that are waited for; whether there were any."""
        taken = self.taken
        told = self.told = Imported()
        self._find_out()
        for where, line in lines_of(files, _MEND):
            told.lines += 1
            try:
                self._judge(read_answer(line), where)
            except ForeignLine as error:
                told.foreign.add(f"{where}: {error}")
        told.taken = self.taken
        told.repeated -= self.taken
        told.left, told.unrendered = self._left, self._survey.unrendered
        return self.taken > taken

    def _find_out(self) -> None:
        for asked in self._survey.asked():
            prefix = short_key(asked.key)
            if prefix in self._asked:
                continue
            self._left += not asked.answered
            waits = self._fresh or not asked.answered
            self._asked[prefix] = 2 * asked.step + asked.answered if waits else _ANSWERED

    def _judge(self, answer: BatchAnswer, where: str) -> None:
        told = self.told
        key = self._key(answer.custom_id)
        state = self._asked.get(short_key(key)) if key is not None else None
        if answer.failure is not None:
            told.failed[answer.failure] += 1
        elif key is None or state is None:
            told.unasked.add(f"{where}: {self._stranger(answer.custom_id)}")
        elif state == _ANSWERED:
            told.known += 1
        else:
            if state != _TAKEN:
                self._take(key, state, answer)
            told.repeated += 1  # less the first of each, in the end

    def _take(self, key: str, state: int, answer: BatchAnswer) -> None:
        step, was_answered = divmod(state, 2)
        try:
            self._survey.adapters[step].decode(answer.body)
        except Malformed as error:
            # In the journal it would stand for an answer for good.
            raise ForeignLine(error.message) from error
        except EndpointError:
            pass  # an answer withheld is an answer, too
        self._journal.record(key, Answer(body=answer.body))
        self._asked[short_key(key)] = _TAKEN
        self.taken += 1
        self._left -= not was_answered

    def _key(self, custom_id: str) -> str | None:
        if is_key(custom_id):
            return custom_id
        if self._by_id is None:
            self._by_id = self._ids()
        key = self._by_id.get(custom_id)
        return key.hex() if key is not None else None

    def _ids(self) -> dict[str, bytes | None]:
        """The request of each row id; None where it is not the only one."""
        found: dict[str, bytes | None] = {}
        if len(self._survey.spec.asked) > 1:
            return found
        for asked in self._survey.asked():
            if asked.turn == 0:
                key = bytes.fromhex(asked.key)
                found[asked.id] = key if found.setdefault(asked.id, key) == key else None
        return found

    def _stranger(self, custom_id: str) -> str:
        said = repr(custom_id if len(custom_id) <= 80 else custom_id[:79] + "…")
        if is_key(custom_id):
            return f"no row asks for {custom_id}"
        if self._by_id and custom_id in self._by_id:
            return f"{said} is the id of several requests; only their keys tell them apart"
        if len(self._survey.spec.asked) > 1:
            return f"{said} is no key of a request (ids of rows do with one step only)"
        return f"{said} is neither the key of a request nor the id of a row"


def _check(spec: Spec, paths: Sequence[str]) -> None:
    """Raises `UserError` if nobody would read the answers, or there are none."""
    if spec.journal.mode in ("off", "refresh"):
        raise UserError(
            f"{spec.file}: with journal.mode '{spec.journal.mode}' a run would ask for everything "
            "all the same",
            "add --set journal.mode=reuse, and set it for the run as well",
        )
    refuse_missing(paths, "name a file that a batch gave back")
