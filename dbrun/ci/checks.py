"""The steps of the action: commands of dbrun, their output kept for the comment."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, field

from ..errors import EXIT_INCOMPLETE, EXIT_OK, EXIT_UNMET, EXIT_USAGE, DbrunError, UserError
from ..frozen import frozen
from ..report.words import counted
from ..report.workflow import remark
from .event import Event, add_output
from .page import Step

DIFF, PLAN = "diff.md", "plan.txt"
"""Files in which steps leave what the comment shows."""

_STEPS = "steps.jsonl"
_PREFIX = "DBRUN_CI_"


@frozen
class Settings:
    """The inputs of the action, as its steps get them in the environment.

    *key* is that of one of several uses of the action in a job; *folder* takes what the steps
    leave for each other and for the artifact.
    """

    specs: tuple[str, ...]
    folder: str
    target: str = ""
    base: str = ""
    sample: int = 0
    fail_on: str = "never"
    comment: bool = True
    key: str = ""
    report_url: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)

    @property
    def options(self) -> list[str]:
        """What every command is given."""
        return ["--target", self.target] if self.target else []


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings in *environ*.

    Raises:
        UserError: one of them makes no sense.
    """

    def given(name: str, default: str = "") -> str:
        return environ.get(_PREFIX + name, "").strip() or default

    specs = tuple(line.strip() for line in given("SPECS").splitlines() if line.strip())
    if not specs:
        raise UserError("the input `specs` names no spec", "write one path or pattern in a line")
    sample = given("SAMPLE", "0")
    if not re.fullmatch(r"\d{1,9}", sample):
        raise UserError(f"the input `sample` is '{sample}'", "write a number of rows")
    fail_on = given("FAIL_ON", "never")
    if fail_on not in ("never", "regression"):
        raise UserError(f"the input `fail-on` is '{fail_on}'", "write never or regression")
    key = plain(given("KEY"))
    folder = os.path.join(environ.get("RUNNER_TEMP") or ".", f"dbrun-{key}" if key else "dbrun")
    return Settings(
        specs=specs,
        folder=folder,
        target=given("TARGET"),
        base=given("BASE"),
        sample=int(sample),
        fail_on=fail_on,
        comment=given("COMMENT", "true").lower() != "false",
        key=key,
        report_url=given("REPORT_URL"),
        environ=environ,
    )


