"""LangChain: `ChatDatabricks.batch`, what Databricks names for its serving endpoints."""

from __future__ import annotations

from databricks.sdk import WorkspaceClient
from databricks_langchain import ChatDatabricks
from job import KEY, MODEL, PARAMS, job

if __name__ == "__main__":
    this = job()
    workspace = WorkspaceClient(host=this.base_url.removesuffix("/v1"), token=KEY)
    model = ChatDatabricks(model=MODEL, workspace_client=workspace, **PARAMS)
    answers = model.batch(this.prompts, config={"max_concurrency": this.concurrency})
    this.answered(answer.content for answer in answers)
