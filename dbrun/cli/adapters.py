"""`dbrun adapters`: what is registered, who brings it, which options it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ..errors import EXIT_OK, PluginError
from .session import talkative

if TYPE_CHECKING:
    from ..registry import Plugin, Registry
    from ..types import Json

KINDS = ("adapters", "sources", "sinks", "scores")


@click.command("adapters", short_help="List adapters, sources, sinks, scores.")
@click.argument("names", nargs=-1, metavar="[NAME…]")
@click.option(
    "--format",
    "style",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people or for programs.",
)
@talkative
def command(names: tuple[str, ...], style: str) -> int:
    """List adapters, sources, sinks and scores with their options, all or those called NAME.

    Plugins of other packages are listed with their package; one that does not load is marked.
    """
    from ..registry import Registry, suggest

    registry = Registry()
    found = [
        inspect(registry, plugin)
        for kind in KINDS
        for plugin in registry.plugins(kind)
        if not names or plugin.name in names
    ]
    known = {entry["name"] for entry in found}
    for name in names:
        if name not in known:
            every = [plugin for kind in KINDS for plugin in registry.names(kind)]
            raise PluginError(f"nothing is registered as '{name}'", suggest(name, set(every)))
    _print(found, style)
    return EXIT_OK


def inspect(registry: Registry, plugin: Plugin) -> dict[str, Json]:
    """What there is to say of *plugin*; `broken` says why it cannot be used."""
    said: dict[str, Json] = {
        "kind": plugin.kind,
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
    }
    try:
        # Sinks have no options of their own.
        schema = getattr(registry.get(plugin.kind, plugin.name), "options", {})
    except PluginError as error:
        return {**said, "broken": str(error)}
    except Exception as error:  # a third party's module or class may fail in any way
        return {**said, "broken": f"{type(error).__name__}: {error}"}
    return {**said, "options": schema}


def _print(found: Sequence[Mapping[str, Any]], style: str) -> None:
    from .output import write_json, write_line

    if style == "json":
        write_json(list(found), indent=2)
        return
    for kind in KINDS:
        entries = [entry for entry in found if entry["kind"] == kind]
        if entries:
            write_line(kind)
        for entry in entries:
            for line in _lines(entry):
                write_line(line)


def _lines(entry: Mapping[str, Any]) -> Iterator[str]:
    brought = f"{entry['distribution']} {entry['version']}"
    if "broken" in entry:
        yield f"  {entry['name']}  ({brought})  BROKEN: {entry['broken']}"
        return
    yield f"  {entry['name']}  ({brought})"
    schema = entry["options"]
    options = schema.get("properties", {})
    widest = max(map(len, options), default=0)
    for name, option in options.items():
        facts = [_type(option)]
        if name in schema.get("required", ()):
            facts.append("required")
        elif "default" in option:
            facts.append(f"default {option['default']}")
        told = ", ".join(filter(None, facts))
        said = option.get("description", "")
        yield f"    {name:<{widest}}  {said}{f' [{told}]' if told else ''}".rstrip()


def _type(option: Mapping[str, Any]) -> str:
    if "enum" in option:
        return " | ".join(map(str, option["enum"]))
    if option.get("x-kind") == "credential":
        return "credential"
    kind = option.get("type", "")
    return kind if isinstance(kind, str) else " or ".join(kind)
