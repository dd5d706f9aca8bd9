"""LangChain: `ChatOpenAI.batch`, its way to answer many inputs at a time."""

from __future__ import annotations

from job import KEY, MODEL, PARAMS, job
from langchain_openai import ChatOpenAI

if __name__ == "__main__":
    this = job()
    model = ChatOpenAI(model=MODEL, base_url=this.base_url, api_key=KEY, **PARAMS)
    answers = model.batch(this.prompts, config={"max_concurrency": this.concurrency})
    this.answered(answer.content for answer in answers)
