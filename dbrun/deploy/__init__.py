"""Taking a spec to Databricks: the job that runs it, and a project to start from."""
