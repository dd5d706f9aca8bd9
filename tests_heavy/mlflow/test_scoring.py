"""A custom model behind MLflow's own scoring server: formats, stop strings, batches, faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import dbrun

if TYPE_CHECKING:
    from conftest import Project

TEXTS = ["one. two", "three; four. five", "deaf. still talking", "six"]
CUT = ["ONE", "THREE; FOUR", "DEAF", "SIX"]
ONE_TRY = {"attempts": 1, "concurrency": 1}


def spec_of(url: str, texts: list[str], **endpoint: Any) -> dict[str, Any]:
    return {
        "name": "x",
        "source": {"rows": [{"id": text, "text": text} for text in texts], "id": "id"},
        "endpoint": {"adapter": "mlflow", "url": url, "limits": ONE_TRY, **endpoint},
        "prompt": "{{ text }}",
        "sink": "out/x.jsonl",
    }


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records", "inputs"])
def test_every_row_is_answered_and_ends_where_it_is_to(
    project: Project, scoring: str, form: str, batch_size: int
) -> None:
    spec = spec_of(scoring, TEXTS, format=form, batch_size=batch_size)
    done = project.run({**spec, "stop": ["."]})
    assert done.returncode == 0, done.stderr
    assert [record["output"] for record in project.records] == CUT
    calls = -(-len(TEXTS) // batch_size)
    assert project.manifest["requests"]["sent"] == calls


def test_instances_are_tensors(project: Project, scoring: str) -> None:
    """They take no list of stop strings, and the server makes an array of each row's text."""
    spec = {**spec_of(scoring, TEXTS, format="instances", batch_size=4), "stop": [";"]}
    assert project.run(spec).returncode == 1
    assert {record["error"]["class"] for record in project.records} == {"rejected"}
    spec["endpoint"]["send_stop"] = False
    done = project.run(spec)
    assert done.returncode == 0, done.stderr
    arrays = [f"['{text.upper()}']".partition(";")[0] for text in TEXTS]
    assert [record["output"] for record in project.records] == arrays


@pytest.mark.parametrize("form", ["dataframe_split", "dataframe_records", "inputs"])
def test_without_stop_strings_it_says_all_it_has_to_say(
    project: Project, scoring: str, form: str
) -> None:
    done = project.run(spec_of(scoring, TEXTS, format=form, batch_size=4))
    assert done.returncode == 0, done.stderr
    assert [record["output"] for record in project.records] == [text.upper() for text in TEXTS]


def test_a_batch_is_split_until_the_bad_row_is_alone(project: Project, scoring: str) -> None:
    texts = ["one. two", "a bad row", "three. four", "five"]
    done = project.run({**spec_of(scoring, texts, batch_size=4), "stop": ["."]})
    assert done.returncode == 1
    assert [record["output"] for record in project.records] == ["ONE", None, "THREE", "FIVE"]
    error = project.records[1]["error"]
    assert error["class"] == "rejected"
    assert "this model does not take 'a bad row'" in error["message"]
    told = done.stderr + (project.folder / "out/x.jsonl").read_text()
    assert "Traceback" not in told
    assert "site-packages" not in told


def test_params_are_columns_or_params_and_this_model_drops_both(
    project: Project, scoring: str
) -> None:
    for params_as in ("columns", "params"):
        spec = spec_of(scoring, ["one"], params_as=params_as)
        done = project.run({**spec, "params": {"temperature": 0.1}}, "run", "--fresh")
        assert done.returncode == 0, done.stderr
        assert [record["output"] for record in project.records] == ["ONE"]


def test_a_missing_column_is_told_in_the_servers_words(project: Project, scoring: str) -> None:
    spec = spec_of(scoring, ["one"], columns={"question": "{{ text }}"})
    del spec["prompt"]
    done = project.run(spec)
    assert done.returncode == 1
    assert "Model is missing inputs ['prompt']" in project.records[0]["error"]["message"]


def test_columns_are_templates(project: Project, scoring: str) -> None:
    spec = spec_of(scoring, ["one"], columns={"prompt": "Say {{ text }}"})
    del spec["prompt"]
    assert project.run(spec).returncode == 0
    assert project.records[0]["output"] == "SAY ONE"


def test_a_target_serves_what_the_default_only_plays(project: Project, scoring: str) -> None:
    spec = spec_of(scoring, ["one. two"], batch_size=2)
    (project.folder / "functions.py").write_text("def shout(prompt, **rest):\n    return '-'\n")
    spec["targets"] = {"prod": {"endpoint": spec["endpoint"]}}
    spec["endpoint"] = {"adapter": "python", "function": "functions:shout"}
    spec |= {"stop": ["."], "transforms": {"output": "functions:exclaim"}}
    with (project.folder / "functions.py").open("a") as stream:
        stream.write("\ndef exclaim(text):\n    return text + '!'\n")
    assert project.run(spec).returncode == 0
    assert project.records[0]["output"] == "-!"
    assert project.run(spec, "run", "--target", "prod").returncode == 0
    assert project.records[0]["output"] == "ONE!"
    assert project.run(spec, "run", "--target", "prod", "--replay").returncode == 0
    assert project.run(spec, "verify", "--target", "prod").returncode == 0


def test_the_answers_of_one_format_are_not_asked_again_by_batches(
    project: Project, scoring: str
) -> None:
    assert project.run(spec_of(scoring, TEXTS)).returncode == 0
    assert project.run(spec_of(scoring, TEXTS, batch_size=3)).returncode == 0
    assert project.manifest["requests"]["sent"] == 0


def test_a_server_that_is_gone_ends_the_run_for_now(project: Project, scoring: str) -> None:
    spec = spec_of(scoring.rpartition(":")[0] + ":1", ["one"])
    spec["limits"] = {"retry_for": 0.2}
    done = project.run(spec)
    assert done.returncode in (1, 3)
    assert "127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


# --- as LangChain's `Databricks` class was used ---------------------------------------------------


def test_a_prompt_and_its_stop_strings(scoring: str) -> None:
    llm = dbrun.endpoint("mlflow", url=scoring)
    try:
        assert llm.invoke("I am happy. Are you?") == "I AM HAPPY. ARE YOU?"
        assert llm.invoke("I am happy. Are you?", stop=["."]) == "I AM HAPPY"
        assert llm.invoke("deaf. still talking", stop=["."]) == "DEAF"
        assert llm.batch(["one", "two"], stop=["w"]) == ["ONE", "T"]
    finally:
        llm.close()


def test_both_transforms(scoring: str) -> None:
    def ask(**request: Any) -> dict[str, Any]:
        return {"prompt": f"Say {request['prompt']}", "stop": request["stop"]}

    def exclaim(text: str) -> str:
        return f"{text}!"

    llm = dbrun.endpoint(
        "mlflow", url=scoring, transform_input_fn=ask, transform_output_fn=exclaim, stop=[","]
    )
    try:
        assert llm.invoke("one, two") == "SAY ONE!"
    finally:
        llm.close()


def test_generation_parameters_go_along(scoring: str) -> None:
    llm = dbrun.endpoint("mlflow", url=scoring, params={"temperature": 0.1, "max_tokens": 9})
    try:
        assert llm.invoke("one") == "ONE"
    finally:
        llm.close()
