"""The two sides of specs: as they were where a branch began, and as they are now."""

from __future__ import annotations

import glob
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from ...canonical import digest
from ...errors import DbrunError, UserError
from ...files import same_bytes
from ...frozen import frozen
from ...registry import Registry
from ...run.keeping.manifest_files import read_manifest
from ...run.manifest import manifest_path
from ...run.offline.verifying import read_records
from ...run.rows.pairing import pairs
from ...run.signals import ending_on_sigterm
from .child import make_sides
from .finding import looks_like_spec, spec_names
from .judging import judged
from .kept import identity
from .repository import Repository
from .side import RESULTS, Made, Prepared, Wanted, make, prepare, write_lines, write_side

_COMPARED = ("status", "output", "row", "key")


@frozen
class Overlay:
    """What is laid over both sides: `--target`, `--var` and `--set`."""

    target: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Sides:
    """The results of one *spec* on both sides; their manifests are beside them.

    *is_new* and *is_deleted* say that only one side has the spec: the other's results are empty.
    *trouble* says why there is nothing of the old side although it has the spec.
    """

    spec: str
    old: Made
    new: Made
    is_new: bool = False
    is_deleted: bool = False
    trouble: str | None = None


@frozen
class Base:
    """What is compared with *revision*: its merge base *commit*, and the *sides* of each spec."""

    revision: str
    commit: str
    sides: tuple[Sides, ...]


@contextmanager
def sides_since(
    revision: str,
    specs: Sequence[str],
    overlay: Overlay,
    environ: Mapping[str, str],
    *,
    patterns: Sequence[str] = (),
    debug: bool = False,
) -> Iterator[Base]:
    """The sides of one spec since this branch left *revision*; of several *specs*, of those that
    fit *patterns* now or did so then, or of all there are where none is named, those whose merged
    form, rows or results differ. Their files are gone when left.

    Nothing is sent: answers are taken from the journals and results that are there.

    Raises:
        UserError: git does not know, a spec is in neither state, or is wrong now.
        DbrunError: the records of a spec as it is now cannot be told.
    """
    here = os.path.dirname(os.path.abspath(specs[0])) if specs else "."
    repository = Repository.around(here)
    commit = repository.merge_base(revision)
    with (
        ending_on_sigterm(),
        tempfile.TemporaryDirectory(prefix="dbrun-diff-", ignore_cleanup_errors=True) as folder,
        repository.tree(commit) as tree,
    ):
        maker = _Maker(repository, commit, tree, folder, overlay, environ, debug)
        yield Base(revision=revision, commit=commit, sides=tuple(maker.sides(specs, patterns)))


