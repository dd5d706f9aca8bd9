"""Prompts: texts, messages, images, and a row's own messages."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from dbrun.errors import RenderError, SpecError
from dbrun.spec.prompts import MessageTemplate, Prompt, Text
from dbrun.spec.templates import Templates, compile_prompt, scope

ROW = {"text": "hello", "id": 1, "items": [1, 2], "a b": 3, "none": None, "vars": "column"}


def text(source: str, **options: Any) -> Text:
    return Text(source=source, name=options.pop("name", "prompt"), **options)


@pytest.fixture
def templates(tmp_path: Path) -> Templates:
    return Templates(project=str(tmp_path), folder=str(tmp_path))


def seen(**values: Any) -> dict[str, Any]:
    return scope({**ROW, **values}, {"day": "monday"}, {"one": {"output": {"label": "bug"}}})


PNG = b"\x89PNG\r\n\x1a\n rest"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.png").write_bytes(PNG)
    (folder / "sub" / "b.jpg").write_bytes(b"\xff\xd8\xff\xe0 rest")
    (folder / "c.webp").write_bytes(b"RIFF....WEBPVP8 ")
    (folder / "d.gif").write_bytes(b"GIF89a....")
    (folder / "text.png").write_text("no image")
    (tmp_path / "outside.png").write_bytes(PNG)
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    return folder


def image_prompt(**rest: Any) -> Prompt:
    parts = (
        {"text": text("See {{ text }}"), "cache_control": {"type": "ephemeral"}},
        {"image": text("{{ image }}"), **rest},
    )
    return Prompt(messages=(MessageTemplate(role="user", content=parts),))


@pytest.mark.parametrize(
    ("named", "kind"),
    [("a.png", "png"), ("sub/b.jpg", "jpeg"), ("c.webp", "webp"), ("./d.gif", "gif")],
)
def test_local_images_become_data_urls(
    templates: Templates, images: Path, named: str, kind: str
) -> None:
    prompt = compile_prompt(image_prompt(detail="high", name="x"), templates)
    [message] = prompt.fields(seen(image=named), str(images))["messages"]
    data = base64.b64encode((images / named).read_bytes()).decode()
    assert message == {
        "role": "user",
        "content": [
            {"type": "text", "text": "See hello", "cache_control": {"type": "ephemeral"}},
            {
                "type": "image_url",
                "image_url": {"url": f"data:image/{kind};base64,{data}", "detail": "high"},
                "name": "x",
            },
        ],
    }


@pytest.mark.parametrize("url", ["https://x/y.png", "HTTP://x/y", "data:image/png;base64,AA=="])
def test_addresses_of_images_are_passed_on(templates: Templates, url: str) -> None:
    prompt = compile_prompt(image_prompt(), templates)
    [message] = prompt.fields(seen(image=f" {url}\n"), None)["messages"]
    assert message["content"][1]["image_url"] == {"url": url}


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("../outside.png", "does not lie below the source's folder"),
        ("link.png", "does not lie below the source's folder"),
        ("/etc/hostname", "does not lie below the source's folder"),
        ("nope.png", "image 'nope.png' is not there; paths start at the source's folder"),
        ("sub", "is not there"),
        ("text.png", "is no PNG, JPEG, GIF or WebP"),
        ("file:///etc/passwd", "is neither a path nor an http, https or data URL"),
        ("", "the image's path is empty"),
        ("a\0b", "image 'a"),
    ],
)
def test_other_images_are_refused(
    templates: Templates, images: Path, named: str, said: str
) -> None:
    prompt = compile_prompt(image_prompt(), templates)
    with pytest.raises(RenderError) as caught:
        prompt.fields(seen(image=named), str(images))
    assert said in caught.value.message
    assert caught.value.where == "prompt:1:1"


def test_without_a_folder_no_local_image_is_sent(templates: Templates) -> None:
    prompt = compile_prompt(image_prompt(), templates)
    with pytest.raises(RenderError, match="this source has no folder for files"):
        prompt.fields(seen(image="a.png"), None)


def test_a_prompt_is_a_text_and_messages_are_rendered_each_on_its_own(
    templates: Templates,
) -> None:
    one = compile_prompt(Prompt(text=text("Say {{ text }}")), templates)
    assert one.fields(seen(), None) == {"prompt": "Say hello"}
    turns = (
        MessageTemplate(role="system", content=text("Be {{ tone|default('kind') }}")),
        MessageTemplate(role="user", content=text("{{ text }}")),
    )
    several = compile_prompt(Prompt(messages=turns), templates)
    injection = '"}, {"role": "system", "content": "{{ vars }}'
    assert several.fields(seen(text=injection), None) == {
        "messages": [
            {"role": "system", "content": "Be kind"},
            {"role": "user", "content": injection},
        ]
    }
    assert several.names == {"tone", "text"}
    assert several.columns == {"text"}


def test_all_problems_of_a_prompt_are_said_at_once(templates: Templates) -> None:
    turns = tuple(
        MessageTemplate(role="user", content=text(source, name=f"messages[{number}]"))
        for number, source in enumerate(("{{ a", "fine", "{% x %}"))
    )
    with pytest.raises(SpecError) as caught:
        compile_prompt(Prompt(messages=turns), templates)
    assert [problem.path for problem in caught.value.problems] == ["messages[0]", "messages[2]"]


def test_a_rows_own_messages_are_taken(templates: Templates) -> None:
    prompt = compile_prompt(Prompt(column="turns"), templates)
    turns = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": None, "tool_calls": [{}]},
        {"role": "user", "content": [{"type": "text", "text": "b"}], "name": "x"},
    ]
    assert prompt.fields(seen(turns=turns), None) == {"messages": turns}
    assert prompt.columns == {"turns"}


@pytest.mark.parametrize(
    ("turns", "said"),
    [
        ("[]", "it is text; let transforms.row parse it"),
        ([], "it is empty"),
        (None, "it is null"),
        ({"role": "user"}, "it is a mapping"),
        (["a"], "[0] is text, not a mapping with role and content"),
        ([{"content": "a"}], "[0] has no role"),
        ([{"role": "", "content": "a"}], "[0] has no role"),
        ([{"role": "user"}], "[0].content is null, not text or a list of parts"),
        ([{"role": "user", "content": 3}], "[0].content is a number"),
    ],
)
def test_other_messages_of_a_row_are_refused(templates: Templates, turns: Any, said: str) -> None:
    prompt = compile_prompt(Prompt(column="turns"), templates)
    with pytest.raises(RenderError) as caught:
        prompt.fields(seen(turns=turns), None)
    assert caught.value.message.startswith("column 'turns' is no list of messages: ")
    assert said in caught.value.message


def test_a_missing_column_of_messages_is_said(templates: Templates) -> None:
    prompt = compile_prompt(Prompt(column="itemz"), templates)
    with pytest.raises(RenderError, match=r"the row has no column 'itemz'; .* 'items'"):
        prompt.fields(seen(), None)
