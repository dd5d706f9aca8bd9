"""How the answers of the worked example are judged."""

from __future__ import annotations

import re
from typing import Any

WORD = re.compile(r"[a-z]{4,}")
"""Words of four letters or more: shorter ones are in every text."""


def grounded(record: dict[str, Any]) -> float:
    """The share of the answer's longer words that are words of the passage.

    >>> grounded({"output": "New harbors in Ohio.", "row": {"text": "Harbors are built."}})
    0.5
    """
    answered = WORD.findall(record["output"].lower())
    passage = set(WORD.findall(record["row"]["text"].lower()))
    return sum(word in passage for word in answered) / max(1, len(answered))
