"""The progress bar on a terminal; the only place that draws with rich."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TextColumn
from rich.progress import Progress as Bar

from ..clock import Clock
from ..run.options import Progress
from ..spec.model import Spec
from .progress import Watch, common_price, told


class BarWatch(Watch):
    """A bar with facts beside it; gone when the run ends, for the summary says the rest."""

    def __init__(self, spec: Spec, clock: Clock, console: Console | None = None) -> None:
        super().__init__(spec)
        self._price = common_price(spec)
        self._clock = clock
        self._begun = clock.now()
        self._bar = Bar(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[facts]}", markup=False),
            console=console or Console(file=sys.stderr),
            transient=True,
        )
        self._task = self._bar.add_task(spec.name, total=None, facts="starting")
        self._bar.start()

    def __call__(self, progress: Progress) -> None:
        """Draw how far the run is."""
        super().__call__(progress)
        facts = " · ".join(told(progress, self._clock.now() - self._begun, self._price, self.noun))
        self._bar.update(
            self._task, completed=progress.tally.rows, total=progress.total, facts=facts
        )

    def close(self) -> None:
        """Take the bar away."""
        self._bar.stop()
