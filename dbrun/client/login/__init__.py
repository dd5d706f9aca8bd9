"""A Databricks workspace: which host, and who speaks to it, here and on other machines."""
