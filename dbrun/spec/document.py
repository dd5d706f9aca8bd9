"""YAML text to plain data and the place of every value; the only door to yaml.

Nodes are composed here, from the parser's events: duplicate keys, tags, keys that are no text,
second documents, deep nesting and aliases that unfold without end are problems with a place.
libyaml parses where it is installed, PyYAML's own parser elsewhere; what is accepted, and what
is said of the rest, is the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import yaml

from ..errors import SpecError
from ..types import Json
from .files import read_text, shown
from .lines import Lines, first_unprintable
from .nodes import Findings, Node, Path, Place, plain, walk
from .scalars import NotJson, read_plain
from .syntax import syntax_problem

MAX_DEPTH = 50
MAX_UNFOLDED = 20_000

_COMMENT = re.compile(r"(?:^|(?<=\s))#", re.MULTILINE)
_HEADER = re.compile(r"[|>][-+0-9]*")
_TEXT_TAGS = ("!", "tag:yaml.org,2002:str")
_EVENTS = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Document:
    """One YAML file. *file* is its name as a person would write it, *folder* is absolute."""

    def __init__(self, *, file: str, folder: str, root: Node) -> None:
        self.file = file
        self.folder = folder
        self.root = root

    @cached_property
    def data(self) -> Json:
        """The ordinary data."""
        return plain(self.root)

    @cached_property
    def marks(self) -> Mapping[Path, tuple[Place, Place]]:
        """The places of every value's key and of the value itself, by its path."""
        return {path: (node.key_place, node.at) for path, node in walk(self.root)}


def read(path: str, text: str | None = None) -> Document:
    """The document in the file at *path*; *text*, if given, is taken for its content.

    Raises:
        SpecError: with every problem found in it.
    """
    file, folder = shown(path), os.path.dirname(os.path.abspath(path))
    if text is None:
        text = read_text(path)
    return Document(file=file, folder=folder, root=parse(text, file=file, folder=folder))


def parse(text: str, *, file: str, folder: str, place: Place | None = None) -> Node:
    """The value of a YAML text. All of it is put at *place*, if given.

    Raises:
        SpecError: with every problem found in it.
    """
    text = text.removeprefix("\ufeff")
    composer = _Composer(text, file, folder, place)
    if (odd := first_unprintable(text)) is not None:
        composer.fail(odd, "a character that YAML does not allow", "remove it, or write an escape")
        raise SpecError(composer.findings.problems)
    root, error = composer.read(_EVENTS)
    if error is not None and _EVENTS is not yaml.SafeLoader:
        # The last word is PyYAML's own, so that both say the same.
        composer = _Composer(text, file, folder, place)
        root, error = composer.read(yaml.SafeLoader)
    if error is not None:
        composer.fail(*syntax_problem(error, text))
    if root is None or composer.findings:
        raise SpecError(composer.findings.problems)
    return root


class _Stop(Exception):
    """The rest of the text cannot be made sense of."""


