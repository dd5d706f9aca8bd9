"""Credentials are named, never written; what was written all the same is never repeated."""

from __future__ import annotations

from pathlib import Path

import pytest

from dbrun.errors import SpecError
from dbrun.registry import Registry
from dbrun.spec.load import Loaded, load_spec
from dbrun.spec.problems import render_problems

SECRET = "hunter2hunter2"

OPENAI = "{{adapter: openai, base_url: 'http://a/v1', {}}}"


def load(endpoint: str, folder: Path, more: str = "") -> Loaded:
    """A spec with an endpoint, written in flow or in block style."""
    path = folder / "x.yaml"
    path.write_text(f"name: x\nsource: rows.jsonl\nprompt: a\nendpoint: {endpoint}\n{more}")
    environ = {"SECRET": SECRET, "URL": f"https://me:{SECRET}@example.com/v1"}
    return load_spec(str(path), registry=Registry(entry_points=False), environ=environ)


@pytest.mark.parametrize(
    ("endpoint", "hint"),
    [
        (OPENAI.format(f"api_key: {SECRET}"), "write {env: NAME} or {secret: scope/key}"),
        (OPENAI.format(f'api_key: "{SECRET}"'), "write {env: NAME} or {secret: scope/key}"),
        (OPENAI.format('api_key: "${SECRET}"'), "write {env: SECRET}"),
        (OPENAI.format('api_key: "${SECRET:-x}"'), "write {env: SECRET}"),
        (OPENAI.format('api_key: "{{secrets/a/b-c}}"'), "write {secret: a/b-c}"),
        (OPENAI.format('api_key: "{{ secrets/a/b-c }}"'), "write {secret: a/b-c}"),
        (OPENAI.format("api_key: 12345"), "write {env: NAME} or {secret: scope/key}"),
        (f"{{adapter: databricks, name: x, token: {SECRET}}}", "write {env: NAME}"),
        (f"\n  adapter: databricks\n  name: x\n  token: |\n    {SECRET}", "write {env: NAME}"),
        (f"\n  adapter: databricks\n  name: x\n  token:\n    {SECRET}", "write {env: NAME}"),
        (f"{{adapter: mlflow, url: 'http://a', token: {SECRET}}}", "write {env: NAME}"),
        (OPENAI.format(f"headers: {{Authorization: Bearer {SECRET}}}"), "write {env: NAME}"),
        (
            OPENAI.format('headers: {authorization: "Bearer ${SECRET}"}'),
            'write {env: SECRET, prefix: "Bearer "}',
        ),
        (OPENAI.format(f"headers: {{X-Api-Key: {SECRET}}}"), "write {env: NAME}"),
        (OPENAI.format(f"headers: {{Ocp-Subscription-KEY: {SECRET}}}"), "write {env: NAME}"),
        (OPENAI.format(f"headers: {{X-Session-Token: {SECRET}}}"), "write {env: NAME}"),
        (OPENAI.format(f"headers: {{Cookie: a={SECRET}}}"), "write {env: NAME}"),
        (OPENAI.format(f"headers: {{X-Secret: {SECRET}}}"), "write {env: NAME}"),
        (OPENAI.format(f"api_key: {{env: {SECRET}!}}"), ""),
        (OPENAI.format(f"api_key: {{secret: {SECRET}}}"), ""),
        (OPENAI.format(f"api_key: {{envy: {SECRET}}}"), ""),
        (f"{{adapter: openai, base_url: 'https://me:{SECRET}@a/v1'}}", "name the credential"),
        (f"{{adapter: openai, base_url: 'https://{SECRET}@a/v1'}}", "name the credential"),
        ('{adapter: openai, base_url: "${URL}"}', "name the credential"),
        (f"{{adapter: mlflow, url: 'https://a/?api_key={SECRET}'}}", "send it as a header"),
        (f"{{adapter: mlflow, url: 'https://a/?x=1&access_token={SECRET}'}}", "send it as"),
        (f"{{adapter: mlflow, url: 'https://a/?sv=1&sig={SECRET}'}}", "send it as a header"),
        (f"{{adapter: mlflow, url: 'https://a/?X-Amz-Credential={SECRET}'}}", "send it as"),
        (f"{{adapter: mlflow, url: 'https://a/?subscription-key={SECRET}'}}", "send it as"),
        ("{adapter: mlflow, url: 'https://a/?code=${SECRET}'}", "send it as a header"),
    ],
)
def test_literals_are_refused_and_never_repeated(endpoint: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as raised:
        load(endpoint, tmp_path, "stop: 5\n")
    problems = raised.value.problems
    assert any(hint in problem.hint for problem in problems if problem.where.line != 99)
    assert len(problems) > 1  # beside the one of stop
    text = (tmp_path / "x.yaml").read_text()
    assert SECRET not in render_problems(problems, lambda file: text)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    "endpoint",
    [
        OPENAI.format("api_key: {env: KEY}, headers: {Authorization: {env: K, prefix: 'x '}}"),
        OPENAI.format("headers: {X-Team: blue, Accept: text/plain, X-Run: '${SECRET}'}"),
        "{adapter: databricks, name: x, token: {secret: scope/key}}",
        "{adapter: mlflow, url: 'https://a/?page=2&keyword=x&monkey=y'}",
        "{adapter: mlflow, url: 'https://a/path@b?x=a@b'}",
    ],
)
def test_names_and_harmless_values_are_taken(endpoint: str, tmp_path: Path) -> None:
    load(endpoint, tmp_path)


def test_prompts_may_speak_of_anything(tmp_path: Path) -> None:
    steps = "vars: {url: 'https://me:pw@example.com'}\nlimits: {attempts: 1}\n"
    load(OPENAI.format("model: m"), tmp_path, steps + "description: 'see https://a:b@c'\n")


def test_targets_that_were_not_asked_for_are_looked_at(tmp_path: Path) -> None:
    more = f"targets:\n  prod: {{endpoint: {{api_key: {SECRET}}}}}\n"
    with pytest.raises(SpecError) as raised:
        load(OPENAI.format("model: m"), tmp_path, more)
    assert [(one.where.line, one.path) for one in raised.value.problems] == [
        (6, "endpoint.api_key")
    ]


def test_what_a_syntax_error_stands_beside_is_masked(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as raised:
        load(f"{{adapter: openai, api_key: {SECRET}, x: y: z", tmp_path)
    text = (tmp_path / "x.yaml").read_text()
    assert SECRET not in render_problems(raised.value.problems, lambda file: text)
