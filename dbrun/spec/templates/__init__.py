"""Templates: Jinja in an immutable sandbox, with messages that name file, line and column.

The only room that knows jinja2. Names are strict, nothing is escaped, and there is no clock and
no randomness: a rendering depends on its scope alone. Files load from the project and below it.

Three things differ from Jinja's defaults:

- On a mapping `row.items` is the column `items` if there is one, and the method only if not.
- What has no stable text (a function not called, a generator not joined) is refused where it
  is printed, instead of sending its memory address to a model.
- A template file loses its final newline, which editors add and nobody means; an inline
  template keeps every newline that the YAML gives it.
"""

from __future__ import annotations

from .front import Expression, Template, Templates, scope
from .prompts import CompiledPrompt, compile_prompt

__all__ = ["CompiledPrompt", "Expression", "Template", "Templates", "compile_prompt", "scope"]
