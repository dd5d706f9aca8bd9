"""The few words of the Databricks CLI that the manual says, as a program without a workspace.

    python databricks_cli.py volumes create CATALOG SCHEMA NAME MANAGED
    python databricks_cli.py bundle deploy --target prod
    python databricks_cli.py bundle run KEY --target prod

`create` makes a volume: the folder `VOLUMES` stands for `/Volumes`. `deploy` copies the bundle's
files to the folder `DEPLOYED`. `run` does what the job `KEY` would do: the entry point, with the
job's parameters at their defaults, in the files that were deployed; a volume that nobody made is
not there for it. Anything else is an error.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

DEPLOYED, VOLUMES = Path(os.environ["DEPLOYED"]), Path(os.environ["VOLUMES"])
FILLED = {"{{job.start_time.iso_date}}": "2026-11-22"}


def resources() -> dict[str, Any]:
    """The jobs of the bundle that the current folder is."""
    bundle = yaml.safe_load(Path("databricks.yml").read_text(encoding="utf-8"))
    jobs: dict[str, Any] = {}
    for pattern in bundle["include"]:
        for path in sorted(Path().glob(pattern)):
            jobs |= yaml.safe_load(path.read_text(encoding="utf-8"))["resources"]["jobs"]
    return jobs


def volumes() -> set[Path]:
    """The volumes that there are."""
    return set(VOLUMES.glob("*/*/*"))


def deploy() -> None:
    """Bring what is not excluded to where the job will find it."""
    shutil.copytree(".", DEPLOYED, ignore=shutil.ignore_patterns("out", "tests"))
    for path in DEPLOYED.glob("pipelines/*.yaml"):
        text = path.read_text(encoding="utf-8").replace("/Volumes/", f"{VOLUMES}/")
        path.write_text(text, encoding="utf-8")


def run(job: dict[str, Any]) -> None:
    """Call the entry point of the job's task; an exit of whatever code fails it."""
    bundle = yaml.safe_load(Path("databricks.yml").read_text(encoding="utf-8"))
    places = {"${workspace.file_path}": str(DEPLOYED)}
    for name, variable in bundle["variables"].items():
        places[f"${{var.{name}}}"] = variable["default"]
    for parameter in job["parameters"]:
        default = filled(parameter["default"], {**FILLED, **places})
        places[f"{{{{job.parameters.{parameter['name']}}}}}"] = default
    task = job["tasks"][0]["python_wheel_task"]
    sys.argv = ["task", *(filled(word, places) for word in task["parameters"])]
    os.environ["DATABRICKS_RUNTIME_VERSION"] = "15.4"
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(rf'^{task["entry_point"]} = "(.+):(.+)"', text, re.MULTILINE)
    assert found is not None
    made = volumes()
    try:
        getattr(import_module(found[1]), found[2])()
    except SystemExit as error:
        raise AssertionError(f"the task exited with {error.code}") from error
    if volumes() != made:
        sys.exit(f"no such volume: {', '.join(map(str, volumes() - made))}")


def filled(text: str, values: dict[str, str]) -> str:
    """*text* with every one of *values* in place of its name."""
    for name, value in values.items():
        text = text.replace(name, value)
    return text


if __name__ == "__main__":
    words = sys.argv[1:]
    if words[:2] == ["volumes", "create"] and words[5:] == ["MANAGED"]:
        VOLUMES.joinpath(*words[2:5]).mkdir(parents=True)
    elif words[:2] == ["bundle", "deploy"]:
        deploy()
    elif words[:2] == ["bundle", "run"]:
        run(resources()[words[2]])
    else:
        sys.exit(f"not played: {' '.join(words)}")
