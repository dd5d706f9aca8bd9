"""What is looked at of an adapter that says nothing of it itself."""

from __future__ import annotations

from typing import Any

from dbrun.adapters.base import checkup
from dbrun.doctor.looking import carry_out
from dbrun.errors import EndpointMissing
from dbrun.findings import FAIL, OK


class Plain:
    """As much of an adapter of another package as is needed."""

    missing = False

    def prepare(self) -> None:
        if self.missing:
            raise EndpointMissing("not there", "look elsewhere")


def test_preparing_must_do_for_adapters_without_checks_of_their_own() -> None:
    plain: Any = Plain()
    (found,) = carry_out(checkup(plain, 1.0), 5.0)
    assert (found.state, found.said) == (OK, "can be prepared")
    plain.missing = True
    (found,) = carry_out(checkup(plain, 1.0), 5.0)
    assert (found.state, found.said, found.mend) == (FAIL, "not there", "look elsewhere")
