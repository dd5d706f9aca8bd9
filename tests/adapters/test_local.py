"""The `local` adapter: what the embedded model does, and what is said where it is not there."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dbrun.adapters import local_model
from dbrun.adapters.base import Request
from dbrun.adapters.local import LocalAdapter, usual_threads
from dbrun.context import Context, NoMemory
from dbrun.errors import (
    ContextLength,
    EndpointMissing,
    PluginError,
    Rejected,
    TimedOut,
    UserError,
)
from dbrun.spec.model import Concurrency, EndpointSpec

real = pytest.mark.local_model


def make(around: Context | None = None, /, **options: Any) -> LocalAdapter:
    spec = EndpointSpec(adapter="local", options=options)
    return LocalAdapter.create(spec, around or Context())


def ask(adapter: LocalAdapter, timeout: float = 60.0, **fields: Any) -> Any:
    """The answer's body to a request of *fields*."""
    body = adapter.encode(Request(fields=fields))
    (answer,) = adapter.call([body], timeout)
    return answer.body


# --- the embedded model -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> Iterator[LocalAdapter]:
    adapter = make(threads=1, context=512)
    adapter.prepare()
    yield adapter
    adapter.close()


@real
def test_a_prompt_is_answered_in_the_words_of_the_openai_wire(model: LocalAdapter) -> None:
    body = ask(model, prompt="Say hello.", temperature=0, max_tokens=3)
    response = model.decode(body)

    assert body["object"] == "chat.completion"
    assert response.model == "smollm2-135m-instruct"
    assert isinstance(response.value, str)
    assert response.value
    assert response.finish_reason == "length"
    assert response.usage is not None
    assert response.usage.output_tokens == 3


@real
@pytest.mark.parametrize("params", [{"temperature": 0}, {}], ids=["greedy", "sampled"])
def test_answers_repeat_to_the_byte_whatever_came_before(
    model: LocalAdapter, params: Mapping[str, Any]
) -> None:
    question = {"prompt": "Name an animal that swims.", "max_tokens": 12, **params}
    first = ask(model, **question)
    ask(model, prompt="Name an animal that flies.", max_tokens=4)
    again = ask(model, **question)
    fresh = make(threads=1, context=512)
    fresh.prepare()
    elsewhere = ask(fresh, **question)
    fresh.close()

    assert json.dumps(first) == json.dumps(again) == json.dumps(elsewhere)


@real
def test_a_seed_of_ones_own_is_heeded(model: LocalAdapter) -> None:
    answers = {
        json.dumps(ask(model, prompt="Tell me a word.", max_tokens=8, seed=seed)["choices"])
        for seed in (1, 2, 3)
    }
    assert len(answers) > 1


@real
def test_stop_strings_end_the_answer(model: LocalAdapter) -> None:
    question = {"prompt": "Count from one to five.", "temperature": 0, "max_tokens": 20}
    whole = model.decode(ask(model, **question)).value
    stop = whole[len(whole) // 2]
    response = model.decode(ask(model, **question, stop=[stop]))

    assert response.value == whole[: whole.index(stop)]
    assert response.finish_reason == "stop"


@real
@pytest.mark.parametrize("task", ["chat", "completions"])
def test_a_json_schema_is_enforced_by_grammar(task: str) -> None:
    schema = {
        "type": "object",
        "properties": {"yes": {"type": "boolean"}},
        "required": ["yes"],
        "additionalProperties": False,
    }
    adapter = make(threads=1, context=512, task=task)
    adapter.prepare()
    params = adapter.native_schema(schema, "answer")
    body = ask(adapter, prompt="Is water wet?", temperature=0, max_tokens=20, **params)
    adapter.close()

    assert json.loads(adapter.decode(body).value) in ({"yes": True}, {"yes": False})


@real
def test_too_long_a_prompt_is_told_by_its_class_and_its_mend(model: LocalAdapter) -> None:
    with pytest.raises(ContextLength, match=r"\d{3,} tokens .* 512; .*endpoint\.context"):
        ask(model, prompt="word " * 800)


@real
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"prompt": "x", "temperature": "hot"}, "temperature"),
        ({"prompt": "x", "n": 2}, "'n'"),
        ({"messages": "x"}, "messages"),
        ({"prompt": "\ud800"}, "surrogate"),
    ],
)
def test_what_llama_cpp_cannot_read_is_rejected(
    model: LocalAdapter, fields: Mapping[str, Any], reason: str
) -> None:
    with pytest.raises(Rejected, match=reason):
        ask(model, **fields)


@real
def test_a_call_is_given_up_at_its_deadline_and_the_next_one_is_answered(
    model: LocalAdapter,
) -> None:
    with pytest.raises(TimedOut, match=r"within 0\.001 s"):
        ask(model, timeout=0.001, prompt="Tell me a long story.", max_tokens=400)
    assert ask(model, prompt="Hi", max_tokens=1)["choices"]


