"""The one comment: what was checked, what a change does, what a run would send."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..frozen import frozen

MOST_CHARACTERS = 65_000
"""GitHub takes comments of 65,536 characters."""

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})", re.MULTILINE)
_OPENS = re.compile(r"<details\b", re.IGNORECASE)
_CLOSES = re.compile(r"</details>", re.IGNORECASE)
_RUN_OF_TICKS = re.compile("`+")


@frozen
class Step:
    """A step that was taken: its *name*, the exit *code* of its command, and what that said last.

    *is_excused* says that a failure is none of the change's: it lacks a login.
    """

    name: str
    code: int
    said: str = ""
    is_excused: bool = False

    @property
    def mark(self) -> str:
        """How it went, as a sign."""
        if self.is_excused:
            return "⚠️"
        return "✅" if self.code == 0 else "❌"


def marker(key: str) -> str:
    """The first line of our comment, which nobody sees: by it the comment is found again."""
    return f"<!-- dbrun:comment:{key} -->"


def page(
    steps: Sequence[Step],
    *,
    title: str,
    diff: str = "",
    plan: str = "",
    commit: str = "",
    links: Mapping[str, str] | None = None,
    most: int = MOST_CHARACTERS,
) -> str:
    """All of it as Markdown of at most *most* characters: the checks whole, then as much of *diff*
    as fits, then *plan*, if it does."""
    head = [f"## {title}", "", *_table(steps)]
    foot = _foot(commit, links or {})
    room = most - sum(len(line) + 1 for line in (*head, *foot)) - 4
    told = _cut(diff.strip(), room)
    parts = ["\n".join(head), told]
    planned = _folded("What a run would send, reuse and cost", plan.strip()) if plan.strip() else ""
    if planned and len(planned) + 4 <= room - len(told):
        parts.append(planned)
    parts.append("\n".join(foot))
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(steps: Sequence[Step]) -> list[str]:
    if not steps:
        return []
    lines = ["| check | | |", "|---|---|---|"]
    return lines + [f"| {step.name} | {step.mark} | {_cell(step.said)} |" for step in steps]


def _cell(text: str) -> str:
    """*text* as code in a cell of a table: nothing in it is Markdown, a mention, or a link."""
    line = " ".join(text.split())
    if not line:
        return ""
    line = line if len(line) <= 200 else line[:199] + "…"
    ticks = max((len(run) for run in _RUN_OF_TICKS.findall(line)), default=0)
    fence = "`" * (ticks + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    # In a table a bar ends the cell even inside code, unless it is escaped.
    return f"{fence}{pad}{line}{pad}{fence}".replace("|", "\\|")


def _folded(title: str, text: str) -> str:
    ticks = max((len(run) for run in _RUN_OF_TICKS.findall(text)), default=0)
    fence = "`" * max(3, ticks + 1)
    return f"<details><summary>{title}</summary>\n\n{fence}\n{text}\n{fence}\n\n</details>"


def _foot(commit: str, links: Mapping[str, str]) -> list[str]:
    said = [f"[{name}]({address})" for name, address in links.items() if address]
    said += [f"of {commit[:9]}"] if commit else []
    return [f"<sub>{' · '.join(said)}</sub>"] if said else []


def _cut(text: str, room: int) -> str:
    """As many lines of *text* as fit in *room* characters, and what they left open, closed."""
    if len(text) <= room:
        return text
    note = "\n\n*Cut here: this is all that a comment holds. The rest is in the report.*"
    kept = text[: max(0, room - len(note) - 200)].rpartition("\n")[0]
    fences = _FENCE.findall(kept)
    if len(fences) % 2:
        kept += f"\n{fences[-1]}"
    open_folds = len(_OPENS.findall(kept)) - len(_CLOSES.findall(kept))
    return kept + "\n\n</details>" * min(max(0, open_folds), 10) + note
