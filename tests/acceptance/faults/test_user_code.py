"""Functions of the user's that raise, hang, leave, or give back what JSON cannot hold."""

from __future__ import annotations

import signal
import time

import pytest
from acceptance.faults.bench import SPEC, Bench

FROM_FUNCTION = SPEC.replace("path: rows.jsonl", 'function: "functions:rows"')
HANGS = SPEC + 'transforms: {output: "functions:hangs"}\n'
FUNCTIONS = """\
import math
import sys
import time


class Odd:
    def __repr__(self):
        raise RuntimeError("not even this")


def boom():
    raise RuntimeError("no such customer")


def deep():
    value = []
    for _ in range(100_000):
        value = [value]
    return value


def itself():
    value = {}
    value["me"] = value
    return value


def output(text, *, row):
    acts = {
        "raises": boom,
        "raises what is no exception": lambda: sys.exit(3),
        "asserts": lambda: (_ for _ in ()).throw(AssertionError()),
        "returns an object": Odd,
        "returns a set": lambda: {1, 2},
        "returns NaN": lambda: {"score": math.nan},
        "returns bytes": lambda: b"bytes",
        "returns a mapping of numbers": lambda: {1: 2, (1, 2): 3},
        "returns what holds itself": itself,
        "returns what is too deep": deep,
    }
    return acts.get(row["id"], lambda: text)()


def hangs(text, *, row):
    if row["id"] == "T-3":
        open("hanging", "w").close()
        time.sleep(600)
    return text


def slow(text, *, row):
    if row["id"] == "T-3":
        time.sleep(2.5)
    return text


def hangs_on_row(row):
    hangs("", row=row)
    return row


def rows():
    for number in range(10):
        if number == 6:
            open("hanging", "w").close()
            BREAK
        yield {"id": f"T-{number}", "text": f"ticket number {number}"}
"""
KINDS = {
    "raises": "RuntimeError: no such customer",
    "raises what is no exception": "SystemExit",
    "asserts": "AssertionError",
    "returns an object": "what JSON cannot hold",
    "returns a set": "what JSON cannot hold",
    "returns NaN": "what JSON cannot hold",
    "returns bytes": "what JSON cannot hold",
    "returns a mapping of numbers": "what JSON cannot hold",
    "returns what holds itself": "what JSON cannot hold",
    "returns what is too deep": "what JSON cannot hold",
}


def test_output_transforms_that_go_wrong(bench: Bench) -> None:
    """The rows fail and name the place; their answers were paid for and are kept."""
    bench.project.write("functions.py", FUNCTIONS)
    bench.rows([{"id": name, "text": f"it is {name}."} for name in [*KINDS, "fine", "fine, too"]])
    bench.spec('transforms: {output: "functions:output"}\n')
    ended = bench.run()
    assert ended.code == 1
    for name, says in KINDS.items():
        error = ended.error(name)
        assert error["class"] == "transform", name
        assert error["message"].startswith("functions:output "), name
        assert says in error["message"], name
        assert "functions.py:" in error["where"], name
    ended.says(
        "2 ok, 10 failed",
        r"raises: transform: functions\.py:12: functions:output",
        "mend the spec or the rows",
    )
    bench.mend(code=1, lacking=0)
    bench.spec()
    bench.mend(lacking=0)


def test_a_transform_that_takes_its_time_times_nobody_out(bench: Bench) -> None:
    """What arrives while it runs has arrived in time, whenever it is looked at."""
    bench.project.write("functions.py", FUNCTIONS)
    bench.spec('transforms: {output: "functions:slow"}\n')
    bench.workspace.latency = 0.3
    ended = bench.run()
    assert ended.code == 0
    assert ended.requests["by_status"] == {"200": 10}
    bench.spec()
    bench.mend(lacking=0)


@pytest.mark.parametrize(
    ("recipe", "number", "code", "grace"),
    [
        (HANGS, signal.SIGINT, 130, "0.3"),
        (SPEC + 'transforms: {row: "functions:hangs_on_row"}\n', signal.SIGTERM, 143, "0.3"),
        (FROM_FUNCTION, signal.SIGINT, 130, "0.3"),
        (HANGS, signal.SIGINT, 130, "60"),
    ],
    ids=["an output transform", "a row transform", "a source", "with no call in flight"],
)
def test_what_hangs_is_left_behind(
    bench: Bench, recipe: str, number: int, code: int, grace: str
) -> None:
    """After the grace; named, and without waiting, where no call is in flight."""
    bench.project.write("functions.py", FUNCTIONS.replace("BREAK", "time.sleep(600)"))
    bench.spec(base=recipe, concurrency=4 if grace == "0.3" else 1)
    with bench.watching() as started:
        process = bench.start("--grace", grace)
        bench.wait_for((bench.project.folder / "hanging").exists)
        begun = time.monotonic()
        process.send_signal(number)
        said = bench.finish(process)
        assert time.monotonic() - begun < 5
    # Answers that came while it hung may have been left behind with it.
    assert said.code == code
    assert "Traceback" not in said.err
    told = "still at work: hangs (functions.py:47); left behind, no call is in flight" in said.err
    assert told is (grace == "60")
    bench.end(said, started(), abandoned=3)
    bench.spec()
    bench.mend()


BREAKS = {
    "raises": ('raise ValueError("the cursor is closed")', "ValueError: the cursor is closed"),
    "yields what JSON cannot hold": ('yield {"id": "T-6", "text": {1}}', "row 7"),
    "leaves": ("raise SystemExit(0)", "SystemExit"),
    "is interrupted": ("raise KeyboardInterrupt", "KeyboardInterrupt|interrupted"),
}


@pytest.mark.parametrize(("line", "says"), BREAKS.values(), ids=BREAKS)
def test_a_source_that_breaks_half_way(bench: Bench, line: str, says: str) -> None:
    """What was answered is kept; no results are put in place, for rows would be missing."""
    bench.spec(base=FROM_FUNCTION)
    bench.project.write("functions.py", FUNCTIONS.replace("BREAK", line))
    ended = bench.run()
    assert ended.code == 3 or "interrupted" in ended.err
    ended.says(f"dbrun: .*({says})")
    assert len(ended.given) == 6
    assert not (bench.project.folder / "out/tickets.jsonl").exists()
    bench.spec()
    bench.mend(lacking=4)
