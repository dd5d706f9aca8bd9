"""Asking llama.cpp, where a stand-in puts its answers, its errors and the time in our hands."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from dbrun.adapters import local_model
from dbrun.adapters.base import Request
from dbrun.adapters.local import LocalAdapter
from dbrun.adapters.local_engine import joined
from dbrun.clock import Clock
from dbrun.context import Context
from dbrun.errors import (
    ContextLength,
    Interrupted,
    Malformed,
    Rejected,
    TimedOut,
    Unavailable,
)
from dbrun.spec.model import EndpointSpec


def make(around: Context | None = None, /, **options: Any) -> LocalAdapter:
    adapter = LocalAdapter.create(
        EndpointSpec(adapter="local", options=options), around or Context()
    )
    adapter.prepare()
    return adapter


def ask(adapter: LocalAdapter, timeout: float = 60.0, **fields: Any) -> Any:
    (answer,) = adapter.call([adapter.encode(Request(fields=fields))], timeout)
    return answer.body


class Ticking(Clock):
    """A clock that moves on by a second at every look."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        self.time += 1.0
        return self.time


class Settings(SimpleNamespace):
    """Takes any setting, nested ones too."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = Settings()
        setattr(self, name, value)
        return value


def stand_in(monkeypatch: pytest.MonkeyPatch, pieces: Any, asked: list[Any]) -> None:
    """Let `import xllamacpp` find a server that says *pieces* and notes what it is asked."""

    class Server:
        def __init__(self, settings: Any) -> None:
            asked.append(settings)

        def handle_chat_completions(self, question: Any, hear: Any) -> None:
            asked.append(question)
            for piece in pieces:
                if hear(piece):
                    return

    fake = ModuleType("xllamacpp")
    fake.Server = Server  # type: ignore[attr-defined]
    fake.CommonParams = Settings  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "xllamacpp", fake)
    monkeypatch.setattr(local_model, "require_engine", lambda: None)


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"GGUF tiny")
    return file


def piece(text: str | None, reason: str | None = None) -> dict[str, Any]:
    delta = {} if text is None else {"content": text}
    return {
        "id": "volatile",
        "created": 1,
        "object": "chat.completion.chunk",
        "model": "tiny",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
    }


def test_the_deadline_is_looked_at_between_pieces(
    monkeypatch: pytest.MonkeyPatch, gguf: Path
) -> None:
    asked: list[Any] = []
    stand_in(monkeypatch, [piece(str(number)) for number in range(100)], asked)
    adapter = make(Context(clock=Ticking()), model={"path": str(gguf)})

    with pytest.raises(TimedOut) as caught:
        ask(adapter, timeout=5, prompt="Hi")
    assert caught.value.maybe_paid


def test_a_question_under_way_is_given_up_when_the_model_is_closed(
    monkeypatch: pytest.MonkeyPatch, gguf: Path
) -> None:
    def pieces() -> Iterator[Any]:
        yield piece("a")
        adapter._engine._closed = True  # type: ignore[union-attr]
        yield piece("b")
        pytest.fail("nothing more may be asked for")

    stand_in(monkeypatch, pieces(), [])
    adapter = make(model={"path": str(gguf)})
    with pytest.raises(Interrupted):
        ask(adapter, prompt="Hi")


def test_nothing_is_sent_but_what_was_set_and_how_to_answer(
    monkeypatch: pytest.MonkeyPatch, gguf: Path
) -> None:
    asked: list[Any] = []
    stand_in(monkeypatch, [piece("yes", "stop")], asked)
    adapter = make(model={"path": str(gguf)}, threads=3, context=99)
    body = adapter.encode(Request(fields={"prompt": "Hi", "stop": ["."], "top_k": 3}))
    adapter.call([body], 60)
    settings, question = asked

    assert body == {"messages": [{"role": "user", "content": "Hi"}], "stop": ["."], "top_k": 3}
    assert {name: question[name] for name in body} == body
    assert question["cache_prompt"] is False
    assert question["stream"] is True
    assert settings.cpuparams.n_threads == 3
    assert settings.n_ctx == 99
    assert settings.sampling.seed == 0
    assert len(settings.api_keys[0]) >= 32
    if os.name == "posix":
        assert not Path(settings.hostnames[0]).parent.exists()


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ([{"error": {"code": 500, "message": "out of memory"}}], Unavailable, "out of memory"),
        ([{"code": 500, "message": "not JSON"}], Unavailable, "not JSON"),
        ([{"error": "broken"}], Unavailable, "broken"),
        ([{"error": {"code": 400, "message": "no"}}], Rejected, "refused the request: no"),
        (
            [{"error": {"code": 400, "type": "exceed_context_size_error", "n_ctx": 9}}],
            ContextLength,
            "context 9",
        ),
        ([], Malformed, "no answer"),
    ],
)
def test_complaints_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, gguf: Path, said: Any, error: type[Exception], message: str
) -> None:
    stand_in(monkeypatch, said, [])
    adapter = make(model={"path": str(gguf)})
    with pytest.raises(error, match=message):
        ask(adapter, prompt="Hi")


def test_pieces_make_up_one_body_without_what_differs_from_call_to_call() -> None:
    call = {"index": 0, "id": "c1", "function": {"name": "look", "arguments": '{"a"'}}
    more = {"index": 0, "function": {"arguments": ": 1}"}}
    told = {"usage": {"prompt_tokens": 5, "completion_tokens": 2}, "timings": {}, "choices": []}
    pieces = [
        {**piece(None), "prompt_progress": {"processed": 0}},
        piece("Hel"),
        piece("lo"),
        {**piece(None), "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]},
        {**piece(None), "choices": [{"index": 0, "delta": {"tool_calls": [more]}}]},
        {**piece(None), "choices": [{"index": 0, "logprobs": {"content": [{"token": "a"}]}}]},
        {**piece(None), "choices": [{"index": 0, "logprobs": {"content": [{"token": "b"}]}}]},
        piece(None, "stop"),
        {**piece(None), **told},
    ]
    assert joined(pieces) == {
        "object": "chat.completion",
        "model": "tiny",
        "usage": told["usage"],
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {
                    "content": "Hello",
                    "tool_calls": [{**call, "function": {"name": "look", "arguments": '{"a": 1}'}}],
                },
                "logprobs": {"content": [{"token": "a"}, {"token": "b"}]},
            }
        ],
    }


def test_an_answer_of_no_words_is_an_empty_text() -> None:
    silent = piece(None)
    silent["choices"][0]["delta"] = {"role": "assistant", "content": None}
    assert joined([silent, piece(None, "stop")])["choices"][0]["message"]["content"] == ""
