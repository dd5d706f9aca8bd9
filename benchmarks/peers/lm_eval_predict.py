"""lm-evaluation-harness: a task of its own over the rows, in the mode that scores nothing."""

from __future__ import annotations

from job import MODEL, PARAMS, job
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

if __name__ == "__main__":
    this = job()
    results = simple_evaluate(
        model="local-chat-completions",
        model_args={
            "model": MODEL,
            "base_url": f"{this.base_url}/chat/completions",
            "num_concurrent": this.concurrency,
            "tokenized_requests": False,
        },
        tasks=[
            {
                "task": "rows",
                "dataset_path": "json",
                "dataset_kwargs": {"data_files": {"test": this.path}},
                "test_split": "test",
                "output_type": "generate_until",
                "doc_to_text": "Summarize: {{text}}",
                "doc_to_target": "",
                "generation_kwargs": {"until": [], **PARAMS},
            }
        ],
        # Without a look at the hundreds of tasks it comes with.
        task_manager=TaskManager(include_defaults=False),
        apply_chat_template=True,
        predict_only=True,
    )
    samples = sorted(results["samples"]["rows"], key=lambda sample: sample["doc_id"])
    this.answered(sample["resps"][0][0] for sample in samples)
