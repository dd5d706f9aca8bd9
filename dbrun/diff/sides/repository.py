"""What git knows: revisions, their files, and a copy of those in a folder of its own.

Everything goes through the command `git`, which reads the user's configuration. No hook is run,
and nothing is written to the repository.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ...errors import UserError
from ...frozen import frozen

_QUIET = ("-c", f"core.hooksPath={os.devnull}", "-c", "core.fsmonitor=false")
_ALONE = (*_QUIET, "-c", "submodule.recurse=false")
_OF_A_CALLER = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR")
"""What git sets for its hooks: it would speak of another repository than the folder's."""

_WHOLE = "check the whole history out (actions/checkout: `fetch-depth: 0`; git fetch --unshallow)"


@frozen
class Repository:
    """The repository whose files lie below *root*, an absolute path without links."""

    root: str

    @classmethod
    def around(cls, folder: str) -> Repository:
        """The repository that *folder* is in.

        Raises:
            UserError: there is none, or no git.
        """
        done = _git(folder, "rev-parse", "--show-toplevel")
        if done.returncode == 0 and done.stdout.strip():
            return cls(root=os.path.realpath(_text(done.stdout)))
        said = _said(done)
        if "not a git repository" in said or not said:
            raise UserError(
                f"--base: {os.path.abspath(folder)} is in no git repository",
                "compare two results files instead: dbrun diff OLD NEW",
            )
        raise UserError(f"--base: git cannot read {os.path.abspath(folder)}: {said}")

    def merge_base(self, revision: str) -> str:
        """The commit at which the work in the folder parted from *revision*.

        Raises:
            UserError: there is no such revision, no commit yet, or no ancestor in common.
        """
        wanted = self._commit(revision)
        done = self._run("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        if done.returncode:
            raise UserError("--base: the repository has no commit yet to compare with")
        done = self._run("merge-base", "HEAD", wanted)
        found = _text(done.stdout)
        if done.returncode == 0 and found:
            return found.splitlines()[0]
        if self._is_shallow():
            raise UserError(
                f"--base {revision}: where this branch left it is not in this shallow clone", _WHOLE
            )
        raise UserError(f"--base {revision}: it has no commit in common with HEAD")

    def _commit(self, revision: str) -> str:
        if not revision or revision.startswith("-") or "\0" in revision:
            raise UserError(f"--base {revision!r}: that is no revision; name a branch or a commit")
        done = self._run("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        if done.returncode == 0:
            return _text(done.stdout)
        hint = "name a branch or a commit that git knows"
        remote = f"origin/{revision}"
        if self._run("rev-parse", "--verify", "--quiet", f"{remote}^{{commit}}").returncode == 0:
            hint = f"did you mean '{remote}'?"
        elif self._is_shallow():
            hint = _WHOLE
        raise UserError(f"--base {revision}: git knows no such revision", hint)

    def _is_shallow(self) -> bool:
        return _text(self._run("rev-parse", "--is-shallow-repository").stdout) == "true"

    def files_at(self, commit: str) -> list[str]:
        """The paths of the files of *commit*, from the root, with slashes."""
        return _names(self._checked("ls-tree", "-r", "--name-only", "-z", commit))

    def files(self) -> list[str]:
        """The paths of the files as they are now; those that git is told to ignore are not
        among them, nor those that are deleted."""
        known = _names(
            self._checked("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        )
        return [name for name in dict.fromkeys(known) if os.path.isfile(self.path(name))]

    def path(self, name: str) -> str:
        """The path of the file called *name* in the repository."""
        return os.path.join(self.root, *name.split("/"))

    def name(self, path: str) -> str | None:
        """What the file at *path* is called in the repository; None for one outside."""
        folder, last = os.path.split(os.path.abspath(path))
        relative = os.path.relpath(os.path.join(os.path.realpath(folder), last), self.root)
        if os.path.isabs(relative) or relative.split(os.sep)[0] == os.pardir:
            return None
        return relative.replace(os.sep, "/")

    @contextmanager
    def tree(self, commit: str) -> Iterator[str]:
        """A folder with the files of *commit*, gone when left.

        It is read through an index of its own and is no worktree that git knows of: so nothing
        stays behind in the repository, not even after `kill -9`.

        Raises:
            UserError: git cannot write the files.
        """
        with tempfile.TemporaryDirectory(prefix="dbrun-base-", ignore_cleanup_errors=True) as made:
            folder = os.path.realpath(made)
            tree = os.path.join(folder, "tree")
            os.mkdir(tree)
            told = _text(self._checked("rev-parse", "--absolute-git-dir"))
            own = {
                "GIT_DIR": told,
                "GIT_WORK_TREE": tree,
                "GIT_INDEX_FILE": os.path.join(folder, "index"),
            }
            done = _git(tree, "read-tree", "--reset", "-u", commit, environ=own)
            if done.returncode:
                raise UserError(f"--base: git cannot check {commit[:9]} out: {_said(done)}")
            if not os.path.exists(marker := os.path.join(tree, ".git")):
                os.mkdir(marker)  # what tells dbrun, and other tools, where a project begins
            yield tree

    def _run(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return _git(self.root, *words)

    def _checked(self, *words: str) -> bytes:
        done = self._run(*words)
        if done.returncode:
            raise UserError(f"--base: git {words[0]} failed: {_said(done)}")
        return done.stdout


def _git(
    folder: str, *words: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    around = {name: value for name, value in os.environ.items() if name not in _OF_A_CALLER}
    try:
        return subprocess.run(  # noqa: S603 - no shell, and no word that begins with a dash
            ["git", *_ALONE, *words],  # noqa: S607 - the user's own git
            cwd=folder,
            env={**around, **(environ or {}), "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise UserError(
            f"--base: git cannot be started: {error.strerror or error}", "install git"
        ) from error


def _text(told: bytes) -> str:
    return os.fsdecode(told).strip()


def _names(told: bytes) -> list[str]:
    return [os.fsdecode(name) for name in told.split(b"\0") if name]


def _said(done: subprocess.CompletedProcess[bytes]) -> str:
    """The line in which git says what is wrong."""
    lines = [line.strip() for line in _text(done.stderr).splitlines() if line.strip()]
    told = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines
    return told[0].partition(": ")[2] or told[0] if told else ""
