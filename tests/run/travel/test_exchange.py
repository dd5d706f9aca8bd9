"""The folder through which a run and its partitions talk."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from dbrun.errors import Interrupted, SinkError, UserError
from dbrun.run.travel.exchange import Exchange, WholeFile


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    return Exchange.make(str(tmp_path / "journal"))


def written(file: WholeFile, *lines: bytes) -> str:
    with file:
        for line in lines:
            file.write(*line.split(b" ", 1))
        file.commit()
    return file.digest


def test_a_new_one_clears_away_those_that_were_left(tmp_path: Path) -> None:
    left = Exchange.make(str(tmp_path))
    (tmp_path / "answers.jsonl").touch()
    made = Exchange.make(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == sorted(["answers.jsonl", os.path.basename(made.path)])
    assert left.is_stopped()
    made.remove()
    assert os.listdir(tmp_path) == ["answers.jsonl"]


def test_rows_of_equal_requests_are_dealt_to_one_part(exchange: Exchange) -> None:
    dealing = exchange.deal(0, 3)
    for number, key in enumerate(["f0", "01", "f0", "01", "f0"]):
        dealing.put(key, b"row %d" % number)
    dealing.commit()
    dealing.close()
    parts = [
        [line for lines in exchange.rows(0, part) for line in lines.copy()] for part in range(3)
    ]
    assert dealing.rows == 5
    assert [b"row 0\n", b"row 2\n", b"row 4\n"] in parts
    assert [b"row 1\n", b"row 3\n"] in parts


def test_rows_without_a_request_are_dealt_in_turn(exchange: Exchange) -> None:
    dealing = exchange.deal(0, 2)
    for number in range(4):
        dealing.put("", b"%d" % number)
    dealing.commit()
    dealing.close()
    assert [list(exchange.rows(0, part)) for part in range(2)] == [
        [[b"0\n", b"2\n"]],
        [[b"1\n", b"3\n"]],
    ]


def test_records_of_all_parts_come_in_the_order_of_the_source(exchange: Exchange) -> None:
    first = written(exchange.results(0, 0, "a"), b"0 {}", b"2 two words", b"10 ten")
    second = written(exchange.results(1, 1, "b"), b"1 {}", b"9 nine")
    done = [(0, 0, "a", first), (1, 1, "b", second)]
    assert list(exchange.merged(done)) == [b"{}", b"{}", b"two words", b"nine", b"ten"]


def test_records_that_nobody_wrote_so_are_refused(exchange: Exchange) -> None:
    digest = written(exchange.results(0, 0, "a"), b"0 {}")
    (path,) = Path(exchange.path).glob("out-*")
    path.write_bytes(b"0 {...}\n")
    with pytest.raises(SinkError, match="does not hold what a worker wrote"):
        list(exchange.merged([(0, 0, "a", digest)]))


def test_rows_that_go_on_come_with_their_keys(exchange: Exchange) -> None:
    for part, lines in enumerate([[b"k1 1 item one", b"k5 5 e"], [b"k2 2 b"]]):
        with exchange.further(0, part, "a") as file:
            for line in lines:
                file.write(line)
            file.commit()
    # A part that has none wrote no file.
    assert list(exchange.going_on([(0, part, "a") for part in range(3)])) == [
        ("k1", 1, b"item one"),
        ("k2", 2, b"b"),
        ("k5", 5, b"e"),
    ]


def test_a_file_that_is_not_complete_is_not_there(exchange: Exchange) -> None:
    with exchange.results(0, 0, "a") as file:
        file.write(b"0", b"{}")
    assert os.listdir(exchange.path) == []
    assert file.digest == hashlib.sha256(b"0 {}\n").hexdigest()


def test_who_does_not_see_the_folder_is_told_so(exchange: Exchange, tmp_path: Path) -> None:
    exchange.ask()
    assert not exchange.is_answered()
    with pytest.raises(UserError, match=r"cannot use the journal's folder .*no such file"):
        Exchange(str(tmp_path / "elsewhere" / "spark-1")).answer()
    exchange.answer()
    assert exchange.is_answered()


def test_words_are_told_and_half_of_one_is_none(exchange: Exchange) -> None:
    assert exchange.done(0, 1) is None
    exchange.say_done(0, 1, {"rows": 3})
    assert exchange.done(0, 1) == {"rows": 3}
    exchange.say("live", 0, 1, "a", {"n": 1})
    exchange.say("live", 0, 1, "a", {"n": 2})
    exchange.say("live", 0, 2, "b", {"n": 3})
    Path(exchange.path, "live-00-00009-c.json").write_text('{"n": ')
    assert [one["n"] for one in exchange.said("live")] == [2, 3]
    assert exchange.told("live", 0, 2, "b") == {"n": 3}
    assert exchange.told("live", 0, 9, "c") is None


def test_a_part_is_one_worker_s_at_a_time(exchange: Exchange) -> None:
    caught: list[str] = []

    def second() -> None:
        try:
            with exchange.held(0, 0):
                caught.append("held")
        except Interrupted as error:
            caught.append(str(error))

    with exchange.held(0, 0):
        exchange.stop()
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(10)
    assert caught == ["stopped while another worker was at the same part"]
    with exchange.held(0, 0), exchange.held(0, 1):
        pass


def test_a_folder_that_is_gone_is_an_error_with_a_mend(exchange: Exchange) -> None:
    exchange.remove()
    assert exchange.is_stopped()
    exchange.stop()  # there is nobody left to tell
    with pytest.raises(SinkError, match=r"cannot be written: no such file.*free space"):
        exchange.say_done(0, 0, {})
    with pytest.raises(SinkError, match="cannot be read"):
        exchange.said("live")
