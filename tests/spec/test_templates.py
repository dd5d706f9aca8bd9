"""Templates: what they see, what they may do, and what is said when they fail."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbrun.errors import RenderError, SpecError
from dbrun.spec.prompts import Text
from dbrun.spec.templates import Templates, scope
from dbrun.types import Mark

PLAIN = Templates(project=".", folder=".")
SHOWN = PLAIN.compile(Text(source="[{{ text }}]", name="prompt"))
AS_JSON = PLAIN.compile(Text(source="{{ value|tojson }}", name="prompt"))
CUT = PLAIN.compile(Text(source="{{ text|truncate_tokens(count) }}", name="prompt"))

ROW = {"text": "hello", "id": 1, "items": [1, 2], "a b": 3, "none": None, "vars": "column"}


def text(source: str, **options: Any) -> Text:
    return Text(source=source, name=options.pop("name", "prompt"), **options)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    (folder / "pipelines" / "prompts").mkdir(parents=True)
    return folder


def fails(name: str) -> Callable[[Any], Any]:
    def shout(value: Any) -> Any:
        raise KeyError(name)

    return shout


def grow(value: list[int]) -> str:
    value.append(9)
    return str(len(value))


@pytest.fixture
def templates(project: Path) -> Templates:
    return Templates(
        project=str(project),
        folder=str(project / "pipelines"),
        filters={"shout": str.upper, "fails": fails("x"), "grow": grow},
    )


def seen(**values: Any) -> dict[str, Any]:
    return scope({**ROW, **values}, {"day": "monday"}, {"one": {"output": {"label": "bug"}}})


@pytest.mark.parametrize(
    ("source", "made"),
    [
        ("{{ text }} {{ row.text }} {{ row['a b'] }}", "hello hello 3"),
        ("{{ vars.day }} {{ row.vars }}", "monday column"),
        ("{{ steps.one.output.label }}", "bug"),
        ("{{ row.items }} {{ items }}", "[1, 2] [1, 2]"),
        ("{% for k, v in vars.items() %}{{ k }}={{ v }}{% endfor %}", "day=monday"),
        ("{{ other|default('-') }}{{ other is defined }}", "-False"),
        ("<b>&\n{{ '<i>' }}", "<b>&\n<i>"),
        ("a\n  {% if true %}\nb\n  {% endif %}\nc\n", "a\nb\nc\n"),
        ("one\n", "one\n"),
        ("one\n\n", "one\n\n"),
        ("{{ text }}\n", "hello\n"),
        (
            "{{ 'ä<é\"'|tojson }} {{ {'b': [1, none], 'a': true}|tojson }}",
            '"ä<é\\"" {"b": [1, null], "a": true}',
        ),
        ("{{ items|tojson(indent=1) }}", "[\n 1,\n 2\n]"),
        ("{{ text|shout }}", "HELLO"),
        ("{{ items|grow }}{{ items|length }}", "32"),
        ("{{ range(3)|list }}", "[0, 1, 2]"),
        ("{{ items|map('string')|join('-') }}", "1-2"),
        (
            "{% for x in items recursive %}{{ loop.index }}/{{ loop.length }} {% endfor %}",
            "1/2 2/2 ",
        ),
        ("{% macro m(x) %}[{{ x }}]{% endmacro %}{{ m(text) }}", "[hello]"),
        ("{{ 2 * 3 ~ 'x' * 2 }} {{ 2 ** 10 }} {{ '%d%%' % 5 }}", "6xx 1024 5%"),
        ("{{ 'Order {} of 12345678'.format(40000000) }}", "Order 40000000 of 12345678"),
        ("{{ '** %s **' % 123456789 }}", "** 123456789 **"),
        ("{{ 'x'|center(5) }}|{{ 'x'.ljust(3) }}|{{ '%5.1f'|format(2.25) }}", "  x  |x  |  2.2"),
        (
            "{% set ns = namespace(n=0) %}{% for i in items %}{% set ns.n = ns.n + i %}"
            "{% endfor %}{{ ns.n }}",
            "3",
        ),
    ],
)
def test_templates_render(templates: Templates, source: str, made: str) -> None:
    assert templates.compile(text(source)).render(seen()) == made
    assert ROW["items"] == [1, 2]


@given(st.text())
def test_values_are_data(value: str) -> None:
    # A row cannot bring a template of its own, nor change how it is read.
    assert SHOWN.render(scope({"text": value}, {}, {})) == f"[{value}]"


@settings(max_examples=40)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_tojson_can_be_read_back(value: Any) -> None:
    assert json.loads(AS_JSON.render(scope({"value": value}, {}, {}))) == value


@pytest.mark.parametrize(
    ("given_text", "count", "kept"),
    [
        ("hello", 10, "hello"),
        ("hello wonderful world", 3, "hello wonder"),
        ("hello wonderful world out", 4, "hello wonderful"),
        ("a wonderful world", 3, "a wonderful"),
        ("abcdefghijkl", 2, "abcdefgh"),
        ("one two three", 0, ""),
        ("äöüäöü", 1, "äö"),
        ("日本語の文章", 2, "日本"),
        ("x \ud800\ud800\ud800", 2, "x \ud800\ud800"),
    ],
)
def test_truncate_tokens(templates: Templates, given_text: str, count: int, kept: str) -> None:
    made = templates.compile(text("{{ text|truncate_tokens(count) }}"))
    assert made.render(scope({"text": given_text, "count": count}, {}, {})) == kept


@given(st.text(), st.integers(0, 20))
def test_truncation_is_a_prefix_of_bounded_size(value: str, count: int) -> None:
    kept = CUT.render(scope({"text": value, "count": count}, {}, {}))
    assert value.startswith(kept)
    assert len(kept.encode("utf-8")) <= 4 * count


@pytest.mark.parametrize(
    ("source", "message", "where"),
    [
        (
            "{{ txt }}",
            "'txt' is undefined; the row has text, id, items, a b, none, vars; "
            "did you mean 'text'?",
            "prompt:1:4",
        ),
        (
            "a\n\n{{ text }} {{\n  nothing_like_it\n}}",
            "'nothing_like_it' is undefined; the row has text, id, items, a b, none, vars",
            "prompt:4:3",
        ),
        ("{{ row.txt }}", "the row has no column 'txt'; it has text, id", "prompt:1:8"),
        ("{{ row['x y'] }}", "the row has no column 'x y'", "prompt:1:9"),
        ("{{ vars.dya }}", "vars has no 'dya'; it has day; did you mean 'day'?", "prompt:1:9"),
        ("{{ steps.two.output }}", "steps has no 'two'; it has one", "prompt:1:10"),
        (
            "{{ steps.one.output.lable }}",
            "the mapping has no 'lable'; it has label; did you mean 'label'?",
            "prompt:1:21",
        ),
        ("{{ items|reverse }}", "a generator has no text", "prompt:1:1"),
        ("{{ cycler(1, 2) }}", "a Cycler has no text", "prompt:1:1"),
        (
            "{{ day }}",
            "'day' is undefined; the row has text, id, items, a b, none, vars; write vars.day",
            "prompt:1:4",
        ),
        (
            "{{ one.label }}",
            "'one' is undefined; the row has text, id, items, a b, none, vars; write "
            "steps.one.output",
            "prompt:1:4",
        ),
        (
            "{{ text > 3 }}",
            "'>' cannot compare text with a number; '| int' or '| float' makes a text a number",
            "prompt:1:1",
        ),
        ("{{ none <= 3 }}", "'<=' cannot compare null with a number", "prompt:1:1"),
        ("{{ none.x }}", "null has no 'x'", "prompt:1:9"),
        ("{{ row.none.x }}", "null has no 'x'", "prompt:1:13"),
        ("{{ text.x }}", "a text has no 'x'", "prompt:1:9"),
        ("{{ items[7] }}", "the list of 2 has no item 7", "prompt:1:10"),
        ("{{ txt|tojson }}", "'txt' is undefined", "prompt:1:4"),
        ("{% for x in txt %}{% endfor %}", "'txt' is undefined", "prompt:1:13"),
        ("{% if txt %}{% endif %}", "'txt' is undefined", "prompt:1:7"),
        ("{{ [txt] }}", "'txt' is undefined", "prompt:1:5"),
        ("{{ items|map(attribute='x')|list }}", "a number has no 'x'", "prompt:1:25"),
        ("{{ txt|shout }}", "'txt' is undefined; the row has", "prompt:1:4"),
        ("{{ text|fails(txt) }}", "'txt' is undefined; the row has", "prompt:1:15"),
        ("{{ text|fails }}", "filter 'fails' raised KeyError: 'x' at ", "prompt:1:9"),
        ("x {{ 1 / 0 }}", "ZeroDivisionError: division by zero", "prompt:1:3"),
        ("{{ text + 1 }}", "'+' cannot go with text and a number; '~' joins values", "prompt:1:1"),
        ("{{ 1 + text }}", "'+' cannot go with a number and text; '~' joins values", "prompt:1:1"),
        ("{{ text / 2 }}", "'/' cannot go with text and a number; '| int' or", "prompt:1:1"),
        ("{{ items - 1 }}", "'-' cannot go with a list and a number", "prompt:1:1"),
        ("{{ text * 1.5 }}", "TypeError: can't multiply sequence", "prompt:1:1"),
        ("{{ text.title }}", "'title' is a function, not a column; call it", "prompt:1:9"),
        ("{{ row.values }}", "'values' is a function, not a column; call it", "prompt:1:8"),
        ("{{ row['values']|upper }}", "'values' is a function, not a column", "prompt:1:9"),
        (
            "{{ self }}",
            "'self' is the template, not a column; that would be row['self']",
            "prompt:1:4",
        ),
        ("{{ text.title|upper }}", "'title' is a function, not a column; call it", "prompt:1:9"),
        ("{{ range|upper }}", "'range' is a function, not a column; call it", "prompt:1:4"),
        ("{{ [dict]|join }}", "'dict' is a function, not a column; call it", "prompt:1:5"),
        ("{{ text ~ range }}", "'range' is a function, not a column; call it", "prompt:1:11"),
        (
            "{{ items|map('string') }}",
            "a generator has no text; put |list or |join(', ') behind it",
            "prompt:1:1",
        ),
        (
            "{{ text.__class__ }}",
            "access to attribute '__class__' of 'str' object is unsafe",
            "prompt:1:1",
        ),
        (
            "{{ items.append(1) }}",
            "access to attribute 'append' of 'list' object is unsafe",
            "prompt",
        ),
        ("{% set row.x = 1 %}", "cannot assign attribute on non-namespace object", "prompt:1:1"),
        ("{{ lipsum() }}", "'lipsum' is undefined", "prompt:1:4"),
        ("{{ now() }}", "'now' is undefined", "prompt:1:4"),
        (
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
            "the template includes or calls itself without end",
            "prompt:1",
        ),
        (
            "{{ (1.0).real|tojson }}{{ row.keys()|tojson }}",
            "TypeError: tojson cannot spell",
            "prompt:1:1",
        ),
        ("{{ 'a'|truncate_tokens(-1) }}", "truncate_tokens wants a count of at least 0", "prompt"),
        (
            "{% include text %}",
            "there is no template 'pipelines/hello' in the project",
            "prompt:1:1",
        ),
    ],
)
def test_a_failing_row_names_template_line_and_column(
    templates: Templates, source: str, message: str, where: str
) -> None:
    template = templates.compile(text(source))
    with pytest.raises(RenderError) as caught:
        template.render(seen())
    assert caught.value.message.startswith(message)
    assert str(caught.value.where).startswith(where)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(10**9) %}{% endfor %}",
        "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
        "{% for a in many %}{% for b in many %}{% for c in many %}{% endfor %}"
        "{% endfor %}{% endfor %}",
        "{% for a in many|map('string') %}{% for b in many|map('string') %}"
        "{% for c in many|map('string') %}{% endfor %}{% endfor %}{% endfor %}",
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}"
        "{% endmacro %}{{ m(60) }}",
        "{{ 'x' * 10**10 }}",
        "{{ 10**10 * 'x' }}",
        "{{ [0] * 10**10 }}",
        "{{ (10**9)**(10**9) }}",
        "{% set ns = namespace(x='ab') %}{% for i in range(60) %}"
        "{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for i in range(60) %}"
        "{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for i in range(60) %}"
        "{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}{% endfor %}",
        "{% set ns = namespace(x=7) %}{% for i in range(60) %}"
        "{% set ns.x = ns.x * ns.x %}{% endfor %}",
        "{% for i in range(50000) %}{{ long }}{% endfor %}",
        "{{ '%999999999d' % 1 }}",
        "{{ '%*d' % (999999999, 1) }}",
        "{{ '%999999999d'|format(1) }}",
        "{{ '{:>999999999}'.format(1) }}",
        "{{ '{:>{w}}'.format(1, w=999999999) }}",
        "{{ 'x'.ljust(10**9) }}",
        "{{ 'x'|center(10**9) }}",
        "{{ 'x\ny'|indent(10**9) }}",
        "{{ [1]|batch(10**9, 'x')|list }}",
        "{{ 1.5|round(10**9, 'floor') }}",
    ],
)
def test_what_runs_away_is_stopped(templates: Templates, source: str) -> None:
    template = templates.compile(text(source))
    with pytest.raises(RenderError):
        template.render(seen(many=list(range(2000)), long="x" * 10_000))
    assert templates.compile(text("{{ text }}")).render(seen()) == "hello"


@pytest.mark.parametrize(
    ("source", "message", "line", "column"),
    [
        ("{{ text", "expected 'end of print statement'; close it with }}", 1, 1),
        ("a\n{% if %}", "expected an expression, got 'end of statement block'", 2, 1),
        ("a\n{{ text|trunc }}", "no filter named 'trunc'; did you mean 'truncate'?", 2, 9),
        ("{{ text|random }}", "no filter named 'random'", 1, 9),
        ("{{ text is nothing }}", "no test named 'nothing'", 1, 12),
        ("{% nope %}", "encountered unknown tag 'nope'", 1, 4),
        ("{% for x in y %}", "'for' is not closed; write {% endfor %}", 1, 1),
        ("{% for x in y %}{% if x %}", "'if' is not closed; write {% endif %}", 1, 1),
        (
            "{{ a b }}",
            "got 'b'; a column whose name is more than a word is row['its name']",
            1,
            6,
        ),
        ("{{ text }", "unexpected '}'; close it with }}", 1, 9),
        ("{{ text = 1 }}", "expected token 'end of print statement', got '='", 1, 9),
        (
            "\n\n{% include 'nope.j2' %}",
            "there is no template 'pipelines/nope.j2' in the project",
            3,
            1,
        ),
        ("{% include '../../x' %}", "template '../x' lies outside the project", 1, 1),
        ("{% include '/etc/passwd' %}", "template '/etc/passwd' lies outside the project", 1, 1),
        ("{% include '.env' %}", "template 'pipelines/.env' is hidden", 1, 1),
        ("{% include 'broken.j2' %}", "unexpected '}'", 2, 6),
    ],
)
def test_what_is_no_template_is_a_problem_with_its_place(
    templates: Templates, project: Path, source: str, message: str, line: int, column: int
) -> None:
    (project / "pipelines" / ".env").write_text("SECRET=1")
    (project / "pipelines" / "broken.j2").write_text("a\n{{ a } }}")
    with pytest.raises(SpecError) as caught:
        templates.compile(text(source))
    [problem] = caught.value.problems
    assert message in (f"{problem.message}; {problem.hint}" if problem.hint else problem.message)
    assert (problem.where.line, problem.where.column) == (line, column)


YAML = """name: x
prompt: "One {{ bad }}\\n\\ntwo {{ worse }}"
plain: {{ bad }} here
block: |
  First line
    {{ bad }} second
