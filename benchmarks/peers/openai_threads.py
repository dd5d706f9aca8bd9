"""OpenAI's client, one shared by a pool of threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from job import KEY, MODEL, PARAMS, job, messages
from openai import OpenAI

if __name__ == "__main__":
    this = job()
    client = OpenAI(base_url=this.base_url, api_key=KEY)

    def one(prompt: str) -> str | None:
        answer = client.chat.completions.create(model=MODEL, messages=messages(prompt), **PARAMS)
        content: str | None = answer.choices[0].message.content
        return content

    with ThreadPoolExecutor(this.concurrency) as pool:
        this.answered(pool.map(one, this.prompts))
