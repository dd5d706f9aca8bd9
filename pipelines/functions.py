"""The functions that the example pipelines name. They take and give plain values."""

from __future__ import annotations

import re
from typing import Any

TOPICS = {
    "communication": ("communication", "telegraph", "mail", "press"),
    "culture": ("culture", "library", "history", "art", "education"),
    "money": ("money", "finance", "fiscal", "currency", "econom", "trade", "business"),
    "nature": ("nature", "environment", "forest", "wildlife", "conservation"),
    "science": ("science", "tech", "space", "medicine", "computer"),
    "war": ("war", "military", "navy", "army", "defense"),
}
"""Label → beginnings of the words by which a model may mean it."""

SENTENCE_END = re.compile(r"(?<=[a-z0-9]{2})\. ")
"""A full stop, but not that of an initial or a short abbreviation."""


def topic(text: str) -> str:
    """The label that a model's free words mean; `other` if they mean none.

    >>> topic("International communication")
    'communication'
    """
    words = text.lower().replace("-", " ").split()
    for label, beginnings in TOPICS.items():
        if any(word.startswith(beginnings) for word in words):
            return label
    return "other"


def sentence(text: str) -> str:
    """The first sentence of an answer, without the model's preamble, ended by a full stop.

    >>> sentence("This article is about the Mint. It mentions F. Roosevelt")
    'The Mint.'
    """
    line = " ".join(text.split())
    for preamble in ("This article is about ", "This article discusses ", "This article explores "):
        line = line.removeprefix(preamble)
    line = SENTENCE_END.split(line)[0].rstrip(".")
    return f"{line[:1].upper()}{line[1:]}." if line else ""


def first_sentence(prompt: str) -> str:
    """A stand-in for a model: the first sentence of what it is asked.

    >>> first_sentence("James K. Polk spoke. They listened.")
    'James K. Polk spoke.'
    """
    return SENTENCE_END.split(prompt)[0].rstrip(".") + "."


def as_given(prompt: str) -> str:
    """A stand-in for a model: what it is asked. With it, answers that are there already are judged.

    >>> as_given("The Mint.")
    'The Mint.'
    """
    return prompt


def grounded(record: dict[str, Any]) -> float:
    """A score: the share of the answer's words that are in the row's text."""
    words = record["output"].lower().split()
    text = record["row"]["text"].lower()
    return sum(word in text for word in words) / max(1, len(words))
