"""LangChain's legacy class `Databricks`, which asks one row at a time: it has no batch."""

from __future__ import annotations

import os

from job import KEY, MODEL, PARAMS, job
from langchain_community.llms import Databricks

if __name__ == "__main__":
    this = job()
    host = os.environ["DATABRICKS_HOST"] = this.base_url.removesuffix("/v1")
    os.environ["DATABRICKS_TOKEN"] = KEY
    llm = Databricks(
        host=host,
        endpoint_name=MODEL,
        task="llm/v1/chat",
        transform_input_fn=lambda prompt, **params: {
            "messages": [{"role": "user", "content": prompt}],
            **params,
        },
        **PARAMS,
    )
    # What the workspace says of a foundation model's endpoint; the loopback server, which knows
    # one answer only, does not.
    llm._client.external_or_foundation = True
    this.answered(map(llm.invoke, this.prompts))