class _Composer:
    """Makes Nodes of a parser's events, noting what is wrong on the way."""

    def __init__(self, text: str, file: str, folder: str, place: Place | None) -> None:
        self.text = text
        self.findings = Findings()
        self._lines = Lines(text)
        self._file, self._folder, self._place = file, folder, place
        self._anchors: dict[str, Node | None] = {}
        self._unfolded = 0
        self._covered: list[tuple[int, int]] = []

    def fail(self, start: int, message: str, hint: str = "", *, end: int = 0) -> None:
        """Note a problem at the characters from *start* to *end*."""
        self.findings.add(self.place(start, end or start + 1), (), message, hint)

    def place(self, start: int, end: int) -> Place:
        """The characters from *start* to *end*, as far as they are on one line."""
        if self._place is not None:
            return self._place
        line, column, length = self._lines.extent(start, end)
        return Place(file=self._file, folder=self._folder, line=line, column=column, length=length)

    def read(self, loader: Any) -> tuple[Node | None, yaml.YAMLError | None]:
        """The one document of the text as far as *loader* parses it, and what it stumbled over."""
        try:
            return self._compose(loader), None
        except yaml.YAMLError as error:
            return None, error

    def _compose(self, loader: Any) -> Node | None:
        """The one document of the text; None if there is none, or it is beyond sense."""
        events: Any = yaml.parse(self.text, Loader=loader)
        root: Node | None = None
        documents = 0
        try:
            for event in events:
                start = event.start_mark.index
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self.fail(start, "a second document starts here", "a spec is one document")
                        raise _Stop
                    root = self._node(next(events), events, (), 0)
        except _Stop:
            return None
        finally:
            events.close()
        if documents == 0:
            self.fail(
                0, "the file is empty", "the smallest spec has name, source, endpoint, prompt"
            )
        self._refuse_tabs()
        return root

    def _node(self, event: Any, events: Iterator[Any], path: Path, depth: int) -> Node:
        start, end = event.start_mark.index, event.end_mark.index
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), start, end, path)
        if depth > MAX_DEPTH:
            self.findings.add(
                self.place(start, end), path[:3], f"more than {MAX_DEPTH} levels deep", "flatten it"
            )
            raise _Stop
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, start, end, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, events, path, depth)
        else:
            node = self._mapping(event, events, path, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, name: str, start: int, end: int, path: Path) -> Node:
        at = self.place(start, end)
        if name not in self._anchors:
            self.findings.add(at, path, f"there is no anchor '&{name}' above")
            return Node(value=None, at=at)
        target = self._anchors[name]
        if target is None:
            self.findings.add(at, path, f"'*{name}' stands within what it names")
            return Node(value=None, at=at)
        self._unfolded += target.weight
        if self._unfolded > MAX_UNFOLDED:
            message = f"aliases unfold to more than {MAX_UNFOLDED} values"
            self.findings.add(at, path, message, "write the values out")
            raise _Stop
        return Node(value=target.value, at=at, weight=target.weight)

    def _scalar(self, event: Any, start: int, end: int, path: Path) -> Node:
        value: Json = event.value
        if event.style in ("|", ">"):
            end = self._block(start, end, path)
        elif event.style:
            self._covered.append((start, end))
        at = self.place(start, end)
        if event.tag is not None and event.tag not in _TEXT_TAGS:
            self._refuse_tag(event, at, path)
        elif not event.style and event.tag is None:
            try:
                value = read_plain(event.value)
            except NotJson as error:
                self.findings.add(at, path, str(error), "put it in quotes if text is meant")
                value = None
        if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
            value = self._paired(value, at, path)
        empty = value is None and start == end
        return Node(value=value, at=at, loose=empty, empty=empty)

    def _paired(self, text: str, at: Place, path: Path) -> str:
        """*text* with each character that JSON escapes as a pair of surrogates put together."""
        try:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            self.findings.add(at, path, "half of a surrogate pair", "write the character itself")
            return text

    def _block(self, start: int, end: int, path: Path) -> int:
        """Where the header of a block scalar ends, which is all of it that is underlined."""
        header = _HEADER.search(self.text, start)
        stop = header.end() if header else start + 1
        line = self.text.find("\n", stop)
        self._covered.append((end if line < 0 else line, end))
        if self.text[stop : stop + 1] not in ("", " ", "\r", "\n"):
            at = self.place(start, stop + 1)
            self.findings.add(at, path, "a long text starts on the line after its '|' or '>'")
        return stop

    def _sequence(self, event: Any, events: Iterator[Any], path: Path, depth: int) -> Node:
        items: list[Node] = []
        for inner in events:
            if isinstance(inner, yaml.SequenceEndEvent):
                break
            items.append(self._node(inner, events, (*path, len(items)), depth + 1))
        return self._collection(event, inner, items, items, path)

    def _mapping(self, event: Any, events: Iterator[Any], path: Path, depth: int) -> Node:
        found: dict[str, Node] = {}
        for inner in events:
            if isinstance(inner, yaml.MappingEndEvent):
                break
            name, key = self._key(inner, events, path, depth)
            inside = path if name is None else (*path, name)
            child = self._node(next(events), events, inside, depth + 1)
            if name is not None and key is not None:
                self._put(found, name, key, child, path)
        return self._collection(event, inner, found, list(found.values()), path)

    def _put(self, found: dict[str, Node], name: str, key: Place, child: Node, path: Path) -> None:
        if name in found:
            message = f"the key '{name}' is here twice, first on line {found[name].key_place.line}"
            self.findings.add(key, (*path, name), message, "remove one")
            return
        found[name] = Node(
            value=child.value,
            at=child.at,
            key=key,
            loose=child.loose,
            empty=child.empty,
            weight=child.weight,
        )

    def _key(
        self, event: Any, events: Iterator[Any], path: Path, depth: int
    ) -> tuple[str | None, Place | None]:
        start, end = event.start_mark.index, event.end_mark.index
        at = self.place(start, max(end, start + 1))
        if not isinstance(event, yaml.ScalarEvent):
            message, hint = "a key must be text", "a mapping, list or alias cannot be one"
            if self.text[start - 1 : start + 1] == "{{":
                message, hint = "YAML takes {{ … }} for a mapping", "put the text in quotes"
                at = self.place(start - 1, start + 1)
            self.findings.add(at, path, message, hint)
            self._node(event, events, path, depth + 1)
            return None, None
        value: Json = self._scalar(event, start, end, path).value
        if value == "<<" and not event.style:
            self.findings.add(
                at, path, "'<<' is no part of YAML 1.2", "use extends to inherit keys"
            )
            return None, at
        if event.anchor is not None:
            self._anchors[event.anchor] = Node(value=value, at=at)
        if not isinstance(value, str):
            spelt = event.value or "nothing"
            self.findings.add(
                at, path, f"the key {spelt} is no text", f"write '{event.value}' in quotes"
            )
            return event.value, at
        return value, at

    def _collection(self, event: Any, end: Any, value: Any, parts: list[Node], path: Path) -> Node:
        block = not event.flow_style
        at = self.place(event.start_mark.index, end.end_mark.index)
        if event.tag is not None:
            self._refuse_tag(event, at, path)
        return Node(value=value, at=at, loose=block, weight=1 + sum(part.weight for part in parts))

    def _refuse_tag(self, event: Any, at: Place, path: Path) -> None:
        tag = event.tag.replace("tag:yaml.org,2002:", "!!")
        hint = "write the value plainly; a function is named by its dotted path"
        self.findings.add(at, path, f"the tag {tag} is not read", hint)

    def _refuse_tabs(self) -> None:
        # libyaml takes tabs between tokens, PyYAML does not; neither do most editors show them.
        if "\t" not in self.text:
            return
        spans = iter(sorted(self._covered))
        start, end = next(spans, (len(self.text), len(self.text)))
        for match in re.finditer("\t+", self.text):
            at = match.start()
            while end <= at and end < len(self.text):
                start, end = next(spans, (len(self.text), len(self.text)))
            if start <= at < end or self._in_comment(at):
                continue
            self.fail(at, "a tab", "YAML wants spaces", end=match.end())

    def _in_comment(self, at: int) -> bool:
        begin = self.text.rfind("\n", 0, at) + 1
        free = max((end for _, end in self._covered if end <= at), default=0)
        return bool(_COMMENT.search(self.text, max(begin, free), at))
