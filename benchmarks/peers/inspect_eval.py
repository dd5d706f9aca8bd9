"""Inspect: `eval` of a task without a scorer, its answers read from the log it returns."""

from __future__ import annotations

from inspect_ai import Task, eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.solver import generate
from job import KEY, MODEL, PARAMS, job

if __name__ == "__main__":
    this = job()
    samples = [
        Sample(id=row["id"], input=prompt)
        for row, prompt in zip(this.rows, this.prompts, strict=True)
    ]
    [log] = eval(
        Task(dataset=MemoryDataset(samples), solver=generate()),
        model=f"openai-api/local/{MODEL}",
        model_base_url=this.base_url,
        model_args={"api_key": KEY},
        max_connections=this.concurrency,
        max_samples=this.concurrency,
        display="none",
        log_dir="logs",
        **PARAMS,
    )
    outputs = {sample.id: sample.output.completion for sample in log.samples or []}
    this.answered(outputs[row["id"]] for row in this.rows)
