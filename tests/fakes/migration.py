"""The tables of `docs/migrate.md`, and what LangChain's classes send for each of their lines.

`langchain.json` beside it was recorded from langchain-community 0.4.1 and databricks-langchain
0.21.0; `make test-langchain` compares it with these classes, `DBRUN_RECORD=1 make test-langchain`
writes it anew.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakes.models import standard_endpoints
from fakes.server import Received
from fakes.workspace import CLUSTER, FakeWorkspace

PAGE = Path(__file__).parents[2] / "docs" / "migrate.md"
RECORDED = Path(__file__).parent / "langchain.json"

HOST = "my-workspace.cloud.databricks.com"
PROMPT = "How are you?"
CLASSES = {"Databricks": "## The `Databricks` class", "ChatDatabricks": "## `ChatDatabricks`"}
"""Class → the title of its section."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One line of a table: *there* are the class's arguments, *here* is YAML."""

    cls: str
    parameters: tuple[str, ...]
    there: str
    here: str

    @property
    def is_llm(self) -> bool:
        """Whether the class takes the endpoint for one that knows `temperature` and `n`."""
        return not re.search("cluster_id|my-model", self.there)


def section(title: str) -> str:
    """The text below *title*, to the next title of its level."""
    return re.split(r"^## ", PAGE.read_text(encoding="utf-8").split(title + "\n")[1], flags=re.M)[0]


def lines(title: str, columns: int) -> Iterator[list[str]]:
    """The cells of every line of the tables below *title* that have so many *columns*."""
    for line in section(title).splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == columns and not cells[-1].startswith("---"):
            yield cells


def pairs() -> list[Pair]:
    """Every line of the tables of parameters."""
    found = []
    for cls, title in CLASSES.items():
        names: tuple[str, ...] = ()
        for parameter, there, here, _ in lines(title, 4):
            if parameter == "parameter":
                continue
            names = tuple(re.findall(r"`(\w+)`", parameter)) or names
            pair = Pair(cls=cls, parameters=names, there=there.strip("`"), here=here.strip("`"))
            found.append(pair)
    return found


def bound() -> list[Pair]:
    """Every line of the table of what is bound to a model."""
    return [
        Pair(cls="ChatDatabricks", parameters=(), there=there.strip("`"), here=here.strip("`"))
        for there, here, _ in lines(CLASSES["ChatDatabricks"], 3)
        if there.startswith("`.")
    ]


def calls() -> list[str]:
    """The calls that both sides make."""
    return [call.strip("`") for call, _ in lines("## Calls", 2) if call.startswith("`")]


def functions() -> str:
    """The module `transforms` of the page."""
    (text,) = re.findall(r"^```python\n(.*?)^```$", section(CLASSES["Databricks"]), re.M | re.S)
    return str(text)


def workspace() -> FakeWorkspace:
    """A workspace with the endpoints that the page names."""
    fake = FakeWorkspace()
    kinds = standard_endpoints()
    fake.endpoints |= {
        "my-chat": kinds["chat"],
        "my-completions": kinds["completions"],
        "my-model": kinds["custom"],
        "my-agent": kinds["agent-responses"],
        "my-chat-agent": kinds["agent"],
    }
    return fake


def placed(text: str, host: str) -> str:
    """*text* of the page with the workspace's real *host* and cluster."""
    return (
        text.replace(f"https://{HOST}", host)
        .replace(HOST, host)
        .replace("0101-120000-abcd1234", CLUSTER)
    )


def request(call: Received) -> dict[str, Any]:
    """What counts of a call: where it went, and its body."""
    return {"path": call.path, "body": call.json}


def recorded() -> Mapping[str, Mapping[str, Any]]:
    """Class → arguments or call → what the class sent and returned."""
    told: Mapping[str, Mapping[str, Any]] = json.loads(RECORDED.read_text(encoding="utf-8"))
    return told


def written(told: Mapping[str, Mapping[str, Any]]) -> str:
    """What was recorded as JSON, one line of it a call."""
    parts = []
    for cls in sorted(told):
        entries = (
            f"  {json.dumps(key)}: {json.dumps(told[cls][key])}" for key in sorted(told[cls])
        )
        parts.append(f" {json.dumps(cls)}: {{\n" + ",\n".join(entries) + "\n }")
    return "{\n" + ",\n".join(parts) + "\n}\n"
