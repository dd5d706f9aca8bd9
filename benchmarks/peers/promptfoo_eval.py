"""promptfoo: `promptfoo eval` without assertions; takes the command's path as last argument.

Its test cases are the rows, each wrapped as `{"vars": …}`; its JSONL has the answers in the order
they came, with the place of each.
"""

from __future__ import annotations

import json
import subprocess
import sys

from job import KEY, MODEL, PARAMS, job

if __name__ == "__main__":
    this = job()
    with open("tests.jsonl", "w", encoding="utf-8") as tests:
        for row in this.rows:
            tests.write(json.dumps({"vars": row}) + "\n")
    provider = {
        "id": f"openai:chat:{MODEL}",
        "config": {"apiBaseUrl": this.base_url, "apiKey": KEY, **PARAMS},
    }
    config = {
        "prompts": ["Summarize: {{text}}"],
        "providers": [provider],
        "tests": "file://tests.jsonl",
    }
    with open("promptfooconfig.json", "w", encoding="utf-8") as stream:
        json.dump(config, stream)
    options = ["--max-concurrency", str(this.concurrency), "--output", "results.jsonl"]
    options += ["--no-cache", "--no-table", "--no-progress-bar"]
    subprocess.run([sys.argv[5], "eval", "--config", "promptfooconfig.json", *options], check=True)
    with open("results.jsonl", encoding="utf-8") as stream:
        results = {each["testIdx"]: each["response"]["output"] for each in map(json.loads, stream)}
    this.answered(results[index] for index in range(len(this.rows)))
