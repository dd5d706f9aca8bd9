"""Resource files of a bundle: written, read back, and compared with what the specs say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from ..errors import UserError
from ..types import Json


def heading(command: str) -> str:
    """What the comment at the top of a resource file says that *command* printed."""
    return f"Made by: {command}\nChange the spec, then make it again."


def to_yaml(jobs: Mapping[str, Json], comment: str = "") -> str:
    """The text of a resource file that holds *jobs*, with a *comment* above them."""
    lines = "".join(f"# {line}\n" for line in comment.splitlines())
    text = yaml.dump(
        {"resources": {"jobs": dict(jobs)}},
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=100,
    )
    return lines + str(text)


def read_jobs(path: str) -> Mapping[str, Json]:
    """The jobs of the resource file at *path*.

    Raises:
        UserError: it cannot be read, or is no resource file.
    """
    hint = "write it with: dbrun job SPEC > FILE"
    try:
        with open(path, encoding="utf-8") as stream:
            data = yaml.safe_load(stream)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}", hint) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(getattr(error, "problem", None) or error).split())
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark is not None else path
        raise UserError(f"{place}: no YAML: {said}", hint) from error
    for key in ("resources", "jobs"):
        data = data.get(key) if isinstance(data, Mapping) else None
    if not isinstance(data, Mapping):
        raise UserError(f"{path} holds no resources.jobs", hint)
    return data


def differences(old: Json, new: Json, path: str = "") -> Iterator[str]:
    """What makes *new* of *old*: a line with `-` for what goes, one with `+` for what comes."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*new, *old]):
            yield from _inside(old, new, key, f"{path}.{key}" if path else str(key))
    elif isinstance(old, list) and isinstance(new, list) and (old or new):
        before, after = _named(old), _named(new)
        for key in dict.fromkeys([*after, *before]):
            yield from _inside(before, after, key, f"{path}[{key}]")
        if list(before) != list(after) and before.keys() == after.keys():
            yield f"  {path}: in another order"
    elif old != new or isinstance(old, bool) != isinstance(new, bool):
        yield f"- {path}: {_shown(old)}"
        yield f"+ {path}: {_shown(new)}"


def _inside(
    old: Mapping[Any, Json], new: Mapping[Any, Json], key: str | int, path: str
) -> Iterator[str]:
    if key not in new:
        yield f"- {path}: {_shown(old[key])}"
    elif key not in old:
        yield f"+ {path}: {_shown(new[key])}"
    else:
        yield from differences(old[key], new[key], path)


def _named(items: Sequence[Json]) -> dict[str | int, Json]:
    """The items of a list by what a person calls them: a task by its key, others by number."""
    names = ("task_key", "environment_key", "job_cluster_key", "name")
    for name in names:
        found = [item.get(name) if isinstance(item, Mapping) else None for item in items]
        if all(isinstance(one, str) for one in found) and len(set(found)) == len(found):
            return {str(one): item for one, item in zip(found, items, strict=True)}
    return dict(enumerate(items))


def _shown(value: Json) -> str:
    text = yaml.dump(
        value,
        Dumper=_Dumper,
        default_flow_style=True,
        sort_keys=False,
        allow_unicode=True,
        width=10_000,
    )
    return str(text).removesuffix("...\n").strip()


class _Dumper(yaml.SafeDumper):
    """Lists stand further in than their key, nothing is abbreviated, odd characters are escaped."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: object) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    odd = not text.replace("\n", "").isprintable()
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if odd else None)


_Dumper.add_representer(str, _text)
