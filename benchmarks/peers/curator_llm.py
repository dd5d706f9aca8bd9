"""Curator: a subclass of its `LLM` with a prompt for a row, over a data set of rows."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from bespokelabs import curator
from job import KEY, MODEL, PARAMS, job


class Summary(curator.LLM):  # type: ignore[misc]  # not installed where types are checked
    """A prompt from a row, a row from an answer."""

    def prompt(self, input: dict[str, str]) -> str:
        return f"Summarize: {input['text']}"

    def parse(self, input: dict[str, str], response: str) -> dict[str, str]:
        return {"id": input["id"], "output": response}


def tokens_without_network() -> None:
    """Let tiktoken find its table, which it else downloads, in LiteLLM: Curator installs that."""
    litellm = find_spec("litellm")
    if litellm and litellm.origin:
        tables = Path(litellm.origin).parent / "litellm_core_utils" / "tokenizers"
        os.environ.setdefault("TIKTOKEN_CACHE_DIR", str(tables))


if __name__ == "__main__":
    tokens_without_network()
    this = job()
    summarize = Summary(
        model_name=MODEL,
        backend="openai",
        generation_params=PARAMS,
        backend_params={
            "base_url": this.base_url,
            "api_key": KEY,
            "max_concurrent_requests": this.concurrency,
            # No limit but the concurrency.
            "max_requests_per_minute": 10_000_000,
            "max_tokens_per_minute": 10_000_000_000,
        },
    )
    answers = summarize(this.rows, working_dir="curator")
    outputs = {row["id"]: row["output"] for row in answers.dataset}
    this.answered(outputs[row["id"]] for row in this.rows)
