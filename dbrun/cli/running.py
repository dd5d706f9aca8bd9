"""Running pipelines one after the other: progress while they run, a summary when they end."""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import DbrunError, Interrupted, RunError, UserError
from ..report.summary import describe, summary
from ..run.opening import Surroundings
from .output import prints_aside, write_json
from .progress import Watch, watching
from .session import Session
from .trouble import report, show_problems

if TYPE_CHECKING:
    from ..run.options import RunOptions
    from ..run.pipeline import Pipeline
    from ..run.result import Run
    from ..types import Json


class Runner:
    """Runs pipelines with the same options."""

    def __init__(
        self, session: Session, options: RunOptions, *, quiet: bool, as_json: bool
    ) -> None:
        self._session = session
        self._options = options
        self._quiet = quiet
        self._as_json = as_json
        self._ended = session.ended

    def run(self, pipelines: Sequence[Pipeline]) -> int:
        """Run all of them, unless interrupted; the worst exit code."""
        # Modules and specs stay for the life of the process, rows do not make cycles: looking
        # through all of it again and again for garbage would cost a tenth of a run.
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        worst = 0
        for pipeline in pipelines:
            code = self._run_one(pipeline)
            worst = max(worst, code)
            if code >= Interrupted().exit_code:
                break
        if self._as_json:
            write_json(_combined(worst, self._ended), indent=2)
        return worst

    def _run_one(self, pipeline: Pipeline) -> int:
        self._warn(pipeline)
        around = Surroundings(
            environ=os.environ, registry=pipeline.registry, debug=self._session.debug
        )
        with watching(pipeline.spec, self._session, quiet=self._quiet) as watch:
            try:
                with prints_aside():
                    run = pipeline.registry.get("engines", pipeline.spec.engine.kind)
                    done: Run = run(pipeline.spec, self._options, around, observe=watch)
            except (Interrupted, RunError, UserError) as error:
                watch.close()
                return self._ended_early(pipeline, error, watch)
        self._ended.append(describe(done, pipeline.spec.file))
        if not self._quiet:
            self._session.say(summary(done))
        elif done.tracked is not None and done.tracked.warning is not None:
            self._session.say(f"warning: {done.tracked.warning}")
        return done.exit_code

    def _warn(self, pipeline: Pipeline) -> None:
        if pipeline.warnings and not self._quiet:
            show_problems(pipeline.warnings, self._session, "warning")

    def _ended_early(self, pipeline: Pipeline, error: DbrunError, watch: Watch) -> int:
        if isinstance(error, Interrupted):
            done = f"{error.message} after {watch.done}"
            done += f"; {error.hint}" if error.hint else ""
            error = Interrupted(f"{done}; run the same command again to continue", error.exit_code)
        code = report(error, self._session)
        self._ended.append(
            {
                "spec": pipeline.spec.file,
                "name": pipeline.spec.name,
                "status": "interrupted" if isinstance(error, Interrupted) else "failed",
                "exit_code": code,
                "results": None,
                "error": str(error),
            }
        )
        return code


def _combined(exit_code: int, ended: Sequence[Mapping[str, Any]]) -> dict[str, Json]:
    """One summary of all runs: their sums, then each."""
    said: dict[str, Json] = {"exit_code": exit_code}
    for part in ("counts", "requests"):
        said[part] = _sums([run[part] for run in ended if part in run])
    said["runs"] = list(ended)
    return said


def _sums(parts: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for part in parts:
        for name, value in part.items():
            if isinstance(value, int):
                sums[name] = sums.get(name, 0) + value
    return sums
