"""LiteLLM: `batch_completion`, which sends a list of chats from a pool of threads."""

from __future__ import annotations

from job import KEY, MODEL, PARAMS, job, messages
from litellm import batch_completion

if __name__ == "__main__":
    this = job()
    answers = batch_completion(
        model=f"openai/{MODEL}",
        messages=[messages(prompt) for prompt in this.prompts],
        max_workers=this.concurrency,
        api_base=this.base_url,
        api_key=KEY,
        **PARAMS,
    )
    this.answered(answer.choices[0].message.content for answer in answers)
