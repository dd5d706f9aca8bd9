"""The cases of `peers.py`: what each is called, how it is started, and whether it is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a case finds its rows and its server, and where it leaves its answers."""

    rows: Path
    base_url: str
    out: Path
    concurrency: int


@dataclass(slots=True, kw_only=True)
class Case:
    """One line of a table: how to run it, or why it cannot be run."""

    title: str
    version: str = ""
    command: Callable[[Place], list[str]] = lambda place: []
    environ: dict[str, str] = field(default_factory=dict)
    most_rows: int | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A tool beside dbrun: a script in the folder `peers` and what it needs."""

    title: str
    script: str
    module: str
    install: str
    argument: str = ""
    environ: tuple[tuple[str, str], ...] = ()

    @property
    def distribution(self) -> str:
        """The package whose version is shown: the first to install."""
        return self.install.partition("[")[0].partition(" ")[0]


# What calls home is told not to by the variable that its documentation names.
MLFLOW = ("MLFLOW_DISABLE_TELEMETRY", "true")
LITELLM = ("LITELLM_LOCAL_MODEL_COST_MAP", "True")
PEERS = (
    Peer(
        title="OpenAI client, threads", script="openai_threads", module="openai", install="openai"
    ),
    Peer(title="OpenAI client, async", script="openai_async", module="openai", install="openai"),
    Peer(
        title="OpenAI client, async, aiohttp",
        script="openai_async",
        module="openai, aiohttp",
        install="openai[aiohttp]",
        argument="aiohttp",
    ),
    Peer(
        title="LangChain ChatOpenAI.batch",
        script="langchain_openai_batch",
        module="langchain_openai",
        install="langchain-openai",
    ),
    Peer(
        title="ChatDatabricks.batch",
        script="databricks_chat_batch",
        module="databricks_langchain",
        install="databricks-langchain",
        environ=(MLFLOW,),
    ),
    Peer(
        title="Databricks LLM class (legacy)",
        script="databricks_llm",
        module="langchain_community.llms.databricks, mlflow.deployments",
        install="langchain-community mlflow databricks-sdk",
        environ=(MLFLOW,),
    ),
    Peer(
        title="LiteLLM batch_completion",
        script="litellm_batch",
        module="litellm",
        install="litellm",
        environ=(LITELLM,),
    ),
    Peer(
        title="Inspect",
        script="inspect_eval",
        module="inspect_ai, openai",
        install="inspect-ai openai",
    ),
    Peer(
        title="lm-evaluation-harness",
        script="lm_eval_predict",
        module="lm_eval, aiohttp",
        install="lm-eval[api]",
        environ=(("HF_HUB_OFFLINE", "1"),),
    ),
    Peer(
        title="Curator",
        script="curator_llm",
        module="bespokelabs.curator",
        install="bespokelabs-curator",
        environ=(("TELEMETRY_ENABLED", "0"), LITELLM),
    ),
)
PROMPTFOO = Peer(
    title="promptfoo",
    script="promptfoo_eval",
    module="",
    install="promptfoo",
    environ=(("PROMPTFOO_DISABLE_TELEMETRY", "1"), ("PROMPTFOO_DISABLE_UPDATE", "1")),
)


def environment(home: str) -> dict[str, str]:
    """The same few variables for every case: some tools read each of them for each call."""
    kept = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"HOME": home}


def limit(place: Place) -> list[str]:
    """The hand-written loop."""
    arguments = [str(place.rows), place.base_url, str(place.out)]
    script = str(HERE / "limit.py")
    return [sys.executable, script, *arguments, "--concurrency", str(place.concurrency)]


def journalled_limit(place: Place) -> list[str]:
    """The same with keys, a journal and whole records."""
    return [*limit(place), "--journal", str(place.out.with_suffix(".journal"))]


def dbrun(place: Place) -> list[str]:
    """`dbrun run` of a spec beside the answers."""
    spec = place.out.with_name("spec.yaml")
    spec.write_text(
        "name: bench\n"
        f"source: {{path: {json.dumps(str(place.rows))}, id: id}}\n"
        f"endpoint: {{adapter: openai, base_url: '{place.base_url}', model: m}}\n"
        'prompt: "Summarize: {{ text }}"\n'
        "params: {temperature: 0, max_tokens: 64}\n"
        f"limits: {{concurrency: {place.concurrency}}}\n"
        f"sink: {place.out.name}\n"
    )
    return [sys.executable, "-m", "dbrun", "--quiet", str(spec)]


def peer_cases(
    pythons: Sequence[str], node_folder: str, most_rows: int | None, wanted: Callable[[str], bool]
) -> Iterator[Case]:
    """Every wanted peer, with the first of the interpreters that imports what it needs."""
    for peer in filter(lambda peer: wanted(peer.title), PEERS):
        problems = []
        for python in pythons:
            version, problem = importable(python, peer)
            if version:
                yield _peer_case(peer, python, version, peer.argument, most_rows)
                break
            problems.append(problem)
        else:  # one that is there and broken says more than one that is not there
            yield Case(title=peer.title, problem=min(problems))
    if wanted(PROMPTFOO.title):
        command, version = promptfoo(node_folder)
        if command:
            yield _peer_case(PROMPTFOO, sys.executable, version, command, most_rows)
        else:
            problem = "not installed: npm install promptfoo, and name its folder with --node"
            yield Case(title=PROMPTFOO.title, problem=problem)


def _peer_case(peer: Peer, python: str, version: str, argument: str, most_rows: int | None) -> Case:
    script = str(HERE / "peers" / f"{peer.script}.py")

    def command(place: Place) -> list[str]:
        arguments = [str(place.rows), place.base_url, str(place.out), str(place.concurrency)]
        return [python, script, *arguments, *filter(None, [argument])]

    return Case(
        title=peer.title,
        version=version,
        command=command,
        environ=dict(peer.environ),
        most_rows=most_rows,
    )


def importable(python: str, peer: Peer) -> tuple[str, str]:
    """(version, why not): one of the two is empty."""
    code = f"import {peer.module}, importlib.metadata as m; print(m.version('{peer.distribution}'))"
    with tempfile.TemporaryDirectory() as home:
        asked = subprocess.run(
            [python, "-W", "ignore", "-c", code],
            env=environment(home) | dict(peer.environ),
            capture_output=True,
            text=True,
        )
    if not asked.returncode:
        return asked.stdout.split()[-1], ""
    reason = (asked.stderr.strip().splitlines() or ["no word why"])[-1]
    if "ModuleNotFoundError" in reason:
        return "", f"not installed: pip install {peer.install}, and name its python with --python"
    return "", f"does not import: {reason}"


def promptfoo(folder: str) -> tuple[str, str]:
    """(path, version) of the command that npx would run in *folder*; both empty without one."""
    npm = shutil.which("npm")
    if not npm:
        return "", ""
    # npx as such would offer to download it.
    find = [npm, "exec", "-c", "command -v promptfoo"]
    lines = subprocess.run(find, cwd=folder, capture_output=True, text=True).stdout.split()
    if not lines:
        return "", ""
    with tempfile.TemporaryDirectory() as home:
        asked = subprocess.run(
            [lines[-1], "--version"],
            env=environment(home) | dict(PROMPTFOO.environ),
            capture_output=True,
            text=True,
        )
    return lines[-1], (asked.stdout.split() or [""])[-1]