"""


@pytest.mark.parametrize(
    ("source", "line", "column", "where"),
    [
        ("One {{ bad }}\n\ntwo", 2, 9, "2:17"),
        ("One {{ ok }}\n\ntwo {{ bad }}", 2, 9, "2:34"),
        ("{{ bad }} here", 3, 8, "3:11"),
        ("First line\n  {{ bad }} second\n", 4, 8, "6:8"),
    ],
)
def test_inline_templates_are_placed_in_the_pipeline_file(
    templates: Templates,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    line: int,
    column: int,
    where: str,
) -> None:
    file = project / "pipelines" / "p.yaml"
    file.write_text(YAML)
    monkeypatch.chdir(project / "pipelines")
    mark = Mark(file="p.yaml", line=line, column=column)
    template = templates.compile(text(source, where=mark))
    with pytest.raises(RenderError) as caught:
        template.render(seen(ok=1))
    # Rows' failures name the file from the project's root, wherever the command was started.
    assert caught.value.where == f"pipelines/p.yaml:{where}"


def test_files_include_from_their_own_folder_then_from_the_root(
    templates: Templates, project: Path
) -> None:
    prompts = project / "pipelines" / "prompts"
    (prompts / "main.j2").write_text("{% include 'part.j2' %}|{% include 'shared/root.j2' %}\n")
    (prompts / "part.j2").write_text("part {{ text }}\n")
    (project / "shared").mkdir()
    (project / "shared" / "root.j2").write_text("root {{ txt }}\n")
    source = (prompts / "main.j2").read_text()
    main = text(source, file=str(prompts / "main.j2"), name="prompts/main.j2")
    template = templates.compile(main)
    # The final newline that editors add is not part of a file's text.
    assert template.render(seen(txt=2)) == "part hello|root 2"
    assert template.names == {"text", "txt"}
    assert sorted(templates.loaded) == ["pipelines/prompts/part.j2", "shared/root.j2"]
    with pytest.raises(RenderError) as caught:
        template.render(seen())
    assert caught.value.where == "shared/root.j2:1:9"
    elsewhere = Templates(project="/nowhere", folder="/nowhere", known=templates.loaded)
    made = elsewhere.compile(text("{% include 'shared/root.j2' %}"))
    assert made.render(seen(txt=3)) == "root 3"


def test_inherited_templates_include_from_the_folder_that_wrote_them(
    templates: Templates, project: Path
) -> None:
    (project / "base").mkdir()
    (project / "base" / "part.j2").write_text("base")
    (project / "pipelines" / "part.j2").write_text("own")
    source = "{% include 'part.j2' %}"
    assert templates.compile(text(source)).render(seen()) == "own"
    inherited = text(source, folder=str(project / "base"))
    assert templates.compile(inherited).render(seen()) == "base"


def test_links_do_not_lead_out_of_the_project(templates: Templates, project: Path) -> None:
    (project.parent / "secret.txt").write_text("secret")
    (project / "pipelines" / "link.j2").symlink_to(project.parent / "secret.txt")
    with pytest.raises(SpecError, match="lies outside the project"):
        templates.compile(text("{% include 'link.j2' %}"))
    dynamic = templates.compile(text("{% include name %}"))
    for name in ("link.j2", "../../secret.txt", str(project.parent / "secret.txt"), "..\\x", "a:b"):
        with pytest.raises(RenderError):
            dynamic.render(seen(name=name))


@pytest.mark.parametrize(
    ("source", "names", "columns"),
    [
        ("{{ a }} {{ row.b }} {{ row['c d'] }} {{ vars.v }}", "a row vars", ["a", "b", "c d"]),
        ("{{ a|default(1) }} {{ row.b is defined }} {{ c }}", "a row c", ["c"]),
        ("{% if a is defined %}{{ a }}{% endif %}", "a", []),
        ("{{ row.get('x') }} {{ row.items() }}", "row", []),
        ("{% for a in b %}{{ a }}{{ loop.index }}{% endfor %}{{ range(2) }}", "b", ["b"]),
        ("{% set a = 1 %}{{ a }}", "", []),
        ("{% include 'nope' ignore missing %}", "", []),
    ],
)
def test_names_and_columns(
    templates: Templates, source: str, names: str, columns: list[str]
) -> None:
    template = templates.compile(text(source))
    assert template.names == set(names.split())
    assert template.columns == set(columns)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("id == 1", True),
        ("{{ id > 3 }}", False),
        ("{{- items|map('string') -}}", ["1", "2"]),
        ("steps.one.output.label", "bug"),
        ("row['a b'] + 1", 4),
        ("none", None),
        ("items|reverse", [2, 1]),
        (" {'a': items} ", {"a": [1, 2]}),
        ("text in ['hello']\n  and id", 1),
    ],
)
def test_expressions(templates: Templates, source: str, value: Any) -> None:
    assert templates.expression(text(source)).evaluate(seen()) == value
    assert templates.compile(text("{{ " + source.strip("{-}") + " }}")).evaluate(seen()) == value


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "1:1: when: the expression is empty"),
        ("{{ }}", "the expression is empty"),
        ("id text", "1:4: when: unexpected 'text'"),
        ("{{ id }} {{ id }}", "unexpected '}}'"),
        ("id ==", "unexpected 'end of template'"),
        ("id = 1", "1:4: when: unexpected '='; write == to compare"),
        ("id AND text", "1:4: when: unexpected 'AND'; write and"),
        ("id && text", "unexpected char '&' at 3; write and"),
        ("id|nope", "1:4: when: no filter named 'nope'"),
    ],
)
def test_what_is_no_expression_is_a_problem(templates: Templates, source: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        templates.expression(text(source, name="when"))
    assert said in str(caught.value)


@pytest.mark.parametrize("source", ["txt", "row.txt", "[txt]", "text.title", "1 / 0", "{'a': txt}"])
def test_failing_expressions_name_their_place(templates: Templates, source: str) -> None:
    with pytest.raises(RenderError) as caught:
        templates.expression(text(source, name="when")).evaluate(seen())
    assert str(caught.value.where).startswith("when:1:")


def test_threads_render_side_by_side(templates: Templates) -> None:
    template = templates.compile(text("{% for i in range(900) %}{{ n }}{% endfor %}"))
    made: dict[int, str] = {}

    def work(number: int) -> None:
        for _ in range(20):
            made[number] = template.render(scope({"n": number}, {}, {}))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == {number: str(number) * 900 for number in range(8)}


def test_deep_nesting_is_a_problem_and_no_crash(templates: Templates) -> None:
    with pytest.raises(SpecError):
        templates.compile(text("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}"))


def test_nothing_is_written_beside_templates(templates: Templates, project: Path) -> None:
    before = sorted(os.listdir(project / "pipelines"))
    templates.compile(text("{{ text }}")).render(seen())
    assert sorted(os.listdir(project / "pipelines")) == before
