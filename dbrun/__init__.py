"""dbrun: a reviewed YAML file and a set of rows in, a JSONL file of answers out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import endpoint, load, validate
    from .errors import DbrunError, RunError, SpecError, UserError
    from .run.endpoint import Endpoint
    from .run.pipeline import Pipeline
    from .run.result import Run

__version__ = "0.1.0"

__all__ = [
    "DbrunError",
    "Endpoint",
    "Pipeline",
    "Run",
    "RunError",
    "SpecError",
    "UserError",
    "__version__",
    "endpoint",
    "load",
    "validate",
]

_HOMES = {
    "DbrunError": "errors",
    "Endpoint": "run.endpoint",
    "Pipeline": "run.pipeline",
    "Run": "run.result",
    "RunError": "errors",
    "SpecError": "errors",
    "UserError": "errors",
    "endpoint": "api",
    "load": "api",
    "validate": "api",
}


def __getattr__(name: str) -> Any:
    # Public names load what they need when first used, so that `import dbrun` costs nothing.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'dbrun' has no attribute '{name}'")
    from importlib import import_module

    value = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value
