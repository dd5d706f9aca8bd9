"""What dbrun logs is shown on standard error, each record once."""

from __future__ import annotations

import logging

import pytest

from dbrun.cli import logs


def test_levels_asked_for_together_say_each_record_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stops = [logs.start("INFO"), logs.start("DEBUG")]
    logging.getLogger("dbrun.here").info("sent")
    logging.getLogger("dbrun.here").debug("seen")
    for stop in reversed(stops):
        stop()
    assert capsys.readouterr().err == "info: sent\ndebug: seen\n"
