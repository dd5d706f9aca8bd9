"""llama.cpp in this process: loading a model, asking it, putting the pieces together.

The model's answer is streamed although nobody watches, because between two pieces (each token,
and each 512 tokens of the prompt) is where a call can be given up at its deadline.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..clock import Clock
from ..errors import (
    ContextLength,
    EndpointError,
    EndpointMissing,
    Interrupted,
    Malformed,
    Rejected,
    TimedOut,
    Unavailable,
)
from ..types import Json

SEED = 0
"""The seed of sampling where a request gives none, so that its answer repeats."""

_PROMPT_STEP = 512
_GROWING = frozenset({"content", "text", "reasoning_content", "arguments"})
_KEPT = ("object", "model", "system_fingerprint", "usage")


class Engine:
    """One model, loaded at the first question and asked one question at a time."""

    def __init__(
        self, path: Path, *, name: str, threads: int, context: int, clock: Clock, debug: bool
    ) -> None:
        self._path = path
        self._name = name
        self._threads = threads
        self._context = context
        self._clock = clock
        self._debug = debug
        self._turn = threading.Lock()
        self._server: Any = None
        self._closed = False

    def ask(self, task: str, body: Json, timeout: float) -> Json:
        """The answer to *body*, without the parts that differ from call to call.

        The deadline is looked at between pieces of the answer; a single step of the model (a
        token, or 512 tokens of prompt: seconds at most for a small model) is not interrupted.

        Raises:
            EndpointError: the model did not give an answer.
            EndpointMissing: the file cannot be loaded.
        """
        deadline = self._clock.now() + timeout
        if not self._turn.acquire(timeout=timeout):
            raise TimedOut(f"the model was busy with other requests for {timeout:g} s")
        try:
            if self._server is None:
                self._server = self._load()
            return _body(self._pieces(task, body, deadline), timeout)
        finally:
            self._turn.release()

    def close(self) -> None:
        """Unload the model; a question under way is given up at its next token."""
        self._closed = True
        with self._turn:
            self._server = None

    def _pieces(self, task: str, body: Json, deadline: float) -> list[Any] | None:
        """What the model said, piece by piece; None if the deadline came first."""
        pieces: list[Any] = []
        late = False

        def hear(piece: Any) -> bool:
            nonlocal late
            pieces.append(piece)
            late = self._clock.now() > deadline
            return late or self._closed

        handle = getattr(self._server, f"handle_{'chat_' if task == 'chat' else ''}completions")
        question = {
            **body,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,
            # With the cache on, an answer depends on the question before.
            "cache_prompt": False,
        }
        try:
            handle(question, hear)
        except (RuntimeError, TypeError, ValueError) as error:
            # llama.cpp raises what it cannot make sense of; it would not the next time either.
            raise Rejected(f"the local model refused the request: {error}") from error
        if self._closed:
            raise Interrupted
        return None if late else pieces

    def _load(self) -> Any:
        import xllamacpp

        settings = xllamacpp.CommonParams()
        settings.model.path = str(self._path)
        settings.model_alias = {self._name}
        settings.n_ctx = self._context
        settings.n_parallel = 1
        settings.n_batch = _PROMPT_STEP
        settings.cpuparams.n_threads = self._threads
        settings.cpuparams_batch.n_threads = self._threads
        settings.n_gpu_layers = 0
        settings.no_op_offload = True
        settings.fit_params = False
        settings.warmup = False
        settings.cache_prompt = False
        settings.cache_ram_mib = 0
        settings.sampling.seed = SEED
        settings.verbosity = 3 if self._debug else 0
        with _nobody_listens(settings):
            try:
                return xllamacpp.Server(settings)
            except RuntimeError as error:
                raise EndpointMissing(
                    f"llama.cpp cannot load {self._path}",
                    "run again with --debug to see why; the file must be a whole GGUF model",
                ) from error


@contextmanager
def _nobody_listens(settings: Any) -> Iterator[None]:
    """Let llama.cpp's server, which insists on listening, listen where nobody can ask.

    That is a socket file in a private folder that is gone once the model is loaded; on Windows
    a loopback port with a key that is told to nobody.
    """
    settings.api_keys = [secrets.token_hex(32)]
    settings.n_threads_http = 1
    if os.name != "posix":
        yield
        return
    # The path of a socket has room for about a hundred bytes.
    short = None if len(tempfile.gettempdir()) < 80 else "/tmp"  # noqa: S108
    with tempfile.TemporaryDirectory(prefix="dbrun-", dir=short) as folder:
        settings.hostnames = [os.path.join(folder, "s.sock")]
        yield


def _body(pieces: list[Any] | None, timeout: float) -> Json:
    """The whole answer that *pieces* make up, or the error they hold."""
    if pieces is None:
        raise TimedOut(f"no whole answer within {timeout:g} s", maybe_paid=True)
    for piece in pieces:
        if isinstance(piece, dict) and ("error" in piece or "code" in piece):
            raise _refusal(piece.get("error", piece))
    body = joined(pieces)
    if not body["choices"]:
        raise Malformed("the local model gave no answer")
    return body


def _refusal(error: Json) -> EndpointError:
    if not isinstance(error, dict):
        return Unavailable(f"the local model failed: {error}")
    message = str(error.get("message", "no reason given"))
    if error.get("type") == "exceed_context_size_error":
        taken, room = error.get("n_prompt_tokens"), error.get("n_ctx")
        return ContextLength(
            f"the prompt has {taken} tokens and the model's context {room}; shorten it, or raise "
            "endpoint.context"
        )
    code = error.get("code")
    if isinstance(code, int) and code < 500:
        return Rejected(f"the local model refused the request: {message}")
    return Unavailable(f"the local model failed: {message}")


def joined(pieces: Iterable[Json]) -> dict[str, Json]:
    """The body that the pieces of a streamed answer make up.

    Ids, times and timings are left out: equal questions get equal bytes.
    """
    body: dict[str, Json] = {}
    choices: dict[int, dict[str, Json]] = {}
    for piece in pieces:
        body.update((name, piece[name]) for name in _KEPT if piece.get(name) is not None)
        for choice in piece.get("choices", ()):
            part = {"message" if name == "delta" else name: said for name, said in choice.items()}
            _grow(choices.setdefault(choice.get("index", 0), {}), part)
    if "object" in body:
        body["object"] = body["object"].removesuffix(".chunk")
    for choice in choices.values():
        message = choice.get("message")
        if message and message.get("content") is None and "tool_calls" not in message:
            message["content"] = ""
    body["choices"] = [choices[index] for index in sorted(choices)]
    return body


def _grow(whole: dict[str, Json], part: dict[str, Json]) -> None:
    """Add *part* to *whole*: text grows, lists grow or merge by `index`, the rest is replaced."""
    for name, value in part.items():
        known = whole.get(name)
        if value is None:
            whole.setdefault(name, None)
        elif isinstance(value, str) and isinstance(known, str) and name in _GROWING:
            whole[name] = known + value
        elif isinstance(value, dict):
            whole[name] = known if isinstance(known, dict) else {}
            _grow(whole[name], value)
        elif isinstance(value, list):
            whole[name] = known if isinstance(known, list) else []
            _grow_list(whole[name], value)
        else:
            whole[name] = value


def _grow_list(whole: list[Json], part: list[Json]) -> None:
    for item in part:
        index = item.get("index") if isinstance(item, dict) else None
        if isinstance(index, int) and index < len(whole):
            _grow(whole[index], item)
        elif isinstance(item, dict):
            fresh: dict[str, Json] = {}
            _grow(fresh, item)
            whole.append(fresh)
        else:
            whole.append(item)