def plain(text: str) -> str:
    """*text* as part of the name of a file, an artifact, or of our comment."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip(".-")[:80]


class Checks:
    """The steps; each gives the exit code of its command and notes how it went."""

    def __init__(self, settings: Settings, event: Event) -> None:
        self._settings = settings
        self._event = event
        os.makedirs(settings.folder, exist_ok=True)

    def validate(self) -> int:
        """Check the specs, first of all; problems become annotations."""
        shutil.rmtree(self._settings.folder, ignore_errors=True)
        os.makedirs(self._settings.folder, exist_ok=True)
        words = ["validate", "--format", "github", *self._named()]
        done = self._call(*words)
        said = counted(done.stdout.count("::error "), "problem") if done.returncode else ""
        return self._note("validate", done.returncode, said)

    def test(self) -> int:
        """Run the offline tests; failures become annotations."""
        done = self._call("test", *self._named())
        if done.returncode == EXIT_UNMET:
            self._call("test", "--format", "github", *self._named())
        return self._note("test", done.returncode, _last(done.stdout) or _last(done.stderr))

    def plan(self) -> int:
        """Say what a run would send."""
        done = self._call("plan", *self._named(), keep=PLAN)
        return self._excused("plan", done.returncode, _last(done.stderr))

    def verify(self) -> int:
        """Compare results that are in the repository with what their specs give."""
        worst, looked = EXIT_OK, 0
        for spec, results, has_journal in self._results():
            looked += 1
            words = [spec, *self._settings.options] if has_journal else [results]
            worst = max(worst, self._call("verify", *words).returncode)
        if not looked:
            print("no results to verify", flush=True)
            return EXIT_OK
        return self._note("verify", worst, counted(looked, "results file"))

    def sample(self) -> int:
        """Run a sample of the rows."""
        rows = self._settings.sample
        if not rows:
            print("no sample is asked for", flush=True)
            return EXIT_OK
        done = self._call("run", "--sample", str(rows), *self._named())
        return self._excused(f"sample of {rows}", done.returncode, _last(done.stderr))

    def diff(self) -> int:
        """Compare with the state that the change is to be merged into."""
        if not self._settings.base:
            print("no base to compare with", flush=True)
            return EXIT_OK
        words = ["diff", "--base", self._settings.base, "--format", "markdown"]
        strictly = ["--fail-on", "regression"]
        done = self._call(*words, *strictly, *self._named(), keep=DIFF)
        if done.returncode == EXIT_USAGE and self._settings.fail_on == "never":
            # That regressions cannot be told without scipy keeps nobody from looking.
            done = self._call(*words, *self._named(), keep=DIFF)
        regressed = done.returncode == EXIT_UNMET
        add_output(self._settings.environ, "regression", "true" if regressed else "false")
        said = "a regression" if regressed else _last(done.stderr)
        fails = not regressed or self._settings.fail_on == "regression"
        return self._excused("diff", done.returncode, said) if fails else self._warned(said)

    def report(self) -> int:
        """Make a page of the results of each spec."""
        pages = os.path.join(self._settings.folder, "report")
        os.makedirs(pages, exist_ok=True)
        worst = EXIT_OK
        for spec, results, _ in self._results(partial=True):
            name = os.path.splitext(os.path.relpath(spec))[0].replace(os.sep, "-").lstrip(".-")
            out = os.path.join(pages, f"{name}.html")
            worst = max(worst, self._call("report", results, "--out", out).returncode)
        return worst

    def name(self) -> int:
        """Make outputs of what to call the report, and of where it lies."""
        key = self._settings.key
        environ = self._settings.environ
        add_output(environ, "name", f"dbrun-report-{key}" if key else "dbrun-report")
        add_output(environ, "folder", self._settings.folder)
        return EXIT_OK

    def noted(self) -> list[Step]:
        """The steps that were taken."""
        try:
            with open(self.path(_STEPS), encoding="utf-8") as stream:
                return [Step(**json.loads(line)) for line in stream]
        except OSError:
            return []

    def path(self, name: str) -> str:
        """The file called *name* in the folder of the steps."""
        return os.path.join(self._settings.folder, name)

    def kept(self, name: str) -> str:
        """What a step left in the file called *name*; nothing if it left none."""
        try:
            with open(self.path(name), encoding="utf-8", errors="replace") as stream:
                return stream.read()
        except OSError:
            return ""

    def _named(self) -> list[str]:
        # After `--` no spec is taken for an option.
        return [*self._settings.options, "--", *self._settings.specs]

    def _call(self, *words: str, keep: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command of dbrun; what it says is shown, and kept in the file *keep*."""
        print(f"$ dbrun {' '.join(words)}", flush=True)
        done = _shown([sys.executable, "-m", "dbrun", *words], self._settings.environ)
        if keep:
            with open(self.path(keep), "w", encoding="utf-8") as stream:
                stream.write(done.stdout)
        return done

    def _note(self, name: str, code: int, said: str = "", *, is_excused: bool = False) -> int:
        """Keep how a step went; the code that it ends with."""
        step = Step(name=name, code=code, said=said, is_excused=is_excused)
        with open(self.path(_STEPS), "a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(step)) + "\n")
        return EXIT_OK if is_excused else code

    def _warned(self, said: str) -> int:
        print(remark("warning", f"diff: {said}"), flush=True)
        return self._note("diff", EXIT_UNMET, said, is_excused=True)

    def _excused(self, name: str, code: int, said: str) -> int:
        """`_note`; that a login is missing is no failure where there can be none."""
        is_excused = code == EXIT_INCOMPLETE and self._event.is_foreign
        if is_excused:
            why = "this pull request has no access to secrets"
            print(remark("warning", f"{name}: {said}; {why}"), flush=True)
        return self._note(name, code, said, is_excused=is_excused)

    def _results(self, *, partial: bool = False) -> Iterator[tuple[str, str, bool]]:
        """Each spec whose results are there, with these, and whether its journal is, too.

        With *partial* results of a sample are taken before older ones.
        """
        from ..api import load
        from ..cli.specs import spec_paths
        from ..run.manifest import part_path

        for path in dict.fromkeys(spec_paths(self._settings.specs, keep_lone_fragment=False)):
            try:
                spec = load(path, target=self._settings.target or None, prompts="kept").spec
            except DbrunError as error:
                print(f"{path}: {error}", file=sys.stderr, flush=True)
                continue
            part = part_path(spec.sink.path)
            results = part if partial and os.path.isfile(part) else spec.sink.path
            if os.path.isfile(results):
                yield path, os.path.relpath(results), os.path.isdir(spec.journal.path)


def _last(said: str) -> str:
    """The last line that is not indented: what a command says of it all."""
    lines = [line for line in said.splitlines() if line[:1].strip()]
    return lines[-1].strip() if lines else ""


def _shown(words: Sequence[str], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a program; what it says of its progress is shown as it comes, its output at the end."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output,
        subprocess.Popen(  # noqa: S603 - no shell
            words,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        said = []
        for line in process.stderr or ():
            said.append(line)
            sys.stderr.write(line)
            sys.stderr.flush()
        code = process.wait()
        output.seek(0)
        stdout = output.read()
    sys.stdout.write(stdout)
    sys.stdout.flush()
    return subprocess.CompletedProcess(words, code, stdout, "".join(said))
