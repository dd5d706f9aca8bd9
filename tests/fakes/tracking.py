"""The state of the stand-in for MLflow (`libraries/mlflow`), and putting it on the path."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LIBRARIES = Path(__file__).parent / "libraries"


class FakeTracking:
    """A server of MLflow in the file at *path*."""

    def __init__(self, path: Path) -> None:
        self.uri = str(path)
        self._path = path
        path.write_text(json.dumps({"experiments": {}, "runs": {}, "prompts": {}}))

    @property
    def state(self) -> Any:
        """All that it holds."""
        return json.loads(self._path.read_text(encoding="utf-8"))

    @property
    def runs(self) -> list[Any]:
        """The runs in the order of their making."""
        return list(self.state["runs"].values())

    def change(self, **parts: Any) -> None:
        """Replace *parts* of what it holds."""
        self._path.write_text(json.dumps({**self.state, **parts}), encoding="utf-8")

    def register(self, name: str, template: Any, *aliases: str) -> int:
        """A new version of a prompt; the number of it."""
        prompts = self.state["prompts"]
        prompt = prompts.setdefault(name, {"versions": {}, "aliases": {}})
        version = len(prompt["versions"]) + 1
        prompt["versions"][str(version)] = template
        prompt["aliases"].update(dict.fromkeys(aliases, str(version)))
        self.change(prompts=prompts)
        return version


@contextmanager
def on_path() -> Iterator[None]:
    """Have `import mlflow` find the stand-in, in this process."""
    sys.path.insert(0, str(LIBRARIES))
    try:
        yield
    finally:
        sys.path.remove(str(LIBRARIES))
        for name in [name for name in sys.modules if name.split(".")[0] == "mlflow"]:
            del sys.modules[name]
