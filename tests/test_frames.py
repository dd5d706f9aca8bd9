"""Where in a user's code something was raised."""

from __future__ import annotations

import functools
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dbrun.frames import at_work, definition, raised, user_frame

HERE = str(Path(__file__).parent)
PROJECT = str(Path(__file__).parent.parent)


def direct() -> None:
    raise ValueError("no")


def deep() -> None:
    json.loads("{")


class Callable_:
    def __call__(self) -> None:
        direct()


class Made:
    def __init__(self) -> None:
        direct()


def wrapped() -> None:
    @functools.wraps(direct)
    def inner() -> None:
        direct()

    inner()


@pytest.mark.parametrize(
    ("function", "line"),
    [
        (direct, direct.__code__.co_firstlineno + 1),
        (deep, deep.__code__.co_firstlineno + 1),
        (functools.partial(deep), deep.__code__.co_firstlineno + 1),
        (Callable_(), direct.__code__.co_firstlineno + 1),
        (Made, direct.__code__.co_firstlineno + 1),
        (wrapped, direct.__code__.co_firstlineno + 1),
    ],
)
def test_the_innermost_line_of_the_users_folder(function: Callable[[], Any], line: int) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        function()
    assert user_frame(caught.value, function, HERE) == f"test_frames.py:{line}"
    assert user_frame(caught.value, function, PROJECT) == f"tests/test_frames.py:{line}"


def test_code_outside_the_project_is_named_by_its_module(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        json.loads("{")
    place = user_frame(caught.value, json.loads, str(tmp_path))
    assert place is not None
    assert place.startswith("json/decoder.py:")
    assert os.sep + "lib" not in place


def test_functions_without_a_file_have_no_place() -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        int("x")
    assert user_frame(caught.value, int, HERE) is None
    assert definition(len) is None
    assert definition(direct, PROJECT) == (f"tests/test_frames.py:{direct.__code__.co_firstlineno}")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyError("label"), "raised KeyError: 'label'"),
        (ValueError(), "raised ValueError"),
        (ValueError("a\n  b"), "raised ValueError: a b"),
        (ValueError(object()), "raised ValueError: <object object>"),
    ],
)
def test_an_exception_is_one_line(error: Exception, said: str) -> None:
    assert raised(error) == said
    assert len(raised(ValueError("x" * 10_000))) < 600


def test_an_exception_that_cannot_be_shown_is_named() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    assert raised(Mute()) == "raised Mute"


def lingers(begun: threading.Event, over: threading.Event) -> None:
    begun.set()
    over.wait()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("MY_TOKEN", "no: ***."),
        ("OPENAI_API_KEY", "no: ***."),
        ("password", "no: ***."),
        ("DATABRICKS_AUTH_TYPE", "no: what-it-holds."),
        ("TOKEN_FILE", "no: what-it-holds."),
    ],
)
def test_credentials_of_the_environment_are_not_said(
    name: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "what-it-holds")
    assert raised(ValueError("no: what-it-holds.")) == f"raised ValueError: {said}"
    long = raised(ValueError("." * 490 + "what-it-holds"))
    assert ("what-it" in long) is ("*" not in said)


def test_who_is_at_work_in_another_thread() -> None:
    begun, over = threading.Event(), threading.Event()
    thread = threading.Thread(target=functools.partial(lingers, begun, over))
    thread.start()
    begun.wait()
    found = at_work()
    over.set()
    thread.join()
    first = lingers.__code__.co_firstlineno
    places = [f"lingers (tests/test_frames.py:{first + number})" for number in (1, 2)]
    assert {*places} & {*found}
    assert not [one for one in at_work() if one.startswith("lingers")]
