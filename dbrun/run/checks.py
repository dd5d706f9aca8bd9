"""What a schema cannot check: templates compile, functions exist, prompt and endpoint agree."""

from __future__ import annotations