class _Maker:
    """Makes the sides of specs, given the repository and the *tree* of its earlier state."""

    def __init__(
        self,
        repository: Repository,
        commit: str,
        tree: str,
        folder: str,
        overlay: Overlay,
        environ: Mapping[str, str],
        debug: bool,
    ) -> None:
        self._repository = repository
        self._tree = tree
        self._folder = folder
        self._overlay = overlay
        self._environ = environ
        self._debug = debug
        self._before = set(repository.files_at(commit))

    def sides(self, specs: Sequence[str], patterns: Sequence[str]) -> list[Sides]:
        """The sides of *specs* and of what fits *patterns*, or of all there are; of several those
        that differ."""
        asked = [self._named(spec) for spec in specs]
        for pattern in patterns:
            asked += self._fitting(pattern)
        is_named = bool(specs or patterns)
        named = list(dict.fromkeys(asked)) if is_named else self._found()
        is_one = is_named and len(named) == 1
        there = [name for name in named if self._is_there(name)]
        read = {name: self._prepare(name, is_named=is_named) for name in there}
        now = {name: one for name, one in read.items() if isinstance(one, Prepared)}
        refused = [one for one in read.values() if isinstance(one, DbrunError)]
        if refused and not now:
            raise refused[0]
        named = [name for name in named if name in now or name not in read]
        old = dict(zip(self._of_base(named), self._make_old(named, now), strict=True))
        made = [self._both(name, now.get(name), old.get(name)) for name in named]
        return made if is_one else [sides for sides in made if _differ(sides)]

    def _named(self, spec: str) -> str:
        name = self._repository.name(spec)
        if name is None:
            raise UserError(f"{spec}: it is not in the repository {self._repository.root}")
        if not os.path.isfile(spec) and name not in self._before:
            raise UserError(f"{spec}: there is no such file, neither now nor in the base")
        return name

    def _fitting(self, pattern: str) -> list[str]:
        """The specs that fit *pattern*, now or in the base."""
        now = glob.glob(pattern, recursive=True)
        base: list[str] = []
        beside = self._repository.name(pattern)
        if beside is not None:
            tree = glob.escape(self._tree)
            base = glob.glob(os.path.join(tree, *beside.split("/")), recursive=True)
        names = {
            *(self._named(path) for path in now if os.path.isfile(path)),
            *(os.path.relpath(path, self._tree).replace(os.sep, "/") for path in base),
        }
        if not names:
            raise UserError(f"no file fits '{pattern}', neither now nor in the base")
        return sorted(
            spec_names(name for name in names if name in self._before or self._is_there(name))
        )

    def _found(self) -> list[str]:
        """The specs of either state, by their names in the repository."""
        names = {*spec_names(self._repository.files()), *spec_names(self._before)}
        return sorted(
            name
            for name in names
            if looks_like_spec(self._repository.path(name))
            or looks_like_spec(self._base_path(name))
        )

    def _prepare(self, name: str, *, is_named: bool) -> Prepared | DbrunError:
        """The spec as it is now; what is wrong with one that was so already."""
        path = self._repository.path(name)
        wanted = self._wanted(path, os.path.join(self._folder, "new", name))
        try:
            return prepare(wanted, self._environ, debug=self._debug)
        except DbrunError as error:
            before = self._base_path(name)
            if is_named or name not in self._before or not same_bytes(path, before):
                raise
            return error

    def _make_old(self, named: Sequence[str], now: Mapping[str, Prepared]) -> list[Made | str]:
        wanted = [
            replace(
                self._wanted(self._base_path(name), os.path.join(self._folder, "old", name)),
                journals=(now[name].spec.journal.path,) if name in now else (),
                is_base=True,
                rows_in=(self._tree, self._repository.root),
            )
            for name in self._of_base(named)
        ]
        return make_sides(wanted, self._tree, self._repository.root, self._environ)

    def _both(self, name: str, now: Prepared | None, old: Made | str | None) -> Sides:
        shown = os.path.relpath(self._repository.path(name))
        trouble = old if isinstance(old, str) else None
        before = old if isinstance(old, Made) else self._empty("old", name)
        if now is None:
            new = self._empty("new", name)
            return Sides(spec=shown, old=before, new=new, is_deleted=True, trouble=trouble)
        new = make(now)
        if isinstance(old, Made):
            self._judge(before, now)
        return Sides(spec=shown, old=before, new=new, is_new=old is None, trouble=trouble)

    def _judge(self, old: Made, now: Prepared) -> None:
        """Put the scores of the spec as it is now in place of those that *old* has."""
        lines = list(read_records(old.results, "jsonl", Registry()))
        path = f"{os.path.dirname(old.results)}/judged/{RESULTS}"
        found = Made(results=path, has_results=old.has_results, trouble=old.trouble)
        write_side(found, judged(lines, now.spec, now.around))
        os.replace(path, old.results)
        old.records, old.unanswered, old.named = found.records, found.unanswered, found.named

    def _empty(self, side: str, name: str) -> Made:
        made = Made(results=os.path.join(self._folder, side, name, RESULTS))
        write_side(made, ())
        write_lines(manifest_path(made.results), [{}])
        return made

    def _wanted(self, path: str, out: str) -> Wanted:
        overlay = self._overlay
        return Wanted(
            spec=path,
            out=out,
            target=overlay.target,
            variables=overlay.variables,
            overrides=overlay.overrides,
        )

    def _of_base(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name in self._before]

    def _base_path(self, name: str) -> str:
        return os.path.join(self._tree, *name.split("/"))

    def _is_there(self, name: str) -> bool:
        return os.path.isfile(self._repository.path(name))


def _differ(sides: Sides) -> bool:
    """Whether recipe, rows or results of the two sides differ."""
    if sides.is_new or sides.is_deleted or sides.trouble:
        return True
    if _recipe(sides.old) != _recipe(sides.new):
        return True
    registry = Registry()
    old, new = (
        ((identity(line), line) for line in read_records(made.results, "jsonl", registry))
        for made in (sides.old, sides.new)
    )
    for pair in pairs(old, new):
        if pair.left is None or pair.right is None:
            return True
        both = [name for name in _COMPARED if name in pair.left and name in pair.right]
        if digest([pair.left[name] for name in both]) != digest(
            [pair.right[name] for name in both]
        ):
            return True
    return False


def _recipe(made: Made) -> object:
    manifest = read_manifest(manifest_path(made.results)) or {}
    return manifest.get("spec_digest")
