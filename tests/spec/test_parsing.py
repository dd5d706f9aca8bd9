"""Trees of source in several threads, and what is no source."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dbrun.spec.parsing import parsed

LONG = f"x = [{', '.join(['(1, 2)'] * 200)}]"


@pytest.fixture
def _impatient() -> Iterator[None]:
    """Threads that take turns wherever they can, which is also while garbage is collected."""

    def look(*about: Any) -> None:
        pass

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    gc.callbacks.append(look)
    yield
    gc.callbacks.remove(look)
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_impatient")
def test_threads_of_other_depth_do_not_disturb_each_other() -> None:
    def deep(depth: int) -> int:
        return deep(depth - 1) if depth else len(parsed(LONG).body)

    def often(depth: int) -> set[int]:
        return {deep(depth) for _ in range(10)}

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(often, range(0, 28, 7))) == [{1}] * 4


def test_what_is_no_python_is_said_with_its_file() -> None:
    with pytest.raises(SyntaxError) as caught:
        parsed("x =", "mine.py")
    assert caught.value.filename == "mine.py"
