"""The page about CI says what the action and the hooks are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))


def examples() -> list[Any]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [yaml.safe_load(text) for fence, text in found if fence == "yml"]


def uses(part: Any) -> list[dict[str, Any]]:
    """Every step in *part* that uses this action."""
    if isinstance(part, dict):
        own = [part] if str(part.get("uses", "")).startswith("OWNER/dbrun@") else []
        return own + [step for inner in part.values() for step in uses(inner)]
    return [step for inner in part for step in uses(inner)] if isinstance(part, list) else []


def test_workflows_use_inputs_that_there_are() -> None:
    steps = uses(examples())
    assert len(steps) == 2
    for step in steps:
        assert set(step["with"]) <= set(ACTION["inputs"])


def test_the_workflow_may_write_its_comment_and_has_the_history() -> None:
    workflow = examples()[0]
    assert workflow["permissions"] == {"contents": "read", "pull-requests": "write"}
    checkout, _ = workflow["jobs"]["pipelines"]["steps"]
    assert checkout["with"] == {"fetch-depth": 0}


def test_every_input_is_in_its_table_with_its_default() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| .*? \|(.*)\|$", PAGE, re.MULTILINE)
    told = {name: default.strip().strip("`") for name, default in rows}
    for name, said in ACTION["inputs"].items():
        default = str(said.get("default", ""))
        assert told[name] == default or "${{" in default, name
    assert set(told) == set(ACTION["inputs"])
    for name in ACTION["outputs"]:
        assert f"`{name}`" in PAGE


def test_hooks_that_are_named_exist() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    (config,) = [one for one in examples() if isinstance(one, dict) and "repos" in one]
    assert [hook["id"] for hook in config["repos"][0]["hooks"]] == [hook["id"] for hook in hooks]