@real
def test_loading_is_silent_and_leaves_nobody_listening(capfd: pytest.CaptureFixture[str]) -> None:
    adapter = make(task="completions", context=128)
    adapter.prepare()
    response = adapter.decode(ask(adapter, prompt="Once upon a", temperature=0, max_tokens=2))
    adapter.close()

    assert adapter.prompt_kind == "text"
    assert isinstance(response.value, str)
    assert capfd.readouterr() == ("", "")


@real
def test_interrupts_still_reach_python_once_a_model_is_loaded(model: LocalAdapter) -> None:
    heard = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: heard.set())
    try:
        ask(model, prompt="Hi", max_tokens=1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard.wait(5)
    finally:
        signal.signal(signal.SIGTERM, before)


@real
def test_the_digest_of_the_embedded_model_is_that_of_its_file() -> None:
    path = local_model.require_weights()
    adapter = make()
    adapter.prepare()

    assert adapter.identity == local_model.digest(path)
    assert adapter.describe()["sha256"] == adapter.identity
    assert [found.path for found in local_model.available()] == [path]


@real
def test_a_model_of_ones_own_is_known_by_its_digest_and_named_by_its_file(tmp_path: Path) -> None:
    mine = tmp_path / "mine.gguf"
    mine.symlink_to(local_model.require_weights())
    adapter = make(model={"path": str(mine)}, context=128)
    adapter.prepare()
    body = ask(adapter, prompt="Hi", max_tokens=1)
    adapter.close()

    assert adapter.identity == local_model.SMOLLM2.sha256
    assert body["model"] == "mine"
    assert str(tmp_path) not in json.dumps(body)


@real
def test_a_broken_model_file_ends_the_run_with_its_name(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(1000))
    adapter = make(model={"path": str(broken)})
    adapter.prepare()
    with pytest.raises(EndpointMissing, match=r"cannot load .*broken\.gguf; .*--debug"):
        ask(adapter, prompt="Hi")


# --- what is there, and what is not -------------------------------------------------------------


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.gguf"
    file.write_bytes(b"GGUF tiny")
    return file


def test_stop_strings_stay_here_where_the_spec_says_so() -> None:
    spec = EndpointSpec(adapter="local", send_stop=False)
    body = LocalAdapter.create(spec, Context()).encode(
        Request(fields={"prompt": "Hi", "stop": ["."]})
    )
    assert body == {"messages": [{"role": "user", "content": "Hi"}]}


def test_one_question_at_a_time_and_a_core_left_over() -> None:
    assert LocalAdapter.concurrency == Concurrency.fixed(1)
    assert 1 <= usual_threads() <= max(1, (os.cpu_count() or 1) - 1)


def test_a_missing_package_names_both_ways_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_model, "engine_installed", lambda: False)
    with pytest.raises(PluginError, match=r"dbrun local install.*pip install 'dbrun\[local\]'"):
        make().prepare()


def test_missing_weights_name_the_command_that_installs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local_model, "engine_installed", lambda: True)
    monkeypatch.setattr(local_model, "find", lambda: None)
    with pytest.raises(PluginError, match=r"smollm2-135m-instruct.*dbrun local install"):
        make().prepare()
    assert [found.installed for found in local_model.available()] == [False]


def test_weights_that_were_cut_short_are_damaged(
    monkeypatch: pytest.MonkeyPatch, gguf: Path
) -> None:
    monkeypatch.setattr(local_model, "find", lambda: gguf)
    with pytest.raises(PluginError, match=r"tiny\.gguf is damaged: it has 9 bytes"):
        local_model.require_weights()


def test_offline_the_identity_needs_neither_package_nor_weights(
    monkeypatch: pytest.MonkeyPatch, gguf: Path
) -> None:
    monkeypatch.setattr(local_model, "engine_installed", lambda: False)
    monkeypatch.setattr(local_model, "find", lambda: None)
    memory = NoMemory()
    embedded = make(Context(offline=True))
    embedded.prepare()
    seen = make(Context(offline=True, memory=memory), model={"path": str(gguf)})
    seen.prepare()
    gguf.unlink()
    gone = make(Context(offline=True, memory=memory), model={"path": str(gguf)})
    gone.prepare()

    assert embedded.identity == local_model.SMOLLM2.sha256
    assert seen.identity == gone.identity == local_model.hashlib.sha256(b"GGUF tiny").hexdigest()


@pytest.mark.parametrize("content", [None, b"PK\x03\x04 a zip"])
def test_a_path_that_is_no_model_is_named(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "wrong.gguf"
    if content:
        file.write_bytes(content)
    with pytest.raises(UserError, match=r"^endpoint\.model\.path: .*wrong\.gguf"):
        make(Context(offline=True), model={"path": str(file)}).prepare()


def test_a_call_before_prepare_says_so() -> None:
    with pytest.raises(PluginError, match="before it was prepared"):
        make().call([{}], 1)
