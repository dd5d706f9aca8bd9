"""Warnings: what is unwise, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

import dbrun
from dbrun.registry import Registry
from dbrun.spec.lint import template_lints
from dbrun.spec.load import load_spec
from dbrun.spec.prompts import Text
from dbrun.types import Mark

SMALL = """name: x
source: rows.jsonl
endpoint: {adapter: openai, base_url: "http://127.0.0.1/v1"}
prompt: a
"""


def warnings(text: str, folder: Path) -> list[str]:
    """The warnings of a spec, without the file's name."""
    path = folder / "x.yaml"
    path.write_text(text)
    loaded = load_spec(str(path), registry=Registry(entry_points=False), environ={"D": "x"})
    assert all(one.where.file == str(path) for one in loaded.warnings)
    return [str(one).removeprefix(f"{path}:").partition("; ")[0] for one in loaded.warnings]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('stop: ["\\n"]', None),
        ("stop: ['\\n']", "5:8: stop[0]: holds a backslash and a letter, not a line break"),
        ("stop: '\\n'", "5:7: stop: holds a backslash and a letter, not a line break"),
        ("stop: ['a\\tb']", "5:8: stop[0]: holds a backslash and a letter, not a line break"),
        ("stop: [a, b, c, d]", None),
        ("stop: [a, b, c, d, e]", "5:7: stop: 5 stop strings"),
        ("stop: [a, b, a]", "5:14: stop[2]: this stop string is listed twice"),
        ("stop: ['']", "5:8: stop[0]: an empty stop string stops nothing"),
        ("stop: ''", "5:7: stop: an empty stop string stops nothing"),
        ("params: {temperature: 0}", None),
        ("params: {temperature: 0.1}", "5:23: params.temperature: equal requests share one answer"),
        ("params: {temperature: 1}\njournal: {share: false}", "6:18: journal.share: equal rows"),
        ("params: {temperature: 1}\njournal: {share: true}", None),
        ("params: {temperature: 1}\njournal: {mode: off}", "5:23: params.temperature: equal"),
        ('sink: "${D}.jsonl"', "5:7: sink: the journal lies beside a sink whose path changes"),
        ('sink: {path: "${D}.jsonl"}', "5:14: sink: the journal lies beside a sink"),
        ('sink: "${D}.jsonl"\njournal: {path: j}', None),
        *[
            (f"response_schema: {{mode: native, schema: {{{schema}}}}}", said)
            for schema, said in (
                ("type: object", "5:18: response_schema: of an object without properties"),
                ("type: object, properties: {a: {}}", None),
                ("type: array", None),
            )
        ],
        ("response_schema: {schema: {type: object}}", None),
        *[
            (f"response_schema: {schema}", said)
            for schema, said in (
                ("{type: string}", "5:18: response_schema: wants a JSON text, quotation marks"),
                ("{enum: [a, b]}", "5:18: response_schema: wants a JSON text, quotation marks"),
                ("{const: a}", "5:18: response_schema: wants a JSON text, quotation marks"),
                ("{schema: {type: string, enum: [a]}}", "5:18: response_schema: wants a JSON text"),
                ("{enum: [a, 1]}", None),
                ("{enum: []}", None),
                ("{type: [string, number]}", None),
                ("{type: string}\ntransforms: {output: 'json:dumps'}", None),
            )
        ],
        ("response_schema: {$ref: '#/$defs/a', $defs: {a: {}}}", None),
        ("response_schema: {minItems: 1}", None),
        ("response_schema: {additionalProperties: false}", None),
        ("response_schema: {}", None),
        (
            "response_schema: {topic: string}",
            "5:18: response_schema: has no word of JSON Schema in it, so any JSON satisfies it",
        ),
        ("sink: out.jsonl", None),
        ("sink: out.jsonl.gz", None),
        ("sink: {path: out.xlsx, format: jsonl}", None),
        ("sink: out.xlsx", "5:7: sink: '.xlsx' tells no format of results"),
        ("sink: {path: out.json}", "5:14: sink: '.json' tells no format of results"),
    ],
)
def test_of_the_spec(more: str, said: str | None, tmp_path: Path) -> None:
    found = warnings(SMALL + more + "\n", tmp_path)
    assert len(found) == (said is not None)
    assert said is None or found[0].startswith(said)


CHAT = "{adapter: openai, base_url: 'http://a'}"
SENT = "which is sent as it is"


