"""Who asks for the answers of a journal, and which of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ...client.journal import Journal
from ...errors import DbrunError
from ...spec.model import Spec
from ..offline.survey import Trouble, Watch, short_key, surveying, unwatched
from ..opening import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Who may ask for the answers of one journal.

    *named* are the specs that the command names; *others* the same files under further targets,
    each with what to call it; *unread* are targets by name, with why they cannot be read.
    """

    named: Sequence[Spec]
    others: Sequence[tuple[str, Spec]] = ()
    unread: Sequence[tuple[str, str]] = ()

    @property
    def journal(self) -> str:
        """The folder of the journal that they share."""
        return self.named[0].journal.path


@dataclass(slots=True, kw_only=True)
class Use:
    """What is asked for: *keys* (their first 64 bits) by so many *rows*.

    *unrendered* and *unfinished* are rows of the named specs (see `Survey`), *unknown* are other
    users whose requests cannot be told, with why.
    """

    rows: int = 0
    keys: set[int] = field(default_factory=set)
    unrendered: Trouble = field(default_factory=Trouble)
    unfinished: Trouble = field(default_factory=Trouble)
    unknown: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Count:
    """Answers and the bytes of their lines."""

    answers: int = 0
    bytes: int = 0

    def add(self, size: int) -> None:
        """Count one answer of so many bytes."""
        self.answers += 1
        self.bytes += size


def find_use(users: Users, journal: Journal, around: Surroundings, watch: Watch = unwatched) -> Use:
    """What *users* ask for of their present rows.

    Raises:
        DbrunError: the named specs cannot be opened, or their rows not be read.
    """
    use = Use(unknown=list(users.unread))
    for spec in users.named:
        with surveying(spec, around, journal, watch) as survey:
            use.keys.update(short_key(asked.key) for asked in survey.asked())
            use.rows += survey.rows
            use.unrendered.join(survey.unrendered)
            use.unfinished.join(survey.unfinished)
    for name, spec in users.others:
        use.unknown += [(name, why) for why in _use_of_other(spec, use, journal, around, watch)]
    return use


def _use_of_other(
    spec: Spec, use: Use, journal: Journal, around: Surroundings, watch: Watch
) -> Iterator[str]:
    answered = False
    try:
        with surveying(spec, around, journal, watch) as survey:
            for asked in survey.asked():
                use.keys.add(short_key(asked.key))
                answered = answered or asked.answered
    except DbrunError as error:
        yield str(error)
        return
    if survey.unrendered.count:
        yield f"rows without a request ({survey.unrendered.named[0]})"
    # Who never ran here has no answers of later steps to lose.
    if survey.unfinished.count and answered:
        yield f"rows without an answer in an earlier step ({survey.unfinished.named[0]})"
