"""What a template's text tells of the names and files that it uses."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from jinja2 import TemplateSyntaxError, meta, nodes

_SCOPE_WORDS = frozenset({"row", "vars", "steps"})
_FILES = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)

Find = Callable[[str, str], tuple[str, nodes.Template]]
"""From a file's name as written, and the name of the template that wrote it, to the file's
own name and its tree. Raises `ValueError` if there is none."""


def look_into(
    tree: nodes.Template,
    name: str,
    known: Collection[str],
    find: Find,
    seen: frozenset[str] = frozenset(),
) -> tuple[set[str], set[str], set[str]]:
    """The names that *tree* looks up, the row's columns that it cannot do without, and the
    `vars.name` and `steps.name` likewise.

    Files included under a fixed name are looked into as well. *known* are names that every
    template has. A column counts when it is named on its own or as `row.name`, and nowhere
    under `is defined` or `default`.
    """
    names = meta.find_undeclared_variables(tree) - set(known)
    optional = {node.name for node in _guarded(tree) if isinstance(node, nodes.Name)}
    columns = (names - optional - _SCOPE_WORDS) | _members(tree, "row")
    members = {
        f"{word}.{member}"
        for word in ("vars", "steps")
        if word in names
        for member in _members(tree, word)
    }
    for written, line, shares_scope in _references(tree):
        try:
            file, inner = find(written, name)
        except ValueError as error:
            raise TemplateSyntaxError(str(error), line, name) from error
        if file in seen:
            continue
        deeper = look_into(inner, file, known, find, seen | {file})
        if shares_scope:
            names |= deeper[0]
            columns |= deeper[1]
            members |= deeper[2]
    return names, columns, members


def _references(tree: nodes.Template) -> Iterator[tuple[str, int, bool]]:
    for node in tree.find_all(_FILES):
        target: nodes.Node = getattr(node, "template")  # noqa: B009 - the base class lacks it
        if getattr(node, "ignore_missing", False) or not isinstance(target, nodes.Const):
            continue
        if isinstance(target.value, str):
            yield target.value, node.lineno, getattr(node, "with_context", True)


def _guarded(tree: nodes.Template) -> Iterator[nodes.Node]:
    for test in tree.find_all(nodes.Test):
        if test.name in ("defined", "undefined"):
            yield test.node
    for used in tree.find_all(nodes.Filter):
        if used.name in ("default", "d") and used.node is not None:
            yield used.node


def _members(tree: nodes.Template, word: str) -> set[str]:
    # `row.get('x')` names a method, not a column.
    left_out = {id(node) for node in _guarded(tree)}
    left_out |= {id(call.node) for call in tree.find_all(nodes.Call)}
    found: set[str] = set()
    for attribute in tree.find_all(nodes.Getattr):
        if id(attribute) not in left_out and _is(attribute.node, word):
            found.add(attribute.attr)
    for item in tree.find_all(nodes.Getitem):
        named = item.arg.value if isinstance(item.arg, nodes.Const) else None
        if id(item) not in left_out and _is(item.node, word) and isinstance(named, str):
            found.add(named)
    return found


def _is(node: nodes.Node, word: str) -> bool:
    return isinstance(node, nodes.Name) and node.name == word