@pytest.mark.parametrize(
    ("endpoint", "param", "said"),
    [
        (CHAT, "max_tokens: five", f"endpoints want a whole number, found 'five', {SENT}"),
        (CHAT, "max_tokens: 8.5", f"endpoints want a whole number, found 8.5, {SENT}"),
        (CHAT, "temperature: '0'", f"endpoints want a number, found '0', {SENT}"),
        (CHAT, "top_p: true", f"endpoints want a number, found true, {SENT}"),
        (CHAT, "n: [1]", f"endpoints want a whole number, found a list, {SENT}"),
        (CHAT, "max_tokens: '${D}'", "endpoints want a whole number, found the value of ${D}, "),
        (CHAT, "max_tokens: 8.0", None),
        (CHAT, "max_tokens: '${TOP:-64}'", None),
        (CHAT, "temperature: 0", None),
        (CHAT, "tool_choice: five", None),
        (CHAT, "reasoning: {effort: low}", None),
        (CHAT, "repetition_penalty: 1", None),
        (CHAT, "my_own: 1", None),
        (CHAT, "max_token: 5", f"few endpoints know 'max_token', {SENT}"),
        (CHAT, "Temperature: 0", f"few endpoints know 'Temperature', {SENT}"),
        ("{adapter: python, function: 'a:b'}", "max_token: 5", None),
        ("{adapter: local}", "seed: x", "endpoints want a whole number, found 'x', "),
        ("{adapter: databricks, name: a}", "seed: x", "endpoints want a whole number, found"),
        ("{adapter: databricks, name: a, task: model}", "seed: x", None),
        ("{adapter: mlflow, url: 'http://a'}", "seed: x", None),
        ("{adapter: mlflow, url: 'http://a', task: chat}", "seed: x", "endpoints want a whole"),
        ("{adapter: python, function: 'a:b'}", "seed: x", None),
        ("{adapter: http, url: 'http://a', body: {}}", "seed: x", None),
    ],
)
def test_params_that_endpoints_hardly_take_so(
    endpoint: str, param: str, said: str | None, tmp_path: Path
) -> None:
    asked = f"endpoint: {endpoint}\n%sprompt: a\n%sparams: {{{param}}}\n"
    name = param.partition(":")[0]
    for indent, path, before in (
        ("", "params", ""),
        ("    ", "steps.s.params", "steps:\n  - name: s\n    "),
        (
            "    ",
            "scores[0].params",
            f"prompt: a\nendpoint: {endpoint}\nscores:\n  - type: judge\n    ",
        ),
    ):
        spec = f"name: x\nsource: rows.jsonl\n{before}{asked % (indent, indent)}"
        found = warnings(spec, tmp_path)
        assert len(found) == (said is not None)
        assert said is None or f": {path}.{name}: {said}" in found[0]


@pytest.mark.parametrize(
    ("param", "hint"),
    [
        ("max_tokens: '64'", "write 64 without quotes"),
        ("temperature: ' 0.5'", "write 0.5 without quotes"),
        ("temperature: '.inf'", "write a number"),
        ("max_tokens: '${D}'", "write a number"),
        ("max_tokens: ''", "write a number"),
    ],
)
def test_how_a_number_is_written(param: str, hint: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(SMALL + f"params: {{{param}}}\n")
    loaded = load_spec(str(path), registry=Registry(entry_points=False), environ={"D": "x"})
    assert [one.hint for one in loaded.warnings] == [hint]


@pytest.mark.parametrize(
    ("source", "share", "warned"),
    [
        ("rows.jsonl", "false", True),
        ("{path: rows.csv}", "false", True),
        ("rows.jsonl", "true", False),
        ("{path: rows.jsonl, id: a}", "false", False),
        ("{path: 'x/*.txt', format: text}", "false", False),
        ("{rows: [{a: 1}, {a: 2}]}", "false", False),
        ("{rows: [{a: 1}, {a: 2}, {a: 1}]}", "false", True),
        ("{rows: [{a: 1}, {a: 1}], id: a}", "false", False),
    ],
)
def test_rows_without_an_id_share_although_they_should_not(
    source: str, share: str, warned: bool, tmp_path: Path
) -> None:
    spec = SMALL.replace("rows.jsonl", source) + f"journal: {{share: {share}}}\n"
    said = "5:18: journal.share: equal rows share answers all the same: without source.id a row's "
    assert warnings(spec, tmp_path) == ([said + "id is its hash"] if warned else [])


SCHEDULE = "schedule: {quartz_cron_expression: '0 0 3 * * ?', timezone_id: UTC}"


@pytest.mark.parametrize(
    ("more", "warned"),
    [
        (f"job: {{{SCHEDULE}}}", True),
        (f"job: {{{SCHEDULE}}}\njournal: {{path: j}}", True),
        (f'job: {{{SCHEDULE}}}\njournal: {{path: "j-${{D}}"}}', False),
        (f'job: {{{SCHEDULE}}}\njournal: {{path: j}}\nsink: "${{D}}.jsonl"', True),
        (f"job: {{{SCHEDULE}}}\njournal: {{mode: refresh}}", False),
        (f"job: {{{SCHEDULE}}}\njournal: {{mode: off}}", False),
        (f"job: {{{SCHEDULE}}}\njournal: {{mode: reuse}}", True),
        ("job: {continuous: {}}", True),
        ("job: {trigger: {periodic: {interval: 1, unit: DAYS}}}", True),
        ("job: {tags: {a: b}}", False),
    ],
)
def test_a_journal_that_every_run_of_a_job_shares(more: str, warned: bool, tmp_path: Path) -> None:
    found = warnings(SMALL + more + "\n", tmp_path)
    said = [one.partition(": ")[2] for one in found]
    expected = ": every run shares one journal: what was answered once is not asked again"
    assert [one.endswith(expected) for one in said] == ([True] if warned else [])


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("{{job.start_time.iso_date}}", None),
        ("{{ job.run_id }}-{{task.execution_count}}", None),
        ("{{tasks.before.values.day}}", None),
        ("{{job.trigger.file_arrival.location}}", None),
        ("{{backfill.iso_datetime}}", None),
        ("{{job.start_time.isodate}}", "did you mean '{{job.start_time.iso_date}}'?"),
        ("{{ds}}", "see dynamic value references"),
        ("{{secrets/a/b}}", "let the spec name it where it is needed: {secret: a/b}"),
    ],
)
def test_what_a_job_fills_in(reference: str, said: str | None, tmp_path: Path) -> None:
    job = f'vars: {{day: x}}\njob: {{parameters: {{day: "{reference}"}}}}\n'
    path = tmp_path / "x.yaml"
    path.write_text(SMALL + job)
    found = load_spec(str(path), registry=Registry(entry_points=False), environ={}).warnings
    assert [one.hint for one in found] == ([said] if said else [])
    assert all(one.path == "job.parameters.day" for one in found)


