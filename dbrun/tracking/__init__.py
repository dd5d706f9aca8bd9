"""MLflow: runs are logged to its tracking server, prompts are read from its registry.

`entry` says what is logged of a run and `prompts` what becomes of a registered prompt; only
`library` knows mlflow, and is imported where one of the two is asked for.
"""
