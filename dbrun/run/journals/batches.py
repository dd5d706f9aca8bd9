"""A journal's answers and a spec's open requests as files of a batch API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from ...adapters.base import batch_url
from ...errors import UserError
from ...spec.model import Spec
from ..offline.survey import Survey, Trouble, Watch, short_key, surveying, unwatched
from ..opening import Surroundings
from ..travel.away import read_journal
from .batch_lines import answer_line, request_line

Write = Callable[[bytes], None]


@dataclass(slots=True, kw_only=True)
class Requests:
    """What was written of a spec's requests: *written* of them, *answered* ones not.

    *unrendered* and *unfinished* are the rows that `Survey` tells. *urls* and *models* count the
    requests by where they go; one that names no model counts under None.
    """

    written: int = 0
    bytes: int = 0
    answered: int = 0
    rows: int = 0
    unrendered: Trouble = field(default_factory=Trouble)
    unfinished: Trouble = field(default_factory=Trouble)
    urls: Counter[str] = field(default_factory=Counter)
    models: Counter[str | None] = field(default_factory=Counter)


def export_answers(path: str, around: Surroundings, write: Write) -> int:
    """Write the newest answer to every request of the journal at *path*; gives their number.

    Raises:
        SinkError: the journal cannot be read.
    """
    count = 0
    with read_journal(path, around) as journal:
        for key, entry in journal.items():
            write(answer_line(key, entry))
            count += 1
    return count


def write_requests(
    spec: Spec, around: Surroundings, write: Write, watch: Watch = unwatched
) -> Requests:
    """Write the requests of *spec* that have no answer yet, each once.

    Raises:
        UserError: an endpoint takes requests of a form that no batch API knows; or what only it
            could tell is not remembered.
        SourceError: the rows cannot be read.
    """
    told = Requests()
    seen: set[int] = set()
    with (
        read_journal(spec.journal.path, around) as journal,
        surveying(spec, around, journal, watch) as survey,
    ):
        urls = batch_urls(survey)
        for asked in survey.asked():
            prefix = short_key(asked.key)
            if prefix in seen:
                continue
            seen.add(prefix)
            if asked.answered:
                told.answered += 1
                continue
            url = urls[asked.step]
            line = request_line(asked.key, url, asked.body)
            write(line)
            told.written += 1
            told.bytes += len(line)
            told.urls[url] += 1
            model = asked.body.get("model") if isinstance(asked.body, dict) else None
            told.models[model if isinstance(model, str) else None] += 1
    told.rows = survey.rows
    told.unrendered, told.unfinished = survey.unrendered, survey.unfinished
    return told


def batch_urls(survey: Survey) -> list[str]:
    """Where the requests of each step go.

    Raises:
        UserError: a step's requests have a form of their own.
    """
    urls = []
    for step, adapter in zip(survey.spec.asked, survey.adapters, strict=True):
        url = batch_url(adapter)
        if url is None:
            where = f" (step '{step.name}')" if len(survey.spec.asked) > 1 else ""
            raise UserError(
                f"{survey.spec.file}: what the adapter '{step.endpoint.adapter}'{where} sends is "
                "no request of a batch API",
                "batch APIs take those of the tasks chat, completions, embeddings and responses",
            )
        urls.append(url)
    return urls