@pytest.mark.parametrize("place", ["spark_env_vars", "spark_conf"])
def test_secrets_are_filled_in_for_clusters(place: str, tmp_path: Path) -> None:
    job = f'job: {{compute: {{spark_version: x, {place}: {{A: "{{{{secrets/a/b}}}}"}}}}}}\n'
    assert warnings(SMALL + job, tmp_path) == []


@pytest.mark.parametrize(
    ("endpoint", "many"),
    [
        ("{adapter: databricks, name: x}", True),
        ("{adapter: databricks, name: x, task: completions}", False),
        ("{adapter: openai, base_url: 'http://a', task: completions}", False),
        ("{adapter: mlflow, url: 'http://a'}", False),
        ("{adapter: mlflow, url: 'http://a', task: chat}", True),
        ("{adapter: python, function: 'a:b'}", False),
    ],
)
def test_many_stop_strings_matter_to_chats(endpoint: str, many: bool, tmp_path: Path) -> None:
    steps = f"steps: [{{name: s, endpoint: {endpoint}, prompt: a, stop: [a, b, c, d, e]}}]\n"
    found = warnings(f"name: x\nsource: rows.jsonl\n{steps}", tmp_path)
    assert [one.split(": ")[1] for one in found] == (["steps.s.stop"] if many else [])


def test_of_templates() -> None:
    where = Mark(file="x.yaml", line=4, column=9)
    prompt = Text(source="{{ txt }}", name="prompt", where=where)
    other = Text(source="{{ id }}", name="steps.b.prompt", where=where)
    names = {prompt: ["txt", "row", "vars", "steps", "messages"], other: ["id", "text"]}
    found = template_lints(names, ["text", "id"], known=["messages"])
    assert [str(one) for one in found] == [
        "x.yaml:4:9: prompt: the source has no column 'txt'; did you mean 'text'?"
    ]
    assert template_lints(names, ["txt", "text", "id"], known=["messages"]) == []


STEPS = """name: x
source: rows.csv
endpoint: {adapter: openai, base_url: "http://127.0.0.1/v1"}
vars: {day: a}
steps:
  - {name: one, prompt: "%s"}
  - {name: two, prompt: "%s"}
"""


@pytest.mark.parametrize(
    ("header", "one", "two", "said"),
    [
        ("a,b", "{{ a }}", "{{ steps.one.output }}", None),
        (
            "a,b",
            "{{ day }}",
            "x",
            "steps.one.prompt: the source has no column 'day'; write vars.day",
        ),
        (
            "a,b",
            "x",
            "{{ one.output }}",
            "steps.two.prompt: the source has no column 'one'; write steps.one.output",
        ),
        (
            "a;b",
            "{{ b }}",
            "x",
            "steps.one.prompt: the source has no column 'b'; write source.delimiter: \";\"",
        ),
        (
            "a\tb",
            "{{ b }}",
            "x",
            "steps.one.prompt: the source has no column 'b'; write source.delimiter: \"\\t\"",
        ),
        (
            "a;b",
            "{{ c }}",
            "x",
            "steps.one.prompt: the source has no column 'c'; there is only 'a;b'",
        ),
        (
            "a,b",
            "on {a}",
            "x",
            "steps.one.prompt: '{a}' is sent as it stands, although 'a' is a column; write {{ a }}",
        ),
        ("a,b", "on {c}, {{ '{' }}a}, ${a}", "x", None),
    ],
)
def test_what_was_meant_by_a_name(
    header: str, one: str, two: str, said: str | None, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text(header + "\n")
    path = tmp_path / "x.yaml"
    path.write_text(STEPS % (one, two))
    found = [str(one) for one in dbrun.load(path).warnings]
    assert len(found) == (said is not None)
    assert said is None or found[0].endswith(said)
