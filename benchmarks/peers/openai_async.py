"""OpenAI's async client, one shared by all, as many calls at a time as a semaphore lets through.

With `aiohttp` as its last argument, over the transport that its README recommends for "improved
concurrency performance" (`pip install 'openai[aiohttp]'`).
"""

from __future__ import annotations

import asyncio
import sys

from job import KEY, MODEL, PARAMS, Job, job, messages
from openai import AsyncOpenAI, DefaultAioHttpClient


async def ask(given: Job) -> list[str | None]:
    turn = asyncio.Semaphore(given.concurrency)
    transport = DefaultAioHttpClient() if sys.argv[5:] == ["aiohttp"] else None
    async with AsyncOpenAI(base_url=given.base_url, api_key=KEY, http_client=transport) as client:

        async def one(prompt: str) -> str | None:
            async with turn:
                answer = await client.chat.completions.create(
                    model=MODEL, messages=messages(prompt), **PARAMS
                )
            content: str | None = answer.choices[0].message.content
            return content

        return await asyncio.gather(*map(one, given.prompts))


if __name__ == "__main__":
    this = job()
    this.answered(asyncio.run(ask(this)))
