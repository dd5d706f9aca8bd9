"""Numbers and foreign texts as a person reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def visible(text: Any) -> str:
    """*text* with what cannot be seen, or turns around what follows, written as its number."""
    return _UNSEEN.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", str(text))


def counted(number: int, noun: str) -> str:
    """`1 row`, `1,200 rows`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def rows_of(records: int, each: int) -> str:
    """`10 rows`; where each makes several, `40 records of 10 rows`."""
    if each <= 1 or records % each:
        return counted(records, "row" if each <= 1 else "record")
    return f"{counted(records, 'record')} of {counted(records // each, 'row')}"


def seconds(duration: float) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`."""
    if duration < 10:
        return f"{duration:.1f} s"
    whole = round(duration)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def pace(number: float, duration: float) -> str:
    """`0.5/s`, `2,400/s`: *number* in *duration* seconds."""
    rate = number / duration if duration > 0 else 0.0
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"


def size(bytes_: int) -> str:
    """`812 bytes`, `4.2 kB`, `12 MB`, `1.3 GB`."""
    if bytes_ < 1000:
        return counted(bytes_, "byte")
    amount = float(bytes_)
    for unit in ("kB", "MB", "GB", "TB"):
        amount /= 1000
        if amount < 999.5 or unit == "TB":
            break
    return f"{amount:.1f} {unit}" if amount < 9.95 else f"{amount:,.0f} {unit}"


def tokens(usage: Mapping[str, int]) -> str | None:
    """`1,200 in, 90 out`; None where the endpoint told nothing."""
    parts = []
    if "input_tokens" in usage:
        parts.append(f"{usage['input_tokens']:,} in")
    if "output_tokens" in usage:
        parts.append(f"{usage['output_tokens']:,} out")
    if not parts and "total_tokens" in usage:
        parts.append(f"{usage['total_tokens']:,} in all")
    if "reasoning_tokens" in usage:
        parts.append(f"{usage['reasoning_tokens']:,} of them reasoning")
    return ", ".join(parts) or None


def money(amount: float, currency: str) -> str:
    """`0.0123 USD`: to the hundredth, or as far as small amounts need."""
    digits = 2 if amount >= 1 or amount == 0 else 4
    return f"{amount:,.{digits}f} {currency}"
